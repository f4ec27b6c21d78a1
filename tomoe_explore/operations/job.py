"""Reductions that outlive the notebook: submit a job, find it again, wait for it, cancel it, resume it."""

from __future__ import annotations

import os
import pwd
import shutil
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tomoe_explore import raw
from tomoe_explore.archive import Archive, open_archive
from tomoe_explore.archive import jobs as queue
from tomoe_explore.archive.jobs import ACTIVE, JobRecord, State
from tomoe_explore.archive.owner import Owner, process_start, this_process
from tomoe_explore.archive.reserve import now
from tomoe_explore.errors import (
    JobError,
    JobTimeoutError,
    NotFoundError,
    OrbitsError,
    ParameterError,
    RefcatError,
    TomoeError,
)
from tomoe_explore.operations.job_limits import JobLimits
from tomoe_explore.operations.job_outcomes import read_outcomes
from tomoe_explore.operations.job_progress import Progress, elapsed_s, progress_of, told
from tomoe_explore.operations.job_start import start
from tomoe_explore.operations.run import Run

if TYPE_CHECKING:
    from tomoe_explore.reduction.recipe import Parameters

StrPath = str | os.PathLike[str]

_LOOK_S = 0.3  #: between two looks of `Job.wait`
_LINE_BYTES = 1000  #: a line of the log is shorter


def submit(
    films: StrPath | Iterable[StrPath], archive: Archive | StrPath | None = None, refcat: StrPath | None = None, *,
    workers: int = 1, force: bool = False, parameters: Parameters | None = None, mpcorb: StrPath | None = None,
) -> Job:  # fmt: skip
    """Reduce films in a process of its own, which goes on when the notebook, its kernel or the terminal ends.

    It is `reduce`, detached. Jobs of an archive share the machine: a job waits in a queue until processes are free,
    users take turns, and no job starts while the disk is short of room; see `JobLimits`.

    Parameters
    ----------
    films : path or iterable of paths
        Films, or directories of films.
    archive : Archive or path, optional
        Where to; see `open_archive` for the default.
    refcat : path, optional
        Reference catalog; by default the one that the archive used last.
    workers : int
        Processes to work in.
    force : bool
        Whether to reduce again what is done.
    parameters : Parameters, optional
        Of the recipe.
    mpcorb : path, optional
        Orbits of known objects, as in `reduce`.

    Returns
    -------
    Job
        Displayed in a cell it shows how far it is.

    Raises
    ------
    NotFoundError
        If there is no film.
    RefcatError
        If the reference catalog is not there.
    OrbitsError
        If the file of orbits is not there.
    ParameterError
        If more workers are asked for than jobs of this archive may use.
    JobError
        If no process can be started.

    Examples
    --------
    >>> job = te.submit(raw, archive, raw / "refcat.parquet")
    >>> job.wait(timeout=300)
    'done'
    >>> job.progress.failed
    0
    """
    archive = archive if isinstance(archive, Archive) else open_archive(archive)
    paths = [films] if isinstance(films, (str, os.PathLike)) else list(films)
    if not raw.find_films(paths, without=archive.root):
        raise NotFoundError(f"no films (*.fits, *.fits.fz, *.fits.gz) in {', '.join(map(str, paths)) or 'nothing'}")
    if refcat is not None and not Path(refcat).is_file():
        raise RefcatError(f"no reference catalog at {os.path.abspath(refcat)}")
    if mpcorb is not None and not Path(mpcorb).is_file():
        raise OrbitsError(f"no orbits (MPCORB format) at {os.path.abspath(mpcorb)}")
    slots = JobLimits.of(archive).slots
    if isinstance(workers, bool) or not isinstance(workers, int) or not 1 <= workers <= slots:
        raise ParameterError(f"workers must be 1 to {slots}, what all jobs together may use here; got {workers!r}")
    options = {
        "paths": [os.path.abspath(path) for path in paths],
        "refcat": None if refcat is None else os.path.abspath(refcat),
        "force": force,
        "parameters": asdict(parameters) if parameters else {},
        "mpcorb": None if mpcorb is None else os.path.abspath(mpcorb),
    }
    job = Job(archive, queue.add(archive.registry, _user(), options, workers=workers))
    # of another job that had this number, before the registry was restored from a backup
    shutil.rmtree(archive.layout.job(job.job_id), ignore_errors=True)
    job._start()
    return job


