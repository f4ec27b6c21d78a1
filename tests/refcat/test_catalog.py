from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tomoe_explore.errors import RefcatError
from tomoe_explore.refcat import import_refcat, read_refcat, write_refcat

STARS = {"source_id": [8, 9], "ra": [11.0, 10.0], "dec": [5.0, 4.0], "phot_g_mean_mag": [12.0, 13.0]}


def test_round_trip(tmp_path: Path) -> None:
    write_refcat(pa.table(STARS | {"pmra": [3.0, None], "bp_rp": [0.5, None]}), tmp_path / "two.parquet", name="mine")
    stars = read_refcat(tmp_path / "two.parquet")
    assert (stars.name, len(stars)) == ("mine", 2)
    assert stars.source_id.tolist() == [9, 8]
    assert stars.mag.tolist() == [13.0, 12.0]
    assert stars.pmra.tolist() == [0.0, 3.0]
    assert stars.epoch.tolist() == [2016.0, 2016.0]
    assert np.isnan(stars.bp_rp[0])
    assert not list(tmp_path.glob("*.part"))


def test_minimal_unsorted_file_of_an_observer(tmp_path: Path) -> None:
    pq.write_table(pa.table(STARS), tmp_path / "plain.parquet")
    stars = read_refcat(tmp_path / "plain.parquet")
    assert stars.name == "plain"
    assert stars.dec.tolist() == [4.0, 5.0]
    assert stars.checksum.startswith("xxh3:")
    pq.write_table(pa.table(STARS | {"dec": [5.0, 4.5]}), tmp_path / "plain.parquet")
    assert read_refcat(tmp_path / "plain.parquet").checksum != stars.checksum


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dec": None}, "lacks the columns dec"),
        ({"ra": [float("nan"), 1.0]}, "'ra'.*has 1 missing values among 2"),
        ({"phot_g_mean_mag": [None, 1.0]}, "'phot_g_mean_mag'.*has 1 missing"),
        ({"dec": [100.0, 1.0]}, "-90 to 90 deg; 1 of 2 values do not, the first is 100"),
        ({"source_id": [1.5, 2.0]}, "'source_id' must be whole numbers"),
    ],
)
def test_wrong_content_is_refused(tmp_path: Path, change: dict[str, object], message: str) -> None:
    table = pa.table({n: c for n, c in (STARS | change).items() if c is not None})
    pq.write_table(table, tmp_path / "wrong.parquet")
    with pytest.raises(RefcatError, match=message):
        read_refcat(tmp_path / "wrong.parquet")


def test_absent_and_foreign_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RefcatError, match="cannot read the reference catalog"):
        read_refcat(tmp_path / "absent.parquet")
    (tmp_path / "stars.csv").write_text("ra,dec\n1,2\n")
    with pytest.raises(RefcatError, match="is not a Parquet file"):
        read_refcat(tmp_path / "stars.csv")


def test_tycho_is_imported(shared_data: Path, tmp_path: Path) -> None:
    stars = import_refcat(shared_data / "stars" / "tycho2_vt.parquet", tmp_path / "tycho.parquet")
    near = stars.near(305.0, 38.0, 0.4)
    assert stars.name == "tycho2_vt"
    assert len(near) > 20
