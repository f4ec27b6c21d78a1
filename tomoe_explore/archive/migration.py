"""Which revision a registry is of, and how an older one comes to the newest.

A revision is a number; ``migrations/versions`` has one file each, in Alembic's form. A change of the tables in
``registry.py`` needs a new file there and `REVISION` raised; a test compares the two. There is no way down: a backup
is made before a registry is migrated.
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

#: The revision that this code reads and writes.
REVISION = "0007"

#: Older ones cannot be read: they do not know collections of movers.
OLDEST_READ = "0006"

#: The first that says which archive it is of.
WITH_ID = "0005"

#: The first that says which known objects movers are.
WITH_KNOWN = "0007"

#: Registries from before there were revisions are of this one.
FIRST = "0001"

#: Tables that older revisions have and this one has not.
FORMER_TABLES = ("products", "stacks")

_MIGRATIONS = Path(__file__).parent / "migrations"

#: Alembic's own table, apart from the registry's.
_version = sa.Table("alembic_version", sa.MetaData(), sa.Column("version_num", sa.String(32), primary_key=True))
STAMPED = sa.select(_version.c.version_num)


def revision_of(connection: sa.Connection) -> str | None:
    """The revision of a registry; None where there are no tables."""
    names = sa.inspect(connection).get_table_names()
    if _version.name in names and (found := connection.execute(STAMPED).scalar()):
        return str(found)
    return FIRST if "reductions" in names else None


def stamp(connection: sa.Connection) -> None:
    """Note that the tables are of the newest revision."""
    _version.create(connection, checkfirst=True)
    connection.execute(sa.delete(_version))
    connection.execute(sa.insert(_version).values(version_num=REVISION))


def upgrade(connection: sa.Connection, *, to: str = "head") -> None:
    """Bring the tables to a revision, within the transaction that is open: all of it or nothing."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    if revision_of(connection) == FIRST:
        command.stamp(config, FIRST)
    command.upgrade(config, to)
