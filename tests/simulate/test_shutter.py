"""Row by row: what moves or varies is laid down in the time of the row that sees it."""

from __future__ import annotations

import numpy as np
import pytest

from tomoe_explore.camera import ROW_TIME_S
from tomoe_explore.simulate.film import draw_trail
from tomoe_explore.simulate.movers import Mover
from tomoe_explore.simulate.place import place_movers, place_stars, place_streaks
from tomoe_explore.simulate.psf import add_trail, moffat_alpha
from tomoe_explore.simulate.stars import Stars
from tomoe_explore.simulate.streaks import StreakTrack
from tomoe_explore.simulate.truth import TruthTables
from tomoe_explore.simulate.variables import Pulsation

_ALPHA2 = moffat_alpha(3.0, 3.5) ** 2
_ROUND = (_ALPHA2, 0.0, _ALPHA2, 3.5, 1e-4)  # 3 px wide
_STILL = (np.zeros((2, 100)), 0.0, 0.1)


def _draw(film, trails, frame: int) -> np.ndarray:
    image = np.zeros((1128, 2000), dtype=np.float32)
    for trail in trails:
        if trail.frame == frame:
            draw_trail(image, trail, film.setup.exptime1_s, 3.5, film.air.motion, frame * 0.5)
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
    add_trail(image, (1000.0, 500.0 - vy * 0.3, 0.0, vy), (exptime, 0.0, 10.0), rate, _ROUND, _STILL)
    profile = image.sum(axis=1, dtype=float)
    length = profile.sum() / np.median(profile[profile > 0.3 * profile.max()]) if vy else 0.0
    stretch = 1.0 / (1.0 - vy * ROW_TIME_S)
    assert image.sum(dtype=float) == pytest.approx(rate * exptime * stretch, rel=0.01)
    if vy:
        assert length == pytest.approx(abs(vy) * exptime * stretch, rel=0.02)


def test_a_shaken_source_lies_where_the_path_is_while_its_row_is_open() -> None:
    """A slow wave along x: each row averages the half second in which it is exposed."""
    seconds = np.arange(2000) * 0.001 - 0.5
    path = np.array([1.5 * np.sin(2 * np.pi * seconds), np.zeros(2000)])
    for y in (100.0, 1000.0):
        image = np.zeros((1128, 2000), dtype=np.float32)
        add_trail(image, (1000.0, y, 0.0, 0.0), (0.5, -1e9, 1e9), 1e5, _ROUND, (path, -0.5, 0.001))
        open_s = y * ROW_TIME_S + np.linspace(0, 0.5, 2001)
        assert _centroid(image)[0] == pytest.approx(1000.0 + 1.5 * np.sin(2 * np.pi * open_s).mean(), abs=0.01)


