"""The detached process of a job: it waits for its turn, reduces, and ends."""

from __future__ import annotations

import os
import resource
import signal
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from tomoe_explore import raw
from tomoe_explore.archive import Archive, jobs, open_archive
from tomoe_explore.archive.owner import this_process
from tomoe_explore.archive.reserve import now
from tomoe_explore.errors import PASSING, ArchiveError, NotFoundError, TomoeError
from tomoe_explore.operations.executors import Workers
from tomoe_explore.operations.job_limits import JobLimits
from tomoe_explore.operations.job_outcomes import is_through, read_outcomes
from tomoe_explore.operations.job_reporter import PULSE_S, QUIET_S, Reporter, Stopped, say
from tomoe_explore.operations.run import Outcome, failure

Result = TypeVar("Result")

STUBBORN_S = 600.0  #: how long an archive that does not answer is tried


class JobProcess:
    """One job in this process."""

    def __init__(self, archive: Archive, job_id: int) -> None:
        self._archive, self._registry, self._job_id = archive, archive.registry, job_id
        self._me = this_process()
        self._reporter = Reporter(archive, job_id)
        self._limits = JobLimits()

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
                    self._leave(state, why)
                return
            self._give_way(why)

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
            self._limits = JobLimits.of(self._archive)  # anew, since somebody may have changed them
        except TomoeError as error:
            return f"waits for limits that can be read: {error}"
        return self._limits.short_of_disk(self._archive.root) or self._limits.slots

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
        record = _insist(lambda: jobs.record(self._registry, self._job_id))
        options = record.options
        paths = options["paths"]
        found = raw.find_films([path for path in paths if os.path.exists(path)], without=self._archive.root)
        known = _insist(lambda: self._known(found))
        left = [path for path in found if str(path) not in known]
        gone = [path for path in paths if not os.path.exists(path) and path not in known]
        self._reporter.count(len(known) + len(left) + len(gone), known)
        say(f"{len(known)} films need no work, {len(left)} do; {record.workers} worker{'s' * (record.workers > 1)}")
        self._reporter.step("headers")
        for path in gone:
            self._reporter.film(failure(Outcome(path, "failed"), NotFoundError("no such file or directory any more")))
        if not left:
            return
        # not before the turn has come: a job that waits stays small
        from tomoe_explore.operations.reduce import reduce
        from tomoe_explore.reduction.recipe import Parameters

        _limit_memory(self._limits.memory_gb)
        with _Workers(record.workers) as workers:

            def run() -> None:
                self._reporter.check()
                reduce(left, self._archive, options["refcat"], executor=workers, force=options["force"],
                       parameters=Parameters.of(options["parameters"]), mpcorb=options.get("mpcorb"),
                       progress=self._reporter)  # fmt: skip

            _insist(run)

    def _known(self, found: list[Path]) -> dict[str, Outcome]:
        """What came of films before that are not to be worked on, by their paths.

        They are done, as far as the archive still has them (it may be a backup's), or have failed in an earlier turn of
        this process: only who resumes a job has them tried again.
        """
        done = {path: o for path, o in read_outcomes(self._archive, self._job_id).items() if is_through(o)}
        there = {}
        for path in filter(done.__contains__, map(str, found)):
            with suppress(OSError):
                there[path] = os.stat(path)
        settled = self._archive.settled([(path, stat.st_size, stat.st_mtime_ns) for path, stat in there.items()])
        settled |= self._still_known({path: outcome for path, outcome in done.items() if path not in there})
        failed = {path: o for path, o in self._reporter.failed().items() if o.error_kind not in PASSING}
        return {**failed, **{path: done[path] for path in settled}}

    def _still_known(self, gone: Mapping[str, Outcome]) -> set[str]:
        """Those of films whose files are gone that the archive has."""
        exposures = sorted({o.exposure_id for o in gone.values() if o.exposure_id is not None})
        if not exposures:
            return set()
        runs = self._archive.table("reductions", exposure_id=exposures, all_versions=True)
        masters = self._archive.table("masters", exposure_id=exposures)
        ids = {*runs["reduction_id"].to_pylist(), *masters["master_id"].to_pylist()}
        return {path for path, o in gone.items() if o.reduction_id in ids or o.master_id in ids}

    def _give_way(self, why: str) -> None:
        last = {**self._reporter.values(), "message": why}
        _insist(lambda: jobs.give_way(self._registry, self._job_id, self._me, **last))
        self._reporter.go_on()

    def _leave(self, state: str, why: str) -> None:
        last = {**self._reporter.values(), "state": state, "message": why, "heartbeat": now(), "finished": now()}
        _insist(lambda: jobs.change(self._registry, self._job_id, owner=self._me, **last))


class _Workers(Workers):
    """Also one worker is a process of its own: one that dies costs its film, not the job."""

    def __exit__(self, *error: object) -> None:
        self.shutdown(wait=True, cancel_futures=True)


def _limit_memory(gb: float) -> None:
    """Of this process, and of the workers that it will start."""
    most = resource.getrlimit(resource.RLIMIT_DATA)[1]
    wanted = int(gb * 1e9)
    resource.setrlimit(resource.RLIMIT_DATA, (wanted if most == resource.RLIM_INFINITY else min(wanted, most), most))


def _insist(action: Callable[[], Result]) -> Result:
    """Try until the archive answers."""
    troubled = None
    while True:
        began = time.monotonic()
        try:
            return action()
        except ArchiveError as error:
            if error.kind != ArchiveError.kind:  # it has answered
                raise
            say(f"tries again: {error.kind}: {error}")
            failed = time.monotonic()
            if troubled is None or failed - began > STUBBORN_S:  # after long work it is another trouble
                troubled = failed
            if failed - troubled > STUBBORN_S:
                raise
            time.sleep(PULSE_S)


def main(root: str, job_id: int) -> None:
    """Be the process of a job until it has ended."""
    archive = _insist(lambda: open_archive(root))
    _insist(lambda: jobs.adopt(archive.registry, job_id))
    JobProcess(archive, job_id).live()
