"""Rows of detectors that saw one streak become one row; others stay apart."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import tomoe_explore as te
from tomoe_explore.errors import ParameterError
from tomoe_explore.simulate.header import ExposureSetup
from tomoe_explore.simulate.projection import Projection
from tomoe_explore.simulate.streaks import SkyStreak

CENTER = (310.0, -12.0)
SETUP = ExposureSetup(357754, "object", "2020-08-14", 50_000_000_000, 18, 0.5, *CENTER, 290.0, 1)


def rows_of(streaks: list[SkyStreak], detectors: list[int], across_err: float = 0.1) -> pd.DataFrame:
    """What the detectors see of some streaks, by the simulator; a row a detector."""
    rows = []
    rng = np.random.default_rng(1)
    for k, streak in enumerate(streaks):
        for detector in detectors:
            projection = Projection.nominal(*CENTER, detector)
            track = streak.on_film(CENTER, projection)
            seen = [(n, track.seen(n, 0.5, 0.499904)) for n in range(18)] if track else []
            seen = [(n, s) for n, s in seen if s]
            if not track or not seen:
                continue
            (x, y) = np.array([track.at(seen[0][1][0]), track.at(seen[-1][1][1])]).T
            ra, dec = projection.to_sky(x + rng.normal(0, across_err, 2), y + rng.normal(0, across_err, 2))
            length = float(np.hypot(np.ptp(x), np.ptp(y)) * 1.189)
            known = len(seen) > 2
            rows.append({
                "streak_id": 1000 * detector + k, "exposure_id": 1, "detector_id": detector,
                "frame_first": seen[0][0], "frame_last": seen[-1][0], "mjd_first": 59000 + seen[0][1][0] / 86400,
                "mjd_last": 59000 + seen[-1][1][1] / 86400, "ra1": ra[0], "dec1": dec[0], "ra2": ra[1], "dec2": dec[1],
                "length": length,
                "rate": track.speed * 1.189 if known else np.nan, "rate_err": 1.0 if known else np.nan,
                "snr": 30.0 + detector / 100, "across_err": across_err, "class": "satellite", "class_probability": 0.9,
                "truth": k,
            })  # fmt: skip
    return pd.DataFrame(rows)


def test_a_streak_on_three_detectors_is_one_row() -> None:
    crossing = SkyStreak(1, -1.2, 1.5, 0.02, 0.3, 4.5, 4.4, 9.0)
    rows = rows_of([crossing], [111, 112, 113, 114])
    assert rows["detector_id"].nunique() >= 3
    joined = te.join_streaks(rows)
    assert len(joined) == 1
    one = joined.iloc[0]
    assert one["n_detectors"] == rows["detector_id"].nunique()
    assert one["object_id"] == rows["streak_id"].min()
    assert (one["frame_first"], one["frame_last"]) == (rows["frame_first"].min(), rows["frame_last"].max())
    assert one["length"] > 1.5 * rows["length"].max()
    assert one["rate"] == pytest.approx(np.hypot(0.02, 0.3) * 3600, rel=0.02)
    assert one["dec1"] < one["dec2"]  # it flew north
    assert one["snr"] == pytest.approx(np.sqrt((rows["snr"] ** 2).sum()))


def test_two_streaks_side_by_side_stay_two() -> None:
    one = SkyStreak(1, -1.2, 1.5, 0.02, 0.3, 4.5, 4.4, 9.0)
    beside = SkyStreak(2, -1.15, 1.5, 0.02, 0.3, 4.5, 4.4, 9.0)
    crossing = SkyStreak(3, -1.2, 1.5, 0.3, 0.02, 4.5, 4.4, 9.0)
    joined = te.join_streaks(rows_of([one, beside, crossing], [111, 112, 113, 114]))
    assert len(joined) == 3
    assert sorted(joined["truth"]) == [0, 1, 2]


def test_the_same_line_at_another_time_is_another_streak() -> None:
    early = SkyStreak(1, -1.2, 1.3, 0.2, 2.0, 1.0, 0.3, 9.0)
    late = SkyStreak(2, -1.2, 1.3, 0.2, 2.0, 7.0, 0.3, 9.0)
    rows = rows_of([early, late], [111, 112, 113, 114])
    joined = te.join_streaks(rows)
    assert sorted(joined["truth"]) == [0, 1]


def test_no_rows_and_rows_without_columns() -> None:
    rows = rows_of([SkyStreak(1, -1.2, 1.5, 0.02, 0.3, 4.5, 4.4, 9.0)], [112])
    assert te.join_streaks(rows.iloc[:0]).empty
    with pytest.raises(ParameterError, match="across_err are missing"):
        te.join_streaks(rows.drop(columns="across_err"))
