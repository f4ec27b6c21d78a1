"""A night: one dark, one flat and some exposures of the sky with some detectors, and the truth about them."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tomoe_explore import schema
from tomoe_explore.camera import NX, NY, check_detector, film_name, focal_plane_offset
from tomoe_explore.errors import NotFoundError, ParameterError
from tomoe_explore.refcat import write_refcat
from tomoe_explore.simulate.atmosphere import airmass, best_start, draw_atmosphere
from tomoe_explore.simulate.draws import generator
from tomoe_explore.simulate.exposure import FilmSetup, note_frames, place_movers, place_stars, place_streaks
from tomoe_explore.simulate.film import Scene, calibration_frames, object_frames, write_film
from tomoe_explore.simulate.header import ExposureSetup, night_mjd, raw_header
from tomoe_explore.simulate.movers import draw_movers
from tomoe_explore.simulate.projection import Projection, pointing_for
from tomoe_explore.simulate.sensor import Sensor, draw_sensor
from tomoe_explore.simulate.stars import Stars, middle, observed_catalog, read_stars, synthetic_stars, with_faint_stars
from tomoe_explore.simulate.streaks import draw_streaks
from tomoe_explore.simulate.truth import TruthTables
from tomoe_explore.simulate.variables import Variation, draw_variables

DEFAULT_CENTER = (310.0, -12.0)  #: where the telescope points without stars of a table, deg
STAR_RADIUS_DEG = 1.0  #: stars are known this far around each detector, so that a wrong pointing still finds some
_POINTING_ERROR_ARCSEC = 45.0


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


@dataclass(frozen=True)
class _Night:
    """What all films of a night share."""

    seed: int
    setups: tuple[ExposureSetup, ...]
    stars: Stars
    known: NDArray[np.bool_]
    counts: dict[str, int]

    @property
    def span_mjd(self) -> tuple[float, float]:
        """First and last moment of the films of the sky."""
        sky = [s for s in self.setups if s.kind == "object"]
        return sky[0].mjd_start, sky[-1].mjd_start + sky[-1].n_frames * sky[-1].frame_interval_s / 86_400.0


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
        Star table that `refcat.read_star_table` reads; a synthetic sky to G = 18.5 where absent. A table that ends
        brighter is filled up to 18.5 with synthetic stars.
    center : tuple of float, optional
        Where the telescope points, RA and Dec in deg. Without it the first detector is centred on the stars of the
        table; on a table of the whole sky, and without one, the telescope points at (310, -12).
    movers, flares, variables : int
        A detector: moving objects that are met in all exposures, flaring stars, pulsating stars.
    streaks : int
        A film.
    progress : bool
        Whether to show a bar.

    Returns
    -------
    Simulation

    Raises
    ------
    ParameterError
        If a number, the night or a detector makes no sense.
    RefcatError
        If the star table cannot be understood, or no star is near the detectors.

    Notes
    -----
    Every detector hides a gain, read noise, zero point, place and rotation near the nominal ones of ``camera.py``;
    every exposure a pointing error within 1 arcmin, its seeing, and the jitter, transparency and scintillation of each
    frame. ``truth/hidden.json`` tells them.

    Examples
    --------
    >>> import tempfile
    >>> night = simulate(tempfile.mkdtemp(), detectors=[112], exposures=1, frames=2, progress=False)
    >>> night.films[0].name
    'rTMQ1202008140035775412.fits'
    """
    started = time.perf_counter()
    _check(night, detectors, {"exposures": exposures, "frames": frames}, 1)
    counts = {"movers": movers, "streaks": streaks, "flares": flares, "variables": variables}
    _check(night, detectors, counts | {"seed": seed}, 0)
    center, sky = _choose_sky(seed, stars, center, detectors)
    catalog, known = observed_catalog(seed, sky)
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    write_refcat(catalog, folder / "refcat.parquet", name=f"simulated-{night}-{seed}")
    plan = _Night(seed, tuple(_schedule(seed, night, exposures, frames, center)), sky, known, counts)
    truth = TruthTables()
    written: dict[str, list[Path]] = {"object": [], "dark": [], "flat": []}
    from tqdm.auto import tqdm

    with tqdm(total=len(detectors) * len(plan.setups), desc="simulate", unit="film", disable=not progress) as bar:
        for detector_id in detectors:
            for setup, path in _detector_films(folder, plan, detector_id, truth):
                written[setup.kind].append(path)
                bar.update()
    truth.write(folder / "truth")
    films, darks, flats = (tuple(sorted(written[k])) for k in ("object", "dark", "flat"))
    size = sum(p.stat().st_size for p in films + darks + flats)
    seconds = time.perf_counter() - started
    return Simulation(folder, films, darks, flats, folder / "refcat.parquet", center, len(catalog), seconds, size)


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


