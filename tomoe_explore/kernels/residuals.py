"""Points in single frames that the mean frame does not have."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tomoe_explore.kernels.decode import decode


@njit(cache=True, nogil=True, fastmath=True)
def residual_peaks(
    frames: NDArray[Any],
    window: tuple[int, int],
    mean: NDArray[np.float32],
    threshold: NDArray[np.float32],
    offsets: NDArray[np.float32],
    limit: int,
) -> tuple[NDArray[np.int16], NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Local maxima of the 3 x 3 sum of (frame - mean frame) above a threshold map.

    Parameters
    ----------
    frames : ndarray, (n, ny_raw, nx_raw)
        Raw frames.
    window : (x0, y0)
        First light-sensitive column and row.
    mean : ndarray of float32, (ny, nx)
        Mean frame in stored units.
    threshold : ndarray of float32, (ny, nx)
        For the 3 x 3 sum at each pixel, stored units; infinite where nothing is sought.
    offsets : ndarray of float32, (n,)
        Sky of each frame above that of the mean frame, stored units a pixel.
    limit : int
        At most this many peaks are returned from each frame; the search of a frame stops there.

    Returns
    -------
    frame : ndarray of int16, (k,)
    x, y : ndarray of float32, (k,)
        Centroid of the positive residual within the 5 x 5 pixels about the peak.
    ratio : ndarray of float32, (k,)
        Sum over threshold.
    """
    x0, y0 = window
    ny, nx = mean.shape
    n = frames.shape[0]
    out_f = np.empty(n * limit, np.int16)
    out_x = np.empty(n * limit, np.float32)
    out_y = np.empty(n * limit, np.float32)
    out_r = np.empty(n * limit, np.float32)
    residual = np.empty((ny, nx), np.float32)
    sums = np.zeros((ny, nx), np.float32)
    k = 0
    for f in range(n):
        offset = offsets[f]
        for y in range(ny):
            row, avg, out = frames[f, y + y0], mean[y], residual[y]
            for x in range(nx):
                out[x] = np.float32(decode(row[x + x0])) - avg[x] - offset
        for y in range(1, ny - 1):
            a, b, c, out = residual[y - 1], residual[y], residual[y + 1], sums[y]
            for x in range(1, nx - 1):
                out[x] = (a[x - 1] + a[x] + a[x + 1]) + (b[x - 1] + b[x] + b[x + 1]) + (c[x - 1] + c[x] + c[x + 1])
        found = 0
        for y in range(2, ny - 2):
            hits = 0
            for x in range(2, nx - 2):
                hits += sums[y, x] > threshold[y, x]
            if hits == 0:
                continue
            for x in range(2, nx - 2):
                value = sums[y, x]
                if value > threshold[y, x] and found < limit and _is_peak(sums, y, x):
                    out_f[k] = f
                    out_x[k], out_y[k] = _centroid(residual, y, x)
                    out_r[k] = value / threshold[y, x]
                    k += 1
                    found += 1
    return out_f[:k], out_x[:k], out_y[:k], out_r[:k]


@njit(cache=True, nogil=True)
def _is_peak(sums, y, x):  # type: ignore[no-untyped-def]
    value = sums[y, x]
    for j in range(-2, 3):
        for i in range(-2, 3):
            other = sums[y + j, x + i]
            if other > value or (other == value and (j, i) > (0, 0)):
                return False
    return True


@njit(cache=True, nogil=True)
def _centroid(residual, y, x):  # type: ignore[no-untyped-def]
    total, sum_x, sum_y = 0.0, 0.0, 0.0
    for j in range(-2, 3):
        for i in range(-2, 3):
            value = max(residual[y + j, x + i], 0.0)
            total += value
            sum_x += value * i
            sum_y += value * j
    return x + sum_x / total, y + sum_y / total
