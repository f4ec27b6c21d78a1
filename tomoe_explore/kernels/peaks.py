"""Local maxima of an image, and how far they stand out."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tomoe_explore.kernels.background import FAST, mesh_row, widen

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


@njit(cache=True, nogil=True, fastmath=FAST)
def local_maxima(values: Floats, floor: Floats, limit: int) -> tuple[Ints, Ints]:
    """Pixels above a floor that no neighbour exceeds; the outermost are left out.

    Parameters
    ----------
    values : ndarray of float32, (ny, nx)
    floor : ndarray of float32, (gy, gx)
        On a mesh, in the unit of the values.
    limit : int
        The search stops when so many are found.

    Returns
    -------
    y, x : ndarray of int64, (n,)
    """
    ny, nx = values.shape
    wide, row = widen(floor, nx), np.empty(nx, np.float32)
    out_y, out_x = np.empty(limit, np.int64), np.empty(limit, np.int64)
    n = 0
    flags, found = np.empty(nx - 2, np.float32), np.empty(nx, np.int64)
    for y in range(1, ny - 1):
        mesh_row(wide, y, ny, row)
        if _flag_peaks((values[y - 1], values[y], values[y + 1]), row, flags) > 0:
            for k in range(_flagged(flags, found)):
                if n == limit:
                    return out_y, out_x
                out_y[n], out_x[n] = y, found[k] + 1
                n += 1
    return out_y[:n], out_x[:n]


@njit(cache=True, nogil=True, fastmath=FAST, forceinline=True)
def _flagged(flags, out):  # type: ignore[no-untyped-def]
    """Where flags are set, and how many: 64 at a time are passed over where none is."""
    n = 0
    for first in range(0, len(flags), 64):
        # unsigned: the compiler need not think of x < 0
        begin, end = np.uint64(first), np.uint64(min(first + 64, len(flags)))
        hits = np.float32(0.0)
        for x in range(begin, end):
            hits += flags[x]
        if hits > 0:
            for x in range(begin, end):
                if flags[x] > 0:
                    out[n] = x
                    n += 1
    return n


@njit(cache=True, nogil=True, fastmath=FAST, forceinline=True)
def _flag_peaks(rows, floor, flags):  # type: ignore[no-untyped-def]
    """Flag the maxima of the middle one of three rows and count them; of equal neighbours the first one counts."""
    above, here, below = rows
    m = len(flags)
    floor, middle = floor[1 : m + 1], here[1 : m + 1]
    a, b, c, d = above[:m], above[1 : m + 1], above[2 : m + 2], here[:m]
    e, f, g, h = here[2 : m + 2], below[:m], below[1 : m + 1], below[2 : m + 2]
    hits = np.float32(0.0)
    for x in range(m):
        v = middle[x]
        first = (v > floor[x]) & (v > a[x]) & (v > b[x]) & (v > c[x]) & (v > d[x])
        peak = first & (v >= e[x]) & (v >= f[x]) & (v >= g[x]) & (v >= h[x])
        flags[x] = np.float32(peak)
        hits += flags[x]
    return hits


@njit(cache=True, nogil=True)
def vertices(
    values: Floats, peaks: tuple[Ints, Ints]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Tops of the parabolas through local maxima and their neighbours.

    Parameters
    ----------
    values : ndarray of float32, (ny, nx)
    peaks : (y, x)
        From `local_maxima`, ``(m,)``.

    Returns
    -------
    x, y, top : ndarray of float64, (m,)
        Pixels; value.
    """
    m = len(peaks[0])
    out = np.empty((3, m))
    for k in range(m):
        y, x = peaks[0][k], peaks[1][k]
        v = values[y, x]
        out[0, k], out[1, k], out[2, k] = x, y, v
        for axis in range(2):
            a = values[y, x - 1] if axis == 0 else values[y - 1, x]
            b = values[y, x + 1] if axis == 0 else values[y + 1, x]
            curve = 2 * v - a - b
            if curve > 0:
                step = min(max(0.5 * (b - a) / curve, -0.5), 0.5)
                out[axis, k] += step
                out[2, k] += 0.25 * (b - a) * step
    return out[0], out[1], out[2]


@njit(cache=True, nogil=True)
def standing_out(
    values: Floats, stars: tuple[NDArray[np.float64], NDArray[np.float64]], tops: Floats, neighbours: tuple[Ints, Ints]
) -> Floats:
    """How far each peak rises above the lowest point on the way to any brighter neighbour.

    Parameters
    ----------
    values : ndarray of float32, (ny, nx)
    stars : (x, y)
        Positions of peaks, ``(m,)``.
    tops : ndarray of float32, (m,)
        Their values.
    neighbours : (start, index)
        From `neighbours.neighbour_lists`.

    Returns
    -------
    ndarray of float32, (m,)
        The least over the neighbours; the top itself where there is none.
    """
    ny, nx = values.shape
    xs, ys = stars
    start, index = neighbours
    out = tops.copy()
    for i in range(len(xs)):
        for k in range(start[i], start[i + 1]):
            j = index[k]
            if tops[j] < tops[i] or (tops[j] == tops[i] and j > i):
                continue
            dx, dy = xs[j] - xs[i], ys[j] - ys[i]
            steps = max(int(np.ceil(np.hypot(dx, dy))), 1)
            lowest = tops[i]
            for s in range(1, steps):
                x, y = int(np.rint(xs[i] + dx * s / steps)), int(np.rint(ys[i] + dy * s / steps))
                v = values[min(max(y, 0), ny - 1), min(max(x, 0), nx - 1)]
                lowest = min(lowest, v)
                if v > tops[i]:
                    break
            out[i] = min(out[i], tops[i] - lowest)
    return out


@njit(cache=True, nogil=True)
def ring_levels(values: Floats, peaks: tuple[Ints, Ints], radius: float) -> Floats:
    """Lower quartile of an image on a ring of sixteen pixels about each place: what the place stands on, ``(m,)``.

    Parameters
    ----------
    values : ndarray of float32, (ny, nx)
    peaks : (y, x)
        Pixels, ``(m,)``.
    radius : float
        Pixels.
    """
    ny, nx = values.shape
    angle = np.arange(16) * (np.pi / 8)
    dx, dy = np.rint(radius * np.cos(angle)).astype(np.int64), np.rint(radius * np.sin(angle)).astype(np.int64)
    out = np.empty(len(peaks[0]), np.float32)
    for k in range(len(out)):
        # the five lowest so far, in order: each value goes up the line, without a branch to guess
        a = b = c = d = e = np.float32(np.inf)
        for i in range(16):
            v = values[min(max(peaks[0][k] + dy[i], 0), ny - 1), min(max(peaks[1][k] + dx[i], 0), nx - 1)]
            a, v = (v, a) if v < a else (a, v)
            b, v = (v, b) if v < b else (b, v)
            c, v = (v, c) if v < c else (c, v)
            d, v = (v, d) if v < d else (d, v)
            e = v if v < e else e
        out[k] = e
    return out
