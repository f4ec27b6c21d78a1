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


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy", forceinline=True)
def _add_six(rows, reference, sums, higher):  # type: ignore[no-untyped-def]
    """Add six rows to the sums of a row; the largest go to ``higher``.

    Into another row, for a store that LLVM can leave out where nothing grew it makes a masked one, which is slow.
    """
    a, b, c, d, e, f = rows
    total, squares, peak = sums
    for x in range(len(total)):
        r = reference[x]
        va, vb = np.float32(decode(a[x])) - r, np.float32(decode(b[x])) - r
        vc, vd = np.float32(decode(c[x])) - r, np.float32(decode(d[x])) - r
        ve, vf = np.float32(decode(e[x])) - r, np.float32(decode(f[x])) - r
        total[x] += ((va + vb) + (vc + vd)) + (ve + vf)
        squares[x] += ((va * va + vb * vb) + (vc * vc + vd * vd)) + (ve * ve + vf * vf)
        higher[x] = max(peak[x], max(max(max(va, vb), max(vc, vd)), max(ve, vf)))


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy", forceinline=True)
def _add_one(row, reference, sums, higher):  # type: ignore[no-untyped-def]
    """Add one row to the sums of a row, as `_add_six` does."""
    total, squares, peak = sums
    for x in range(len(total)):
        v = np.float32(decode(row[x])) - reference[x]
        total[x] += v
        squares[x] += v * v
        higher[x] = max(peak[x], v)


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy", forceinline=True)
def _add_frames(frames, used, start, reference, sums, spare):  # type: ignore[no-untyped-def]
    """Add row y of the frames whose numbers are given to the sums of that row; ``spare`` is a row to work in."""
    y, x0 = start
    total, squares, peak = sums
    low, high = peak, spare
    sixes = len(used) - len(used) % GROUP
    for k in range(0, sixes, GROUP):
        rows = (
            frames[used[k], y, x0:], frames[used[k + 1], y, x0:], frames[used[k + 2], y, x0:],
            frames[used[k + 3], y, x0:], frames[used[k + 4], y, x0:], frames[used[k + 5], y, x0:],
        )  # fmt: skip
        _add_six(rows, reference, (total, squares, low), high)
        low, high = high, low
    for k in range(sixes, len(used)):
        _add_one(frames[used[k], y, x0:], reference, (total, squares, low), high)
        low, high = high, low
    if (sixes // GROUP + len(used) - sixes) % 2:
        peak[:] = spare


@njit(cache=True, nogil=True)
def _numbers(weights, multiple):  # type: ignore[no-untyped-def]
    """Numbers of the frames that have a weight, the first of them again until there are a multiple of so many."""
    used = np.flatnonzero(weights)
    whole = (len(used) + multiple - 1) // multiple * multiple
    padded = np.full(whole, used[0] if len(used) else 0)
    padded[: len(used)] = used
    return padded


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
        Not 0 for a frame to add.
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
    used, spare = _numbers(weights, 1), np.empty(total.shape[1], np.float32)
    for y in range(len(total)):
        _add_frames(frames, used, (y + y0, x0), reference[y], (total[y], squares[y], peak[y]), spare)


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy", forceinline=True)
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
    used, n = _numbers(weights, GROUP), np.float32(np.count_nonzero(weights))  # the reference again adds nothing
    reference, spare = np.empty(nx, np.float32), np.empty(nx, np.float32)
    total, squares, peak = np.empty(nx, np.float32), np.empty(nx, np.float32), np.empty(nx, np.float32)
    for y in range(ny):
        row = frames[used[0], y + y0, x0:]
        for x in range(nx):
            reference[x] = np.float32(decode(row[x]))
            total[x], squares[x], peak[x] = 0.0, 0.0, 0.0
        _add_frames(frames, used, (y + y0, x0), reference, (total, squares, peak), spare)
        one = image[y], variance[y], mask[y], mean[y]
        _finish_row((reference, total, squares, peak), n, scale32, (dark[y], flat[y], bad[y]), noise32, one)
