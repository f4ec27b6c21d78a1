"""The registry: what the archive holds, in SQL tables that SQLite and PostgreSQL both understand.

A change of the tables needs a migration; see ``migration.py``. How the database is spoken to is in ``database.py``.
"""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any
from weakref import finalize

import sqlalchemy as sa
from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, String, Text

from tomoe_explore.archive.column_types import Double as _Double
from tomoe_explore.archive.column_types import text as _text
from tomoe_explore.archive.database import clear_errors, make_engine, normal_url, shown, transaction
from tomoe_explore.archive.layout import PART_TABLES
from tomoe_explore.archive.marker import id_of, set_id
from tomoe_explore.archive.migration import OLDEST_READ, REVISION, STAMPED, WITH_ID, revision_of, stamp, upgrade
from tomoe_explore.archive.mounts import refuse_network
from tomoe_explore.errors import ArchiveError

#: HEALPix order of the cells by which products and films are found; a cell is 0.9 deg wide.
CELL_ORDER = 6

#: HEALPix order of the partitions of consolidated tables; a cell is 1.8 deg wide.
PARTITION_ORDER = 5

metadata = sa.MetaData()


def _exposure_key() -> Column[Any]:
    return Column("exposure_id", BigInteger, ForeignKey("exposures.exposure_id"), nullable=False, index=True)


def _center() -> list[Column[Any]]:
    """Centre on the sky (deg, ICRS), and its HEALPix cell of order `CELL_ORDER` by which it is found."""
    return [Column("ra", _Double), Column("dec", _Double), Column("cell", Integer)]


#: Like ``schema.TABLES["exposures"]``; positions are null for calibrations. ``generation`` numbers the attempts to
#: publish it, so that no two ever write a file of the same name.
exposures = sa.Table(
    "exposures", metadata, Column("exposure_id", BigInteger, primary_key=True, autoincrement=False),
    _text("night", nullable=False, index=True),
    Column("mjd_start", _Double, nullable=False), Column("n_frames", Integer, nullable=False),
    Column("frame_interval", _Double, nullable=False), Column("ra", _Double), Column("dec", _Double),
    _text("object", nullable=False), _text("project", nullable=False), _text("observer", nullable=False),
    _text("quality", nullable=False), Column("flags", Integer, nullable=False),
    Column("generation", Integer, nullable=False),
)  # fmt: skip

#: A film is its content: ``path, size, mtime_ns`` say where it was last seen (path null: replaced by another film).
films = sa.Table(
    "films", metadata, _text("film_checksum", primary_key=True), _text("path", index=True),
    Column("size", BigInteger, nullable=False), Column("mtime_ns", BigInteger, nullable=False),
    _text("kind", nullable=False), _exposure_key(),
    Column("detector_id", Integer, nullable=False), _text("night", nullable=False), *_center(),
    Index("ix_films_kind_night", "kind", "night"), Index("ix_films_place", "kind", "cell", "dec", "ra"),
)  # fmt: skip

#: Like ``schema.TABLES["masters"]``, and what decides whether a master fits a film.
masters = sa.Table(
    "masters", metadata,
    _text("master_id", primary_key=True), _text("kind", nullable=False), _text("path", nullable=False),
    _exposure_key(), Column("detector_id", Integer, nullable=False, index=True), _text("night", nullable=False),
    Column("mjd", _Double, nullable=False), Column("n_frames", Integer, nullable=False),
    Column("exptime", _Double, nullable=False), Column("exptime1", _Double, nullable=False),
    Column("temperature", _Double), Column("gain", _Double, nullable=False), _text("gain_mode", nullable=False),
    Column("level", _Double, nullable=False), Column("rms", _Double, nullable=False), _text("created", nullable=False),
    _text("code_version", nullable=False), _text("film_checksum", nullable=False, index=True),
    _text("dark_id"), _text("checksum", nullable=False), Column("bytes", BigInteger, nullable=False),
)  # fmt: skip

#: Reference catalogs that were used, and where they lie.
refcats = sa.Table(
    "refcats", metadata,
    _text("checksum", primary_key=True), _text("name", nullable=False), _text("path", nullable=False),
    Column("n_stars", BigInteger, nullable=False), Column("epoch", _Double), _text("registered", nullable=False),
)  # fmt: skip

