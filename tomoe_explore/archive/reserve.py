"""Who reduces which film: a reservation is a ``running`` record in the registry, made before the work starts."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol
from weakref import WeakValueDictionary

import numpy as np
import sqlalchemy as sa

from tomoe_explore import camera, raw
from tomoe_explore.archive import registry as tables
from tomoe_explore.archive import sky
from tomoe_explore.archive.layout import Layout, ProductPlace
from tomoe_explore.archive.owner import Owner, this_process
from tomoe_explore.archive.registry import Registry
from tomoe_explore.archive.staging import discard
from tomoe_explore.data import Exposure
from tomoe_explore.errors import ArchiveError, ReservedError
from tomoe_explore.ids import make_reduction_id
from tomoe_explore.schema import Flag


@dataclass(frozen=True)
class Reservation:
    """The right to reduce one film, and the id of the reduction.

    Attributes
    ----------
    reduction_id : int
        Given to the recipe.
    exposure : Exposure
        Of the film.
    film_path, film_checksum : str
        Which film.
    started : str
        When it was reserved: another one, if another process takes the film over.
    """

    reduction_id: int
    exposure: Exposure
    film_path: str
    film_checksum: str
    started: str

    @property
    def place(self) -> ProductPlace:
        """Where its products go."""
        return ProductPlace(
            self.exposure.night, self.exposure.exposure_id, self.exposure.detector_id, self.reduction_id
        )


class Held(Protocol):
    """A film that is reserved, or staged."""

    @property
    def place(self) -> ProductPlace:
        """Where its products go."""
        ...

    @property
    def started(self) -> str:
        """When it was reserved."""
        ...


#: A film that another machine has had for so long is given up, s: nobody here can see whether its process lives, and a
#: container that is started anew has another name. One that does live loses the film, and says so, when it publishes.
GIVEN_UP_S = 3600.0

_films, _reductions, _value = tables.films, tables.reductions, sa.bindparam

_KNOWN = sa.select(_films.c.film_checksum).where(
    _films.c.path == _value("path"), _films.c.size == _value("size"), _films.c.mtime_ns == _value("mtime_ns")
)
_HOLDER = ("reduction_id", "status", "started", "owner_host", "owner_pid", "owner_started")
_OF_FILM = (
    sa.select(*(_reductions.c[name] for name in _HOLDER))
    .where(_reductions.c.film_checksum == _value("of"))
    .order_by(_reductions.c.reduction_id)
)
_THIS_REDUCTION = _reductions.c.reduction_id == _value("this")
_SUPERSEDED_BY = sa.select(_reductions.c.superseded_by).where(_THIS_REDUCTION)
_SET_REDUCTION = sa.update(_reductions).where(_THIS_REDUCTION)
_LAST_ID = sa.select(sa.func.max(_reductions.c.reduction_id)).where(
    _reductions.c.reduction_id >= _value("first"), _reductions.c.reduction_id < _value("stop")
)
_EXPOSURE = sa.select(tables.exposures.c.night).where(tables.exposures.c.exposure_id == _value("this"))
_FORGET_PATH = sa.update(_films).where(_films.c.path == _value("at"), _films.c.film_checksum != _value("this"))
_SET_FILM = sa.update(_films).where(_films.c.film_checksum == _value("this"))

#: What somebody in this process holds: reservations, then what is staged. What nobody holds (an interrupted cell) is
#: taken over.
_held: WeakValueDictionary[tuple[str, int], Held] = WeakValueDictionary()


def now() -> str:
    """The time, ISO 8601, UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


@dataclass(frozen=True)
class FilmFile:
    """A film's file as the registry knows it."""

    path: str
    size: int
    mtime_ns: int
    checksum: str


def identify(registry: Registry, path: str | os.PathLike[str], checksum: str | None = None) -> FilmFile:
    """A film's checksum: from the registry if path, size and time are unchanged, else from its bytes.

    Raises
    ------
    ArchiveError
        If the file is gone.
    """
    film = _stat(path) if checksum else known(registry, path)
    return replace(film, checksum=checksum or film.checksum or raw.checksum(film.path))


def known(registry: Registry, path: str | os.PathLike[str]) -> FilmFile:
    """A film's file; its checksum is empty where the registry has none for this path, size and time.

    Raises
    ------
    ArchiveError
        If the file is gone.
    """
    film = _stat(path)
    rows = registry.rows(_KNOWN, path=film.path, size=film.size, mtime_ns=film.mtime_ns)
    return replace(film, checksum=rows[0]["film_checksum"] if rows else "")


