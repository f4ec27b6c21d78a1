"""Backup of the registry to one file, and back: also from SQLite to PostgreSQL and the other way.

A backup is a zip archive of ``registry.sqlite``, which SQLite and `tomoe` can open as it is, and ``backup.json``: when
and from what it was made, its revision, the rows of each table, and the checksum of the first. The archive's files are
not in it: they never change once they are registered, so that any copy of them will do (``rsync``). `tomoe consolidate`
removes files an hour after it has merged them: make a backup after it.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import sqlalchemy as sa

from tomoe_explore import raw
from tomoe_explore.archive import registry as tables
from tomoe_explore.archive.database import shown
from tomoe_explore.archive.migration import FORMER_TABLES, REVISION
from tomoe_explore.archive.registry import Registry
from tomoe_explore.archive.reserve import now
from tomoe_explore.archive.staging import clear_errors, sync
from tomoe_explore.errors import ArchiveError

#: Rows that are on their way at a time.
CHUNK_ROWS = 5_000

#: What a backup is restored to: all but whose registry it is.
_RECORDS = [table for table in tables.metadata.sorted_tables if table is not tables.archive]

_DATABASE, _ABOUT = "registry.sqlite", "backup.json"


@dataclass(frozen=True)
class Backup:
    """What a backup holds.

    Attributes
    ----------
    path : Path
        Its file.
    made : str
        When; ISO 8601, UTC.
    source : str
        URL of the registry, without password.
    revision : str
        Of its tables.
    checksum : str
        Of the database within.
    rows : dict
        Number of rows by table.
    """

    path: Path
    made: str
    source: str
    revision: str
    checksum: str
    rows: Mapping[str, int]

    def __repr__(self) -> str:
        rows = ", ".join(f"{n:,} {name}" for name, n in self.rows.items() if n) or "no rows"
        return f"backup {self.path} of {self.made}: {rows}"


def backup(registry: Registry, path: str | os.PathLike[str]) -> Backup:
    """Write a backup; see `Archive.backup`."""
    target = Path(os.path.abspath(path))
    if target.exists():
        raise ArchiveError(f"backup {target} is there already: choose another name")
    if not target.parent.is_dir():
        raise ArchiveError(f"backup {target} cannot be written: there is no directory {target.parent}")
    revision = registry.revision()
    if revision is None:
        raise ArchiveError(f"{registry!r} has no tables: nothing to back up")
    with clear_errors(target.parent), TemporaryDirectory(prefix=".tomoe-backup-", dir=target.parent) as scratch:
        database = Path(scratch, _DATABASE)
        _copy_sqlite(registry, database) if registry.file else _copy_rows(registry, database)
        rows = _count(database)
        made = Backup(target, now(), shown(registry.url), revision, raw.checksum(database), rows)
        packed = Path(scratch, "backup")
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
            file.writestr(_ABOUT, json.dumps({k: v for k, v in asdict(made).items() if k != "path"}, indent=1))
            file.write(database, _DATABASE)
        sync(packed)
        os.replace(packed, target)
        sync(target.parent)
    return made


def check_backup(path: str | os.PathLike[str]) -> Backup:
    """What a backup holds; its database is read and its checksum compared.

    Raises
    ------
    ArchiveError
        If it is damaged, or no backup.
    """
    with _unpacked(Path(os.path.abspath(path))) as (about, _):
        return about


def _copy_sqlite(registry: Registry, target: Path) -> None:
    """SQLite's own copy of its pages. Writers wait for it; in steps between theirs, it would begin anew each time."""
    with registry.reading(any_revision=True) as connection, closing(sqlite3.connect(target)) as copy:
        source: Any = connection.connection.dbapi_connection
        source.backup(copy)


def _copy_rows(registry: Registry, target: Path) -> None:
    """All rows as one transaction sees them, into a new SQLite file with the same columns and indices."""
    found = sa.MetaData()
    known = {*tables.metadata.tables, *FORMER_TABLES, "alembic_version"}
    with registry.reading(any_revision=True) as connection, _sqlite(target).begin() as copy:
        sa.event.listen(found, "column_reflect", lambda _inspector, _table, column: _make_generic(column))
        found.reflect(connection, only=lambda name, _: name in known)
        found.create_all(copy)
        for table in found.sorted_tables:
            _pour(connection, copy, table)


