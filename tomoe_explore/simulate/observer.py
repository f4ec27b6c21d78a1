"""The star catalog an observer would have: errors that grow with faintness, gaps, an epoch, an end."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tomoe_explore import refcat
from tomoe_explore.errors import RefcatError
from tomoe_explore.simulate.draws import generator
from tomoe_explore.simulate.stars import Stars

Array = NDArray[np.float64]

CATALOG_MAG = (2.0, 18.5)  #: *assumed*: the catalog has stars between these G
GAPS, GAPS_FROM = 0.01, 15.0  #: *assumed*: share of the stars fainter than this that it lacks
COLOR_GAPS = 0.02  #: *assumed*: share of its stars without a colour
POSITION_ERROR_MAS = (5.0, 40.0)  #: *assumed*: of bright stars, along each axis, and what G = 18.5 adds
PM_ERROR_MAS = (0.05, 0.5)  #: *assumed*: the same, in a year
MAG_ERROR = (0.004, 0.015)  #: *assumed*: the same, of the magnitude


def catalog_error(limits: tuple[float, float], mag: Array) -> Array:
    """Standard error of stars: ``hypot(bright, faint 10^(0.2 (G - 18.5)))``.

    Examples
    --------
    >>> catalog_error(POSITION_ERROR_MAS, np.array([10.0, 18.5])).round(1).tolist()
    [5.1, 40.3]
    """
    bright, faint = limits
    return np.hypot(bright, faint * 10.0 ** (0.2 * (np.asarray(mag) - CATALOG_MAG[1])))


def observed_catalog(
    seed: int, stars: Stars, colored: NDArray[np.bool_] | None = None
) -> tuple[pa.Table, NDArray[np.bool_]]:
    """What an observer knows of the stars, and which stars are in it.

    Parameters
    ----------
    seed : int
    stars : Stars
        All with their true colour.
    colored : ndarray of bool, optional
        Stars whose colour is known; all where absent.

    Returns
    -------
    pyarrow.Table, ndarray of bool
        Columns of a reference catalog; one element a star.

    Raises
    ------
    RefcatError
        If there are no stars.
    """
    if len(stars) == 0:
        raise RefcatError("no star of the table lies within 1 deg of the detectors: choose another centre or detectors")
    rng = generator(seed, "refcat")
    known = (rng.random(len(stars)) >= GAPS) | (stars.mag < GAPS_FROM)
    known &= (stars.mag > CATALOG_MAG[0]) & (stars.mag <= CATALOG_MAG[1])
    shift = rng.standard_normal((2, len(stars))) * catalog_error(POSITION_ERROR_MAS, stars.mag) / 3.6e6
    motion = rng.standard_normal((2, len(stars))) * catalog_error(PM_ERROR_MAS, stars.mag)
    has_color = rng.random(len(stars)) >= COLOR_GAPS
    if colored is not None:
        has_color &= colored
    columns = {
        "source_id": stars.source_id,
        "ra": (stars.ra + shift[0] / np.cos(np.radians(stars.dec))) % 360.0,
        "dec": stars.dec + shift[1],
        "phot_g_mean_mag": stars.mag + rng.standard_normal(len(stars)) * catalog_error(MAG_ERROR, stars.mag),
        "pmra": stars.pmra + motion[0],
        "pmdec": stars.pmdec + motion[1],
        "ref_epoch": stars.epoch,
        "bp_rp": np.where(has_color, stars.bp_rp, np.nan),
    }
    return refcat.standard_columns(pa.table({n: c[known] for n, c in columns.items()})), known
