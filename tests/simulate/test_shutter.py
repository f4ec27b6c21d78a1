"""Row by row: what moves or varies is laid down in the time of the row that sees it."""

from __future__ import annotations

import numpy as np
import pytest

from tomoe_explore.camera import ROW_TIME_S
from tomoe_explore.simulate.exposure import place_movers, place_stars, place_streaks
from tomoe_explore.simulate.movers import Mover
from tomoe_explore.simulate.psf import add_trail
from tomoe_explore.simulate.stars import Stars
from tomoe_explore.simulate.streaks import StreakTrack
from tomoe_explore.simulate.truth import TruthTables
from tomoe_explore.simulate.variables import Pulsation


def _draw(film, trails, frame: int) -> np.ndarray:
    image = np.zeros((1128, 2000), dtype=np.float32)
    for trail in trails:
        if trail.frame == frame:
            add_trail(image, trail.track, trail.on, film.setup.exptime1_s, trail.electrons_per_s, (3.0, 3.5, 1e-3))
    return image


def _centroid(image: np.ndarray) -> tuple[float, float]:
    total = image.sum(dtype=float)
    x = (image.sum(axis=0, dtype=float) * np.arange(2000)).sum() / total
    y = (image.sum(axis=1, dtype=float) * np.arange(1128)).sum() / total
    return x, y


@pytest.mark.parametrize("row", [150.0, 980.0])
@pytest.mark.parametrize("angle", [0.0, 70.0, 200.0])
def test_mover_is_seen_at_its_truth(quiet_film, row: float, angle: float) -> None:
    """20 arcsec/s: the half exposure is 4 px, a film's height 8 px: a wrong row time cannot hide."""
    ra, dec = quiet_film.projection.to_sky(900.0, row)
    mover = Mover(1, float(ra), float(dec), quiet_film.setup.mjd_start, 20.0, angle, 14.0)
    truth = TruthTables()
    trails = place_movers(quiet_film, [mover], truth)
    for place in truth.table("mover_positions").to_pylist():
        x, y = _centroid(_draw(quiet_film, trails, place["frame"]))
        assert np.hypot(x - place["x"], y - place["y"]) < 0.02
        sky = quiet_film.projection.to_sky(place["x"], place["y"])
        assert np.hypot((sky[0] - place["ra"]) * np.cos(0.2), sky[1] - place["dec"]) * 3600 < 1e-3
        start = quiet_film.setup.mjd_start * 86400
        expected = place["frame"] * 0.5 + place["y"] * ROW_TIME_S + 0.499904 / 2
        assert place["mjd"] * 86400 - start == pytest.approx(expected, abs=2e-6)


@pytest.mark.parametrize("vy", [-900.0, 0.0, 900.0])
def test_trail_length_scales_with_the_shutter(vy: float) -> None:
    image = np.zeros((1128, 2000), dtype=np.float32)
    rate, exptime = 1e5, 0.2
    add_trail(image, (1000.0, 500.0 - vy * 0.3, 0.0, vy), (0.0, 10.0), exptime, rate, (3.0, 3.5, 1e-4))
    profile = image.sum(axis=1, dtype=float)
    length = profile.sum() / np.median(profile[profile > 0.3 * profile.max()]) if vy else 0.0
    stretch = 1.0 / (1.0 - vy * ROW_TIME_S)
    assert image.sum(dtype=float) == pytest.approx(rate * exptime * stretch, rel=0.01)
    if vy:
        assert length == pytest.approx(abs(vy) * exptime * stretch, rel=0.02)


def test_streak_ends_and_light_are_as_drawn(quiet_film) -> None:
    streak = StreakTrack(0, 300.0, 200.0, 700.0, 500.0, 0.75, 1.4, 20.0)
    truth = TruthTables()
    trails = place_streaks(quiet_film, [streak], truth)
    rows = truth.table("streaks").to_pylist()
    assert [r["frame_first"] for r in rows] == [1, 2]
    for row in rows:
        image = _draw(quiet_film, trails, row["frame_first"])
        x, y = _centroid(image)
        assert x == pytest.approx((row["x1"] + row["x2"]) / 2, abs=0.3)
        assert y == pytest.approx((row["y1"] + row["y2"]) / 2, abs=0.3)
        seconds = (row["mjd_last"] - row["mjd_first"]) * 86400
        assert row["length"] == pytest.approx(seconds * row["rate"], rel=1e-3)
        assert image.sum(dtype=float) == pytest.approx(trails[0].electrons_per_s * seconds, rel=0.01)
        assert image.max() == pytest.approx(streak.peak_snr * quiet_film.noise_electrons, rel=0.1)


def test_a_star_varies_in_the_time_of_its_row(quiet_film) -> None:
    ra, dec = quiet_film.projection.to_sky([1000.0, 1000.0], [0.0, 1127.0])
    stars = Stars(
        np.array([1, 2]), np.array([1, 2]), ra, dec, *np.zeros((2, 2)), np.full(2, 2020.6), np.full(2, 14.0), np.ones(2)
    )
    period = 10.0 / 86400
    wave = Pulsation(period, 0.3, quiet_film.setup.mjd_start)
    truth = TruthTables()
    _, _, electrons = place_stars(quiet_film, stars, np.array([True, False]), {1: wave, 2: wave}, seed=1, truth=truth)
    for k, row in ((0, 0.0), (1, 1127.0)):
        seconds = np.arange(4) * 0.5 + row * ROW_TIME_S + 0.499904 / 2
        expected = 10 ** (0.4 * 0.3 * np.cos(2 * np.pi * seconds / 10.0))
        assert electrons[:, k] / electrons[0, k] == pytest.approx(expected / expected[0], rel=1e-4)
    table = truth.table("stars")
    assert table["ref_id"].to_pylist() == [1, None]
    assert table["is_variable"].to_pylist() == [True, True]
