"""Fluxes, masks and local sky of sources on a stack."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def image_apertures(
    image: Floats,
    variance: Floats,
    mask: NDArray[np.uint8],
    positions: tuple[Floats, Floats],
    radius: float,
) -> tuple[Floats, Floats, Floats, NDArray[np.uint8]]:
    """Sums of an image and of its variance in soft-edged apertures, and the bits of the mask met there.

    Parameters
    ----------
    image, variance : ndarray of float32, (ny, nx)
    mask : ndarray of uint8, (ny, nx)
    positions : (x, y)
        pixels, ``(m,)``.
    radius : float
        Aperture radius, pixels.

    Returns
    -------
    flux, flux_variance, area : ndarray of float32, (m,)
        ``sum(w * image)``, ``sum(w**2 * variance)``, ``sum(w)``, with the weights of `apertures`.
    bits : ndarray of uint8, (m,)
    """
    ny, nx = image.shape
    xs, ys = positions
    m = len(xs)
    flux, flux_variance = np.zeros(m, np.float32), np.zeros(m, np.float32)
    area, bits = np.zeros(m, np.float32), np.zeros(m, np.uint8)
    one, zero, reach = np.float32(1.0), np.float32(0.0), np.float32(radius + 0.5)
    for i in range(m):
        xc, yc = xs[i], ys[i]
        left, right = max(int(np.ceil(xc - reach)), 0), min(int(np.floor(xc + reach)), nx - 1)
        for y in range(max(int(np.ceil(yc - reach)), 0), min(int(np.floor(yc + reach)), ny - 1) + 1):
            dy2 = (np.float32(y) - yc) * (np.float32(y) - yc)
            total, noise, weights, met = zero, zero, zero, np.uint8(0)
            for x in range(left, right + 1):
                dx = np.float32(x) - xc
                weight = min(max(reach - np.sqrt(dx * dx + dy2), zero), one)
                total += weight * image[y, x]
                noise += weight * weight * variance[y, x]
                weights += weight
                met |= mask[y, x] if weight > zero else np.uint8(0)
            flux[i] += total
            flux_variance[i] += noise
            area[i] += weights
            bits[i] |= met
    return flux, flux_variance, area, bits


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def annulus_means(
    image: Floats,
    masked: NDArray[np.bool_],
    positions: tuple[Floats, Floats],
    radii: tuple[float, float],
    default: Floats,
) -> Floats:
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
        Where fewer than 30 pixels are left; also what is subtracted first, so that float32 loses nothing.

    Returns
    -------
    ndarray of float32, (m,)
    """
    ny, nx = image.shape
    xs, ys = positions
    inner2, outer2 = np.float32(radii[0] ** 2), np.float32(radii[1] ** 2)
    zero = np.float32(0.0)
    out = default.copy()
    for i in range(len(xs)):
        total, count = zero, zero
        xc, yc, level = xs[i], ys[i], default[i]
        for y in range(max(int(yc - radii[1]), 0), min(int(yc + radii[1]) + 1, ny - 1) + 1):
            dy2 = (np.float32(y) - yc) * (np.float32(y) - yc)
            half = np.sqrt(max(outer2 - dy2, zero))
            left, right = max(int(np.ceil(xc - half)), 0), min(int(np.floor(xc + half)), nx - 1)
            part = _row_mean(image[y, left : right + 1], masked[y, left : right + 1], level, xc - left, inner2 - dy2)
            total += part[0]
            count += part[1]
        if count >= 30:
            out[i] = level + total / count
    return out


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def _row_mean(row, masked, level, xc, inner2):  # type: ignore[no-untyped-def]
    zero = np.float32(0.0)
    total, count = zero, zero
    for k in range(len(row)):
        dx = np.float32(k) - np.float32(xc)
        free = np.float32(np.uint8(1) - np.uint8(masked[k]))
        use = free if dx * dx >= inner2 else zero
        total += use * (row[k] - level)
        count += use
    return total, count
