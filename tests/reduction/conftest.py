"""The films of the Gaia night, reduced in memory, beside their truth."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.reduction.field import Field, trimmed
from tests.reduction.mover_film import MovingField, make_moving_field
from tomoe_explore import raw
from tomoe_explore.data import Film, Masters, Reduction, Refcat
from tomoe_explore.ids import make_reduction_id
from tomoe_explore.reduction.masters import make_dark, make_flat
from tomoe_explore.reduction.recipe import reduce_film
from tomoe_explore.refcat import read_refcat


def frame_of(table: pa.Table) -> pd.DataFrame:
    """pandas with nullable integers: a Gaia source_id does not survive float64."""
    return table.to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)


@dataclass(frozen=True)
class Night:
    films: list[Film]
    masters: Masters
    refcat: Refcat
    reductions: list[Reduction]
    truth: dict[str, pd.DataFrame]
    hidden: dict[int, dict[str, Any]]  # by exposure: the simulator's draws

    def of(self, reduction: Reduction, name: str) -> pd.DataFrame:
        """Truth table rows of a reduction's exposure."""
        rows = self.truth[name]
        return rows[rows["exposure_id"] == reduction.exposure.exposure_id]


@pytest.fixture(scope="session")
def night(gaia_night) -> Night:
    films = [raw.open_film(path) for path in raw.find_films([gaia_night])]
    kind = {k: [f for f in films if f.exposure.kind == k] for k in ("dark", "flat", "object")}
    dark = make_dark(kind["dark"][0])
    masters = Masters(dark, make_flat(kind["flat"][0], dark))
    refcat = read_refcat(gaia_night / "refcat.parquet")
    reductions = [
        reduce_film(f, masters, refcat, reduction_id=make_reduction_id(f.exposure.exposure_id, 111, 1))
        for f in kind["object"]
    ]
    truth = {p.stem: frame_of(pq.read_table(p)) for p in sorted((gaia_night / "truth").glob("*.parquet"))}
    draws = json.loads((gaia_night / "truth" / "hidden.json").read_text())
    return Night(kind["object"], masters, refcat, reductions, truth, {d["exposure_id"]: d for d in draws})


@pytest.fixture(scope="session")
def field(small_night) -> Field:
    """Six frames: the shortest survey film, and quick."""
    films = [raw.open_film(path) for path in raw.find_films([small_night])]
    dark, flat, sky = (next(f for f in films if f.exposure.kind == k) for k in ("dark", "flat", "object"))
    master = make_dark(dark)
    masters = Masters(master, make_flat(flat, master))
    return Field(sky, masters, read_refcat(small_night / "refcat.parquet"), trimmed(sky, 6), trimmed(dark, 6))


@pytest.fixture(scope="session")
def moving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MovingField]:
    """A film of 36 frames with eighteen movers; in memory its first 18."""
    folder = tmp_path_factory.mktemp("moving")
    yield make_moving_field(folder)
    shutil.rmtree(folder)
