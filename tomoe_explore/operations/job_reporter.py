"""How a job tells the registry how far it is, and learns that it shall stop: once a second, in a thread."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter, deque
from collections.abc import Iterable
from contextlib import suppress
from types import TracebackType
from typing import Any

from tomoe_explore.archive import Archive, jobs
from tomoe_explore.archive.owner import this_process
from tomoe_explore.archive.reserve import now
from tomoe_explore.operations.job_limits import JobLimits
from tomoe_explore.operations.job_outcomes import append_outcome
from tomoe_explore.operations.run import Outcome

PULSE_S = 1.0  #: between two looks at the registry
QUIET_S = 15.0  #: a heartbeat is written so often where nothing else is
RATE_FILMS = 60  #: over the last of which the rate is taken
_LISTED = 20  #: failures kept in the registry; all are in the file of outcomes


class Stopped(Exception):
    """The run ends after the films under way; ``state`` is what the job is then, ``why`` is for people."""

    def __init__(self, state: str, why: str) -> None:
        super().__init__(why)
        self.state, self.why = state, why


class Reporter:
    """The `Watcher` of a job's run. While it is entered, its thread tells the registry what the run told it."""

    def __init__(self, archive: Archive, job_id: int) -> None:
        self._archive, self._job_id = archive, job_id
        self.stop: Stopped | None = None
        self._lock = threading.Lock()
        self.count(0, ())

    def count(self, total: int, known: Iterable[Outcome]) -> None:
        """Begin anew with so many films, some of which need no work any more."""
        self._total, self._step, self._film = total, "", ""
        self._counts = Counter(outcome.status for outcome in known)
        self._noted: set[str] = set()
        self._failures: list[tuple[str, str, str]] = []
        self._began = time.monotonic()
        self._worked = deque([self._began], maxlen=RATE_FILMS + 1)
        self._sent: dict[str, Any] = {}
        self._sent_at = 0.0

    def ask_stop(self, stopped: Stopped) -> None:
        """Let the run end after the films under way."""
        self.stop = self.stop or stopped

    # --- what the run tells -----------------------------------------------------------------------
    def begin(self, total: int) -> None:
        """See `Watcher`."""
        self._check()

    def step(self, name: str) -> None:
        """See `Watcher`."""
        self._step = name
        self._check()

    def film(self, outcome: Outcome) -> None:
        """See `Watcher`."""
        self.note(outcome)
        self._check()

    def note(self, outcome: Outcome) -> None:
        """What came of a film, heard of once or twice, from any thread."""
        with self._lock:
            if outcome.film not in self._noted:
                self._noted.add(outcome.film)
                self._note(outcome)

    def _note(self, outcome: Outcome) -> None:
        try:
            append_outcome(self._archive, self._job_id, outcome)
        except OSError as error:  # most likely the disk is full; the film itself is in the archive
            self.ask_stop(Stopped("queued", f"waits, since its notes cannot be written: {error.strerror or error}"))
        self._counts[outcome.status] += 1
        self._film = outcome.film
        if outcome.status != "skipped":
            self._worked.append(time.monotonic())
        if outcome.status == "failed" and len(self._failures) < _LISTED:
            self._failures.append((outcome.film, outcome.error_kind, outcome.message))
        why = f": {outcome.error_kind}: {outcome.message}" if outcome.status == "failed" else ""
        say(f"{outcome.status} {outcome.film} ({outcome.seconds:.1f} s){why}\n{outcome.traceback}".rstrip())

    def _check(self) -> None:
        if self.stop is not None:
            raise self.stop

    # --- what the registry is told ----------------------------------------------------------------
    def __enter__(self) -> Reporter:
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._pulse, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _pulse(self) -> None:
        trouble = ""
        while not self._ended.wait(PULSE_S):
            try:
                self._tell()
                self._listen()
                trouble = ""
            except Exception as error:  # whatever it is, the work goes on, and the next pulse tries again
                if str(error) != trouble:  # said once, not every second of an outage
                    trouble = str(error)
                    say(f"goes on, though: {type(error).__name__}: {error}")

    def _tell(self) -> None:
        values = self.values()
        if values == self._sent and time.monotonic() - self._sent_at < QUIET_S:
            return
        if not jobs.change(self._archive.registry, self._job_id, owner=this_process(), heartbeat=now(), **values):
            self.ask_stop(Stopped("", "the job belongs to another process now"))
        self._sent, self._sent_at = values, time.monotonic()

    def _listen(self) -> None:
        """Whether there is a reason to stop."""
        registry, run_s = self._archive.registry, time.monotonic() - self._began
        if jobs.record(registry, self._job_id).cancel:
            self.ask_stop(Stopped("cancelled", ""))
        limits = JobLimits.of(self._archive)  # anew, since somebody may have changed them
        if short := limits.short_of_disk(self._archive.root):
            self.ask_stop(Stopped("queued", short))
        elif run_s > 60 * limits.turn_minutes and jobs.is_waited_for(registry, self._job_id):
            self.ask_stop(Stopped("queued", "has given way to another user's job"))

    def values(self) -> dict[str, Any]:
        """What the columns of the job should be."""
        counts = {status: self._counts[status] for status in ("done", "failed", "skipped")}
        return {"total": self._total, **counts, "failures": json.dumps(self._failures), "rate": self._rate(),
                "step": self._step, "film": self._film}  # fmt: skip

    def _rate(self) -> float:
        return round((len(self._worked) - 1) / max(time.monotonic() - self._worked[0], 1e-3), 3)


def say(text: str) -> None:
    """A line of the log; one that cannot be written stops nothing."""
    with suppress(OSError):
        print(f"{now()} {text}", flush=True)
