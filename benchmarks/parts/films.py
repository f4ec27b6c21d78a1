"""The films of the benchmark: three fields, many nights of one detector each, made and deleted one after another.

Each night has a seeing, some have moonlight, a header that points amiss, or clouds. The simulator continues every sky
to G = 20: a stack of 18 frames sees stars of 19 mag at a signal to noise of about 7.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tomoe_explore.simulate import Simulation, simulate
from tomoe_explore.simulate.projection import pointing_for
from tomoe_explore.simulate.stars import middle, read_stars

DETECTORS = (111, 112, 211, 221, 312, 323, 411, 125)
SEEINGS = (2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0, 8.0)  #: arcsec, one a night in turn
MOON = 0.5  #: of every fourth night
CLOUD_MAG = 0.3  #: of the cloudy nights
POINTING_ARCMIN = 0.75  #: how far a header may be amiss; the camera is turned by up to 0.2 deg for an arcmin
AMISS_ARCMIN = {"sparse": 5.0, "dense": 1.0, "synthetic": 5.0}  #: of every third night; the dense patch is small
TABLES = {"sparse": "gaia_dr2_ra309-318_dec-16--8_g16.parquet", "dense": "gaia_dr3_ra6.3_dec61.3_g18.5.parquet"}


@dataclass(frozen=True)
class Size:
    """How much is done.

    Attributes
    ----------
    nights, exposures : int
        Clear nights a field, exposures a night.
    cloudy : int
        Cloudy nights a field.
    timed : tuple of int
        Numbers of the clear nights that are timed; those of every third night point amiss, which the peers cannot take.
    rounds : int
        Of the timing.
    seeings : tuple of float
        arcsec, one a night in turn.
    """

    nights: int
    exposures: int
    cloudy: int
    timed: tuple[int, ...]
    rounds: int
    seeings: tuple[float, ...] = SEEINGS


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
    seeing, moon, cloud, pointing_error_arcmin : float
        As `simulate` takes them.
    timed : bool
        Whether costs are measured on it.
    """

    field: str
    seed: int
    detector_id: int
    date: str
    aim: tuple[float, float]
    stars: Path | None
    exposures: int
    seeing: float
    moon: float = 0.0
    cloud: float = 0.0
    pointing_error_arcmin: float = POINTING_ARCMIN
    timed: bool = False

    @property
    def name(self) -> str:
        """Short, and of this night alone."""
        return f"{self.field}-{self.seed}"


def plan(data: Path | None, size: Size) -> list[Night]:
    """Nights of all fields for which there are stars, the fields in turn; the cloudy ones come last.

    Parameters
    ----------
    data : Path or None
        Folder of the real star tables; without it the sky is synthetic only.
    size : Size

    Examples
    --------
    >>> nights = plan(None, Size(nights=3, exposures=8, cloudy=1, timed=(0,), rounds=5))
    >>> [(n.seeing, n.moon, n.pointing_error_arcmin, n.cloud) for n in nights]
    [(2.0, 0.0, 0.75, 0.0), (2.5, 0.5, 0.75, 0.0), (3.0, 0.0, 5.0, 0.0), (3.0, 0.0, 0.75, 0.3)]
    >>> [n.timed for n in nights]
    [True, False, False, False]
    """
    fields = list(AMISS_ARCMIN) if data is not None else ["synthetic"]
    rng = np.random.default_rng(20200814)
    planned = []
    for k in range(size.nights + size.cloudy):
        for field in fields:
            night = _night(k, field, data, rng, size)
            if k >= size.nights:
                night = replace(
                    night, seeing=3.0, moon=0.0, cloud=CLOUD_MAG, pointing_error_arcmin=POINTING_ARCMIN, timed=False
                )
            planned.append(night)
    return planned


def _night(k: int, field: str, data: Path | None, rng: np.random.Generator, size: Size) -> Night:
    """Detectors and moonlight are shifted from field to field, so that they do not go with the seeing."""
    table = data / TABLES[field] if data is not None and field in TABLES else None
    place = list(AMISS_ARCMIN).index(field)
    month, day = divmod(14 + 5 * (k % 10), 31)
    return Night(
        field, 100 * k + 7, DETECTORS[(k + 3 * place) % len(DETECTORS)], f"2020-{8 + month:02d}-{day + 1:02d}",
        _aim(field, table, rng), table, size.exposures, size.seeings[k % len(size.seeings)],
        moon=MOON if (k + place) % 4 == 3 else 0.0,
        pointing_error_arcmin=AMISS_ARCMIN[field] if k % 3 == 2 else POINTING_ARCMIN, timed=k in size.timed,
    )  # fmt: skip


def _aim(field: str, table: Path | None, rng: np.random.Generator) -> tuple[float, float]:
    if field == "sparse":  # a diamond of 9 x 8 deg: somewhere well inside
        return float(rng.uniform(312.0, 315.0)), float(rng.uniform(-13.5, -10.5))
    if table is not None:  # one detector wide: its middle
        center = middle(read_stars(table))
        assert center is not None
        return center
    return float(rng.uniform(290.0, 350.0)), float(rng.uniform(-10.0, 60.0))


@contextmanager
def films(night: Night, scratch: Path, *, workers: int = 1, frames: int = 18, **things: object) -> Iterator[Simulation]:
    """The films of a night, gone when the block ends; ``things`` goes to `simulate`, before what the night says."""
    said: dict[str, object] = {
        "night": night.date, "detectors": [night.detector_id], "exposures": night.exposures, "frames": frames,
        "seed": night.seed, "stars": night.stars, "center": pointing_for(*night.aim, night.detector_id),
        "seeing": night.seeing, "moon": night.moon, "cloud": night.cloud, "glints": 1,
        "pointing_error_arcmin": night.pointing_error_arcmin,
    }  # fmt: skip
    folder = scratch / night.name
    try:
        folder.mkdir(parents=True)
        yield simulate(folder / "raw", workers=workers, progress=False, **(said | things))  # type: ignore[arg-type]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


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
        Segments ``x1, y1, x2, y2`` (px) that movers cover from frame to frame, and streaks; points for glints.
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
    movers = _columns(night.truth("mover_positions"), exposure_id, ("mover_id", "frame", "x", "y"))
    moving = np.vstack([np.array([*streaks.values()]).T, _tracks(movers)])
    return FilmTruth(hidden, stars, frames, moving)


def _tracks(movers: dict[str, NDArray[Any]]) -> NDArray[np.float64]:
    """From each position of a mover to its next one; the last stands for itself."""
    order = np.lexsort((movers["frame"], movers["mover_id"]))
    here = np.column_stack([movers["x"], movers["y"]])[order].astype(float)
    there = np.vstack([here[1:], here[-1:]])
    last = np.append(np.diff(movers["mover_id"][order]) != 0, True)[: len(here)]
    return np.hstack([here, np.where(last[:, None], here, there)])


def _columns(table: pa.Table, exposure_id: int, names: tuple[str, ...]) -> dict[str, NDArray[Any]]:
    rows = table.filter(pc.equal(table["exposure_id"], exposure_id))
    return {n: (rows[n].fill_null(-1) if n == "ref_id" else rows[n]).to_numpy() for n in names}
