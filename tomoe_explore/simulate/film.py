"""The frames of a film one by one, and their file: never more than one frame in memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tomoe_explore.camera import NX, NX_RAW, NY
from tomoe_explore.simulate.atmosphere import Atmosphere
from tomoe_explore.simulate.draws import generator
from tomoe_explore.simulate.header import ExposureSetup
from tomoe_explore.simulate.psf import add_stars, add_trail
from tomoe_explore.simulate.readout import read_out
from tomoe_explore.simulate.sensor import Sensor

if TYPE_CHECKING:
    from astropy.io.fits import Header

Array = NDArray[np.float64]
Frame = NDArray[np.int16]

FAINTEST_E = 0.01  #: wings of star images below this many electrons a pixel are left out
FLAT_LEVEL_E = 3500.0  #: electrons of a flat in one frame on the axis: above half of the full well
_FITS_BLOCK = 2880


@dataclass(frozen=True)
class Trail:
    """A moving source in one frame, as `psf.add_trail` takes it."""

    frame: int
    track: tuple[float, float, float, float]
    on: tuple[float, float]
    electrons_per_s: float


@dataclass(frozen=True)
class Scene:
    """What one detector sees in one exposure.

    Attributes
    ----------
    x, y : ndarray
        Stars, px, without jitter.
    electrons : ndarray
        ``(n_frames, n_stars)``: of each star in each frame.
    sky_electrons : float
        A pixel and frame, in clear air.
    trails : tuple of Trail
        Movers and streaks.
    """

    x: Array
    y: Array
    electrons: Array
    sky_electrons: float
    trails: tuple[Trail, ...]


def object_frames(seed: int, sensor: Sensor, setup: ExposureSetup, air: Atmosphere, scene: Scene) -> Iterator[Frame]:
    """Frames of the sky, ``(NY, NX_RAW)``, bytes big-endian; the array is used again for the next frame."""
    light = np.empty((NY, NX), dtype=np.float32)

    def lights() -> Iterator[NDArray[np.float32]]:
        for n in range(setup.n_frames):
            light.fill(scene.sky_electrons)
            profile = (float(air.fwhm_px[n]), air.beta, FAINTEST_E)
            dx, dy = air.dx_px[n], air.dy_px[n]
            add_stars(light, scene.x + dx, scene.y + dy, scene.electrons[n], profile)
            for trail in scene.trails:
                if trail.frame == n:
                    x, y, vx, vy = trail.track
                    rate = trail.electrons_per_s * float(air.transparency[n])
                    track = (float(x + dx), float(y + dy), float(vx), float(vy))
                    add_trail(light, track, trail.on, setup.exptime1_s, rate, profile)
            yield light

    yield from _read_frames(seed, sensor, setup, lights())


def calibration_frames(seed: int, sensor: Sensor, setup: ExposureSetup) -> Iterator[Frame]:
    """Frames of a dark (no light) or a flat (an even light that flickers by 1 %)."""
    level = FLAT_LEVEL_E if setup.kind == "flat" else 0.0
    flicker = generator(seed, "lamp", setup.exposure_id).normal(1.0, 0.01, setup.n_frames)
    lights = (np.full((NY, NX), level * f, dtype=np.float32) for f in flicker)
    yield from _read_frames(seed, sensor, setup, lights)


def _read_frames(
    seed: int, sensor: Sensor, setup: ExposureSetup, lights: Iterator[NDArray[np.float32]]
) -> Iterator[Frame]:
    rng = generator(seed, "film", setup.exposure_id, sensor.detector_id)
    dark = sensor.dark_electrons(setup.temperature_k, setup.exptime1_s)
    normal = np.empty((NY, NX_RAW), dtype=np.float32)
    out = np.empty((NY, NX_RAW), dtype=np.int16)
    for light in lights:
        rng.standard_normal(out=normal, dtype=np.float32)
        read_out(light, sensor.response, dark, normal, sensor.electronics, out)
        yield out


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
