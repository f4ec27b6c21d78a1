"""A gate on the reference catalog: whether its stars lie where their proper motion has them at the film's date."""

from __future__ import annotations

import numpy as np

from tomoe_explore.data import Exposure, Refcat
from tomoe_explore.errors import RefcatEpochError
from tomoe_explore.kernels.matching import nearest
from tomoe_explore.limits import LIMITS, Limits
from tomoe_explore.reduction.values import Detections, Doubles
from tomoe_explore.wcs import TanSip

MATCH_ARCSEC = 3.0  #: wide, for the stars of large proper motion tell most, and a wrong epoch moves them farthest
MATCH_SNR = 20.0  #: of detections; fainter ones have near neighbours by chance
MIN_STARS, MAX_MATCHED = 20, 800


def check_epoch(
    detections: Detections, wcs: TanSip, stars: Refcat, exposure: Exposure, *, limits: Limits = LIMITS
) -> tuple[float, float]:
    """Refuse a reference catalog whose epoch is not what it says (or a film whose date is wrong).

    Parameters
    ----------
    detections : Detections
    wcs : TanSip
        Of the solution.
    stars : Refcat
        About the film, moved to its epoch.
    exposure : Exposure
        Of the film.
    limits : Limits

    Returns
    -------
    years, error : float
        By which the stars are ahead of their catalog positions along their proper motions, and its standard error;
        ``(0, inf)`` where too few stars have a proper motion.

    Raises
    ------
    RefcatEpochError
        If they are ahead or behind by more than the limit, in years and in standard errors.

    Notes
    -----
    The solution takes up what all stars share, so only the spread of proper motions tells: the slope of the residuals
    against proper motion less its mean, by least squares with clipping at 4 sigma. Stars are matched anew, for the
    solution has left out those that lie far off.
    """
    residual, motion = _residuals(detections, wcs, stars)
    keep = np.ones(residual.shape[1], bool)
    years, error = 0.0, float("inf")
    for _ in range(4):
        n = int(keep.sum())
        if n < MIN_STARS:
            return 0.0, float("inf")
        m, r = (values - (values @ keep / n)[:, None] for values in (motion, residual))
        lever = float(((m * m) @ keep).sum())
        if lever == 0.0:
            return 0.0, float("inf")
        years = float(((m * r) @ keep).sum() / lever)
        off = np.sqrt(((r - years * m) ** 2).sum(axis=0))
        sigma = max(float(np.median(off[keep])) / 1.1774, 1e-3)  # of the Rayleigh distribution, a coordinate
        error = sigma / np.sqrt(lever)
        keep = off < 4 * sigma
    if abs(years) > max(limits.epoch_years, limits.epoch_sigma * error):
        raise RefcatEpochError(
            f"{int(keep.sum())} stars lie where their proper motion has them {abs(years):.1f} +- {error:.1f} years "
            f"{'after' if years > 0 else 'before'} the film's date, at most {limits.epoch_years:g} is accepted: does "
            f"ref_epoch of {stars.name!r} hold for its positions, and UTC for the film? ({exposure.where})"
        )
    return years, error


def _residuals(detections: Detections, wcs: TanSip, stars: Refcat) -> tuple[Doubles, Doubles]:
    """Detected minus catalog position, arcsec, and proper motion, arcsec a year; ``(2, k)`` each, RA and Dec."""
    bright = np.flatnonzero((detections.flux > MATCH_SNR * detections.flux_err) & ~detections.saturated)[:MAX_MATCHED]
    moving = (stars.pmra != 0) | (stars.pmdec != 0)
    if not (len(bright) and moving.any()):
        return np.empty((2, 0)), np.empty((2, 0))
    ra, dec = wcs.to_sky(detections.x[bright], detections.y[bright])
    narrow = np.cos(np.radians(np.median(dec)))
    d_ra = (ra - stars.ra[0] + 180) % 360 - 180
    ref_d_ra = (stars.ra[moving] - stars.ra[0] + 180) % 360 - 180
    at = ref_d_ra * narrow, stars.dec[moving]
    near, _ = nearest((d_ra * narrow, dec), at, MATCH_ARCSEC / 3600)
    found = near >= 0
    index, ref = near[found], np.flatnonzero(moving)[found]
    cos = np.cos(np.radians(dec[index]))
    residual = np.array([(d_ra[index] - ref_d_ra[found]) * cos, dec[index] - stars.dec[ref]]) * 3600
    return residual, np.array([stars.pmra[ref], stars.pmdec[ref]], float) / 1000
