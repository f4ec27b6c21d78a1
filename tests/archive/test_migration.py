"""Revisions: new archives are of the newest, older ones are migrated whole or not at all, later ones are refused."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from tests.archive.reductions import make_exposure, make_film, reduce_film
from tomoe_explore.archive import Archive, migration, open_archive, registry
from tomoe_explore.archive.migration import REVISION
from tomoe_explore.archive.registry import Registry
from tomoe_explore.errors import ArchiveError

pytestmark = pytest.mark.both_databases

OLD = Path(__file__).parent / "registry_before_revisions.sql"


@pytest.fixture
def old(archive: Archive, tmp_path: Path) -> Archive:
    """An archive with two films, one of them reduced twice, as it was before there were revisions."""
    for exposure_id, force in ((357754, False), (357755, False), (357755, True)):
        exposure = make_exposure(exposure_id)
        reduce_film(archive, make_film(tmp_path, exposure), exposure, force=force)
    rows = _in_old_words(contents(archive))
    for part in rows["products"]:
        if part["kind"] != "stack":
            part["product_id"] = f"{part['kind']}-{part['reduction_id']}"
            path = f"tables/{part['kind']}/2020-08-14/{part['exposure_id']:08d}/{part['product_id']}.parquet"
            (archive.root / path).parent.mkdir(exist_ok=True)
            part["path"] = str((archive.root / part["path"]).rename(archive.root / path).relative_to(archive.root))
    with archive.registry.writing() as connection:
        _drop(connection)
        for statement in OLD.read_text().split(";\n"):
            if statement.strip():
                connection.exec_driver_sql(statement)
        before = sa.MetaData()
        before.reflect(connection)
        for table in before.sorted_tables:
            if rows.get(table.name):
                names = set(table.c.keys())
                chosen = [{k: v for k, v in row.items() if k in names} for row in rows[table.name]]
                connection.execute(sa.insert(table), chosen)
    return open_archive(archive.root)


def _drop(connection: sa.Connection) -> None:
    for table in reversed(registry.metadata.sorted_tables):
        connection.exec_driver_sql(f"DROP TABLE {table.name}")
    connection.exec_driver_sql("DROP TABLE alembic_version")


def _in_old_words(rows: dict[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    """What the old tables said of the same: a record for each product, and what stacks and code are beside them."""
    products, stacks = [], []
    settings = {row["checksum"]: row for row in rows["settings"]}
    for run in rows["reductions"]:
        stack = {**run, "kind": "stack", "product_id": f"stack-{run['reduction_id']}", "n_rows": None}
        products.append(stack)
        stacks.append(stack)
        of_run = [
            p for p in rows["parts"] if (p["exposure_id"], p["generation"]) == (run["exposure_id"], run["generation"])
        ]
        products += [{**run, **part} for part in of_run]
        run |= {name: value for name, value in settings[run["settings"]].items() if name != "checksum"}
    return {**rows, "products": products, "stacks": stacks}


def contents(archive: Archive) -> dict[str, list[dict[str, Any]]]:
    found = sa.MetaData()
    with archive.registry.reading(any_revision=True) as connection:
        found.reflect(connection)
        return {t.name: [dict(row) for row in connection.execute(sa.select(t)).mappings()] for t in found.sorted_tables}


def differences(connection: sa.Connection) -> list[Any]:
    return list(compare_metadata(MigrationContext.configure(connection), registry.metadata))


def test_migrations_and_tables_agree(archive: Archive) -> None:
    with archive.registry.writing() as connection:
        assert differences(connection) == []
        _drop(connection)
        migration.upgrade(connection)
        assert differences(connection) == []
        assert migration.revision_of(connection) == REVISION


def test_the_newest_revision_is_the_one_that_the_code_names() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migration.__file__).parent / "migrations"))
    assert ScriptDirectory.from_config(config).get_heads() == [REVISION]


def test_an_old_archive_is_left_alone_until_it_is_migrated(old: Archive, tmp_path: Path) -> None:
    assert old.registry.revision() == migration.FIRST
    with pytest.raises(ArchiveError, match=rf"revision 0001, older than .* \({REVISION}\) reads: `tomoe init` makes"):
        old.table("photometry")
    exposure = make_exposure(357760)
    with pytest.raises(ArchiveError, match=rf"revision 0001, older than .* \({REVISION}\)"):
        old.begin(exposure, make_film(tmp_path, exposure))


def test_init_migrates_an_old_archive_after_a_backup(old: Archive, new_archive: Any, tmp_path: Path) -> None:
    Archive.create(old.root)
    assert old.registry.revision() == REVISION
    assert old.table("photometry").num_rows == 72
    everything = old.table("photometry", all_versions=True)
    assert sorted(set(everything["reduction_id"].to_pylist())) == [357754112001, 357755112001, 357755112002]
    assert everything.num_rows == 108
    assert old.table("reductions")["parameters"][0].as_py() == '{"aperture_px": 4.0}'
    assert len(old.search("310 -12", radius="1 arcmin", product="stack")) == 2
    assert old.read_stack(357755112001).shape == old.read_stack(357755112002).shape
    exposure = make_exposure(357755)
    assert reduce_film(old, make_film(tmp_path, exposure), exposure, force=True) == 357755112003
    assert old.table("photometry").num_rows == 72
    with old.registry.reading() as connection:
        assert differences(connection) == []
    exposure = make_exposure(357760)
    assert reduce_film(old, make_film(tmp_path, exposure), exposure)
    (saved,) = old.layout.backups.iterdir()
    old.restore(saved, force=True)  # as it was, but migrated
    assert len(old.search(product="stack")) == 2
    Archive.create(old.root)
    assert list(old.layout.backups.iterdir()) == [saved]  # there was nothing left to migrate


_KILLED = """
import os, signal, sys
from alembic import op
from tomoe_explore.archive import Archive
real = op.drop_index
def die(*arguments):
    real(*arguments)
    os.kill(os.getpid(), signal.SIGKILL)
