"""Which reference catalog? The one that is named, else the one that the archive used last."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

from tomoe_explore.archive import Archive
from tomoe_explore.data import Refcat
from tomoe_explore.errors import RefcatError
from tomoe_explore.refcat import read_refcat

StrPath = str | os.PathLike[str]


def refcat_to_use(archive: Archive, given: StrPath | None) -> Path:
    """The reference catalog to use, read once to know that it is sound, and remembered in the archive.

    Raises
    ------
    RefcatError
        If none is given and the archive has used none, or it is not sound.
    """
    path = Path(given).resolve() if given is not None else archive.refcat_path()
    if path is None:
        raise RefcatError(
            f"archive {archive.root} has used no reference catalog yet: name one (refcat=…, --refcat STARS.parquet); "
            "`tomoe refcat import` makes one of a star table"
        )
    if not path.is_file():
        raise RefcatError(f"no reference catalog at {path}")
    archive.add_refcat(cached_refcat(path, path.stat().st_mtime_ns), path)
    return path


@lru_cache(maxsize=1)
def cached_refcat(path: Path, _mtime_ns: int) -> Refcat:
    """A reference catalog, read once a process while its file does not change."""
    return read_refcat(path)