def _choose_sky(
    seed: int, table: str | os.PathLike[str] | None, center: tuple[float, float] | None, detectors: Sequence[int]
) -> tuple[tuple[float, float], Stars]:
    """Where the telescope points, and the stars around the detectors."""
    if center is not None and not (0 <= center[0] < 360 and -89.9 <= center[1] <= 89.9):
        raise ParameterError(f"center must be RA 0 to 360 and Dec -89.9 to 89.9 deg, got {center[0]:g}, {center[1]:g}")
    known = read_stars(table) if table is not None else None
    if center is None:
        aim = middle(known) if known is not None else None
        center = DEFAULT_CENTER if aim is None else pointing_for(*aim, detectors[0])
    centers = []
    for detector_id in detectors:
        ra, dec = Projection.nominal(*center, detector_id).to_sky((NX - 1) / 2, (NY - 1) / 2)
        centers.append((float(ra), float(dec)))
    if known is None:
        return center, synthetic_stars(seed, centers, STAR_RADIUS_DEG)
    near = known.near(centers, STAR_RADIUS_DEG)
    return center, with_faint_stars(near, synthetic_stars(seed, centers, STAR_RADIUS_DEG))


def _schedule(
    seed: int, night: str, exposures: int, frames: int, center: tuple[float, float]
) -> Iterator[ExposureSetup]:
    """A dark, a flat, and exposures of the sky half a second to a second apart, while the field stands high."""
    rng = generator(seed, "schedule", night)
    first_id = (357_752 + 1000 * int(night_mjd(night) - night_mjd("2020-08-14"))) % 10_000_000
    start = round((best_start(night_mjd(night), *center) - night_mjd(night)) * 86_400e6) + int(rng.integers(1_000_000))
    temperature = rng.uniform(283.0, 291.0)
    pause = max(600, 3 * frames) * 1_000_000
    yield ExposureSetup(first_id, "dark", night, start - pause, frames, 0.5, *center, temperature + 0.1, 1)
    yield ExposureSetup(first_id + 1, "flat", night, start - pause // 2, frames, 1.0, *center, temperature + 0.05, 1)
    for k in range(exposures):
        now = temperature - 0.002 * k
        yield ExposureSetup(first_id + 2 + k, "object", night, start, frames, 0.5, *center, now, k + 1)
        start += frames * 500_000 + int(rng.integers(400_000, 900_000))


def _detector_films(
    folder: Path, plan: _Night, detector_id: int, truth: TruthTables
) -> Iterator[tuple[ExposureSetup, Path]]:
    """Write the films of one detector one by one."""
    sensor = draw_sensor(plan.seed, detector_id)
    sky = next(s for s in plan.setups if s.kind == "object")
    nominal = Projection.nominal(sky.ra, sky.dec, detector_id)
    counts = plan.counts
    variations = draw_variables(
        plan.seed, plan.stars, nominal, plan.span_mjd, pulsators=counts["variables"], flares=counts["flares"]
    )
    _note_variables(plan, variations, truth)
    moving = draw_movers(plan.seed, detector_id, nominal, plan.span_mjd, counts["movers"])
    for setup in plan.setups:
        path = folder / film_name("r", detector_id, setup.night, setup.exposure_id)
        if setup.kind == "object":
            film = _film_setup(plan.seed, setup, sensor)
            x, y, electrons = place_stars(film, plan.stars, plan.known, variations, seed=plan.seed, truth=truth)
            timing = (setup.n_frames, setup.frame_interval_s, setup.exptime1_s)
            flying = draw_streaks(plan.seed, setup.exposure_id, detector_id, timing, counts["streaks"])
            trails = place_movers(film, moving, truth) + place_streaks(film, flying, truth)
            note_frames(film, truth)
            scene = Scene(x, y, electrons, film.sky_electrons, tuple(trails))
            images = object_frames(plan.seed, sensor, setup, film.air, scene)
        else:
            images = calibration_frames(plan.seed, sensor, setup)
        write_film(path, raw_header(setup, detector_id), images)
        yield setup, path


def _film_setup(seed: int, setup: ExposureSetup, sensor: Sensor) -> FilmSetup:
    """The true pointing and air of an exposure, the same for all its detectors."""
    rng = generator(seed, "pointing", setup.exposure_id)
    angle, size = rng.uniform(0.0, 2 * np.pi), _POINTING_ERROR_ARCSEC * np.sqrt(rng.random())
    ra = setup.ra + size * np.cos(angle) / 3600 / np.cos(np.radians(setup.dec))
    dec = setup.dec + size * np.sin(angle) / 3600
    xi, eta = (v + d / 3600 for v, d in zip(focal_plane_offset(sensor.detector_id), sensor.offset_arcsec, strict=True))
    air = draw_atmosphere(
        seed, setup.exposure_id, setup.n_frames,
        airmass=airmass(setup.mjd_start, setup.ra, setup.dec), exptime_s=setup.exptime1_s,
    )  # fmt: skip
    return FilmSetup(setup, air, sensor, Projection(ra, dec, xi, eta, sensor.rotation_deg, sensor.scale))


def _note_variables(plan: _Night, variations: Mapping[int, Variation], truth: TruthTables) -> None:
    for star_id, variation in variations.items():
        (k,) = np.flatnonzero(plan.stars.star_id == star_id)
        ra, dec = plan.stars.at(plan.span_mjd[0])
        truth.add(
            "variables", star_id=[star_id], ref_id=[int(plan.stars.source_id[k]) if plan.known[k] else None],
            kind=variation.kind, ra=float(ra[k] % 360.0), dec=float(dec[k]), phot_g_mean_mag=float(plan.stars.mag[k]),
            period=variation.period, amplitude=variation.amplitude, epoch=variation.epoch,
        )  # fmt: skip
