"""A moving source in the pixels of a film: cut out along its track, and fitted there."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tomoe_explore.kernels.decode import decode
from tomoe_explore.kernels.moffat import Psf, light_and_slope

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Bools = NDArray[np.bool_]

SHIFT_PX, TWINKLE = 0.2, 0.05  #: how stars wander and twinkle from frame to frame, at most
LEAST_AWAY = 6  #: frames that show a pixel without the source, for their mean to be its reference
SLOW_PX = 10.0  #: a source that moves less is seen in one place


@njit(cache=True, nogil=True)
def cut_track(
    frames: NDArray[Any],
    packing: tuple[int, int, float, float],
    images: tuple[Floats, Floats, Floats, Floats, Bools, Bools],
    places: tuple[Doubles, Doubles, Bools, Floats],
    size: tuple[int, float],
    noise: tuple[float, float],
) -> tuple[Floats, Floats, NDArray[np.int64], Bools]:
    """Stamps about a track, less what the other frames have there.

    Parameters
    ----------
    frames : ndarray, (n, ny_raw, nx_raw)
        Raw frames.
    packing : (x0, y0, bscale, bzero)
    images : (dark, flat, reference, stack, blocked, shining)
        ``(ny, nx)``; the reference is what a frame shows without the source, ADU flat-fielded: used where the source is
        always near. It is not known where a star is shining; there the stack tells how noisy the star is.
    places : (x, y, used, sky)
        Of the source in each frame, pixels, ``(n,)``; frames not to be used get no weight; sky of each frame above the
        reference's, ADU.
    size : (half, away)
        A stamp has ``2 half + 1`` pixels a side; a frame shows a pixel without the source if that is so far away.
    noise : (variance, 1 / gain)
        Of a pixel of sky, ADU^2.

    Returns
    -------
    light : ndarray of float32, (n, w, w)
        ADU, flat-fielded.
    weight : ndarray of float32, (n, w, w)
        Inverse variance of the pixel times that of the sky; 0 for no pixel.
    corner : ndarray of int64, (n, 2)
        Column and row of each stamp's first pixel; all the same if the source moves by less than `SLOW_PX`.
    profiled : ndarray of bool, (w, w)
        Pixels of such stamps whose reference is the mean of all frames, the source's own light included.

    Notes
    -----
    Of a source that moves on, other frames show each pixel without it: their mean is the reference.
    """
    x0, y0, bscale, bzero = packing
    dark, flat, reference, stack, blocked, shining = images
    x, y, used, sky = places
    half, away = size
    n, (ny, nx) = len(frames), dark.shape
    w = 2 * half + 1
    out, weight = np.zeros((n, w, w), np.float32), np.zeros((n, w, w), np.float32)
    corner, profiled = np.zeros((n, 2), np.int64), np.zeros((w, w), np.bool_)
    slow = used.any() and _extent(x, used) < SLOW_PX and _extent(y, used) < SLOW_PX
    for f in range(n):
        at = (x[used].mean(), y[used].mean()) if slow else (x[f], y[f])
        left, low = int(np.rint(at[0])) - half, int(np.rint(at[1])) - half
        corner[f, 0], corner[f, 1] = left, low
        if not used[f]:
            continue
        for j in range(max(-low, 0), min(w, ny - low)):
            for i in range(max(-left, 0), min(w, nx - left)):
                row, column = low + j, left + i
                if blocked[row, column]:
                    continue
                response = flat[row, column]
                total, m, everything, k = 0.0, 0, 0.0, 0
                for g in range(n):
                    if used[g]:
                        v = (bzero + bscale * decode(frames[g, row + y0, column + x0])) - sky[g] * response
                        everything, k = everything + v, k + 1
                        if (x[g] - column) ** 2 + (y[g] - row) ** 2 > away**2:
                            total, m = total + v, m + 1
                here = (bzero + bscale * decode(frames[f, row + y0, column + x0])) - sky[f] * response
                weight[f, j, i] = _calm(stack, reference, (row, column), noise) if shining[row, column] else 1.0
                if m >= LEAST_AWAY:
                    out[f, j, i] = (here - total / m) / response
                    weight[f, j, i] *= m / (m + 1.0)
                elif slow and shining[row, column]:
                    out[f, j, i] = (here - everything / k) / response
                    profiled[j, i] = True
                else:
                    out[f, j, i] = (here - dark[row, column]) / response - reference[row, column]
    return out, weight, corner, profiled


@njit(cache=True, nogil=True)
def _calm(stack, reference, place, noise):  # type: ignore[no-untyped-def]
    """Variance of the sky over that of a star's pixel: its photons, and what its wandering and twinkling do."""
    y, x = place
    ny, nx = stack.shape
    star = max(stack[y, x] - reference[y, x], 0.0)
    across = 0.5 * (stack[y, min(x + 1, nx - 1)] - stack[y, max(x - 1, 0)])
    along = 0.5 * (stack[min(y + 1, ny - 1), x] - stack[max(y - 1, 0), x])
    more = star * noise[1] + SHIFT_PX**2 * (across**2 + along**2) + (TWINKLE * star) ** 2
    return noise[0] / (noise[0] + more)