#: What reductions have in common: code, parameters, environment (JSON), known by the checksum of all four.
settings = sa.Table(
    "settings", metadata, _text("checksum", primary_key=True), _text("code_version", nullable=False),
    Column("code_dirty", Boolean, nullable=False), Column("parameters", Text, nullable=False),
    Column("environment", Text, nullable=False),
)  # fmt: skip

#: A film's run of the recipe, who runs it and, once it is done, its stack: ``schema.TABLES``' ``reductions`` and
#: ``stacks`` in one record, and its collection of movers where it has any. ``n_<table>`` are its rows in each table,
#: which lie in the `parts` of its exposure: in the current ones, or for a superseded reduction in those of its
#: ``generation``.
reductions = sa.Table(
    "reductions", metadata, Column("reduction_id", BigInteger, primary_key=True, autoincrement=False),
    _exposure_key(), Column("detector_id", Integer, nullable=False), _text("night", nullable=False),
    _text("started", nullable=False), _text("finished"), _text("status", nullable=False),
    Column("error", Text), _text("error_kind"), _text("dark_id"), _text("flat_id"), _text("refcat"),
    _text("refcat_checksum"),
    Column("film_checksum", String, ForeignKey("films.film_checksum"), nullable=False, index=True), _text("settings"),
    Column("superseded_by", BigInteger), _text("owner_host", nullable=False),
    Column("owner_pid", Integer, nullable=False), _text("owner_started", nullable=False), Column("generation", Integer),
    _text("path"), _text("checksum"), Column("bytes", BigInteger), *_center(), Column("footprint", Text),
    _text("collection_path"), _text("collection_checksum"), Column("collection_bytes", BigInteger),
    *(Column(n, _Double) for n in ("mjd", "exptime", "zeropoint", "zeropoint_err", "fwhm", "sky", "depth")),
    Column("astrometric_rms", _Double), Column("n_stars", Integer),
    *(Column(f"n_{table}", Integer) for table in PART_TABLES),
    Index("ix_reductions_night", "night", "superseded_by"), Index("ix_reductions_place", "cell", "dec", "ra"),
)  # fmt: skip

#: Reductions that run or failed; they have an index of their own, for they are few and asked for often.
UNDONE = reductions.c.status != "done"
Index("ix_reductions_undone", reductions.c.status, sqlite_where=UNDONE, postgresql_where=UNDONE)

#: Current reductions: what readers see.
CURRENT = (reductions.c.status == "done") & reductions.c.superseded_by.is_(None)

#: Files with rows of tables; those whose ``replaced`` (when) is null hold the rows of the current reductions, each row
#: once. A file is of one exposure or, consolidated, of a night or (null) all nights, and then of a HEALPix ``cell`` of
#: order `PARTITION_ORDER` if the table has positions. ``kind`` is the table.
parts = sa.Table(
    "parts", metadata, _text("part_id", primary_key=True), _text("kind", nullable=False), _text("night"),
    Column("exposure_id", BigInteger, ForeignKey("exposures.exposure_id"), index=True), Column("cell", Integer),
    Column("generation", Integer, nullable=False), _text("path", nullable=False), _text("checksum", nullable=False),
    Column("bytes", BigInteger, nullable=False), Column("n_rows", BigInteger, nullable=False), _text("replaced"),
    Index("ix_parts_night", "kind", "night"), Index("ix_parts_cell", "kind", "cell"),
)  # fmt: skip

_replaced = parts.c.replaced.is_not(None)
Index("ix_parts_replaced", parts.c.replaced, sqlite_where=_replaced, postgresql_where=_replaced)

#: Batches of films that detached processes work on; see ``jobs.py``. Lists and options are JSON.
jobs = sa.Table(
    "jobs", metadata, Column("job_id", Integer, primary_key=True), _text("user_name", nullable=False),
    _text("state", nullable=False, index=True), Column("cancel", Boolean, nullable=False),
    Column("options", Text, nullable=False), Column("workers", Integer, nullable=False),
    _text("submitted", nullable=False), _text("queued", nullable=False), _text("started"), _text("finished"),
    _text("heartbeat", nullable=False),
    *(Column(n, Integer, nullable=False) for n in ("total", "done", "failed", "skipped")),
    Column("rate", _Double, nullable=False), _text("step", nullable=False), _text("film", nullable=False),
    Column("message", Text, nullable=False), Column("failures", Text, nullable=False),
    _text("owner_host", nullable=False), Column("owner_pid", Integer, nullable=False),
    _text("owner_started", nullable=False),
)  # fmt: skip

