"""Which film is next? The newest exposure, so that a backlog does not delay tonight; its calibrations before it."""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain

from tomoe_explore.operations.watch.arrivals import Arrival

_RANK = {"dark": 0, "flat": 1, "object": 2}


@dataclass(frozen=True)
class _Later:
    """A film to be tried again; ``elsewhere`` if another process has it."""

    when: float
    arrival: Arrival
    elsewhere: bool


class Backlog:
    """Films that wait.

    Night by night, the newest first: its darks, its flats, then its films of the sky from the newest on. A flat waits
    for a dark of its night and detector that is under way or to be tried again, a film of the sky for both.
    """

    def __init__(self) -> None:
        self._ready: list[Arrival] = []
        self._later: list[_Later] = []
        self._parked: dict[int, list[Arrival]] = {}

    def __len__(self) -> int:
        return len(self._ready) + len(self._later)

    @property
    def exposures(self) -> set[int]:
        """Exposures with films that wait here; another process's film may join its exposure later."""
        later = (later.arrival for later in self._later if not later.elsewhere)
        return {arrival.exposure.exposure_id for arrival in chain(self._ready, later)}

    @property
    def parked(self) -> set[int]:
        """Detectors with films that lack masters."""
        return set(self._parked)

    def add(self, arrival: Arrival) -> None:
        """A film to be worked on."""
        insort(self._ready, arrival, key=_order)

    def add_later(self, arrival: Arrival, when: float, *, elsewhere: bool = False) -> None:
        """A film to be tried again, not before ``when`` (s, the clock of `take`); perhaps another process has it."""
        self._later.append(_Later(when, arrival, elsewhere))

    def park(self, arrival: Arrival) -> None:
        """Keep a film that lacks masters until `master_made` of its detector; it does not count as waiting."""
        self._parked.setdefault(arrival.exposure.detector_id, []).append(arrival)

    def master_made(self, detector_id: int) -> None:
        """Try the films again that had no masters."""
        for arrival in self._parked.pop(detector_id, []):
            self.add(arrival)

    def take(self, now: float, under_way: Iterable[Arrival], *, after_night: str = "") -> Arrival | None:
        """The film to work on next, which waits no more; None if there is none.

        Parameters
        ----------
        now : float
            s, of a clock that only goes forward.
        under_way : iterable of Arrival
            Films that are being worked on.
        after_night : str
            Only films of later nights: this one's calibrations may not all be known yet.
        """
        due = [later.arrival for later in self._later if later.when <= now]
        self._later = [later for later in self._later if later.when > now]
        for arrival in due:
            self.add(arrival)
        to_come = chain(under_way, (later.arrival for later in self._later))
        held = {_place(arrival) for arrival in to_come if arrival.exposure.kind != "object"}
        for index in range(len(self._ready) - 1, -1, -1):
            arrival = self._ready[index]
            if after_night and arrival.exposure.night <= after_night:
                return None
            if arrival.exposure.kind == "dark" or _place(arrival) not in held:
                return self._ready.pop(index)
        return None


def _place(arrival: Arrival) -> tuple[str, int]:
    return (arrival.exposure.night, arrival.exposure.detector_id)


def _order(arrival: Arrival) -> tuple[str, int, int, int]:
    """Sorts the film that is next to the end."""
    e = arrival.exposure
    return (e.night, -_RANK[e.kind], e.exposure_id, -e.detector_id)
