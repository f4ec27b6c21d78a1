"""An archive that cannot be written, half made, or read-only; and who superseded what."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.archive.reductions import files, make_exposure, make_film, make_reduction, reduce_film
from tomoe_explore.archive import Archive, staging
from tomoe_explore.errors import ArchiveError


@pytest.mark.parametrize("number", ["EROFS", "ENOSPC", "EACCES"])
def test_an_archive_that_cannot_be_written_says_so(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: str
) -> None:
    import errno

    exposure = make_exposure()
    film = make_film(tmp_path, exposure)
    reservation = archive.begin(exposure, film)

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(getattr(errno, number), os.strerror(getattr(errno, number)))

    words = {"EROFS": "read-only", "ENOSPC": "no space is left", "EACCES": "may not write"}
    with monkeypatch.context() as patch:
        patch.setattr(staging.os, "replace", refuse)
        with pytest.raises(ArchiveError, match=f"cannot be written: .*{words[number]}"):
            archive.commit(*make_reduction(reservation))
    assert files(archive) == []


@pytest.mark.sqlite_only
def test_a_read_only_archive_is_read_and_not_written(
    archive: Archive, tmp_path: Path, tool: Any, repository: Path
) -> None:
    exposure = make_exposure()
    reduce_film(archive, make_film(tmp_path, exposure), exposure)
    other = make_film(tmp_path, make_exposure(357755))
    script = (
        "import sys; from tests.archive.reductions import *; from tomoe_explore.archive import open_archive\n"
        "from tomoe_explore.errors import ArchiveError\n"
        "a = open_archive(sys.argv[1]); print(a.table('photometry').num_rows)\n"
        "try: a.begin(make_exposure(357755), sys.argv[2])\n"
        "except ArchiveError as error: print(error)\n"
    )
    command = [sys.executable, "-c", script, str(archive.root), str(other)]
    if os.geteuid() == 0:  # root without its right to write everywhere obeys permissions like anyone
        command = [tool("setpriv"), "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all", *command]
    inside = [archive.root, *archive.root.rglob("*")]
    modes = {path: path.stat().st_mode for path in inside}
    for path in inside:
        path.chmod(modes[path] & ~0o222)
    try:
        run = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)
    finally:
        for path in inside:
            path.chmod(modes[path])
    assert run.stdout.splitlines()[0] == "36", run.stderr
    assert "the archive can be read but not written here" in run.stdout.splitlines()[1]


@pytest.mark.sqlite_only
def test_an_archive_whose_registry_cannot_be_made_is_not_half_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOMOE_DATABASE", f"sqlite:///{tmp_path}/missing/registry.sqlite")
    with pytest.raises(ArchiveError, match="unable to open"):
        Archive.create(tmp_path / "new")
    assert list((tmp_path / "new").iterdir()) == []
    monkeypatch.delenv("TOMOE_DATABASE")
    assert Archive.create(tmp_path / "new").table("photometry").num_rows == 0


def test_who_superseded_a_reduction_is_known(archive: Archive, tmp_path: Path) -> None:
    exposure = make_exposure()
    first = reduce_film(archive, make_film(tmp_path, exposure), exposure)
    assert archive.superseded_by(first) is None
    second = reduce_film(archive, make_film(tmp_path, exposure), exposure, force=True)
    assert archive.superseded_by(first) == second
