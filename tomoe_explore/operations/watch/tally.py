"""How many films, how many failures of which kind, how fast, and whether that is fast enough."""

from __future__ import annotations

import time
from collections import Counter, deque
from statistics import mean, median
from typing import Any

from tomoe_explore.data import Exposure
from tomoe_explore.operations.run import Outcome

_RECENT = 200  # films from which speed is taken
_WINDOW_S = 600.0


class Tally:
    """Counts since it was made.

    Examples
    --------
    >>> tally = Tally()
    >>> for number, kind in enumerate(["cloud", "cloud", "truncated"]):
    ...     tally.add(Outcome(f"{number}.fits", "failed", error_kind=kind))
    >>> tally.text()
    '0 films done, 3 failed (2 cloud, 1 truncated)'
    """

    def __init__(self) -> None:
        self.started = time.time()
        self.done: Counter[str] = Counter()  #: by kind of film
        self.failed: Counter[str] = Counter()  #: by kind of error
        self.skipped = 0
        self.held = 0  #: skipped since another process has them
        self.gone = 0  #: deleted before they were reduced
        self.last_film = ""
        self.last_success = 0.0
        self._ends: deque[float] = deque(maxlen=_RECENT)
        self._seconds: deque[float] = deque(maxlen=_RECENT)
        self._lengths: deque[tuple[int, float]] = deque(maxlen=_RECENT)

    def add(self, outcome: Outcome, exposure: Exposure | None = None) -> None:
        """Count what came of a film."""
        if outcome.status == "skipped":
            self.held += outcome.is_held
            self.skipped += not outcome.is_held
            return
        self.last_film = outcome.film
        if outcome.status == "failed":
            self.failed[outcome.error_kind] += 1
        else:
            self.done[outcome.kind] += 1
            self.last_success = time.time()
        self._ends.append(time.monotonic())
        if exposure is not None and exposure.kind == "object":
            self._seconds.append(outcome.seconds)
            self._lengths.append((exposure.detector_id, exposure.n_frames * exposure.frame_interval_s))

    @property
    def n(self) -> int:
        """Films done or failed."""
        return self.done.total() + self.failed.total()

    def text(self) -> str:
        """For people."""
        n = self.done.total()
        parts = [f"{n} film{'s' * (n != 1)} done"]
        if self.failed:
            kinds = ", ".join(f"{count} {kind}" for kind, count in self.failed.most_common())
            parts.append(f"{self.failed.total()} failed ({kinds})")
        words = ((self.skipped, "skipped"), (self.held, "held by another process"), (self.gone, "gone"))
        return ", ".join([*parts, *(f"{n} {word}" for n, word in words if n)])

    def counts(self) -> dict[str, Any]:
        """Plain values, as JSON can hold them."""
        return {
            "done": dict(self.done), "failed": dict(self.failed), "skipped": self.skipped, "held": self.held,
            "gone": self.gone,
        }  # fmt: skip

    def speed(self, workers: int) -> dict[str, float | None]:
        """Films a second over ten minutes, seconds a film of the sky, and the same against real time.

        ``realtime_factor`` is what the workers can do over what the detectors seen make: films last as long as their
        frames. Above 1 they keep up. None while no film of the sky was reduced.
        """
        ends = [end for end in self._ends if end > time.monotonic() - _WINDOW_S]
        rate = len(ends) / max(time.monotonic() - ends[0], 1.0) if ends else 0.0
        if not self._seconds:
            return {"films_per_s": round(rate, 3), "seconds_per_film": None, "realtime_factor": None}
        seconds = mean(self._seconds)
        detectors = len({detector for detector, _ in self._lengths})
        made = detectors / median(length for _, length in self._lengths)
        factor = workers / max(seconds, 1e-3) / made
        return {
            "films_per_s": round(rate, 3), "seconds_per_film": round(seconds, 3), "realtime_factor": round(factor, 2),
        }  # fmt: skip
