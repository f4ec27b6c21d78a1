"""Masters of synthetic films whose level, noise, hot pixels and response are known."""

from dataclasses import dataclass

import numpy as np
import pytest

from tomoe_explore.camera import GAIN_MODES, NX, NY
from tomoe_explore.data import Exposure, Film, Masters
from tomoe_explore.errors import CalibrationError
from tomoe_explore.reduction.calibrate import calibrate
from tomoe_explore.reduction.masters import make_dark, make_flat

GAIN, READ_E = 0.25, 2.2


@dataclass(frozen=True)
class Arrays:
    frames: np.ndarray

    def read(self, start, stop):
        return self.frames[start:stop]


def film(frames, kind, detector_id=112):
    exposure = Exposure(1, detector_id, kind, "2020-08-14", 59075.5, len(frames), 0.5, 0.499904,
                        310.0, -12.0, GAIN_MODES["high"])  # fmt: skip
    return Film(exposure, Arrays(frames.round().astype(">i2").view(np.int16)))


@pytest.fixture(scope="module")
def calibrations():
    rng = np.random.default_rng(1)
    n = 12
    level = rng.normal(20, 1.5, (NY, NX)).astype(np.float32)
    level[100, 200] = 20_000  # a hot pixel
    dark = rng.normal(level, READ_E / GAIN, (n, NY, NX)).astype(np.float32)
    dark[:, 300, 400] += rng.choice([0, 400], n)  # telegraph noise
    dark[5, 500, 600] += 5_000  # a cosmic ray
    flat = rng.normal(1, 0.01, (NY, NX)).astype(np.float32)
    flat[700, 800] = 0.2  # dust
    lamp = 1 + 0.01 * rng.standard_normal(n)
    light = 2500.0 / GAIN * lamp[:, None, None] * flat
    electrons = rng.poisson(light * GAIN) + rng.normal(0, READ_E, (n, NY, NX))
    flats = level + electrons / GAIN
    return film(dark, "dark"), film(flats, "flat"), level, flat


def test_a_dark_is_the_unbiased_mean(calibrations):
    dark_film, _, level, _ = calibrations
    dark = make_dark(dark_film)
    good = ~dark.bad
    assert abs((dark.pixels - level)[good].mean()) < 0.02
    assert np.std((dark.pixels - level)[good]) < 1.1 * READ_E / GAIN / np.sqrt(11)
    assert abs(dark.pixels[500, 600] - level[500, 600]) < 15  # the cosmic ray is gone
    assert dark.bad[100, 200]
    assert dark.bad[300, 400]
    assert dark.bad.mean() < 1e-3
    assert dark.noise_variance == pytest.approx((READ_E / GAIN) ** 2 + 1 / 12, rel=0.02)


def test_a_flat_is_the_relative_response_and_gives_the_gain(calibrations):
    dark_film, flat_film, _, response = calibrations
    dark = make_dark(dark_film)
    flat = make_flat(flat_film, dark)
    assert np.median(flat.pixels) == pytest.approx(1, abs=1e-4)
    good = ~(flat.bad | dark.bad)
    assert np.std((flat.pixels - response / np.median(response))[good]) < 0.008
    assert flat.bad[700, 800]
    calibration = calibrate(dark_film, Masters(dark, flat))
    assert calibration.gain == pytest.approx(GAIN, rel=0.02)
    assert calibration.read_noise == pytest.approx(READ_E / GAIN, rel=0.02)


def test_a_flat_without_light_is_refused(calibrations):
    dark_film, *_ = calibrations
    dark = make_dark(dark_film)
    unlit = film(dark_film.source.frames[:7].view(">i2").astype(float), "flat")
    with pytest.raises(CalibrationError, match="no light"):
        make_flat(unlit, dark)


def test_too_few_frames_and_wrong_kind_are_refused(calibrations):
    dark_film, flat_film, *_ = calibrations
    short = film(dark_film.source.frames[:4].view(">i2").astype(float), "dark")
    with pytest.raises(CalibrationError, match="at least 6 frames, got 4"):
        make_dark(short)
    with pytest.raises(CalibrationError, match="expected a dark film, got DATA-TYP flat"):
        make_dark(flat_film)


def test_a_flat_with_another_detectors_dark_is_refused(calibrations):
    dark_film, flat_film, *_ = calibrations
    dark = make_dark(film(dark_film.source.frames.view(">i2").astype(float), "dark", detector_id=113))
    with pytest.raises(CalibrationError, match="detector 113"):
        make_flat(flat_film, dark)
