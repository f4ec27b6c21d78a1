"""Archives for the tests of the archive and its catalog."""

from __future__ import annotations

from pathlib import Path

import pytest

from tomoe_explore.archive import Archive


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test writes where the environment points to."""
    monkeypatch.delenv("TOMOE_ARCHIVE", raising=False)
    monkeypatch.delenv("TOMOE_DATABASE", raising=False)


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    """An empty archive."""
    return Archive.create(tmp_path / "archive")
