"""How light falls on pixels: stars in stamps, moving things row by row as the shutter rolls.

The star image is a round Moffat profile, ``I(r) = (beta - 1) / (pi alpha^2) (1 + r^2 / alpha^2)^-beta``
(Moffat 1969, A&A 3, 455), normalised to 1 over the whole plane. It is integrated over a pixel: by 2 x 2 Gauss-Legendre
points near the centre of the star, by the value and the Laplacian at the pixel's centre in the wings.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tomoe_explore.camera import ROW_TIME_S

_NODE = 0.5 / math.sqrt(3.0)
_STEP_PX = 0.25  #: a moving source is laid down at points this far apart


def moffat_alpha(fwhm_px: float, beta: float) -> float:
    """Width parameter of a Moffat profile of a given full width at half maximum, px.

    Examples
    --------
    >>> round(moffat_alpha(3.0, 3.5), 3)
    3.205
    """
    return fwhm_px / (2.0 * math.sqrt(2.0 ** (1.0 / beta) - 1.0))


def line_peak(fwhm_px: float, beta: float) -> float:
    """Peak across an endless trail of one electron a pixel of length: electrons a pixel.

    Notes
    -----
    The Moffat profile integrated along a line through its centre, ``(beta-1) G(beta-1/2) / (sqrt(pi) alpha G(beta))``.

    Examples
    --------
    >>> round(line_peak(3.0, 3.5), 3)
    0.265
    """
    alpha = moffat_alpha(fwhm_px, beta)
    return (beta - 1) * math.gamma(beta - 0.5) / (math.sqrt(math.pi) * alpha * math.gamma(beta))


@njit(cache=True, fastmath=True, inline="always")
def _pixel(dx: float, dy: float, inverse: float, beta: float, core2: float) -> float:
    """Unnormalised profile in the pixel at an offset from the star; ``inverse`` is 1 / alpha^2."""
    r2 = (dx * dx + dy * dy) * inverse
    if dx * dx + dy * dy > core2:
        q = 1.0 / (1.0 + r2)
        laplacian = 4.0 * beta * inverse * q * ((beta + 1.0) * r2 * q - 1.0)
        return q**beta * (1.0 + laplacian / 24.0)
    x0, x1 = (dx - _NODE) ** 2, (dx + _NODE) ** 2
    y0, y1 = (dy - _NODE) ** 2, (dy + _NODE) ** 2
    low = (1.0 + (x0 + y0) * inverse) ** -beta + (1.0 + (x1 + y0) * inverse) ** -beta
    high = (1.0 + (x0 + y1) * inverse) ** -beta + (1.0 + (x1 + y1) * inverse) ** -beta
    return 0.25 * (low + high)


@njit(cache=True, fastmath=True, inline="always")
def _radius(electrons: float, alpha: float, beta: float, faintest: float) -> float:
    """Where the wings fall below ``faintest`` electrons a pixel, px; at least 3, at most 400."""
    peak = electrons * (beta - 1.0) / (math.pi * alpha * alpha)
    ratio = max(peak / faintest, 1.0) ** (1.0 / beta)
    return min(max(alpha * math.sqrt(ratio - 1.0), 3.0), 400.0)


@njit(cache=True, fastmath=True)
def add_stars(
    image: NDArray[np.float32],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    electrons: NDArray[np.float64],
    profile: tuple[float, float, float],
) -> None:
    """Add stars to an image in place.

    Parameters
    ----------
    image : ndarray of float32
        ``(ny, nx)``, electrons.
    x, y : ndarray
        Centres, px.
    electrons : ndarray
        Of each star in the frame.
    profile : tuple
        Full width at half maximum (px) and beta of the Moffat profile; wings below the third number, in electrons
        a pixel, are left out.
    """
    ny, nx = image.shape
    fwhm, beta, faintest = profile
    alpha = fwhm / (2.0 * math.sqrt(2.0 ** (1.0 / beta) - 1.0))
    inverse, norm, core2 = 1.0 / alpha**2, (beta - 1.0) / (math.pi * alpha**2), (1.0 + 1.2 * fwhm) ** 2
    for k in range(x.size):
        radius = _radius(electrons[k], alpha, beta, faintest)
        for j in range(max(0, math.ceil(y[k] - radius)), min(ny, math.floor(y[k] + radius) + 1)):
            dy = j - y[k]
            half = math.sqrt(max(radius * radius - dy * dy, 0.0))
            for i in range(max(0, math.ceil(x[k] - half)), min(nx, math.floor(x[k] + half) + 1)):
                image[j, i] += electrons[k] * norm * _pixel(i - x[k], dy, inverse, beta, core2)


@njit(cache=True, fastmath=True)
def add_trail(
    image: NDArray[np.float32],
    track: tuple[float, float, float, float],
    on: tuple[float, float],
    exptime_s: float,
    rate: float,
    profile: tuple[float, float, float],
) -> None:
    """Add a moving source to an image in place, each row exposed in its own time.

    Parameters
    ----------
    image : ndarray of float32
        ``(ny, nx)``, electrons.
    track : tuple
        ``x, y`` (px) when row 0 starts to be exposed, and the velocity (px/s).
    on : tuple
        Seconds after that moment at which the source appears and vanishes.
    exptime_s : float
        Exposure of a row, s; row ``r`` starts ``r * ROW_TIME_S`` later than row 0.
    rate : float
        Electrons a second.
    profile : tuple
        Full width at half maximum (px) and beta of the Moffat profile; wings below the third number, in electrons
        a pixel, are left out.
    """
    ny, nx = image.shape
    x0, y0, vx, vy = track
    fwhm, beta, faintest = profile
    alpha = fwhm / (2.0 * math.sqrt(2.0 ** (1.0 / beta) - 1.0))
    inverse, norm, core2 = 1.0 / alpha**2, (beta - 1.0) / (math.pi * alpha**2), (1.0 + 1.2 * fwhm) ** 2
    speed = math.hypot(vx, vy)
    dwell = min(exptime_s, fwhm / max(speed, 1e-9))
    radius = _radius(rate * dwell, alpha, beta, faintest)
    for j in range(ny):
        start, stop = max(j * ROW_TIME_S, on[0]), min(j * ROW_TIME_S + exptime_s, on[1])
        if abs(vy) > 1e-9:  # only while the source is near this row
            first, last = (j - radius - y0) / vy, (j + radius - y0) / vy
            start, stop = max(start, min(first, last)), min(stop, max(first, last))
        elif abs(j - y0) > radius:
            continue
        if stop <= start:
            continue
        n = math.ceil((stop - start) * speed / _STEP_PX) + 1
        step = (stop - start) / n
        for s in range(n):
            t = start + (s + 0.5) * step
            x, dy = x0 + vx * t, j - (y0 + vy * t)
            half = math.sqrt(max(radius * radius - dy * dy, 0.0))
            for i in range(max(0, math.ceil(x - half)), min(nx, math.floor(x + half) + 1)):
                image[j, i] += rate * step * norm * _pixel(i - x, dy, inverse, beta, core2)
