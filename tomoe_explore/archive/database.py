"""How the registry's database is spoken to: its URL, engines, transactions, and its errors in plain words.

Transactions mean the same on SQLite and PostgreSQL: writers take turns, and readers see one consistent state.

SQLite
    The plain rollback journal, not WAL: WAL needs side files that even a reader must be able to write, so a read-only
    archive could not be opened. ``synchronous = EXTRA`` syncs the directory too once the journal is deleted: without,
    a commit may come undone when power fails just after it.
PostgreSQL
    Writers take one advisory lock, so that what a transaction read is still true when it commits, as under SQLite's
    lock. Each of their statements sees all that was committed before: under a stricter isolation the state would be
    that of before the wait for the lock. Readers do not wait: theirs is a snapshot (``REPEATABLE READ``).
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from tomoe_explore.errors import ArchiveError

#: How long a transaction waits for another one's lock, s.
BUSY_TIMEOUT_S = 60.0

#: How long a server that was there is waited for, s: a restart takes a few.
RESTART_TIMEOUT_S = 30.0

#: After so long in silence PostgreSQL ends a transaction: its machine is gone, and its lock with it, s.
SILENCE_TIMEOUT_S = 300.0

#: The writers' lock (PostgreSQL); any number that is nobody else's.
_LOCK = 0x746F6D6F65

_STARTING = ("starting up", "shutting down", "in recovery mode")


def normal_url(url: str) -> str:
    """One form of a URL: ``postgres://`` and ``postgresql://`` mean psycopg 3, an SQLite file's path is absolute.

    Examples
    --------
    >>> normal_url("postgresql://reader@db/tomoe")
    'postgresql+psycopg://reader@db/tomoe'
    >>> normal_url("sqlite+pysqlite:////data/registry.sqlite")
    'sqlite:////data/registry.sqlite'
    """
    url = re.sub(r"^postgres(ql)?://", "postgresql+psycopg://", url)
    url = re.sub(r"^sqlite\+pysqlite:", "sqlite:", url)
    # else each process would look for it in its own working directory
    relative = re.match(r"^sqlite:///(?!/|:memory:|file:)([^?]+)", url)
    return f"sqlite:///{os.path.abspath(relative[1])}{url[relative.end() :]}" if relative else url


def shown(url: str) -> str:
    """The URL without its password.

    Examples
    --------
    >>> shown("postgresql+psycopg://tomoe:secret@db/tomoe")
    'postgresql+psycopg://tomoe:***@db/tomoe'
    """
    try:
        parsed = sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError):
        return re.sub(r"//.*@", "//***@", url)
    if "password" in parsed.query:
        parsed = parsed.update_query_dict({"password": "***"})
    return parsed.render_as_string(hide_password=True)


def make_engine(url: str) -> sa.Engine:
    """An engine; no connection is made yet.

    Raises
    ------
    ArchiveError
        If the URL is none, or its driver is not installed.
    """
    try:
        if url.startswith("sqlite"):
            engine = sa.create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_S})
            sa.event.listen(engine, "connect", _set_up_sqlite)
            sa.event.listen(engine, "begin", _begin_sqlite)
            return engine
        engine = sa.create_engine(url, pool_pre_ping=True)
    except (sa.exc.ArgumentError, ImportError, ValueError) as error:
        reason = str(error).replace(url, shown(url))
        advice = "; pip install 'tomoe-explore[postgres]'" if "psycopg" in reason else ""
        raise ArchiveError(
            f"registry {shown(url)!r} is no SQLAlchemy URL that can be opened: {reason}{advice}"
        ) from None
    if engine.dialect.name != "postgresql":
        raise ArchiveError(f"registry {shown(url)!r}: expected SQLite or PostgreSQL, got {engine.dialect.name}")
    sa.event.listen(engine, "connect", _set_up_postgresql)
    sa.event.listen(engine, "begin", _begin_postgresql)
    return engine


def _set_up_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # transactions begin where _begin_sqlite says, not where sqlite3 guesses
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = EXTRA")
    connection.execute(
        "PRAGMA cache_size = -32768"
    )  # kB; with the default of 2 MB a night's products take twice as long


def _begin_sqlite(connection: sa.Connection) -> None:
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _set_up_postgresql(connection: Any, _record: Any) -> None:
    connection.execute(f"SET lock_timeout = '{BUSY_TIMEOUT_S:.0f}s'")
    connection.execute(f"SET idle_in_transaction_session_timeout = '{SILENCE_TIMEOUT_S:.0f}s'")
    connection.commit()


def _begin_postgresql(connection: sa.Connection) -> None:
    if connection.get_execution_options().get("writes", False):
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")


@contextmanager
def transaction(engine: sa.Engine, *, writes: bool, wait: bool = False) -> Iterator[sa.Connection]:
    """A transaction: one writer at a time, or a reader's consistent state.

    Parameters
    ----------
    engine : Engine
    writes : bool
        Whether it may write.
    wait : bool
        Whether a server that does not answer is waited for, `RESTART_TIMEOUT_S` at most.
    """
    with _connect(engine, wait) as connection:
        if engine.dialect.name == "postgresql":
            level = "READ COMMITTED" if writes else "REPEATABLE READ"
            connection = connection.execution_options(isolation_level=level, postgresql_readonly=not writes)
        connection = connection.execution_options(writes=writes)
        with connection.begin():
            yield connection


def _connect(engine: sa.Engine, wait: bool) -> sa.Connection:
    """A connection that works; nothing has begun yet, so to try again is safe."""
    until = time.monotonic() + RESTART_TIMEOUT_S
    while True:
        try:
            return engine.connect()
        except sa.exc.OperationalError as error:
            starting = any(words in str(error.orig) for words in _STARTING)
            postgresql = engine.dialect.name == "postgresql"
            if not (postgresql and (wait or starting)) or time.monotonic() > until:
                raise
            time.sleep(0.2)


@contextmanager
def clear_errors(url: str) -> Iterator[None]:
    """Turn what the database says into an `ArchiveError` that says what to do.

    What breaks a rule of the tables (`sqlalchemy.exc.IntegrityError`) is the caller's to understand.
    """
    try:
        yield
    except sa.exc.IntegrityError:
        raise
    except sa.exc.DBAPIError as error:
        reason = " ".join(str(error.orig).split())
        raise ArchiveError(f"registry {shown(url)}: {reason}{_advice(reason, error)}") from error


#: What to do, by words of the database's message; the first that fits.
_ADVICE = (
    (r"readonly|read-only|permission denied", "the archive can be read but not written here"),
    (r"locked|lock timeout", f"another process held it for more than {BUSY_TIMEOUT_S:.0f} s"),
    (r"unable to open", "does the archive exist, may this user write in it, and is space left on its disk?"),
    (r"no such (table|column)|(relation|column) .* does not exist", "its tables are missing or old: run `tomoe init`"),
    (r"malformed|not a database|corrupt", "the file is damaged: move it away and `tomoe restore` a backup"),
    (r"disk is full|No space left", "no space is left there; nothing was written"),
)  # fmt: skip


def _advice(reason: str, error: sa.exc.DBAPIError) -> str:
    if error.connection_invalidated:
        return "; the connection was lost, this transaction is done whole or not at all: try again"
    return next((f"; {advice}" for words, advice in _ADVICE if re.search(words, reason)), "")