@njit(cache=True, nogil=True)
def _extent(x, used):  # type: ignore[no-untyped-def]
    return x[used].max() - x[used].min() if used.any() else 0.0


@njit(cache=True, nogil=True)
def _template(psf, corner, place, trail, out):  # type: ignore[no-untyped-def]
    """Image of a source of light 1 that moves evenly along its trail, and its slopes along x and y: ``(3, w, w)``."""
    table, per_px2 = psf[0], psf[1]
    w = out.shape[1]
    steps = int(np.ceil(np.hypot(trail[0], trail[1]))) + 1
    out[:] = 0.0
    part = 1.0 / steps
    for k in range(steps):
        along = (k + 0.5) / steps - 0.5
        cx, cy = place[0] + along * trail[0] - corner[0], place[1] + along * trail[1] - corner[1]
        for j in range(w):
            for i in range(w):
                u, v = i - cx, j - cy
                value, slope = light_and_slope(table, per_px2, np.float32(u * u + v * v))
                out[0, j, i] += part * value
                out[1, j, i] -= part * 2.0 * u * slope
                out[2, j, i] -= part * 2.0 * v * slope


@njit(cache=True, nogil=True)
def templates(stamps, places, psf, trail):  # type: ignore[no-untyped-def]
    """Images and slopes in all frames, ``(n, 3, w, w)``; the former less their mean where that of frames was."""
    _, weight, corner, profiled = stamps
    n, w = weight.shape[0], weight.shape[1]
    images = np.empty((n, 3, w, w))
    for f in range(n):
        _template(psf, corner[f], (places[0][f], places[1][f]), trail, images[f])
    for j in range(w):
        for i in range(w):
            if profiled[j, i]:
                total, k = 0.0, 0
                for f in range(n):
                    if weight[f, j, i] > 0.0:
                        total, k = total + images[f, 0, j, i], k + 1
                images[:, 0, j, i] -= total / max(k, 1)
    return images


@njit(cache=True, nogil=True)
def measure_frames(
    stamps: tuple[Floats, Floats, NDArray[np.int64], Bools],
    places: tuple[Doubles, Doubles],
    psf: Psf,
    trail: tuple[float, float],
    light_of: tuple[Doubles, float],
    noise: tuple[float, float],
) -> Doubles:
    """Flux and place of a source in each frame, by least squares about a given track.

    Parameters
    ----------
    stamps : (light, weight, corner, profiled)
        From `cut_track`.
    places : (x, y)
        Of the source in each frame, pixels, ``(n,)``.
    psf : Psf
        The star image.
    trail : (along x, along y)
        Length of a frame's trail, pixels.
    light_of : (transparency, flux)
        Of each frame, ``(n,)``; flux of the source, ADU: of all its light, that of a frame of transparency 1.
    noise : (variance, 1 / gain)
        Of a pixel of sky, ADU^2; the source's photons are added.

    Returns
    -------
    ndarray of float64, (n, 6)
        Flux and its error, ADU; distance from the given place along x and y, and the errors of these, pixels. Errors
        are infinite where a frame does not tell.
    """
    data, weight, _, _ = stamps
    transparency, flux = light_of
    n, w = data.shape[0], data.shape[1]
    out = np.zeros((n, 6))
    images = templates(stamps, places, psf, trail)
    for f in range(n):
        image = images[f]
        expected = flux * transparency[f]
        mm, mr, xx, yy, xy, xr, yr = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        for j in range(w):
            for i in range(w):
                m = image[0, j, i]
                k = weight[f, j, i] / (noise[0] + max(expected * m, 0.0) * noise[1])
                r = data[f, j, i]
                mm, mr = mm + k * m * m, mr + k * m * r
                gx, gy, left = expected * image[1, j, i], expected * image[2, j, i], r - expected * m
                xx, yy, xy = xx + k * gx * gx, yy + k * gy * gy, xy + k * gx * gy
                xr, yr = xr + k * gx * left, yr + k * gy * left
        determinant = xx * yy - xy * xy
        out[f, 1], out[f, 4], out[f, 5] = np.inf, np.inf, np.inf
        if mm > 0.0 and transparency[f] > 0.0:
            out[f, 0], out[f, 1] = mr / mm / transparency[f], 1.0 / np.sqrt(mm) / transparency[f]
        if determinant > 1e-9 * xx * yy and xx > 0.0:
            out[f, 2], out[f, 3] = (yy * xr - xy * yr) / determinant, (xx * yr - xy * xr) / determinant
            out[f, 4], out[f, 5] = np.sqrt(yy / determinant), np.sqrt(xx / determinant)
    return out


