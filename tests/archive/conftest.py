"""Archives for the tests of the archive and its catalog."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.databases import Databases
from tomoe_explore.archive import Archive


@pytest.fixture(autouse=True)
def _registries(databases: Databases) -> None:
    """All registries are where `databases` says."""


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    """An empty archive."""
    return Archive.create(tmp_path / "archive")
