"""Which trails are one streak, its rate through the rolling shutter, and its class."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tomoe_explore.camera import PIXEL_SCALE, gain_mode
from tomoe_explore.data import Exposure
from tomoe_explore.reduction.streak_class import classify
from tomoe_explore.reduction.streak_table import crossing_flags, streaks_table
from tomoe_explore.reduction.streak_tracks import track_streaks
from tomoe_explore.reduction.trails import FittedTrail, Streaks
from tomoe_explore.reduction.values import FrameSeries
from tomoe_explore.schema import Flag
from tomoe_explore.simulate.streaks import StreakTrack
from tomoe_explore.wcs import TanSip

EXPOSURE = Exposure(357754, 112, "object", "2020-08-14", 59075.5, 18, 0.5, 0.499904, 310.0, -12.0, gain_mode(0.23))
RECORDED = np.ones(18, bool)
FRAMES = FrameSeries(
    np.zeros((2, 18, 3), np.float32), np.full(18, 2.5, np.float32), np.ones((18, 3), np.float32),
    np.zeros((18, 4, 8), np.float32), 50,
)  # fmt: skip


def trail(frame: int, x1: float, y1: float, x2: float, y2: float, **changed: object) -> FittedTrail:
    ends = (x1, y1, x2, y2) if (x1, y1) <= (x2, y2) else (x2, y2, x1, y1)
    cut = tuple(not (2 < x < 1997 and 2 < y < 1125) for x, y in (ends[:2], ends[2:]))
    one = FittedTrail(
        frame, (ends[0], ends[2]), (ends[1], ends[3]), (0.4, 0.4), 0.1, (cut[0], cut[1]), 1e4, 100.0, 100.0, 2.5, 0.05,
        0.05, 0.0, 0.02,
    )  # fmt: skip
    return replace(one, **changed)


def seen(track: StreakTrack) -> list[FittedTrail]:
    """The trails that the simulator's shutter lets through."""
    pieces = []
    for n in range(18):
        times = track.seen(n, 0.5, 0.499904)
        if times is not None:
            (x1, y1), (x2, y2) = track.at(times[0]), track.at(times[1])
            if np.hypot(x2 - x1, y2 - y1) > 20:
                pieces.append(trail(n, x1, y1, x2, y2))
    return pieces


@pytest.mark.parametrize(
    ("x", "y", "vx", "vy"),
    [(100, 100, 250, 80), (900, 1100, -100, -250), (500, 0, 20, 260), (1800, 900, -400, 0), (600, 100, 5, 600)],
)
def test_the_rate_is_that_of_the_source_not_of_its_trail(x: float, y: float, vx: float, vy: float) -> None:
    """A source that moves with the shutter leaves longer trails: 600 px/s along +y ones a third longer."""
    pieces = seen(StreakTrack(1, x, y, vx, vy, -1e9, 1e9, 10.0))
    assert len(pieces) >= 3
    streaks = track_streaks(pieces, EXPOSURE, RECORDED)
    assert len(streaks) == 1
    assert streaks.rate[0] == pytest.approx(np.hypot(vx, vy), rel=0.002)
    assert 0 < streaks.rate_err[0] < 0.01 * streaks.rate[0]
    first, last = streaks.pieces[0][0], streaks.pieces[0][-1]
    motion = np.array([last.x[1] - first.x[0], last.y[1] - first.y[0]])
    assert motion @ [vx, vy] / np.hypot(*motion) / np.hypot(vx, vy) == pytest.approx(1.0, abs=1e-3)


def test_the_errors_of_rates_are_true() -> None:
    track, rng = StreakTrack(1, 100.0, 300.0, 300.0, 40.0, -1e9, 1e9, 10.0), np.random.default_rng(1)
    pulls = []
    for _ in range(300):
        pieces = []
        for t in seen(track):
            moved = rng.normal(0, 0.4, 2)
            pieces.append(replace(t, x=(t.x[0] + moved[0], t.x[1] + moved[1]), end_err=(0.4, 0.4)))
        streaks = track_streaks(pieces, EXPOSURE, RECORDED)
        pulls.append((streaks.rate[0] - 302.65) / streaks.rate_err[0])
    assert 0.6 < np.std(pulls) < 1.1  # images move besides, by END_PX


def test_one_or_two_frames_leave_the_rate_open() -> None:
    one = track_streaks([trail(4, 300, 300, 600, 420)], EXPOSURE, RECORDED)
    two = track_streaks([trail(4, 300, 300, 600, 420), trail(5, 600, 420, 700, 460)], EXPOSURE, RECORDED)
    assert (len(one), len(two)) == (1, 1)
    assert np.isnan(one.rate[0])
    assert np.isnan(two.rate[0])
    assert [t.frame for t in two.pieces[0]] == [4, 5]


