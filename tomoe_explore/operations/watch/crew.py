"""Who works? Some processes, each with one film or exposure, so that one that dies is known by it and replaced."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from pathlib import Path

from tomoe_explore.archive import Archive
from tomoe_explore.data import Exposure
from tomoe_explore.errors import WorkerDiedError
from tomoe_explore.operations.executors import Workers
from tomoe_explore.operations.run import Outcome, Worked, failure
from tomoe_explore.operations.watch.arrivals import Arrival


@dataclass(frozen=True)
class Work:
    """A film, or the films of an exposure that are published, under way."""

    arrivals: tuple[Arrival, ...]
    started: float

    @property
    def name(self) -> str:
        """For people."""
        first = self.arrivals[0]
        return first.path if len(self.arrivals) == 1 else f"exposure {first.exposure.exposure_id}"


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
        self._busy: dict[Future[tuple[Worked, ...]], Work] = {}

    @property
    def free(self) -> int:
        """Processes without work."""
        return self.workers - len(self._busy)

    @property
    def under_way(self) -> list[Work]:
        """Films and exposures that are being worked on."""
        return list(self._busy.values())

    def submit(self, arrival: Arrival) -> None:
        """Give a film to a free process."""
        future = self._pool.submit(_reduce, Path(arrival.path), arrival.exposure, self._archive, self._refcat)
        self._busy[future] = Work((arrival,), time.monotonic())

    def publish(self, films: Mapping[Arrival, Worked]) -> None:
        """Let a free process publish staged films of an exposure."""
        future = self._pool.submit(_publish, self._archive, tuple(films.values()))
        self._busy[future] = Work(tuple(films), time.monotonic())

    def wait(self, timeout_s: float) -> list[tuple[Arrival, Worked | None]]:
        """Films whose work has ended, and what came of them: None if the process died of it."""
        if not self._busy:
            time.sleep(timeout_s)
            return []
        ended: list[tuple[Arrival, Worked | None]] = []
        for future in wait(self._busy, timeout_s, return_when=FIRST_COMPLETED).done:
            arrivals, error = self._busy.pop(future).arrivals, future.exception()
            films: Sequence[Worked | None]
            if error is None:
                films = future.result()
            elif isinstance(error, WorkerDiedError):
                films = [None] * len(arrivals)
            else:
                films = [Worked(failure(_outcome(arrival), error)) for arrival in arrivals]
            ended += zip(arrivals, films, strict=True)
        return ended

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)


def _reduce(path: Path, exposure: Exposure, archive: Archive, refcat: Path) -> tuple[Worked, ...]:
    # only the workers load the compiled recipe: the watch itself stays small
    from tomoe_explore.operations.film import Task, work_on

    return work_on(Task(path, exposure, archive, refcat))


def _publish(archive: Archive, films: tuple[Worked, ...]) -> tuple[Worked, ...]:
    from tomoe_explore.operations.film import Publication, publish

    return publish(Publication(archive, films))


def _outcome(arrival: Arrival) -> Outcome:
    e = arrival.exposure
    return Outcome(arrival.path, "failed", e.kind, e.exposure_id, e.detector_id)
