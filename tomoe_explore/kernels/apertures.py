"""Fluxes in soft-edged circular apertures, straight from the raw frames.

An aperture of radius r has the weight ``clip(r + 1/2 - d, 0, 1)`` at a pixel whose centre is at distance d: the edge
is a ramp one pixel wide, which follows the star's sub-pixel position smoothly and needs no geometry.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tomoe_explore.kernels.decode import decode

EDGE, BAD, SATURATED = 1, 2, 4  #: bits returned with every aperture


@njit(cache=True, nogil=True, fastmath=True)
def film_apertures(
    frames: NDArray[Any],
    packing: tuple[int, int, float, float],
    calibration: tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]],
    positions: tuple[NDArray[np.float32], NDArray[np.float32]],
    shifts: tuple[NDArray[np.float32], NDArray[np.float32]],
    limits: tuple[float, float],
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.uint8]]:
    """Sums over apertures in every frame, dark subtracted and flat-fielded, sky still in.

    Parameters
    ----------
    frames : ndarray, (n, ny_raw, nx_raw)
        Raw frames.
    packing : (x0, y0, bscale, bzero)
        First light-sensitive column and row; ADU = bzero + bscale * stored.
    calibration : (dark, flat, bad)
        ``(ny, nx)``: dark in ADU, flat about 1, pixels not to be used.
    positions : (x, y)
        Source positions, pixels, ``(m,)``.
    shifts : (dx, dy)
        Of each frame, pixels, ``(n,)``.
    limits : (radius, saturation)
        Aperture radius, pixels; ADU, dark included, from which a pixel is saturated.

    Returns
    -------
    flux : ndarray of float32, (m, n)
        Weighted sum, ADU.
    area : ndarray of float32, (m, n)
        Sum of weights, pixels.
    bits : ndarray of uint8, (m, n)
        EDGE, BAD, SATURATED.

    Notes
    -----
    A bad pixel takes the mean of its good neighbours in the row.
    """
    x0, y0, bscale, bzero = packing
    radius, saturation = limits
    dark, flat, bad = calibration
    ny, nx = dark.shape
    xs, ys = positions
    m, n = len(xs), frames.shape[0]
    flux = np.zeros((m, n), np.float32)
    area = np.zeros((m, n), np.float32)
    bits = np.zeros((m, n), np.uint8)
    reach = radius + 0.5
    for i in range(m):
        for f in range(n):
            xc, yc = xs[i] + shifts[0][f], ys[i] + shifts[1][f]
            left, right = int(np.ceil(xc - reach)), int(np.floor(xc + reach))
            low, high = int(np.ceil(yc - reach)), int(np.floor(yc + reach))
            if left < 0 or low < 0 or right >= nx or high >= ny:
                bits[i, f] |= EDGE
                left, low, right, high = max(left, 0), max(low, 0), min(right, nx - 1), min(high, ny - 1)
            total, weights = 0.0, 0.0
            for y in range(low, high + 1):
                row = frames[f, y + y0]
                for x in range(left, right + 1):
                    weight = reach - np.sqrt((x - xc) ** 2 + (y - yc) ** 2)
                    if weight <= 0.0:
                        continue
                    weight = min(weight, 1.0)
                    value = bzero + bscale * decode(row[x + x0])
                    if value >= saturation:
                        bits[i, f] |= SATURATED
                    if bad[y, x]:
                        bits[i, f] |= BAD
                        value = _neighbours(row, packing, calibration, y, x)
                    else:
                        value = (value - dark[y, x]) / flat[y, x]
                    total += weight * value
                    weights += weight
            flux[i, f] = total
            area[i, f] = weights
    return flux, area, bits


@njit(cache=True, nogil=True, fastmath=True)
def _neighbours(row, packing, calibration, y, x):  # type: ignore[no-untyped-def]
    x0, _, bscale, bzero = packing
    dark, flat, bad = calibration
    total, count = 0.0, 0
    for k in (x - 1, x + 1):
        if 0 <= k < dark.shape[1] and not bad[y, k]:
            total += (bzero + bscale * decode(row[k + x0]) - dark[y, k]) / flat[y, k]
            count += 1
    return total / count if count else 0.0


@njit(cache=True, nogil=True, fastmath=True)
def image_apertures(
    image: NDArray[np.float32],
    variance: NDArray[np.float32],
    positions: tuple[NDArray[np.float32], NDArray[np.float32]],
    radius: float,
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Weighted sums of an image and of its variance in the same apertures.

    Parameters
    ----------
    image, variance : ndarray of float32, (ny, nx)
    positions : (x, y)
        pixels, ``(m,)``.
    radius : float
        Aperture radius, pixels.

    Returns
    -------
    flux, flux_variance, area : ndarray of float32, (m,)
        ``sum(w * image)``, ``sum(w**2 * variance)``, ``sum(w)``.
    """
    ny, nx = image.shape
    xs, ys = positions
    m = len(xs)
    flux = np.zeros(m, np.float32)
    flux_variance = np.zeros(m, np.float32)
    area = np.zeros(m, np.float32)
    reach = radius + 0.5
    for i in range(m):
        for y in range(max(int(np.ceil(ys[i] - reach)), 0), min(int(np.floor(ys[i] + reach)), ny - 1) + 1):
            for x in range(max(int(np.ceil(xs[i] - reach)), 0), min(int(np.floor(xs[i] + reach)), nx - 1) + 1):
                weight = reach - np.sqrt((x - xs[i]) ** 2 + (y - ys[i]) ** 2)
                if weight > 0.0:
                    weight = min(weight, 1.0)
                    flux[i] += weight * image[y, x]
                    flux_variance[i] += weight * weight * variance[y, x]
                    area[i] += weight
    return flux, flux_variance, area


@njit(cache=True, nogil=True)
def annulus_means(
    image: NDArray[np.float32],
    masked: NDArray[np.bool_],
    positions: tuple[NDArray[np.float32], NDArray[np.float32]],
    radii: tuple[float, float],
    default: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Mean of the unmasked pixels in an annulus about each position: the local sky.

    The mean, not the mode or median: the noise of few photons is skewed, and only the mean is unbiased.

    Parameters
    ----------
    image : ndarray of float32, (ny, nx)
    masked : ndarray of bool, (ny, nx)
        Pixels that hold stars or are bad.
    positions : (x, y)
        pixels, ``(m,)``.
    radii : (inner, outer)
        pixels.
    default : ndarray of float32, (m,)
        Where fewer than 30 pixels are left.

    Returns
    -------
    ndarray of float32, (m,)
    """
    ny, nx = image.shape
    xs, ys = positions
    inner2, outer2 = radii[0] ** 2, radii[1] ** 2
    out = default.copy()
    for i in range(len(xs)):
        total, count = 0.0, 0
        for y in range(max(int(ys[i] - radii[1]), 0), min(int(ys[i] + radii[1]) + 1, ny - 1) + 1):
            for x in range(max(int(xs[i] - radii[1]), 0), min(int(xs[i] + radii[1]) + 1, nx - 1) + 1):
                d2 = (x - xs[i]) ** 2 + (y - ys[i]) ** 2
                if inner2 <= d2 <= outer2 and not masked[y, x]:
                    total += image[y, x]
                    count += 1
        if count >= 30:
            out[i] = total / count
    return out
