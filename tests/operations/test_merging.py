"""A merge that cannot be written says so."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.archive.reductions import files, make_exposure, make_film, reduce_film
from tomoe_explore.archive import Archive
from tomoe_explore.errors import ArchiveError
from tomoe_explore.operations.consolidate import consolidate


def test_no_space_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an error that the command line prints; what was there stays."""
    archive = Archive.create(tmp_path / "archive")
    exposure = make_exposure()
    reduce_film(archive, make_film(tmp_path, exposure), exposure)
    before = files(archive)

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(pq.ParquetWriter, "write_table", full)
        with pytest.raises(ArchiveError, match=f"archive {archive.root} cannot be written: no space is left there"):
            consolidate(archive, progress=False)
    assert files(archive) == before
    consolidate(archive, progress=False)
    assert archive.table("photometry").num_rows == 36
