"""Which films need no more work, asked for many at a time and without reading a byte of them."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from tomoe_explore.archive import registry as tables
from tomoe_explore.archive.registry import Registry
from tomoe_explore.errors import (
    AstrometryError,
    FilmError,
    NoReferenceStarsError,
    QualityError,
    RefcatEpochError,
    TomoeError,
    WorkerDiedError,
    ZeropointError,
)

#: Failures that are the film's, so that to try again is in vain. All others may pass: calibrations come later, a disk
#: is mounted again, and who knows what an unexpected error was.
OF_THE_FILM: tuple[type[TomoeError], ...] = (
    *FilmError.__subclasses__(), *QualityError.__subclasses__(), NoReferenceStarsError, RefcatEpochError,
    AstrometryError, ZeropointError, WorkerDiedError,
)  # fmt: skip

_CHUNK = 500  # every database takes so many values in one statement
_films, _reductions = tables.films.c, tables.reductions.c
_SETTLED = sa.or_(
    sa.exists().where(
        _reductions.film_checksum == _films.film_checksum,
        sa.or_(
            _reductions.status == "done",
            sa.and_(_reductions.status == "failed", _reductions.error_kind.in_({e.kind for e in OF_THE_FILM})),
        ),
    ),
    sa.exists().where(tables.masters.c.film_checksum == _films.film_checksum),
)
_QUERY = sa.select(_films.path, _films.size, _films.mtime_ns).where(
    _films.path.in_(sa.bindparam("paths", expanding=True)), _SETTLED
)


def settled(registry: Registry, files: Sequence[tuple[str, int, int]]) -> set[str]:
    """Those of some files (path, size, mtime in ns) that are reduced or mastered, or failed for good; their paths."""
    found: set[tuple[str, int, int]] = set()
    with registry.reading() as connection:
        for first in range(0, len(files), _CHUNK):
            paths = [path for path, _, _ in files[first : first + _CHUNK]]
            rows = connection.execute(_QUERY, {"paths": paths})
            found.update((path, size, mtime_ns) for path, size, mtime_ns in rows)
    return {file[0] for file in files if file in found}
