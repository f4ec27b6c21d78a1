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
from tomoe_explore.simulate.exposure import FilmSetup
from tomoe_explore.simulate.header import ExposureSetup
from tomoe_explore.simulate.projection import Projection
from tomoe_explore.simulate.sensor import Sensor

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
    still = np.zeros(n)
    air = Atmosphere(1.0, 3.5, 20.0, np.full(n, 3.0), still, still, np.ones(n), 0.0)
    ones = np.ones((1128, 2000), dtype=np.float32)
    sensor = Sensor(112, 0.23, 2.0, 6000.0, 24.95, 0.2, 1.189, (0.0, 0.0), ones, ones)
    return FilmSetup(setup, air, sensor, Projection(312.0, -12.0, -1.2, 1.4, 0.2))
