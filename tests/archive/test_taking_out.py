"""Films of consolidated nights are reduced again: what they replace stays for those who ask for all versions."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.archive.test_publish import parts, stage
from tomoe_explore.archive import Archive, publish, registry
from tomoe_explore.operations.consolidate import consolidate
from tomoe_explore.operations.inventory import orphans, wrong_files, wrong_rows

pytestmark = pytest.mark.both_databases


def consolidated(archive: Archive, tmp_path: Path, *, originals: bool = False) -> Archive:
    """With one exposure of three films, whose own files are gone unless asked for."""
    archive.publish(stage(archive, tmp_path))
    for _ in range(1 if originals else 2):
        consolidate(archive, progress=False, grace_s=3600.0 if originals else 0.0)
    return archive


def grown_old(archive: Archive) -> None:
    """An hour goes by."""
    with archive.registry.writing() as connection:
        replaced = registry.parts.c.replaced.is_not(None)
        connection.execute(sa.update(registry.parts).where(replaced).values(replaced="2020-08-14T12:00:00.000+00:00"))


def assert_holds(archive: Archive, n_films: int, n_reductions: int) -> None:
    """Each has 36 rows of photometry."""
    assert archive.table("photometry").num_rows == n_films * 36
    everything = archive.table("photometry", all_versions=True)
    assert everything.num_rows == n_reductions * 36
    assert len(set(everything["reduction_id"].to_pylist())) == n_reductions
    assert wrong_files(archive, deep=True)[1] == []
    assert wrong_rows(archive, deep=True) == []
    assert orphans(archive) == []


@pytest.mark.parametrize("originals", [True, False])
def test_films_reduced_again_one_after_the_other(archive: Archive, tmp_path: Path, originals: bool) -> None:
    consolidated(archive, tmp_path, originals=originals)
    for k, detector_id in enumerate((112, 113, 112)):
        archive.publish(stage(archive, tmp_path, (detector_id,), force=True))
        assert_holds(archive, 3, 4 + k)
    row = archive.provenance(357754113001_00000, frame=3)
    (part,) = (p for p in row.products if p["kind"] == "photometry")
    assert (part["n_rows_of_reduction"], part["n_rows"]) == (36, 36)
    grown_old(archive)
    archive.tidy()
    assert_holds(archive, 3, 6)
    for _ in range(2):
        consolidate(archive, progress=False, grace_s=0.0)
        assert_holds(archive, 3, 6)


def test_two_films_reduced_again_at_once(archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process publishes a film of the exposure just before this one's last transaction."""
    consolidated(archive, tmp_path)
    first, second = (stage(archive, tmp_path, (detector_id,), force=True) for detector_id in (112, 113))
    real, other = publish._register, threading.Event()

    def register(*arguments: Any) -> bool:
        if not other.is_set():
            other.set()
            assert archive.publish(second) == []
        return real(*arguments)

    monkeypatch.setattr(publish, "_register", register)
    assert archive.publish(first) == []
    assert_holds(archive, 3, 5)


def test_what_was_replaced_goes_meanwhile(archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process tidies up just before the last transaction; the exposure's first files are an hour old."""
    consolidated(archive, tmp_path, originals=True)
    grown_old(archive)
    staged = stage(archive, tmp_path, (112,), force=True)
    real = publish._register

    def register(*arguments: Any) -> bool:
        archive.tidy()
        assert "photometry-00357754-g001.parquet" not in parts(archive)
        return real(*arguments)

    monkeypatch.setattr(publish, "_register", register)
    assert archive.publish(staged) == []
    assert_holds(archive, 3, 4)
