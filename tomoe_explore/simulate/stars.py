"""The sky of a simulation: a table's stars, or a synthetic sky."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from tomoe_explore import refcat
from tomoe_explore.simulate.draws import generator

Array = NDArray[np.float64]

FAINTEST = 20.0  #: G of the faintest star of a sky
COLORS = (0.95, 0.17), (1.9, 0.4)  #: mean and scatter of BP - RP of blue and of red stars, as of Gaia stars to G = 16
RED_PART = [12.0, 16.0, 20.0], [0.05, 0.12, 0.45]  #: share of the red ones by magnitude; *assumed* beyond 16


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


def synthetic_stars(
    seed: int, centers: Sequence[tuple[float, float]], radius_deg: float = 1.0, *, density: float = 1.0
) -> Stars:
    """A seeded sky to G = 20 around some centres; the same stars wherever the centres are.

    Parameters
    ----------
    seed : int
    centers : sequence of tuple of float
        RA and Dec, deg.
    radius_deg : float
    density : float
        Stars over those of the law below.

    Notes
    -----
    Counts follow ``log10 N(<G) = 3.04 + 0.27 (G - 16) - 0.012 (G - 16)^2`` a square degree: 1,096 at G = 16 (Gaia DR2
    has 1,090 at galactic latitude -31 deg), 4,400 at 18.5, 8,470 at 20, 10 at 10. Cells of one degree are drawn apart.
    Colours are those of blue (disc and halo) and red (dwarf) stars, more of these among the faint.

    Examples
    --------
    >>> stars = synthetic_stars(1, [(310.0, -12.0)])
    >>> 24_000 < len(stars) < 30_000
    True
    """
    cells = sorted({cell for center in centers for cell in _cells(center, radius_deg)})
    parts = [_cell_stars(seed, band, k, density) for band, k in cells]
    columns = [np.concatenate(c) for c in zip(*parts, strict=True)]
    n = np.arange(1, len(columns[0]) + 1)
    sky = Stars(n, columns[0].astype(np.int64), *columns[1:])
    return sky.near(centers, radius_deg)


def with_faint_stars(table: Stars, seed: int, centers: Sequence[tuple[float, float]], radius_deg: float = 1.0) -> Stars:
    """Stars of a table around some centres, continued to G = 20 by synthetic stars at the table's own density.

    They begin at the magnitude at which the table's counts stop to rise. A table that goes deep enough stays as it is.
    """  # fmt: skip
    near = table.near(centers, radius_deg)
    if len(near) == 0:
        return near
    complete, density = depth(table)
    if complete > FAINTEST - 0.5:
        return near
    faint = synthetic_stars(seed, centers, radius_deg, density=density)
    faint = faint[faint.mag > complete]
    return joined(near, replace(faint, star_id=faint.star_id + 10_000_000))


def joined(first: Stars, second: Stars) -> Stars:
    """The stars of both."""
    return Stars(*(np.concatenate([getattr(first, f.name), getattr(second, f.name)]) for f in fields(Stars)))


def depth(table: Stars) -> tuple[float, float]:
    """Magnitude to which a table is complete, and its density over that of `synthetic_stars` in the last 1.5 mag.

    The area of the table is that of the cells which hold its stars, eight a cell on average.

    Examples
    --------
    >>> complete, density = depth(synthetic_stars(1, [(310.0, -12.0)], density=3.0))
    >>> round(complete, 1), round(density, 1)
    (20.0, 3.0)
    """
    edges = np.arange(4.0, 25.0, 0.25)
    complete = float(edges[1 + int(np.argmax(np.histogram(table.mag, edges)[0]))])
    along = (table.ra - table.ra[0] + 180.0) % 360.0 - 180.0
    height = np.sin(np.radians(table.dec)) * np.degrees(1.0)
    cell = max(float(np.sqrt(8.0 * np.ptp(along) * np.ptp(height) / len(table))), 1e-3)
    cells = np.unique(np.floor(np.column_stack([along, height]) / cell), axis=0)
    # a cell at the rim is half empty: take off half of the rim of a square of that area
    area = (np.sqrt(len(cells)) - 1.0) ** 2 * cell**2
    last = float(((table.mag > complete - 1.5) & (table.mag <= complete)).sum())
    law = np.diff(np.interp([complete - 1.5, complete], _GRID, _COUNTS))[0]
    return complete, last / float(max(area, 1e-6)) / float(law)


def with_colors(seed: int, stars: Stars) -> Stars:
    """Stars whose unknown colours are drawn: the same for a star whatever other stars there are.

    Examples
    --------
    >>> stars = replace(synthetic_stars(1, [(310.0, -12.0)], 0.1), bp_rp=np.array(np.nan))
    >>> bool(np.isfinite(with_colors(1, stars).bp_rp).all())
    True
    """
    one, two, three = (_uniform(stars.source_id, 3 * seed + k) for k in range(3))
    drawn = _colors(stars.mag, one, np.sqrt(-2.0 * np.log(1.0 - two)) * np.cos(2 * np.pi * three))
    return replace(stars, bp_rp=np.where(np.isnan(stars.bp_rp), drawn, stars.bp_rp))


def _uniform(number: NDArray[np.int64], salt: int) -> Array:
    """Numbers from 0 to 1 made of whole ones by SplitMix64 (Steele et al. 2014, OOPSLA 49, 453)."""
    z = number.astype(np.uint64) * np.uint64(2) + np.uint64((salt * 0x9E3779B97F4A7C15) % 2**64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        z = (z ^ (z >> np.uint64(shift))) * np.uint64(factor)
    return np.asarray((z ^ (z >> np.uint64(31))) / 2.0**64)


def _colors(mag: Array, uniform: Array, normal: Array) -> Array:
    red = uniform < np.interp(mag, *RED_PART)
    color = np.where(red, COLORS[1][0] + COLORS[1][1] * normal, COLORS[0][0] + COLORS[0][1] * normal)
    return np.clip(color, -0.2, 3.5)


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


def _cell_stars(seed: int, band: int, k: int, density: float) -> list[Array]:
    """Columns of `Stars` (without ``star_id``) of one cell."""
    rng = generator(seed, "sky", band + 90, k)
    n_along = _cells_along(band)
    sin_low, sin_high = np.sin(np.radians([band, band + 1]))
    area = np.degrees(np.degrees(1.0)) * (sin_high - sin_low) * 2 * np.pi / n_along
    n = rng.poisson(_COUNTS[-1] * area * density)
    mag = np.interp(rng.uniform(_COUNTS[0], _COUNTS[-1], n), _COUNTS, _GRID)
    name = (band + 91) * 10_000_000_000 + k * 1_000_000 + np.arange(n)
    motion = rng.normal(0.0, 8.0, (2, n)) * 10 ** rng.normal(0.0, 0.3, n)
    return [
        name, (k + rng.random(n)) * 360.0 / n_along, np.degrees(np.arcsin(rng.uniform(sin_low, sin_high, n))),
        motion[0], motion[1] - 3.0, np.full(n, 2016.0), mag, _colors(mag, rng.random(n), rng.standard_normal(n)),
    ]  # fmt: skip