def test_a_lost_frame_does_not_break_a_streak() -> None:
    pieces = [t for t in seen(StreakTrack(1, 100, 300, 250, 40, -1e9, 1e9, 10.0)) if t.frame != 5]
    recorded = RECORDED.copy()
    recorded[5] = False
    assert len(track_streaks(pieces, EXPOSURE, recorded)) == 1
    assert len(track_streaks([t for t in pieces if t.frame > 3], EXPOSURE, RECORDED)) == 2  # frame 5 was dark: two


def test_pieces_of_a_frame_are_joined_and_others_kept_apart() -> None:
    broken = [trail(4, 300, 300, 600, 420), trail(4, 640, 436, 840, 516)]
    wing = [trail(4, 350, 323, 500, 383, snr=20.0)]
    parallel = [trail(4, 300, 320, 600, 440)]
    crossing = [trail(4, 400, 420, 520, 280)]
    far = [trail(4, 1500, 780, 1560, 804)]
    joined = track_streaks(broken + wing, EXPOSURE, RECORDED)
    assert len(joined) == 1
    assert joined.pieces[0][0].x == (300, 840)
    assert joined.pieces[0][0].flux == pytest.approx(2e4)
    assert len(track_streaks(broken + parallel, EXPOSURE, RECORDED)) == 2
    assert len(track_streaks(broken + crossing, EXPOSURE, RECORDED)) == 2
    assert len(track_streaks(broken + far, EXPOSURE, RECORDED)) == 2


def test_two_that_follow_each_other_are_two() -> None:
    """Satellites of one launch on one line: each goes on where it was."""
    ahead = seen(StreakTrack(1, 900, 300, 200, 30, -1e9, 1e9, 10.0))
    behind = seen(StreakTrack(2, 400, 225, 200, 30, -1e9, 1e9, 10.0))
    streaks = track_streaks([t for t in ahead + behind if t.frame < 6], EXPOSURE, RECORDED)
    assert len(streaks) == 2
    assert streaks.rate == pytest.approx(np.hypot(200, 30), rel=0.003)


def classes(*chains: list[FittedTrail], rates: list[float] | None = None) -> Streaks:
    n = len(chains)
    rate = np.array(rates or [np.nan] * n)
    return classify(
        Streaks(
            tuple(map(tuple, chains)), rate, 0.01 * rate, np.zeros(n, np.int32), ("unknown",) * n, np.full(n, np.nan)
        ),
        FRAMES,
    )  # fmt: skip


def test_classes_follow_the_evidence() -> None:
    steady = [trail(n, 100 + 200 * n, 300, 300 + 200 * n, 300) for n in range(4)]
    meteor = [trail(4, 500, 300, 1100, 600, fwhm=2.9, fwhm_err=0.02, taper=0.4, variability=0.3)]
    open_question = [trail(4, -0.5, 300, 1100, 600, fwhm=2.58, taper=0.15, taper_err=0.1, fwhm_err=0.3)]
    given = classes(steady, meteor, open_question, rates=[400.0, np.nan, np.nan])
    assert given.kind == ("satellite", "meteor", "unknown")
    assert given.probability[0] > 0.98
    assert given.probability[1] > 0.9
    assert 0.5 <= given.probability[2] < 0.8


def test_the_table_and_the_flags() -> None:
    wcs = TanSip((310.0, -12.0), (999.5, 563.5), np.diag([-PIXEL_SCALE, PIXEL_SCALE]) / 3600, (), ())
    streaks = classes(
        [trail(n, 100 + 200 * n, 300, 300 + 200 * n, 300) for n in range(4)], [trail(9, 500, 500, 900, 500)],
        rates=[400.0, np.nan],
    )  # fmt: skip
    table = streaks_table(EXPOSURE, 357754112001, wcs, streaks, 1000.0).to_pydict()
    assert table["streak_id"] == [35775411200195000, 35775411200195001]
    assert table["rate"][1] is None
    assert table["rate"][0] == pytest.approx(400 * PIXEL_SCALE, rel=1e-4)
    assert table["length"] == pytest.approx([800 * PIXEL_SCALE, 400 * PIXEL_SCALE], rel=1e-3)
    assert (table["frame_first"], table["frame_last"]) == ([0, 9], [3, 9])
    assert table["mjd_last"][0] - table["mjd_first"][0] == pytest.approx(1.5 / 86400, rel=1e-6)
    # of a known rate the source's own light: 10^4 ADU on 200 px are so many a frame at 400 px/s
    own, in_frame = (10 ** (-0.4 * m) for m in table["mag"])
    assert own / in_frame == pytest.approx(400 * 0.499904 / 200, rel=1e-3)
    x, y = np.array([150, 150, 700, 1200], np.float32), np.array([302, 320, 500, 700], np.float32)
    flags = crossing_flags(streaks, x, y, 2.5, 18)
    crossed = np.argwhere(flags & Flag.STREAK)
    assert crossed.tolist() == [[0, 0], [2, 9]]
