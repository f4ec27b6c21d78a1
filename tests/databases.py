"""Which databases a test runs on: SQLite, PostgreSQL or both.

``both_databases`` marks what runs on both. All else in ``tests/archive`` and ``tests/operations`` runs on SQLite, or
with ``pytest --database postgresql`` on PostgreSQL, but for what is marked ``sqlite_only``.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.postgres import Server, binaries
from tomoe_explore.archive import Archive

KINDS = ("sqlite", "postgresql")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--database", choices=KINDS, default=KINDS[0], help="what archives' registries are tested on")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "database_kind" in metafunc.fixturenames:
        both = metafunc.definition.get_closest_marker("both_databases")
        kinds = KINDS if both else [metafunc.config.getoption("--database")]
        metafunc.parametrize("database_kind", kinds, scope="function")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--database") == "postgresql":
        out = [item for item in items if item.get_closest_marker("sqlite_only")]
        config.hook.pytest_deselected(items=out)
        items[:] = [item for item in items if item not in out]


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A running server."""
    if binaries() is None:
        pytest.skip("PostgreSQL is not installed (apt-get install postgresql)")
    with tempfile.TemporaryDirectory(prefix="tomoe-pg-") as home:  # short: a socket's path has at most 107 letters
        server = Server(Path(home))
        yield server
        server.stop("immediate")


class Databases:
    """Databases of one kind for the archives of a test; `new` gives None for SQLite in the archive itself."""

    def __init__(self, server: Server | None, patch: pytest.MonkeyPatch | None = None) -> None:
        self.server, self._patch = server, patch
        self._made: list[str] = []

    def new(self, like: str | None = None) -> str | None:
        """URL of a new database, or of a copy of another."""
        if self.server is None:
            return None
        self._made.append(self.server.new_database(like))
        return self._made[-1]

    @contextmanager
    def apart(self, like: str | None = None) -> Iterator[None]:
        """Archives opened here have a database of their own."""
        with pytest.MonkeyPatch.context() as patch:
            if url := self.new(like):
                patch.setenv("TOMOE_DATABASE", url)
            yield

    def copy(self, archive: Archive, path: Path) -> Archive:
        """A copy of an archive, which the rest of the test is about."""
        shutil.copytree(archive.root, path)
        if archive.registry.file is None and self._patch is not None:
            archive.registry.engine.dispose()  # the server copies no database that somebody looks at
            self._patch.setenv("TOMOE_DATABASE", self.new(archive.registry.url) or "")
        return Archive(path)

    def drop(self) -> None:
        for url in self._made:
            assert self.server is not None
            self.server.drop(url)


def session_databases(request: pytest.FixtureRequest) -> Databases:
    """For archives that live as long as the session, on what ``--database`` says."""
    on_server = request.config.getoption("--database") == "postgresql"
    return Databases(request.getfixturevalue("postgres") if on_server else None)


@pytest.fixture
def databases(
    database_kind: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Databases]:
    """Where the archives of a test have their registries; no test writes where the environment points to."""
    monkeypatch.delenv("TOMOE_ARCHIVE", raising=False)
    monkeypatch.delenv("TOMOE_DATABASE", raising=False)
    made = Databases(request.getfixturevalue("postgres") if database_kind == "postgresql" else None, monkeypatch)
    if url := made.new():
        monkeypatch.setenv("TOMOE_DATABASE", url)
    yield made
    made.drop()


@pytest.fixture
def new_archive(databases: Databases) -> Callable[[Path], Archive]:
    """Makes one more archive, with a registry of its own."""

    def make(path: Path) -> Archive:
        with databases.apart():
            return Archive.create(path)

    return make
