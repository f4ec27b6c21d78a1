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
        Along and across the line, px; ADU flat-fielded; its variance.
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
            out[3, k] = noise + (star_error * star) ** 2
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
    normal, right = np.zeros((3, 3)), np.zeros(3)
    clip = solved[0] != 0.0
    terms = np.empty(3)
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
        terms[0] = shape[i] + part * (shape[i + 1] - shape[i])
        edge = -(slope[i] + part * (slope[i + 1] - slope[i]))
        terms[1] = edge if d >= 0 else -edge
        terms[2] = terms[1] * (along - middle) / length
        light, variance = pixels[2, k], pixels[3, k]
        if clip:
            model = terms[0] * solved[0] + terms[1] * solved[1] + terms[2] * solved[2]
            if abs(light - model) > 5.0 * math.sqrt(variance) + abs(model):
                continue
        for a in range(3):
            right[a] += terms[a] * light / variance
            for b in range(3):
                normal[a, b] += terms[a] * terms[b] / variance
    return normal, right


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
        light[at] += value * pixels[2, k] / pixels[3, k]
        weight[at] += value * value / pixels[3, k]
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
        light[at] += pixels[2, k] / pixels[3, k]
        weight[at] += 1.0 / pixels[3, k]
    filled = np.flatnonzero(weight)
    return (filled - half) / BINS_PX, light[filled] / weight[filled], weight[filled]


@njit(cache=True, nogil=True)
def end_chi2(along: Doubles, light: Doubles, weight: Doubles, grid: Doubles, step: tuple[float, float]) -> Doubles:
    """Chi-square of a ridge that begins at each place of a grid; ``step`` is its brightness and blur (sigma, px)."""
    level, blur = step
    chi2 = np.zeros(len(grid))
    for g in range(len(grid)):
        for k in range(len(along)):
            u = (along[k] - grid[g]) / blur
            if u > 4.0:
                model = level
            elif u < -4.0:
                model = 0.0
            else:
                model = 0.5 * level * (1.0 + math.erf(u * 0.7071067811865476))
            chi2[g] += weight[k] * (light[k] - model) ** 2
    return chi2