@pytest.mark.parametrize("vy", [-9000.0, -600.0, 1500.0, 2300.0, 2411.0, 3000.0, 12000.0])
def test_rows_of_a_fast_streak_match_brute_force(quiet_film, vy: float) -> None:
    """Every row of every moment, summed up; above 2411 px/s the source overtakes the shutter."""
    streak = StreakTrack(7, 300.0, 564.0 - vy * 0.75, 500.0, vy, 0.55, 1.0, 9.0)
    truth = TruthTables()
    trails = place_streaks(quiet_film, [streak], truth)
    rows = np.arange(1128)
    seconds = np.arange(0.55, 1.0, 5e-6) + 2.5e-6
    x, y = streak.x + streak.vx * seconds, streak.y + vy * seconds
    noted = {r["frame_first"]: r for r in truth.table("streaks").to_pylist()}
    for frame in range(4):
        starts = frame * 0.5 + y * ROW_TIME_S  # of the row that the source is in
        lit = (
            (seconds >= starts)
            & (seconds <= starts + 0.499904)
            & (np.abs(x - 999.5) <= 1000)
            & (np.abs(y - 563.5) <= 564)
        )
        assert bool(lit.any()) == (frame in noted)
        if not lit.any():
            continue
        first, last = seconds[lit][0], seconds[lit][-1]
        start = quiet_film.setup.mjd_start
        assert (noted[frame]["mjd_first"] - start) * 86400 == pytest.approx(first, abs=1e-5)
        assert (noted[frame]["mjd_last"] - start) * 86400 == pytest.approx(last, abs=1e-5)
        assert noted[frame]["x2"] == pytest.approx(x[lit][-1], abs=0.1)
        # each row collects the light that falls on it while it is open
        row = np.rint(y).astype(int)
        near = (row >= 0) & (row < 1128)
        starts = frame * 0.5 + row * ROW_TIME_S
        near &= (seconds >= starts) & (seconds <= starts + 0.499904)
        expected = np.bincount(row[near], minlength=1128) * 5e-6 * trails[0].electrons_per_s
        image = _draw(quiet_film, trails, frame)
        found = image.sum(axis=1, dtype=float)
        total = expected.sum()
        assert found.sum() == pytest.approx(total, rel=0.02)
        if total > 0:
            assert (found * rows).sum() / found.sum() == pytest.approx((expected * rows).sum() / total, abs=1.0)


def test_a_glint_is_a_point_in_one_frame(quiet_film) -> None:
    glint = StreakTrack(112500, 800.0, 600.0, 0.0, 0.0, 0.9, 1.1, 12.0, "glint")
    truth = TruthTables()
    trails = place_streaks(quiet_film, [glint], truth)
    (row,) = truth.table("streaks").to_pylist()
    assert (row["class"], row["frame_first"], row["rate"], row["length"]) == ("glint", 1, None, 0.0)
    assert row["mag"] == pytest.approx(12.0 + 2.5 * np.log10(0.499904 / 0.2), abs=1e-4)
    image = _draw(quiet_film, trails, 1)
    assert _centroid(image) == pytest.approx((800.0, 600.0), abs=0.01)
    electrons = quiet_film.electrons_per_s(row["mag"]) * 0.499904
    assert image.sum(dtype=float) == pytest.approx(electrons, rel=0.01)
    assert image.max() / quiet_film.noise_electrons == pytest.approx(row["snr"], rel=0.03)


def test_streak_ends_and_light_are_as_drawn(quiet_film) -> None:
    streak = StreakTrack(0, 300.0, 200.0, 700.0, 500.0, 0.75, 1.4, 8.0)
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
        assert image.sum(dtype=float) == pytest.approx(quiet_film.electrons_per_s(8.0) * seconds, rel=0.01)
        assert image.max() == pytest.approx(row["snr"] * quiet_film.noise_electrons, rel=0.1)


def test_a_star_varies_in_the_time_of_its_row(quiet_film) -> None:
    ra, dec = quiet_film.projection.to_sky([1000.0, 1000.0], [0.0, 1127.0])
    stars = Stars(
        np.array([1, 2]), np.array([1, 2]), ra, dec, *np.zeros((2, 2)), np.full(2, 2020.6), np.full(2, 14.0), np.ones(2)
    )
    period = 10.0 / 86400
    wave = Pulsation(period, 0.3, quiet_film.setup.mjd_start)
    truth = TruthTables()
    light = place_stars(quiet_film, stars, np.array([True, False]), {1: wave, 2: wave}, truth)
    electrons = np.array([frame.electrons for frame in light])
    for k, row in ((0, 0.0), (1, 1127.0)):
        seconds = np.arange(4) * 0.5 + row * ROW_TIME_S + 0.499904 / 2
        expected = 10 ** (0.4 * 0.3 * np.cos(2 * np.pi * seconds / 10.0))
        assert electrons[:, k] / electrons[0, k] == pytest.approx(expected / expected[0], rel=1e-4)
    table = truth.table("stars")
    assert table["ref_id"].to_pylist() == [1, None]
    assert table["is_variable"].to_pylist() == [True, True]
