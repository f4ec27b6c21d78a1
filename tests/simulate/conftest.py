"""One small night of real Gaia stars, made once for all tests of the simulator."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from tomoe_explore.simulate import Simulation, simulate
from tomoe_explore.simulate.atmosphere import Atmosphere
from tomoe_explore.simulate.cloud import Cloud
from tomoe_explore.simulate.defects import Telegraph
from tomoe_explore.simulate.exposure import FilmSetup
from tomoe_explore.simulate.header import ExposureSetup
from tomoe_explore.simulate.motion import Motion, Tilt
from tomoe_explore.simulate.optics import PERFECT
from tomoe_explore.simulate.projection import Projection
from tomoe_explore.simulate.sensor import Pixels, Sensor

FRAMES = 8


@dataclass(frozen=True)
class SmallNight:
    simulation: Simulation
    hidden: dict[str, Any]

    def pixels(self, kind: str) -> np.ndarray:
        path = getattr(self.simulation, kind)[0]
        return fits.getdata(path).astype(np.float32)

    def header(self, kind: str) -> fits.Header:
        return fits.getheader(getattr(self.simulation, kind)[0])


@pytest.fixture(scope="session")
def small_night(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallNight]:
    out = tmp_path_factory.mktemp("small_night")
    stars = shared_data / "stars" / "gaia_dr2_ra309-318_dec-16--8_g16.parquet"
    made = simulate(out, detectors=[112], exposures=1, frames=FRAMES, seed=3, stars=stars, progress=False)
    yield SmallNight(made, json.loads((out / "truth" / "hidden.json").read_text())[0])
    shutil.rmtree(out)


@pytest.fixture
def quiet_film() -> FilmSetup:
    """A film without jitter, clouds or twinkling, on a perfect detector turned by 0.2 deg."""
    n = 4
    setup = ExposureSetup(357754, "object", "2020-08-14", 50_000_000_000, n, 0.5, 312.0, -12.0, 290.0, 1)
    still = Motion(np.zeros((2, 4000)), (0.0, 0.0), 0.0)
    clear = Cloud(0.0, np.zeros((1, 3)), (0.0, 0.0))
    air = Atmosphere(1.0, (0.0, 1.0), 3.5, 20.0, (0.0, 0.0), np.full(n, 3.0), np.ones(n), clear, still, 0.0)
    ones = np.ones((1128, 2000), dtype=np.float32)
    pixels = Pixels(ones, ones, ones, Telegraph(np.zeros(0, dtype=np.int64), np.zeros(0), np.zeros(0)))
    sensor = Sensor(112, "high", 0.23, 2.0, 6000.0, 0.0, 24.95, 0.0, 0.2, 1.189, (0.0, 0.0), PERFECT, pixels)
    projection = Projection(312.0, -12.0, -1.2, 1.4, 0.2)
    return FilmSetup(setup, air, sensor, projection, Tilt(0.0, np.zeros((n, 2, 1, 3))), 1)
