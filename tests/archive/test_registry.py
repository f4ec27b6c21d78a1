"""The registry means the same on SQLite and PostgreSQL, and says what is wrong without telling passwords."""

from __future__ import annotations

import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from tests.archive.reductions import files, make_exposure, make_film, make_reduction, reduce_film
from tests.databases import Databases
from tests.postgres import Server
from tomoe_explore.archive import Archive, database, open_archive, registry, sky
from tomoe_explore.archive.registry import Registry
from tomoe_explore.errors import ArchiveError

_COUNT_UP = """
import sys
import sqlalchemy as sa
from tomoe_explore.archive.registry import Registry, refcats
registry = Registry(sys.argv[1])
for _ in range(20):
    with registry.writing() as connection:
        n = connection.execute(sa.select(refcats.c.n_stars)).scalar()
        connection.execute(sa.update(refcats).values(n_stars=n + 1))
"""

_REFCAT = {"checksum": "xxh3:1", "name": "gaia", "path": "gaia.parquet", "n_stars": 0, "registered": "2020-08-14"}


@pytest.mark.both_databases
def test_writers_take_turns(archive: Archive, repository: Path) -> None:
    with archive.registry.writing() as connection:
        connection.execute(sa.insert(registry.refcats), _REFCAT)
    command = [sys.executable, "-c", _COUNT_UP, archive.registry.url]
    started = [subprocess.Popen(command, cwd=repository) for _ in range(3)]
    assert [process.wait(120) for process in started] == [0, 0, 0]
    assert archive.registry.rows(sa.select(registry.refcats))[0]["n_stars"] == 60


@pytest.mark.both_databases
def test_an_error_undoes_what_was_written(archive: Archive) -> None:
    with suppress(ZeroDivisionError), archive.registry.writing() as connection:
        connection.execute(sa.insert(registry.refcats), _REFCAT)
        raise ZeroDivisionError
    assert archive.registry.rows(sa.select(registry.refcats)) == []


@pytest.mark.both_databases
def test_not_a_number_is_null(archive: Archive) -> None:
    with archive.registry.writing() as connection:
        connection.execute(sa.insert(registry.refcats), _REFCAT | {"epoch": float("nan"), "n_stars": 2**40})
    (row,) = archive.registry.rows(sa.select(registry.refcats))
    assert row["epoch"] is None
    assert row["n_stars"] == 2**40
    exposure = dict.fromkeys(("object", "project", "observer", "quality"), "")
    exposure |= {"exposure_id": 1, "night": "2020-08-14", "n_frames": 1, "frame_interval": 0.5, "flags": 0}
    with pytest.raises(sa.exc.IntegrityError), archive.registry.writing() as connection:
        connection.execute(sa.insert(registry.exposures), exposure | {"mjd_start": float("nan")})


@pytest.mark.both_databases
def test_a_url_crosses_a_pickle_and_is_shown_without_password(archive: Archive) -> None:
    again = pickle.loads(pickle.dumps(archive.registry))
    assert again.url == archive.registry.url
    assert again.rows(sa.select(registry.films)) == []
    assert "open-sesame" not in repr(again)


@pytest.mark.parametrize(
    "url",
    ["postgresql://tomoe:hidden@nowhere.invalid/tomoe", "postgresql+nodriver://tomoe:hidden@db/tomoe",
     "postgresql:://tomoe:hidden@db/tomoe", "postgresql+psycopg://tomoe:hidden@db:port/tomoe",
     "mysql://tomoe:hidden@db/tomoe", "postgresql://db/tomoe?password=hidden&connect_timeout=1"],
)  # fmt: skip
def test_no_error_tells_a_password(url: str) -> None:
    with pytest.raises(ArchiveError) as caught:
        Registry(url).rows(sa.select(registry.films))
    assert "hidden" not in str(caught.value) + repr(Registry(url))


# --- PostgreSQL -----------------------------------------------------------------------------------
@pytest.fixture
def on_server(postgres: Server, databases: Databases, tmp_path: Path) -> Iterator[Archive]:
    """An archive whose registry is on the server; the server runs again afterwards."""
    made = Databases(postgres)
    with made.apart(), pytest.MonkeyPatch.context() as patch:
        patch.setenv("TOMOE_DATABASE", made.new() or "")
        yield Archive.create(tmp_path / "archive")
    made.drop()


def test_a_wrong_password_is_refused(on_server: Archive) -> None:
    with pytest.raises(ArchiveError, match="password authentication failed") as caught:
        Registry(on_server.registry.url.replace("open-sesame", "guessed")).revision()
    assert "guessed" not in str(caught.value)


def test_a_reader_sees_one_state_while_others_commit(on_server: Archive) -> None:
    count = sa.select(sa.func.count()).select_from(registry.refcats)
    with on_server.registry.reading() as connection:
        before = connection.execute(count).scalar()
        with on_server.registry.writing() as writer:
            writer.execute(sa.insert(registry.refcats), _REFCAT)
        assert connection.execute(count).scalar() == before
    assert len(on_server.registry.rows(sa.select(registry.refcats))) == 1


