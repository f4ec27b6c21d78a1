"""The frames of a film one by one, and their file: never more than one frame in memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tomoe_explore.camera import NX, NX_RAW, NY, SATURATION_ADU
from tomoe_explore.simulate.charge import add_hits, bloom
from tomoe_explore.simulate.draws import generator
from tomoe_explore.simulate.header import ExposureSetup
from tomoe_explore.simulate.motion import STEP_S, Motion
from tomoe_explore.simulate.psf import add_aureole, add_stars, add_trail
from tomoe_explore.simulate.readout import FRAME_NOISE_ADU, ROW_NOISE_ADU, add_levels, read_out
from tomoe_explore.simulate.sensor import Sensor

if TYPE_CHECKING:
    from astropy.io.fits import Header

Array = NDArray[np.float64]
Image = NDArray[np.float32]
Frame = NDArray[np.int16]

FAINTEST_E = 0.01  #: wings of star images are cut off below this many electrons a pixel
FLAT_PART = 0.58  #: level of a flat in one frame on the axis, of the full well
AUREOLE_FROM_E = 1e8  #: stars with more electrons a frame (about 4th magnitude) have a far halo
AUREOLE_PART = 0.02  #: *assumed*: light of the far halo over the star's
AUREOLE_PX = 3000.0  #: *assumed*: how far it reaches: over all of the detector
POOL = 1 << 23  #: normal deviates that are drawn for all noise of a simulation
_FITS_BLOCK = 2880


@dataclass(frozen=True)
class StarLight:
    """The stars of one frame, as `psf.add_stars` takes them."""

    x: Array
    y: Array
    electrons: Array
    shape: Array


@dataclass(frozen=True)
class Trail:
    """A moving source in one frame, as `psf.add_trail` takes it."""

    frame: int
    track: tuple[float, float, float, float]
    on: tuple[float, float]
    electrons_per_s: float
    shape: tuple[float, float, float]


@dataclass(frozen=True)
class Scene:
    """What one detector sees in one exposure.

    Attributes
    ----------
    stars : iterator of StarLight
        One a frame.
    beta : float
        Wings of the star images (Moffat).
    sky_electrons : ndarray, (n_frames,)
        In a perfect pixel at the centre.
    sky_slope : tuple of float
        Relative change of the sky from the left to the right and from the lower to the upper edge.
    trails : tuple of Trail
        Movers, streaks and glints.
    motion : Motion
    spread : ndarray or None
        What star images are convolved with besides.
    """

    stars: Iterator[StarLight]
    beta: float
    sky_electrons: Array
    sky_slope: tuple[float, float]
    trails: tuple[Trail, ...]
    motion: Motion
    spread: Image | None = None


def object_frames(seed: int, sensor: Sensor, setup: ExposureSetup, scene: Scene) -> Iterator[Frame]:
    """Frames of the sky, ``(NY, NX_RAW)``, bytes big-endian; the array is used again for the next frame."""
    yield from _read_frames(seed, sensor, setup, _lights(setup, scene))


def _lights(setup: ExposureSetup, scene: Scene) -> Iterator[Image]:
    light = np.empty((NY, NX), dtype=np.float32)
    along_x, along_y = ((np.arange(n) - (n - 1) / 2) / n for n in (NX, NY))
    sky = 1.0 + scene.sky_slope[0] * along_x[None, :] + scene.sky_slope[1] * along_y[:, None]
    sky = sky.astype(np.float32)
    for n, stars in enumerate(scene.stars):
        light.fill(0.0)
        add_stars(light, stars.x, stars.y, stars.electrons, stars.shape, (scene.beta, FAINTEST_E))
        for k in np.flatnonzero(stars.electrons > AUREOLE_FROM_E):
            add_aureole(light, stars.x[k], stars.y[k], float(AUREOLE_PART * stars.electrons[k]), AUREOLE_PX)
        for trail in scene.trails:
            if trail.frame == n:
                draw_trail(light, trail, setup.exptime1_s, scene.beta, scene.motion, n * setup.frame_interval_s)
        if scene.spread is not None:
            light[:] = _convolved(light, scene.spread)
        light += sky * np.float32(scene.sky_electrons[n])
        yield light


def draw_trail(light: Image, trail: Trail, exptime_s: float, beta: float, motion: Motion, frame_start_s: float) -> None:
    """Add a trail to a frame in place; the drift of the tracking moves it with the frame."""
    path = (motion.path, motion.first_s - frame_start_s, STEP_S)
    ahead = frame_start_s + exptime_s / 2 - motion.middle_s
    x, y, vx, vy = trail.track
    track = (x + motion.drift[0] * ahead, y + motion.drift[1] * ahead, vx, vy)
    profile = (*trail.shape, beta, FAINTEST_E)
    add_trail(light, track, (exptime_s, *trail.on), trail.electrons_per_s, profile, path)


def _convolved(light: Image, kernel: Image) -> Image:
    from scipy.signal import oaconvolve

    return np.maximum(oaconvolve(light, kernel, mode="same"), 0.0)


def calibration_frames(seed: int, sensor: Sensor, setup: ExposureSetup) -> Iterator[Frame]:
    """Frames of a dark (no light) or a flat (an even light that flickers by 1 %)."""
    level = FLAT_PART * sensor.full_well_e if setup.kind == "flat" else 0.0
    flicker = generator(seed, "lamp", setup.exposure_id).normal(1.0, 0.01, setup.n_frames)
    lights = (np.full((NY, NX), level * f, dtype=np.float32) for f in flicker)
    yield from _read_frames(seed, sensor, setup, lights)


def _read_frames(seed: int, sensor: Sensor, setup: ExposureSetup, lights: Iterator[Image]) -> Iterator[Frame]:
    where = (setup.exposure_id, sensor.detector_id)
    rng, hits = generator(seed, "film", *where), generator(seed, "hits", *where)
    pixels = sensor.pixels
    dark = sensor.dark_electrons(setup.temperature_k, setup.exptime1_s)
    flicker = pixels.telegraph.electrons(generator(seed, "telegraph", *where), setup.n_frames) / sensor.gain
    noise = pixels.read_noise * np.float32(sensor.read_noise_e)
    charge, out = np.empty((NY, NX), dtype=np.float32), np.empty((NY, NX_RAW), dtype=np.int16)
    pool = _normal_pool(seed)
    for light, levels in zip(lights, flicker, strict=True):
        np.multiply(light, pixels.response, out=charge)
        charge += dark
        add_hits(charge, hits, setup.exptime1_s)
        bloom(charge, sensor.full_well_e)
        starts = rng.integers(pool.size - NX_RAW, size=NY)
        signs = np.where(rng.random(NY) < 0.5, np.float32(-1.0), np.float32(1.0))
        rows = ROW_NOISE_ADU * rng.standard_normal(NY, dtype=np.float32)
        rows += np.float32(FRAME_NOISE_ADU * rng.standard_normal())
        read_out(charge, noise, (pool, starts, signs), rows, sensor.electronics, out)
        add_levels(out, pixels.telegraph.pixels, levels.astype(np.float32), SATURATION_ADU)
        yield out


@lru_cache(maxsize=1)
def _normal_pool(seed: int) -> Image:
    """Normal deviates from which each row of each frame takes a piece at random, with a random sign.

    Fresh ones would cost a third of a film's time. Pieces of different rows overlap here and there, at random offsets
    and with random signs, so the noise is white (the tests look).
    """
    return generator(seed, "noise").standard_normal(POOL, dtype=np.float32)


def write_film(path: Path, header: Header, frames: Iterator[Frame]) -> None:
    """Write a film frame by frame; it appears under its name only when it is whole."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with open(partial, "wb") as file:
            file.write(header.tostring(endcard=True, padding=True).encode("ascii"))
            size = 0
            for frame in frames:
                size += file.write(frame.data)
            file.write(bytes(-size % _FITS_BLOCK))
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
