"""Reference catalogs that an archive remembers."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import sqlalchemy as sa

from tomoe_explore.archive import Archive, registry
from tomoe_explore.data import Refcat


def test_the_last_one_is_found_and_not_written_again(archive: Archive, tmp_path: Path) -> None:
    one = np.ones(3)
    first = Refcat("first", "1", np.arange(3), one, one, one, one, one, one, one)
    second = replace(first, name="second", checksum="2")
    before = [_add(archive, first, tmp_path / "a"), _add(archive, second, tmp_path / "b")]
    assert archive.refcat_path() == tmp_path / "b"
    assert _add(archive, second, tmp_path / "b") == before[1]
    assert _add(archive, second, tmp_path / "c") > before[1]  # it has moved
    assert archive.refcat_path() == tmp_path / "c"
    assert _add(archive, first, tmp_path / "a") > before[0]
    assert archive.refcat_path() == tmp_path / "a"


def _add(archive: Archive, refcat: Refcat, path: Path) -> str:
    """When it was written last."""
    time.sleep(0.002)  # times are kept to the millisecond
    archive.add_refcat(refcat, path)
    table = registry.refcats.c
    rows = archive.registry.rows(sa.select(table.registered).where(table.checksum == refcat.checksum))
    return str(rows[0]["registered"])