def test_a_reader_cannot_write(on_server: Archive) -> None:
    with pytest.raises(ArchiveError, match="can be read but not written"), on_server.registry.reading() as connection:
        connection.execute(sa.insert(registry.refcats), _REFCAT)


def test_a_role_that_may_only_read(on_server: Archive, postgres: Server) -> None:
    name = sa.make_url(on_server.registry.url).database or ""
    postgres.execute("CREATE ROLE reader LOGIN PASSWORD 'open-sesame'")
    try:
        postgres.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader", on_server.registry.url)
        reader = Registry(postgres.url(name, "reader"))
        assert reader.rows(sa.select(registry.films)) == []
        with pytest.raises(ArchiveError, match="can be read but not written"), reader.writing() as connection:
            connection.execute(sa.insert(registry.refcats), _REFCAT)
    finally:
        postgres.execute("DROP OWNED BY reader", on_server.registry.url)
        postgres.execute("DROP ROLE reader")


def test_a_writer_that_waits_too_long_says_why(on_server: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 1.0)
    other = Registry(on_server.registry.url)
    with (
        on_server.registry.writing(),
        pytest.raises(ArchiveError, match=r"lock timeout.*another process held it"),
        other.writing(),
    ):
        pass


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_server_that_restarts_in_a_transaction(on_server: Archive, postgres: Server, mode: str) -> None:
    def write_on() -> None:
        with on_server.registry.writing() as connection:
            connection.execute(sa.insert(registry.refcats), _REFCAT)
            postgres.stop(mode)
            postgres.start()
            connection.execute(sa.insert(registry.refcats), _REFCAT | {"checksum": "xxh3:2"})

    with pytest.raises(ArchiveError, match="the connection was lost, this transaction is done whole or not at all"):
        write_on()
    assert on_server.registry.rows(sa.select(registry.refcats)) == []
    with on_server.registry.writing() as connection:
        connection.execute(sa.insert(registry.refcats), _REFCAT)
    assert len(on_server.registry.rows(sa.select(registry.refcats))) == 1


def test_a_server_that_restarts_between_reservation_and_commit(
    on_server: Archive, postgres: Server, tmp_path: Path
) -> None:
    exposure = make_exposure()
    film = make_film(tmp_path, exposure)
    reservation = on_server.begin(exposure, film)
    assert reservation is not None
    made = make_reduction(reservation)
    postgres.stop("immediate")
    later = threading.Timer(1.5, postgres.start)
    later.start()
    on_server.commit(*made)  # waits for the server that it knew
    later.join()
    assert on_server.table("photometry").num_rows == 36


