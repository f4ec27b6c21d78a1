"""The detached process of a job: it waits for its turn, reduces, and ends."""

from __future__ import annotations

import resource
import signal
import time
import traceback
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from tomoe_explore import raw
from tomoe_explore.archive import Archive, jobs, open_archive
from tomoe_explore.archive.owner import this_process
from tomoe_explore.archive.reserve import now
from tomoe_explore.errors import TomoeError
from tomoe_explore.operations.executors import Workers
from tomoe_explore.operations.job_limits import JobLimits
from tomoe_explore.operations.job_outcomes import read_outcomes
from tomoe_explore.operations.job_reporter import PULSE_S, QUIET_S, Reporter, Stopped, say
from tomoe_explore.operations.run import Outcome

STUBBORN_S = 600.0  #: how long the last word is tried to be said to a registry that does not answer


class JobProcess:
    """One job in this process."""

    def __init__(self, archive: Archive, job_id: int) -> None:
        self._archive, self._registry, self._job_id = archive, archive.registry, job_id
        self._me = this_process()
        self._reporter = Reporter(archive, job_id)

    def live(self) -> None:
        """Wait for the turn and work, again where the job had to give way, until it has ended."""
        signal.signal(
            signal.SIGTERM, lambda *_: self._reporter.ask_stop(Stopped("cancelled", "ended from outside (SIGTERM)"))
        )
        while self._wait_for_turn():
            state, why = self._work()
            say(f"{state}: {why}" if why else state)
            if state != "queued":
                if state:
                    self._leave(state, why, finished=now())
                return
            self._leave(state, why, queued=now())
            if jobs.record(self._registry, self._job_id).cancel:  # asked while it was giving way
                jobs.ask_cancel(self._registry, self._job_id)
            self._reporter.stop = None

    def _wait_for_turn(self) -> bool:
        """Whether the job may run now; False if it is in the queue no longer."""
        told, told_at = "", 0.0
        while True:
            try:
                if self._reporter.stop is not None:
                    jobs.ask_cancel(self._registry, self._job_id)
                turn = jobs.take_turn(self._registry, self._job_id, self._slots)
                if turn in (jobs.STARTED, jobs.GONE):
                    return turn == jobs.STARTED
                if turn != told or time.monotonic() - told_at > QUIET_S:
                    jobs.change(self._registry, self._job_id, owner=self._me, message=turn, heartbeat=now())
                    say(turn)
                    told, told_at = turn, time.monotonic()
            except TomoeError as error:
                say(f"{error.kind}: {error}")
            time.sleep(PULSE_S)

    def _slots(self) -> int | str:
        """Processes that all jobs may use now, or why none may."""
        try:
            limits = JobLimits.of(self._archive)  # anew, since somebody may have changed them
        except TomoeError as error:
            return f"waits for limits that can be read: {error}"
        return limits.short_of_disk(self._archive.root) or limits.slots

    def _work(self) -> tuple[str, str]:
        """Reduce what is left; the state that the job is in afterwards, and why."""
        try:
            with self._reporter:
                self._reduce()
        except Stopped as stopped:
            return stopped.state, stopped.why
        except TomoeError as error:
            return "failed", f"{error.kind}: {error}"
        except Exception as error:
            traceback.print_exc()
            return "failed", f"unexpected: {type(error).__name__}: {error}"
        return "done", ""

    def _reduce(self) -> None:
        record = jobs.record(self._registry, self._job_id)
        options = record.options
        found = raw.find_films(options["paths"])
        known = self._known(found)
        left = [path for path in found if str(path) not in known]
        self._reporter.count(len(found), known.values())
        self._reporter.step("headers")
        say(f"{len(found)} films, {len(left)} of them left to do; {record.workers} worker{'s' * (record.workers > 1)}")
        if not left:
            return
        # not before the turn has come: a job that waits stays small
        from tomoe_explore.operations.reduce import reduce
        from tomoe_explore.reduction.recipe import Parameters

        _limit_memory(JobLimits.of(self._archive).memory_gb)
        given: dict[str, Any] = dict(options["parameters"])
        if given:
            given["mover_rates"] = tuple(given["mover_rates"])  # JSON knows no tuple
        with _Workers(record.workers, self._reporter) as workers:
            reduce(left, self._archive, options["refcat"], executor=workers, force=options["force"],
                   parameters=Parameters(**given), progress=self._reporter)  # fmt: skip

    def _known(self, found: list[Path]) -> dict[str, Outcome]:
        """Outcomes of the films that this job has done, as far as the archive still has them: it may be a backup's."""
        before = {path: outcome for path, outcome in read_outcomes(self._archive, self._job_id).items()
                  if outcome.status == "done" or (outcome.status == "skipped" and not outcome.error_kind)}  # fmt: skip
        files = [(str(path), path.stat()) for path in found if str(path) in before]
        settled = self._archive.settled([(path, stat.st_size, stat.st_mtime_ns) for path, stat in files])
        return {path: before[path] for path in settled}

    def _leave(self, state: str, why: str, **when: str) -> None:
        last = {**self._reporter.values(), "state": state, "message": why, "heartbeat": now(), **when}
        _insist(lambda: jobs.change(self._registry, self._job_id, owner=self._me, **last))


class _Workers(Workers):
    """Also one worker is a process of its own: one that dies costs its film, not the job.

    The reporter hears of each film from here, too: when a run is stopped nobody else follows the films under way.
    """

    def __init__(self, n: int, reporter: Reporter) -> None:
        super().__init__(n)
        self._reporter = reporter

    def submit(self, work: Callable[..., Any], /, *items: Any, **named: Any) -> Future[Any]:
        """See `Workers`."""
        future = super().submit(work, *items, **named)
        future.add_done_callback(self._tell)
        return future

    def _tell(self, future: Future[Any]) -> None:
        if not future.cancelled() and future.exception() is None:
            for film in future.result():
                if film.staged is None:
                    self._reporter.note(film.outcome)

    def __exit__(self, *error: object) -> None:
        self.shutdown(wait=True, cancel_futures=True)


def _limit_memory(gb: float) -> None:
    """Of this process, and of the workers that it will start."""
    most = resource.getrlimit(resource.RLIMIT_DATA)[1]
    wanted = int(gb * 1e9)
    resource.setrlimit(resource.RLIMIT_DATA, (wanted if most == resource.RLIM_INFINITY else min(wanted, most), most))


def _insist(action: Callable[[], object]) -> None:
    """Try until the registry answers."""
    deadline = time.monotonic() + STUBBORN_S
    while True:
        try:
            action()
            return
        except TomoeError as error:
            say(f"{error.kind}: {error}")
            if time.monotonic() > deadline:
                raise
            time.sleep(PULSE_S)


def main(root: str, job_id: int) -> None:
    """Be the process of a job until it has ended."""
    archive = open_archive(root)
    jobs.adopt(archive.registry, job_id)
    JobProcess(archive, job_id).live()
