"""Backup and restore: consistent while writers go on, checked, from one database to another, and nothing lost by it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from tests.archive.reductions import make_exposure, make_film, make_master, reduce_film
from tests.databases import Databases
from tests.postgres import Server
from tomoe_explore import schema
from tomoe_explore.archive import Archive, open_archive, registry
from tomoe_explore.archive.registry import Registry
from tomoe_explore.errors import ArchiveError

NewArchive = Callable[[Path], Archive]
pytestmark = pytest.mark.both_databases


@pytest.fixture
def full(archive: Archive, tmp_path: Path) -> Archive:
    """An archive with two reductions, one of them forced anew, a failed one, and a master."""
    for exposure_id in (357754, 357755):
        exposure = make_exposure(exposure_id)
        reduce_film(archive, make_film(tmp_path, exposure), exposure)
    exposure = make_exposure(357754)
    reduce_film(archive, make_film(tmp_path, exposure), exposure, force=True)
    failing = archive.begin(make_exposure(357756), make_film(tmp_path, make_exposure(357756)))
    assert failing is not None
    archive.fail(failing, ValueError("Ω is not a number"))
    archive.add_master(make_master("dark"), film_checksum="xxh3:dark")
    return archive


def rows(registry_: Registry) -> dict[str, list[dict[str, Any]]]:
    tables = [t for t in registry.metadata.sorted_tables if t is not registry.archive]  # each has its own
    return {
        t.name: [dict(row) for row in registry_.rows(sa.select(t).order_by(*t.primary_key.columns))] for t in tables
    }


def test_what_was_saved_comes_back(full: Archive, new_archive: NewArchive, tmp_path: Path) -> None:
    made = full.backup(tmp_path / "registry.zip")
    assert made.rows["reductions"] == 4
    assert "4 reductions" in repr(made)
    assert "open-sesame" not in (tmp_path / "registry.zip").read_bytes().decode("latin1") + repr(made)
    other = new_archive(tmp_path / "other")
    assert other.restore(made.path) == made
    assert rows(other.registry) == rows(full.registry)
    full.restore(made.path)  # nothing was added since: nothing is lost
    assert rows(other.registry) == rows(full.registry)


def test_from_one_database_to_the_other(full: Archive, postgres: Server, tmp_path: Path) -> None:
    before = rows(full.registry)
    made = full.backup(tmp_path / "registry.zip")
    with Databases(postgres).apart() if full.registry.file else pytest.MonkeyPatch.context() as patch:
        if patch is not None:
            patch.delenv("TOMOE_DATABASE")
        other = Archive.create(tmp_path / "other")
        assert (other.registry.file is None) != (full.registry.file is None)
        other.restore(made.path)
        assert rows(other.registry) == before
        back = other.backup(tmp_path / "back.zip")
    full.restore(back.path)
    assert rows(full.registry) == before
    for name in schema.TABLES:
        full.table(name, all_versions=True)


def test_a_registry_that_was_lost_is_restored_and_sound(full: Archive, databases: Databases, tmp_path: Path) -> None:
    from tomoe_explore.operations.doctor import examine

    made = full.backup(tmp_path / "registry.zip")
    if full.registry.file:
        full.layout.registry.unlink()
    with databases.apart():
        again = open_archive(full.root)
        again.restore(made.path)
        assert [check.text for check in examine(again, deep=True) if check.status == "fault"] == []
        assert again.table("photometry").num_rows == 72


def test_what_came_since_is_not_lost_unless_forced(full: Archive, tmp_path: Path) -> None:
    made = full.backup(tmp_path / "registry.zip")
    exposure = make_exposure(357760)
    film = make_film(tmp_path, exposure)
    reduction_id = reduce_film(full, film, exposure)
    before = rows(full.registry)
    with pytest.raises(ArchiveError, match=r"holds 1 exposures, 1 films, 3 parts, 1 reductions that"):
        full.restore(made.path)
    assert rows(full.registry) == before
    full.restore(made.path, force=True)
    assert full.table("photometry").num_rows == 72
    assert reduce_film(full, film, exposure) == reduction_id  # done again, with the same id
    assert full.table("photometry").num_rows == 108


def test_a_damaged_backup_changes_nothing(full: Archive, tmp_path: Path) -> None:
    made = full.backup(tmp_path / "registry.zip")
    before = rows(full.registry)
    content = bytearray(made.path.read_bytes())
    content[len(content) // 2] ^= 1
    damaged, cut, other, forged = (tmp_path / name for name in ("damaged", "cut", "other", "forged"))
    damaged.write_bytes(content)
    cut.write_bytes(content[:1000])
    other.write_bytes(b"something else")
    with zipfile.ZipFile(made.path) as good, zipfile.ZipFile(forged, "w") as bad:
        bad.writestr("backup.json", good.read("backup.json"))
        bad.writestr("registry.sqlite", good.read("registry.sqlite")[:-4096])
    for path in (damaged, cut, other, forged):
        with pytest.raises(ArchiveError, match=f"backup {path} is damaged"):
            full.restore(path, force=True)
    with pytest.raises(ArchiveError, match="no backup at"):
        full.restore(tmp_path / "none")
    assert rows(full.registry) == before


def test_a_backup_overwrites_nothing_and_leaves_no_rubbish(full: Archive, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    with pytest.raises(ArchiveError, match="there is no directory"):
        full.backup(folder / "registry.zip")
    folder.mkdir()
    full.backup(folder / "registry.zip")
    with pytest.raises(ArchiveError, match="is there already"):
        full.backup(folder / "registry.zip")
    assert [path.name for path in folder.iterdir()] == ["registry.zip"]


_WRITE_ON = """
import sys, sqlalchemy as sa
from tomoe_explore.archive.registry import Registry, exposures, films
registry = Registry(sys.argv[1])
words = dict.fromkeys(("object", "project", "observer", "quality"), "")
for n in range(10_000_000):
    with registry.writing() as connection:
        connection.execute(sa.insert(exposures), words | {"exposure_id": n, "night": "2020-08-14", "mjd_start": 1.0,
                           "n_frames": 18, "frame_interval": 0.5, "flags": 0, "generation": 0})
        connection.execute(sa.insert(films), {"film_checksum": str(n), "size": 1, "mtime_ns": 1, "kind": "object",
                           "exposure_id": n, "detector_id": 112, "night": "2020-08-14"})
    print(n, flush=True)
