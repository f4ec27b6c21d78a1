"""The small night reduced once, and what several tests ask of an archive."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.databases import Databases, session_databases
from tomoe_explore.archive import Archive
from tomoe_explore.operations.reduce import reduce
from tomoe_explore.operations.run import Run


@pytest.fixture(autouse=True)
def _registries(databases: Databases) -> None:
    """All registries are where `databases` says."""


@pytest.fixture(scope="session")
def first_run(
    small_night: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> tuple[Archive, Run]:
    """An archive of the small night, made in this process, and what came of it. Not to be written to."""
    with session_databases(request).apart():
        archive = Archive.create(tmp_path_factory.mktemp("reduced") / "archive")
    return archive, reduce(small_night, archive, small_night / "refcat.parquet", progress=False)
