"""Mean, largest value and scatter of every pixel over time, straight from the raw frames, in one pass.

Calibration commutes with summing: dark and flat are applied to the sums of a row while they are in the cache, so that
no calibrated film ever exists in memory, and the sums of a short film do not either.

Six frames are added at a time: the sums are then loaded and stored a sixth as often, and the loop over x becomes
vector code. All arithmetic is float32 on differences to a typical frame, which are exact.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tomoe_explore.kernels.decode import decode

Floats = NDArray[np.float32]

GROUP = 6  #: frames added in one sweep over a row
OUTLIER2 = np.float32(49.0)  #: a largest value this many variances above the others is left out of the mean


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def _add_six(rows, weights, reference, sums):  # type: ignore[no-untyped-def]
    """Add six rows to the sums of a row; a weight of 0 makes a frame equal to the reference."""
    a, b, c, d, e, f = rows
    wa, wb, wc, wd, we, wf = weights
    total, squares, peak = sums
    for x in range(len(total)):
        r = reference[x]
        va, vb = (np.float32(decode(a[x])) - r) * wa, (np.float32(decode(b[x])) - r) * wb
        vc, vd = (np.float32(decode(c[x])) - r) * wc, (np.float32(decode(d[x])) - r) * wd
        ve, vf = (np.float32(decode(e[x])) - r) * we, (np.float32(decode(f[x])) - r) * wf
        total[x] += ((va + vb) + (vc + vd)) + (ve + vf)
        squares[x] += ((va * va + vb * vb) + (vc * vc + vd * vd)) + (ve * ve + vf * vf)
        peak[x] = max(peak[x], max(max(max(va, vb), max(vc, vd)), max(ve, vf)))


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def _add_frames(frames, weights, start, reference, sums):  # type: ignore[no-untyped-def]
    """Add row y of all frames to the sums of that row."""
    y, x0 = start
    total, squares, peak = sums
    n = frames.shape[0]
    last, none = n - 1, np.float32(0.0)
    for k in range(0, n, GROUP):
        rows = (
            frames[k, y, x0:], frames[min(k + 1, last), y, x0:], frames[min(k + 2, last), y, x0:],
            frames[min(k + 3, last), y, x0:], frames[min(k + 4, last), y, x0:], frames[min(k + 5, last), y, x0:],
        )  # fmt: skip
        w = (
            weights[k], weights[k + 1] if k + 1 < n else none, weights[k + 2] if k + 2 < n else none,
            weights[k + 3] if k + 3 < n else none, weights[k + 4] if k + 4 < n else none,
            weights[k + 5] if k + 5 < n else none,
        )  # fmt: skip
        _add_six(rows, w, reference, (total, squares, peak))


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def accumulate(
    frames: NDArray[Any],
    weights: Floats,
    window: tuple[int, int],
    reference: Floats,
    sums: tuple[Floats, Floats, Floats],
) -> None:
    """Add frames to running sums, in stored units.

    Parameters
    ----------
    frames : ndarray, (n, ny_raw, nx_raw)
        Raw frames; see the package for the two types.
    weights : ndarray of float32, (n,)
        1 for a frame to add, 0 for one to leave out.
    window : (x0, y0)
        First light-sensitive column and row.
    reference : ndarray of float32, (ny, nx)
        A typical frame. Sums are of differences to it, so that float32 loses nothing.
    sums : (total, squares, peak)
        ``(ny, nx)`` float32: sum, sum of squares and largest of the differences; updated in place.

    Notes
    -----
    Differences of 16-bit integers are exact in float32, and so is their sum below 2**24: with noise of some tens
    of ADU over 360 frames it stays far below.
    """
    x0, y0 = window
    total, squares, peak = sums
    for y in range(len(total)):
        _add_frames(frames, weights, (y + y0, x0), reference[y], (total[y], squares[y], peak[y]))


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def _finish_row(row_sums, n, scale, calibration, noise, out):  # type: ignore[no-untyped-def]
    """One row of the stack from the sums of that row."""
    reference, total, squares, peak = row_sums
    bscale, bzero = scale
    dark, flat, bad = calibration
    inverse_gain, read_variance, saturation = noise
    image, variance, mask, mean = out
    one, zero, two = np.float32(1.0), np.float32(0.0), np.uint8(2)
    inv_n, inv_rest = one / n, one / (n - one)
    floor = read_variance / (bscale * bscale)
    full = (saturation - bzero) / bscale
    for x in range(len(image)):
        rest = (total[x] - peak[x]) * inv_rest
        spread = max((squares[x] - peak[x] * peak[x]) * inv_rest - rest * rest, floor)
        above = peak[x] - rest
        stored = reference[x] + (rest if above * above > OUTLIER2 * spread else total[x] * inv_n)
        mean[x] = stored
        response = one / flat[x]
        light = bzero + bscale * stored - dark[x]
        image[x] = light * response
        variance[x] = (max(light, zero) * inverse_gain + read_variance) * (response * response * inv_n)
    for x in range(len(mask)):
        mask[x] = np.uint8(bad[x]) | (two if reference[x] + peak[x] >= full else np.uint8(0))


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def finish(
    sums: tuple[Floats, Floats, Floats, Floats],
    n: float,
    scale: tuple[float, float],
    calibration: tuple[Floats, Floats, NDArray[np.bool_]],
    noise: tuple[float, float, float],
    out: tuple[Floats, Floats, NDArray[np.uint8], Floats],
) -> None:
    """Turn sums over time into a calibrated stack.

    Parameters
    ----------
    sums : (reference, total, squares, peak)
        As `accumulate` makes them.
    n : float
        Frames summed.
    scale : (bscale, bzero)
        ADU = bzero + bscale * stored.
    calibration : (dark, flat, bad)
        ``(ny, nx)``: dark in ADU, flat about 1, pixels not to be used.
    noise : (1 / gain, read-noise variance in ADU^2, ADU from which a pixel is saturated)
    out : (image, variance, mask, mean)
        ``(ny, nx)``, written: ADU above dark and flat-fielded; its variance from photons and read-out; 1 bad, 2
        saturated; mean in stored units.

    Notes
    -----
    ``variance = (max(light, 0) / gain + read_noise**2) / flat**2 / n``, with the light before the flat. The largest
    value of a pixel is left out of its mean only where it lies 7 sigma above the others, sigma being what the others
    scatter and at least the read noise: a cosmic ray goes, a star that twinkles or shifts stays, the mean is unbiased.
    """
    scale32 = np.float32(scale[0]), np.float32(scale[1])
    noise32 = np.float32(noise[0]), np.float32(noise[1]), np.float32(noise[2])
    reference, total, squares, peak = sums
    dark, flat, bad = calibration
    image, variance, mask, mean = out
    for y in range(len(image)):
        rows = reference[y], total[y], squares[y], peak[y]
        one = image[y], variance[y], mask[y], mean[y]
        _finish_row(rows, np.float32(n), scale32, (dark[y], flat[y], bad[y]), noise32, one)


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def combine(
    frames: NDArray[Any],
    weights: Floats,
    packing: tuple[int, int, float, float],
    calibration: tuple[Floats, Floats, NDArray[np.bool_]],
    noise: tuple[float, float, float],
    out: tuple[Floats, Floats, NDArray[np.uint8], Floats],
) -> None:
    """`accumulate` and `finish` row by row, for a film that is in memory: the sums never leave the cache.

    Parameters
    ----------
    frames, weights
        As in `accumulate`; at least one frame has a weight.
    packing : (x0, y0, bscale, bzero)
    calibration, noise, out
        As in `finish`.
    """
    x0, y0, bscale, bzero = packing
    dark, flat, bad = calibration
    image, variance, mask, mean = out
    ny, nx = image.shape
    scale32 = np.float32(bscale), np.float32(bzero)
    noise32 = np.float32(noise[0]), np.float32(noise[1]), np.float32(noise[2])
    first, n = 0, np.float32(0.0)
    for f in range(len(weights) - 1, -1, -1):
        if weights[f] > 0:
            first = f
            n += np.float32(1.0)
    reference = np.empty(nx, np.float32)
    total, squares, peak = np.empty(nx, np.float32), np.empty(nx, np.float32), np.empty(nx, np.float32)
    for y in range(ny):
        row = frames[first, y + y0, x0:]
        for x in range(nx):
            reference[x] = np.float32(decode(row[x]))
            total[x], squares[x], peak[x] = 0.0, 0.0, 0.0
        _add_frames(frames, weights, (y + y0, x0), reference, (total, squares, peak))
        one = image[y], variance[y], mask[y], mean[y]
        _finish_row((reference, total, squares, peak), n, scale32, (dark[y], flat[y], bad[y]), noise32, one)
