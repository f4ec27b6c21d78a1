"""Windowed centroids of stars in every frame, straight from the raw frames."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tomoe_explore.kernels.decode import decode


@njit(cache=True, nogil=True, fastmath=True)
def film_centroids(
    frames: NDArray[Any],
    packing: tuple[int, int, float, float],
    calibration: tuple[NDArray[np.float32], NDArray[np.float32]],
    positions: tuple[NDArray[np.float32], NDArray[np.float32]],
    sky: NDArray[np.float32],
    sigma: float,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Positions of stars in each frame by a Gaussian-windowed centroid.

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

    Notes
    -----
    Fixed-point iteration ``c <- c + 2 * sum(w (r - c) I) / sum(w I)``, four times (Bertin, SExtractor's XWIN). The
    factor 2 makes it the maximum-likelihood position when window and star are the same Gaussian.
    """
    x0, y0, bscale, bzero = packing
    dark, flat = calibration
    ny, nx = dark.shape
    m, n = len(positions[0]), frames.shape[0]
    out_x = np.full((m, n), np.nan, np.float32)
    out_y = np.full((m, n), np.nan, np.float32)
    reach = int(np.ceil(3.0 * sigma))
    for i in range(m):
        xi, yi = int(np.rint(positions[0][i])), int(np.rint(positions[1][i]))
        if xi - reach < 0 or yi - reach < 0 or xi + reach >= nx or yi + reach >= ny:
            continue
        for f in range(n):
            xc, yc = positions[0][i], positions[1][i]
            good = True
            for _ in range(4):
                total, sum_x, sum_y = 0.0, 0.0, 0.0
                for y in range(yi - reach, yi + reach + 1):
                    row = frames[f, y + y0]
                    for x in range(xi - reach, xi + reach + 1):
                        value = (bzero + bscale * decode(row[x + x0]) - dark[y, x]) / flat[y, x] - sky[i]
                        weight = value * np.exp(-0.5 * ((x - xc) ** 2 + (y - yc) ** 2) / sigma**2)
                        total += weight
                        sum_x += weight * (x - xc)
                        sum_y += weight * (y - yc)
                if total <= 0.0:
                    good = False
                    break
                xc += 2.0 * sum_x / total
                yc += 2.0 * sum_y / total
                if abs(xc - xi) > reach or abs(yc - yi) > reach:
                    good = False
                    break
            if good:
                out_x[i, f], out_y[i, f] = xc, yc
    return out_x, out_y
