"""Step 6: how each frame is shifted against the stack, and how much of the stars' light it got."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tomoe_explore.data import Floats
from tomoe_explore.kernels.centroids import film_centroids
from tomoe_explore.kernels.sky import film_sky
from tomoe_explore.reduction.values import FrameSeries, Prepared

MAX_STARS = 120
GRID = (4, 8)  #: cells of the sky grid along y and x
ROW_STEP = 3  #: only every third row is read for the sky: some 6,000 pixels a cell remain


def register(prepared: Prepared) -> FrameSeries:
    """Shifts and sky of every frame from bright unsaturated stars and star-free pixels.

    Parameters
    ----------
    prepared : Prepared
        Its stack with the seeing.

    Returns
    -------
    FrameSeries
        ``transparency`` is 1 throughout here: it needs fluxes, so `with_transparency` adds it after the photometry.
    """
    film, calibration, detections = prepared.film, prepared.calibration, prepared.detections
    snr = detections.flux / detections.flux_err
    usable = np.flatnonzero((snr > 20) & ~detections.saturated)[:MAX_STARS]
    n = film.n_frames
    dx, dy = np.zeros(n, np.float32), np.zeros(n, np.float32)
    sky = np.zeros((n, *GRID), np.float32)
    x, y = detections.x[usable].astype(np.float32), detections.y[usable].astype(np.float32)
    local = detections.background[np.clip(np.rint(y).astype(int), 0, None), np.clip(np.rint(x).astype(int), 0, None)]
    masked = detections.star_mask | calibration.bad
    xs, ys = [], []
    dark_flat, sigma = (calibration.dark, calibration.flat), prepared.stack.fwhm_px / 2.3548
    for start, frames in film.blocks():
        if len(usable):
            cx, cy = film_centroids(frames, film.packing, dark_flat, (x, y), local, sigma)
            xs.append(cx)
            ys.append(cy)
        values, _ = film_sky(frames, film.packing[:2], prepared.sums.mean, masked, GRID, ROW_STEP)
        sky[start : start + len(frames)] = values * film.bscale
    sky = np.where(np.isfinite(sky), sky, np.nanmedian(sky, axis=(1, 2), keepdims=True))
    if len(usable):
        dx, dy = _shift(np.hstack(xs)), _shift(np.hstack(ys))
    return FrameSeries(dx, dy, np.ones(n, np.float32), np.nan_to_num(sky), len(usable))


def _shift(positions: Floats) -> Floats:
    """Median over stars of each frame's position less the star's mean over the frames of the stack."""
    positions = positions[np.isfinite(positions[:, 1:]).all(axis=1)]
    if len(positions) == 0:
        return np.zeros(positions.shape[1], np.float32)
    shift = np.nanmedian(positions - positions[:, 1:].mean(axis=1, keepdims=True), axis=0)
    return np.nan_to_num(shift).astype(np.float32)


def transparency(flux: Floats, flux_err: Floats, usable: NDArray[np.bool_]) -> tuple[Floats, int]:
    """Light of stars in each frame over their mean light, and the number of stars used.

    Parameters
    ----------
    flux, flux_err : ndarray of float32, (m, n)
        Of all targets in all frames, any unit.
    usable : ndarray of bool, (m,)
        Unsaturated, unblended, well inside, not variable as far as known.

    Returns
    -------
    ratio : ndarray of float32, (n,)
        Mean over frames 1… is 1. All 1 where fewer than five stars are usable.
    n_stars : int

    Notes
    -----
    Weighted mean of each star's ratio to its own mean, weights floored at 1 % a star so that scintillation of the
    brightest does not rule; stars beyond 4 robust sigma in a frame are left out of it (they vary).
    """
    mean = flux[:, 1:].mean(axis=1)
    snr = mean / np.median(flux_err, axis=1)
    index = np.flatnonzero(usable & (snr > 15))
    index = index[np.argsort(-snr[index])][:300]
    if len(index) < 5:
        return np.ones(flux.shape[1], np.float32), len(index)
    ratio = flux[index] / mean[index, None]
    error = np.hypot(flux_err[index] / mean[index, None], 0.01)
    center = np.median(ratio, axis=0)
    keep = np.abs(ratio - center) < 4 * error
    weight = keep / error**2
    result = (weight * ratio).sum(axis=0) / np.maximum(weight.sum(axis=0), 1e-9)
    result = np.where(keep.any(axis=0), result, center)
    return (result / result[1:].mean()).astype(np.float32), len(index)
