"""Which stars put light on which others."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]

BIN = 16  #: pixels


@njit(cache=True, nogil=True)
def neighbour_lists(x: Doubles, y: Doubles, reach: Doubles, shape: tuple[int, int]) -> tuple[Ints, Ints]:
    """For each star the others within whose reach it lies.

    Parameters
    ----------
    x, y : ndarray of float64, (m,)
        Pixels.
    reach : ndarray of float64, (m,)
        How far a star's light matters, pixels.
    shape : (ny, nx)

    Returns
    -------
    start, index : ndarray of int64
        The neighbours of star ``i`` are ``index[start[i] : start[i + 1]]``.
    """
    m = len(x)
    by, bx = shape[0] // BIN + 1, shape[1] // BIN + 1
    first, members = _bins(x, y, by, bx)
    sorted_x, sorted_y = x[members], y[members]
    rooms = np.empty((m, 4), np.int64)
    n_tests = 0
    for j in range(m):
        rooms[j, 0], rooms[j, 1] = _bin(y[j] - reach[j], by), _bin(y[j] + reach[j], by)
        rooms[j, 2], rooms[j, 3] = _bin(x[j] - reach[j], bx), _bin(x[j] + reach[j], bx)
        for row in range(rooms[j, 0], rooms[j, 1] + 1):
            n_tests += first[row * bx + rooms[j, 3] + 1] - first[row * bx + rooms[j, 2]]
    pairs = np.empty((n_tests + 1, 2), np.int32)
    start, n = np.zeros(m + 1, np.int64), 0
    for j in range(m):
        r2 = reach[j] * reach[j]
        for row in range(rooms[j, 0], rooms[j, 1] + 1):
            for k in range(first[row * bx + rooms[j, 2]], first[row * bx + rooms[j, 3] + 1]):
                i = members[k]
                near = (sorted_x[k] - x[j]) ** 2 + (sorted_y[k] - y[j]) ** 2 < r2 and i != j
                pairs[n, 0], pairs[n, 1] = i, j  # the next one overwrites it unless it counts: no branch to mispredict
                start[i + 1] += near
                n += near
    start = np.cumsum(start)
    used, index = start[:-1].copy(), np.empty(n, np.int64)
    for k in range(n):
        i = pairs[k, 0]
        index[used[i]] = pairs[k, 1]
        used[i] += 1
    return start, index


@njit(inline="always")
def _bin(coordinate, n):  # type: ignore[no-untyped-def]
    return min(max(int(coordinate * (1.0 / BIN)), 0), n - 1)


@njit(cache=True, nogil=True)
def _bins(x, y, by, bx):  # type: ignore[no-untyped-def]
    """Stars sorted into square bins: where each bin begins, and its stars."""
    m = len(x)
    where = np.empty(m, np.int64)
    first = np.zeros(by * bx + 1, np.int64)
    for i in range(m):
        where[i] = _bin(y[i], by) * bx + _bin(x[i], bx)
        first[where[i] + 1] += 1
    first = np.cumsum(first)
    used, members = first[:-1].copy(), np.empty(m, np.int64)
    for i in range(m):
        members[used[where[i]]] = i
        used[where[i]] += 1
    return first, members