def _make_generic(column: Any) -> None:
    column["type"], column["default"] = column["type"].as_generic(), None


def _sqlite(path: Path) -> sa.Engine:
    return sa.create_engine(f"sqlite:///{path}", poolclass=sa.NullPool)


def _pour(source: sa.Connection, target: sa.Connection, table: sa.Table) -> None:
    """All rows of a table from one database to another, a chunk at a time."""
    rows = source.execute(sa.select(table), execution_options={"yield_per": CHUNK_ROWS})
    for chunk in rows.mappings().partitions():
        target.execute(sa.insert(table), [dict(row) for row in chunk])


def _count(database: Path) -> dict[str, int]:
    with _sqlite(database).connect() as connection:
        there = sa.inspect(connection).get_table_names()
        names = [table.name for table in _RECORDS if table.name in there]
        return {name: int(connection.exec_driver_sql(f"SELECT count(*) FROM {name}").scalar() or 0) for name in names}


def restore(registry: Registry, root: Path, path: str | os.PathLike[str], *, force: bool = False) -> Backup:
    """Put a backup's rows in place of the registry's; see `Archive.restore`."""
    with _unpacked(Path(os.path.abspath(path))) as (about, database):
        source = Registry(f"sqlite:///{database}")
        if about.revision != REVISION:
            source.migrate()
        registry.create()
        with source.reading() as saved, registry.writing() as connection:
            if not force:
                _refuse_loss(about, saved, connection, registry)
                _refuse_gone(about, saved, root)
            for table in reversed(_RECORDS):
                connection.execute(sa.delete(table))
            for table in _RECORDS:
                _pour(saved, connection, table)
        source.engine.dispose()
    return about


@contextmanager
def _unpacked(path: Path) -> Iterator[tuple[Backup, Path]]:
    """What a backup says of itself, and its database, checked and unpacked."""
    if not path.is_file():
        raise ArchiveError(f"no backup at {path}")
    with TemporaryDirectory(prefix="tomoe-restore-") as scratch:
        try:
            with zipfile.ZipFile(path) as file:
                about = Backup(path, **json.loads(file.read(_ABOUT)))
                database = Path(scratch, _DATABASE)
                with file.open(_DATABASE) as source, open(database, "wb") as target:
                    shutil.copyfileobj(source, target, 1 << 20)
        except (zipfile.BadZipFile, zipfile.zlib.error, KeyError, TypeError, ValueError) as error:  # type: ignore[attr-defined]
            raise ArchiveError(f"backup {path} is damaged, or none: {error}") from None
        found = raw.checksum(database)
        if found != about.checksum:
            raise ArchiveError(f"backup {path} is damaged: its database has the checksum {found}, not {about.checksum}")
        yield about, database


def _refuse_gone(about: Backup, saved: sa.Connection, root: Path) -> None:
    """Refuse where the backup names files that are gone: merged since into others, which it does not know."""
    p = tables.parts.c
    paths = saved.execute(sa.select(p.path).where(p.replaced.is_(None)).order_by(p.path)).scalars()
    gone = [path for path in paths if not (root / path).is_file()]
    if gone and any((root / "tables").rglob("*.parquet")):  # else the archive's files are still to be copied
        raise ArchiveError(
            f"the backup of {about.made} names {len(gone):,} files of tables that are gone, such as {gone[0]}: they "
            "were consolidated or reduced again since, which a newer backup knows; to restore all the same use --force"
        )


def _refuse_loss(about: Backup, saved: sa.Connection, connection: sa.Connection, registry: Registry) -> None:
    """Refuse where the registry has records that the backup has not."""
    lost = {}
    for table in _RECORDS:
        (key,) = table.primary_key.columns
        known = sa.select(sa.func.count()).where(key.in_(sa.bindparam("keys", expanding=True)))
        held = n_known = 0
        keys = connection.execute(sa.select(key), execution_options={"yield_per": CHUNK_ROWS}).scalars()
        for chunk in keys.partitions():
            held += len(chunk)
            n_known += int(saved.execute(known, {"keys": list(chunk)}).scalar() or 0)
        if held > n_known:
            lost[table.name] = held - n_known
    if lost:
        what = ", ".join(f"{n:,} {name}" for name, n in lost.items())
        raise ArchiveError(
            f"registry {shown(registry.url)} holds {what} that the backup of {about.made} has not: they would be lost; "
            "to restore all the same use --force (force=True)"
        )
