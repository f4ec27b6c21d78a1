"""Streaks belong to the sky: each detector sees its own part of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tomoe_explore.simulate.header import ExposureSetup
from tomoe_explore.simulate.projection import Projection
from tomoe_explore.simulate.streaks import RATE_ARCSEC_S, SkyStreak, draw_streaks

CENTER = (310.0, -12.0)
SETUP = ExposureSetup(357754, "object", "2020-08-14", 50_000_000_000, 18, 0.5, *CENTER, 290.0, 1)


def test_neighbours_see_the_same_streak_at_consistent_times() -> None:
    """From detector 112 (eta 1.4 deg) to 113 (eta 2.1 deg) at 2 deg/s; the detectors lie 0.7 deg apart."""
    streak = SkyStreak(112000, -1.2, 1.3, 0.1, 2.0, 5.0, 0.45, 9.0)
    lower = replace(Projection.nominal(*CENTER, 112), rotation_deg=0.3, scale=1.1893)
    upper = replace(Projection.nominal(*CENTER, 113), rotation_deg=-0.2)
    one, two = streak.on_film(CENTER, lower), streak.on_film(CENTER, upper)
    assert one is not None
    assert two is not None
    assert (one.streak_id, one.on_s, one.off_s, one.mag) == (two.streak_id, two.on_s, two.off_s, two.mag)
    seen = [track.seen(10, 0.5, 0.499904) or track.seen(9, 0.5, 0.499904) for track in (one, two)]
    assert None not in seen
    assert seen[0][0] < seen[1][0]  # first the lower one, then the upper
    for t in (4.9, 5.0, 5.2):  # each track continued to where the other is
        ra, dec = np.array([lower.to_sky(*one.at(t)), upper.to_sky(*two.at(t))]).T
        assert np.ptp(ra) * np.cos(np.radians(12)) * 3600 < 3.0
        assert np.ptp(dec) * 3600 < 3.0
    assert one.speed * 1.189 == pytest.approx(np.hypot(0.1, 2.0) * 3600, rel=0.01)
    assert streak.on_film(CENTER, Projection.nominal(*CENTER, 343)) is None


def test_streaks_are_drawn_for_the_whole_camera_up_to_five_degrees_a_second() -> None:
    streaks = draw_streaks(1, SETUP, 20.0, 2)
    assert len({s.streak_id for s in streaks}) == 168
    rates = np.array([np.hypot(s.v_xi, s.v_eta) for s in streaks]) * 3600
    assert rates.min() >= RATE_ARCSEC_S[0]
    assert 15_000 < rates.max() <= 18_000
    assert (rates * np.abs([s.v_eta for s in streaks]) / np.hypot(*np.array([[s.v_xi, s.v_eta] for s in streaks]).T)
            > 2411 * 1.189).any()  # some overtake the shutter  # fmt: skip
    assert draw_streaks(1, SETUP, 20.0, 0) == []


def test_a_streak_reaches_detectors_of_others() -> None:
    """Of the streaks of all 84 detectors, some are met on each: a film does not see only its own."""
    film = Projection.nominal(*CENTER, 222)
    met = []
    for exposure in range(12):
        setup = replace(SETUP, exposure_id=exposure)
        tracks = [s.on_film(CENTER, film) for s in draw_streaks(1, setup, 20.0, 1)]
        for track in tracks:
            if track and any(track.seen(n, 0.5, 0.499904) for n in range(18)):
                met.append(track.streak_id // 1000)
    assert met.count(222) >= 11
    assert len(set(met)) >= 3