@njit(cache=True, nogil=True)
def fit_line(t: Doubles, place: Doubles, error: Doubles) -> tuple[float, float, float, float, float]:
    """Straight line through places: at the mean time ``(t0, x0, speed, err of x0, err of speed)``, weighted.

    Parameters
    ----------
    t, place, error : ndarray of float64, (n,)
        Infinite errors have no weight.
    """
    s, st, stt, sx, stx = 0.0, 0.0, 0.0, 0.0, 0.0
    for f in range(len(t)):
        k = 1.0 / error[f] ** 2
        s, st, sx = s + k, st + k * t[f], sx + k * place[f]
    t0, x0 = st / s, sx / s
    for f in range(len(t)):
        k = 1.0 / error[f] ** 2
        stt, stx = stt + k * (t[f] - t0) ** 2, stx + k * (t[f] - t0) * (place[f] - x0)
    return t0, x0, stx / stt, 1.0 / np.sqrt(s), 1.0 / np.sqrt(stt)


@njit(cache=True, nogil=True)
def without_best_place(
    stamps: tuple[Floats, Floats, NDArray[np.int64], Bools],
    places: tuple[Doubles, Doubles],
    psf: Psf,
    trail: tuple[float, float],
    transparency: Doubles,
    halves: NDArray[np.int64],
) -> Doubles:
    """Part of a source's signal to noise that is left without the place on the detector that adds most to it.

    Parameters
    ----------
    stamps, places, psf, trail, transparency
        As in `measure_frames`.
    halves : ndarray of int64, (k,)
        A place is a square of ``2 half + 1`` pixels, the same in all frames: one that flickers, or a star that varies,
        may look like a source that moves, but is nothing without itself.

    Returns
    -------
    ndarray of float64, (k,)
    """
    data, weight, corner, _ = stamps
    n, w = data.shape[0], data.shape[1]
    part = np.zeros(len(halves))
    seen = np.flatnonzero(np.array([weight[f].any() for f in range(n)]))  # later ones may lie far off the film
    if len(seen) == 0:
        return part
    left, low = corner[seen, 0].min(), corner[seen, 1].min()
    shape = (corner[seen, 1].max() - low + w, corner[seen, 0].max() - left + w)
    sums = np.zeros((2, *shape))
    images = templates(stamps, places, psf, trail)
    for f in seen:
        for j in range(w):
            for i in range(w):
                m = images[f, 0, j, i] * transparency[f]
                row, column = corner[f, 1] - low + j, corner[f, 0] - left + i
                sums[0, row, column] += weight[f, j, i] * m * data[f, j, i]
                sums[1, row, column] += weight[f, j, i] * m * m
    signal, norm = sums[0].sum(), sums[1].sum()
    if signal <= 0.0 or norm == 0.0:
        return part
    for k in range(len(halves)):
        squares = np.stack((_box(sums[0], halves[k]), _box(sums[1], halves[k])))
        part[k] = 1.0
        for j in range(shape[0]):
            for i in range(shape[1]):
                rest = norm - squares[1, j, i]
                if rest <= 1e-6 * norm:
                    part[k] = 0.0
                elif squares[1, j, i] > 0.0:
                    part[k] = min(part[k], (signal - squares[0, j, i]) / np.sqrt(rest) / (signal / np.sqrt(norm)))
    return part


@njit(cache=True, nogil=True)
def _box(image, half):  # type: ignore[no-untyped-def]
    """Sums over squares."""
    if half == 0:
        return image.copy()
    ny, nx = image.shape
    across, out = np.zeros_like(image), np.zeros_like(image)
    for j in range(ny):
        for i in range(nx):
            across[j, i] = image[j, max(i - half, 0) : i + half + 1].sum()
    for j in range(ny):
        for i in range(nx):
            out[j, i] = across[max(j - half, 0) : j + half + 1, i].sum()
    return out
