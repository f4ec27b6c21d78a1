"""Step 6: how each frame is shifted against the stack, how sharp it is, and how its sky differs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tomoe_explore.camera import NX, NY
from tomoe_explore.kernels.centroids import film_centroids
from tomoe_explore.kernels.sky import film_sky
from tomoe_explore.reduction.values import Bools, Doubles, Floats, FrameSeries, Prepared

MAX_STARS = 100
MIN_SNR = 20.0
GRID = (4, 8)  #: cells of the sky grid along y and x
ROW_STEP = 8  #: only every eighth row is read for the sky: some 8,000 pixels a cell remain
WANDER_PHOTONS_PX, WANDER_STARS = (
    0.05,
    5,
)  #: stars this well measured in a frame tell how images wander; at least so many
USUAL_WANDER_PX = 0.1  #: where too few do
ORDER_STARS = (12, 40)  #: stars from which the shift may be linear, quadratic in the row


def register(prepared: Prepared) -> FrameSeries:
    """Shifts, seeing and sky of every frame from bright unsaturated stars and star-free pixels.

    Parameters
    ----------
    prepared : Prepared
        Its stack with the seeing.

    Returns
    -------
    FrameSeries
        ``light`` is 1 throughout here: it needs fluxes, see `transparency.transparency`.

    Notes
    -----
    The shutter rolls for 0.47 s down the rows, so the shift of a frame is a polynomial of second order in the row.
    """
    film, calibration, detections = prepared.film, prepared.calibration, prepared.detections
    snr = detections.flux / detections.flux_err
    usable = np.flatnonzero((snr > MIN_SNR) & ~detections.saturated)[:MAX_STARS]
    n = film.n_frames
    x, y = detections.x[usable].astype(np.float32), detections.y[usable].astype(np.float32)
    xi, yi = np.clip(np.rint(x).astype(int), 0, NX - 1), np.clip(np.rint(y).astype(int), 0, NY - 1)
    local = detections.background[yi, xi]
    masked = detections.star_mask[::ROW_STEP] | (prepared.stack.mask[::ROW_STEP] > 0)
    dark_flat, sigma = (calibration.dark, calibration.flat), prepared.stack.fwhm_px / 2.3548
    sky = np.zeros((n, *GRID), np.float32)
    parts = []
    for start, frames in film.blocks():
        parts.append(film_centroids(frames, film.packing, dark_flat, (x, y), local, sigma))
        values = film_sky(frames, film.packing[:2], prepared.mean, masked, GRID, ROW_STEP)
        sky[start : start + len(frames)] = values * np.float32(film.bscale)
    cx, cy, size = (np.hstack([part[k] for part in parts]) for k in range(3))
    whole = np.isfinite(cx[:, prepared.used]).all(axis=1) & np.isfinite(cx).any(axis=1)
    motion = np.stack([_motion(c[whole], y[whole], prepared.used) for c in (cx, cy)])
    light = np.zeros((n, 3), np.float32)
    light[:, 0] = 1.0
    fwhm = _seeing(size[whole], sigma, motion, prepared)
    wander = _wander([c[whole] for c in (cx, cy)], y[whole], motion, snr[usable][whole], prepared)
    return FrameSeries(motion, fwhm, light, _filled(sky), int(whole.sum()), wander)


def _wander(positions: list[Floats], y: Floats, motion: Floats, snr: Floats, prepared: Prepared) -> float:
    """How far bright stars stray from the common shift beyond what photons explain, rms along one axis, pixels."""
    used = prepared.used
    photons = prepared.stack.fwhm_px / 2.3548 * np.sqrt(prepared.stack.n_frames) / snr
    bright = np.flatnonzero(photons < WANDER_PHOTONS_PX)
    if len(bright) < WANDER_STARS:
        return USUAL_WANDER_PX
    v = 2 * (y[bright].astype(np.float64) + 0.5) / NY - 1
    terms = v[:, None] ** np.arange(3)
    squares = []
    for axis in range(2):
        shift = positions[axis][bright] - positions[axis][bright][:, used].mean(axis=1, keepdims=True)
        squares.append((shift - terms @ motion[axis].T)[:, used] ** 2)
    own = np.median(np.mean(squares, axis=(0, 2)) - photons[bright] ** 2)
    return float(np.sqrt(max(own, 0.0)))


def _filled(sky: Floats) -> Floats:
    """Cells without free pixels take the median of their frame; frames without any, 0."""
    good = np.isfinite(sky)
    if good.all():
        return sky
    some = good.any(axis=(1, 2))
    level = np.zeros(len(sky), np.float32)
    level[some] = np.nanmedian(sky[some], axis=(1, 2))
    return np.where(good, sky, level[:, None, None]).astype(np.float32)


def _motion(positions: Floats, y: Floats, used: Bools) -> Floats:
    """Coefficients of each frame's shift in the row, ``(n, 3)``: least squares after clipping."""
    n = positions.shape[1]
    motion = np.zeros((n, 3), np.float32)
    if len(positions) == 0:
        return motion
    shift = (positions - positions[:, used].mean(axis=1, keepdims=True)).astype(np.float64)
    order = int(np.searchsorted(ORDER_STARS, len(positions), side="right"))
    v = 2 * (y.astype(np.float64) + 0.5) / NY - 1
    terms = v[:, None] ** np.arange(order + 1)
    keep = np.isfinite(shift)
    shift = np.where(keep, shift, 0.0)
    residual = shift - _medians(np.where(keep, shift, np.nan)) if keep.any(axis=0).all() else shift
    for _ in range(2):
        scatter = 1.4826 * np.median(np.abs(residual[keep])) if keep.any() else 1.0
        keep &= np.abs(residual) < 4 * max(float(scatter), 0.01)
        coefficients = _least_squares(terms, shift, keep)
        residual = shift - terms @ coefficients.T
    motion[:, : order + 1] = coefficients
    return motion


