"""Failures of one kind become one message: how many, the first film, an example."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

#: Failures of one kind within so long make one message, s. While they go on the time doubles, up to the second.
WINDOW_S, LONGEST_S = 60.0, 3600.0


@dataclass
class _Group:
    """Failures of one kind since the last message; the clock of `Alerts.add`, s."""

    window_s: float
    opened: float
    n: int = 0
    first: str = ""
    example: str = ""


class Alerts:
    """Groups failures by kind.

    Parameters
    ----------
    post : callable
        Is given each message.
    window_s : float
        How long failures of one kind are gathered, s.

    Examples
    --------
    >>> alerts = Alerts(print)
    >>> for number in range(3):
    ...     alerts.add("cloud", f"raw/r{number}.fits", "0.8 mag are left", now=10.0 + number)
    >>> alerts.tick(now=30.0)
    >>> alerts.tick(now=80.0)
    3 films failed: cloud. First r0.fits: 0.8 mag are left
    """

    def __init__(self, post: Callable[[str], None], window_s: float = WINDOW_S) -> None:
        self._post, self._window_s = post, window_s
        self._groups: dict[str, _Group] = {}

    def add(self, kind: str, film: str, message: str, now: float) -> None:
        """A film failed."""
        group = self._groups.setdefault(kind, _Group(self._window_s, now))
        if group.n == 0:
            group.first, group.example = Path(film).name, message
        group.n += 1

    def tick(self, now: float) -> None:
        """Post the messages that are due."""
        for kind, group in list(self._groups.items()):
            if now - group.opened < group.window_s:
                continue
            if group.n == 0:  # a window without failures: the next one is news
                del self._groups[kind]
                continue
            self._tell(kind, group)
            self._groups[kind] = _Group(min(2 * group.window_s, LONGEST_S), now)

    def flush(self) -> None:
        """Post all that is known."""
        for kind, group in self._groups.items():
            if group.n:
                self._tell(kind, group)
        self._groups.clear()

    def _tell(self, kind: str, group: _Group) -> None:
        if group.n == 1:
            self._post(f"1 film failed: {kind}. {group.first}: {group.example}")
        else:
            self._post(f"{group.n} films failed: {kind}. First {group.first}: {group.example}")
