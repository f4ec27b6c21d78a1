"""An archive and its registry know each other: neither is begun anew over the other, nor taken for another one's."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.archive.reductions import files, make_exposure, make_film, reduce_film
from tests.databases import Databases
from tomoe_explore.archive import Archive, open_archive, registry
from tomoe_explore.archive.marker import id_of
from tomoe_explore.errors import ArchiveError

pytestmark = pytest.mark.both_databases


def ids(archive: Archive) -> tuple[str | None, list[str]]:
    """What ``archive.json`` and the registry say."""
    found = archive.registry.rows(sa.select(registry.archive))
    return id_of(archive.layout.marker), [row["archive_id"] for row in found]


def test_both_say_the_same_from_the_beginning(archive: Archive, new_archive: Callable[[Path], Archive]) -> None:
    this, there = ids(archive)
    assert this
    assert there == [this]
    other, _ = ids(new_archive(archive.root.parent / "other"))
    assert other != this
    Archive.create(archive.root)
    assert ids(archive) == (this, [this])


def test_init_does_not_begin_anew_over_what_lies_there(archive: Archive, databases: Databases, tmp_path: Path) -> None:
    reduce_film(archive, make_film(tmp_path, make_exposure()), make_exposure())
    saved, before = archive.backup(tmp_path / "registry.zip"), files(archive)
    if archive.registry.file:
        archive.layout.registry.unlink()
    with databases.apart():
        for _ in range(2):
            with pytest.raises(ArchiveError, match="knows nothing: `tomoe restore` puts a backup's records there"):
                Archive.create(archive.root)
        if archive.registry.file:
            assert not archive.layout.registry.exists()
        again = open_archive(archive.root)
        again.restore(saved.path)
        Archive.create(archive.root)
        assert again.table("photometry").num_rows == 36
        assert ids(again) == (id_of(archive.layout.marker), [id_of(archive.layout.marker)])
    assert files(archive) == before


def test_two_archives_do_not_share_a_registry(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, new_archive: Callable[[Path], Archive]
) -> None:
    film = make_film(tmp_path, make_exposure())
    reduce_film(archive, film, make_exposure())
    other = new_archive(tmp_path / "other")
    monkeypatch.setenv("TOMOE_DATABASE", archive.registry.url)
    with pytest.raises(ArchiveError, match=r"is of another archive: its id is .*Set \$TOMOE_DATABASE to a database of"):
        Archive.create(tmp_path / "third")
    assert not (tmp_path / "third" / "archive.json").exists()
    wrong = open_archive(other.root)
    refused = [
        lambda: wrong.search(product="stack"), lambda: wrong.begin(make_exposure(), film),
        lambda: Archive.create(other.root),
        lambda: pickle.loads(pickle.dumps(wrong)).table("frames"), lambda: wrong.restore(tmp_path / "registry.zip"),
    ]  # fmt: skip
    archive.backup(tmp_path / "registry.zip")
    for ask in refused:
        with pytest.raises(ArchiveError, match="is of another archive"):
            ask()
    assert archive.table("photometry").num_rows == 36


def test_an_archive_without_id_is_given_one_by_init(archive: Archive, tmp_path: Path) -> None:
    reduce_film(archive, make_film(tmp_path, make_exposure()), make_exposure())
    said = json.loads(archive.layout.marker.read_text())
    archive.layout.marker.write_text(json.dumps({name: said[name] for name in ("layout", "made")}))
    with archive.registry.writing() as connection:
        for name in ("archive", "known_objects"):
            connection.exec_driver_sql(f"DROP TABLE {name}")
        for name in ("path", "checksum", "bytes"):
            connection.exec_driver_sql(f"ALTER TABLE reductions DROP COLUMN collection_{name}")
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0004'")
    old = open_archive(archive.root)
    with pytest.raises(ArchiveError, match="tomoe init"):
        old.table("photometry")
    Archive.create(archive.root)
    assert old.table("photometry").num_rows == 36
    this, there = ids(open_archive(archive.root))
    assert this
    assert there == [this]
    assert json.loads(archive.layout.marker.read_text()) == said | {"id": this}
    for opened in (old, open_archive(archive.root)):
        assert reduce_film(opened, make_film(tmp_path, make_exposure(357755)), make_exposure(357755), force=True)


def test_an_init_that_was_killed_is_completed(archive: Archive) -> None:
    this, _ = ids(archive)
    with archive.registry.writing() as connection:  # killed before the transaction was over
        connection.execute(sa.delete(registry.archive))
    Archive.create(archive.root)
    assert ids(archive) == (this, [this])
