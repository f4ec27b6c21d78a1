"""Exposures become visible whole: one file a table, a new generation for each change, current rows for every reader."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from prov.model import ProvDocument

from tests.archive.reductions import files, make_exposure, make_film, make_reduction, reduce_film
from tomoe_explore.archive import Archive, publish, registry
from tomoe_explore.archive.stage import Staged
from tomoe_explore.errors import ArchiveError

pytestmark = pytest.mark.both_databases

#: Centres of films of three detectors.
CENTERS = {111: (310.7, -12.0), 112: (310.0, -12.0), 113: (309.3, -12.0)}


def stage(archive: Archive, tmp_path: Path, detectors: Sequence[int] = tuple(CENTERS), **begin: Any) -> list[Staged]:
    """Films of exposure 357754, staged."""
    staged = []
    for detector_id in detectors:
        exposure = make_exposure(detector_id=detector_id)
        reservation = archive.begin(exposure, make_film(tmp_path, exposure), **begin)
        assert reservation is not None
        ra, dec = CENTERS[detector_id]
        staged.append(archive.stage(*make_reduction(reservation, ra=(ra, ra + 0.01), dec=(dec, dec - 0.01))))
    return staged


def detectors(archive: Archive, table: str = "photometry", **options: Any) -> list[int]:
    return sorted(set(archive.table(table, **options)["detector_id"].to_pylist()))


def parts(archive: Archive) -> list[str]:
    return [Path(path).name for path in files(archive) if path.startswith("tables")]


def test_nothing_is_seen_before_all_is(archive: Archive, tmp_path: Path) -> None:
    staged = stage(archive, tmp_path)
    assert detectors(archive) == []
    assert len(archive.search(product="stack")) == 0
    assert archive.publish(staged) == []
    assert detectors(archive) == [111, 112, 113]
    assert detectors(archive, "stacks") == [111, 112, 113]
    found = archive.search(product="photometry")
    assert found["product_id"].tolist() == ["photometry-00357754-g001"]
    assert found["n_rows"].tolist() == [archive.table("photometry").num_rows] == [3 * 36]
    assert found[["detector_id", "reduction_id"]].isna().all().all()
    assert parts(archive) == [f"{table}-00357754-g001.parquet" for table in ("frames", "photometry", "sources")]
    assert not any((archive.root / "staging").iterdir())


def test_filters_go_into_the_files(archive: Archive, tmp_path: Path) -> None:
    archive.publish(stage(archive, tmp_path))
    assert detectors(archive, detector_id=[113, 111]) == [111, 113]
    assert detectors(archive, "frames", position=CENTERS[112]) == [112]
    assert detectors(archive, position=CENTERS[111], radius="30 arcsec") == [111]
    assert archive.search(position=CENTERS[111], product="photometry")["exposure_id"].tolist() == [357754]
    assert len(archive.search(position=(200.0, 5.0), product="photometry")) == 0


def test_replaced_files_go_after_a_while(archive: Archive, tmp_path: Path) -> None:
    archive.publish(stage(archive, tmp_path, (112, 113)))
    archive.publish(stage(archive, tmp_path, (111,)))
    archive.publish(stage(archive, tmp_path, (113,), force=True))
    archive.tidy()
    assert len([name for name in parts(archive) if "photometry" in name]) == 3
    with archive.registry.writing() as connection:
        replaced = registry.parts.c.replaced.is_not(None)
        connection.execute(sa.update(registry.parts).where(replaced).values(replaced="2020-08-14T12:00:00.000+00:00"))
    archive.tidy()
    assert [name for name in parts(archive) if "photometry" in name] == [  # 113's first rows are in the second only
        "photometry-00357754-g002.parquet", "photometry-00357754-g003.parquet"
    ]  # fmt: skip
    assert archive.table("photometry", all_versions=True).num_rows == 4 * 36


def test_where_a_file_and_a_row_of_it_come_from(archive: Archive, tmp_path: Path) -> None:
    archive.publish(stage(archive, tmp_path))
    file = archive.provenance("photometry-00357754-g001")
    assert file.product["reductions"] == [357754111001, 357754112001, 357754113001]
    assert file.summary() == "product photometry-00357754-g001 ← 3 reductions"
    assert len(ProvDocument.deserialize(content=json.dumps(file.to_prov()), format="json").get_records()) == 1 + 3 + 3
    assert "357754113001" in file._repr_html_()
    source_id = archive.table("sources", detector_id=112)["source_id"][0].as_py()
    row = archive.provenance(source_id, frame=3)
    assert row.reduction["detector_id"] == 112
    (part,) = (p for p in row.products if p["kind"] == "photometry")
    assert (part["n_rows_of_reduction"], part["n_rows"]) == (36, 3 * 36)


def test_a_late_film_makes_a_new_generation(archive: Archive, tmp_path: Path) -> None:
    archive.publish(stage(archive, tmp_path, (112, 113)))
    before = archive.table("photometry")
    archive.publish(stage(archive, tmp_path, (111,)))
    assert detectors(archive) == [111, 112, 113]
    assert [name for name in parts(archive) if "photometry" in name] == [
        "photometry-00357754-g001.parquet", "photometry-00357754-g002.parquet"
    ]  # fmt: skip
    assert archive.search(product="photometry")["product_id"].tolist() == ["photometry-00357754-g002"]
    assert archive.table("photometry", detector_id=[112, 113]).equals(before)
    assert archive.table("photometry", all_versions=True).num_rows == 3 * 36


def test_a_film_done_again_takes_its_old_rows_place(archive: Archive, tmp_path: Path) -> None:
    archive.publish(stage(archive, tmp_path))
    archive.publish(stage(archive, tmp_path, (112,), force=True))
    rows = archive.table("photometry")
    assert sorted(set(rows["reduction_id"].to_pylist())) == [357754111001, 357754112002, 357754113001]
    assert rows.num_rows == 3 * 36
    everything = archive.table("photometry", all_versions=True)
    assert everything.num_rows == 4 * 36
    assert 357754112001 in everything["reduction_id"].to_pylist()
    archive.publish(stage(archive, tmp_path, (112, 113), force=True))
    assert archive.table("sources").num_rows == 3 * 2
    assert archive.table("sources", all_versions=True).num_rows == 6 * 2
    assert archive.table("sources", all_versions=True, detector_id=112).num_rows == 3 * 2


def test_row_groups_hold_one_film_or_small_ones_whole(archive: Archive, tmp_path: Path) -> None:
    staged = []
    for detector_id, (ra, dec) in CENTERS.items():
        exposure = make_exposure(detector_id=detector_id)
        reservation = archive.begin(exposure, make_film(tmp_path, exposure))
        assert reservation is not None
        positions = {"ra": [ra + 1e-4 * n for n in range(1000)], "dec": [dec] * 1000, "ref_id": range(1000)}
        staged.append(archive.stage(*make_reduction(reservation, **positions)))
    archive.publish(staged)
    tables = {row.product: pq.ParquetFile(row.path) for row in archive.search().itertuples() if ".parquet" in row.path}
    groups = [set(tables["photometry"].read_row_group(g)["reduction_id"].to_pylist()) for g in range(6)]
    assert [len(group) for group in groups] == [1] * 6
    assert tables["photometry"].metadata.num_row_groups == 6  # 18,000 rows a film, at most 16,384 in a group
    assert tables["frames"].metadata.num_row_groups == 1
    healpix = tables["photometry"].read()["healpix_29"].to_pylist()
    for film in (healpix[:18000], healpix[18000:36000], healpix[36000:]):
        assert film == sorted(film)
    assert healpix[0] < healpix[18000] < healpix[36000]


def test_pandas_and_duckdb_follow_the_manifest(archive: Archive, tmp_path: Path) -> None:
    archive.publish(stage(archive, tmp_path, (112, 113)))
    archive.publish(stage(archive, tmp_path, (111, 112), force=True))
    manifest = archive.root / "tables/photometry/2020-08-14/manifest.json"
    listed = json.loads(manifest.read_text())
    assert (listed["table"], listed["night"]) == ("photometry", "2020-08-14")
    paths = [str(manifest.parent / file["path"]) for file in listed["files"]]
    expected = archive.table("photometry").to_pandas().sort_values(["source_id", "frame"]).reset_index(drop=True)
    frame = pd.read_parquet(paths).sort_values(["source_id", "frame"]).reset_index(drop=True)
    pd.testing.assert_frame_equal(frame, expected[list(frame.columns)], check_dtype=False)
    ids = duckdb.sql(f"SELECT DISTINCT reduction_id FROM read_parquet({paths}) ORDER BY 1").fetchall()
    assert [i for (i,) in ids] == [357754111001, 357754112002, 357754113001]
    manifest.unlink()
    archive.tidy(["2020-08-14"])
    assert json.loads(manifest.read_text()) == listed


def test_two_publish_one_exposure_at_once(archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = stage(archive, tmp_path, (111, 112)), stage(archive, tmp_path, (113,))
    real, other = publish._register, threading.Event()

    def register(*arguments: Any) -> bool:
        if not other.is_set():  # all files of the first are in place when the second comes, and is faster
            other.set()
            archive.publish(second)
        return real(*arguments)

    monkeypatch.setattr(publish, "_register", register)
    assert archive.publish(first) == []
    assert detectors(archive) == [111, 112, 113]
    assert archive.table("photometry").num_rows == 3 * 36
    assert [name for name in parts(archive) if "photometry" in name] == [
        "photometry-00357754-g002.parquet", "photometry-00357754-g003.parquet"
    ]  # fmt: skip


def test_a_film_that_another_process_took_over_is_left_out(archive: Archive, tmp_path: Path) -> None:
    staged = stage(archive, tmp_path)
    with archive.registry.writing() as connection:
        this = registry.reductions.c.detector_id == 112
        connection.execute(sa.update(registry.reductions).where(this).values(started="later"))
    assert archive.publish(staged) == [staged[1]]
    assert detectors(archive) == [111, 113]
    assert staged[1].file(archive.layout, "stack.fits").exists()  # the other process's
    assert archive.publish([staged[1]]) == [staged[1]]


def test_what_is_let_go_is_free(archive: Archive, tmp_path: Path) -> None:
    (staged,) = stage(archive, tmp_path, (112,))
    archive.let_go(staged)
    assert files(archive) == []
    (again,) = stage(archive, tmp_path, (112,))
    assert again.place == staged.place
    assert archive.publish([again]) == []
    archive.let_go(staged)  # too late: nothing happens
    archive.fail(staged, RuntimeError("late"))
    assert archive.table("reductions")["status"].to_pylist() == ["done"]
    assert detectors(archive) == [112]


def test_a_failed_publication_changes_nothing(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive.publish(stage(archive, tmp_path, (112,)))
    before = files(archive)
    staged = stage(archive, tmp_path, (111, 112), force=True)
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(ArchiveError, match="no space is left there"):
            archive.publish(staged)
    assert files(archive) == before
    assert detectors(archive) == [112]
    for item in staged:
        archive.fail(item, OSError(28, "No space left on device"))
    archive.publish(stage(archive, tmp_path, (111, 112), force=True))
    assert detectors(archive) == [111, 112]


@pytest.mark.parametrize("reachable", [True, False])
def test_an_error_after_the_last_transaction_takes_nothing_away(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reachable: bool
) -> None:
    """The server took it, and died before it could say so."""
    staged = stage(archive, tmp_path)
    real = publish._register

    def register(*arguments: Any) -> bool:
        real(*arguments)
        if not reachable:
            patch.setattr(type(archive.registry), "reading", lambda _: (_ for _ in ()).throw(ArchiveError("gone")))
        raise ArchiveError("the connection was lost")

    with monkeypatch.context() as patch:
        patch.setattr(publish, "_register", register)
        if reachable:
            assert archive.publish(staged) == []
        else:
            with pytest.raises(ArchiveError, match="the connection was lost"):
                archive.publish(staged)
            archive.fail(staged[0], ArchiveError("the connection was lost"))
    assert detectors(archive) == [111, 112, 113]
    assert archive.table("reductions")["status"].to_pylist() == ["done"] * 3
    assert archive.read_stack(357754112001).shape == (48, 64)
    archive.tidy()
    assert not any((archive.root / "staging").iterdir())


def _shorten(path: Path) -> None:
    pq.write_table(pq.read_table(path).slice(1), path)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (_shorten, "sources-00357754-g001.parquet has 1 of 2 rows, so it is damaged"),
        (lambda path: path.write_bytes(path.read_bytes()[:-100]), "sources-00357754-g001.parquet cannot be read"),
        (Path.unlink, "sources-00357754-g001.parquet cannot be read"),
    ],
)
def test_a_damaged_file_is_not_merged(archive: Archive, tmp_path: Path, damage: Any, words: str) -> None:
    """It is named, and what helps is said; all films of the exposure done again need nothing of it."""
    archive.publish(stage(archive, tmp_path))
    (path,) = archive.search(product="sources")["path"]
    damage(Path(path))
    with pytest.raises(ArchiveError, match=f"{words}.*reduce all films of exposure 357754 in one run with --force"):
        archive.publish(stage(archive, tmp_path, (112,), force=True))
    assert archive.table("photometry").num_rows == 3 * 36
    assert archive.publish(stage(archive, tmp_path, force=True)) == []
    assert archive.table("sources").num_rows == 3 * 2


@pytest.mark.parametrize("newest_first", [False, True])
def test_copies_of_a_film_in_one_go(archive: Archive, tmp_path: Path, newest_first: bool) -> None:
    """Such as ``x.fits`` and ``x.fits.fz``: the one reserved last is current, the others are superseded."""
    exposure = make_exposure()
    staged = stage(archive, tmp_path, (111, 113))
    films = [tmp_path / f"x{k}.fits" for k in range(3)]
    for film in films:
        film.write_bytes(film.name.encode())
        reservation = archive.begin(exposure, film)
        assert reservation is not None
        staged.append(archive.stage(*make_reduction(reservation)))
    assert archive.publish(staged[::-1] if newest_first else staged) == []
    runs = archive.table("reductions", detector_id=112, all_versions=True)
    assert runs["reduction_id"].to_pylist() == [357754112001, 357754112002, 357754112003]
    assert runs["superseded_by"].to_pylist() == [357754112002, 357754112003, None]
    assert archive.table("frames").num_rows == 3 * 18
    assert archive.table("frames", all_versions=True).num_rows == 5 * 18
    assert sorted(archive.search(product="stack")["detector_id"]) == [111, 112, 113]
    assert all(archive.begin(exposure, film) is None for film in films)


def test_of_copies_that_fail_nothing_stays(archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second turn fails: the first is done, and what is left can be done again."""
    exposure, staged = make_exposure(), []
    for k in range(2):
        film = tmp_path / f"x{k}.fits"
        film.write_bytes(film.name.encode())
        reservation = archive.begin(exposure, film)
        assert reservation is not None
        staged.append(archive.stage(*make_reduction(reservation)))
    real, calls = publish._register, []

    def register(*arguments: Any) -> bool:
        calls.append(1)
        if len(calls) > 1:
            raise ArchiveError("no more")
        return real(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(publish, "_register", register)
        with pytest.raises(ArchiveError, match="no more"):
            archive.publish(staged)
    for item in staged:
        archive.fail(item, ArchiveError("no more"))
    runs = archive.table("reductions", all_versions=True)
    assert runs["status"].to_pylist() == ["done", "failed"]
    assert not any((archive.root / "staging").iterdir())
    assert archive.begin(exposure, tmp_path / "x0.fits") is None
    again = archive.begin(exposure, tmp_path / "x1.fits")
    assert again is not None
    archive.commit(*make_reduction(again))
    assert archive.table("photometry").num_rows == 36


def test_only_one_exposure_at_a_time(archive: Archive, tmp_path: Path) -> None:
    other = make_exposure(357755)
    reservation = archive.begin(other, make_film(tmp_path, other))
    assert reservation is not None
    staged = [*stage(archive, tmp_path, (112,)), archive.stage(*make_reduction(reservation))]
    with pytest.raises(ArchiveError, match="one exposure"):
        archive.publish(staged)
    for item in staged:
        assert archive.publish([item]) == []


def test_what_a_killed_process_left_of_an_exposure_is_swept_up(archive: Archive, tmp_path: Path) -> None:
    exposure = make_exposure()
    film = make_film(tmp_path, exposure)
    reduce_film(archive, film, exposure)
    with archive.registry.writing() as connection:  # two generations were claimed by processes that were killed
        connection.execute(sa.update(registry.exposures).values(generation=3))
    left = archive.root / "tables/photometry/2020-08-14/photometry-00357754-g003.parquet"
    shutil.copy(left.with_name("photometry-00357754-g001.parquet"), left)
    (archive.root / "staging/00357754-g002").mkdir()
    reduce_film(archive, film, exposure, force=True)
    assert [name for name in parts(archive) if "photometry" in name] == [
        "photometry-00357754-g001.parquet", "photometry-00357754-g004.parquet"
    ]  # fmt: skip
    assert not any((archive.root / "staging").iterdir())
