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
def light_within(image: Floats, positions: tuple[Floats, Floats], radii: Floats, sky: Floats) -> Floats:
    """Light in soft-edged apertures of several radii, with the weights of `image_apertures`.

    Parameters
    ----------
    image : ndarray of float32, (ny, nx)
    positions : (x, y)
        pixels, ``(m,)``.
    radii : ndarray of float32, (k,)
        pixels, the last the largest.
    sky : ndarray of float32, (m,)
        Taken off each pixel.

    Returns
    -------
    ndarray of float32, (k, m)
    """
    ny, nx = image.shape
    xs, ys = positions
    out = np.zeros((len(radii), len(xs)), np.float32)
    one, zero, half = np.float32(1.0), np.float32(0.0), np.float32(0.5)
    reach = radii[-1] + half
    light, distance = np.empty(2 * int(reach) + 2, np.float32), np.empty(2 * int(reach) + 2, np.float32)
    for i in range(len(xs)):
        left, right = max(int(np.ceil(xs[i] - reach)), 0), min(int(np.floor(xs[i] + reach)), nx - 1)
        n = right - left + 1
        for y in range(max(int(np.ceil(ys[i] - reach)), 0), min(int(np.floor(ys[i] + reach)), ny - 1) + 1):
            dy = np.float32(y) - ys[i]
            row = image[y, left : right + 1]
            for x in range(n):
                dx = np.float32(left + x) - xs[i]
                distance[x] = np.sqrt(dx * dx + dy * dy)
                light[x] = row[x] - sky[i]
            for k in range(len(radii)):
                edge, total = radii[k] + half, zero
                if abs(dy) < edge:
                    for x in range(n):
                        total += min(max(edge - distance[x], zero), one) * light[x]
                    out[k, i] += total
    return out


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def mask_bits(mask: NDArray[np.uint8], positions: tuple[Floats, Floats], radius: float) -> NDArray[np.uint8]:
    """The bits of a mask that are met within a radius (pixels) of each position, ``(m,)``."""
    ny, nx = mask.shape
    xs, ys = positions
    bits = np.zeros(len(xs), np.uint8)
    for i in range(len(xs)):
        left, right = max(int(np.ceil(xs[i] - radius)), 0), min(int(np.floor(xs[i] + radius)), nx - 1)
        met = np.uint8(0)
        for y in range(max(int(np.ceil(ys[i] - radius)), 0), min(int(np.floor(ys[i] + radius)), ny - 1) + 1):
            for x in range(left, right + 1):
                met |= mask[y, x]
        bits[i] = met
    return bits


BLOCK = 4  #: pixels along x and y that an annulus takes or leaves together


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy", forceinline=True)
def _blocks(image, masked, level):  # type: ignore[no-untyped-def]
    """Sum above a level and number of the unmasked pixels of each block."""
    gy, gx = image.shape[0] // BLOCK, image.shape[1] // BLOCK
    total, count = np.zeros((gy, gx), np.float32), np.zeros((gy, gx), np.float32)
    free, light = np.empty(gx * BLOCK, np.float32), np.empty(gx * BLOCK, np.float32)
    for j in range(gy):
        for y in range(j * BLOCK, (j + 1) * BLOCK):
            row, hidden = image[y], masked[y]
            for x in range(gx * BLOCK):
                free[x] = np.float32(np.uint8(1) - np.uint8(hidden[x]))
                light[x] = free[x] * (row[x] - level)
            for i in range(gx):
                k = i * BLOCK
                total[j, i] += (light[k] + light[k + 1]) + (light[k + 2] + light[k + 3])
                count[j, i] += (free[k] + free[k + 1]) + (free[k + 2] + free[k + 3])
    return total, count


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
        Where fewer than 30 pixels are left.

    Returns
    -------
    ndarray of float32, (m,)

    Notes
    -----
    The annulus is made of blocks of 4 x 4 pixels whose middle lies in it: their sums are made once, and two thousand
    stars need a sixteenth of the work.
    """
    xs, ys = positions
    out = default.copy()
    if len(xs) == 0:
        return out
    level = np.float32(default.mean())
    total, count = _blocks(image, masked, level)
    gy, gx = total.shape
    inner2, outer2 = (radii[0] / BLOCK) ** 2, (radii[1] / BLOCK) ** 2
    reach = radii[1] / BLOCK
    for i in range(len(xs)):
        xc, yc = (xs[i] + 0.5) / BLOCK - 0.5, (ys[i] + 0.5) / BLOCK - 0.5
        light, n = 0.0, 0.0
        for j in range(max(int(np.ceil(yc - reach)), 0), min(int(np.floor(yc + reach)), gy - 1) + 1):
            dy2 = (j - yc) ** 2
            half = np.sqrt(max(outer2 - dy2, 0.0))
            for k in range(max(int(np.ceil(xc - half)), 0), min(int(np.floor(xc + half)), gx - 1) + 1):
                if (k - xc) ** 2 + dy2 >= inner2:
                    light += total[j, k]
                    n += count[j, k]
        if n >= 30:
            out[i] = level + np.float32(light / n)
    return out
