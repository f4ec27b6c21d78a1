"""Every record its file, every file its record; only files without one are ever deleted."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from tomoe_explore import raw
from tomoe_explore.archive import Archive
from tomoe_explore.archive import registry as tables
from tomoe_explore.archive.layout import exposure_part_id
from tomoe_explore.cli import app
from tomoe_explore.errors import ArchiveError
from tomoe_explore.operations import doctor
from tomoe_explore.operations.inventory import delete_orphans, orphans, wrong_files, wrong_rows
from tomoe_explore.operations.reduce import reduce
from tomoe_explore.operations.run import Run


@pytest.fixture
def archive(first_run: tuple[Archive, Run], tmp_path: Path) -> Archive:
    """A copy to litter."""
    return Archive(shutil.copytree(first_run[0].root, tmp_path / "archive"))


def test_a_file_that_cannot_be_read_is_named_and_the_others_are_looked_at(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A damaged disk can only be played."""
    real, bad = raw.checksum, Path(archive.search(product="stack")["path"].iloc[0])
    seen = []

    def checksum(path: Path) -> str:
        seen.append(path)
        if path == bad:
            raise OSError(5, "Input/output error")
        return real(path)

    monkeypatch.setattr(raw, "checksum", checksum)
    n, (fault,) = wrong_files(archive, deep=True)
    assert len(seen) == n
    assert bad.name in fault and "Input/output error" in fault


def litter(archive: Archive) -> list[Path]:
    """What killed processes leave: published and unpublished files of a reduction, an old master."""
    stack = Path(archive.search(product="stack")["path"].iloc[0])
    left = [
        archive.root / "stacks/2020-08-14/00399999/v001/sTMQ1202008140039999912.fits",
        archive.root / "tables/sources/2020-08-14/sources-00399999-g001.parquet",
        archive.root / "staging/399999112001/frames.arrow",
        archive.root / "masters/2020-08-14/dark-112-20200814-00000000.fits",
        stack.with_name("copy.fits"),
    ]
    for path in left:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"left")
        os.utime(path, (time.time() - 3600,) * 2)
    return sorted(left)


def content(archive: Archive) -> dict[str, str]:
    return {str(p): raw.checksum(p) for p in sorted(archive.root.rglob("*")) if p.is_file()}


def test_a_sound_archive_has_none(archive: Archive) -> None:
    assert orphans(archive) == []
    checks = {check.name: check for check in doctor.examine(archive, deep=True)}
    assert (checks["orphans"].status, checks["files"].status) == ("ok", "ok")


def test_orphans_are_named_listed_and_only_they_deleted(archive: Archive) -> None:
    before = content(archive)
    (archive.root / "notes.txt").write_text("mine")
    left = litter(archive)
    (note,) = (c for c in doctor.examine(archive, deep=True) if c.name == "orphans")
    assert note.status == "note"
    assert "sources-00399999-g001.parquet" in note.text
    command = ["doctor", "--repair", "--archive", str(archive.root), "--json"]
    listed = json.loads(CliRunner().invoke(app, command).stdout)
    assert (listed["orphans"], listed["deleted"]) == ([str(path) for path in left], False)
    assert all(path.exists() for path in left)
    done = json.loads(CliRunner().invoke(app, [*command, "--yes"]).stdout)
    assert (done["orphans"], done["deleted"]) == (listed["orphans"], True)
    assert content(archive) == before | {str(archive.root / "notes.txt"): raw.checksum(archive.root / "notes.txt")}
    assert not (archive.root / "stacks/2020-08-14/00399999").exists()
    assert delete_orphans(archive) == []


def test_manifests_are_looked_at_and_mended(archive: Archive) -> None:
    manifest = archive.root / "tables/photometry/2020-08-14/manifest.json"
    right = manifest.read_text()
    stale = archive.root / "tables/photometry/2020-08-13/manifest.json"
    for wrong in (None, '{"files": []}'):
        manifest.unlink() if wrong is None else manifest.write_text(wrong)
        stale.parent.mkdir(exist_ok=True)
        stale.write_text(right)
        (note,) = (c for c in doctor.examine(archive, deep=True) if c.name == "manifests")
        assert (note.status, "2 do not list what is current" in note.text) == ("note", True)
        assert CliRunner().invoke(app, ["doctor", "--repair", "--yes", "--archive", str(archive.root)]).exit_code == 0
        assert manifest.read_text() == right
        assert not stale.exists()
    assert {c.status for c in doctor.examine(archive, deep=True) if c.name == "manifests"} == {"ok"}


