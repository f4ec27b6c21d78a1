"""Windowed centroids and sizes of stars in every frame, straight from the raw frames."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tomoe_explore.kernels.decode import decode

Floats = NDArray[np.float32]

STEPS = 3  #: of the fixed-point iteration


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def _row_sums(row, factor, offset, across, dx):  # type: ignore[no-untyped-def]
    """Sums of light, light times dx and times dx^2 along a row, under a window."""
    zero = np.float32(0.0)
    total, first, second = zero, zero, zero
    for k in range(len(dx)):
        light = (np.float32(decode(row[k])) * factor[k] + offset[k]) * across[k]
        total += light
        first += light * dx[k]
        second += light * dx[k] * dx[k]
    return total, first, second


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def film_centroids(
    frames: NDArray[Any],
    packing: tuple[int, int, float, float],
    calibration: tuple[Floats, Floats],
    positions: tuple[Floats, Floats],
    sky: Floats,
    sigma: float,
) -> tuple[Floats, Floats, Floats]:
    """Positions of stars in each frame by a Gaussian-windowed centroid, and their sizes under that window.

    Parameters
    ----------
    frames, packing
        As in `apertures.film_apertures`.
    calibration : (dark, flat)
        ``(ny, nx)``.
    positions : (x, y)
        First guess, pixels, ``(m,)``.
    sky : ndarray of float32, (m,)
        Sky a pixel, ADU.
    sigma : float
        Of the window, pixels; best near that of the star image.

    Returns
    -------
    x, y : ndarray of float32, (m, n)
        NaN where the centroid leaves its stamp or the star gives no light.
    size : ndarray of float32, (m, n)
        Mean of the windowed second moments about the centroid along x and y, pixels^2.

    Notes
    -----
    Fixed-point iteration ``c <- c + 2 * sum(w (r - c) I) / sum(w I)`` (Bertin, SExtractor's XWIN). The factor 2 makes
    it the maximum-likelihood position when window and star are the same Gaussian.
    """
    x0, y0, bscale, bzero = packing
    dark, flat = calibration
    ny, nx = dark.shape
    m, n = len(positions[0]), frames.shape[0]
    nothing = np.float32(np.nan)
    out_x, out_y = np.full((m, n), nothing), np.full((m, n), nothing)
    size = np.full((m, n), nothing)
    reach = int(np.ceil(3.0 * sigma))
    width = 2 * reach + 1
    across, dx = np.empty(width, np.float32), np.empty(width, np.float32)
    factor, offset = np.empty((width, width), np.float32), np.empty((width, width), np.float32)
    narrow = -0.5 / sigma**2
    for i in range(m):
        xi, yi = int(np.rint(positions[0][i])), int(np.rint(positions[1][i]))
        left, low = xi - reach, yi - reach
        if left < 0 or low < 0 or xi + reach >= nx or yi + reach >= ny:
            continue
        for j in range(width):
            for k in range(width):
                factor[j, k] = bscale / flat[low + j, left + k]
                offset[j, k] = (bzero - dark[low + j, left + k]) / flat[low + j, left + k] - sky[i]
        for f in range(n):
            xc, yc, good, moment = positions[0][i] - left, positions[1][i] - low, True, 0.0
            for step in range(STEPS + 1):
                for k in range(width):
                    dx[k] = k - xc
                    across[k] = np.exp(narrow * (k - xc) ** 2)
                total, sum_x, sum_y, square = 0.0, 0.0, 0.0, 0.0
                for j in range(width):
                    down = np.exp(narrow * (j - yc) ** 2)
                    row = frames[f, low + j + y0, left + x0 : left + x0 + width]
                    light, first, second = _row_sums(row, factor[j], offset[j], across, dx)
                    total += down * light
                    sum_x += down * first
                    sum_y += down * light * (j - yc)
                    square += down * (second + light * (j - yc) ** 2)
                if total <= 0.0:
                    good = False
                    break
                moment = 0.5 * square / total
                if step < STEPS:
                    xc += 2.0 * sum_x / total
                    yc += 2.0 * sum_y / total
                if abs(xc - reach) > reach or abs(yc - reach) > reach:
                    good = False
                    break
            if good:
                out_x[i, f], out_y[i, f], size[i, f] = xc + left, yc + low, moment
    return out_x, out_y, size
