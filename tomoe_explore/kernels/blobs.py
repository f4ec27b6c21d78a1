"""Connected regions of saturated pixels, and light painted round stars."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tomoe_explore.kernels.pixels import Rows

Ints = NDArray[np.int64]
Doubles = NDArray[np.float64]


@njit(cache=True, nogil=True)
def blobs(rows: Rows, nx: int) -> Ints:
    """Number of the connected region (sides or corners) of each listed pixel.

    Parameters
    ----------
    rows : (start, x)
        As `pixels.bad_and_saturated` lists them: columns, row by row.
    nx : int
        Columns of the image.

    Returns
    -------
    ndarray of int64
        One number a pixel of the list, 0, 1, …
    """
    start, columns = rows
    parent = np.arange(len(columns))
    above = np.full(nx + 2, -1, np.int64)  # the last listed pixel of each column, one off
    row_of = np.full(nx + 2, -9, np.int64)
    for y in range(len(start) - 1):
        for k in range(start[y], start[y + 1]):
            x = columns[k] + 1
            if k > start[y] and columns[k - 1] == columns[k] - 1:
                _join(parent, k, k - 1)
        for k in range(start[y], start[y + 1]):
            x = columns[k] + 1
            for i in range(x - 1, x + 2):
                if row_of[i] == y - 1:
                    _join(parent, k, above[i])
        for k in range(start[y], start[y + 1]):
            above[columns[k] + 1], row_of[columns[k] + 1] = k, y
    number, n = np.full(len(columns), -1, np.int64), 0
    for k in range(len(columns)):
        root = _root(parent, k)
        if number[root] < 0:
            number[root] = n
            n += 1
        if root != k:
            number[k] = number[root]
    return number


@njit(cache=True, nogil=True)
def _root(parent, k):  # type: ignore[no-untyped-def]
    while parent[k] != k:
        parent[k] = parent[parent[k]]
        k = parent[k]
    return k


@njit(cache=True, nogil=True)
def _join(parent, a, b):  # type: ignore[no-untyped-def]
    a, b = _root(parent, a), _root(parent, b)
    parent[max(a, b)] = min(a, b)


@njit(cache=True, nogil=True)
def blob_centers(
    image: NDArray[np.float32], rows: Rows, number: Ints, reach: int
) -> tuple[Doubles, Doubles, Doubles, Doubles]:
    """Where the star of each region stands, however its columns bleed.

    Parameters
    ----------
    image : ndarray of float32, (ny, nx)
    rows, number
        As given to and by `blobs`.
    reach : int
        Pixels on either side of a region that count with it.

    Returns
    -------
    x, y : ndarray of float64, (n,)
        Mean of the rows' middles, pixels. A row's weight is its light, of the region and of what stands beside it,
        above the median row's and a tenth of the brightest's: a bleeding column is as bright all along, a star not.
    width, height : ndarray of float64, (n,)
        Of the widest row, and in rows.
    """
    n = number.max() + 1 if len(number) else 0
    runs = _runs(image, rows, number, reach)
    order = np.argsort(runs[:, 0], kind="mergesort")
    x, y, width, height = np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n)
    first = 0
    for b in range(n):
        last = first
        while last < len(order) and runs[order[last], 0] == b:
            last += 1
        own = runs[order[first:last]]
        light = own[:, 4]
        floor = np.median(light)
        weight = np.maximum(light - floor - 0.1 * (light.max() - floor), 0.0)
        if weight.sum() == 0:
            weight[:] = 1.0
        x[b] = (weight * (own[:, 2] + own[:, 3])).sum() / weight.sum() / 2
        y[b] = (weight * own[:, 1]).sum() / weight.sum()
        width[b], height[b] = (own[:, 3] - own[:, 2]).max() + 1, last - first
        first = last
    return x, y, width, height


@njit(cache=True, nogil=True)
def _runs(image, rows, number, reach):  # type: ignore[no-untyped-def]
    """Region, row, first and last column, light: one line a region and row."""
    start, columns = rows
    ny, nx = image.shape
    out, n = np.zeros((len(columns), 5)), 0
    for y in range(ny):
        begin = n
        for k in range(start[y], start[y + 1]):
            r = begin
            while r < n and out[r, 0] != number[k]:
                r += 1
            if r == n:
                out[r, 0], out[r, 1], out[r, 2] = number[k], y, columns[k]
                n += 1
            out[r, 3] = columns[k]
        for r in range(begin, n):
            for x in range(max(int(out[r, 2]) - reach, 0), min(int(out[r, 3]) + reach + 1, nx)):
                if np.isfinite(image[y, x]):
                    out[r, 4] += image[y, x]
    return out[:n]


@njit(cache=True, nogil=True)
def nearest_blob(rows: Rows, number: Ints, places: tuple[Ints, Ints], reach: int) -> Ints:
    """The region within a distance of each place, -1 where there is none.

    Parameters
    ----------
    rows, number
        As given to and by `blobs`.
    places : (y, x)
        Pixels, ``(m,)``.
    reach : int
        Pixels.
    """
    start, columns = rows
    ys, xs = places
    out = np.full(len(ys), -1, np.int64)
    for i in range(len(ys)):
        best = reach * reach + 1
        for y in range(max(ys[i] - reach, 0), min(ys[i] + reach + 1, len(start) - 1)):
            row = columns[start[y] : start[y + 1]]
            k = np.searchsorted(row, xs[i] - reach)
            while k < len(row) and row[k] <= xs[i] + reach:
                d2 = (row[k] - xs[i]) ** 2 + (y - ys[i]) ** 2
                if d2 < best:
                    best, out[i] = d2, number[start[y] + k]
                k += 1
    return out


@njit(cache=True, nogil=True)
def paint(mask: NDArray[np.bool_], x: Doubles, y: Doubles, radius: Doubles) -> None:
    """Set the pixels within a radius of each place, in place.

    Parameters
    ----------
    mask : ndarray of bool, (ny, nx)
    x, y, radius : ndarray of float64, (m,)
        Pixels.
    """
    ny, nx = mask.shape
    for i in range(len(x)):
        r = radius[i]
        for row in range(max(int(np.ceil(y[i] - r)), 0), min(int(np.floor(y[i] + r)), ny - 1) + 1):
            half = np.sqrt(r * r - (row - y[i]) ** 2)
            mask[row, max(int(np.ceil(x[i] - half)), 0) : min(int(np.floor(x[i] + half)), nx - 1) + 1] = True
