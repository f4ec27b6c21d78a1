"""What suites tell at the end of the output, also when several processes run them (pytest-xdist)."""

from __future__ import annotations

from typing import Any

import pytest

_TOLD = pytest.StashKey[list[str]]()


def tell(config: pytest.Config, lines: list[str]) -> None:
    """Keep lines for the end; to be called from ``pytest_sessionfinish``."""
    worker = getattr(config, "workeroutput", None)
    (config.stash[_TOLD] if worker is None else worker.setdefault("told", [])).extend(lines)


def pytest_configure(config: pytest.Config) -> None:
    """Nothing is told yet."""
    config.stash[_TOLD] = []


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """One of several processes has ended: what it tells goes to the one that prints."""
    node.config.stash[_TOLD].extend(getattr(node, "workeroutput", {}).get("told", []))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Tell it."""
    for line in config.stash[_TOLD]:
        terminalreporter.write_line(line)
