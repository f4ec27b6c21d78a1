"""The films of the benchmark: three fields, many nights of one detector each, made and deleted one after another.

The simulator's skies end at G = 18.5, which a stack of 18 frames sees at a signal to noise of about 20. To have stars
at 7 as a real sky does, each field is continued with synthetic stars to G = 20 by the simulator's own law of counts,
raised to the density of the field.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tomoe_explore.simulate import Simulation, simulate
from tomoe_explore.simulate.projection import Projection, pointing_for
from tomoe_explore.simulate.stars import Stars, middle, read_stars, synthetic_stars

DETECTORS = (111, 112, 211, 221, 312, 323, 411, 125)
FAINTEST = 20.0
FIELD_RADIUS_DEG = 0.6
TABLES = {
    "sparse": ("gaia_dr2_ra309-318_dec-16--8_g16.parquet", 16.0),
    "dense": ("gaia_dr3_ra6.3_dec61.3_g18.5.parquet", 18.5),
}


@dataclass(frozen=True)
class Night:
    """One detector on one field.

    Attributes
    ----------
    field : str
        ``sparse``, ``dense`` (real Gaia stars) or ``synthetic``.
    seed, detector_id : int
    date : str
    aim : tuple of float
        Where the detector's centre ought to look, deg.
    stars : Path or None
        Real stars; None for a synthetic sky.
    exposures : int
    """

    field: str
    seed: int
    detector_id: int
    date: str
    aim: tuple[float, float]
    stars: Path | None
    exposures: int


def plan(data: Path | None, *, nights: int, exposures: int) -> list[Night]:
    """Nights of all fields for which there are stars, the fields in turn.

    Parameters
    ----------
    data : Path or None
        Folder of the real star tables; without it the sky is synthetic only.
    nights, exposures : int
        A field; a night.
    """
    fields = ["sparse", "dense", "synthetic"] if data is not None else ["synthetic"]
    rng = np.random.default_rng(20200814)
    planned = []
    for k in range(nights):
        for field in fields:
            table = data / TABLES[field][0] if data is not None and field in TABLES else None
            aim = _aim(field, table, rng)
            month, day = divmod(14 + 5 * (k % 10), 31)
            date = f"2020-{8 + month:02d}-{day + 1:02d}"
            planned.append(Night(field, 100 * k + 7, DETECTORS[k % len(DETECTORS)], date, aim, table, exposures))
    return planned


def _aim(field: str, table: Path | None, rng: np.random.Generator) -> tuple[float, float]:
    if field == "sparse":  # a diamond of 9 x 8 deg: somewhere well inside
        return float(rng.uniform(312.0, 315.0)), float(rng.uniform(-13.5, -10.5))
    if table is not None:  # one detector wide: its middle
        center = middle(read_stars(table))
        assert center is not None
        return center
    return float(rng.uniform(290.0, 350.0)), float(rng.uniform(-10.0, 60.0))


@contextmanager
def films(night: Night, scratch: Path, *, frames: int = 18) -> Iterator[Simulation]:
    """The films of a night, gone when the block ends."""
    folder = scratch / f"{night.field}-{night.seed}"
    try:
        folder.mkdir(parents=True)
        stars = folder / "stars.parquet"
        _write_stars(_sky(night), stars)
        yield simulate(
            folder / "raw", night=night.date, detectors=[night.detector_id], exposures=night.exposures, frames=frames,
            seed=night.seed, stars=stars, center=pointing_for(*night.aim, night.detector_id), progress=False,
        )  # fmt: skip
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _sky(night: Night) -> Stars:
    """Stars of the field to G = 20."""
    if night.stars is None:
        stars, complete = synthetic_stars(night.seed, [night.aim], FIELD_RADIUS_DEG), 18.5
    else:
        stars, complete = read_stars(night.stars).near([night.aim], FIELD_RADIUS_DEG), TABLES[night.field][1]
    detector = Projection.nominal(*pointing_for(*night.aim, night.detector_id), night.detector_id)
    x, y = detector.to_pixels(stars.ra, stars.dec)
    on_chip = int(((np.abs(x - 1000) < 1000) & (np.abs(y - 564) < 564) & (stars.mag < complete)).sum())
    density = on_chip / (2000 * 1128 * (1.189 / 3600) ** 2)
    rng = np.random.default_rng([night.seed, 18])
    return _joined(stars[stars.mag < complete], faint_stars(rng, night.aim, complete, density))


def faint_stars(rng: np.random.Generator, center: tuple[float, float], brightest: float, density: float) -> Stars:
    """Stars from ``brightest`` to G = 20 around a centre; ``density`` is that of all brighter ones a square degree.

    Notes
    -----
    ``log10 N(<G)`` rises by ``0.27 (G - 16) - 0.012 (G - 16)^2``, as in `simulate.stars.synthetic_stars`.

    Examples
    --------
    >>> stars = faint_stars(np.random.default_rng(1), (10.0, 60.0), 18.5, 4400.0)
    >>> 2500 < len(stars) / (np.pi * FIELD_RADIUS_DEG**2) < 4500, bool(stars.mag.min() > 18.5)
    (True, True)
    """
    grid = np.linspace(brightest, FAINTEST, 200)
    counts = 10 ** (0.27 * (grid - 16) - 0.012 * (grid - 16) ** 2)
    counts *= density / counts[0]
    n = rng.poisson((counts[-1] - counts[0]) * np.pi * FIELD_RADIUS_DEG**2)
    mag = np.interp(rng.uniform(counts[0], counts[-1], n), counts, grid)
    radius, angle = FIELD_RADIUS_DEG * np.sqrt(rng.random(n)), rng.uniform(0, 2 * np.pi, n)
    dec = center[1] + radius * np.sin(angle)
    ra = (center[0] + radius * np.cos(angle) / np.cos(np.radians(dec))) % 360.0
    number = np.arange(1, n + 1)
    zero = np.zeros(n)
    return Stars(number, 900_000_000 + number, ra, dec, zero, zero, zero + 2016.0, mag, rng.normal(1.1, 0.35, n))


def _joined(a: Stars, b: Stars) -> Stars:
    return Stars(*(np.concatenate([getattr(a, name), getattr(b, name)]) for name in Stars.__dataclass_fields__))


def _write_stars(stars: Stars, path: Path) -> None:
    names = {"phot_g_mean_mag": "mag", "ref_epoch": "epoch"}
    columns = ("source_id", "ra", "dec", "phot_g_mean_mag", "pmra", "pmdec", "ref_epoch", "bp_rp")
    pq.write_table(pa.table({c: getattr(stars, names.get(c, c)) for c in columns}), path)


@dataclass(frozen=True)
class FilmTruth:
    """What was put into one film.

    Attributes
    ----------
    hidden : dict
        Gain, noise, zero point and seeing that the simulator drew.
    stars, frames : dict of str to ndarray
        Truth tables; a star's ``ref_id`` is -1 where the reference catalog lacks it.
    moving : ndarray, (k, 4)
        Segments ``x1, y1, x2, y2`` that movers and streaks cover, px.
    """

    hidden: dict[str, Any]
    stars: dict[str, NDArray[Any]]
    frames: dict[str, NDArray[Any]]
    moving: NDArray[np.float64]


def film_truth(night: Simulation, exposure_id: int) -> FilmTruth:
    """The truth about one exposure of a night of one detector."""
    told = json.loads((night.out / "truth" / "hidden.json").read_text())
    (hidden,) = (row for row in told if row["exposure_id"] == exposure_id)
    names = ("ref_id", "ra", "dec", "phot_g_mean_mag", "bp_rp", "x", "y", "flux", "is_variable")
    stars = _columns(night.truth("stars"), exposure_id, names)
    frames = _columns(night.truth("frames"), exposure_id, ("frame", "mjd", "dx", "dy", "fwhm", "sky", "transparency"))
    streaks = _columns(night.truth("streaks"), exposure_id, ("x1", "y1", "x2", "y2"))
    movers = _columns(night.truth("mover_positions"), exposure_id, ("x", "y"))
    points = [movers["x"], movers["y"], movers["x"], movers["y"]]
    moving = np.hstack([np.array([*streaks.values()]), np.array(points)]).T
    return FilmTruth(hidden, stars, frames, moving)


def _columns(table: pa.Table, exposure_id: int, names: tuple[str, ...]) -> dict[str, NDArray[Any]]:
    rows = table.filter(pc.equal(table["exposure_id"], exposure_id))
    return {n: (rows[n].fill_null(-1) if n == "ref_id" else rows[n]).to_numpy() for n in names}
