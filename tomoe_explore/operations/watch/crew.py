"""Who works? Some processes with one film each, so that one that dies is known by its film and replaced."""

from __future__ import annotations

import time
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from pathlib import Path

from tomoe_explore.archive import Archive
from tomoe_explore.data import Exposure
from tomoe_explore.errors import WorkerDiedError
from tomoe_explore.operations.executors import Workers
from tomoe_explore.operations.run import Outcome, failure
from tomoe_explore.operations.watch.arrivals import Arrival


@dataclass(frozen=True)
class Work:
    """A film under way."""

    arrival: Arrival
    started: float


class Crew:
    """Processes that reduce films; a context manager that waits for the films under way.

    Parameters
    ----------
    workers : int
        How many.
    archive : Archive
    refcat : Path
        Reference catalog.
    """

    def __init__(self, workers: int, archive: Archive, refcat: Path) -> None:
        self.workers = workers
        self._archive, self._refcat = archive, refcat
        self._pool = Workers(workers)
        self._busy: dict[Future[Outcome], Work] = {}

    @property
    def free(self) -> int:
        """Processes without a film."""
        return self.workers - len(self._busy)

    @property
    def under_way(self) -> list[Work]:
        """Films that are being worked on."""
        return list(self._busy.values())

    def submit(self, arrival: Arrival) -> None:
        """Give a film to a free process."""
        future = self._pool.submit(_reduce, Path(arrival.path), arrival.exposure, self._archive, self._refcat)
        self._busy[future] = Work(arrival, time.monotonic())

    def wait(self, timeout_s: float) -> list[tuple[Arrival, Outcome | None]]:
        """Films that are ended, and what came of them: None if the process died of it."""
        if not self._busy:
            time.sleep(timeout_s)
            return []
        ended: list[tuple[Arrival, Outcome | None]] = []
        for future in wait(self._busy, timeout_s, return_when=FIRST_COMPLETED).done:
            arrival, error = self._busy.pop(future).arrival, future.exception()
            if error is None:
                ended.append((arrival, future.result()))
            else:
                died = isinstance(error, WorkerDiedError)
                ended.append((arrival, None if died else failure(_outcome(arrival), error)))
        return ended

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)


def _reduce(path: Path, exposure: Exposure, archive: Archive, refcat: Path) -> Outcome:
    # only the workers load the compiled recipe: the watch itself stays small
    from tomoe_explore.operations.film import Task, work_on

    return work_on(Task(path, exposure, archive, refcat))


def _outcome(arrival: Arrival) -> Outcome:
    e = arrival.exposure
    return Outcome(arrival.path, "failed", e.kind, e.exposure_id, e.detector_id)