class Job:
    """A submitted batch of reductions. Its state lies in the registry: any number of these may look at the same job.

    Attributes
    ----------
    archive : Archive
    job_id : int

    Examples
    --------
    >>> job = te.submit(raw, archive, raw / "refcat.parquet")
    >>> job.cancel()
    >>> job.wait(timeout=300)
    'cancelled'
    """

    def __init__(self, archive: Archive, job_id: int) -> None:
        self.archive, self.job_id = archive, job_id

    @property
    def record(self) -> JobRecord:
        """All that the registry knows of it, now."""
        return queue.record(self.archive.registry, self.job_id)

    @property
    def state(self) -> State:
        """``queued``, ``running``, ``done`` (films may have failed), ``failed``, ``cancelled`` or ``lost``.

        A job is lost if its process is gone without a word: killed, or the machine was started anew. See `resume`.
        """
        return self.record.state

    @property
    def progress(self) -> Progress:
        """How far it is."""
        return progress_of(self.record)

    @property
    def run(self) -> Run:
        """The last outcome of each film that it has been at, as `reduce` returns it."""
        return Run(tuple(read_outcomes(self.archive, self.job_id).values()), elapsed_s(self.record))

    def wait(self, timeout: float | None = None) -> State:
        """Wait until the job has ended; to interrupt the waiting does not end the job.

        Parameters
        ----------
        timeout : float, optional
            Seconds to wait at most.

        Returns
        -------
        str
            The state that it ended in.

        Raises
        ------
        JobTimeoutError
            If it had not ended by then; it is a `TimeoutError` too.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while (state := self.state) in ACTIVE:
            if deadline is not None and time.monotonic() > deadline:
                raise JobTimeoutError(f"job {self.job_id} is still {state} after {timeout:g} s: {self.progress}")
            time.sleep(_LOOK_S)
        return state

    def cancel(self) -> None:
        """End the job: out of the queue at once, or after the films under way. What is done stays.

        Raises
        ------
        JobError
            If it has ended already.
        """
        if (state := self.state) not in (*ACTIVE, "lost"):
            raise JobError(f"job {self.job_id} is {state}: there is nothing to cancel")
        queue.ask_cancel(self.archive.registry, self.job_id)

    def resume(self) -> Job:
        """Take a job up again that was cancelled, lost or failed, or whose films failed; what is done is skipped.

        Raises
        ------
        JobError
            If it is still at work, or there is nothing left to do.
        """
        record = self.record
        if record.state == "done" and not record.failed:
            raise JobError(f"job {self.job_id} is done, and no film failed: there is nothing to resume")
        if not queue.revive(self.archive.registry, self.job_id):
            raise JobError(f"job {self.job_id} is at work: there is nothing to resume")
        self._start()
        return self

    def log(self, tail: int | None = 20) -> str:
        """The last lines of its log; all of it with None."""
        try:
            with (self.archive.layout.job(self.job_id) / "log").open("rb") as file:
                if tail is not None:  # a view asks every second, and a night's log is long
                    file.seek(max(os.fstat(file.fileno()).st_size - _LINE_BYTES * tail, 0))
                text = file.read().decode(errors="replace")
            return text if tail is None else "".join(text.splitlines(keepends=True)[-tail:] if tail else [])
        except FileNotFoundError:
            return ""

    def _start(self) -> None:
        registry = self.archive.registry
        try:
            pid = start(self.archive, self.job_id)
        except TomoeError as error:
            queue.change(registry, self.job_id, state="failed", finished=now(), message=f"{error.kind}: {error}")
            raise
        queue.adopt(registry, self.job_id, Owner(this_process().host, pid, process_start(pid)))

    def __repr__(self) -> str:
        try:
            record = self.record
        except TomoeError as error:
            return f"job {self.job_id} of {self.archive.root}: {error}"
        about = told(record)
        comma = ", " if about and record.state != "done" else " "  # done in 8 s
        lines = [f"job {self.job_id}: {record.state}{comma}{about}".rstrip(), f"  {progress_of(record)}"]
        lines += [f"  failed  {film}: {kind}: {why}" for film, kind, why in record.failures]
        if record.failed > len(record.failures):
            lines.append(f"  and {record.failed - len(record.failures)} more: job.run.failed")
        return "\n".join(lines)

    def _repr_mimebundle_(self, **options: Any) -> Any:
        """In a cell, the live view; found by its name, since what is below the views does not import them."""
        try:
            views = import_module("tomoe_explore.views")
            return views.jobs(self.archive, self.job_id)._repr_mimebundle_(**options)
        except ImportError:  # without the extra ``views``
            return {"text/plain": repr(self)}


def _user() -> str:
    """Who submits: on a hub all users may be the same one to the system."""
    if name := os.environ.get("JUPYTERHUB_USER"):
        return name
    with suppress(KeyError):  # in a container the number may have no name
        return pwd.getpwuid(os.getuid()).pw_name
    return str(os.getuid())
