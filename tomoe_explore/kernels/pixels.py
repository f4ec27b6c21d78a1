"""Which pixels are bad and which saturated, listed row by row."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tomoe_explore.kernels.background import FAST

Rows = tuple[NDArray[np.int64], NDArray[np.int64]]  #: ``start, x``: row y holds ``x[start[y] : start[y + 1]]``

BLOCK = 128  #: pixels of a row that are passed over together where all are good: shorter loops are no vector code


@njit(cache=True, nogil=True)
def bad_and_saturated(image: NDArray[np.float32], mask: NDArray[np.uint8], bits: tuple[int, int]) -> tuple[Rows, Rows]:
    """Bad pixels, and saturated ones that are not bad.

    Parameters
    ----------
    image : ndarray of float32, (ny, nx)
        A value that is not finite is bad.
    mask : ndarray of uint8, (ny, nx)
    bits : (bad, saturated)
        Of the mask.

    Returns
    -------
    bad, saturated : (start, x)
        The columns of row ``y`` are ``x[start[y] : start[y + 1]]``.
    """
    ny, nx = image.shape
    starts, n = np.zeros((2, ny + 1), np.int64), np.zeros(2, np.int64)
    columns = np.empty((2, 1024), np.int64)
    for y in range(ny):
        finite = _all_finite(image[y])
        for begin in range(0, nx, BLOCK):
            end = min(begin + BLOCK, nx)
            if finite and not _any(mask[y, begin:end]):
                continue
            if n.max() + BLOCK > columns.shape[1]:
                longer = np.empty((2, 2 * columns.shape[1]), np.int64)
                longer[:, : columns.shape[1]] = columns
                columns = longer
            for x in range(begin, end):
                if finite and mask[y, x] == 0:
                    continue
                bad = (mask[y, x] & bits[0]) != 0 or not np.isfinite(image[y, x])
                if bad or (mask[y, x] & bits[1]) != 0:
                    kind = 0 if bad else 1
                    columns[kind, n[kind]] = x
                    n[kind] += 1
        starts[:, y + 1] = n
    return (starts[0], columns[0, : n[0]].copy()), (starts[1], columns[1, : n[1]].copy())


@njit(cache=True, nogil=True, fastmath=FAST, forceinline=True)
def _any(mask):  # type: ignore[no-untyped-def]
    flags = np.uint8(0)
    for x in range(len(mask)):
        flags |= mask[x]
    return flags != 0


@njit(cache=True, nogil=True, fastmath=FAST, forceinline=True)
def _all_finite(row):  # type: ignore[no-untyped-def]
    total = np.float32(0.0)
    for x in range(len(row)):
        total += row[x] * np.float32(0.0)  # not zero for what is not finite
    return total == 0


def listed(rows: Rows) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row and column of each listed pixel, ``(n,)`` each."""
    return np.repeat(np.arange(len(rows[0]) - 1), np.diff(rows[0])), rows[1]
