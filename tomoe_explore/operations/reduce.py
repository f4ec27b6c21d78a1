"""What runs in which order: darks, flats, then the films of the sky, exposure by exposure."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Executor
from contextlib import closing
from itertools import chain, starmap
from typing import Any

from tomoe_explore.archive import Archive, open_archive
from tomoe_explore.data import Exposure
from tomoe_explore.errors import PASSING, NoMastersError, NotFoundError, TomoeError
from tomoe_explore.operations.executors import each, open_executor
from tomoe_explore.operations.film import Publication, Task, publish, skipped, work_on
from tomoe_explore.operations.finding import find, listed
from tomoe_explore.operations.known import find_known, load_finder
from tomoe_explore.operations.progress import Watcher, watching
from tomoe_explore.operations.run import Outcome, Run, Worked, failure
from tomoe_explore.operations.stars import StrPath, refcat_to_use
from tomoe_explore.reduction.recipe import Parameters

_STEPS = {"dark": "master darks", "flat": "master flats", "object": "films of the sky"}


def reduce(
    paths: StrPath | Iterable[StrPath], archive: Archive | StrPath | None = None, refcat: StrPath | None = None, *,
    executor: Any = None, force: bool = False, parameters: Parameters | None = None, mpcorb: StrPath | None = None,
    progress: bool | Watcher = True,
) -> Run:  # fmt: skip
    """Reduce films into an archive.

    Darks and flats among the films are mastered first. What is done already is skipped, so a run that was
    interrupted is simply started again. A film that fails is recorded and named; the others go on.

    Parameters
    ----------
    paths : path or iterable of paths
        Films, or directories of films.
    archive : Archive or path, optional
        Where to; see `open_archive` for the default.
    refcat : path, optional
        Reference catalog; by default the one that the archive used last.
    executor : None, int or dask.distributed.Client, optional
        None works in this process, a number in so many processes (a script then needs
        ``if __name__ == "__main__":``), a Client on its cluster.
    force : bool
        Whether to reduce again what is done: a new reduction, which supersedes the old one.
    parameters : Parameters, optional
        Of the recipe.
    mpcorb : path, optional
        Orbits of known objects, in the format of ``MPCORB.DAT``: movers of these films are compared with them once all
        are done, see `find_known`.
    progress : bool or Watcher
        Whether to show a progress bar; or who is told of each film, see `tomoe_explore.operations.progress`.

    Returns
    -------
    Run
        One outcome a film; ``run.failed`` names what failed and why.

    Raises
    ------
    NotFoundError
        If there is no film.
    RefcatError
        If there are films of the sky and no reference catalog.
    ArchiveError
        If there is no archive, or it cannot be written.
    OrbitsError
        If the orbits cannot be read; no film is touched then.

    Examples
    --------
    >>> import tempfile
    >>> from tomoe_explore.archive import Archive
    >>> from tomoe_explore.simulate import simulate
    >>> folder = tempfile.mkdtemp()
    >>> night = simulate(f"{folder}/raw", detectors=[112], exposures=1, frames=8, progress=False)
    >>> run = reduce(night.out, Archive.create(f"{folder}/archive"), night.refcat, progress=False)
    >>> [outcome.kind for outcome in run.done]
    ['dark', 'flat', 'object']
    """
    start = time.perf_counter()
    archive = archive if isinstance(archive, Archive) else open_archive(archive)
    if mpcorb is not None:
        load_finder(mpcorb)  # not after hours of work would one know that it is not there
    found = find(paths, archive, force=force, progress=progress is True)
    stars = refcat_to_use(archive, refcat) if any(exposure.kind == "object" for _, exposure in found.to_do) else None
    tasks = [Task(path, e, archive, stars, parameters, force) for path, e in found.to_do]
    ended = [*found.unreadable, *starmap(skipped, found.finished.items())]
    outcomes = _work(tasks, ended, ("dark", "flat", "object"), executor, progress=progress)
    try:
        archive.tidy(found.nights)
    except TomoeError:
        if all(outcome.status != "failed" for outcome in outcomes):  # else these say why, and a rerun lists the files
            raise
    if mpcorb is not None and (seen := {o.exposure_id for o in outcomes if o.kind == "object" and o.reduction_id}):
        find_known(archive, mpcorb, exposure_id=sorted(filter(None, seen)))
    return Run(tuple(outcomes), time.perf_counter() - start)


def make_masters(
    paths: StrPath | Iterable[StrPath], archive: Archive | StrPath | None = None, *,
    executor: Any = None, progress: bool | Watcher = True,
) -> Run:  # fmt: skip
    """Make master darks and flats; films of the sky among the paths are left alone.

    Parameters
    ----------
    paths, archive, executor, progress
        As in `reduce`.

    Returns
    -------
    Run

    Raises
    ------
    NotFoundError
        If there is no dark and no flat.
    """
    start = time.perf_counter()
    archive = archive if isinstance(archive, Archive) else open_archive(archive)
    found = find(paths, archive, progress=progress is True)
    tasks = [Task(path, e, archive) for path, e in found.to_do if e.kind != "object"]
    ended = [*found.unreadable, *(skipped(path, film) for path, film in found.finished.items() if film.master_id)]
    if not tasks and not ended:
        n = len(found.to_do) + len(found.finished)
        raise NotFoundError(f"no dark and no flat (DATA-TYP) among the {n} films of {listed(paths)}")
    outcomes = _work(tasks, ended, ("dark", "flat"), executor, progress=progress)
    return Run(tuple(outcomes), time.perf_counter() - start)


def _work(
    tasks: Sequence[Task], ended: Sequence[Outcome], kinds: Sequence[str], executor: Any, *,
    progress: bool | Watcher,
) -> list[Outcome]:  # fmt: skip
    """Outcomes of all films, those without work first, then kind after kind: flats need darks, films need both."""
    outcomes: list[Outcome] = []
    stops: list[Exception] = []
    with open_executor(executor) as pool, watching(progress, len(tasks) + len(ended)) as watcher:
        for outcome in ended:
            outcomes.append(outcome)
            watcher.film(outcome)
        for kind in kinds:
            chosen = [task for task in tasks if task.exposure.kind == kind]
            if chosen:
                watcher.step(_STEPS[kind])
            missing = _calibrations_to_come(tasks, outcomes)
            waiting = [_waits(task, missing[place]) for task in chosen if (place := _place(task.exposure)) in missing]
            ready = [task for task in chosen if _place(task.exposure) not in missing]
            with closing(_worked(pool, ready, lambda: bool(stops))) as worked:
                for film in chain(waiting, worked):
                    if film.staged is None:
                        outcomes.append(film.outcome)
                    try:
                        (watcher.film if film.staged is None else watcher.staged)(film.outcome)
                    except Exception as error:  # what is under way ends first: see `Watcher`
                        stops.append(error)
            if stops:
                raise stops[0]
    return outcomes


def _place(exposure: Exposure) -> tuple[int, str]:
    return exposure.detector_id, exposure.gain_mode.name


def _calibrations_to_come(tasks: Sequence[Task], outcomes: Sequence[Outcome]) -> dict[tuple[int, str], Outcome]:
    """Darks and flats that failed through no fault of theirs: the next run can have them."""
    exposures = {str(task.path): task.exposure for task in tasks}
    failed = [o for o in outcomes if o.kind in ("dark", "flat") and o.error_kind in PASSING]
    return {_place(exposures[outcome.film]): outcome for outcome in failed}


def _waits(task: Task, missing: Outcome) -> Worked:
    """A film that would be reduced with lesser calibrations than it was given, and then count as done, is not."""
    e = task.exposure
    error = NoMastersError(
        f"its {missing.kind} {missing.film} could not be mastered now ({missing.message}); reduce both again, or this "
        f"film without it"
    )
    return Worked(failure(Outcome(str(task.path), "failed", e.kind, e.exposure_id, e.detector_id), error))


def _worked(pool: Executor | None, tasks: Sequence[Task], stopped: Callable[[], object]) -> Generator[Worked]:
    """What came of films; those of the sky come when they are staged, and once more when their exposure is published.

    An exposure is published when all its films have ended; those of a run that was stopped, with the films they have.
    """
    left: Counter[int | None] = Counter(task.exposure.exposure_id for task in tasks)
    staged: dict[int | None, list[Worked]] = {}
    complete: set[int | None] = set()
    queue: deque[Task | Publication] = deque(tasks)
    try:
        with closing(each(pool, work_on, queue, failed=_lost, stopped=stopped)) as results:
            for film in chain.from_iterable(results):
                exposure_id = film.outcome.exposure_id
                if film.staged is not None:
                    staged.setdefault(exposure_id, []).append(film)
                yield film
                if exposure_id in complete:
                    continue
                left[exposure_id] -= 1
                if not left[exposure_id] and exposure_id in staged:
                    complete.add(exposure_id)
                    queue.appendleft(Publication(tasks[0].archive, tuple(staged.pop(exposure_id))))
        while queue:  # only of a run that was stopped
            if isinstance(work := queue.popleft(), Publication):
                yield from publish(work)
        while staged:
            yield from publish(Publication(tasks[0].archive, tuple(staged.popitem()[1])))
    finally:  # the run was interrupted: what is not published is free for the next one
        waiting = [film for work in queue if isinstance(work, Publication) for film in work.films]
        for film in chain(waiting, *staged.values()):
            if film.staged is not None:
                tasks[0].archive.let_go(film.staged)


def _lost(work: Task | Publication, error: BaseException) -> tuple[Worked, ...]:
    if isinstance(work, Publication):  # a process died, and with it its pool: this one is left
        return publish(work)
    e = work.exposure
    return (Worked(failure(Outcome(str(work.path), "failed", e.kind, e.exposure_id, e.detector_id), error)),)