#: Which known object a mover is ('' for none of them), how far from its place (arcsec), by which orbits, since when.
known_objects = sa.Table(
    "known_objects", metadata, Column("mover_id", BigInteger, primary_key=True, autoincrement=False),
    Column("exposure_id", BigInteger, nullable=False, index=True), _text("known_as", nullable=False),
    Column("separation", _Double), _text("orbits", nullable=False), _text("checked", nullable=False),
)  # fmt: skip

#: Which archive the registry is of: one row, the id that ``archive.json`` has. It is in no backup's rows.
archive = sa.Table("archive", metadata, _text("archive_id", primary_key=True))
_ARCHIVE_ID = sa.select(archive.c.archive_id)


class Registry:
    """Connections to the registry, opened when first needed and anew in each process.

    Parameters
    ----------
    url : str
        SQLAlchemy URL, e.g. ``sqlite:////data/archive/registry.sqlite`` or ``postgresql+psycopg://tomoe@db/tomoe``.
    marker : Path, optional
        The ``archive.json`` of the archive that it must be of.
    """

    def __init__(self, url: str, marker: Path | None = None) -> None:
        self.url, self.marker = normal_url(url), marker
        self._engine: sa.Engine | None = None
        self._file_id: tuple[int, int] | None = None
        self._pid = 0
        self._may_write = False
        self._revision: str | None = None
        self._reading = threading.local()  # the connection that this thread reads by now

    def __repr__(self) -> str:
        return f"Registry({shown(self.url)!r})"

    def __getstate__(self) -> dict[str, Any]:
        return {"url": self.url, "marker": self.marker}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    @property
    def engine(self) -> sa.Engine:
        """The engine of this process, and of the file that lies there now: a connection must not cross a fork."""
        file_id = self._look_at_file()
        if self._engine is None or self._pid != os.getpid() or file_id != self._file_id:
            self._engine, self._pid, self._revision = make_engine(self.url), os.getpid(), None
            self._file_id = file_id
            finalize(self, _close, self._engine, self._pid)
        return self._engine

    @cached_property
    def file(self) -> str | None:
        """The SQLite file; None for a server, or a database in memory."""
        file = sa.make_url(self.url).database if self.url.startswith("sqlite:") else None
        return file if file and not file.startswith((":", "file:")) else None

    def _look_at_file(self) -> tuple[int, int] | None:
        """Which file a SQLite registry is: not one that is gone, to connect would make an empty one in its place."""
        if not self.file:
            return None
        try:
            stat = os.stat(self.file)
        except OSError as error:
            advice = "`tomoe restore` a backup, or set $TOMOE_DATABASE right"
            raise ArchiveError(f"registry {self.file} is gone ({error.strerror}): {advice}") from None
        return stat.st_dev, stat.st_ino

    # --- revisions --------------------------------------------------------------------------------
    def create(self) -> None:
        """Make the tables, of the newest revision, where there are none."""
        refuse_network(self.url)
        engine = make_engine(self.url)
        try:
            with clear_errors(self.url), transaction(engine, writes=True) as connection:
                if revision_of(connection) is None:
                    metadata.create_all(connection)
                    stamp(connection)
                if revision_of(connection) == REVISION:
                    self._adopt(connection)
        finally:
            engine.dispose()

    @property
    def is_empty(self) -> bool:
        """Whether it is not there, has no tables, or knows no exposure."""
        if (self.file and not os.path.exists(self.file)) or self.revision() is None:
            return True
        with self.reading(any_revision=True) as connection:
            return connection.execute(sa.select(exposures.c.exposure_id).limit(1)).first() is None

    def _adopt(self, connection: sa.Connection) -> None:
        """Enter whose registry it is, here and in ``archive.json``; under the lock, so that both say the same."""
        if self.marker is None:
            return
        self._refuse_another(connection)
        found = connection.execute(_ARCHIVE_ID).scalar()
        archive_id = found or id_of(self.marker) or secrets.token_hex(8)
        if found is None:
            connection.execute(sa.insert(archive).values(archive_id=archive_id))
        if id_of(self.marker) is None:
            set_id(self.marker, archive_id)

    def _refuse_another(self, connection: sa.Connection) -> None:
        """Refuse the registry of another archive."""
        found = connection.execute(_ARCHIVE_ID).scalar()
        if self.marker is not None and found is not None and found != (mine := id_of(self.marker)):
            raise ArchiveError(
                f"registry {shown(self.url)} is of another archive: its id is {found}, {self.marker} says "
                f"{mine or 'none'}. Set $TOMOE_DATABASE to a database of this archive's own"
            )

    def revision(self) -> str | None:
        """The revision of its tables; None where there are none."""
        with self._transaction() as connection:
            return revision_of(connection)

    def migrate(self) -> None:
        """Bring older tables to the newest revision: all of it or, after an error or a kill, nothing.

        Raises
        ------
        ArchiveError
            If they are of a later revision, there are none, or they are another archive's.
        """
        with self._transaction(writes=True) as connection:
            if self._known(connection) != REVISION:
                upgrade(connection)
            self._adopt(connection)
        self._revision = REVISION

    def _known(self, connection: sa.Connection) -> str:
        """The revision, if it is one that this code knows.

        Raises
        ------
        ArchiveError
            If it is a later one, or there are no tables, or they are another archive's.
        """
        found = revision_of(connection)
        if found is None:
            raise ArchiveError(f"registry {shown(self.url)} has no tables: run `tomoe init`")
        if found > REVISION:
            known = f"this version knows {REVISION}: update tomoe_explore"
            raise ArchiveError(f"registry {shown(self.url)} is of revision {found}, {known}")
        if found >= WITH_ID:
            self._refuse_another(connection)
        return found

    # --- transactions -----------------------------------------------------------------------------
    @contextmanager
    def _transaction(self, *, writes: bool = False) -> Iterator[sa.Connection]:
        # a server that has answered this process before is worth waiting for
        engine, wait = self.engine, self._revision is not None
        with clear_errors(self.url), transaction(engine, writes=writes, wait=wait) as connection:
            yield connection

    @contextmanager
    def reading(self, *, any_revision: bool = False) -> Iterator[sa.Connection]:
        """A connection in one consistent state, which others' commits do not change.

        Within another one of the same thread it is that one, so that several queries see the same.

        Parameters
        ----------
        any_revision : bool
            Whether tables older than this code reads will do.

        Raises
        ------
        ArchiveError
            If the registry cannot be read, or is of a later revision, or one too old.
        """
        if outer := getattr(self._reading, "connection", None):
            yield outer
            return
        with self._transaction() as connection:
            if self._revision is None or self._revision < OLDEST_READ:  # an old one may have been migrated meanwhile
                self._revision = self._known(connection)
            if self._revision < OLDEST_READ and not any_revision:
                raise ArchiveError(f"{self._older()} reads: `tomoe init` makes a backup and migrates it")
            self._reading.connection = connection
            try:
                yield connection
            finally:
                self._reading.connection = None

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A transaction that no other writer overlaps.

        Raises
        ------
        ArchiveError
            If the registry is read-only, locked or full, of another revision, its server is gone, or it is SQLite on a
            network file system.
        """
        if not self._may_write:  # asked once: a mount does not change under an open file
            refuse_network(self.url)
            self._may_write = True
        with self._transaction(writes=True) as connection:
            # asked each time: another process may have migrated it
            stamped = self._revision == REVISION and connection.execute(STAMPED).scalar()
            if stamped != REVISION:
                self._revision = self._known(connection)
                if self._revision != REVISION:
                    raise ArchiveError(f"{self._older()} writes: `tomoe init` makes a backup and migrates it")
            yield connection

    def _older(self) -> str:
        return f"registry {shown(self.url)} is of revision {self._revision}, older than what this version ({REVISION})"

    def rows(self, query: sa.Select[Any], **values: object) -> Sequence[sa.RowMapping]:
        """All rows of a query, as mappings; ``values`` of its `sqlalchemy.bindparam`.

        What is asked for every film is a statement made once: to make one costs as much as to run it.
        """
        with self.reading() as connection:
            return connection.execute(query, values).mappings().all()

    def columns(self, query: sa.Select[Any], **values: object) -> dict[str, Sequence[Any]]:
        """All rows of a query, column by column: for tables of thousands of rows, at half the cost of `rows`."""
        with self.reading() as connection:
            result = connection.execute(query, values)
            # the driver's plain tuples: SQLAlchemy's rows cost as much again, and no type here needs them
            names, found = list(result.keys()), result.cursor.fetchall()
        return dict(zip(names, zip(*found, strict=True) if found else [()] * len(names), strict=True))


def _close(engine: sa.Engine, pid: int) -> None:
    """Close an engine's connections, but not those of the process that this one was forked from."""
    engine.dispose(close=pid == os.getpid())
