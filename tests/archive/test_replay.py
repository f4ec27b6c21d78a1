"""A reduction is run again from its record: identical, or what differs or is gone is named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from tomoe_explore.archive import Archive
from tomoe_explore.archive import registry as tables
from tomoe_explore.archive.compare import compare_tables
from tomoe_explore.errors import ArchiveError, NotFoundError, ParameterError, ReservedError
from tomoe_explore.operations.reduce import reduce
from tomoe_explore.reduction.recipe import Parameters


@pytest.fixture(scope="module")
def night(small_night: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Raw films with their catalog (``raw``), and an archive of one reduced film: with parameters of its own."""
    home = tmp_path_factory.mktemp("replay")
    shutil.copytree(small_night, home / "raw")
    sky = sorted((home / "raw").rglob("r*.fits"))
    archive = Archive.create(home / "archive")
    run = reduce(sky[:3], archive, home / "raw" / "refcat.parquet", progress=False,
                 parameters=Parameters(mag_limit=16.0, mover_rates=(1.0, 50.0)))  # fmt: skip
    assert [outcome.kind for outcome in run.done] == ["dark", "flat", "object"]
    return home


@pytest.fixture
def archive(night: Path, tmp_path: Path) -> Archive:
    """A copy of the archive to tamper with; films and catalog stay where they are."""
    return Archive(shutil.copytree(night / "archive", tmp_path / "archive"))


def reduction_of(archive: Archive) -> int:
    return int(archive.table("reductions")["reduction_id"][0].as_py())


def path_of(archive: Archive, kind: str) -> Path:
    return Path(archive.search(product=kind)["path"].iloc[0])


def state(root: Path) -> dict[str, tuple[int, int]]:
    return {str(p): (p.stat().st_mtime_ns, p.stat().st_size) for p in sorted(root.rglob("*"))}


def test_identical_and_the_archive_is_not_touched(archive: Archive) -> None:
    before = state(archive.root)
    replay = archive.replay(reduction_of(archive))
    assert replay.identical, replay
    assert state(archive.root) == before
    assert replay.compared is not None
    assert replay.compared["stack"] == 3 * 2000 * 1128
    assert replay.compared["mover"] > 0
    rows = archive.table("photometry")
    assert replay.compared["photometry"] == rows.num_rows * (rows.num_columns - 3)  # but for magnitudes and object_id
    assert replay.compared["frames"] > 0
    assert replay.compared["record"] == 13
    assert "identical" in repr(replay)
    assert json.loads(json.dumps(replay.to_dict()))["identical"] is True


def test_recorded_parameters_are_used(archive: Archive) -> None:
    this = reduction_of(archive)
    assert archive.provenance(this).reduction["parameters"]["mag_limit"] == 16.0
    other = json.dumps(archive.provenance(this).reduction["parameters"] | {"detection_snr": 20.0, "gone": 1})
    with archive.registry.writing() as connection:
        connection.execute(sa.update(tables.settings).values(parameters=other))
    replay = archive.replay(this)
    assert not replay.identical
    assert any(d.product == "photometry" and "rows stored" in d.text for d in replay.differences)
    assert "parameter gone: not known to this code" in replay.changed


def test_a_tampered_table_is_named(archive: Archive) -> None:
    path = path_of(archive, "photometry")
    table = pq.read_table(path)
    flux = table["flux"].to_numpy().copy()
    flux[[3, 50]] += np.float32([64.0, -256.0])
    position = table.schema.get_field_index("flux")
    pq.write_table(table.set_column(position, table.schema.field("flux"), pa.array(flux)), path)
    (found,) = archive.replay(reduction_of(archive)).differences
    assert (found.product, found.column, found.n_different, found.n_compared) == ("photometry", "flux", 2, len(flux))
    assert found.largest == pytest.approx(256.0, rel=1e-3)


