"""Linking: objects that move are found once and whole, anywhere on the sky; what lies anyhow is not linked."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import Table

import tomoe_explore as te
from tomoe_explore.analysis.link import Links, link
from tomoe_explore.errors import ParameterError

MJD = 59075.5
RNG = np.random.default_rng


def moving(
    seconds: Any, *, start: tuple[float, float] = (310.0, -12.0), rate: float = 2.0, angle: float = 60.0,
    err: float = 0.3, rate_err: float | None = None, seed: int = 1, **columns: Any,
) -> pd.DataFrame:  # fmt: skip
    """An object on a great circle, by astropy; with ``rate_err`` each row has a rate, as a film's mover."""
    t, rng = np.asarray(seconds, float), RNG(seed)
    begin = SkyCoord(*start, unit="deg")
    path = begin.directional_offset_by(angle * u.deg, rate * t * u.arcsec)
    seen = path.spherical_offsets_by(*(rng.normal(0, err, (2, len(t))) * u.arcsec))
    table = pd.DataFrame(
        {"ra": seen.ra.deg, "dec": seen.dec.deg, "mjd": MJD + t / 86400, "ra_err": err, "dec_err": err}
    )
    if rate_err is not None:
        ahead = begin.directional_offset_by(angle * u.deg, (rate * t + 1) * u.arcsec)
        direction = path.position_angle(ahead).rad
        east, north = (
            rate * f(direction) + rng.normal(0, rate_err, len(t)) for f in (np.sin, np.cos)
        )  # fmt: skip
        table["rate"], table["rate_err"] = np.hypot(east, north), rate_err
        table["position_angle"] = np.degrees(np.arctan2(east, north)) % 360
    return table.assign(truth=1, **columns)


def anyhow(
    n: int, *, area_deg2: float = 20.0, exposures: int = 100, seed: int = 2, rated: bool = False
) -> pd.DataFrame:
    """Points that have nothing to do with each other, in exposures 20 s apart."""
    rng, side = RNG(seed), np.sqrt(area_deg2)
    exposure = rng.integers(0, exposures, n)
    table = pd.DataFrame({
        "ra": 310 + rng.uniform(-side / 2, side / 2, n) / np.cos(np.radians(12)),
        "dec": -12 + rng.uniform(-side / 2, side / 2, n), "mjd": MJD + exposure * 20 / 86400, "ra_err": 0.3,
        "dec_err": 0.3, "truth": 0,
    })  # fmt: skip
    if rated:
        table = table.assign(rate=10 ** rng.uniform(-0.3, 1, n), position_angle=rng.uniform(0, 360, n), rate_err=0.03)
    return table


def truths(found: Links) -> list[list[int]]:
    """The objects that each tracklet's rows are of."""
    table = found.detections
    return [sorted(rows["truth"].unique()) for _, rows in table.groupby("tracklet_id")]


@pytest.mark.parametrize("rate", [0.06, 0.5, 5.0, 99.0])
@pytest.mark.parametrize("start", [(359.9999, 0.0), (0.0001, 45.0), (120.0, 89.999), (10.0, -89.9)])
def test_an_object_is_linked_anywhere(start: tuple[float, float], rate: float) -> None:
    step = min(60.0, 300 / rate)
    table = moving(np.arange(8) * step, start=start, rate=rate, err=0.2)
    found = te.link(table)
    assert truths(found) == [[1]] and found.detections["tracklet_id"].notna().all()
    row = found.tracklets.iloc[0]
    assert row["rate"] == pytest.approx(rate, abs=5 * row["rate_err"])
    assert row["n"] == 8 and row["rms"] < 0.6
    middle = moving([3.5 * step], start=start, rate=rate, err=0.0).iloc[0]
    there, seen = (SkyCoord(r["ra"], r["dec"], unit="deg") for r in (middle, row))
    assert there.separation(seen).arcsec < 5 * row["ra_err"]
    assert row["mjd"] == pytest.approx(middle["mjd"], abs=1e-7)


def test_position_angle_and_error_are_right() -> None:
    pulls = []
    for seed in range(60):
        row = link(moving(np.arange(6) * 20.0, angle=200.0, err=0.3, seed=seed)).tracklets.iloc[0]
        pulls.append(
            [(row["rate"] - 2.0) / row["rate_err"], (row["position_angle"] - 200) / np.degrees(row["rate_err"] / 2)]
        )
    assert 0.75 < np.std(pulls) < 1.25


@pytest.mark.parametrize("density", [5, 50, 200])
def test_points_that_lie_anyhow_are_not_linked(density: int) -> None:
    """With 0.1 allowed a table, fewer than so many in all come of 12: whatever their number a square degree."""
    found = [len(link(anyhow(3 * density, area_deg2=3.0, exposures=60, seed=k))) for k in range(12)]
    assert sum(found) <= 4


@pytest.mark.parametrize("density", [1, 10, 100])
def test_movers_that_lie_anyhow_are_not_linked(density: int) -> None:
    found = [len(link(anyhow(10 * density, area_deg2=10.0, seed=k, rated=True))) for k in range(20)]
    assert sum(found) <= 5


