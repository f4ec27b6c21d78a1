"""How a job tells the registry how far it is, and learns that it shall stop: once a second, in a thread."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter, deque
from collections.abc import Mapping
from contextlib import suppress
from itertools import islice
from types import TracebackType
from typing import Any

from tomoe_explore.archive import Archive, jobs
from tomoe_explore.archive.owner import this_process
from tomoe_explore.archive.reserve import now
from tomoe_explore.operations.job_limits import JobLimits
from tomoe_explore.operations.job_outcomes import append_outcome, is_through
from tomoe_explore.operations.run import Outcome

PULSE_S = 1.0  #: between two looks at the registry
QUIET_S = 15.0  #: a heartbeat, and the rate, are written so often where nothing else is
RATE_S = 120.0  #: over the last of which the rate is taken, or over the last film if that took longer
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
        self._end: Stopped | None = None
        self._pause: Stopped | None = None
        self._lock = threading.Lock()
        self.count(0, {})

    def count(self, total: int, known: Mapping[str, Outcome]) -> None:
        """Begin anew with so many films, some of which are not to be worked on: what came of them, by their paths."""
        with self._lock:
            self._total, self._step, self._film = total, "", ""
            self._outcomes = dict(known)
            self._staged: set[str] = set()
            self._began = time.monotonic()
            self._worked = deque([self._began])
            self._sent: dict[str, Any] = {}
            self._sent_at = 0.0

    @property
    def stop(self) -> Stopped | None:
        """Why the run ends after the films under way; None if it goes on."""
        return self._end or self._pause

    def ask_stop(self, stopped: Stopped) -> None:
        """Let the run end after the films under way, for good or until the job's next turn."""
        if stopped.state == "queued":
            self._pause = self._pause or stopped
        else:
            self._end = self._end or stopped

    def go_on(self) -> None:
        """Forget a stop until the next turn; who asked for the end is not forgotten."""
        self._pause = None

    def failed(self) -> dict[str, Outcome]:
        """What came of the films that are not done, and will not be done, by their paths."""
        with self._lock:
            return {film: outcome for film, outcome in self._outcomes.items() if not is_through(outcome)}

    # --- what the run tells -----------------------------------------------------------------------
    def begin(self, total: int) -> None:
        """See `Watcher`."""
        self.check()

    def step(self, name: str) -> None:
        """See `Watcher`."""
        self._step = name
        self.check()

    def staged(self, outcome: Outcome) -> None:
        """See `Watcher`."""
        with self._lock:
            self._staged.add(outcome.film)
            self._film = outcome.film
            self._work_ended()
        say(f"reduced {outcome.film} ({outcome.seconds:.1f} s); its exposure is published later")
        self.check()

    def film(self, outcome: Outcome) -> None:
        """See `Watcher`."""
        with self._lock:
            self._note(outcome)
        self.check()

    def _note(self, outcome: Outcome) -> None:
        before = self._outcomes.get(outcome.film)
        if before is not None and is_through(before):  # the run was begun again: this says no more than that
            return
        self._outcomes[outcome.film] = outcome
        self._film = outcome.film
        if outcome.film in self._staged:
            self._staged.remove(outcome.film)
        elif outcome.status != "skipped":
            self._work_ended()
        try:
            append_outcome(self._archive, self._job_id, outcome)
        except OSError as error:  # most likely the disk is full; the film itself is in the archive
            self.ask_stop(Stopped("queued", f"waits, since its notes cannot be written: {error.strerror or error}"))
        why = f": {outcome.error_kind}: {outcome.message}" if outcome.error_kind else ""
        say(f"{outcome.status} {outcome.film} ({outcome.seconds:.1f} s){why}\n{outcome.traceback}".rstrip())

    def _work_ended(self) -> None:
        self._worked.append(time.monotonic())
        while len(self._worked) > 2 and self._worked[1] < self._worked[-1] - RATE_S:
            self._worked.popleft()

    def check(self) -> None:
        """End the run here if it shall end: raises `Stopped`."""
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
        with self._lock:
            self._staged.clear()  # what is not published by now never will be

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
        if {**values, "rate": self._sent.get("rate")} == self._sent and time.monotonic() - self._sent_at < QUIET_S:
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
        with self._lock:
            failed = [outcome for outcome in self._outcomes.values() if not is_through(outcome)]
            counts = Counter(outcome.status for outcome in self._outcomes.values() if is_through(outcome))
            rate = (len(self._worked) - 1) / max(time.monotonic() - self._worked[0], 1e-3)
            failures = [(outcome.film, outcome.error_kind, outcome.message) for outcome in islice(failed, _LISTED)]
            return {"total": self._total, "done": counts["done"] + len(self._staged), "failed": len(failed),
                    "skipped": counts["skipped"], "failures": json.dumps(failures), "rate": round(rate, 3),
                    "step": self._step, "film": self._film}  # fmt: skip


def say(text: str) -> None:
    """A line of the log; one that cannot be written stops nothing."""
    with suppress(OSError):
        print(f"{now()} {text}", flush=True)
