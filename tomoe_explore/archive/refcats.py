"""Reference catalogs that the archive's reductions rest on: remembered by checksum, found again where none is named."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import sqlalchemy as sa

from tomoe_explore.archive import registry as tables
from tomoe_explore.archive.registry import Registry
from tomoe_explore.archive.reserve import now
from tomoe_explore.data import Refcat

_LAST = sa.select(tables.refcats).order_by(tables.refcats.c.registered.desc()).limit(1)


def add_refcat(registry: Registry, refcat: Refcat, path: str | os.PathLike[str]) -> None:
    """Remember a reference catalog, or where it lies now; nothing is written where it is the last one already."""
    table, path = tables.refcats, os.path.abspath(path)
    last = registry.rows(_LAST)
    if last and (last[0]["checksum"], last[0]["path"]) == (refcat.checksum, path):
        return
    epoch = float(np.median(refcat.epoch)) if len(refcat) else None
    values = {"name": refcat.name, "path": path, "n_stars": len(refcat), "epoch": epoch}
    with registry.writing() as connection:
        this = sa.update(table).where(table.c.checksum == refcat.checksum)
        if not connection.execute(this.values(registered=now(), **values)).rowcount:
            connection.execute(sa.insert(table).values(checksum=refcat.checksum, registered=now(), **values))


def refcat_path(registry: Registry) -> Path | None:
    """Where the reference catalog remembered last lies."""
    rows = registry.rows(_LAST)
    return Path(rows[0]["path"]) if rows else None
