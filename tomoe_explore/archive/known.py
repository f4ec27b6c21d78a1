"""Which films need no more work, and what they became: asked for many at a time, without reading a byte of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

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

#: Of films: path, size in bytes, mtime in ns.
Files = Sequence[tuple[str, int, int]]

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
_FILE = (_films.path, _films.size, _films.mtime_ns)
_OF_PATHS = _films.path.in_(sa.bindparam("paths", expanding=True))
_SETTLED_FILES = sa.select(*_FILE).where(_OF_PATHS, _SETTLED)

_done, _masters = tables.reductions.alias(), tables.masters
_NEWEST = (
    sa.select(sa.func.max(_reductions.reduction_id))
    .where(_reductions.film_checksum == _films.film_checksum, _reductions.status == "done")
    .scalar_subquery()
)
_FINISHED_FILES = (
    sa.select(
        *_FILE, _films.kind, _films.night, _films.exposure_id, _films.detector_id,
        _done.c.reduction_id, _done.c.superseded_by, _masters.c.master_id,
    )
    .select_from(
        tables.films.outerjoin(_done, _done.c.reduction_id == _NEWEST)
        .outerjoin(_masters, _masters.c.film_checksum == _films.film_checksum)
    )
    .where(_OF_PATHS, _done.c.reduction_id.is_not(None) | _masters.c.master_id.is_not(None))
)  # fmt: skip


@dataclass(frozen=True)
class Finished:
    """What a film became.

    Attributes
    ----------
    kind, night : str
    exposure_id, detector_id : int
    reduction_id, superseded_by : int or None
        Of a film of the sky: its newest finished reduction, and the one that has taken its place.
    master_id : str or None
        Of a dark or flat.
    """

    kind: str
    night: str
    exposure_id: int
    detector_id: int
    reduction_id: int | None
    superseded_by: int | None
    master_id: str | None


def settled(registry: Registry, files: Files) -> set[str]:
    """Paths of files that are reduced or mastered, or failed for good."""
    found = {tuple(row) for row in _rows(registry, _SETTLED_FILES, files)}
    return {file[0] for file in files if file in found}


def finished(registry: Registry, files: Files) -> dict[str, Finished]:
    """What files that are reduced or mastered became, by their paths."""
    rows = _rows(registry, _FINISHED_FILES, files)
    found = {(path, size, mtime_ns): Finished(*film) for path, size, mtime_ns, *film in rows}
    return {file[0]: found[file] for file in files if file in found}


def _rows(registry: Registry, query: sa.Select[Any], files: Files) -> Iterator[Any]:
    with registry.reading() as connection:
        for first in range(0, len(files), _CHUNK):
            yield from connection.execute(query, {"paths": [path for path, _, _ in files[first : first + _CHUNK]]})
