"""The chip: what its frames show without light, and what happens to too much charge."""

from __future__ import annotations

import numpy as np
import pytest

from tomoe_explore.camera import dark_current
from tomoe_explore.simulate.charge import add_hits, bloom
from tomoe_explore.simulate.film import calibration_frames
from tomoe_explore.simulate.header import ExposureSetup
from tomoe_explore.simulate.sensor import Sensor, draw_sensor

FRAMES = 24


@pytest.fixture(scope="module")
def sensor() -> Sensor:
    return draw_sensor(4, 112)


@pytest.fixture(scope="module")
def dark(sensor: Sensor) -> np.ndarray:
    """Electrons above bias, ``(FRAMES, 1128, 2156)``."""
    setup = ExposureSetup(357752, "dark", "2020-08-14", 0, FRAMES, 0.5, 310.0, -12.0, 290.0, 1)
    frames = [frame.copy().view(">i2") for frame in calibration_frames(4, sensor, setup)]
    return np.array(frames, dtype=np.float32) * np.float32(sensor.gain)


def test_telegraph_pixels_have_two_levels_and_change_between_them(sensor, dark) -> None:
    telegraph = sensor.pixels.telegraph
    values = dark.reshape(FRAMES, -1)[:, telegraph.pixels]
    noise = sensor.pixels.read_noise.ravel()[telegraph.pixels] * sensor.read_noise_e
    clear = (telegraph.levels_e > 60) & (noise < 3) & (np.median(values, axis=0) < 300)
    assert clear.sum() > 100
    spans = [_two_levels(v) for v in values[:, clear].T]
    changed = np.array([span > 0 for span in spans])
    assert changed.mean() > 0.7
    expected = telegraph.levels_e[clear][changed]
    assert np.abs(np.array(spans)[changed] / expected - 1).max() < 0.15
    quiet = dark.reshape(FRAMES, -1)[:, telegraph.pixels[clear] - 3]
    assert np.mean([_two_levels(v) > 0 for v in quiet.T]) < 0.03


def _two_levels(values: np.ndarray) -> float:
    """Distance of two groups with a wide gap between them; 0 where there is none."""
    ordered = np.sort(values)
    gaps = np.diff(ordered)
    k = int(np.argmax(gaps))
    return float(ordered[k + 1 :].mean() - ordered[: k + 1].mean()) if gaps[k] > 20 else 0.0


def test_rows_share_a_level_with_the_reference_columns(sensor, dark) -> None:
    pixels, reference = (np.median(dark[:, :, s], axis=2) / sensor.gain for s in (slice(0, 2000), slice(2000, 2156)))
    pixels = pixels - pixels.mean(axis=0)
    reference = reference - reference.mean(axis=0)
    level = (pixels * reference).mean()  # their own noises are apart
    assert np.sqrt(level) == pytest.approx(0.3, rel=0.15)


def test_noise_is_white_and_as_each_pixel_has_it(sensor, dark) -> None:
    noise = sensor.pixels.read_noise
    assert np.sqrt((noise.astype(float) ** 2).mean()) == pytest.approx(1.0, rel=1e-4)
    rms = dark[:, :, 2000:].std(axis=0, ddof=1) / sensor.read_noise_e
    wide = noise[:, 2000:] > 2.0
    assert 0.002 < wide.mean() < 0.02
    assert rms[wide].mean() == pytest.approx(noise[:, 2000:][wide].mean(), rel=0.02)
    z = dark[:, 100:400, 100:1800] - np.median(dark[:, 100:400, 100:1800], axis=0)
    z = np.clip(z - np.median(z, axis=2, keepdims=True), -8, 8)
    for one, other in ((z[:, :, 1:], z[:, :, :-1]), (z[:, 1:], z[:, :-1]), (z[:, 2:], z[:, :-2])):
        assert abs((one * other).mean() / z.var()) < 0.002
    assert abs((z[2:] * z[:-2]).mean() / z.var() + 1 / FRAMES) < 0.05  # the median of the frames is taken off


