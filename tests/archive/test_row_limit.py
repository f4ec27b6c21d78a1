"""A read of too many rows is refused at every door, from what the registry counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.archive.reductions import make_exposure, make_film, reduce_film
from tomoe_explore.archive import Archive
from tomoe_explore.errors import TooManyRowsError


@pytest.fixture
def three(archive: Archive, tmp_path: Path) -> Archive:
    """Two exposures of one night and one of the next, 36 rows of photometry each."""
    for exposure_id, night in ((357754, "2020-08-14"), (357755, "2020-08-14"), (357999, "2020-08-15")):
        exposure = make_exposure(exposure_id, night=night)
        reduce_film(archive, make_film(tmp_path, exposure), exposure)
    return archive


def test_too_many_rows_are_refused_before_anything_is_read(three: Archive) -> None:
    for path in (three.root / "tables").rglob("*.parquet"):
        path.unlink()  # what was not there could not be read
    with three.registry.writing() as connection:
        many = ", ".join(f"n_{name} = 30000000" for name in ("photometry", "sources", "frames"))
        connection.exec_driver_sql(f"UPDATE reductions SET {many}")
    for name in ("photometry", "sources", "frames"):
        with pytest.raises(TooManyRowsError, match=r"would give 90,000,000 rows.*narrow it by night.*limit=None"):
            three.table(name)
    with pytest.raises(TooManyRowsError, match="60,000,000 rows"):
        three.table("photometry", night="2020-08-14", columns=["flux"])
    for reader in (three.catalog["photometry"].read, three.catalog["photometry"].to_dask):
        with pytest.raises(TooManyRowsError, match="more than the limit of 10,000,000"):
            reader()
    with pytest.raises(TooManyRowsError):
        three.catalog["photometry"].to_dask(night="2020-08-14")
    for name, n in (("stacks", 3), ("reductions", 3), ("exposures", 3)):
        with pytest.raises(TooManyRowsError, match=f"{n} rows"):
            three.table(name, limit=2)
        assert three.table(name, limit=3).num_rows == n


def test_a_light_curve_of_a_whole_field_is_refused(three: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Archive.table, "__kwdefaults__", Archive.table.__kwdefaults__ | {"limit": 30})
    with pytest.raises(TooManyRowsError, match="54 rows"):
        three.light_curve("310 -12", radius="3 arcsec")