"""


def test_a_backup_is_consistent_while_a_writer_goes_on(archive: Archive, repository: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", _WRITE_ON, archive.registry.url]
    with subprocess.Popen(command, cwd=repository, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        for _ in range(20):
            assert writer.stdout.readline()
        counts = []
        for n in range(3):
            counts.append(archive.backup(tmp_path / f"{n}.zip").rows)
            time.sleep(0.1)
        assert writer.poll() is None
        writer.kill()
    assert all(count["exposures"] == count["films"] >= 20 for count in counts)
    assert counts[0]["films"] < counts[2]["films"], "the writer stood still"


def test_on_the_command_line(full: Archive, tmp_path: Path) -> None:
    from tomoe_explore.cli import app

    def tomoe(*arguments: object) -> Any:
        return CliRunner().invoke(app, ["--archive", str(full.root), *map(str, arguments)])

    path = tmp_path / "registry.zip"
    told = tomoe("backup", path)
    assert told.exit_code == 0, told.output
    assert f"backup {path} of " in told.stdout
    again = tomoe("backup", path)
    assert again.exit_code == 1
    assert "is there already" in again.stderr
    reduce_film(full, make_film(tmp_path, make_exposure(357760)), make_exposure(357760))
    assert "use --force" in tomoe("restore", path).stderr
    restored = tomoe("--json", "restore", path, "--force")
    assert json.loads(restored.stdout)["rows"]["reductions"] == 4
