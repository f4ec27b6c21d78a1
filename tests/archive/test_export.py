"""Tables for other programs, read back by astropy and by STILTS."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.table import Table

from tests.archive.reductions import make_exposure, make_film, reduce_film
from tomoe_explore import schema
from tomoe_explore.archive import Archive
from tomoe_explore.archive.export import FORMATS, write_table
from tomoe_explore.errors import ParameterError


@pytest.fixture
def photometry(archive: Archive, tmp_path: Path) -> pa.Table:
    exposure = make_exposure()
    reduce_film(archive, make_film(tmp_path, exposure), exposure, ref_id=(2**62 + 1, None))
    return archive.table("photometry")


@pytest.mark.parametrize("suffix", sorted(FORMATS))
def test_every_format_is_read_back(photometry: pa.Table, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"photometry{suffix}"
    write_table(photometry, path)
    if suffix == ".parquet":
        assert pq.read_table(path).equals(photometry)
        return
    back = Table.read(path, format=FORMATS[suffix])
    assert back.colnames == photometry.column_names
    np.testing.assert_array_equal(back["flux"], photometry["flux"].to_numpy())
    np.testing.assert_array_equal(back["mjd"], photometry["mjd"].to_numpy())
    known = [int(v) for v in back["ref_id"] if v is not np.ma.masked]
    assert known == [v for v in photometry["ref_id"].to_pylist() if v is not None]
    if suffix in (".fits", ".vot", ".ecsv"):
        assert str(back["flux"].unit) == "nJy"


def test_stilts_reads_every_table(photometry: pa.Table, tmp_path: Path, tool: Callable[[str], str]) -> None:
    for suffix, form in ((".fits", "fits"), (".vot", "votable")):
        path = tmp_path / f"photometry{suffix}"
        write_table(photometry, path)
        command = [tool("stilts"), "tpipe", f"in={path}", f"ifmt={form}", "omode=stats"]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stderr
        assert f"Total Rows: {photometry.num_rows}\n" in run.stdout
        described = [line for line in run.stdout.splitlines() if line.startswith("|")]
        assert len(described) == 1 + photometry.num_columns


def test_every_table_can_be_written(tmp_path: Path) -> None:
    for name in schema.TABLES:
        for suffix in FORMATS:
            write_table(schema.empty(name), tmp_path / f"{name}{suffix}")


def test_an_unknown_format_is_refused(photometry: pa.Table, tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match=r"may end in .fits, .vot"):
        write_table(photometry, tmp_path / "photometry.xlsx")


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match=r"missing/streaks\.fits cannot be written"):
        write_table(schema.empty("streaks"), tmp_path / "missing" / "streaks.fits")
