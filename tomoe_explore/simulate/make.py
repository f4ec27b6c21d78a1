"""The films of a plan one after another, in this process or in several: the bytes are the same."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tomoe_explore.camera import film_name, focal_plane_offset
from tomoe_explore.data import Kind
from tomoe_explore.simulate.atmosphere import draw_atmosphere
from tomoe_explore.simulate.conditions import ROTATION_PER_ARCMIN
from tomoe_explore.simulate.draws import generator
from tomoe_explore.simulate.exposure import FilmSetup, sky_electrons
from tomoe_explore.simulate.film import Scene, calibration_frames, object_frames, write_film
from tomoe_explore.simulate.header import ExposureSetup, raw_header
from tomoe_explore.simulate.motion import draw_tilt
from tomoe_explore.simulate.place import note_frames, place_movers, place_stars, place_streaks
from tomoe_explore.simulate.plan import Plan
from tomoe_explore.simulate.projection import Projection
from tomoe_explore.simulate.psf import line_peak
from tomoe_explore.simulate.sensor import ZEROPOINT_E_S, Sensor, draw_sensor
from tomoe_explore.simulate.streaks import StreakTrack, draw_glints, draw_streaks
from tomoe_explore.simulate.truth import TruthTables


class Made(NamedTuple):
    """A film that has been written, and the truth about it."""

    kind: Kind
    path: Path
    truth: TruthTables


def make_films(plan: Plan, detectors: Sequence[int], folder: Path, workers: int) -> Iterator[Made]:
    """Write the films of some detectors; they come in the order of detectors and times.

    Parameters
    ----------
    plan : Plan
    detectors : sequence of int
    folder : Path
    workers : int
        Processes; with one, the films are made in this process.
    """
    left_out = {"no-dark": "dark", "no-flat": "flat"}.get(plan.conditions.mistake or "")
    tasks = [(d, setup) for d in detectors for setup in plan.setups if setup.kind != left_out]
    if workers == 1:
        for detector_id, setup in tasks:
            yield make_film(plan, detector_id, setup, folder)
        return
    # spawned, not forked: a fork would copy the locks of threads that do not exist in the child
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_start, initargs=(plan, folder)) as pool:
        try:
            yield from pool.map(_make, *zip(*tasks, strict=True))
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


_WORK: list[tuple[Plan, Path]] = []  # of a worker process, which is started for one plan


def _start(plan: Plan, folder: Path) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes: the parent stops, the workers end
    _WORK.append((plan, folder))


def _make(detector_id: int, setup: ExposureSetup) -> Made:
    plan, folder = _WORK[0]
    return make_film(plan, detector_id, setup, folder)


@lru_cache(maxsize=2)
def _sensor(seed: int, detector_id: int, gain: str) -> Sensor:
    return draw_sensor(seed, detector_id, gain)


def make_film(plan: Plan, detector_id: int, setup: ExposureSetup, folder: Path) -> Made:
    """Write one film."""
    path, truth = folder / film_name("r", detector_id, setup.night, setup.exposure_id), TruthTables()
    gain = plan.conditions.gain_of(setup.kind)
    sensor = _sensor(plan.seed, detector_id, gain)
    if setup.kind == "object":
        film = film_setup(plan, setup, sensor)
        scene = _scene(plan, film, truth)
        note_frames(film, truth)
        images = object_frames(plan.seed, sensor, setup, scene)
    else:
        images = calibration_frames(plan.seed, sensor, setup)
    write_film(path, raw_header(setup, detector_id, gain), images)
    return Made(setup.kind, path, truth)


def _scene(plan: Plan, film: FilmSetup, truth: TruthTables) -> Scene:
    variations = (plan.variations or {}).get(film.sensor.detector_id, {})
    stars = place_stars(film, plan.stars, plan.known, variations, truth)
    trails = place_movers(film, plan.movers, truth) + place_streaks(film, _flying(plan, film), truth)
    return Scene(
        stars, film.air.beta, film.sky_electrons, film.air.sky_slope, tuple(trails), film.air.motion, film.spread
    )


def _flying(plan: Plan, film: FilmSetup) -> list[StreakTrack]:
    """Streaks of all detectors that may be seen on a film, and its own glints."""
    setup, air = film.setup, film.air
    noise = np.sqrt(sky_electrons(air, setup, ZEROPOINT_E_S) + film.sensor.read_noise_e**2)
    ridge = ZEROPOINT_E_S - air.extinction_mag - 2.5 * np.log10(noise / line_peak(float(air.fwhm_px.mean()), air.beta))
    sky = draw_streaks(plan.seed, setup, float(ridge), plan.counts["streaks"])
    tracks = [streak.on_film(plan.center, film.projection) for streak in sky]
    glints = draw_glints(plan.seed, setup, film.sensor.detector_id, plan.counts["glints"])
    exposure = [s.exposure_id for s in plan.setups if s.kind == "object"].index(setup.exposure_id)
    placed = [
        streak.track(1000 * streak.detector_id + 700 + k, float(ridge)) for k, streak in enumerate(plan.placed_streaks)
        if streak.detector_id == film.sensor.detector_id and streak.exposure == exposure
    ]  # fmt: skip
    return [track for track in tracks if track is not None] + list(glints) + placed


def film_setup(plan: Plan, setup: ExposureSetup, sensor: Sensor) -> FilmSetup:
    """The true pointing and air of an exposure, the same for all its detectors.

    The pointing error is even over a circle. The camera is turned by up to ``ROTATION_PER_ARCMIN`` times it, each
    detector about its own centre: what the turn does to the centre counts as pointing error.
    """
    rng, conditions = generator(plan.seed, "pointing", setup.exposure_id), plan.conditions
    angle, size = rng.uniform(0.0, 2 * np.pi), conditions.pointing_error_arcmin / 60 * np.sqrt(rng.random())
    ra, dec = plan.center
    ra, dec = ra + size * np.cos(angle) / np.cos(np.radians(dec)), dec + size * np.sin(angle)
    turn = sensor.rotation_deg + rng.uniform(-1.0, 1.0) * ROTATION_PER_ARCMIN * conditions.pointing_error_arcmin
    xi, eta = (v + d / 3600 for v, d in zip(focal_plane_offset(sensor.detector_id), sensor.offset_arcsec, strict=True))
    air = draw_atmosphere(plan.seed, setup, plan.center, conditions)
    projection = Projection(
        float(ra), float(dec), xi, eta, turn, sensor.scale, air.refraction, air.zenith, sensor.optics.distortion
    )
    tilt = draw_tilt(plan.seed, setup.exposure_id, sensor.detector_id, setup.n_frames)
    return FilmSetup(setup, air, sensor, projection, tilt, plan.seed, conditions.mistake)
