"""What the doctor says of all that runs by itself: jobs, their limits, a watch, backups of the registry."""

from __future__ import annotations

import os
import shutil

from tomoe_explore.archive import Archive, jobs
from tomoe_explore.archive.backup import check_backup
from tomoe_explore.archive.jobs import ACTIVE
from tomoe_explore.errors import TomoeError
from tomoe_explore.operations.check import Check, first
from tomoe_explore.operations.job_limits import JobLimits
from tomoe_explore.operations.watch.health import check_health


def check_running(archive: Archive, *, deep: bool) -> list[Check]:
    """Checks of jobs, limits, backups and, if there is a health file in the archive, of the watch."""
    checks = [*_jobs(archive), _limits(archive)]
    return [*checks, *_backups(archive, deep=deep), *_watch(archive)]


def _jobs(archive: Archive) -> list[Check]:
    try:
        records = jobs.records(archive.registry)
    except TomoeError:  # a registry of an older revision has none; that is said elsewhere
        return []
    active = [record for record in records if record.state in ACTIVE]
    words = [f"{sum(r.state == state for r in active)} {state}" for state in ("running", "queued")]
    checks = [Check("jobs", "ok", ", ".join(words) if active else "none at work")]
    lost = [f"job {r.job_id} of {r.user_name}, {r.message}: `tomoe jobs {r.job_id} --resume`" for r in records
            if r.state == "lost"]  # fmt: skip
    if lost:
        checks.append(Check("lost jobs", "note", first(lost)))
    return checks


def _limits(archive: Archive) -> Check:
    """Limits that cannot be read let every job wait; so do those that the machine cannot meet."""
    try:
        limits = JobLimits.of(archive)
        disk_gb = shutil.disk_usage(archive.root).total / 1e9
    except (TomoeError, OSError) as error:
        return Check("limits", "fault", f"{error}; jobs wait until it is mended")
    path = archive.layout.limits
    if limits.disk_free_gb > disk_gb:
        text = f"{path}: disk_free_gb is {limits.disk_free_gb:g}, the whole disk has {disk_gb:.1f} GB: no job starts"
        return Check("limits", "fault", text)
    text = f"{limits.slots} workers for all jobs together, of {limits.memory_gb:g} GB each"
    if limits.slots < limits.workers:
        why = f"the memory here holds no more; workers is {limits.workers}"
        return Check("limits", "note", f"{text}: {why}; {path} may set memory_gb lower")
    if limits.workers > (os.cpu_count() or 1):
        return Check("limits", "note", f"{text}, on {os.cpu_count()} processors: {path} sets more than they can serve")
    return Check("limits", "ok", text)


def _backups(archive: Archive, *, deep: bool) -> list[Check]:
    """Backups beside the archive's files; those kept elsewhere are not known."""
    folder = archive.layout.backups
    found = sorted(folder.glob("*.zip"), key=lambda path: path.stat().st_mtime)
    if not found:
        return []
    damaged = []
    for path in found if deep else ():
        try:
            check_backup(path)
        except TomoeError as error:
            damaged.append(str(error))
    if damaged:
        return [Check("backups", "fault", first(damaged))]
    how = "whole" if deep else "there"
    return [Check("backups", "ok", f"{len(found)} {how} in {folder}, the newest {found[-1].name}")]


def _watch(archive: Archive) -> list[Check]:
    """A watch that is ill, or was stopped on purpose: `tomoe watch --check` is for those who watch over it."""
    path = archive.layout.health
    if not path.exists():
        return []
    reasons = check_health(path)
    return [Check("watch", "note" if reasons else "ok", "; ".join(reasons) or f"well, says {path}")]
