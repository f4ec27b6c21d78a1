"""Light curves written and read back by other programs."""

from __future__ import annotations

import json
from pathlib import Path

import astropy.units as u
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from astropy.table import Table
from astropy.time import Time
from lightkurve import LightCurve

from tomoe_explore.analysis.light_curve_file import write_light_curve
from tomoe_explore.errors import ParameterError


@pytest.fixture
def lc() -> LightCurve:
    time = Time(59075.5 + np.arange(4) / 7 / 86_400, format="mjd", scale="utc")
    made = LightCurve(time=time, flux=[1.5, np.nan, 3, 4] * u.nJy, flux_err=[0.1, 0.1, 0.2, 0.2] * u.nJy)
    made["frame"] = np.arange(4, dtype=np.int16)
    made.meta.update(LABEL="a star", POSITION=(310.0, -12.0), REDUCTION_IDS=[357754112001])
    return made


def test_ecsv_keeps_units_times_and_meta(lc: LightCurve, tmp_path: Path) -> None:
    table = Table.read(write_light_curve(lc, tmp_path / "lc.ecsv"))
    np.testing.assert_array_equal(table["mjd"], lc.time.mjd)
    np.testing.assert_array_equal(table["flux"], lc.flux.value)
    assert table["flux"].unit == u.nJy
    assert table["mjd"].unit == u.d
    assert table.meta["REDUCTION_IDS"] == [357754112001]


def test_parquet_keeps_units_times_and_meta(lc: LightCurve, tmp_path: Path) -> None:
    table = pq.read_table(write_light_curve(lc, tmp_path / "lc.parquet"))
    np.testing.assert_array_equal(table["mjd"].to_numpy(), lc.time.mjd)
    assert table.schema.field("flux").metadata == {b"unit": b"nJy"}
    assert table.schema.field("frame").type == "int16"
    assert json.loads(table.schema.metadata[b"meta"])["LABEL"] == "a star"


def test_csv_is_read_by_pandas(lc: LightCurve, tmp_path: Path) -> None:
    table = pd.read_csv(write_light_curve(lc, tmp_path / "lc.csv"))
    np.testing.assert_array_equal(table["mjd"], lc.time.mjd)
    np.testing.assert_array_equal(table["flux"], lc.flux.value)


def test_other_endings_and_places(lc: LightCurve, tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match=r"\.ecsv, \.parquet, \.csv"):
        write_light_curve(lc, tmp_path / "lc.fits")
    for ending in ("ecsv", "parquet"):
        with pytest.raises(ParameterError, match="cannot be written"):
            write_light_curve(lc, tmp_path / "none" / f"lc.{ending}")