def test_dark_current_follows_the_temperature(sensor, dark) -> None:
    quiet = np.median(dark[:, :, :2000].mean(axis=0)) - np.median(dark[:, :, 2000:].mean(axis=0))
    assert quiet == pytest.approx(float(dark_current(290.0)) * 0.499904, abs=0.05)
    warm = sensor.dark_electrons(291.5, 0.5) / sensor.dark_electrons(290.0, 0.5)
    hot = sensor.pixels.dark > 40
    assert 2.5e-4 < hot.mean() < 1e-3
    assert warm[hot] == pytest.approx(1.28, abs=0.02)


def test_hits_come_as_often_as_muons_and_are_short_tracks() -> None:
    """Eight square centimetres in ten minutes."""
    rng = np.random.default_rng(1)
    counts = [add_hits(np.zeros((1128, 2000), dtype=np.float32), rng, 60.0) for _ in range(60)]
    assert np.mean(counts) == pytest.approx(1.5 * 1128 * 2000 * 0.0019**2, rel=0.1)
    frame = np.zeros((1128, 2000), dtype=np.float32)
    n = add_hits(frame, rng, 600.0)
    assert 2 < (frame > 0).sum() / n < 6
    assert 1000 < frame.sum() / n < 2500


def test_spilt_charge_stays_in_the_column_and_is_conserved() -> None:
    charge = np.zeros((40, 3), dtype=np.float32)
    charge[10:13, 1] = [8000.0, 50_000.0, 9000.0]
    charge[20, 1] = 6500.0
    before = charge.copy()
    bloom(charge, 6000.0)
    assert (charge[:, [0, 2]] == 0).all()
    assert (charge[10:13] == before[10:13]).all()  # the readout clips them
    added = np.minimum(charge, 6000.0).sum() - np.minimum(before, 6000.0).sum()
    assert added == pytest.approx(0.1 * (2000 + 44_000 + 3000 + 500), rel=1e-5)
    assert charge[9, 1] == pytest.approx(0.05 * 49_000.0)
    assert charge[13, 1] == charge[9, 1]
    assert charge[19, 1] == charge[21, 1] == pytest.approx(25.0)


def test_sensors_differ_and_a_gain_mode_changes_only_the_electronics(sensor) -> None:
    low, other = draw_sensor(4, 112, "low"), draw_sensor(4, 113)
    assert low.gain / 2.4 == pytest.approx(sensor.gain / 0.23)
    assert low.full_well_e / 52_000 == pytest.approx(sensor.full_well_e / 6000)
    assert np.array_equal(low.pixels.response, sensor.pixels.response)
    assert other.color_term != sensor.color_term
    assert other.gain != sensor.gain


def test_noise_has_no_pattern_in_time_or_space(sensor, dark) -> None:
    """Sums over boxes, frames and both scatter as white noise does: nothing repeats at a place."""
    z = dark[:, :1120, 2000:2150].astype(np.float64)
    z = z - np.median(dark[:, :, 2000:], axis=2)[:, :1120, None]  # the rows' levels, of 156 pixels
    noise = sensor.pixels.read_noise[:1120, 2000:2150].astype(np.float64) * sensor.read_noise_e
    z /= np.hypot(noise, sensor.gain / np.sqrt(12))
    for boxed in (
        z.sum(axis=0) / np.sqrt(FRAMES),
        z.reshape(FRAMES, 112, 10, 150).sum(axis=2) / np.sqrt(10),
        z.reshape(FRAMES, 112, 10, 15, 10).sum(axis=(2, 4)) / 10,
    ):
        assert boxed.std() == pytest.approx(1.0, abs=0.02)
    # the largest of many correlations of one row with another, at any offset, is what chance allows
    rows = z[:, ::40].reshape(-1, 150)
    spectra = np.fft.rfft(rows - rows.mean(axis=1, keepdims=True), 300, axis=1)
    largest = max(np.abs(np.fft.irfft(spectra[k] * spectra[k + 1 :].conj(), axis=1)).max() for k in range(60))
    assert largest / 150 < 0.6
