"""Windowed centroids and sizes of stars in every frame, straight from the raw frames."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tomoe_explore.kernels.decode import decode
from tomoe_explore.kernels.prefetch import prefetch

Floats = NDArray[np.float32]

STEPS = 3  #: of the fixed-point iteration
AHEAD = 2  #: frames by which pixels are fetched ahead


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy", forceinline=True)
def _window(center, reach, narrow, common, out):  # type: ignore[no-untyped-def]
    """A Gaussian about a centre but for a factor, which cancels in all that is sought: two exponentials, not many.

    ``common`` is that about the middle of the stamp.
    """
    step = np.float32(np.exp(-2.0 * narrow * center))
    back = np.float32(1.0) / step
    up, down = np.float32(1.0), np.float32(1.0)
    out[reach] = common[reach]
    for k in range(1, reach + 1):
        up, down = up * step, down * back
        out[reach + k], out[reach - k] = up * common[reach + k], down * common[reach - k]


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy", forceinline=True)
def _moments(stamp, across, down, place, light):  # type: ignore[no-untyped-def]
    """Sums of windowed light, of light times x and y, and times x^2 + y^2, from the middle; ``light`` is for work."""
    width = len(across)
    for j in range(width):
        for k in range(width):
            light[j * width + k] = stamp[j * width + k] * across[k] * down[j]
    x, y, square = place
    zero = np.float32(0.0)
    total, first_x, first_y, second = zero, zero, zero, zero
    for p in range(len(stamp)):
        total += light[p]
        first_x += light[p] * x[p]
        first_y += light[p] * y[p]
        second += light[p] * square[p]
    return np.float64(total), np.float64(first_x), np.float64(first_y), np.float64(second)


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy", forceinline=True)
def _cut(frames, f, corner, calibration, stamp):  # type: ignore[no-untyped-def]
    """A star's pixels in one frame, calibrated, sky off; those of a later frame are fetched."""
    left, low = corner
    factor, offset = calibration
    width = factor.shape[1]
    for j in range(width):
        prefetch(frames, f + AHEAD, low + j, left)
        prefetch(frames, f + AHEAD, low + j, left + width - 1)
        row = frames[f, low + j, left : left + width]
        for k in range(width):
            stamp[j * width + k] = np.float32(decode(row[k])) * factor[j, k] + offset[j, k]


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
    middle = np.arange(-reach, reach + 1).astype(np.float32)
    narrow = -0.5 / sigma**2
    common = np.exp(np.float32(narrow) * middle**2)
    px, py = np.empty(width**2, np.float32), np.empty(width**2, np.float32)
    factor, offset = np.empty((width, width), np.float32), np.empty((width, width), np.float32)
    stamp, light = np.empty(width**2, np.float32), np.empty(width**2, np.float32)
    across, down = np.empty(width, np.float32), np.empty(width, np.float32)
    for j in range(width):
        px[j * width : (j + 1) * width], py[j * width : (j + 1) * width] = middle, middle[j]
    place = px, py, px**2 + py**2
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
            _cut(frames, f, (left + x0, low + y0), (factor, offset), stamp)
            xc, yc, good, moment = positions[0][i] - xi, positions[1][i] - yi, True, 0.0
            for _ in range(STEPS):
                _window(xc, reach, narrow, common, across)
                _window(yc, reach, narrow, common, down)
                total, sum_x, sum_y, square = _moments(stamp, across, down, place, light)
                if total <= 0.0:
                    good = False
                    break
                dx, dy = sum_x / total - xc, sum_y / total - yc
                moment = 0.5 * (square / total - (sum_x / total) ** 2 - (sum_y / total) ** 2 + dx**2 + dy**2)
                xc, yc = xc + 2.0 * dx, yc + 2.0 * dy
                if abs(xc) > reach or abs(yc) > reach:
                    good = False
                    break
            if good:
                out_x[i, f], out_y[i, f], size[i, f] = xc + xi, yc + yi, moment
    return out_x, out_y, size