@pytest.mark.parametrize("n_false", [300, 5000])
def test_objects_are_found_among_false_points(n_false: int) -> None:
    rng = RNG(5)
    objects = [
        moving(
            20.0 * (rng.integers(0, 90) + np.arange(8)), rate=10 ** rng.uniform(-0.3, 1), angle=rng.uniform(0, 360),
            start=(rng.uniform(308.5, 311.5), rng.uniform(-13.5, -10.5)), seed=k,
        ).assign(truth=k)
        for k in range(1, 31)
    ]  # fmt: skip
    found = link(pd.concat([anyhow(n_false), *objects], ignore_index=True).sample(frac=1, random_state=1))
    of = truths(found)
    assert len({names[-1] for names in of if names[-1]}) >= 29
    assert len(of) <= 31
    rows = found.detections
    assert rows[rows["truth"] > 0]["tracklet_id"].notna().mean() > 0.97
    assert (rows[rows["tracklet_id"].notna()]["truth"] == 0).mean() < 0.01


def test_movers_of_single_films_are_linked_over_gaps() -> None:
    """Two dithers 12 s apart, and again after 20 minutes, when the first two say well enough where it went."""
    table = moving(
        [0.0, 12.0, 1200.0, 1212.0], rate_err=0.03, exposure_id=[1, 2, 99, 100], detector_id=[111, 112, 111, 114]
    )
    false = anyhow(400, rated=True).assign(exposure_id=7, detector_id=np.arange(400))
    found = link(pd.concat([table, false], ignore_index=True))
    assert truths(found) == [[1]]
    assert found.tracklets.iloc[0]["n_exposures"] == 4
    assert found.tracklets.iloc[0]["rate_err"] < 0.001


def test_a_long_gap_in_a_crowd_is_not_bridged() -> None:
    """After an hour a rate good to 0.03 arcsec/s says enough for two alone, and too little among so many."""
    table = moving([0.0, 3600.0], rate_err=0.03, rate=0.5)
    assert len(link(table)) == 1
    found = link(pd.concat([table, anyhow(4000, rated=True)], ignore_index=True))
    assert not found.detections["tracklet_id"].iloc[:2].notna().any()


def test_bare_points_and_movers_are_linked_together() -> None:
    bare = moving(np.arange(6) * 10.0)
    film = moving([300.0], rate_err=0.02)
    both = pd.concat([bare, film], ignore_index=True)
    assert link(both).detections["tracklet_id"].tolist() == [1] * 7


def test_crossing_objects_are_two() -> None:
    t = np.arange(-4, 5) * 15.0
    both = pd.concat([moving(t, angle=20.0), moving(t, angle=110.0, seed=3).assign(truth=2)], ignore_index=True)
    assert sorted(truths(link(both))) == [[1], [2]]


def test_what_does_not_move_is_no_tracklet() -> None:
    """A star's residual in each frame."""
    t = np.arange(40) * 0.5
    assert len(link(moving(t, rate=0.0))) == 0


def test_frames_of_films_make_one_tracklet_of_an_object() -> None:
    t = np.concatenate([k * 12 + np.arange(18) * 0.5 for k in range(4)])
    exposure = np.repeat([1, 2, 3, 4], 18)
    found = link(pd.concat([moving(t, exposure_id=exposure), anyhow(500).assign(exposure_id=9)], ignore_index=True))
    assert truths(found) == [[1]]
    assert (found.tracklets.iloc[0]["n"], found.tracklets.iloc[0]["n_exposures"]) == (72, 4)


def test_two_rows_of_one_film_are_not_one_object() -> None:
    same = moving([0.0, 4.0], rate_err=0.02, exposure_id=1, detector_id=111)
    assert len(link(same)) == 0
    assert len(link(same.assign(detector_id=[111, 112]))) == 1


def test_any_table_and_its_order_are_kept() -> None:
    frame = (
        moving(np.arange(6) * 10.0)
        .iloc[[3, 0, 5, 1, 4, 2]]
        .assign(name=list("abcdef"), mag=[15.0, np.nan, 17, 16, 15, 17])
    )
    expected = link(frame)
    assert expected.detections["name"].tolist() == list("abcdef")
    assert "tracklet_id" not in frame
    assert expected.tracklets.iloc[0]["mag"] == 16.0
    for table in (pa.Table.from_pandas(frame), Table.from_pandas(frame)):
        assert link(table).tracklets.equals(expected.tracklets)


def test_nothing_gives_nothing_with_all_columns() -> None:
    for n in (0, 1, 2):
        found = link(moving(np.arange(n) * 1000.0))
        assert len(found) == 0 and len(found.detections) == n
        assert found.detections["tracklet_id"].isna().all()
    assert list(found.tracklets) == list(link(moving(np.arange(6) * 10.0)).tracklets)
    assert repr(found) == "0 tracklets of 0 of 2 detections"


def test_it_is_shown() -> None:
    found = link(moving(np.arange(6) * 10.0))
    assert "1 tracklet of 6 of 6 detections" in repr(found)
    assert "<table" in found._repr_html_()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ra": np.nan}, "ra of 6 of 6 detections is no number, first in row 0"),
        ({"mjd": [1, 2, np.inf, 4, 5, 6]}, "mjd of 1 of 6 detections is no number, first in row 2"),
        ({"dec": 91.0}, "dec must lie within -90 and 90 deg; in row 0 it is 91.0"),
    ],
)
def test_bad_rows_are_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        link(moving(np.arange(6) * 10.0).assign(**change))


def test_bad_input_is_named() -> None:
    with pytest.raises(ParameterError, match="lack the columns dec, mjd; they have ra"):
        link(pd.DataFrame({"ra": [1.0]}))
    with pytest.raises(ParameterError, match="got int"):
        link(3)
    with pytest.raises(ParameterError, match="speeds"):
        link(moving([0.0]), speeds=(5, 1))
