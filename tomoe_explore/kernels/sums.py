"""Sum, largest value and scatter of every pixel over time, straight from the raw frames, in one pass.

Calibration commutes with summing: dark and flat are applied to these 2-D results, so that no calibrated film ever
exists in memory.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tomoe_explore.kernels.decode import decode


@njit(cache=True, nogil=True, fastmath=True)
def accumulate(
    frames: NDArray[Any],
    window: tuple[int, int],
    reference: NDArray[np.float32],
    total: NDArray[np.float32],
    peak: NDArray[np.float32],
    squares: NDArray[np.float32],
) -> None:
    """Add frames to running sums, in stored units.

    Parameters
    ----------
    frames : ndarray, (n, ny_raw, nx_raw)
        Raw frames; see the package for the two types.
    window : (x0, y0)
        First light-sensitive column and row.
    reference : ndarray of float32, (ny, nx)
        A typical frame. Sums are of differences to it, so that float32 loses nothing.
    total, peak, squares : ndarray of float32, (ny, nx)
        Sum, largest value and sum of squares of the differences; updated in place.

    Notes
    -----
    Differences of 16-bit integers are exact in float32, and so is their sum below 2**24: with noise of some tens
    of ADU over 360 frames it stays far below.
    """
    x0, y0 = window
    n = frames.shape[0]
    ny, nx = total.shape
    for y in range(ny):
        ref, tot, top, sq = reference[y], total[y], peak[y], squares[y]
        for f in range(n):
            row = frames[f, y + y0]
            for x in range(nx):
                d = np.float32(decode(row[x + x0])) - ref[x]
                tot[x] += d
                sq[x] += d * d
                top[x] = max(top[x], d)
