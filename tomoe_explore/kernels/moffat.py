"""A round Moffat star image, and what a Gaussian window sees of it.

``P(r) = (beta - 1) / (pi alpha^2) * (1 + r^2 / alpha^2)^-beta`` with ``alpha = fwhm / (2 sqrt(2^(1 / beta) - 1))``:
all its light is 1 (Moffat 1969, A&A 3, 455).
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Psf = tuple[NDArray[np.float32], float, float, float, float]  #: table, its steps a pixel^2, peak, alpha^2, beta

END = 16.0  #: of the table, FWHM
WIDE, WIDE_EDGE = 2.5, 5.0  #: a wide window and where it ends, in sigma of the window that fits best


@njit(cache=True, nogil=True)
def moffat(fwhm: float, beta: float) -> Psf:
    """The image as `light` takes it: a table in steps that linear interpolation does not see.

    Parameters
    ----------
    fwhm : float
        Pixels.
    beta : float
    """
    alpha2 = fwhm**2 / (4 * (2 ** (1 / beta) - 1))
    peak = (beta - 1) / (np.pi * alpha2)
    per_px2 = 32.0 / alpha2
    r2 = np.arange(int((END * fwhm) ** 2 * per_px2) + 2) / per_px2
    return (peak * (1 + r2 / alpha2) ** -beta).astype(np.float32), np.float32(per_px2), peak, alpha2, beta  # type: ignore[return-value]


@njit(cache=True, nogil=True)
def reaches(psf: Psf, flux: NDArray[np.float64], level: float) -> NDArray[np.float64]:
    """Distances, pixels, at which stars' light falls to a level a pixel; 0 where it is nowhere so bright, ``(m,)``."""
    _, _, peak, alpha2, beta = psf
    out = np.zeros(len(flux))
    for i in range(len(flux)):
        if flux[i] * peak > level:
            out[i] = np.sqrt(alpha2 * ((flux[i] * peak / level) ** (1 / beta) - 1))
    return out


@njit(inline="always")
def light(table, per_px2, r2):  # type: ignore[no-untyped-def]
    """Light a pixel at a squared distance (pixels^2) from a star of light 1; beyond `END` as there.

    ``table, per_px2`` are the first two of what `moffat` gives.
    """
    f = r2 * per_px2
    i = min(np.int32(f), np.int32(len(table) - 2))
    return table[i] + min(f - np.float32(i), np.float32(1.0)) * (table[i + 1] - table[i])


@njit(inline="always")
def light_and_slope(table, per_px2, r2):  # type: ignore[no-untyped-def]
    """As `light`, and how it changes with the squared distance; 0 beyond `END`."""
    f = r2 * per_px2
    i = min(np.int32(f), np.int32(len(table) - 3))
    part, step = f - np.float32(i), table[i + 1] - table[i]
    if part > np.float32(2.0):
        return table[i + 2], np.float32(0.0)
    bend = table[i + 2] - table[i + 1] - step
    return table[i] + part * step, (step + (part - np.float32(0.5)) * bend) * per_px2


@njit(cache=True, nogil=True)
def add_images(
    image: NDArray[np.float32],
    stars: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]],
    psf: Psf,
) -> None:
    """Add the images of stars, in place.

    Parameters
    ----------
    image : ndarray of float32, (ny, nx)
    stars : (x, y, flux, reach)
        ``(m,)``; pixels, all light, and the distance at which an image ends, pixels.
    psf : Psf
    """
    ny, nx = image.shape
    x, y, flux, reach = stars
    table, per_px2 = psf[0], psf[1]
    for k in range(len(x)):
        r = reach[k]
        for j in range(max(int(np.ceil(y[k] - r)), 0), min(int(np.floor(y[k] + r)), ny - 1) + 1):
            half = np.sqrt(r * r - (j - y[k]) ** 2)
            for i in range(max(int(np.ceil(x[k] - half)), 0), min(int(np.floor(x[k] + half)), nx - 1) + 1):
                r2 = (i - x[k]) ** 2 + (j - y[k]) ** 2
                image[j, i] += np.float32(flux[k]) * light(table, per_px2, np.float32(r2))


@njit(cache=True, nogil=True)
def through_gaussian(beta: float) -> tuple[float, float, float]:
    """What the Gaussian that fits a Moffat image best has to do with it.

    Returns
    -------
    width : float
        FWHM of the image over that of the Gaussian. The Gaussian is that of the adaptive moments, which is also the
        one whose matched filter gives the best signal to noise (99.6 per cent of the image's own for beta = 3).
    share : float
        Light of the image under the Gaussian, whose peak is 1, over all light.
    growth : float
        Light under a Gaussian `WIDE` times as wide, cut at `WIDE_EDGE`, over that under the first: it tells beta.

    Examples
    --------
    >>> [round(v, 3) for v in through_gaussian(3.5)]
    [0.902, 0.448, 1.805]
    """
    r = (np.arange(4000) + 0.5) * 0.01  # in FWHM
    p = (1 + 4 * (2 ** (1 / beta) - 1) * r**2) ** -beta * r
    sigma2 = 0.18
    for _ in range(60):
        w = np.exp(-0.5 * r**2 / sigma2) * p
        sigma2 = (w * r**2).sum() / w.sum()  # twice the variance along one axis
    narrow = (np.exp(-0.5 * r**2 / sigma2) * p).sum()
    wide = (np.exp(-0.5 * r**2 / sigma2 / WIDE**2) * p)[r < WIDE_EDGE * np.sqrt(sigma2)].sum()
    alpha2 = 1 / (4 * (2 ** (1 / beta) - 1))
    total = alpha2 / (2 * (beta - 1)) / 0.01
    return 1 / np.sqrt(8 * np.log(2) * sigma2), narrow / total, wide / narrow


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def fit_growth(radii: NDArray[np.float64], ratio: NDArray[np.float64], fwhm: float) -> tuple[float, float]:
    """Alpha and beta of the image whose curve of growth is nearest: on a grid, then on finer ones.

    Parameters
    ----------
    radii : ndarray of float64, (k,)
        Pixels.
    ratio : ndarray of float64, (k,)
        Light within each radius over that within the first.
    fwhm : float
        First guess, pixels.
    """
    best_width, best_beta = 1.0, 3.5
    curve = np.empty(len(radii))
    widths, betas = np.linspace(0.65, 1.35, 25), 3.5 * np.linspace(0.55, 1.7, 25)
    for level in range(15):
        if level > 0:  # narrower each time by a third, for width and beta go together along a valley
            near = 0.15 * 0.65**level * np.linspace(-1, 1, 7)
            widths, betas = best_width * (1 + near), np.maximum(best_beta * (1 + near), 1.6)
        least = np.inf
        for width in widths:
            for beta in betas:
                per_alpha2 = 4 * (2 ** (1 / beta) - 1) / (width * fwhm) ** 2
                for k in range(len(radii)):
                    curve[k] = 1.0 - np.exp((1.0 - beta) * np.log(1.0 + radii[k] ** 2 * per_alpha2))
                cost = 0.0
                for k in range(len(radii)):
                    cost += (curve[k] / curve[0] - ratio[k]) ** 2
                if cost < least:
                    least, best_width, best_beta = cost, width, beta
    return best_width * fwhm / np.sqrt(4 * (2 ** (1 / best_beta) - 1)), best_beta
