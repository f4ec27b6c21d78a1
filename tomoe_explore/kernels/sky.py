"""How the sky of each frame differs from that of the stack, on a coarse grid of star-free pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tomoe_explore.kernels.decode import decode


@njit(cache=True, nogil=True, fastmath=True)
def film_sky(
    frames: NDArray[Any],
    window: tuple[int, int],
    mean: NDArray[np.float32],
    masked: NDArray[np.bool_],
    grid: tuple[int, int],
    step: int,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and variance of (frame - mean frame) over unmasked pixels of each grid cell.

    Parameters
    ----------
    frames : ndarray, (n, ny_raw, nx_raw)
        Raw frames.
    window : (x0, y0)
        First light-sensitive column and row.
    mean : ndarray of float32, (ny, nx)
        Mean frame in stored units.
    masked : ndarray of bool, (ny, nx)
        Pixels left out.
    grid : (n_cells_y, n_cells_x)
    step : int
        Only every ``step``-th row is read.

    Returns
    -------
    sky : ndarray of float32, (n, n_cells_y, n_cells_x)
        Stored units; NaN where a cell has fewer than 50 pixels.
    variance : ndarray of float32, same shape
        Of the pixels.
    """
    x0, y0 = window
    ny, nx = mean.shape
    n = frames.shape[0]
    gy, gx = grid
    total = np.zeros((n, gy, gx))
    squares = np.zeros((n, gy, gx))
    count = np.zeros((n, gy, gx), np.int64)
    for cy in range(gy):
        for cx in range(gx):
            left, right = cx * nx // gx, (cx + 1) * nx // gx
            for y in range(cy * ny // gy, (cy + 1) * ny // gy, step):
                for f in range(n):
                    row = frames[f, y + y0]
                    t, s, c = np.float32(0.0), np.float32(0.0), 0
                    for x in range(left, right):
                        use = np.float32(0.0) if masked[y, x] else np.float32(1.0)
                        d = (np.float32(decode(row[x + x0])) - mean[y, x]) * use
                        t += d
                        s += d * d
                        c += int(use)
                    total[f, cy, cx] += t
                    squares[f, cy, cx] += s
                    count[f, cy, cx] += c
    sky = np.full((n, gy, gx), np.nan, np.float32)
    variance = np.full((n, gy, gx), np.nan, np.float32)
    for f in range(n):
        for cy in range(gy):
            for cx in range(gx):
                c = count[f, cy, cx]
                if c >= 50:
                    average = total[f, cy, cx] / c
                    sky[f, cy, cx] = average
                    variance[f, cy, cx] = squares[f, cy, cx] / c - average * average
    return sky, variance
