"""The queue of jobs, kept in the registry: who waits, who runs, whose turn it is. No daemon: the jobs take turns."""

from __future__ import annotations

import json
import socket
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal

import sqlalchemy as sa

from tomoe_explore.archive.owner import Owner, this_process
from tomoe_explore.archive.registry import Registry
from tomoe_explore.archive.registry import jobs as _jobs
from tomoe_explore.archive.reserve import now
from tomoe_explore.errors import NotFoundError

State = Literal["queued", "running", "done", "failed", "cancelled", "lost"]
ACTIVE: tuple[State, ...] = ("queued", "running")
STARTED, GONE = "started", "no longer in the queue"  #: what may come of `take_turn`

#: A job on another machine is lost when it has not been heard of for so long, s; a new one may take it to appear.
SILENCE_S = 300.0
BIRTH_S = 60.0

_ONE = _jobs.c.job_id == sa.bindparam("this")
_ALL = sa.select(_jobs).order_by(_jobs.c.job_id.desc())
_WAITING_OR_RUNNING = sa.select(_jobs).where(_jobs.c.state.in_(ACTIVE)).order_by(_jobs.c.job_id)


@dataclass(frozen=True)
class JobRecord:
    """A job as the registry knows it.

    Attributes
    ----------
    job_id : int
    user_name : str
        Who submitted it.
    state : str
        ``queued``, ``running``, ``done``, ``failed`` (the job itself; films that fail do not end it), ``cancelled`` or
        ``lost`` (its process is gone).
    cancel : bool
        Whether it was asked to end.
    options : mapping
        Of the reduction.
    workers : int
        Processes it works in; fewer than were asked for if the limits were lowered before it began.
    submitted, queued, heartbeat : str
        Times, ISO 8601, UTC: when it was made, when it last took its place in the queue, when it was last heard of.
    started, finished : str or None
    total, done, failed, skipped : int
        Numbers of films; ``total`` is 0 until they are counted. While it runs those count as done, too, that are
        reduced and wait for the others of their exposure; as failed those that another process holds.
    rate : float
        Films a second of late, skipped ones not counted; 0 if not known.
    step, film : str
        What it is at, and the film that ended last.
    message : str
        Why it waits, failed or was stopped.
    failures : tuple
        The first films that failed: path, kind of error, message.
    owner : Owner
        Its process.
    """

    job_id: int
    user_name: str
    state: State
    cancel: bool
    options: Mapping[str, Any]
    workers: int
    submitted: str
    queued: str
    started: str | None
    finished: str | None
    heartbeat: str
    total: int
    done: int
    failed: int
    skipped: int
    rate: float
    step: str
    film: str
    message: str
    failures: tuple[tuple[str, str, str], ...]
    owner: Owner


def _record(row: sa.RowMapping) -> JobRecord:
    values = dict(row)
    owner = Owner(values.pop("owner_host"), values.pop("owner_pid"), values.pop("owner_started"))
    values["options"] = json.loads(values["options"])
    values["failures"] = tuple(tuple(failure) for failure in json.loads(values["failures"]))
    record = JobRecord(**values, owner=owner)
    if record.state in ACTIVE and not _is_alive(record):
        where = f"process {owner.pid} on {owner.host}" if owner.pid else "its process"
        return replace(record, state="lost", message=f"{where} is gone; resume takes the job up again")
    return record


def _is_alive(record: JobRecord) -> bool:
    silent_s = (datetime.now(UTC) - datetime.fromisoformat(record.heartbeat)).total_seconds()
    if not record.owner.pid:
        return silent_s < BIRTH_S
    return record.owner.is_alive() and (record.owner.host == socket.gethostname() or silent_s < SILENCE_S)


def add(registry: Registry, user_name: str, options: Mapping[str, Any], *, workers: int) -> int:
    """Enter a job at the end of the queue; it counts as lost if no process adopts it within `BIRTH_S`."""
    moment = now()
    row = {
        "user_name": user_name, "state": "queued", "cancel": False, "options": json.dumps(options), "workers": workers,
        "submitted": moment, "queued": moment, "heartbeat": moment, "total": 0, "done": 0, "failed": 0, "skipped": 0,
        "rate": 0.0, "step": "", "film": "", "message": "", "failures": "[]",
        "owner_host": socket.gethostname(), "owner_pid": 0, "owner_started": "",
    }  # fmt: skip
    with registry.writing() as connection:
        # a sequence of the database would not know the jobs that a restored backup brought
        job_id = 1 + int(connection.execute(sa.select(sa.func.max(_jobs.c.job_id))).scalar() or 0)
        connection.execute(sa.insert(_jobs), {"job_id": job_id, **row})
    return job_id


def records(registry: Registry) -> list[JobRecord]:
    """All jobs, newest first."""
    return [_record(row) for row in registry.rows(_ALL)]


def record(registry: Registry, job_id: int) -> JobRecord:
    """One job.

    Raises
    ------
    NotFoundError
        If there is none with this id.
    """
    rows = registry.rows(sa.select(_jobs).where(_ONE), this=job_id)
    if not rows:
        raise NotFoundError(f"no job {job_id}: `tomoe jobs`, te.jobs(archive) list them")
    return _record(rows[0])


def change(registry: Registry, job_id: int, *, owner: Owner | None = None, **values: Any) -> bool:
    """Set columns of a job; with ``owner``, only while it belongs to that process. Whether there was such a job."""
    query = sa.update(_jobs).where(_ONE).values(**values)
    if owner is not None:
        c = _jobs.c
        mine = (c.owner_host == owner.host, c.owner_pid == owner.pid, c.owner_started == owner.started)
        query = query.where(*mine, c.state.in_(ACTIVE))
    with registry.writing() as connection:
        return bool(connection.execute(query, {"this": job_id}).rowcount)


