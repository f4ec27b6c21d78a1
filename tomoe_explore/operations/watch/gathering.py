"""Which exposures are complete? Staged films wait here for the others of their exposure, to be published together."""

from __future__ import annotations

from collections.abc import Collection

from tomoe_explore.operations.run import Worked
from tomoe_explore.operations.watch.arrivals import Arrival


class Gathering:
    """Staged films by exposure.

    How many films an exposure has nobody says. It is taken for complete once none of its films waits or is worked on,
    and either a newer exposure has come or it has been quiet for a while. What comes later is added to it.

    Parameters
    ----------
    quiet_s : float
        How long, s.
    """

    def __init__(self, quiet_s: float) -> None:
        self._quiet_s = quiet_s
        self._films: dict[int, dict[Arrival, Worked]] = {}
        self._touched: dict[int, float] = {}
        self._newest = ("", 0)

    def __len__(self) -> int:
        return sum(map(len, self._films.values()))

    def arrived(self, arrival: Arrival, now: float) -> None:
        """A film has come (s, of a clock that only goes forward)."""
        exposure = arrival.exposure
        if exposure.kind == "object":
            self._newest = max(self._newest, (exposure.night, exposure.exposure_id))
            self._touched[exposure.exposure_id] = now

    def add(self, arrival: Arrival, film: Worked, now: float) -> None:
        """A film has been staged."""
        self._films.setdefault(arrival.exposure.exposure_id, {})[arrival] = film
        self._touched[arrival.exposure.exposure_id] = now

    def take(self, now: float, busy: Collection[int], *, at_once: bool = False) -> dict[Arrival, Worked] | None:
        """The films of a complete exposure, which are here no more; None if there is none.

        Parameters
        ----------
        now : float
        busy : collection of int
            Exposures with films that wait or are worked on here.
        at_once : bool
            Whether nothing else will come.
        """
        for exposure_id, films in self._films.items():
            exposure = next(iter(films)).exposure
            newer = (exposure.night, exposure_id) < self._newest
            quiet = now - self._touched[exposure_id] >= self._quiet_s
            if exposure_id not in busy and (at_once or newer or quiet):
                self._touched.pop(exposure_id)
                return self._films.pop(exposure_id)
        return None

    def take_rest(self) -> list[Worked]:
        """All films that are left."""
        left = [film for films in self._films.values() for film in films.values()]
        self._films.clear()
        return left
