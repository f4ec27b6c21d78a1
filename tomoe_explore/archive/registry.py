"""The registry: what the archive holds, in SQL tables that SQLite and PostgreSQL both understand.

SQLite keeps its plain rollback journal, not WAL: WAL needs side files that even a reader must be able to write,
so a read-only archive could not be opened. Writers wait for each other for `BUSY_TIMEOUT_S`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy import BigInteger, Boolean, Column, Float, ForeignKey, Index, Integer, String, Text

from tomoe_explore.errors import ArchiveError

#: How long a connection waits for another one's transaction, s.
BUSY_TIMEOUT_S = 60.0

#: HEALPix order of the cells by which products and films are found; a cell is 0.9 deg wide.
CELL_ORDER = 6

metadata = sa.MetaData()
_Double = Float(53)


def _text(name: str, **options: Any) -> Column[Any]:
    return Column(name, String, **options)


def _exposure_key() -> Column[Any]:
    return Column("exposure_id", BigInteger, ForeignKey("exposures.exposure_id"), nullable=False, index=True)


def _center() -> list[Column[Any]]:
    """Centre on the sky (deg, ICRS), and its HEALPix cell of order `CELL_ORDER` by which it is found."""
    return [Column("ra", _Double), Column("dec", _Double), Column("cell", Integer)]


#: Like ``schema.TABLES["exposures"]``; positions are null for calibrations.
exposures = sa.Table(
    "exposures", metadata,
    Column("exposure_id", BigInteger, primary_key=True, autoincrement=False),
    _text("night", nullable=False, index=True),
    Column("mjd_start", _Double, nullable=False), Column("n_frames", Integer, nullable=False),
    Column("frame_interval", _Double, nullable=False), Column("ra", _Double), Column("dec", _Double),
    _text("object", nullable=False), _text("project", nullable=False), _text("observer", nullable=False),
    _text("quality", nullable=False), Column("flags", Integer, nullable=False),
)  # fmt: skip

#: A film is its content: ``path, size, mtime_ns`` say where it was last seen (path null: replaced by another film).
films = sa.Table(
    "films", metadata,
    _text("film_checksum", primary_key=True), _text("path", index=True),
    Column("size", BigInteger, nullable=False), Column("mtime_ns", BigInteger, nullable=False),
    _text("kind", nullable=False), _exposure_key(),
    Column("detector_id", Integer, nullable=False), _text("night", nullable=False), *_center(),
    Index("ix_films_kind_night", "kind", "night"), Index("ix_films_kind_cell", "kind", "cell"),
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

#: Like ``schema.TABLES["reductions"]``, and who runs it.
reductions = sa.Table(
    "reductions", metadata,
    Column("reduction_id", BigInteger, primary_key=True, autoincrement=False),
    _exposure_key(), Column("detector_id", Integer, nullable=False), _text("night", nullable=False, index=True),
    _text("started", nullable=False), _text("finished"), _text("status", nullable=False, index=True),
    Column("error", Text), _text("error_kind"), _text("dark_id"), _text("flat_id"), _text("refcat"),
    _text("refcat_checksum"),
    Column("film_checksum", String, ForeignKey("films.film_checksum"), nullable=False, index=True),
    _text("code_version", nullable=False), Column("code_dirty", Boolean, nullable=False),
    Column("parameters", Text, nullable=False), Column("environment", Text, nullable=False),
    Column("superseded_by", BigInteger), _text("owner_host", nullable=False),
    Column("owner_pid", Integer, nullable=False), _text("owner_started", nullable=False),
)  # fmt: skip

#: Every archived file of a reduction. ``kind`` is ``stack`` or the name of a table.
products = sa.Table(
    "products", metadata,
    _text("product_id", primary_key=True), _text("kind", nullable=False), _text("path", nullable=False),
    _text("checksum", nullable=False), Column("bytes", BigInteger, nullable=False),
    Column("n_rows", BigInteger), _text("night", nullable=False), _exposure_key(),
    Column("detector_id", Integer, nullable=False), Column("mjd", _Double, nullable=False), *_center(),
    Column("footprint", Text, nullable=False),
    Column("reduction_id", BigInteger, ForeignKey("reductions.reduction_id"), nullable=False, index=True),
    Index("ix_products_kind_night", "kind", "night"), Index("ix_products_kind_cell", "kind", "cell"),
)  # fmt: skip

#: What is said of stacks only; the rest of ``schema.TABLES["stacks"]`` is in ``products``.
stacks = sa.Table(
    "stacks", metadata,
    Column("product_id", String, ForeignKey("products.product_id"), primary_key=True),
    *(Column(n, _Double) for n in ("exptime", "zeropoint", "zeropoint_err", "fwhm", "sky", "depth", "astrometric_rms")),
    Column("n_stars", Integer, nullable=False),
)  # fmt: skip


class Registry:
    """Connections to the registry, opened when first needed and anew in each process.

    Parameters
    ----------
    url : str
        SQLAlchemy URL, e.g. ``sqlite:////data/archive/registry.sqlite``.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._engine: sa.Engine | None = None
        self._pid = 0

    def __getstate__(self) -> dict[str, str]:
        return {"url": self.url}

    def __setstate__(self, state: Mapping[str, str]) -> None:
        self.__init__(state["url"])  # type: ignore[misc]

    @property
    def engine(self) -> sa.Engine:
        """The engine of this process: a connection must not cross a fork."""
        if self._engine is None or self._pid != os.getpid():
            self._check_file()
            self._engine, self._pid = _make_engine(self.url), os.getpid()
        return self._engine

    def _check_file(self) -> None:
        """Refuse a SQLite file that is gone: to connect would make an empty one in its place."""
        file = sa.make_url(self.url).database if self.url.startswith("sqlite:") else None
        if file and not file.startswith((":", "file:")) and not os.path.exists(file):
            raise ArchiveError(f"registry {file} is gone: restore it from a backup, or set $TOMOE_DATABASE right")

    def create(self) -> None:
        """Make the tables that are not there yet."""
        if self._engine is None:
            self._engine, self._pid = _make_engine(self.url), os.getpid()
        with _clear_errors(self.url):
            metadata.create_all(self.engine)

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A connection in one consistent state.

        Raises
        ------
        ArchiveError
            If the registry cannot be read.
        """
        with _clear_errors(self.url), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A transaction that no other writer overlaps (SQLite), or that fails where another was faster.

        Raises
        ------
        ArchiveError
            If the registry is read-only, locked or full.
        """
        with _clear_errors(self.url), self.engine.connect() as connection:
            connection = connection.execution_options(writes=True)
            with connection.begin():
                yield connection

    def rows(self, query: sa.Select[Any], **values: object) -> Sequence[sa.RowMapping]:
        """All rows of a query, as mappings; ``values`` of its `sqlalchemy.bindparam`.

        What is asked for every film is a statement made once: to make one costs as much as to run it.
        """
        with self.reading() as connection:
            return connection.execute(query, values).mappings().all()