def _stat(path: str | os.PathLike[str]) -> FilmFile:
    absolute = os.path.abspath(path)
    try:
        stat = os.stat(absolute)
    except OSError as error:
        raise ArchiveError(f"film {absolute} cannot be read: {error.strerror}") from None
    return FilmFile(absolute, stat.st_size, stat.st_mtime_ns, "")


def reduction_of(registry: Registry, checksum: str) -> int | None:
    """The newest finished reduction of a film, if there is one; another file of the exposure may have superseded it."""
    done = [row["reduction_id"] for row in registry.rows(_OF_FILM, of=checksum) if row["status"] == "done"]
    return int(done[-1]) if done else None


def superseded_by(registry: Registry, reduction_id: int) -> int | None:
    """The reduction that replaced another one, if there is one."""
    rows = registry.rows(_SUPERSEDED_BY, this=reduction_id)
    return rows[0]["superseded_by"] if rows else None


def begin(
    registry: Registry, layout: Layout, exposure: Exposure, path: str | os.PathLike[str], *,
    checksum: str | None = None, force: bool = False,
) -> Reservation | None:  # fmt: skip
    """Reserve a film; see `Archive.begin`."""
    film = identify(registry, path, checksum)
    # asked without a lock where the film may be known; again, and for all, once the registry is locked
    if not force and checksum is None and reduction_of(registry, film.checksum) is not None:
        return None
    for attempt in range(5):
        try:
            with registry.writing() as connection:
                reservation = _reserve(connection, registry.url, exposure, film, force=force)
            break
        except sa.exc.IntegrityError as error:  # on a database that lets writers overlap, another one was faster
            if attempt == 4:
                raise ArchiveError(f"{exposure.where}: no reduction could be reserved: {error.orig}") from error
    if reservation is not None:
        hold(registry, reservation)
        discard(layout, reservation.place)
    return reservation


def _reserve(
    connection: sa.Connection, url: str, exposure: Exposure, film: FilmFile, *, force: bool
) -> Reservation | None:
    before = connection.execute(_OF_FILM, {"of": film.checksum}).mappings().all()
    if not force and any(row["status"] == "done" for row in before):
        return None
    record_exposure(connection, exposure)
    record_film(connection, exposure, film)
    owner = this_process()
    started = now()
    holder = {"owner_host": owner.host, "owner_pid": owner.pid, "owner_started": owner.started, "started": started}
    for running in [row for row in before if row["status"] == "running"]:
        this = {"this": running["reduction_id"]}
        if not _is_held(url, running, force=force):
            connection.execute(_SET_REDUCTION, this | holder)
            return Reservation(running["reduction_id"], exposure, film.path, film.checksum, started)
        # its process may live after all, so what comes now is another reduction, with files of its own
        why = f"abandoned: nothing came of it{_by(running)}, and the film was reduced anew"
        gone = {"status": "failed", "finished": now(), "error_kind": "abandoned", "error": why}
        connection.execute(_SET_REDUCTION, this | gone)
    reduction_id = _next_id(connection, exposure)
    row = {
        "reduction_id": reduction_id, "exposure_id": exposure.exposure_id, "detector_id": exposure.detector_id,
        "night": exposure.night, "status": "running", "film_checksum": film.checksum, **holder,
    }  # fmt: skip
    connection.execute(sa.insert(_reductions), row)
    return Reservation(reduction_id, exposure, film.path, film.checksum, started)


def is_under_way(running: sa.RowMapping) -> bool:
    """Whether the process of a ``running`` record works on it, as far as can be known here."""
    owner = _owner(running)
    if owner.host == this_process().host:
        return owner.is_alive()
    age_s = (datetime.now(UTC) - datetime.fromisoformat(running["started"])).total_seconds()
    return owner.is_alive() and age_s < GIVEN_UP_S


def _is_held(url: str, running: sa.RowMapping, *, force: bool) -> bool:
    """Whether a running record's owner may still work on it; False to take it over, True to abandon another host's.

    Raises
    ------
    ReservedError
        If it does, or is not to be given up yet.
    """
    owner, this = _owner(running), this_process()
    here = owner.host == this.host
    alive = (url, running["reduction_id"]) in _held if owner == this else owner.is_alive()
    if alive and is_under_way(running) and (here or not force):
        elsewhere = "" if here else f"; it is given up {GIVEN_UP_S / 3600:g} h after it began, or by force"
        raise ReservedError(
            f"reduction {running['reduction_id']} of this film has been running since {running['started']}"
            f"{_by(running)}{elsewhere}"
        )
    return alive


