"""Pixels about a line in one raw frame, and sums over them that fit a trail: its line and its profiles."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tomoe_explore.kernels.decode import decode

Doubles = NDArray[np.float64]
Floats = NDArray[np.float32]

STEP = 0.125  #: px between values of a tabulated image
BINS_PX = 4  #: bins a pixel of the profile across

_RISE = 128  #: values of a blurred step that are tabulated


@njit(cache=True, nogil=True)
def strip(
    frame: NDArray[Any],
    packing: tuple[int, int, float, float],
    images: tuple[Floats, Floats, Floats, Floats, NDArray[np.bool_], NDArray[np.uint8]],
    numbers: tuple[float, float, float, float, float],
    line: tuple[float, float, float, float],
    limits: tuple[float, float, float],
) -> NDArray[np.float32]:
    """What pixels about a line have beyond stars and sky.

    Parameters
    ----------
    frame : ndarray, (ny_raw, nx_raw)
        Raw.
    packing : (x0, y0, bscale, bzero)
    images : (dark, flat, background, stack, stars, mask)
        ``(ny, nx)``: ADU; True in ``stars`` where the stack has stars; pixels with a ``mask`` are left out.
    numbers : (1 / gain, read-noise variance, error of stars' light, sky above that of the stack, light)
        ADU; ``light`` is that of stars over that in the stack.
    line : (x, y, ux, uy)
        A place on the line, pixels, and its direction, a unit vector.
    limits : (first, last, reach)
        Along the line from that place, and to either side, pixels.

    Returns
    -------
    ndarray of float32, (4, k)
        Along and across the line, px; ADU flat-fielded; its weight, 1 / variance.
    """
    x0, y0, bscale, bzero = packing
    dark, flat, background, stack, stars, mask = images
    inverse_gain, read_variance, star_error, sky, brightness = numbers
    px, py, ux, uy = line
    first, last, reach = limits
    ny, nx = dark.shape
    steep = abs(uy) > abs(ux)
    ends = (py + first * uy, py + last * uy) if steep else (px + first * ux, px + last * ux)
    low, high = max(int(min(ends[0], ends[1])), 0), min(int(max(ends[0], ends[1])) + 2, ny if steep else nx)
    half = math.ceil(reach / max(abs(ux), abs(uy)))
    out = np.empty((4, max(high - low, 0) * (2 * half + 1)), np.float32)
    k = 0
    for main in range(low, high):
        middle = round(px + (main - py) * ux / uy if steep else py + (main - px) * uy / ux)
        for other in range(max(middle - half, 0), min(middle + half + 1, nx if steep else ny)):
            x, y = (other, main) if steep else (main, other)
            if mask[y, x]:
                continue
            along, across = (x - px) * ux + (y - py) * uy, (y - py) * ux - (x - px) * uy
            if along < first or along > last or abs(across) > reach:
                continue
            level = background[y, x] + sky
            star = max(stack[y, x] - background[y, x], 0.0) if stars[y, x] else 0.0
            value = (bzero + bscale * decode(frame[y + y0, x + x0]) - dark[y, x]) / flat[y, x]
            out[0, k], out[1, k], out[2, k] = along, across, value - level - star * brightness
            noise = max(level + star, 1.0) * inverse_gain / flat[y, x] + read_variance / flat[y, x] ** 2
            out[3, k] = 1.0 / (noise + (star_error * star) ** 2)
            k += 1
    return out[:, :k]


@njit(cache=True, nogil=True)
def tabulated(alpha: float, beta: float, reach: float) -> tuple[Doubles, Doubles]:
    """The line through a Moffat image ``(1 + (d / alpha)^2)^(1/2 - beta)`` and its slope, every `STEP` px."""
    n = int(reach / STEP) + 3
    shape, slope = np.empty(n), np.empty(n)
    for k in range(n):
        u = k * STEP / alpha
        shape[k] = (1.0 + u * u) ** (0.5 - beta)
        slope[k] = (1.0 - 2.0 * beta) * u / alpha * (1.0 + u * u) ** (-0.5 - beta)
    return shape, slope


@njit(cache=True, nogil=True, inline="always")
def _across(across, along, off):  # type: ignore[no-untyped-def]
    return across - off[0] - off[1] * along


@njit(cache=True, nogil=True)
def normal_equations(
    pixels: NDArray[np.float32],
    span: tuple[float, float],
    off: tuple[float, float],
    image: tuple[Doubles, Doubles],
    solved: Doubles,
) -> tuple[Doubles, Doubles]:
    """Of ``light = A G(d) - (a + b t) G'(d)``, t along from the middle in units of the length.

    Parameters
    ----------
    pixels : ndarray of float32, (4, k)
        From `strip`.
    span : (first, last)
        Ends of the trail.
    off : (shift, angle)
        Of the line against that of the strip: px at ``along = 0``, radians.
    image : (G, G')
        From `tabulated`.
    solved : ndarray of float64, (3,)
        Earlier solution: pixels far off it are left out; all 0 at first.
    """
    shape, slope = image
    first, last = span
    middle, length = 0.5 * (first + last), last - first
    a, b, c = solved
    clip = a != 0.0
    n00, n01, n02, n11, n12, n22, r0, r1, r2 = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for k in range(pixels.shape[1]):
        along = pixels[0, k]
        if along < first or along > last:
            continue
        d = _across(pixels[1, k], along, off)
        place = abs(d) / STEP
        i = int(place)
        if i + 1 >= len(shape):
            continue
        part = place - i
        u = shape[i] + part * (shape[i + 1] - shape[i])
        edge = -(slope[i] + part * (slope[i + 1] - slope[i]))
        v = edge if d >= 0 else -edge
        w = v * (along - middle) / length
        light, weight = pixels[2, k], pixels[3, k]
        if clip:
            model = u * a + v * b + w * c
            beyond = abs(light - model) - abs(model)
            if beyond > 0 and beyond * beyond * weight > 25.0:
                continue
        uw, vw, ww = u * weight, v * weight, w * weight
        n00, n01, n02, n11, n12, n22 = (
            n00 + uw * u,
            n01 + uw * v,
            n02 + uw * w,
            n11 + vw * v,
            n12 + vw * w,
            n22 + ww * w,
        )
        r0, r1, r2 = r0 + uw * light, r1 + vw * light, r2 + ww * light
    normal = np.array([[n00, n01, n02], [n01, n11, n12], [n02, n12, n22]])
    return normal, np.array([r0, r1, r2])


@njit(cache=True, nogil=True)
def ridge(
    pixels: NDArray[np.float32], limits: tuple[float, float], off: tuple[float, float], shape: Doubles
) -> tuple[Doubles, Doubles]:
    """Brightness of the ridge at each pixel along, and its weight (1 / variance): by the matched filter across."""
    n = int(limits[1] - limits[0]) + 2
    light, weight = np.zeros(n), np.zeros(n)
    for k in range(pixels.shape[1]):
        at = round(pixels[0, k] - limits[0])
        place = abs(_across(pixels[1, k], pixels[0, k], off)) / STEP
        i = int(place)
        if at < 0 or at >= n or i + 1 >= len(shape):
            continue
        value = shape[i] + (place - i) * (shape[i + 1] - shape[i])
        light[at] += value * pixels[2, k] * pixels[3, k]
        weight[at] += value * value * pixels[3, k]
    for at in range(n):
        light[at] /= max(weight[at], 1e-30)
    return light, weight


@njit(cache=True, nogil=True)
def profile_across(
    pixels: NDArray[np.float32], span: tuple[float, float], off: tuple[float, float], reach: float
) -> tuple[Doubles, Doubles, Doubles]:
    """Mean light by the distance across, in bins of a quarter pixel: distance, light, weight; filled bins only."""
    half = int(reach * BINS_PX) + 1
    light, weight = np.zeros(2 * half + 1), np.zeros(2 * half + 1)
    for k in range(pixels.shape[1]):
        along = pixels[0, k]
        at = round(_across(pixels[1, k], along, off) * BINS_PX) + half
        if along < span[0] or along > span[1] or at < 0 or at > 2 * half:
            continue
        light[at] += pixels[2, k] * pixels[3, k]
        weight[at] += pixels[3, k]
    filled = np.flatnonzero(weight)
    return (filled - half) / BINS_PX, light[filled] / weight[filled], weight[filled]


@njit(cache=True, nogil=True)
def extent(along: Doubles, light: Doubles, weight: Doubles, ends: tuple[float, float]) -> tuple[float, float]:
    """Most likely ends of an even trail about the middle of given ones, by its ridge (1 px apart)."""
    first, last = ends
    n = len(along)
    for _ in range(2):
        total, norm = 0.0, 1e-30
        for k in range(n):
            if first <= along[k] <= last:
                total, norm = total + light[k] * weight[k], norm + weight[k]
        half = 0.5 * max(total / norm, 0.0)
        middle = min(max(round(0.5 * (first + last) - along[0]), 1), n - 1)
        sum_, top = 0.0, -1e300
        for k in range(middle - 1, -1, -1):
            sum_ += weight[k] * (light[k] - half)
            if sum_ > top:
                top, first = sum_, along[k]
        sum_, top = 0.0, -1e300
        for k in range(middle, n):
            sum_ += weight[k] * (light[k] - half)
            if sum_ > top:
                top, last = sum_, along[k]
    return first, last


@njit(cache=True, nogil=True)
def end_chi2(along: Doubles, light: Doubles, weight: Doubles, grid: Doubles, step: tuple[float, float]) -> Doubles:
    """Chi-square of a ridge that begins at each place of a grid; ``step`` is its brightness and blur (sigma, px)."""
    level, blur = step
    rise = np.empty(_RISE + 2)
    for k in range(len(rise)):
        rise[k] = 0.5 * level * (1.0 + math.erf((8.0 * k / _RISE - 4.0) * 0.7071067811865476))
    chi2, unit = np.zeros(len(grid)), _RISE / 8.0
    for g in range(len(grid)):
        total = 0.0
        for k in range(len(along)):
            place = ((along[k] - grid[g]) / blur + 4.0) * unit
            model = level if place >= _RISE else 0.0
            if 0.0 < place < _RISE:
                i = int(place)
                model = rise[i] + (place - i) * (rise[i + 1] - rise[i])
            total += weight[k] * (light[k] - model) ** 2
        chi2[g] = total
    return chi2
