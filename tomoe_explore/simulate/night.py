"""A night: one dark, one flat and some exposures of the sky with some detectors, and the truth about them."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tomoe_explore import schema
from tomoe_explore.camera import check_detector
from tomoe_explore.errors import NotFoundError, ParameterError
from tomoe_explore.refcat import write_refcat
from tomoe_explore.simulate.conditions import Conditions
from tomoe_explore.simulate.make import make_films
from tomoe_explore.simulate.movers import read_movers
from tomoe_explore.simulate.plan import Plan, choose_center, choose_stars, make_plan, read_table, schedule, told_center
from tomoe_explore.simulate.streaks import PlacedStreak
from tomoe_explore.simulate.truth import TruthTables

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Simulation:
    """What a simulated night left on disk.

    Attributes
    ----------
    out : Path
        Folder of the films.
    films, darks, flats : tuple of Path
        Films of the sky; calibrations.
    refcat : Path
        What an observer would have: stars with errors and gaps.
    center : tuple of float
        Where the telescope was told to point, deg.
    n_stars : int
        In the reference catalog.
    seconds : float
        Wall time.
    """

    out: Path
    films: tuple[Path, ...]
    darks: tuple[Path, ...]
    flats: tuple[Path, ...]
    refcat: Path
    center: tuple[float, float]
    n_stars: int
    seconds: float
    _bytes: int = field(repr=False, default=0)

    def truth(self, table: str) -> pa.Table:
        """One of the truth tables: ``stars, frames, movers, mover_positions, streaks, variables``.

        Raises
        ------
        NotFoundError
            If there is no such table.
        """
        if table not in schema.TRUTH:
            raise NotFoundError(f"no truth table {table!r}; there are {', '.join(schema.TRUTH)}")
        return pq.read_table(self.out / "truth" / f"{table}.parquet")

    def __repr__(self) -> str:
        return (
            f"Simulation of {len(self.films)} films, {len(self.darks)} darks and {len(self.flats)} flats "
            f"({self._bytes / 1e6:.0f} MB) in {self.out}\n"
            f"  telescope at RA {self.center[0]:.4f}, Dec {self.center[1]:+.4f}; "
            f"{self.n_stars} stars in {self.refcat.name}; truth in {self.out / 'truth'}; {self.seconds:.0f} s"
        )


def simulate(
    out: str | os.PathLike[str],
    *,
    night: str = "2020-08-14",
    detectors: Sequence[int] = (111, 112),
    exposures: int = 3,
    frames: int = 18,
    seed: int = 1,
    stars: str | os.PathLike[str] | None = None,
    center: tuple[float, float] | None = None,
    movers: int = 1,
    streaks: int = 1,
    flares: int = 0,
    variables: int = 1,
    eclipses: int = 0,
    glints: int = 0,
    mover_table: str | os.PathLike[str] | pa.Table | pd.DataFrame | None = None,
    seeing: float | None = None,
    moon: float = 0.0,
    cloud: float = 0.0,
    pointing_error_arcmin: float = 0.75,
    gain: str = "high",
    mistake: str | None = None,
    placed_streaks: Sequence[PlacedStreak] = (),
    workers: int = 1,
    progress: bool = True,
) -> Simulation:
    """Make a night of raw films with known truth.

    Parameters
    ----------
    out : str or path
        Folder for the films; ``truth/*.parquet``, ``truth/hidden.json`` and ``refcat.parquet`` are written there too.
    night : str
        Local observing date, ``YYYY-MM-DD``.
    detectors : sequence of int
        ``DET_ID`` of the detectors that are read.
    exposures, frames : int
        Exposures of the sky, and frames of every film at 2 Hz (flats: 1 Hz).
    seed : int
        The same seed gives the same bytes.
    stars : str or path, optional
        Star table that `refcat.read_star_table` reads; a synthetic sky to G = 20 where absent. A table that ends
        brighter is continued to 20 with synthetic stars at its own density.
    center : tuple of float, optional
        Where the telescope points, RA and Dec in deg. Without it the first detector is centred on the stars of the
        table; on a table of the whole sky, and without one, the telescope points at (310, -12).
    movers, flares, variables, eclipses : int
        A detector: moving objects that are met in all exposures, flaring, pulsating and eclipsed stars.
    streaks, glints : int
        A film: trails that cross it (those of other detectors may too), and points that flash in one frame.
    mover_table : path, pyarrow.Table or pandas.DataFrame, optional
        The moving objects, instead of drawn ones: ``ra, dec`` (deg) at ``mjd`` (MJD, UTC), ``rate`` (arcsec/s),
        ``position_angle`` (deg), and ``mag`` (Gaia G) or ``snr`` (in each frame, matched along the trail); besides
        ``mover_id``, and ``exposure_id`` for those that are in one exposure only.
    seeing : float, optional
        Full width at half maximum of star images, arcsec; 2.5 to 4.5, new in every exposure, where absent.
    moon : float
        Moonlight, 0 to 1: the sky is up to 3 mag brighter, and slopes by 10 to 30 % over a detector.
    cloud : float
        Typical extinction by passing clouds, mag; 0 is a clear sky whose transparency changes by 1 %.
    pointing_error_arcmin : float
        Largest distance from the header to where the telescope points; it is also turned, by 0.2 deg for an arcmin.
    gain : str
        Gain mode: ``high``, ``mid`` or ``low``.
    mistake : str, optional
        What the observer did wrong: one of `MISTAKES`.
    placed_streaks : sequence of PlacedStreak
        Streaks at given places, beside those drawn.
    workers : int
        Processes that make films; the bytes do not depend on it.
    progress : bool
        Whether to show a bar.

    Returns
    -------
    Simulation

    Raises
    ------
    ParameterError
        If a number, the night, a detector, a name or a mover makes no sense.
    NotFoundError
        If there is no such table of movers.
    RefcatError
        If the star table cannot be understood, or no star is near the detectors.

    Notes
    -----
    Every detector hides a gain, read noise, zero point, colour term, place, rotation and distortion near the nominal
    ones of ``camera.py``; every exposure a pointing error, its seeing, and the motion, transparency and scintillation
    of each frame. ``truth/hidden.json`` tells them: ``Projection(**hidden["projection"])`` is a film's true geometry.
    A star's ``x, y`` in the truth is where its light falls, with the refraction of its colour and without the motion.

    Examples
    --------
    >>> import tempfile
    >>> night = simulate(tempfile.mkdtemp(), detectors=[112], exposures=1, frames=2, progress=False)
    >>> night.films[0].name
    'rTMQ1202008140035775412.fits'
    """
    started = time.perf_counter()
    _check(night, detectors, {"exposures": exposures, "frames": frames, "workers": workers}, 1)
    counts = {
        "movers": movers, "streaks": streaks, "glints": glints,
        "variables": variables, "flares": flares, "eclipses": eclipses,
    }  # fmt: skip
    _check(night, detectors, counts | {"seed": seed}, 0)
    conditions = Conditions(seeing, moon, cloud, pointing_error_arcmin, gain, mistake)
    table = read_table(stars)
    center = choose_center(table, center, detectors)
    told = told_center(seed, center, conditions)
    if mover_table is not None:
        counts["movers"] = 0
    given = [] if mover_table is None else read_movers(mover_table)
    sky = choose_stars(seed, table, (center, told), detectors, mistake)
    setups = list(schedule(seed, night, exposures, frames, told))
    plan, catalog = make_plan(seed, sky, conditions, setups, counts, center=center, detectors=detectors)
    plan = replace(plan, movers=(*plan.movers, *given), placed_streaks=tuple(placed_streaks))
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    write_refcat(catalog, folder / "refcat.parquet", name=f"simulated-{night}-{seed}")
    written = _write(plan, detectors, folder, workers=workers, progress=progress)
    films, darks, flats = (tuple(sorted(written[k])) for k in ("object", "dark", "flat"))
    size = sum(p.stat().st_size for p in films + darks + flats)
    seconds = time.perf_counter() - started
    return Simulation(folder, films, darks, flats, folder / "refcat.parquet", told, len(catalog), seconds, size)


def _write(
    plan: Plan, detectors: Sequence[int], folder: Path, *, workers: int, progress: bool
) -> Mapping[str, list[Path]]:
    """Films by kind; the truth is written too."""
    from tqdm.auto import tqdm

    truth = TruthTables()
    for detector_id in detectors:
        _note_variables(plan, detector_id, truth)
    written: dict[str, list[Path]] = {"object": [], "dark": [], "flat": []}
    with tqdm(total=len(detectors) * len(plan.setups), desc="simulate", unit="film", disable=not progress) as bar:
        for made in make_films(plan, detectors, folder, workers):
            written[made.kind].append(made.path)
            truth.extend(made.truth)
            bar.update()
    truth.write(folder / "truth")
    return written


def _check(night: str, detectors: Sequence[int], numbers: dict[str, int], least: int) -> None:
    try:
        if date.fromisoformat(night).isoformat() != night:
            raise ValueError
    except ValueError:
        raise ParameterError(f"night must be a date YYYY-MM-DD, got {night!r}") from None
    if not detectors or len(set(detectors)) != len(detectors):
        raise ParameterError(f"detectors must be at least one, each once, got {list(detectors)}")
    for detector_id in detectors:
        check_detector(detector_id)
    for name, value in numbers.items():
        if value < least:
            raise ParameterError(f"{name} must be at least {least}, got {value}")


def _note_variables(plan: Plan, detector_id: int, truth: TruthTables) -> None:
    for star_id, variation in (plan.variations or {})[detector_id].items():
        (k,) = np.flatnonzero(plan.stars.star_id == star_id)
        ra, dec = plan.stars.at(plan.span_mjd[0])
        truth.add(
            "variables", star_id=[star_id], ref_id=[int(plan.stars.source_id[k]) if plan.known[k] else None],
            kind=variation.kind, ra=float(ra[k] % 360.0), dec=float(dec[k]), phot_g_mean_mag=float(plan.stars.mag[k]),
            period=variation.period, amplitude=variation.amplitude, epoch=variation.epoch,
        )  # fmt: skip