def _owner(running: sa.RowMapping) -> Owner:
    return Owner(running["owner_host"], running["owner_pid"], running["owner_started"])


def _by(running: sa.RowMapping) -> str:
    return f" in process {running['owner_pid']} on {running['owner_host']}"


def _next_id(connection: sa.Connection, exposure: Exposure) -> int:
    first = make_reduction_id(exposure.exposure_id, exposure.detector_id, 1)
    last = connection.execute(_LAST_ID, {"first": first, "stop": first + 999}).scalar()
    version = 1 if last is None else last % 1000 + 1
    try:
        return make_reduction_id(exposure.exposure_id, exposure.detector_id, version)
    except ValueError as error:
        raise ArchiveError(f"{exposure.where}: {error}") from None


def record_exposure(connection: sa.Connection, exposure: Exposure) -> None:
    """Enter an exposure unless it is there."""
    if connection.execute(_EXPOSURE, {"this": exposure.exposure_id}).first():
        return
    row = {
        "exposure_id": exposure.exposure_id, "night": exposure.night, "mjd_start": exposure.mjd_start,
        "n_frames": exposure.n_frames, "frame_interval": exposure.frame_interval_s, "ra": finite(exposure.ra),
        "dec": finite(exposure.dec), "object": exposure.object, "project": exposure.project,
        "observer": exposure.observer, "quality": "bad time" if exposure.flags & Flag.BAD_TIME else "good",
        "flags": int(exposure.flags), "generation": 0,
    }  # fmt: skip
    connection.execute(sa.insert(tables.exposures), row)


def record_film(connection: sa.Connection, exposure: Exposure, film: FilmFile) -> None:
    """Enter a film, or where it was seen last; a path belongs to the film that lies there now."""
    this = {"this": film.checksum}
    seen = {"path": film.path, "size": film.size, "mtime_ns": film.mtime_ns}
    connection.execute(_FORGET_PATH, this | {"at": film.path, "path": None})
    if connection.execute(_SET_FILM, this | seen).rowcount:
        return
    ra, dec, cell = nominal_center(exposure)
    row = {
        "film_checksum": film.checksum, "kind": exposure.kind, "exposure_id": exposure.exposure_id,
        "detector_id": exposure.detector_id, "night": exposure.night, "ra": ra, "dec": dec, "cell": cell, **seen,
    }  # fmt: skip
    connection.execute(sa.insert(_films), row)


def nominal_center(exposure: Exposure) -> tuple[float | None, float | None, int | None]:
    """Where a film should lie on the sky, and its cell; nulls for calibrations."""
    if not (np.isfinite(exposure.ra) and np.isfinite(exposure.dec)) or exposure.kind != "object":
        return None, None, None
    ra, dec = camera.detector_center(exposure.ra, exposure.dec, exposure.detector_id)
    return ra, dec, int(sky.cells(ra, dec, tables.CELL_ORDER)[0])


def finite(value: float) -> float | None:
    """NaN as null: SQLite knows no NaN."""
    return float(value) if np.isfinite(value) else None


def fail(registry: Registry, layout: Layout, held: Held, error: BaseException) -> None:
    """Record why a reduction failed; see `Archive.fail`."""
    kind = getattr(error, "kind", type(error).__name__)
    _leave(registry, layout, held, status="failed", finished=now(), error_kind=kind, error=f"{kind}: {error}")


def let_go(registry: Registry, layout: Layout, held: Held) -> None:
    """Free a film that nothing became of; see `Archive.let_go`."""
    _leave(registry, layout, held, owner_started="")  # nobody's


def _leave(registry: Registry, layout: Layout, held: Held, **values: str) -> None:
    this, c = held.place.reduction_id, tables.reductions.c
    mine = (c.reduction_id == this, c.status == "running", c.started == held.started)
    with registry.writing() as connection:
        changed = connection.execute(sa.update(tables.reductions).where(*mine).values(**values)).rowcount
    if changed:  # only then nobody can have registered its files
        discard(layout, held.place)
    release(registry, this)


def hold(registry: Registry, held: Held) -> None:
    """Note that this process, as long as it keeps ``held``, has a reduction under way."""
    _held[registry.url, held.place.reduction_id] = held


def held_here(registry: Registry, reduction_id: int) -> Held | None:
    """What this process keeps of a reduction that it has under way."""
    return _held.get((registry.url, reduction_id))


def release(registry: Registry, reduction_id: int) -> None:
    """Forget a reservation that has come to its end."""
    _held.pop((registry.url, reduction_id), None)
