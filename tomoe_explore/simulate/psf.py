"""How light falls on pixels: stars in stamps, moving things row by row as the shutter rolls.

The star image is an elliptical Moffat profile, ``I = (beta - 1) / (pi sqrt(det A)) (1 + r A^-1 r)^-beta``
(Moffat 1969, A&A 3, 455), normalised to 1 over the whole plane; ``A`` is a symmetric matrix, ``alpha^2`` times the unit
matrix where the image is round. It is integrated over a pixel: by Gauss-Legendre points near the centre of the star, by
the value and the Laplacian at the pixel's centre in the wings. Powers are looked up in a table (to 1e-4).
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from tomoe_explore.camera import ROW_TIME_S

_STEP_PX = 0.25  #: a moving source is laid down at points this far apart
_MOST_PX = 400.0  #: the largest stamp reaches this far
_TABLE_STEP, _TABLE_SIZE = 1.0 / 128.0, 60_000  #: of the table of the profile, in units of alpha
_SHAKE_PX = 2.0  #: how far shaking may carry a moving source from its track


def moffat_alpha(fwhm_px: float, beta: float) -> float:
    """Width parameter of a Moffat profile of a given full width at half maximum, px.

    Examples
    --------
    >>> round(moffat_alpha(3.0, 3.5), 3)
    3.205
    """
    return fwhm_px / (2.0 * math.sqrt(2.0 ** (1.0 / beta) - 1.0))


def shape_matrix(
    fwhm_px: ArrayLike,
    beta: float,
    shear: tuple[ArrayLike, ArrayLike] = (0.0, 0.0),
    blur: tuple[ArrayLike, ArrayLike, ArrayLike] = (0.0, 0.0, 0.0),
) -> NDArray[np.float64]:
    """The matrix ``A`` of star images as ``A_xx, A_xy, A_yy``, px2.

    Parameters
    ----------
    fwhm_px : array_like
        Geometric mean of the full widths at half maximum along the axes, without blur.
    beta : float
    shear : tuple of array_like
        ``ln(a / b)`` times cosine and sine of twice the angle from +x to the major axis.
    blur : tuple of array_like
        Covariance ``xx, xy, yy`` (px2) of motion during the exposure: it widens the profile as it would a Gaussian one,
        which is good to 1 % of the peak while the blur is small against the image.

    Returns
    -------
    ndarray
        ``(n, 3)``.

    Examples
    --------
    >>> shape_matrix([3.0], 3.5).round(3).tolist()
    [[10.273, 0.0, 10.273]]
    """
    alpha = np.asarray(fwhm_px, float) / (2.0 * math.sqrt(2.0 ** (1.0 / beta) - 1.0))
    one, two = np.asarray(shear[0], float), np.asarray(shear[1], float)
    size = np.hypot(one, two)
    along = np.where(size > 0, np.sinh(size) / np.where(size > 0, size, 1.0), 1.0)
    widen = 2.0 * math.log(2.0) / (2.0 ** (1.0 / beta) - 1.0)
    xx = alpha**2 * (np.cosh(size) + along * one) + widen * np.asarray(blur[0])
    xy = alpha**2 * along * two + widen * np.asarray(blur[1])
    yy = alpha**2 * (np.cosh(size) - along * one) + widen * np.asarray(blur[2])
    return np.stack(np.broadcast_arrays(xx, xy, yy), axis=-1)


def mean_fwhm(shape: NDArray[np.float64], beta: float) -> NDArray[np.float64]:
    """Geometric mean of the full widths at half maximum along the axes, px, of matrices ``(..., 3)``.

    Examples
    --------
    >>> mean_fwhm(shape_matrix(3.0, 3.5, (0.1, 0.05)), 3.5).round(6).tolist()
    3.0
    """
    det = shape[..., 0] * shape[..., 2] - shape[..., 1] ** 2
    return np.asarray(2.0 * math.sqrt(2.0 ** (1.0 / beta) - 1.0) * det**0.25)


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
def _form(dx: float, dy: float, a: float, b: float, c: float) -> float:
    return a * dx * dx + 2.0 * b * dx * dy + c * dy * dy


@njit(cache=True, fastmath=True)
def _table(beta: float, size: int) -> NDArray[np.float64]:
    """``(1 + s^2)^-beta`` at the first steps of s."""
    table = np.empty(size)
    for k in range(size):
        table[k] = (1.0 + (k * _TABLE_STEP) ** 2) ** -beta
    return table


@njit(cache=True, fastmath=True, inline="always")
def _looked_up(r2: float, table: NDArray[np.float64]) -> float:
    """``(1 + r2)^-beta``."""
    place = min(math.sqrt(r2) * (1.0 / _TABLE_STEP), _TABLE_SIZE - 2.0)
    low = int(place)
    return table[low] + (place - low) * (table[low + 1] - table[low])


@njit(cache=True, fastmath=True)
def _core(dx: float, dy: float, inverse: tuple[float, float, float], table: NDArray[np.float64]) -> float:
    """Unnormalised profile in a pixel near the centre: 2 x 2 points, 3 x 3 where the image is narrow."""
    a, b, c = inverse
    total = 0.0
    if a + c < 0.5:
        node = 0.28867513459481287
        for y in (dy - node, dy + node):
            for x in (dx - node, dx + node):
                total += _looked_up(_form(x, y, a, b, c), table)
        return 0.25 * total
    node = 0.3872983346207417
    for y, weight_y in ((dy - node, 5.0), (dy, 8.0), (dy + node, 5.0)):
        for x, weight_x in ((dx - node, 5.0), (dx, 8.0), (dx + node, 5.0)):
            total += weight_x * weight_y * _looked_up(_form(x, y, a, b, c), table)
    return total / 324.0


@njit(cache=True, fastmath=True, inline="always")
def _pixel(
    dx: float, dy: float, inverse: tuple[float, float, float], beta: float, core2: float, table: NDArray[np.float64]
) -> float:
    """Unnormalised profile in the pixel at an offset from the star; ``inverse`` is that of the matrix."""
    if dx * dx + dy * dy <= core2:
        return _core(dx, dy, inverse, table)
    a, b, c = inverse
    r2 = _form(dx, dy, a, b, c)
    q = 1.0 / (1.0 + r2)
    slope2 = (a * dx + b * dy) ** 2 + (b * dx + c * dy) ** 2
    laplacian = 2.0 * beta * q * (2.0 * (beta + 1.0) * slope2 * q - (a + c))
    return _looked_up(r2, table) * (1.0 + laplacian / 24.0)


@njit(cache=True, fastmath=True, inline="always")
def _prepared(xx: float, xy: float, yy: float, beta: float) -> tuple[tuple[float, float, float], float, float, float]:
    """Inverse of the matrix, norm of the profile, square of the core's radius, and alpha along the major axis."""
    det = xx * yy - xy * xy
    inverse = (yy / det, -xy / det, xx / det)
    wide2 = 0.5 * (xx + yy) + math.sqrt(0.25 * (xx - yy) ** 2 + xy * xy)
    fwhm = 2.0 * math.sqrt(wide2 * (2.0 ** (1.0 / beta) - 1.0))
    return inverse, (beta - 1.0) / (math.pi * math.sqrt(det)), (1.0 + 1.2 * fwhm) ** 2, math.sqrt(wide2)


