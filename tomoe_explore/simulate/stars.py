"""The sky of a simulation: a table's stars or a synthetic sky, and the catalog an observer would have of it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tomoe_explore import refcat
from tomoe_explore.errors import RefcatError
from tomoe_explore.simulate.draws import generator

Array = NDArray[np.float64]

FAINTEST = 18.5  #: G of the faintest star of the synthetic sky
GAPS, GAPS_FROM = 0.01, 15.0  #: share of the stars fainter than this that the observer's catalog lacks
POSITION_ERROR_MAS, MAG_ERROR, PM_ERROR_MAS = 20.0, 0.01, 0.1  #: errors of the observer's catalog


@dataclass(frozen=True)
class Stars:
    """Stars as they truly are.

    Attributes
    ----------
    star_id, source_id : ndarray of int64
        Running number of the simulation; name in the reference catalog.
    ra, dec, pmra, pmdec, epoch : ndarray
        deg (ICRS) at ``epoch`` (Julian years); mas/yr, ``pmra`` times cos(dec).
    mag, bp_rp : ndarray
        Gaia G (Vega); colour, NaN where unknown.
    """

    star_id: NDArray[np.int64]
    source_id: NDArray[np.int64]
    ra: Array
    dec: Array
    pmra: Array
    pmdec: Array
    epoch: Array
    mag: Array
    bp_rp: Array

    def __len__(self) -> int:
        return len(self.star_id)

    def __getitem__(self, index: object) -> Stars:
        return Stars(*(getattr(self, f.name)[index] for f in fields(self)))

    def near(self, centers: Sequence[tuple[float, float]], radius_deg: float) -> Stars:
        """Stars within a radius of any of the centres (RA, Dec in deg)."""
        near = np.zeros(len(self), dtype=bool)
        for ra, dec in centers:
            near |= _distance(self.ra, self.dec, ra, dec) <= radius_deg
        return self[near]

    def at(self, mjd: float) -> tuple[Array, Array]:
        """Positions (deg) moved to a date."""
        years = 2000.0 + (mjd - 51544.5) / 365.25 - self.epoch
        dec = self.dec + years * self.pmdec / 3.6e6
        return self.ra + years * self.pmra / 3.6e6 / np.cos(np.radians(self.dec)), dec


def _distance(ra: Array, dec: Array, ra0: float, dec0: float) -> Array:
    d, d0 = np.radians(dec), np.radians(dec0)
    haversine = np.sin((d - d0) / 2) ** 2 + np.cos(d) * np.cos(d0) * np.sin(np.radians(ra - ra0) / 2) ** 2
    return np.degrees(2 * np.arcsin(np.sqrt(np.clip(haversine, 0, 1))))


def read_stars(path: str | os.PathLike[str]) -> Stars:
    """The stars of a table that ``refcat.read_star_table`` and ``refcat.standard_columns`` understand."""
    table = refcat.standard_columns(refcat.read_star_table(path))
    get = {n: np.array(table[n].to_numpy(), dtype=float) for n in table.column_names if n != "source_id"}
    return Stars(
        star_id=np.arange(1, table.num_rows + 1),
        source_id=np.array(table["source_id"].to_numpy()),
        ra=get["ra"],
        dec=get["dec"],
        pmra=np.nan_to_num(get["pmra"]),
        pmdec=np.nan_to_num(get["pmdec"]),
        epoch=get["ref_epoch"],
        mag=get["phot_g_mean_mag"],
        bp_rp=get["bp_rp"],
    )


def middle(stars: Stars) -> tuple[float, float] | None:
    """Middle (deg) of the box around the stars; None where they fill more than 30 deg, such as the whole sky.

    Examples
    --------
    >>> middle(synthetic_stars(1, [(359.99, 10.0)])) is not None
    True
    """
    toward = np.exp(1j * np.radians(stars.ra)).mean()
    start = float(np.degrees(np.angle(toward)))
    d_ra = (stars.ra - start + 180.0) % 360.0 - 180.0
    if np.ptp(d_ra) > 30.0 or np.ptp(stars.dec) > 30.0:
        return None
    return (start + (d_ra.min() + d_ra.max()) / 2) % 360.0, float((stars.dec.min() + stars.dec.max()) / 2)


def synthetic_stars(seed: int, centers: Sequence[tuple[float, float]], radius_deg: float = 1.0) -> Stars:
    """A seeded sky to G = 18.5 around some centres; the same stars wherever the centres are.

    Notes
    -----
    Counts follow ``log10 N(<G) = 3.04 + 0.27 (G - 16) - 0.012 (G - 16)^2`` a square degree: 1,096 at G = 16 (Gaia DR2
    has 1,090 at galactic latitude -31 deg), 4,400 at 18.5, 10 at 10. Cells of one degree are drawn apart.

    Examples
    --------
    >>> stars = synthetic_stars(1, [(310.0, -12.0)])
    >>> 10_000 < len(stars) < 17_000
    True
    """
    cells = sorted({cell for center in centers for cell in _cells(center, radius_deg)})
    parts = [_cell_stars(seed, band, k) for band, k in cells]
    columns = [np.concatenate(c) for c in zip(*parts, strict=True)]
    n = np.arange(1, len(columns[0]) + 1)
    sky = Stars(n, columns[0].astype(np.int64), *columns[1:])
    return sky.near(centers, radius_deg)


def with_faint_stars(stars: Stars, faint: Stars) -> Stars:
    """Fill a table up to G = 18.5 with synthetic stars fainter than the magnitude at which its counts stop to rise."""
    if len(stars) == 0:
        return stars
    edges = np.arange(4.0, 25.0, 0.25)
    complete = edges[1 + int(np.argmax(np.histogram(stars.mag, edges)[0]))]
    added = faint[faint.mag > complete]
    if complete > FAINTEST - 0.5 or len(added) == 0:
        return stars
    added = replace(added, star_id=added.star_id + 10_000_000)
    return Stars(*(np.concatenate([getattr(stars, f.name), getattr(added, f.name)]) for f in fields(Stars)))


def _cells(center: tuple[float, float], radius_deg: float) -> list[tuple[int, int]]:
    """One-degree cells (declination band, number along it) that a circle may touch."""
    ra, dec = center
    cells = []
    for band in range(int(np.floor(dec - radius_deg)), int(np.floor(dec + radius_deg)) + 1):
        if not -90 <= band < 90:
            continue
        n = _cells_along(band)
        reach = int(np.ceil((radius_deg + 1.0) * n / max(360.0 * np.cos(np.radians(dec)), 1e-3)))
        middle_cell = int(np.floor(ra / 360.0 * n))
        cells += [(band, (middle_cell + k) % n) for k in range(-min(reach, n // 2), min(reach, n // 2) + 1)]
    return cells


def _cells_along(band: int) -> int:
    return max(1, int(360 * np.cos(np.radians(band + 0.5))))


_GRID = np.linspace(4.0, FAINTEST, 600)
_COUNTS = 10 ** (3.04 + 0.27 * (_GRID - 16) - 0.012 * (_GRID - 16) ** 2)


def _cell_stars(seed: int, band: int, k: int) -> list[Array]:
    """Columns of `Stars` (without ``star_id``) of one cell."""
    rng = generator(seed, "sky", band + 90, k)
    n_along = _cells_along(band)
    sin_low, sin_high = np.sin(np.radians([band, band + 1]))
    area = np.degrees(np.degrees(1.0)) * (sin_high - sin_low) * 2 * np.pi / n_along
    n = rng.poisson(_COUNTS[-1] * area)
    mag = np.interp(rng.uniform(_COUNTS[0], _COUNTS[-1], n), _COUNTS, _GRID)
    name = (band + 91) * 10_000_000_000 + k * 1_000_000 + np.arange(n)
    motion = rng.normal(0.0, 8.0, (2, n)) * 10 ** rng.normal(0.0, 0.3, n)
    return [
        name, (k + rng.random(n)) * 360.0 / n_along, np.degrees(np.arcsin(rng.uniform(sin_low, sin_high, n))),
        motion[0], motion[1] - 3.0, np.full(n, 2016.0), mag, np.clip(rng.normal(1.05, 0.35, n), -0.2, 3.5),
    ]  # fmt: skip


def observed_catalog(seed: int, stars: Stars) -> tuple[pa.Table, NDArray[np.bool_]]:
    """What an observer knows: the stars with small errors and gaps, and which stars are in it.

    Returns
    -------
    pyarrow.Table, ndarray of bool
        Columns of a reference catalog; one element a star.
    """
    if len(stars) == 0:
        raise RefcatError("no star of the table lies within 1 deg of the detectors: choose another centre or detectors")
    rng = generator(seed, "refcat")
    known = (rng.random(len(stars)) >= GAPS) | (stars.mag < GAPS_FROM)
    shift = rng.normal(0.0, POSITION_ERROR_MAS / 3.6e6, (2, len(stars)))
    columns = {
        "source_id": stars.source_id,
        "ra": (stars.ra + shift[0] / np.cos(np.radians(stars.dec))) % 360.0,
        "dec": stars.dec + shift[1],
        "phot_g_mean_mag": stars.mag + rng.normal(0.0, MAG_ERROR, len(stars)),
        "pmra": stars.pmra + rng.normal(0.0, PM_ERROR_MAS, len(stars)),
        "pmdec": stars.pmdec + rng.normal(0.0, PM_ERROR_MAS, len(stars)),
        "ref_epoch": stars.epoch,
        "bp_rp": stars.bp_rp,
    }
    return refcat.standard_columns(pa.table({n: c[known] for n, c in columns.items()})), known
