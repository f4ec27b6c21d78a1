"""Who watches a run: a bar in the terminal or the cell, or whatever else has the methods of a `Watcher`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from tomoe_explore.operations.run import Outcome


class Watcher(Protocol):
    """What a run tells while it works; an error raised here ends the run after the films under way.

    What is reduced by then is published, and told of, before the error is raised anew.
    """

    def begin(self, total: int) -> None:
        """So many films are there to work on."""

    def step(self, name: str) -> None:
        """It comes to the darks, the flats, or the films of the sky."""

    def staged(self, outcome: Outcome) -> None:
        """A film of the sky is reduced; it ends, which `film` tells, once its exposure is published."""

    def film(self, outcome: Outcome) -> None:
        """A film has ended."""


@contextmanager
def watching(progress: bool | Watcher, total: int) -> Iterator[Watcher]:
    """The watcher that was given, or one that draws a bar (True) or nothing (False)."""
    if not isinstance(progress, bool):
        progress.begin(total)
        yield progress
        return
    from tqdm.auto import tqdm

    with tqdm(total=total, desc="reduce", unit="film", disable=not progress) as bar:
        yield _Bar(bar)


class _Bar:
    def __init__(self, bar: Any) -> None:
        self._bar = bar
        self._failed = 0
        self._staged: set[str] = set()

    def begin(self, total: int) -> None:
        self._bar.reset(total)

    def step(self, name: str) -> None:
        pass

    def staged(self, outcome: Outcome) -> None:
        self._staged.add(outcome.film)
        self._bar.update()

    def film(self, outcome: Outcome) -> None:
        """See `Watcher`."""
        if outcome.film not in self._staged:  # an exposure's films end all at once; the work on them did not
            self._bar.update()
        self._failed += outcome.status == "failed"
        if self._failed:
            self._bar.set_postfix(failed=self._failed)