def _make_engine(url: str) -> sa.Engine:
    try:
        if not url.startswith("sqlite"):
            return sa.create_engine(url)
        engine = sa.create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_S})
    except (sa.exc.ArgumentError, ImportError) as error:
        raise ArchiveError(f"registry {_shown(url)!r} is no SQLAlchemy URL that can be opened: {error}") from None

    @sa.event.listens_for(engine, "connect")
    def _set_up(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # transactions begin where _begin says, not where sqlite3 guesses
        connection.execute("PRAGMA foreign_keys = ON")

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        writes = connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _shown(url: str) -> str:
    """The URL without its password."""
    try:
        return sa.make_url(url).render_as_string(hide_password=True)
    except sa.exc.ArgumentError:
        return url


@contextmanager
def _clear_errors(url: str) -> Iterator[None]:
    """Turn what the database says into an `ArchiveError` that says what to do."""
    try:
        yield
    except sa.exc.OperationalError as error:
        reason = str(error.orig)
        advice = ""
        if "readonly" in reason or "read-only" in reason:
            advice = "; the archive can be read but not written here"
        elif "locked" in reason:
            advice = f"; another process held it for more than {BUSY_TIMEOUT_S:.0f} s"
        elif "unable to open" in reason:
            advice = "; does the archive exist, and may this user write in it?"
        raise ArchiveError(f"registry {_shown(url)}: {reason}{advice}") from error
    except sa.exc.ProgrammingError as error:
        raise ArchiveError(f"registry {_shown(url)} lacks its tables: {error.orig}; run `tomoe init`") from error