def _least_squares(terms: Doubles, values: Doubles, keep: Bools) -> Doubles:
    """One fit a frame, ``(n, k)``; a trace of ridge keeps frames with few stars at their mean."""
    weight, k = keep.astype(np.float64), terms.shape[1]
    squares = (terms[:, :, None] * terms[:, None, :]).reshape(len(terms), k * k)
    normal = (weight.T @ squares).reshape(-1, k, k) + 1e-3 * np.eye(k)
    right = (weight * values).T @ terms
    return np.asarray(np.linalg.solve(normal, right[:, :, None])[:, :, 0])


def _medians(values: NDArray[np.floating]) -> Doubles:
    """Of each column, NaN left out: `numpy.nanmedian` takes a millisecond, so only where it must."""
    return np.asarray(np.median(values, axis=0) if np.isfinite(values).all() else np.nanmedian(values, axis=0), float)


def _seeing(size: Floats, sigma: float, motion: Floats, prepared: Prepared) -> Floats:
    """FWHM of each frame, ``(n,)``: that of the stack times the ratio of the stars' sizes under one window.

    Notes
    -----
    A Gaussian of variance s^2 seen through a window of variance w^2 has the second moment ``s^2 w^2 / (s^2 + w^2)``.
    The stack's image is the mean of those of the frames, widened by their shifts.
    """
    n, used, stack = size.shape[1], prepared.used, prepared.stack
    bright = size[: max(len(size) // 2, 10)]
    if len(bright) < 3:
        return np.full(n, stack.fwhm_px, np.float32)
    window = sigma**2
    moment = np.clip(_medians(bright), 0.05 * window, 0.9 * window)
    true = moment * window / (window - moment)
    jitter = 0.5 * float(motion[:, used, 0].var(axis=1).sum())
    stacked = float(true[used].mean()) + jitter
    return np.asarray(stack.fwhm_px * np.sqrt(true / stacked), np.float32)