def test_a_server_that_dies_in_a_commit_leaves_nothing_half_there(
    on_server: Archive, postgres: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exposure = make_exposure()
    film = make_film(tmp_path, exposure)
    reservation = on_server.begin(exposure, film)
    assert reservation is not None
    from tomoe_explore.archive import publish

    real = publish._mine

    def restart(connection: sa.Connection, staged: object) -> object:
        if connection.in_transaction() and (archive_holds := files(on_server)):
            assert archive_holds  # all is in place, and being registered
            postgres.stop("immediate")
            postgres.start()
        return real(connection, staged)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(publish, "_mine", restart)
        with pytest.raises(ArchiveError, match="the connection was lost"):
            on_server.commit(*make_reduction(reservation))
    assert on_server.table("photometry").num_rows == 0
    assert on_server.table("reductions")["status"].to_pylist() == ["running"]
    del reservation
    assert reduce_film(on_server, film, exposure) == 357754112001
    assert on_server.table("photometry").num_rows == 36
    assert len(files(on_server)) == 4


def test_a_server_that_is_not_there_is_named_at_once(on_server: Archive) -> None:
    url = on_server.registry.url.replace("host=", "port=1&host=")
    with pytest.raises(ArchiveError, match=r"registry postgresql\+psycopg://tomoe:\*\*\*@.*connection"):
        Registry(url).revision()


# --- SQLite ---------------------------------------------------------------------------------------
@pytest.mark.sqlite_only
def test_sqlite_syncs_the_directory_after_a_commit(archive: Archive) -> None:
    with archive.registry.writing() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 3  # EXTRA
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "delete"


@pytest.mark.sqlite_only
def test_a_damaged_file_says_what_to_do(archive: Archive) -> None:
    archive.layout.registry.write_bytes(b"no database at all" * 100)
    with pytest.raises(ArchiveError, match=r"not a database; the file is damaged: .*tomoe restore"):
        open_archive(archive.root).table("reductions")


@pytest.mark.sqlite_only
@pytest.mark.parametrize("form", ["sqlite:///{}", "sqlite+pysqlite:///{}"])
def test_a_path_means_the_same_in_every_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    monkeypatch.chdir(tmp_path)
    relative, absolute = Registry(form.format("x.sqlite")), Registry(form.format(tmp_path / "x.sqlite"))
    assert relative.url == absolute.url == f"sqlite:///{tmp_path}/x.sqlite"
    assert Registry(form.format("x.sqlite?timeout=5")).url == f"sqlite:///{tmp_path}/x.sqlite?timeout=5"
    for gone in (relative, absolute):
        with pytest.raises(ArchiveError, match=f"registry {tmp_path}/x.sqlite is gone"):
            gone.revision()
    assert not list(tmp_path.glob("x.sqlite"))


@pytest.mark.sqlite_only
def test_a_file_that_goes_and_comes_under_an_open_registry(archive: Archive, tmp_path: Path) -> None:
    assert reduce_film(archive, make_film(tmp_path, make_exposure()), make_exposure())
    saved = archive.backup(tmp_path / "registry.zip")
    film = make_film(tmp_path, make_exposure(357755))
    archive.layout.registry.unlink()
    for ask in (lambda: archive.table("photometry"), lambda: archive.begin(make_exposure(357755), film)):
        with pytest.raises(ArchiveError, match=r"registry.sqlite is gone"):
            ask()
    Archive(archive.root).restore(saved.path)  # in another process
    assert reduce_film(archive, film, make_exposure(357755))
    assert archive.table("photometry").num_rows == 72


# --- search ---------------------------------------------------------------------------------------
@pytest.mark.both_databases
def test_cones_find_what_a_look_at_every_product_finds(archive: Archive) -> None:
    rng = np.random.default_rng(5)
    near_zero = np.stack([rng.uniform(-3, 3, 150) % 360.0, rng.uniform(-3, 3, 150)], axis=1)
    near_pole = np.stack([rng.uniform(0, 360, 150), rng.uniform(86, 89.99, 150)], axis=1)
    centers = np.concatenate([near_zero, near_pole])
    products = put_stacks(archive, centers)
    positions = [(0.0, 0.0), (359.9, 1.0), (0.1, -1.0), (10.0, 89.9), (200.0, 87.0), (90.0, 90.0)]
    for ra, dec in positions:
        for radius in (0.01, 0.5, 2.5):
            found = set(archive.search((ra, dec), radius=f"{radius} deg", product="stack")["product_id"])
            expected = {
                name
                for name, outline in products.items()
                if sky.footprint_distances_deg(ra, dec, [outline])[0] <= radius
            }
            assert found == expected, (ra, dec, radius)
            assert radius < 2 or expected


def put_stacks(archive: Archive, centers: np.ndarray) -> dict[str, str]:
    """Registered stacks without files, at some centres; their outlines by product id."""
    cells = sky.cells(centers[:, 0], centers[:, 1], registry.CELL_ORDER)
    exposure = dict.fromkeys(("object", "project", "observer", "quality"), "") | {
        "night": "2020-08-14",
        "flags": 0,
        "generation": 0,
    }
    exposure |= {"exposure_id": 1, "mjd_start": 59075.5, "n_frames": 18, "frame_interval": 0.5}
    film = {"film_checksum": "xxh3:1", "size": 1, "mtime_ns": 1, "kind": "object", "exposure_id": 1, "detector_id": 112}
    reduction = dict.fromkeys(("started", "owner_host", "owner_started", "checksum", "path"), "")
    reduction |= {
        "exposure_id": 1,
        "detector_id": 112,
        "night": "2020-08-14",
        "film_checksum": "xxh3:1",
        "owner_pid": 1,
    }
    reduction |= {"status": "done", "bytes": 1, "mjd": 59075.5}
    outlines, rows = {}, []
    for n, (ra, dec) in enumerate(centers.tolist()):
        dy = 0.186
        dx = 0.33 / np.cos(np.radians(dec - np.sign(dec) * 0.2)) if dec < 89 else 0.1
        corners = ([(ra + s * dx) % 360 for s in (1, -1, -1, 1)], [min(dec + s * dy, 90.0) for s in (-1, -1, 1, 1)])
        outlines[f"stack-{n}"] = sky.footprint(*corners)
        place = {"ra": ra, "dec": dec, "cell": int(cells[n]), "footprint": outlines[f"stack-{n}"]}
        rows.append(reduction | place | {"reduction_id": n})
    with archive.registry.writing() as connection:
        connection.execute(sa.insert(registry.exposures), exposure)
        connection.execute(sa.insert(registry.films), film | {"night": "2020-08-14"})
        connection.execute(sa.insert(registry.reductions), rows)
    return outlines


@pytest.mark.sqlite_only
@pytest.mark.parametrize(
    ("asked", "index"),
    [({"position": (310.0, -12.0)}, "ix_reductions_place"), ({"night": "2020-08-14"}, "ix_reductions_night")],
)
def test_searches_use_their_index(archive: Archive, asked: dict[str, object], index: str) -> None:
    plans = []

    def explain(connection: sa.Connection, _cursor: object, statement: str, parameters: object, *_: object) -> None:
        if statement.startswith("SELECT reductions"):
            raw = connection.connection.cursor()
            plans.extend(row[3] for row in raw.execute(f"EXPLAIN QUERY PLAN {statement}", parameters))

    sa.event.listen(archive.registry.engine, "before_cursor_execute", explain)
    archive.search(**asked)
    assert any(f"USING INDEX {index}" in plan for plan in plans), plans
