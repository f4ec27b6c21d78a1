"""What a film has that its reference has not, in units of the noise: small enough to be searched along every motion.

A row of the reference, of its noise and of what a shift of the images changes is made once and used for all frames
while it is in the cache. Pixels are binned 2 x 2, smoothed by the star image and kept as int8: the film of residuals
has an eighth of the film's bytes, and adding two rows of it takes a few cycles.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tomoe_explore.kernels.decode import decode

Floats = NDArray[np.float32]

BIN = 2  #: pixels along a side of a cell
UNITS = 2.0  #: what one standard deviation of the noise becomes
FULL = 127.0  #: largest value kept


@njit(cache=True, nogil=True)
def half_kernel(sigma: float) -> Floats:
    """Half of a Gaussian of unit sum of squares on both sides: ``k[0]`` in the middle, five values at most.

    Parameters
    ----------
    sigma : float
        In cells.
    """
    reach = min(max(int(np.ceil(2.0 * sigma)), 1), 4)
    half = np.exp(-0.5 * (np.arange(5) / sigma) ** 2)
    half[reach + 1 :] = 0.0
    return (half / np.sqrt(half[0] ** 2 + 2 * (half[1:] ** 2).sum())).astype(np.float32)


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def residual_film(
    frames: NDArray[Any],
    packing: tuple[int, int, float, float],
    images: tuple[Floats, Floats, Floats, Floats, NDArray[np.bool_], NDArray[np.bool_]],
    noise: tuple[float, float, float, float],
    changes: tuple[Floats, Floats, Floats, Floats],
    made: tuple[Floats, NDArray[np.int8]],
) -> None:
    """Frames less their reference over their noise, binned, smoothed, as int8.

    Parameters
    ----------
    frames : ndarray, (n, ny_raw, nx_raw)
        Raw frames.
    packing : (x0, y0, bscale, bzero)
    images : (mean, dark, flat, background, mask, fixed)
        ``(ny, nx)``: mean frame in stored units; dark, ADU; flat; smooth sky, ADU flat-fielded; True where a pixel has
        no weight; True where the reference is the mean frame (stars), elsewhere it is dark and sky.
    noise : (1 / gain, read-noise variance in ADU^2, variance of a shift in px^2, variance of a relative brightness)
        The last two of what is left when the frame's own shift and transparency are taken into account.
    changes : (sky, dx, dy, light)
        ``(n, ny // 2)``: sky of each frame above the mean, ADU; shift of its images, px; light of its stars over
        that in the mean.
    made : (kernel, out)
        ``(5,)`` float32, from `half_kernel`; ``(n, ny // 2, nx // 2)`` int8, written: `UNITS` a standard deviation of
        sky, at most ``FULL``.

    Notes
    -----
    ``r = (frame - reference - sky flat + dx dS/dx + dy dS/dy - (light - 1) S) / sigma`` with the stars ``S`` and
    ``sigma^2 = light / gain + read_noise^2 + var_shift |grad S|^2 + var_light S^2``.
    """
    kernel, out = made
    n, ny, nx = out.shape
    ring = np.zeros((n, 9, nx), np.float32)
    rows = np.empty((2, 6, nx * BIN), np.float32)
    cells = np.empty((4, nx), np.float32)
    work, padded = np.empty(nx * BIN, np.float32), np.zeros(nx + 8, np.float32)
    for y in range(ny + 4):
        slot = y % 9
        if y < ny:
            for half in range(BIN):
                _reference_row(images, packing, noise, BIN * y + half, rows[half])
            _bin_changes(rows, cells)
        for f in range(n):
            target = ring[f, slot]
            if y < ny:
                change = changes[0][f, y], changes[1][f, y], changes[2][f, y], changes[3][f, y]
                _bin_frame(frames[f], packing, BIN * y, rows, work)
                _changed(work, cells, change, padded[4 : nx + 4])
                _along(padded, kernel, target)
            else:
                target[:] = np.float32(0.0)
            if y >= 4:
                _down(ring[f], y - 4, kernel, out[f, y - 4])


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy", forceinline=True)
def _reference_row(images, packing, noise, y, out):  # type: ignore[no-untyped-def]
    """Reference and weight (stored units), and over the noise: the flat, the stars' light and its two gradients."""
    mean, dark, flat, background, mask, fixed = images
    scale, zero = np.float32(packing[2]), np.float32(packing[3])
    inverse_gain, read_variance = np.float32(noise[0]), np.float32(noise[1])
    shift_variance, light_variance = np.float32(noise[2]), np.float32(noise[3])
    ny, nx = mean.shape
    here, above, below = mean[y], mean[max(y - 1, 0)], mean[min(y + 1, ny - 1)]
    dark_row, flat_row, sky_row, mask_row, fixed_row = dark[y], flat[y], background[y], mask[y], fixed[y]
    reference, weight, flats, stars, across, along = out[0], out[1], out[2], out[3], out[4], out[5]
    across[0], across[nx - 1], half = np.float32(0.0), np.float32(0.0), np.float32(0.5) * scale
    for x in range(1, nx - 1):
        across[x] = half * (here[x + 1] - here[x - 1])
    for x in range(nx):
        star_here = np.float32(fixed_row[x])
        sky = flat_row[x] * sky_row[x]
        level = dark_row[x] + sky
        star = star_here * (zero + scale * here[x] - level)
        right, up = star_here * across[x], star_here * half * (below[x] - above[x])
        variance = max(sky + star, np.float32(0.0)) * inverse_gain + read_variance
        variance += shift_variance * (right * right + up * up) + light_variance * star * star
        w = (np.float32(1.0) - np.float32(mask_row[x])) / np.sqrt(variance)
        reference[x] = (level + star - zero) / scale
        weight[x] = w * scale
        flats[x], stars[x], across[x], along[x] = w * flat_row[x], w * star, w * right, w * up


@njit(cache=True, nogil=True)
def blocked_pixels(mask: NDArray[np.uint8], saturated: int, spread: float, edge: int, out: NDArray[np.bool_]) -> None:
    """Pixels without weight: all that are masked, those about saturated ones, and the edges.

    Parameters
    ----------
    mask : ndarray of uint8, (ny, nx)
    saturated : int
        Bit of the mask.
    spread : float
        Distance from saturated pixels, pixels.
    edge : int
        Width of the edges, pixels.
    out : ndarray of bool, (ny, nx)
        Written.
    """
    ny, nx = mask.shape
    reach = int(spread)
    for y in range(ny):
        row = out[y]
        for x in range(nx):
            row[x] = mask[y, x] != 0
        row[:edge], row[nx - edge :] = True, True
    out[:edge], out[ny - edge :] = True, True
    for y in range(ny):
        row, some = mask[y], np.uint8(0)
        for x in range(nx):
            some |= row[x]
        if not some & saturated:
            continue
        for x in range(nx):
            if row[x] & saturated:
                for j in range(max(y - reach, 0), min(y + reach, ny - 1) + 1):
                    for i in range(max(x - reach, 0), min(x + reach, nx - 1) + 1):
                        if (j - y) ** 2 + (i - x) ** 2 <= spread * spread:
                            out[j, i] = True


@njit(cache=True, nogil=True, fastmath=True, forceinline=True)
def _bin_changes(rows, cells):  # type: ignore[no-untyped-def]
    for k in range(4):
        top, low, out = rows[0, k + 2], rows[1, k + 2], cells[k]
        for x in range(len(out)):
            out[x] = (top[2 * x] + top[2 * x + 1]) + (low[2 * x] + low[2 * x + 1])


@njit(cache=True, nogil=True, fastmath=True, forceinline=True)
def _bin_frame(frame, packing, y, rows, work):  # type: ignore[no-untyped-def]
    """Two rows less their reference, in units of the noise, added."""
    x0, y0, _, _ = packing
    top, bottom = frame[y + y0, x0:], frame[y + y0 + 1, x0:]
    top_ref, top_weight, low_ref, low_weight = rows[0, 0], rows[0, 1], rows[1, 0], rows[1, 1]
    for x in range(len(work)):
        upper = (np.float32(decode(top[x])) - top_ref[x]) * top_weight[x]
        work[x] = upper + (np.float32(decode(bottom[x])) - low_ref[x]) * low_weight[x]


@njit(cache=True, nogil=True, fastmath=True, forceinline=True)
def _changed(work, cells, change, out):  # type: ignore[no-untyped-def]
    sky, dx, dy, light = change
    flats, stars, across, along = cells[0], cells[1], cells[2], cells[3]
    more = light - np.float32(1.0)
    for x in range(len(out)):
        known = sky * flats[x] + more * stars[x] - (dx * across[x] + dy * along[x])
        out[x] = (work[2 * x] + work[2 * x + 1]) - known


@njit(cache=True, nogil=True, fastmath=True, forceinline=True)
def _along(padded, k, out):  # type: ignore[no-untyped-def]
    a, b, c, d, e = k[0], k[1], k[2], k[3], k[4]
    if d == 0.0:
        for x in range(len(out)):
            near = b * (padded[x + 3] + padded[x + 5]) + c * (padded[x + 2] + padded[x + 6])
            out[x] = a * padded[x + 4] + near
    else:
        for x in range(len(out)):
            near = b * (padded[x + 3] + padded[x + 5]) + c * (padded[x + 2] + padded[x + 6])
            far = d * (padded[x + 1] + padded[x + 7]) + e * (padded[x] + padded[x + 8])
            out[x] = a * padded[x + 4] + near + far


@njit(cache=True, nogil=True, fastmath=True, forceinline=True)
def _down(ring, y, k, out):  # type: ignore[no-untyped-def]
    """The ring's rows about row y, weighted; rounded to int8."""
    a, b, c, d, e = k[0], k[1], k[2], k[3], k[4]
    m = ring[y % 9]
    u1, d1, u2, d2 = ring[(y - 1) % 9], ring[(y + 1) % 9], ring[(y - 2) % 9], ring[(y + 2) % 9]
    u3, d3, u4, d4 = ring[(y - 3) % 9], ring[(y + 3) % 9], ring[(y - 4) % 9], ring[(y + 4) % 9]
    half, full = np.float32(0.5 + 128.0), np.float32(FULL)
    if d == 0.0:
        for x in range(len(out)):
            v = a * m[x] + b * (u1[x] + d1[x]) + c * (u2[x] + d2[x])
            out[x] = np.int8(np.int32(min(max(v, -full), full) + half) - 128)
    else:
        for x in range(len(out)):
            v = a * m[x] + b * (u1[x] + d1[x]) + c * (u2[x] + d2[x])
            v += d * (u3[x] + d3[x]) + e * (u4[x] + d4[x])
            out[x] = np.int8(np.int32(min(max(v, -full), full) + half) - 128)
