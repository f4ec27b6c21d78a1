"""Step 5: where photometry is forced: all reference stars on the film, and detections that are none of them."""

from __future__ import annotations

import numpy as np
from astropy.wcs import WCS
from scipy.spatial import cKDTree

from tomoe_explore.camera import NX, NY
from tomoe_explore.data import Refcat
from tomoe_explore.reduction.values import Detections, Solution, Targets

MATCH_PX = 2.0  #: a detection this near to a reference star is the star


def choose_targets(detections: Detections, solution: Solution, refcat: Refcat, *, mag_limit: float) -> Targets:
    """Positions of the forced photometry.

    Parameters
    ----------
    detections : Detections
    solution : Solution
    refcat : Refcat
        At the epoch of the film, covering its field.
    mag_limit : float
        Faintest reference stars taken, Gaia G.

    Returns
    -------
    Targets
        Reference stars at their catalog position, then detections at their own.
    """
    wcs = WCS(solution.wcs_header)
    bright = np.flatnonzero(refcat.mag <= mag_limit)
    x, y = wcs.all_world2pix(refcat.ra[bright], refcat.dec[bright], 0, quiet=True)
    inside = (x > -0.5) & (y > -0.5) & (x < NX - 0.5) & (y < NY - 0.5)
    stars, x, y = bright[inside], x[inside], y[inside]
    detection = np.full(len(stars), -1, np.int64)
    alone = np.ones(len(detections), bool)
    if len(stars) and len(detections):
        tree = cKDTree(np.column_stack([detections.x, detections.y]))
        distance, nearest = tree.query(np.column_stack([x, y]), distance_upper_bound=MATCH_PX)
        found = np.isfinite(distance)
        detection[found] = nearest[found]
        alone[nearest[found]] = False
    rest = np.flatnonzero(alone)
    ra, dec = wcs.all_pix2world(detections.x[rest], detections.y[rest], 0)
    none = np.full(len(rest), np.nan, np.float32)
    return Targets(
        ra=np.concatenate([refcat.ra[stars], ra]),
        dec=np.concatenate([refcat.dec[stars], dec]),
        x=np.concatenate([x, detections.x[rest]]).astype(np.float32),
        y=np.concatenate([y, detections.y[rest]]).astype(np.float32),
        ref_id=np.concatenate([refcat.source_id[stars], np.full(len(rest), -1)]).astype(np.int64),
        ref_mag=np.concatenate([refcat.mag[stars], none]).astype(np.float32),
        bp_rp=np.concatenate([refcat.bp_rp[stars], none]).astype(np.float32),
        detection=np.concatenate([detection, rest]).astype(np.int64),
    )