op.drop_index = die
Archive.create(sys.argv[1])
"""


def test_a_migration_that_is_killed_leaves_the_archive_as_it_was(old: Archive, repository: Path) -> None:
    before = contents(old)
    killed = subprocess.run([sys.executable, "-c", _KILLED, str(old.root)], cwd=repository, check=False)
    assert killed.returncode == -signal.SIGKILL
    again = open_archive(old.root)
    assert again.registry.revision() == migration.FIRST
    assert contents(again) == before
    Archive.create(old.root)
    assert again.registry.revision() == REVISION
    assert again.table("photometry").num_rows == 72


def test_a_later_revision_is_refused(archive: Archive, tmp_path: Path) -> None:
    with archive.registry.writing() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    exposure = make_exposure()
    film = make_film(tmp_path, exposure)
    refusals = [lambda a: a.table("reductions"), lambda a: a.begin(exposure, film), lambda a: Archive.create(a.root)]
    for refused in refusals:
        with pytest.raises(ArchiveError, match=f"is of revision 9999, this version knows {REVISION}: update"):
            refused(open_archive(archive.root))
    with pytest.raises(ArchiveError, match="is of revision 9999"), archive.registry.writing():
        pass  # a process that knew it before it was migrated notices, too


def test_a_database_without_tables_is_named(archive: Archive) -> None:
    with archive.registry.writing() as connection:
        for table in reversed(registry.metadata.sorted_tables):
            connection.exec_driver_sql(f"DROP TABLE {table.name}")
        connection.exec_driver_sql("DROP TABLE alembic_version")
    with pytest.raises(ArchiveError, match="has no tables: run `tomoe init`"):
        open_archive(archive.root).table("reductions")
    with pytest.raises(ArchiveError, match="run `tomoe init`"), archive.registry.writing():
        pass


def test_two_inits_at_once(archive: Archive, repository: Path) -> None:
    with archive.registry.writing() as connection:
        for table in reversed(registry.metadata.sorted_tables):
            connection.exec_driver_sql(f"DROP TABLE {table.name}")
        connection.exec_driver_sql("DROP TABLE alembic_version")
    code = f"from tomoe_explore.archive.registry import Registry; Registry({archive.registry.url!r}).create()"
    started = [subprocess.Popen([sys.executable, "-c", code], cwd=repository, env=os.environ) for _ in range(2)]
    assert [process.wait(60) for process in started] == [0, 0]
    assert Registry(archive.registry.url).revision() == REVISION
