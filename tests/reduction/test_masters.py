"""Masters of synthetic films whose level, noise, hot pixels and response are known."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from tomoe_explore.camera import GAIN_MODES, NX, NY
from tomoe_explore.data import Exposure, Film, Masters
from tomoe_explore.errors import CalibrationError
from tomoe_explore.reduction.calibrate import at_temperature, calibrate
from tomoe_explore.reduction.masters import make_dark, make_flat, steady_frames

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


def test_noise_that_the_sky_hides_makes_no_bad_pixel():
    frames = np.random.default_rng(8).normal(20, READ_E / GAIN, (12, NY, NX)).astype(np.float32)
    noise = np.random.default_rng(9).standard_normal((12, 2, NX)).astype(np.float32)
    frames[:, 10] += 3.0 / GAIN * noise[:, 0]  # e-; all but lost in the 9 e- of a dark sky
    frames[:, 20] += 12.0 / GAIN * noise[:, 1]
    bad = make_dark(film(frames, "dark")).bad
    assert bad[10].mean() < 0.01
    assert bad[20].mean() > 0.95
    assert bad[30:].sum() == 0


# --- frames and films that do not belong ----------------------------------------------------------
def dark_frames(level, n=12, seed=5):
    return np.random.default_rng(seed).normal(level, READ_E / GAIN, (n, NY, NX)).astype(np.float32)


def test_a_frame_with_a_light_leak_or_lost_is_left_out():
    frames = dark_frames(20.0)
    clean = make_dark(film(frames[[0, 1, 2, 3, 5, 6, 8, 9, 10, 11]], "dark"))
    frames[4] += 40.0  # a leak
    frames[7] = 0.0  # lost
    dark_film = film(frames, "dark")
    assert np.flatnonzero(~steady_frames(dark_film)).tolist() == [0, 4, 7]
    dark = make_dark(dark_film)
    np.testing.assert_array_equal(dark.pixels, clean.pixels)
    assert dark.noise_variance == clean.noise_variance


def test_a_drift_of_the_level_is_borne():
    frames = dark_frames(20.0) + np.linspace(0, 3, 12, dtype=np.float32)[:, None, None]
    assert steady_frames(film(frames, "dark"))[1:].all()


def test_a_dark_whose_frames_disagree_is_refused():
    frames = dark_frames(20.0)
    frames *= np.where(np.arange(12) < 5, 1, np.arange(12))[:, None, None]  # more and more noise, of whatever
    with pytest.raises(CalibrationError, match=r"frames of the dark agree in level and scatter"):
        make_dark(film(frames, "dark"))


@pytest.mark.parametrize(("electrons", "passes"), [(12.0, True), (26.0, False)])
def test_light_in_a_dark_betrays_itself_by_its_noise(electrons, passes):
    """Read-out gives 4 e-^2 and the dark current of a warm sensor 3: three times that is let through at any level."""
    light = np.sqrt(electrons) / GAIN * np.random.default_rng(6).standard_normal((7, NY, NX), np.float32)
    lit = film(dark_frames(300.0, 7) + light, "dark")
    if passes:
        make_dark(lit)
    else:
        with pytest.raises(CalibrationError, match="light in it, some"):
            make_dark(lit)


@pytest.mark.parametrize(("level", "passes"), [(23_000, True), (24_500, False)])
def test_a_saturated_flat_is_refused(level, passes):
    frames = np.random.default_rng(7).normal(level, np.sqrt(level / GAIN), (7, NY, NX)).astype(np.float32)
    flat = film(frames, "flat")
    if passes:
        assert make_flat(flat, None).level == pytest.approx(level, rel=0.01)
    else:
        with pytest.raises(CalibrationError, match="may be saturated: take it with less light"):
            make_flat(flat, None)


def test_hot_pixels_follow_the_temperature_and_the_rest_stays(calibrations):
    dark_film, *_ = calibrations
    dark = make_dark(dark_film)
    dark = replace(dark, exposure=replace(dark.exposure, temperature_k=290.0))
    warm = at_temperature(dark, 305.0)
    assert warm[100, 200] - dark.level == pytest.approx(12 * (dark.pixels[100, 200] - dark.level), rel=1e-4)
    ordinary = dark.pixels < dark.level + 5 * dark.rms
    np.testing.assert_array_equal(warm[ordinary], dark.pixels[ordinary])
    assert at_temperature(dark, float("nan")) is dark.pixels
    np.testing.assert_array_equal(at_temperature(dark, 290.0), dark.pixels)
