"""How the sky of each frame differs from that of the stack, on a coarse grid of star-free pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tomoe_explore.kernels.decode import decode

Floats = NDArray[np.float32]


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy", forceinline=True)
def _sum_free(row, mean, free):  # type: ignore[no-untyped-def]
    total = np.float32(0.0)
    for x in range(len(mean)):
        total += (np.float32(decode(row[x])) - mean[x]) * free[x]
    return total


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def film_sky(
    frames: NDArray[Any],
    window: tuple[int, int],
    mean: Floats,
    masked: NDArray[np.bool_],
    grid: tuple[int, int],
    step: int,
) -> Floats:
    """Mean of (frame - mean frame) over unmasked pixels of each grid cell.

    Parameters
    ----------
    frames : ndarray, (n, ny_raw, nx_raw)
        Raw frames.
    window : (x0, y0)
        First light-sensitive column and row.
    mean : ndarray of float32, (ny, nx)
        Mean frame in stored units.
    masked : ndarray of bool, (n_rows, nx)
        Pixels left out of the rows that are read.
    grid : (n_cells_y, n_cells_x)
    step : int
        Only every ``step``-th row is read.

    Returns
    -------
    ndarray of float32, (n, n_cells_y, n_cells_x)
        Stored units; NaN where a cell has fewer than 50 pixels.
    """
    x0, y0 = window
    ny, nx = mean.shape
    n = frames.shape[0]
    gy, gx = grid
    total = np.zeros((n, gy, gx))
    count = np.zeros((gy, gx))
    free = np.empty(nx, np.float32)
    for y in range(0, ny, step):
        cy = y * gy // ny
        for x in range(nx):
            free[x] = np.float32(0.0) if masked[y // step, x] else np.float32(1.0)
        for cx in range(gx):
            left, right = cx * nx // gx, (cx + 1) * nx // gx
            count[cy, cx] += free[left:right].sum()
            for f in range(n):
                row = frames[f, y + y0, left + x0 : right + x0]
                total[f, cy, cx] += _sum_free(row, mean[y, left:right], free[left:right])
    sky = np.full((n, gy, gx), np.float32(np.nan))
    for cy in range(gy):
        for cx in range(gx):
            if count[cy, cx] >= 50:
                for f in range(n):
                    sky[f, cy, cx] = total[f, cy, cx] / count[cy, cx]
    return sky
