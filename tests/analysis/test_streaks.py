"""Rows of detectors that saw one streak become one row; others stay apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import tomoe_explore as te
from tomoe_explore import raw
from tomoe_explore.data import Masters
from tomoe_explore.errors import ParameterError
from tomoe_explore.ids import make_reduction_id
from tomoe_explore.reduction.masters import make_dark, make_flat
from tomoe_explore.reduction.recipe import reduce_film
from tomoe_explore.refcat import read_refcat
from tomoe_explore.simulate import simulate
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


@pytest.mark.slow
def test_a_streak_on_reduced_films_of_two_detectors_is_one_row(tmp_path: Path) -> None:
    """One of sixteen drawn crosses from detector 111 to 112 in its frames 2 and 3; the others stay on theirs."""
    night = simulate(
        tmp_path, detectors=(111, 112), exposures=1, frames=10, seed=4, movers=0, streaks=8, glints=0, seeing=3.0,
        progress=False,
    )  # fmt: skip
    refcat, found = read_refcat(night.refcat), []
    for paths in zip(night.films, night.darks, night.flats, strict=True):
        film, dark, flat = (raw.open_film(path) for path in paths)
        master = make_dark(dark)
        reduction_id = make_reduction_id(film.exposure.exposure_id, film.exposure.detector_id, 1)
        reduced = reduce_film(film, Masters(master, make_flat(flat, master)), refcat, reduction_id=reduction_id)
        found.append(reduced.tables["streaks"].to_pandas())
    rows = pd.concat(found)
    assert set(rows["detector_id"]) == {111, 112}
    joined = te.join_streaks(rows)
    assert len(joined) == len(rows) - 1
    (one,) = (row for _, row in joined[joined["n_detectors"] == 2].iterrows())
    true = night.truth("streaks").to_pandas()
    true = true[true["streak_id"] == 111006]
    assert (one["frame_first"], one["frame_last"]) == (true["frame_first"].min(), true["frame_last"].max())
    ends = np.array([[one["ra1"], one["dec1"]], [one["ra2"], one["dec2"]]])
    of_truth = np.concatenate([true[["ra1", "dec1"]].to_numpy(), true[["ra2", "dec2"]].to_numpy()])
    away = np.hypot(*((ends[:, None] - of_truth) * [np.cos(np.radians(12.0)), 1.0]).transpose(2, 0, 1)) * 3600
    assert away.min(axis=1).max() < 15.0  # each end is one of its pieces'
    assert one["length"] > 1.5 * rows.loc[rows["streak_id"] == one["streak_id"], "length"].max()
