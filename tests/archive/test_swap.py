"""Merged files take the place of others in one go, and a run that is cut off leaves nothing for long."""

from __future__ import annotations

import errno
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.archive.reductions import files
from tests.archive.test_publish import detectors, stage
from tomoe_explore.archive import Archive, swap
from tomoe_explore.archive.registry import Registry
from tomoe_explore.errors import ArchiveError
from tomoe_explore.operations.consolidate import consolidate
from tomoe_explore.operations.inventory import orphans

pytestmark = pytest.mark.both_databases


def test_an_interrupted_swap_leaves_nothing(archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C in the transaction."""
    archive.publish(stage(archive, tmp_path))
    before = files(archive)
    real = swap.exchange

    def exchange(*arguments: Any) -> bool:
        real(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(swap, "exchange", exchange)
        with pytest.raises(KeyboardInterrupt):
            consolidate(archive, progress=False)
    assert files(archive) == before
    assert detectors(archive) == [111, 112, 113]


def test_an_interrupt_after_the_transaction_takes_nothing_away(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive.publish(stage(archive, tmp_path))
    real = Registry.writing

    @contextmanager
    def writing(registry: Registry) -> Iterator[sa.Connection]:
        with real(registry) as connection:
            yield connection
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Registry, "writing", writing)
        with pytest.raises(KeyboardInterrupt):
            consolidate(archive, progress=False)
    assert "photometry-2020-08-14" in " ".join(files(archive))
    assert orphans(archive) == []
    assert detectors(archive) == [111, 112, 113]


def test_tidy_removes_what_killed_runs_left(archive: Archive, tmp_path: Path) -> None:
    archive.publish(stage(archive, tmp_path))
    archive.tidy()
    before = files(archive)
    killed = swap.Swap.begin(archive.layout)
    owner = {"host": socket.gethostname(), "pid": 4194304, "started": "then"}
    (killed.directory / "owner.json").write_text(json.dumps(owner))
    killed.staged(killed.part_id("photometry", "2020-08-14", 1)).write_bytes(b"half a file")
    placed = archive.root / archive.layout.part("frames", None, killed.part_id("frames", None, None))
    placed.parent.mkdir(parents=True)
    placed.write_bytes(b"never registered")
    assert files(archive) != before
    archive.tidy()
    assert files(archive) == before
    assert not any((archive.root / "staging").iterdir())


def test_a_run_that_did_not_get_to_say_whose_it_is_is_cleared_away_later(archive: Archive) -> None:
    """Killed between making its directory and writing its owner; but another may be there just now."""
    for left in ("nothing", "half of it"):
        begun = swap.Swap.begin(archive.layout).directory
        if left == "nothing":
            (begun / "owner.json").unlink()
        else:
            (begun / "owner.json").write_text('{"host": "')
        archive.tidy()
        assert begun.is_dir()
        os.utime(begun, (0, 0))
        archive.tidy()
        assert not begun.exists()


def test_a_full_disk_leaves_no_directory(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(ArchiveError, match="no space is left"):
        swap.Swap.begin(archive.layout)
    assert not any((archive.root / "staging").iterdir())
