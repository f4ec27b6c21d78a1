"""Stars measured through Gaussian windows: width of the image, light, position and shape."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tomoe_explore.kernels.background import FAST
from tomoe_explore.kernels.moffat import WIDE, WIDE_EDGE, Psf, light

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]

SMALLEST, LARGEST = 0.4, 6.0  #: sigma of star images, pixels
SPIKE = 0.5  #: of the light of nine pixels
CONTRAST = 0.2  #: nothing between 2.5 and 5 sigma of a lone star is brighter than this part of its peak


@njit(cache=True, nogil=True)
def lone_widths(
    image: Floats, mask: NDArray[np.uint8], sky: tuple[Floats, Floats], peaks: tuple[Ints, Ints], limit: int
) -> tuple[Doubles, Doubles]:
    """Width and wings of bright stars that stand alone.

    Parameters
    ----------
    image : ndarray of float32, (ny, nx)
    mask : ndarray of uint8, (ny, nx)
        Not zero where a pixel is not to be used: stars with such a pixel are passed over.
    sky : (level, sigma)
        At each peak, ``(m,)``.
    peaks : (y, x)
        Brightest pixels, ``(m,)``.
    limit : int
        So many stars are enough.

    Returns
    -------
    sigma : ndarray of float64, (n,)
        Of the round Gaussian window that equals the image's own width through it, pixels; stars that are not alone,
        not whole, or sharper than any star are passed over.
    growth : ndarray of float64, (n,)
        As `moffat.through_gaussian` defines it.
    """
    n = 0
    sigma, growth = np.empty(limit), np.empty(limit)
    for k in range(len(peaks[0])):
        if n == limit:
            break
        if _is_spike(image, peaks[0][k], peaks[1][k], sky[0][k]):
            continue
        y, x, s = float(peaks[0][k]), float(peaks[1][k]), 1.3
        good = True
        for _ in range(8):
            total, mx, my, square, _ = _window(image, mask, (y, x, s, s), sky[0][k])
            if not total > 0:
                good = False
                break
            x, y, before = x + min(max(mx, -1.0), 1.0), y + min(max(my, -1.0), 1.0), s
            own = 1 / (1 / square - 1 / s**2) if 0 < square < 0.9 * s**2 else 4 * s**2
            s = np.sqrt(min(max(own, 0.25 * s**2), 4 * s**2))
            if s > LARGEST or abs(x - peaks[1][k]) > 2 or abs(y - peaks[0][k]) > 2:
                good = False
                break
            if abs(s - before) < 0.005 * s:
                break
        if not good or s < SMALLEST:
            continue
        total = _window(image, mask, (y, x, s, s), sky[0][k])[0]
        wide, _, _, _, brightest = _window(image, mask, (y, x, s, WIDE * s), sky[0][k])
        height = image[peaks[0][k], peaks[1][k]] - sky[0][k]
        if total > 0 and wide > 0 and brightest < max(CONTRAST * height, 4 * sky[1][k]):
            sigma[n], growth[n] = s, wide / total
            n += 1
    return sigma[:n], growth[:n]


@njit(cache=True, nogil=True)
def _is_spike(image, y, x, level):  # type: ignore[no-untyped-def]
    """Whether most of the light of nine pixels is in the middle one: no telescope does that."""
    total = 0.0
    for j in range(y - 1, y + 2):
        for i in range(x - 1, x + 2):
            total += image[j, i] - level
    return not (image[y, x] - level < SPIKE * total)


@njit(cache=True, nogil=True, fastmath=FAST, forceinline=True)
def _window(image, mask, window, level):  # type: ignore[no-untyped-def]
    """Light, mean offsets (doubled), variance along an axis, and the brightest pixel of the outskirts.

    Light is -1 if the window leaves the image or holds a masked pixel.
    """
    ny, nx = image.shape
    yc, xc, sigma, width = window
    edge = WIDE_EDGE * sigma if width > sigma else 3.5 * sigma
    reach = int(np.ceil(edge))
    yi, xi = int(np.rint(yc)), int(np.rint(xc))
    total, sx, sy, s2, brightest = 0.0, 0.0, 0.0, 0.0, -np.inf
    if yi < reach or xi < reach or yi + reach >= ny or xi + reach >= nx:
        return -1.0, 0.0, 0.0, 0.0, 0.0
    ex = np.empty(2 * reach + 1)
    for i in range(len(ex)):
        ex[i] = np.exp(-0.5 * ((xi - reach + i - xc) / width) ** 2)
    for y in range(yi - reach, yi + reach + 1):
        ey = np.exp(-0.5 * ((y - yc) / width) ** 2)
        for x in range(xi - reach, xi + reach + 1):
            u, v = x - xc, y - yc
            r2 = u * u + v * v
            if r2 > edge**2:
                continue
            if mask[y, x] != 0:
                return -1.0, 0.0, 0.0, 0.0, 0.0
            d = image[y, x] - level
            if r2 > (2.5 * sigma) ** 2:
                brightest = max(brightest, d)
            w = d * ex[x - xi + reach] * ey
            total += w
            sx += w * u
            sy += w * v
            s2 += w * r2
    if not total > 0:
        return -1.0, 0.0, 0.0, 0.0, 0.0
    return total, 2 * sx / total, 2 * sy / total, 0.5 * s2 / total, brightest


@njit(cache=True, nogil=True)
def filter_errors(variance: Floats, sigma: float, peaks: tuple[Ints, Ints]) -> Doubles:
    """Standard error of a Gaussian filter's amplitude at each peak, to some per cent, ``(m,)``.

    Parameters
    ----------
    variance : ndarray of float32, (ny, nx)
    sigma : float
        Of the filter, pixels.
    peaks : (y, x)
        Pixels, ``(m,)``.

    Notes
    -----
    ``sqrt(<var> / sum(k^2))``: the mean of the variance under the squared kernel by Gauss-Hermite quadrature, nine
    pixels in all.
    """
    ny, nx = variance.shape
    node = max(int(np.rint(np.sqrt(1.5) * sigma)), 1)
    squares = 0.0
    for i in range(-int(4 * sigma) - 1, int(4 * sigma) + 2):
        squares += np.exp(-((i / sigma) ** 2))
    out = np.empty(len(peaks[0]))
    for k in range(len(out)):
        total, weight = 0.0, 0.0
        for j in range(-1, 2):
            y = min(max(peaks[0][k] + j * node, 0), ny - 1)
            for i in range(-1, 2):
                v = variance[y, min(max(peaks[1][k] + i * node, 0), nx - 1)]
                if np.isfinite(v):
                    w = (2 / 3 if j == 0 else 1 / 6) * (2 / 3 if i == 0 else 1 / 6)
                    total += w * v
                    weight += w
        out[k] = np.sqrt(total / weight) / squares if weight > 0 else np.inf
    return out


@njit(cache=True, nogil=True, fastmath=FAST)
def wing_fluxes(
    image: Floats, mask: NDArray[np.uint8], level: Floats, stars: tuple[Doubles, Doubles, Doubles], psf: Psf
) -> Floats:
    """All light of saturated stars, from the pixels that are neither saturated nor bad.

    Parameters
    ----------
    image : ndarray of float32, (ny, nx)
    mask : ndarray of uint8, (ny, nx)
        Not zero where a pixel does not count.
    level : ndarray of float32, (m,)
        Sky at each star.
    stars : (x, y, radius)
        Pixels, ``(m,)`` each; the radius of the pixels used.
    psf : Psf

    Returns
    -------
    ndarray of float32, (m,)
        ``sum(P d) / sum(P^2)``; not below zero.
    """
    ny, nx = image.shape
    xs, ys, radius = stars
    out = np.zeros(len(xs), np.float32)
    for i in range(len(xs)):
        product, square = 0.0, 0.0
        r = radius[i]
        for y in range(max(int(ys[i] - r), 0), min(int(ys[i] + r) + 1, ny)):
            for x in range(max(int(xs[i] - r), 0), min(int(xs[i] + r) + 1, nx)):
                r2 = (x - xs[i]) ** 2 + (y - ys[i]) ** 2
                if mask[y, x] == 0 and r2 < r * r:
                    p = light(psf[0], psf[1], np.float32(r2))
                    product += p * (image[y, x] - level[i])
                    square += p * p
        out[i] = max(product / square, 0.0) if square > 0 else 0.0
    return out