@njit(cache=True, fastmath=True, inline="always")
def _radius(peak: float, alpha: float, beta: float, faintest: float) -> float:
    """Where the wings fall below ``faintest`` electrons a pixel, px; at least 3."""
    ratio = max(peak / faintest, 1.0) ** (1.0 / beta)
    return min(max(alpha * math.sqrt(ratio - 1.0), 3.0), _MOST_PX)


@njit(cache=True, fastmath=True)
def add_stars(
    image: NDArray[np.float32],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    electrons: NDArray[np.float64],
    shape: NDArray[np.float64],
    profile: tuple[float, float],
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
    shape : ndarray
        ``(n, 3)``, of each star, as `shape_matrix` gives it.
    profile : tuple
        Beta of the Moffat profile; where its wings fall below the second number, in electrons a pixel, they are cut
        off, and the rest is raised to hold all the light.
    """
    ny, nx = image.shape
    beta, faintest = profile
    table = _table(beta, _TABLE_SIZE)
    for k in range(x.size):
        inverse, norm, core2, alpha = _prepared(shape[k, 0], shape[k, 1], shape[k, 2], beta)
        light = electrons[k] * norm
        radius = _radius(light, alpha, beta, faintest)
        light /= 1.0 - (1.0 + (radius / alpha) ** 2) ** (1.0 - beta)  # the stamp holds what its wings would
        for j in range(max(0, math.ceil(y[k] - radius)), min(ny, math.floor(y[k] + radius) + 1)):
            dy = j - y[k]
            half = math.sqrt(max(radius * radius - dy * dy, 0.0))
            for i in range(max(0, math.ceil(x[k] - half)), min(nx, math.floor(x[k] + half) + 1)):
                image[j, i] += light * _pixel(i - x[k], dy, inverse, beta, core2, table)


@njit(cache=True, fastmath=True)
def add_trail(
    image: NDArray[np.float32],
    track: tuple[float, float, float, float],
    window: tuple[float, float, float],
    rate: float,
    profile: tuple[float, float, float, float, float],
    path: tuple[NDArray[np.float64], float, float],
) -> None:
    """Add a moving source to an image in place, each row exposed in its own time.

    Parameters
    ----------
    image : ndarray of float32
        ``(ny, nx)``, electrons.
    track : tuple
        ``x, y`` (px) when row 0 starts to be exposed, and the velocity (px/s).
    window : tuple
        Exposure of a row, s (row ``r`` starts ``r * ROW_TIME_S`` later than row 0); seconds after the start of row 0
        at which the source appears and vanishes.
    rate : float
        Electrons a second.
    profile : tuple
        ``A_xx, A_xy, A_yy`` and beta of the Moffat profile; wings below the last number, in electrons a pixel, are left
        out.
    path : tuple
        Shaking of the images: ``(2, n)`` px, the second of its first point, and its step in seconds.
    """
    ny, nx = image.shape
    x0, y0, vx, vy = track
    exptime, on, off = window
    xx, xy, yy, beta, faintest = profile
    shifts, path_start, path_step = path
    inverse, norm, core2, alpha = _prepared(xx, xy, yy, beta)
    speed = math.hypot(vx, vy)
    dwell = min(exptime, off - on, 2.0 * alpha / max(speed, 1e-9))
    radius = _radius(rate * dwell * norm, alpha, beta, faintest)
    narrow = math.sqrt(xx * yy - xy * xy) / alpha  # along the minor axis; a faint trail needs little of the table
    table = _table(beta, min(_TABLE_SIZE, int((radius + 2.0) / narrow / _TABLE_STEP) + 4))
    reach = radius + _SHAKE_PX
    for j in range(ny):
        start, stop = max(j * ROW_TIME_S, on), min(j * ROW_TIME_S + exptime, off)
        if abs(vy) > 1e-9:  # only while the source is near this row
            first, last = (j - reach - y0) / vy, (j + reach - y0) / vy
            start, stop = max(start, min(first, last)), min(stop, max(first, last))
        elif abs(j - y0) > reach:
            continue
        if stop <= start:
            continue
        n = max(math.ceil((stop - start) * speed / _STEP_PX), math.ceil((stop - start) / 0.02)) + 1
        step = (stop - start) / n
        for s in range(n):
            t = start + (s + 0.5) * step
            place = min(max((t - path_start) / path_step, 0.0), shifts.shape[1] - 2.0)
            low = int(place)
            part = place - low
            x = x0 + vx * t + shifts[0, low] * (1.0 - part) + shifts[0, low + 1] * part
            dy = j - (y0 + vy * t + shifts[1, low] * (1.0 - part) + shifts[1, low + 1] * part)
            half2 = radius * radius - dy * dy
            if half2 <= 0.0:
                continue
            half = math.sqrt(half2)
            for i in range(max(0, math.ceil(x - half)), min(nx, math.floor(x + half) + 1)):
                image[j, i] += rate * step * norm * _pixel(i - x, dy, inverse, beta, core2, table)


@njit(cache=True, fastmath=True)
def add_aureole(image: NDArray[np.float32], x: float, y: float, electrons: float, reach_px: float) -> None:
    """Add the far halo of a very bright star to an image in place.

    Parameters
    ----------
    image : ndarray of float32
        ``(ny, nx)``, electrons.
    x, y : float
        Centre, px.
    electrons : float
        In the halo, whose surface brightness falls as ``1 / (r^2 + 100 px2)`` out to ``reach_px``.
    reach_px : float
    """
    ny, nx = image.shape
    norm = electrons / (math.pi * math.log(1.0 + reach_px**2 / 100.0))
    for j in range(max(0, math.ceil(y - reach_px)), min(ny, math.floor(y + reach_px) + 1)):
        for i in range(max(0, math.ceil(x - reach_px)), min(nx, math.floor(x + reach_px) + 1)):
            r2 = (i - x) ** 2 + (j - y) ** 2
            if r2 <= reach_px * reach_px:
                image[j, i] += norm / (r2 + 100.0)
