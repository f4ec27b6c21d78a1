"""Step 15: is a streak a meteor or a satellite? A short list of evidence, each item with its weight."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tomoe_explore.camera import APERTURE_M, PIXEL_SCALE
from tomoe_explore.reduction.trails import FittedTrail, Streaks
from tomoe_explore.reduction.values import FrameSeries

SURE = 0.8  #: less probable classes are "unknown"
FAST_ARCSEC_S = 9_000.0  #: no satellite moves by more than 2.5 deg/s
METEOR_KM = 120.0  #: usual distance of a meteor: 100 km high, at some distance from the zenith
POINT = 0.977  #: FWHM measured of a trail at infinity, over that of stars: median of simulated satellites
DISK = 0.46  #: what an image out of focus adds to it in quadrature, over its disk's diameter: of simulated meteors
WIDTH_ERROR = 0.03  #: of widths, relative: seeing changes in the time that a streak takes


def classify(streaks: Streaks, frames: FrameSeries) -> Streaks:
    """Give each streak its class and the probability of the likelier one.

    Parameters
    ----------
    streaks : Streaks
    frames : FrameSeries
        For the seeing.

    Returns
    -------
    Streaks

    Notes
    -----
    The logarithms of the odds of meteor over satellite are added:

    ============================================================================ ==========
    a rate above 2.5 deg/s; below                                                 +4; -4
    seen in three frames or more: a meteor crosses a detector in 0.2 s            -4
    brighter in the middle, above 20 % and 3 sigma                                +1.5
    width: of a point 120 km away, which is out of focus (Jenniskens 2006),
    or at infinity; by the likelihoods                                            -3 to +3
    ============================================================================ ==========

    The weights are logarithms of likelihood ratios among 288 simulated satellites (half of them short flashes, half
    crossing the detector) and 288 meteors of 5-40 deg/s in seeings of 2 to 5 arcsec. What tells little there, or tells
    more of how things were simulated than of the sky, has none: where a streak begins and ends, and an even brightness,
    which the part of a meteor that a detector sees has too. Of 573 others, half of either kind, 64 were called meteor
    and are, 119 satellite and 118 are; what only one or two frames show is unknown in seeing above 2.5 arcsec mostly.
    """
    odds = np.array([_odds(p, float(rate), frames) for p, rate in zip(streaks.pieces, streaks.rate, strict=True)])
    odds = odds.reshape(len(streaks))
    meteor = 1 / (1 + np.exp(-odds))
    likelier = np.maximum(meteor, 1 - meteor)
    names = np.where(likelier < SURE, "unknown", np.where(meteor > 0.5, "meteor", "satellite"))
    return replace(streaks, kind=tuple(names.tolist()), probability=likelier)


def _odds(pieces: tuple[FittedTrail, ...], rate: float, frames: FrameSeries) -> float:
    odds = -4.0 if len(pieces) > 2 else 0.0
    if np.isfinite(rate):
        odds += 4.0 if rate * PIXEL_SCALE > FAST_ARCSEC_S else -4.0
    best = max(pieces, key=lambda t: t.snr)
    if best.taper > max(0.2, 3 * best.taper_err):
        odds += 1.5
    return odds + _by_width(best, float(frames.fwhm_px[best.frame]))


def _by_width(trail: FittedTrail, star_px: float) -> float:
    disk_px = np.degrees(APERTURE_M / (1e3 * METEOR_KM)) * 3600 / PIXEL_SCALE
    point = POINT * star_px
    blurred = float(np.hypot(point, DISK * disk_px))
    error = np.hypot(trail.fwhm_err, WIDTH_ERROR * star_px)
    width = float(np.clip(trail.fwhm, point, blurred))  # beyond either, its kind fits no better
    return float(np.clip(((width - point) ** 2 - (blurred - width) ** 2) / (2 * error**2), -3.0, 3.0))
