"""Which pixels are bad and which saturated: as an image, and as lists row by row."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tomoe_explore.kernels.background import FAST

Rows = tuple[NDArray[np.int64], NDArray[np.int64]]  #: ``start, x``: row y holds ``x[start[y] : start[y + 1]]``

BLOCK = 64  #: pixels of a row that are passed over together where all are good


@njit(cache=True, nogil=True)
def bad_and_saturated(
    image: NDArray[np.float32], mask: NDArray[np.uint8], bits: tuple[int, int]
) -> tuple[NDArray[np.bool_], Rows, Rows]:
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
    bad : ndarray of bool, (ny, nx)
    bad_rows, saturated_rows : (start, x)
        The columns of row ``y`` are ``x[start[y] : start[y + 1]]``.
    """
    ny, nx = image.shape
    bad = np.zeros((ny, nx), np.bool_)
    starts, n = np.zeros((2, ny + 1), np.int64), np.zeros(2, np.int64)
    columns = np.empty((2, 1024), np.int64)
    for y in range(ny):
        for begin in range(0, nx, BLOCK):
            end = min(begin + BLOCK, nx)
            if _all_good(image[y, begin:end], mask[y, begin:end]):
                continue
            if n.max() + BLOCK > columns.shape[1]:
                longer = np.empty((2, 2 * columns.shape[1]), np.int64)
                longer[:, : columns.shape[1]] = columns
                columns = longer
            for x in range(begin, end):
                bad[y, x] = (mask[y, x] & bits[0]) != 0 or not np.isfinite(image[y, x])
                kind = 0 if bad[y, x] else 1
                if kind == 0 or (mask[y, x] & bits[1]) != 0:
                    columns[kind, n[kind]] = x
                    n[kind] += 1
        starts[:, y + 1] = n
    return bad, (starts[0], columns[0, : n[0]].copy()), (starts[1], columns[1, : n[1]].copy())


@njit(cache=True, nogil=True, fastmath=FAST)
def _all_good(image, mask):  # type: ignore[no-untyped-def]
    flags, finite = np.uint8(0), np.float32(0.0)
    for x in range(len(mask)):
        flags |= mask[x]
        finite += np.float32(abs(image[x]) < np.float32(np.inf))
    return flags == 0 and finite == len(mask)