def test_what_is_under_way_is_none(archive: Archive) -> None:
    (exposure, path) = _a_film(archive)
    reservation = archive.begin(exposure, path, force=True)
    assert reservation is not None
    part_id = exposure_part_id("photometry", exposure.exposure_id, 7)
    under_way = [archive.root / archive.layout.stack(reservation.place)]
    under_way.append(archive.root / archive.layout.part("photometry", exposure.night, part_id))
    under_way.append(archive.layout.staging(reservation.reduction_id) / "frames.arrow")
    under_way.append(archive.root / "masters/2020-08-14/dark-being-written.fits")
    for file in under_way:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"under way")
    assert orphans(archive) == []
    archive.fail(reservation, ValueError("given up"))  # removes what is its own, not the master's or the exposure's
    assert orphans(archive) == under_way[1:2]
    with archive.registry.writing() as connection:  # as if its process had been killed
        connection.execute(
            sa.update(tables.reductions)
            .where(tables.reductions.c.reduction_id == reservation.reduction_id)
            .values(status="running", owner_pid=4194304)
        )
    for file in under_way[:3]:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"left")
    assert orphans(archive) == sorted(under_way[:3])


def _a_film(archive: Archive):  # type: ignore[no-untyped-def]
    path = Path(archive.search(product="film")["path"].iloc[0])
    return raw.read_exposure(path), path


def test_superseded_files_are_looked_at_too(archive: Archive) -> None:
    with archive.registry.writing() as connection:
        connection.execute(sa.update(tables.reductions).values(superseded_by=1))
    path = next((archive.root / "stacks").rglob("*.fits"))
    path.unlink()
    n, faults = wrong_files(archive, deep=False)
    assert n > 4
    (fault,) = faults
    assert path.name in fault


def test_another_archives_registry_deletes_nothing(archive: Archive, tmp_path: Path) -> None:
    before = content(archive)
    for path in (archive.root / "masters").rglob("*.fits"):
        os.utime(path, (time.time() - 3600,) * 2)
    empty = Archive.create(tmp_path / "empty")
    shutil.copy(empty.layout.registry, archive.layout.registry)
    other = Archive(archive.root)
    with pytest.raises(ArchiveError, match="is of another archive"):
        delete_orphans(other)
    shutil.copy(empty.layout.marker, archive.layout.marker)  # or an empty one of its own
    before[str(archive.layout.marker)] = raw.checksum(archive.layout.marker)
    assert orphans(other)
    with pytest.raises(ArchiveError, match=r"only 0 have one: nothing is deleted.*TOMOE_DATABASE"):
        delete_orphans(other)
    registry = str(archive.layout.registry)
    assert {k: v for k, v in content(other).items() if k != registry} == {
        k: v for k, v in before.items() if k != registry
    }


def test_tables_have_the_rows_of_their_reductions(archive: Archive) -> None:
    """One night's reductions, one film twice; then rows and files that are not there."""
    exposure, path = _a_film(archive)
    reduce(path, archive, force=True, progress=False)
    for deep in (False, True):
        assert wrong_rows(archive, deep=deep) == []
    part = next(
        p for p in (archive.root / "tables/frames").rglob("*-g001.parquet") if f"{exposure.exposure_id}" in p.name
    )
    rows = pq.read_table(part)
    pq.write_table(rows.slice(1), part)  # of a file that is kept for its superseded rows
    this = min(rows["reduction_id"].to_pylist())
    assert wrong_rows(archive, deep=False) == []
    (fault,) = wrong_rows(archive, deep=True)
    assert re.match(
        rf"reduction {this}, which is superseded, has 7 of 8 rows of frames in files: .*replay {this}", fault
    )
    part.unlink()
    (fault,) = wrong_rows(archive, deep=True)
    assert "has 0 of 8 rows of frames" in fault
    p = tables.parts.c
    with archive.registry.writing() as connection:
        connection.execute(sa.delete(tables.parts).where(p.kind == "frames", p.replaced.is_not(None)))
        connection.execute(sa.update(tables.parts).where(p.kind == "sources").values(n_rows=p.n_rows + 1))
    for deep in (False, True):
        first, second = wrong_rows(archive, deep=deep)
        assert re.match(r"sources has [\d,]+ rows in its files, its reductions have [\d,]+:", first)
        assert "has 0 of 8 rows of frames" in second
    (check,) = (c for c in doctor.examine(archive) if c.name == "rows")
    assert (check.status, "sources has" in check.text) == ("fault", True)