def test_lost_rows_and_files_are_named(archive: Archive) -> None:
    path = path_of(archive, "sources")
    pq.write_table(pq.read_table(path).slice(1), path)
    path_of(archive, "frames").unlink()
    texts = {d.product: repr(d) for d in archive.replay(reduction_of(archive)).differences}
    assert set(texts) == {"sources", "frames"}
    assert "1 of them in one only" in texts["sources"]
    assert "cannot be read" in texts["frames"]


def test_a_tampered_stack_is_named(archive: Archive) -> None:
    from astropy.io import fits

    path = path_of(archive, "stack")
    with fits.open(path, mode="update") as hdus:
        hdus["MASK"].data[10, 20] ^= 2
        hdus["PRIMARY"].header["MAGZP"] += 0.5
    found = archive.replay(reduction_of(archive)).differences
    columns = {d.column: d for d in found}
    assert columns["plane MASK"].n_different == 1
    assert columns["plane MASK"].largest == 2
    assert "MAGZP" in columns["header PRIMARY"].text


def test_a_tampered_collection_of_movers_is_named(archive: Archive) -> None:
    from astropy.io import fits

    path = path_of(archive, "mover")
    with fits.open(path) as hdus:
        hdus["MOVER", 1].data["x"][2] += 0.5
        hdus[0].header["GAIN"] += 1.0
        images = [fits.ImageHDU(hdu.data.copy(), hdu.header) if hdu.name == "CUTOUT" else hdu for hdu in hdus]
        images[1].data[1, 2, 3] += 100.0
        fits.HDUList(images).writeto(path, overwrite=True)
    found = {d.column: d for d in archive.replay(reduction_of(archive)).differences}
    assert {d.product for d in found.values()} == {"mover"}
    assert found["MOVER, x"].largest == pytest.approx(0.5)
    assert (found["plane CUTOUT"].n_different, found["plane CUTOUT"].largest) == (1, pytest.approx(100.0, abs=0.1))
    assert "GAIN" in found["header PRIMARY"].text
    path.unlink()
    (gone,) = archive.replay(reduction_of(archive)).differences
    assert repr(gone) == "mover: the stored file is missing"
    with archive.registry.writing() as connection:
        connection.execute(sa.update(tables.reductions).values(collection_path=None))
    (none,) = archive.replay(reduction_of(archive)).differences
    assert none.text.endswith("cutout films now, a file of them is not stored")


def test_a_tampered_record_is_named(archive: Archive) -> None:
    this = reduction_of(archive)
    c = tables.reductions.c
    with archive.registry.writing() as connection:
        other = {"zeropoint": c.zeropoint + 0.5, "footprint": "POLYGON ICRS 1 2 3 4 5 6", "depth": None}
        connection.execute(sa.update(tables.reductions).values(other))
    replay = archive.replay(this)
    assert not replay.identical
    found = {d.column: d for d in replay.differences}
    assert {d.product for d in replay.differences} == {"record"}
    assert set(found) == {"zeropoint", "footprint", "depth"}
    assert found["zeropoint"].largest == pytest.approx(0.5)
    assert "None stored" in repr(found["depth"])


def test_a_film_is_found_by_its_checksum(archive: Archive, night: Path, tmp_path: Path) -> None:
    this = reduction_of(archive)
    film = Path(archive.provenance(this).film["path"])
    moved = shutil.copy(film, tmp_path / "elsewhere.fits")
    with archive.registry.writing() as connection:
        connection.execute(sa.update(tables.films).values(path=str(tmp_path / "gone.fits")))
    replay = archive.replay(this)
    assert not replay.identical
    (gone,) = replay.gone
    assert gone.startswith("raw film xxh3:")
    assert gone.endswith("gone.fits is deleted")
    assert "cannot be run again" in repr(replay)
    assert archive.replay(this, films=moved).identical
    (tmp_path / "gone.fits").write_bytes(next(p for p in film.parent.glob("r*.fits") if p != film).read_bytes())
    (gone,) = archive.replay(this).gone
    assert "holds another film now" in gone


