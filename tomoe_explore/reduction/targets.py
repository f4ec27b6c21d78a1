"""Step 5: where photometry is forced: all reference stars on the film, and detections that are none."""

from __future__ import annotations

import numpy as np
from hpgeom import angle_to_pixel
from numpy.typing import NDArray

from tomoe_explore.camera import NX, NY
from tomoe_explore.data import Refcat
from tomoe_explore.kernels.matching import nearest
from tomoe_explore.reduction.values import Detections, Doubles, Solution, Targets
from tomoe_explore.wcs import TanSip

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
        Reference stars at their catalog position and detections at their own, in HEALPix order.
    """
    wcs = TanSip.from_header(solution.wcs_header)
    bright = np.flatnonzero(refcat.mag <= mag_limit)
    x, y = wcs.to_pixels(refcat.ra[bright], refcat.dec[bright])
    inside = (x > -0.5) & (y > -0.5) & (x < NX - 0.5) & (y < NY - 0.5)
    stars, x, y = bright[inside], x[inside], y[inside]
    detection, _ = nearest((detections.x, detections.y), (x, y), MATCH_PX)
    alone = np.ones(len(detections), bool)
    alone[detection[detection >= 0]] = False
    rest = np.flatnonzero(alone)
    ra_rest, dec_rest = wcs.to_sky(detections.x[rest], detections.y[rest])
    ra, dec = np.concatenate([refcat.ra[stars], ra_rest]), np.concatenate([refcat.dec[stars], dec_rest])
    healpix = healpix_29(ra, dec)
    order = np.argsort(healpix, kind="stable")
    none = np.full(len(rest), np.nan, np.float32)
    columns = {
        "ra": ra, "dec": dec, "healpix": healpix,
        "x": np.concatenate([x, detections.x[rest]]).astype(np.float32),
        "y": np.concatenate([y, detections.y[rest]]).astype(np.float32),
        "ref_id": np.concatenate([refcat.source_id[stars], np.full(len(rest), -1)]).astype(np.int64),
        "ref_mag": np.concatenate([refcat.mag[stars], none]).astype(np.float32),
        "bp_rp": np.concatenate([refcat.bp_rp[stars], none]).astype(np.float32),
        "detection": np.concatenate([detection, rest]).astype(np.int64),
    }  # fmt: skip
    return Targets(**{name: column[order] for name, column in columns.items()})


def healpix_29(ra: Doubles, dec: Doubles) -> NDArray[np.int64]:
    """HEALPix index at order 29, nested."""
    return np.asarray(angle_to_pixel(1 << 29, ra, dec))
