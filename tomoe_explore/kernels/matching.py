"""Detections and reference stars: the shift and rotation that bring most together, and which lies next to which."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True, nogil=True)
def vote(
    detected: tuple[NDArray[np.float64], NDArray[np.float64]],
    expected: tuple[NDArray[np.float64], NDArray[np.float64]],
    angles: NDArray[np.float64],
    reach: float,
    bin_size: float,
) -> tuple[int, float, float, int, float]:
    """Vote for the offset between two point lists over trial rotations.

    Parameters
    ----------
    detected, expected : (x, y)
        Positions of detections, and of reference stars where they ought to be, pixels from the field's centre.
    angles : ndarray of float64
        Trial rotations of the expected positions about the origin, rad.
    reach : float
        Largest offset along x or y, pixels.
    bin_size : float
        Of the vote, pixels.

    Returns
    -------
    best_angle : int
        Index of the winning rotation.
    shift_x, shift_y : float
        Detected minus rotated expected position, pixels.
    votes : int
        Pairs in the winning 2 x 2 bins.
    background : float
        Mean pairs in 2 x 2 bins at that rotation: what chance gives.

    Notes
    -----
    A two-dimensional histogram of all pair differences; right pairs pile up, wrong ones spread. Votes are counted
    over 2 x 2 bins so that a bin's edge cannot split a pile. Detections are sorted along x, so that only those in reach
    of a star are looked at.
    """
    size = int(np.ceil(2 * reach / bin_size)) + 1
    end = size * bin_size - reach
    best = (0, 0.0, 0.0, -1, 0.0)
    order = np.argsort(detected[0])
    x, y = detected[0][order], detected[1][order]
    for a in range(len(angles)):
        cos, sin = np.cos(angles[a]), np.sin(angles[a])
        histogram = np.zeros((size + 1, size + 1), np.int32)  # one more, for what rounding puts at the end
        pairs = 0
        ex, ey = cos * expected[0] - sin * expected[1], sin * expected[0] + cos * expected[1]
        first = np.searchsorted(x, ex - reach)
        for j in range(len(ex)):
            for i in range(first[j], len(x)):
                dx, dy = x[i] - ex[j], y[i] - ey[j]
                if dx >= end:
                    break
                if -reach <= dy < end:
                    histogram[int((dy + reach) / bin_size), int((dx + reach) / bin_size)] += 1
                    pairs += 1
        for iy in range(size - 1):
            low, high = histogram[iy], histogram[iy + 1]
            most = np.int32(0)
            for ix in range(size - 1):
                most = max(most, low[ix] + low[ix + 1] + high[ix] + high[ix + 1])
            if most > best[3]:
                here = low[:-1] + low[1:] + high[:-1] + high[1:]
                shift_x = (np.argmax(here[: size - 1]) + 1) * bin_size - reach
                best = (a, shift_x, (iy + 1) * bin_size - reach, int(most), 4.0 * pairs / size**2)
    return best


@njit(cache=True, nogil=True)
def nearest(
    points: tuple[NDArray[np.float64], NDArray[np.float64]],
    at: tuple[NDArray[np.float64], NDArray[np.float64]],
    limit: float,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The point next to each place.

    Parameters
    ----------
    points : (x, y)
        To choose from, ``(n,)``, any unit.
    at : (x, y)
        Places, ``(m,)``.
    limit : float
        Points must be nearer than this.

    Returns
    -------
    index : ndarray of int64, (m,)
        -1 where no point is within the limit.
    distance : ndarray of float64, (m,)
        Infinite there.

    Notes
    -----
    Points are sorted into square cells not narrower than the limit, of about one point each. A ``cKDTree`` finds the
    same in eight to ten times as long, which would be 3 ms a film, 20 in a dense field.
    """
    px, py = points
    index, distance = np.full(len(at[0]), -1, np.int64), np.full(len(at[0]), np.inf)
    if len(px) == 0:
        return index, distance
    x0, y0 = px.min(), py.min()
    wide, high = px.max() - x0, py.max() - y0
    cell = max(limit, np.sqrt(wide * high / len(px)), max(wide, high) / len(px), 1e-300)
    nx, ny = int(wide / cell) + 1, int(high / cell) + 1
    where = np.empty(len(px), np.int64)
    first = np.zeros(nx * ny + 1, np.int64)
    for i in range(len(px)):
        where[i] = int((py[i] - y0) / cell) * nx + int((px[i] - x0) / cell)
        first[where[i] + 1] += 1
    first = np.cumsum(first)
    free, members = first[:-1].copy(), np.empty(len(px), np.int64)
    for i in range(len(px)):
        members[free[where[i]]] = i
        free[where[i]] += 1
    for k in range(len(at[0])):
        u, v = (at[0][k] - x0) / cell, (at[1][k] - y0) / cell
        if not (-1.0 <= u <= nx + 1.0 and -1.0 <= v <= ny + 1.0):
            continue
        cx, cy, least = int(np.floor(u)), int(np.floor(v)), limit * limit
        left, right = max(cx - 1, 0), min(cx + 2, nx)
        for row in range(max(cy - 1, 0), min(cy + 2, ny)):
            for j in range(first[row * nx + left], first[row * nx + max(right, left)]):
                i = members[j]
                d2 = (px[i] - at[0][k]) ** 2 + (py[i] - at[1][k]) ** 2
                if d2 < least:
                    least, index[k] = d2, i
        if index[k] >= 0:
            distance[k] = np.sqrt(least)
    return index, distance


@njit(cache=True, nogil=True)
def one_each(index: NDArray[np.int64], distance: NDArray[np.float64], n: int) -> NDArray[np.int64]:
    """Places whose point has no nearer place, in order: of what `nearest` found, each of the ``n`` points once."""
    best = np.full(n, -1, np.int64)
    for k in range(len(index)):
        i = index[k]
        if i >= 0 and (best[i] < 0 or distance[k] < distance[best[i]]):
            best[i] = k
    return np.sort(best[best >= 0])