def adopt(registry: Registry, job_id: int, owner: Owner | None = None) -> None:
    """Note whose a queued job is, by default this process's."""
    owner = owner or this_process()
    query = sa.update(_jobs).where(_ONE, _jobs.c.state == "queued").values(**_owned_by(owner))
    with registry.writing() as connection:
        connection.execute(query, {"this": job_id})


def _owned_by(owner: Owner) -> dict[str, Any]:
    return {"owner_host": owner.host, "owner_pid": owner.pid, "owner_started": owner.started}


def ask_cancel(registry: Registry, job_id: int) -> None:
    """Take a job out of the queue, or ask its process to end."""
    with registry.writing() as connection:
        row = connection.execute(sa.select(_jobs).where(_ONE).with_for_update(), {"this": job_id}).mappings().one()
        at_once = row["state"] == "queued" or _record(row).state == "lost"
        ended = {"state": "cancelled", "finished": now(), "message": ""} if at_once else {}
        query = sa.update(_jobs).where(_ONE, _jobs.c.state.in_(ACTIVE)).values(cancel=True, **ended)
        connection.execute(query, {"this": job_id})


def give_way(registry: Registry, job_id: int, owner: Owner, **values: Any) -> None:
    """Put a running job of a process at the end of the queue; one that was asked to end meanwhile ends instead."""
    asked, moment = _jobs.c.cancel, now()
    state: dict[str, Any] = {
        "state": sa.case((asked, "cancelled"), else_="queued"), "finished": sa.case((asked, moment), else_=None),
        "message": sa.case((asked, ""), else_=values.pop("message")), "queued": moment, "heartbeat": moment,
    }  # fmt: skip
    change(registry, job_id, owner=owner, **values, **state)


def revive(registry: Registry, job_id: int) -> bool:
    """Put a job that has ended, or is lost, back into the queue; False if it is alive (somebody else was faster)."""
    moment = now()
    with registry.writing() as connection:
        row = connection.execute(sa.select(_jobs).where(_ONE).with_for_update(), {"this": job_id}).mappings().one()
        if _record(row).state in ACTIVE:
            return False
        fresh = {"state": "queued", "cancel": False, "queued": moment, "heartbeat": moment, "finished": None,
                 "message": "", "step": "", "rate": 0.0, "owner_pid": 0, "owner_started": ""}  # fmt: skip
        connection.execute(sa.update(_jobs).where(_ONE).values(fresh), {"this": job_id})
    return True


def take_turn(registry: Registry, job_id: int, slots: Callable[[], int | str]) -> str:
    """Start a queued job of this process if its turn has come.

    Turns are those of one machine: first the user who has the fewest processes at work, then first come, first served.
    A job that needs more processes than are free is waited for by all behind it, or it would never start.

    Parameters
    ----------
    registry : Registry
    job_id : int
    slots : callable
        Gives the number of processes that all jobs of the machine may use, or why there is none.

    Returns
    -------
    str
        `STARTED`, `GONE` (not in the queue any more, or another process's), or why it must wait.
    """
    turn = _turn([_record(row) for row in registry.rows(_WAITING_OR_RUNNING)], job_id, slots)
    if isinstance(turn, str):
        return turn  # most often; asked without a lock
    with registry.writing() as connection:
        # the lock on rows is for databases that let writers overlap: two jobs must not take the same free slots
        rows = connection.execute(_WAITING_OR_RUNNING.with_for_update()).mappings().all()
        turn = _turn([_record(row) for row in rows], job_id, slots)
        if isinstance(turn, str):
            return turn
        started = {"state": "running", "workers": turn, "started": now(), "heartbeat": now(), "message": ""}
        connection.execute(sa.update(_jobs).where(_ONE).values(started), {"this": job_id})
    return STARTED


def _turn(active: Sequence[JobRecord], job_id: int, slots: Callable[[], int | str]) -> int | str:
    """How many workers a job may start with now, or why it may not."""
    here = [r for r in active if r.state in ACTIVE and r.owner.host == socket.gethostname()]
    mine = next((r for r in here if r.job_id == job_id), None)
    if mine is None or mine.state != "queued" or mine.owner != this_process():
        return GONE
    running = [r for r in here if r.state == "running"]
    used = _workers_by_user(running)
    queue = sorted((r for r in here if r.state == "queued"), key=lambda r: (used[r.user_name], r.queued, r.job_id))
    all_slots = slots()
    if isinstance(all_slots, str):
        return all_slots
    if ahead := queue.index(mine):
        return f"waits in the queue behind {ahead} job{'s' * (ahead > 1)}"
    free = all_slots - sum(used.values())
    wanted = min(mine.workers, all_slots)  # the limits may have been wider when it was submitted
    if wanted > free:
        jobs = ", ".join(f"{r.job_id} ({r.user_name})" for r in running)
        return f"waits for {wanted} of {all_slots} workers, {max(free, 0)} free; running: job {jobs}"
    return wanted


def _workers_by_user(running: Sequence[JobRecord]) -> Counter[str]:
    used: Counter[str] = Counter()
    for r in running:
        used[r.user_name] += r.workers
    return used


def is_waited_for(registry: Registry, job_id: int) -> bool:
    """Whether a running job should give way: a user with fewer workers waits in the queue of this machine."""
    active = [_record(row) for row in registry.rows(_WAITING_OR_RUNNING)]
    here = [r for r in active if r.state in ACTIVE and r.owner.host == socket.gethostname()]
    used = _workers_by_user([r for r in here if r.state == "running"])
    mine = next((r for r in here if r.job_id == job_id), None)
    return mine is not None and any(
        r.state == "queued" and r.user_name != mine.user_name and used[r.user_name] < used[mine.user_name] for r in here
    )
