"""Fluxes in soft-edged circular apertures, straight from the raw frames.

An aperture of radius r has the weight ``clip(r + 1/2 - d, 0, 1)`` at a pixel whose centre is at distance d: the edge
is a ramp one pixel wide, which follows the star's sub-pixel position smoothly and needs no geometry.

The dark and the flat of a star's pixels are worked out once for all frames. In each frame those pixels are laid out
one after another, a whole number of vectors of them, so that one loop without a remainder sums them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tomoe_explore.kernels.decode import decode
from tomoe_explore.kernels.prefetch import prefetch, prefetch_image

Floats = NDArray[np.float32]

EDGE, BAD, SATURATED = 1, 2, 4  #: bits returned with every aperture
AHEAD = 2  #: frames by which pixels are fetched ahead
RUN = 8  #: pixels copied together: a row of a stamp holds a multiple
LENGTH = 32  #: a stamp holds a multiple of so many pixels: four vectors, what the compiler takes at once
FAR = np.float32(1e6)  #: where pixels lie that only fill a stamp up
MOST_HOLES = 24  #: bad pixels about a source; with more it is measured the slow way


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy", forceinline=True)
def _lay_out(frame, box, pixels):  # type: ignore[no-untyped-def]
    """Copy the pixels of a box, row after row."""
    left, low, width, height = box
    for j in range(height):
        row, to = frame[low + j], pixels[j * width :]
        for k in range(0, width, RUN):
            run, there = row[left + k : left + k + RUN], to[k : k + RUN]
            for i in range(RUN):
                there[i] = run[i]


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy", forceinline=True)
def _weighted(pixels, stamp, n, centre, reach):  # type: ignore[no-untyped-def]
    """Sum and area of the n pixels of a stamp."""
    xc, yc = centre
    factor, offset, px, py = stamp[0], stamp[1], stamp[2], stamp[3]
    one, zero = np.float32(1.0), np.float32(0.0)
    total, area = zero, zero
    for k in range(n):
        dx, dy = px[k] - xc, py[k] - yc
        weight = min(max(reach - np.sqrt(dx * dx + dy * dy), zero), one)
        total += weight * (np.float32(decode(pixels[k])) * factor[k] + offset[k])
        area += weight
    return total, area


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy", forceinline=True)
def _fill_stamp(packing, calibration, box, stamp, holes):  # type: ignore[no-untyped-def]
    """Factor and offset that make calibrated values of stored ones, 0 in bad pixels; and the pixels' x and y.

    The bad pixels' columns and rows go into ``holes``; how many there are is returned.
    """
    _, _, bscale, bzero = packing
    dark, flat, bad = calibration
    left, low, width, height = box
    factor, offset, px, py = stamp[0], stamp[1], stamp[2], stamp[3]
    n_holes = 0
    for y in range(height):
        for x in range(width):
            k = y * width + x
            px[k], py[k] = x, y
            response = np.float32(1.0) / flat[low + y, left + x]
            factor[k] = np.float32(bscale) * response
            offset[k] = (np.float32(bzero) - dark[low + y, left + x]) * response
            if bad[low + y, left + x]:
                factor[k], offset[k] = 0.0, 0.0
                if n_holes < holes.shape[0]:
                    holes[n_holes, 0], holes[n_holes, 1] = left + x, low + y
                n_holes += 1
    px[width * height : width * height + LENGTH] = FAR
    return n_holes


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy", forceinline=True)
def _fill_holes(frame, packing, calibration, holes, centre, reach):  # type: ignore[no-untyped-def]
    """What the bad pixels would hold, by their neighbours, under the aperture; whether there is any."""
    total, met = 0.0, False
    for k in range(len(holes)):
        x, y = holes[k]
        weight = reach - np.sqrt((x - centre[0]) ** 2 + (y - centre[1]) ** 2)
        if weight > 0.0:
            met = True
            total += min(weight, 1.0) * _neighbours(frame[y + packing[1]], packing, calibration, y, x)
    return total, met


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy", forceinline=True)
def _fetch(frames, f, box):  # type: ignore[no-untyped-def]
    """Have the lines of a box fetched."""
    left, low, width, height = box
    for y in range(low, low + height):
        for x in range(0, width, 32):
            prefetch(frames, f, y, left + x)
        prefetch(frames, f, y, left + width - 1)


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy", forceinline=True)
def _fetch_images(calibration, left, low, size):  # type: ignore[no-untyped-def]
    """Have dark, flat and bad pixels of the next source fetched."""
    dark, flat, bad = calibration
    for y in range(int(low), int(low) + size):
        for x in (int(left), int(left) + size):
            prefetch_image(dark, y, x)
            prefetch_image(flat, y, x)
        prefetch_image(bad, y, int(left))


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def film_apertures(
    frames: NDArray[Any],
    packing: tuple[int, int, float, float],
    calibration: tuple[Floats, Floats, NDArray[np.bool_]],
    positions: tuple[Floats, Floats, NDArray[np.bool_]],
    limits: tuple[float, float],
) -> tuple[Floats, Floats, NDArray[np.uint8]]:
    """Sums over apertures in every frame, dark subtracted and flat-fielded, sky still in.

    Parameters
    ----------
    frames : ndarray, (n, ny_raw, nx_raw)
        Raw frames.
    packing : (x0, y0, bscale, bzero)
        First light-sensitive column and row; ADU = bzero + bscale * stored.
    calibration : (dark, flat, bad)
        ``(ny, nx)``: dark in ADU, flat about 1, pixels not to be used.
    positions : (x, y, clean)
        Of each source in each frame, pixels, ``(m, n)``; whether it is known that no pixel near it is saturated,
        ``(m,)``, so that none need be looked at.
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
    A bad pixel takes the mean of its nearest good neighbours in the row.
    """
    x0, y0, _, _ = packing
    ny, nx = calibration[0].shape
    xs, ys, clean = positions
    m, n = xs.shape
    flux, area = np.zeros((m, n), np.float32), np.zeros((m, n), np.float32)
    bits = np.zeros((m, n), np.uint8)
    reach = np.float32(limits[0] + 0.5)
    size = 2 * int(np.ceil(reach)) + 4  # with room for shifts of a pixel either way
    most = size * ((size + RUN - 1) // RUN * RUN) + LENGTH
    stamp, pixels = np.zeros((4, most), np.float32), np.zeros(most, frames.dtype)
    holes = np.empty((MOST_HOLES, 2), np.int64)
    for i in range(m):
        if i + 1 < m:
            _fetch_images(calibration, xs[i + 1, 0] - reach, ys[i + 1, 0] - reach, size - 2)
        left, low = int(np.ceil(xs[i].min() - reach)), int(np.ceil(ys[i].min() - reach))
        right, high = int(np.floor(xs[i].max() + reach)), int(np.floor(ys[i].max() + reach))
        width, height = (right - left + RUN) // RUN * RUN, high - low + 1
        simple = clean[i] and left >= 0 and low >= 0 and left + width <= nx and high < ny
        simple = simple and right - left < size and height <= size
        n_holes = 0
        if simple:
            n_holes = _fill_stamp(packing, calibration, (left, low, width, height), stamp, holes)
        if not simple or n_holes > MOST_HOLES:
            for f in range(n):
                one = _careful(frames[f], packing, calibration, (xs[i, f], ys[i, f]), limits)
                flux[i, f], area[i, f], bits[i, f] = one
            continue
        box = left + x0, low + y0, width, height
        whole = (width * height + LENGTH - 1) // LENGTH * LENGTH
        for f in range(min(AHEAD, n)):
            _fetch(frames, f, box)
        for f in range(n):
            if f + AHEAD < n:
                _fetch(frames, f + AHEAD, box)
            _lay_out(frames[f], box, pixels)
            centre = xs[i, f] - np.float32(left), ys[i, f] - np.float32(low)
            total, weights = _weighted(pixels, stamp, whole, centre, reach)
            if n_holes:
                more, met = _fill_holes(
                    frames[f], packing, calibration, holes[:n_holes], (xs[i, f], ys[i, f]), np.float64(reach)
                )
                total += np.float32(more)
                bits[i, f] = BAD if met else 0
            flux[i, f], area[i, f] = total, weights
    return flux, area, bits


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy", forceinline=True)
def _careful(frame, packing, calibration, centre, limits):  # type: ignore[no-untyped-def]
    """One aperture that leaves the frame or holds bad pixels: sum, area, bits."""
    x0, y0, bscale, bzero = packing
    radius, saturation = limits
    dark, flat, bad = calibration
    ny, nx = dark.shape
    xc, yc = centre
    reach = radius + 0.5
    left, right = int(np.ceil(xc - reach)), int(np.floor(xc + reach))
    low, high = int(np.ceil(yc - reach)), int(np.floor(yc + reach))
    bits = 0
    if left < 0 or low < 0 or right >= nx or high >= ny:
        bits |= EDGE
        left, low, right, high = max(left, 0), max(low, 0), min(right, nx - 1), min(high, ny - 1)
    total, weights = 0.0, 0.0
    for y in range(low, high + 1):
        row = frame[y + y0]
        for x in range(left, right + 1):
            weight = reach - np.sqrt((x - xc) ** 2 + (y - yc) ** 2)
            if weight <= 0.0:
                continue
            weight = min(weight, 1.0)
            value = bzero + bscale * decode(row[x + x0])
            if value >= saturation:
                bits |= SATURATED
            if bad[y, x]:
                bits |= BAD
                value = _neighbours(row, packing, calibration, y, x)
            else:
                value = (value - dark[y, x]) / flat[y, x]
            total += weight * value
            weights += weight
    return total, weights, bits


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy", forceinline=True)
def _neighbours(row, packing, calibration, y, x):  # type: ignore[no-untyped-def]
    x0, _, bscale, bzero = packing
    dark, flat, bad = calibration
    total, count = 0.0, 0
    for step in (-1, 1):
        for k in range(1, 4):
            at = x + step * k
            if 0 <= at < dark.shape[1] and not bad[y, at]:
                total += (bzero + bscale * decode(row[at + x0]) - dark[y, at]) / flat[y, at]
                count += 1
                break
    return total / count if count else 0.0
