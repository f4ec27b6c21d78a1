"""Glints on a film of the full simulator; and what looks like one: single pixels, a star that flares, movers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from tests.reduction.conftest import frame_of
from tests.reduction.field import Field, trimmed
from tomoe_explore import raw
from tomoe_explore.data import Masters, Reduction
from tomoe_explore.reduction.masters import make_dark, make_flat
from tomoe_explore.refcat import read_refcat
from tomoe_explore.schema import Flag
from tomoe_explore.simulate import simulate


@dataclass(frozen=True)
class Glinting:
    field: Field
    reduction: Reduction
    truth: pd.DataFrame

    def rows(self, adu: np.ndarray | None = None) -> pd.DataFrame:
        reduction = self.reduction if adu is None else self.field.reduce(self.field.edited(lambda _: adu))
        rows = frame_of(reduction.tables["streaks"])
        return rows[rows["class"] == "glint"]


@pytest.fixture(scope="module")
def glinting(tmp_path_factory: pytest.TempPathFactory) -> Glinting:
    out = tmp_path_factory.mktemp("glinting")
    night = simulate(
        out, detectors=(112,), exposures=1, frames=10, seed=8, movers=2, streaks=0, glints=20, seeing=3.0,
        progress=False,
    )  # fmt: skip
    film, dark, flat = (raw.open_film(p[0]) for p in (night.films, night.darks, night.flats))
    master = make_dark(dark)
    masters = Masters(master, make_flat(flat, master))
    field = Field(film, masters, read_refcat(night.refcat), trimmed(film, 10), trimmed(dark, 2))
    return Glinting(field, field.reduce(film), frame_of(pq.read_table(out / "truth" / "streaks.parquet")))


def test_glints_have_rows_of_zero_length(glinting: Glinting) -> None:
    rows, truth = glinting.rows(), glinting.truth
    found = 0
    for _, true in truth.iterrows():
        near = np.hypot(rows["x1"] - true["x1"], rows["y1"] - true["y1"]) < 2.0  # images move
        mine = rows[near & (rows["frame_first"] <= true["frame_first"]) & (rows["frame_last"] >= true["frame_first"])]
        found += len(mine) == 1
        if len(mine) == 1 and true["mag"] > 13:
            one = mine.iloc[0]
            assert one["mag"] == pytest.approx(true["mag"], abs=max(0.15, 4 * float(one["mag_err"])))
    assert found >= 0.9 * len(truth)
    assert len(rows) <= found  # none is false, and movers are none
    assert (rows["length"] == 0).all()
    assert rows[["rate", "class_probability"]].isna().all().all()


def test_photometry_that_a_glint_touches_is_flagged_in_that_frame(glinting: Glinting) -> None:
    photometry, rows = frame_of(glinting.reduction.tables["photometry"]), glinting.rows()
    flagged = (photometry["flags"] & Flag.GLINT > 0).to_numpy()
    near = np.zeros(len(photometry), bool)
    for _, row in rows.iterrows():
        apart = np.hypot(photometry["x"] - row["x1"], photometry["y"] - row["y1"]).to_numpy()
        near |= (apart < 3.0) & (photometry["frame"] == row["frame_first"]).to_numpy()
    assert flagged[near].all()
    assert near.sum() > 0
    assert flagged.mean() < 0.01
    assert not (photometry["flags"] & Flag.STREAK > 0).any()


def test_single_pixels_and_what_shines_again_are_no_glints(glinting: Glinting) -> None:
    adu, rng = glinting.field.adu.copy(), np.random.default_rng(3)
    n = 300
    adu[rng.integers(0, 10, n), rng.integers(10, 1118, n), rng.integers(10, 1990, n)] += 1500  # hits
    y, x = np.mgrid[:1128, :2000]
    image = (1 + ((x - 700) ** 2 + (y - 333) ** 2) / 2.2**2) ** -3.0
    for frame in (1, 4, 7):
        adu[frame] += 400 * image
    rows, before = glinting.rows(adu), glinting.rows()
    assert not (np.hypot(rows["x1"] - 700, rows["y1"] - 333) < 4).any()
    assert len(rows) <= len(before) + 2


def test_a_glint_of_two_neighbouring_frames_is_one(glinting: Glinting) -> None:
    adu = glinting.field.adu.copy()
    y, x = np.mgrid[:1128, :2000]
    free = np.abs(glinting.field.adu.mean(axis=0)[100:1000:20, 100:1900:20])
    j, i = (int(v) for v in np.unravel_index(int(free.argmin()), free.shape))
    x0, y0 = 100 + 20 * i, 100 + 20 * j
    image = (1 + ((x - x0) ** 2 + (y - y0) ** 2) / 2.2**2) ** -3.0
    adu[5:7] += (300 * image).astype(np.float32)
    rows = glinting.rows(adu)
    mine = rows[np.hypot(rows["x1"] - x0, rows["y1"] - y0) < 1]
    assert mine[["frame_first", "frame_last"]].to_numpy().tolist() == [[5, 6]]
