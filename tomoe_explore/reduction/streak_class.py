"""Step 15: is a streak a meteor or a satellite? A short list of evidence, each item with its weight."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tomoe_explore.camera import APERTURE_M, PIXEL_SCALE
from tomoe_explore.reduction.trails import FittedTrail, Streaks
from tomoe_explore.reduction.values import Bools, FrameSeries

SURE = 0.75  #: less probable classes are "unknown"
FAST_ARCSEC_S = 9_000.0  #: no satellite moves by more than 2.5 deg/s
METEOR_KM = 120.0  #: usual distance of a meteor: 100 km high, at some distance from the zenith
DISK = 0.59  #: FWHM of a point out of focus, over the diameter of its disk: the projected disk's standard deviation
WIDTH_ERROR = 0.05  #: of widths, relative: seeing changes in the time that a streak takes


def classify(streaks: Streaks, frames: FrameSeries, recorded: Bools) -> Streaks:
    """Give each streak its class and the probability of the likelier one.

    Parameters
    ----------
    streaks : Streaks
    frames : FrameSeries
        For the seeing.
    recorded : ndarray of bool, (n,)

    Returns
    -------
    Streaks

    Notes
    -----
    The logarithms of the odds of meteor over satellite are added:

    ============================================================================ ==========
    a rate above 2.5 deg/s; below                                                 +4; -4
    seen in three frames or more; in two: a meteor crosses a detector in 0.2 s    -4; -0.7
    each end inside the detector where the next frame does not go on:
    it lit up or went out                                                         +0.5
    brighter in the middle, above 20 % and 3 sigma; even within 10 %              +2; -2
    width: of a point 120 km away, which is out of focus (Jenniskens 2006),
    or at infinity; by the likelihoods                                            -3 to +3
    ============================================================================ ==========
    """
    odds = np.array([
        _odds(pieces, float(streaks.rate[k]), frames, recorded) for k, pieces in enumerate(streaks.pieces)
    ]).reshape(len(streaks))  # fmt: skip
    meteor = 1 / (1 + np.exp(-odds))
    likelier = np.maximum(meteor, 1 - meteor)
    names = np.where(likelier < SURE, "unknown", np.where(meteor > 0.5, "meteor", "satellite"))
    return replace(streaks, kind=tuple(names.tolist()), probability=likelier)


def _odds(pieces: tuple[FittedTrail, ...], rate: float, frames: FrameSeries, recorded: Bools) -> float:
    odds = {1: 0.0, 2: -0.7}.get(len(pieces), -4.0)
    if np.isfinite(rate):
        odds += 4.0 if rate * PIXEL_SCALE > FAST_ARCSEC_S else -4.0
    for piece, end, next_frame in ((pieces[0], 0, pieces[0].frame - 1), (pieces[-1], 1, pieces[-1].frame + 1)):
        if not piece.cut[end] and 0 <= next_frame < len(recorded) and recorded[next_frame]:
            odds += 0.5
    best = max(pieces, key=lambda t: t.snr)
    if best.taper > max(0.2, 3 * best.taper_err):
        odds += 2.0
    elif abs(best.taper) + 2 * best.taper_err < 0.1:
        odds -= 2.0
    return odds + _by_width(best, float(frames.fwhm_px[best.frame]))


def _by_width(trail: FittedTrail, star_px: float) -> float:
    disk_px = np.degrees(APERTURE_M / (1e3 * METEOR_KM)) * 3600 / PIXEL_SCALE
    near = np.hypot(star_px, DISK * disk_px)
    error = np.hypot(trail.fwhm_err, WIDTH_ERROR * star_px)
    beyond, short = max(trail.fwhm - star_px, 0.0) / error, max(near - trail.fwhm, 0.0) / error
    return float(np.clip((beyond**2 - short**2) / 2, -3.0, 3.0))
