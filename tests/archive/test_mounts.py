"""SQLite over a network is refused for writing, by what the mount table says; it can be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.archive.reductions import make_exposure, make_film, reduce_film
from tomoe_explore.archive import Archive, mounts, open_archive
from tomoe_explore.errors import ArchiveError

TABLE = r"""/dev/vda / ext4 rw 0 0
proc /proc proc rw 0 0
server:/export /data nfs4 rw,vers=4.2 0 0
/dev/vdb /data/local ext4 rw 0 0
//nas/x /with\040blank cifs rw 0 0
systemd-1 /auto autofs rw 0 0
server:/auto /auto nfs rw 0 0
"""


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/home/archive", "ext4"), ("/data/archive", "nfs4"), ("/data/local/archive", "ext4"), ("/database", "ext4"),
        ("/with blank/archive", "cifs"), ("/auto/archive", "nfs"),
    ],
)  # fmt: skip
def test_file_system(path: str, expected: str) -> None:
    assert mounts.file_system(Path(path), TABLE) == expected


@pytest.mark.parametrize("kind", ["fuse.ceph-fuse", "fuse.juicefs", "fuse.gcsfuse", "lustre", "9p"])
def test_network_file_systems(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mounts, "mount_table", lambda: f"{TABLE}remote /nowhere {kind} rw 0 0\n")
    assert mounts.network_file_system("sqlite:////nowhere/registry.sqlite") == kind


def test_without_a_mount_table() -> None:
    assert mounts.file_system(Path("/data"), "") == ""


def test_writing_is_refused_and_reading_goes_on(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reduce_film(archive, make_film(tmp_path, make_exposure()), make_exposure())
    place = str(tmp_path.resolve()).replace(" ", r"\040")
    monkeypatch.setattr(mounts, "mount_table", lambda: f"/dev/vda / ext4 rw 0 0\nserver:/x {place} nfs4 rw 0 0\n")
    remote = open_archive(archive.root)
    assert remote.table("photometry").num_rows == 36
    film = make_film(tmp_path, make_exposure(357755))
    with pytest.raises(ArchiveError, match=r"nfs4, a network file system.*TOMOE_DATABASE.*PostgreSQL"):
        remote.begin(make_exposure(357755), film)
    with pytest.raises(ArchiveError, match="network file system"):
        Archive.create(tmp_path / "new")
    assert not (tmp_path / "new" / "registry.sqlite").exists()
    monkeypatch.setenv("TOMOE_DATABASE", "sqlite:////somewhere/local.sqlite")
    assert not mounts.network_file_system("sqlite:////somewhere/local.sqlite")  # the way out
    assert not mounts.network_file_system("postgresql://tomoe@db/tomoe")
