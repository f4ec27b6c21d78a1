"""The harness, and what came of all cases, at the end."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.harness import Harness
from tests.faults.night import make_night
from tests.telling import tell

_made: list[Harness] = []


@pytest.fixture(scope="session")
def harness(small_night: Path, tmp_path_factory: pytest.TempPathFactory) -> Harness:
    home = tmp_path_factory.mktemp("faults")
    _made.append(Harness(home, make_night(small_night, home / "night")))
    return _made[-1]


@pytest.fixture(autouse=True)
def _default_places(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TOMOE_ARCHIVE", "TOMOE_DATABASE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def sample(request: pytest.FixtureRequest) -> int | None:
    """How many cases of a kind are tried; None is all."""
    given = request.config.getoption("--faults")
    return None if given == "all" else int(given)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Tell what came of all cases."""
    for t in (harness.tally for harness in _made):
        found = f"lost {t.lost}, doubled {t.doubled}, changed {t.changed}; exposures half visible {t.half_visible}"
        of = f"faults: {t.cases} archives compared, {t.looks} looks; rows and stacks {found}"
        tell(session.config, [of, *(f"  {example}" for example in t.examples)])
