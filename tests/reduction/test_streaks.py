"""Streaks on films of the full simulator, from the raw film to the table; and films that go wrong."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from tests.reduction.conftest import frame_of
from tests.reduction.field import Field, trimmed
from tomoe_explore import raw
from tomoe_explore.data import Masters, Reduction
from tomoe_explore.reduction.masters import make_dark, make_flat
from tomoe_explore.reduction.recipe import Parameters, reduce_film
from tomoe_explore.reduction.streaks import TRAILS_A_FRAME
from tomoe_explore.refcat import read_refcat
from tomoe_explore.schema import Flag
from tomoe_explore.simulate import simulate
from tomoe_explore.simulate.streaks import PlacedStreak

PLACED = (
    PlacedStreak(112, 0, 900, 500, 500, 30, 2.9, 2.2, 2.0),  # through five frames
    PlacedStreak(112, 0, 500, 800, 2500, 100, 1.3, 0.10, 1.0),  # 210 px in one
    PlacedStreak(112, 0, 1500, 300, 1200, -20, 4.3, 0.25, 3.0),
    PlacedStreak(112, 0, 1000, 560, 20000, 160, 2.2, 0.03, 5.0, "meteor"),
)


@dataclass(frozen=True)
class Streaked:
    field: Field
    reduction: Reduction
    truth: pd.DataFrame

    @property
    def rows(self) -> pd.DataFrame:
        return frame_of(self.reduction.tables["streaks"])


@pytest.fixture(scope="module")
def streaked(tmp_path_factory: pytest.TempPathFactory) -> Streaked:
    out = tmp_path_factory.mktemp("streaked")
    night = simulate(
        out, detectors=(112,), exposures=1, frames=10, seed=4, movers=0, streaks=0, seeing=3.0, progress=False,
        placed_streaks=PLACED,
    )  # fmt: skip
    film, dark, flat = (raw.open_film(p[0]) for p in (night.films, night.darks, night.flats))
    master = make_dark(dark)
    masters = Masters(master, make_flat(flat, master))
    field = Field(film, masters, read_refcat(night.refcat), trimmed(film, 10), trimmed(dark, 2))
    return Streaked(field, field.reduce(film), frame_of(pq.read_table(out / "truth" / "streaks.parquet")))


def test_each_streak_has_one_row_with_its_ends(streaked: Streaked) -> None:
    rows = streaked.rows
    assert len(rows) == len(PLACED)
    for _, true in streaked.truth.groupby("streak_id"):
        first, last = true.iloc[0], true.iloc[-1]
        ends = np.array([first["x1"], first["y1"], last["x2"], last["y2"]], float)
        got = rows[["x1", "y1", "x2", "y2"]].to_numpy(float)
        away = np.minimum(
            np.hypot(*(got[:, :2] - ends[:2]).T) + np.hypot(*(got[:, 2:] - ends[2:]).T),
            np.hypot(*(got[:, :2] - ends[2:]).T) + np.hypot(*(got[:, 2:] - ends[:2]).T),
        )
        k = int(away.argmin())
        assert away[k] < (60 if true["class"].iloc[0] == "meteor" else 12)  # a meteor fades out
        assert abs(rows["width"].iloc[k] / true["width"].median() - 1) < 0.25
        assert abs(rows["frame_first"].iloc[k] - first["frame_first"]) <= 1


def test_the_rate_and_brightness_of_a_streak_in_five_frames(streaked: Streaked) -> None:
    rows = streaked.rows
    known = rows[rows["rate"].notna()]
    assert len(known) == 1
    one, true = known.iloc[0], streaked.truth[streaked.truth["streak_id"] == 112700].iloc[0]
    assert one["rate"] == pytest.approx(true["rate"], abs=4 * float(one["rate_err"]))
    assert one["rate_err"] < 0.01 * one["rate"]
    assert one["mag"] == pytest.approx(true["mag"], abs=0.1)
    assert one["class"] == "satellite"
    # it flew from the first end to the second
    assert (one["x1"] < one["x2"]) == (true["x1"] < true["x2"])


def test_a_meteor_fades_at_its_ends_and_satellites_do_not(streaked: Streaked) -> None:
    rows = streaked.rows
    meteor = rows["snr"].idxmax()
    assert rows.loc[meteor, "class"] == "meteor"
    assert rows.loc[meteor, "taper"] > 0.25
    assert (rows.drop(index=meteor)["taper"].abs() < 0.25).all()
    assert "meteor" not in set(rows.drop(index=meteor)["class"])


def test_photometry_under_a_streak_is_flagged_and_no_other(streaked: Streaked) -> None:
    photometry = frame_of(streaked.reduction.tables["photometry"])
    touched = np.zeros(len(photometry), bool)
    for _, t in streaked.truth.iterrows():
        x, y = photometry["x"].to_numpy() - t["x1"], photometry["y"].to_numpy() - t["y1"]
        dx, dy = t["x2"] - t["x1"], t["y2"] - t["y1"]
        part = np.clip((x * dx + y * dy) / max(dx**2 + dy**2, 1e-9), 0, 1)
        near = np.hypot(x - part * dx, y - part * dy) < 3.0
        touched |= near & (photometry["frame"] == t["frame_first"]).to_numpy()
    flagged = (photometry["flags"] & Flag.STREAK > 0).to_numpy()
    assert touched.sum() > 20
    assert flagged[touched].mean() > 0.9
    assert flagged.mean() < 0.01


def test_streaks_make_no_movers(streaked: Streaked) -> None:
    assert streaked.reduction.tables["movers"].num_rows == 0


def test_deep_mode_finds_what_is_found_without_it(streaked: Streaked) -> None:
    f = streaked.field
    deep = reduce_film(
        f.film, f.masters, f.refcat, parameters=Parameters(deep_streaks=True), reduction_id=357_754_112_001
    )
    long = streaked.rows[streaked.rows["length"] > 300 * 1.189]
    found = frame_of(deep.tables["streaks"])
    for _, row in long.iterrows():
        assert (np.hypot(found["x1"] - row["x1"], found["y1"] - row["y1"]) < 10).any()


def flash(adu: np.ndarray) -> np.ndarray:
    """The whole frame lit."""
    rng = np.random.default_rng(1)
    adu[4] += 60 + np.float32(16) * rng.standard_normal(adu[4].shape, np.float32)
    return adu


def shake(adu: np.ndarray) -> np.ndarray:
    """A gust moves all images by five pixels for a frame."""
    adu[4] = np.roll(adu[4], (3, 4), (0, 1))
    return adu


def sweep(adu: np.ndarray) -> np.ndarray:
    """A light that is brighter on one side."""
    adu[4] += 150 + np.float32(0.1) * np.arange(adu.shape[2], dtype=np.float32)
    return adu


def gust(adu: np.ndarray) -> np.ndarray:
    """Images of a frame are trails."""
    rng = np.random.default_rng(3)
    moved = sum(np.roll(adu[4], (k, 2 * k), (0, 1)) for k in range(-3, 4)) / np.float32(7)
    adu[4] = moved + np.float32(7) * rng.standard_normal(adu[4].shape, np.float32)
    return adu


def ghost(adu: np.ndarray) -> np.ndarray:
    """A ring of scattered light in every frame, brighter in one."""
    y, x = np.mgrid[: adu.shape[1], : adu.shape[2]]
    r = np.hypot(x - 900, y - 500)
    ring = (60 * np.exp(-0.5 * ((r - 200) / 30) ** 2)).astype(np.float32)
    adu += ring
    adu[3] += ring / 2
    return adu


def hot(adu: np.ndarray) -> np.ndarray:
    """Pixels that come and go."""
    rng = np.random.default_rng(2)
    n = 3000
    adu[rng.integers(0, len(adu), n), rng.integers(0, 1128, n), rng.integers(0, 2000, n)] += 2000
    return adu


def lost(adu: np.ndarray) -> np.ndarray:
    adu[3] = 0
    return adu


@pytest.mark.parametrize("edit", [flash, sweep, shake, gust, ghost, hot, lost])
def test_a_film_that_goes_wrong_has_no_flood_of_streaks(field: Field, edit) -> None:
    rows = field.reduce(field.edited(edit)).tables["streaks"]
    assert rows.num_rows <= (8 if edit is ghost else 1)  # arcs of a ring are trails, of a few rows


def test_a_saturated_aircraft_is_few_rows_not_hundreds(field: Field) -> None:
    """A trail 30 px wide, saturated, beside two fainter ones."""

    def fly(adu: np.ndarray) -> np.ndarray:
        y, x = np.mgrid[: adu.shape[1], : adu.shape[2]]
        for offset, width, light in ((0, 15, 30_000), (60, 3, 400), (-80, 3, 400)):
            away = np.abs((y - 400 - offset) * np.cos(0.3) - (x - 1000) * np.sin(0.3))
            adu[3][away < width] += light
        return np.minimum(adu, field.film.exposure.gain_mode.saturation_adu)

    rows = frame_of(field.reduce(field.edited(fly)).tables["streaks"])
    assert 1 <= len(rows) <= 8
    assert rows["length"].max() > 1000


def test_more_trails_than_are_kept_are_told(field: Field) -> None:
    def comb(adu: np.ndarray) -> np.ndarray:
        for k in range(60):
            adu[3, 10 + 18 * k : 13 + 18 * k, 200:800] += 200
        return adu

    rows = frame_of(field.reduce(field.edited(comb)).tables["streaks"])
    assert len(rows) == TRAILS_A_FRAME
    assert (rows["flags"] & Flag.TOO_MANY > 0).all()
    for end in ("y1", "y2"):  # on the teeth, not across them
        assert (((rows[end] - 11 + 9) % 18 - 9).abs() < 1).all()


@pytest.mark.parametrize("frames", [6, 12, pytest.param(120, marks=pytest.mark.slow)])
def test_films_of_other_lengths_have_their_streak(tmp_path: Path, frames: int) -> None:
    """One that crosses three frames, and nothing else."""
    night = simulate(
        tmp_path, detectors=(112,), exposures=1, frames=frames, seed=9, movers=0, streaks=0, glints=0, seeing=3.0,
        progress=False, placed_streaks=(PlacedStreak(112, 0, 1000, 500, 300, 25, frames / 4, 1.3, 3.0),),
    )  # fmt: skip
    film, dark, flat = (raw.open_film(p[0]) for p in (night.films, night.darks, night.flats))
    master = make_dark(dark)
    masters = Masters(master, make_flat(flat, master))
    reduction = reduce_film(film, masters, read_refcat(night.refcat), reduction_id=357_754_112_001)
    (row,), truth = reduction.tables["streaks"].to_pylist(), night.truth("streaks").to_pandas()
    assert film.n_frames == frames
    assert row["frame_first"] == truth["frame_first"].min()
    assert row["frame_last"] == truth["frame_last"].max()
    assert row["rate"] == pytest.approx(300, abs=4 * row["rate_err"])
    ends = truth["x1"].iloc[0], truth["y1"].iloc[0], truth["x2"].iloc[-1], truth["y2"].iloc[-1]
    assert [row[n] for n in ("x1", "y1", "x2", "y2")] == pytest.approx(ends, abs=5)