def test_everything_that_is_gone_is_named_at_once(archive: Archive, night: Path, tmp_path: Path) -> None:
    this = reduction_of(archive)
    catalog = night / "raw" / "refcat.parquet"
    table = pq.read_table(catalog)
    pq.write_table(table.slice(1), tmp_path / "other.parquet")
    with archive.registry.writing() as connection:
        connection.execute(sa.update(tables.refcats).values(path=str(tmp_path / "other.parquet")))
    path_of(archive, "dark").unlink()
    flat = path_of(archive, "flat")
    flat.write_bytes(flat.read_bytes()[:-1])
    dark, flat_text, refcat = archive.replay(this).gone
    assert dark.startswith("master dark-112-")
    assert dark.endswith("is missing")
    assert "another checksum" in flat_text
    assert "holds another one now" in refcat
    assert archive.replay(this, refcat=catalog).gone == (dark, flat_text)


def test_other_code_is_told_but_is_no_difference(archive: Archive) -> None:
    with archive.registry.writing() as connection:
        connection.execute(sa.update(tables.settings).values(code_version="0.0.1", code_dirty=True))
        environment = json.dumps({"numpy": "0.9"})
        connection.execute(sa.update(tables.settings).values(environment=environment))
    replay = archive.replay(reduction_of(archive))
    codes = [d for d in replay.differences if "CODEVER" not in d.text]
    assert not codes
    assert any(text.startswith("code 0.0.1: now ") for text in replay.changed)
    assert any("uncommitted changes then" in text for text in replay.changed)
    assert any(text.startswith("numpy 0.9: now ") for text in replay.changed)


def test_what_cannot_be_replayed(archive: Archive) -> None:
    with pytest.raises(NotFoundError, match="no reduction 12"):
        archive.replay(12)
    for wrong in ("x", 10**30):
        with pytest.raises(ParameterError, match=f"reduction_id {wrong!r} is not understood; write a whole number"):
            archive.replay(wrong)
    with archive.registry.writing() as connection:
        connection.execute(sa.update(tables.reductions).values(status="failed"))
    this = archive.registry.rows(sa.select(tables.reductions.c.reduction_id))[0]["reduction_id"]
    with pytest.raises(ArchiveError, match="is failed"):
        archive.replay(this)


def test_a_readonly_archive_is_replayed(archive: Archive) -> None:
    this = reduction_of(archive)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(archive.registry), "writing", _forbidden)
        assert archive.replay(this).identical


def _forbidden(*_: Any) -> None:
    raise ReservedError("a replay writes nothing")


def table_of(**columns: Any) -> pa.Table:
    return pa.table({"source_id": [1, 2, 3], **columns})


@pytest.mark.parametrize(
    ("stored", "again", "expected"),
    [
        ([1.0, np.nan, None], [1.0, np.nan, None], None),
        ([1.0, np.nan, None], [1.0, 2.0, None], (1, None)),
        ([1.0, 2.0, None], [1.0, 2.0, 0.0], (1, 0.0)),
        ([1.0, 2.0, 3.0], [1.0, 2.5, 3.25], (2, 0.5)),
        ([2**62, 0, 0], [2**62 + 1, 0, 0], (1, 1.0)),
        (["a", "b", None], ["a", "c", None], (1, None)),
        (["a", None, None], ["a", "c", None], (1, None)),
    ],
)
def test_values_are_compared_one_by_one(stored: Any, again: Any, expected: Any) -> None:
    table = table_of(value=pa.array(again, pa.array(stored).type)).take([2, 0, 1])  # the order does not matter
    differences, n = compare_tables("t", table_of(value=stored), table)
    assert n == 6
    if expected is None:
        assert not differences
    else:
        (found,) = differences
        assert (found.column, found.n_different, found.largest) == ("value", *expected)


def test_other_columns_and_types() -> None:
    stored = table_of(a=[1, 2, 3], b=[1, 2, 3])
    differences, _ = compare_tables("t", stored, table_of(a=[1.0, 2.0, 3.0], c=[1, 2, 3]))
    assert {(d.column, d.text) for d in differences} == {
        ("a", "int64 stored, double now"), ("b", "only in one of them"), ("c", "only in one of them")
    }  # fmt: skip
