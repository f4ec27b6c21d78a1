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
    start = np.zeros(m + 1, np.int64)
    index = np.empty(0, np.int64)
    for fill in range(2):
        used = start[:-1].copy()
        for j in range(m):
            r = reach[j]
            for cy in range(max(int((y[j] - r) // BIN), 0), min(int((y[j] + r) // BIN) + 1, by)):
                for cx in range(max(int((x[j] - r) // BIN), 0), min(int((x[j] + r) // BIN) + 1, bx)):
                    for k in range(first[cy * bx + cx], first[cy * bx + cx + 1]):
                        i = members[k]
                        if i != j and (x[i] - x[j]) ** 2 + (y[i] - y[j]) ** 2 < r * r:
                            if fill:
                                index[used[i]] = j
                                used[i] += 1
                            else:
                                start[i + 1] += 1
        if not fill:
            start = np.cumsum(start)
            index = np.empty(start[m], np.int64)
    return start, index


@njit(cache=True, nogil=True)
def _bins(x, y, by, bx):  # type: ignore[no-untyped-def]
    """Stars sorted into square bins: where each bin begins, and its stars."""
    m = len(x)
    where = np.empty(m, np.int64)
    first = np.zeros(by * bx + 1, np.int64)
    for i in range(m):
        cy = min(max(int(y[i] // BIN), 0), by - 1)
        cx = min(max(int(x[i] // BIN), 0), bx - 1)
        where[i] = cy * bx + cx
        first[where[i] + 1] += 1
    first = np.cumsum(first)
    used, members = first[:-1].copy(), np.empty(m, np.int64)
    for i in range(m):
        members[used[where[i]]] = i
        used[where[i]] += 1
    return first, members
