"""The doctor finds what is wrong, and nothing where nothing is."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.databases import Databases
from tomoe_explore.archive import Archive, jobs, mounts
from tomoe_explore.archive.owner import Owner
from tomoe_explore.operations import doctor
from tomoe_explore.operations.run import Run
from tomoe_explore.operations.watch.health import write_health


@pytest.fixture
def archive(first_run: tuple[Archive, Run], databases: Databases, tmp_path: Path) -> Archive:
    """A copy to break."""
    return databases.copy(first_run[0], tmp_path / "archive")


def faults(archive: Archive, *, deep: bool = False) -> dict[str, str]:
    return {c.name: c.text for c in doctor.examine(archive, deep=deep) if c.status == "fault"}


def test_a_sound_archive(archive: Archive) -> None:
    assert faults(archive, deep=True) == {}


def spoil(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "words", "deep"),
    [
        (Path.unlink, "is missing", False),
        (lambda p: p.write_bytes(p.read_bytes()[:-1]), "bytes, expected", False),
        (spoil, "another checksum", True),
    ],
)
def test_damaged_files_are_named(archive: Archive, damage: Callable[[Path], None], words: str, deep: bool) -> None:
    path = Path(archive.search(product="stack")["path"].iloc[0])
    damage(path)
    found = faults(archive, deep=deep)
    assert set(found) == {"files"}
    assert words in found["files"]
    assert path.name in found["files"]


def test_no_archive(tmp_path: Path) -> None:
    (fault,) = (c for c in doctor.examine(tmp_path / "none") if c.status == "fault")
    assert "tomoe init" in fault.text


@pytest.mark.sqlite_only
def test_sqlite_on_a_network_file_system_is_refused(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mounts, "mount_table", lambda: f"server:/export {archive.root.resolve()} nfs4 rw 0 0\n")
    assert "lies on nfs4, a network file system" in faults(archive)["registry"]


def test_a_broken_library_is_named(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "MODULES", ("numpy", "no_such_module"))
    assert "no_such_module" in faults(archive)["libraries"]


def test_a_cache_that_nobody_can_write_is_a_fault(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", "/proc/nowhere")
    assert "/proc/nowhere" in faults(archive)["numba cache"]


def test_a_cut_off_reduction_is_noted(archive: Archive) -> None:
    with archive.registry.writing() as connection:
        connection.exec_driver_sql("UPDATE reductions SET status = 'running', owner_pid = 4194304")
    notes = {c.name: c.text for c in doctor.examine(archive) if c.status == "note"}
    assert "were cut off" in notes["interrupted"]


def said(archive: Archive, *, deep: bool = False) -> dict[str, str]:
    return {check.name: f"{check.status}: {check.text}" for check in doctor.examine(archive, deep=deep)}


def test_jobs_that_are_lost_are_named(archive: Archive) -> None:
    assert said(archive)["jobs"] == "ok: none at work"
    mine, dead = (jobs.add(archive.registry, "ada", {}, workers=1) for _ in range(2))
    jobs.adopt(archive.registry, mine)
    jobs.adopt(archive.registry, dead, Owner(socket.gethostname(), 4194304, "then"))
    found = said(archive)
    assert found["jobs"] == "ok: 0 running, 1 queued"
    assert found["lost jobs"].startswith(f"note: job {dead} of ada")
    assert f"`tomoe jobs {dead} --resume`" in found["lost jobs"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "fault: .*limits.json cannot be read: .*jobs wait until it is mended"),
        ('{"workers": 0}', "fault: .*workers must be a number from 1"),
        ('{"disk_free_gb": 1e9}', "fault: .*the whole disk has .* no job starts"),
        ('{"memory_gb": 1e6}', "note: 1 workers .* the memory here holds no more"),
        ('{"memory_gb": 2, "workers": 1}', "ok: 1 workers"),
    ],
)
def test_limits_that_make_no_sense_are_named(archive: Archive, text: str, words: str) -> None:
    archive.layout.limits.write_text(text)
    assert re.match(words, said(archive)["limits"])


def test_damaged_backups_are_named(archive: Archive) -> None:
    assert "backups" not in said(archive)
    archive.layout.backups.mkdir()
    backup = archive.backup(archive.layout.backups / "registry.zip").path
    assert said(archive, deep=True)["backups"].startswith("ok: 1 whole")
    spoil(backup)
    assert said(archive)["backups"].startswith("ok: 1 there")
    assert "registry.zip is damaged" in said(archive, deep=True)["backups"]


def test_what_a_watch_says_of_itself(archive: Archive) -> None:
    assert "watch" not in said(archive)
    content = {"state": "working", "waiting_for": {}, "under_way": []}
    write_health(archive.layout.health, content)
    assert said(archive)["watch"].startswith("ok: well")
    write_health(archive.layout.health, content | {"state": "waiting", "waiting_for": {"disk": "too little space"}})
    assert said(archive)["watch"] == "note: waits: too little space"


def test_what_stands_beside_the_products_is_no_orphan(archive: Archive) -> None:
    archive.layout.limits.write_text("{}")
    archive.layout.backups.mkdir()
    archive.backup(archive.layout.backups / "registry.zip")
    write_health(archive.layout.health, {"state": "idle", "waiting_for": {}, "under_way": []})
    folder = archive.layout.job(1)
    folder.mkdir(parents=True)
    (folder / "log").write_text("a line\n")
    assert said(archive, deep=True)["orphans"] == "ok: every file has its record"


def test_an_older_registry_is_named(archive: Archive) -> None:
    with archive.registry.writing() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0001'")
    assert "is of revision 0001" in faults(archive)["registry"]
