"""The doctor finds what is wrong, and nothing where nothing is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.databases import Databases
from tomoe_explore.archive import Archive, mounts
from tomoe_explore.operations import doctor
from tomoe_explore.operations.run import Run


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


def test_a_cut_off_reduction_is_noted(archive: Archive) -> None:
    with archive.registry.writing() as connection:
        connection.exec_driver_sql("UPDATE reductions SET status = 'running', owner_pid = 4194304")
    notes = {c.name: c.text for c in doctor.examine(archive) if c.status == "note"}
    assert "were cut off" in notes["interrupted"]


def test_an_older_registry_is_named(archive: Archive) -> None:
    with archive.registry.writing() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0001'")
    assert "is of revision 0001" in faults(archive)["registry"]
