"""Verbs that keep an archive: init, summary, jobs, doctor, backup, restore."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tomoe_explore.cli.options import ArchiveOption, JsonOption, archive_path, opened, wants_json
from tomoe_explore.cli.output import document, message

if TYPE_CHECKING:
    from tomoe_explore.archive import Archive
    from tomoe_explore.archive.backup import Backup
    from tomoe_explore.operations.job_list import Jobs


def init(archive: ArchiveOption = None, as_json: JsonOption = False) -> None:
    """Make an empty archive; one that is there already stays as it is.

    Its registry is an SQLite file in it, or what $TOMOE_DATABASE says (an SQLAlchemy URL, such as
    postgresql+psycopg://tomoe@db/tomoe). One of an older version is migrated, after a backup into backups/.

    Example: tomoe init --archive /data/tomoe
    """
    from tomoe_explore.archive import Archive

    path = archive_path(archive) or os.environ.get("TOMOE_ARCHIVE") or "archive"
    before = set(Archive(path).layout.backups.glob("*"))
    known = Archive(path).layout.marker.exists()
    made = Archive.create(path)
    saved = next(iter(set(made.layout.backups.glob("*")) - before), None)
    if wants_json(as_json):
        document({"archive": str(made.root), "created": not known, "migrated_after_backup": saved})
    else:
        typer.echo(f"{made.root} is an archive already" if known else f"made an empty archive: {made.root}")
        if saved:
            typer.echo(f"its registry was of an older version and is migrated; as it was: {saved}")


def summary(archive: ArchiveOption = None, as_json: JsonOption = False) -> None:
    """Say what the archive holds: nights, films, reductions, rows.

    Example: tomoe summary --archive demo/archive
    """
    home = opened(archive)
    if not wants_json(as_json):
        typer.echo(repr(home))
        return
    from tomoe_explore.archive.summary import count

    document({"archive": str(home.root), **asdict(count(home.registry))})


def jobs(
    job_id: Annotated[int | None, typer.Argument(metavar="ID", help="One job. [default: all]")] = None,
    *,
    cancel: Annotated[bool, typer.Option("--cancel", help="End it after the films under way.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Take it up again: what is done is skipped.")] = False,
    tail: Annotated[int, typer.Option(metavar="N", min=0, help="Lines of its log.")] = 10,
    archive: ArchiveOption = None,
    as_json: JsonOption = False,
) -> None:
    """Jobs under way and past. A job is a reduction that goes on by itself; a notebook submits it with te.submit(…).

    With ID one job and the end of its log. A job whose process is gone (killed, machine started anew) is lost; --resume
    takes it up where it was. limits.json in the archive says what all jobs together may use, such as
    {"workers": 2, "memory_gb": 4, "disk_free_gb": 20, "turn_minutes": 10}.

    Example: tomoe jobs 3 --cancel
    """
    from tomoe_explore.errors import ParameterError
    from tomoe_explore.operations.job_list import Jobs

    home = opened(archive)
    known = Jobs(home)
    if job_id is None:
        if cancel or resume:
            raise ParameterError(f"{'--cancel' if cancel else '--resume'} needs the number of a job")
        _list_jobs(known, as_json=as_json)
        return
    if cancel and resume:
        raise ParameterError("--cancel and --resume exclude each other")
    job = known[job_id]
    if cancel:
        job.cancel()
    if resume:
        job.resume()
    if wants_json(as_json):
        document(
            {**asdict(job.record), "log": str(home.layout.job(job_id) / "log"), "tail": job.log(tail).splitlines()}
        )
    else:
        typer.echo(f"{job!r}\n{job.log(tail) if tail else ''}".rstrip())


def _list_jobs(known: Jobs, *, as_json: bool) -> None:
    from tomoe_explore.errors import ParameterError
    from tomoe_explore.operations.job_limits import JobLimits

    path = known.archive.layout.limits
    try:
        limits = JobLimits.of(known.archive)
        told = f"all jobs together: {limits.slots} workers; {path} may set it"
    except ParameterError as error:
        limits, told = None, f"{error}; jobs wait until it is mended"
    if wants_json(as_json):
        document({"limits": limits and asdict(limits), "jobs": [asdict(record) for record in known.records()]})
    else:
        typer.echo(repr(known))
    message(told)


def doctor(
    deep: Annotated[
        bool, typer.Option("--deep", help="Compute every checksum anew, and look for files without a record.")
    ] = False,
    repair: Annotated[
        bool, typer.Option("--repair", help="List files without a record; with --yes delete them, and mend manifests.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="With --repair: delete what it lists.")] = False,
    archive: ArchiveOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check environment, archive, registry and jobs, and name each fault. Exit status 1 if there is one.

    health.json in the archive, if a watch writes it there, is looked at too.

    --repair is a dry run: it lists the files that no record names, which killed processes left. --repair --yes deletes
    these, brings manifests up to date, and nothing else. Keep the files where the registry was restored from a backup:
    they may be whole reductions.

    Example: tomoe doctor --deep
    """
    from tomoe_explore.errors import ParameterError
    from tomoe_explore.operations.doctor import examine

    if yes and not repair:
        raise ParameterError("--yes goes with --repair")
    if repair:
        _repair(opened(archive), delete=yes, as_json=as_json)
        return
    checks = examine(archive_path(archive), deep=deep)
    faults = [check for check in checks if check.status == "fault"]
    if wants_json(as_json):
        document({"faults": len(faults), "checks": [asdict(check) for check in checks]})
    else:
        for check in checks:
            typer.echo(f"{check.status:6s}{check.name}: {check.text}")
    if faults:
        for check in faults if wants_json(as_json) else ():
            message(f"{check.name}: {check.text}")
        raise typer.Exit(1)


def _repair(home: Archive, *, delete: bool, as_json: bool) -> None:
    from tomoe_explore.operations.inventory import delete_orphans, orphans

    found = delete_orphans(home) if delete else orphans(home)
    if delete:
        home.tidy()
    if wants_json(as_json):
        document({"orphans": [str(path) for path in found], "deleted": delete})
        return
    for path in found:
        typer.echo(str(path))
    n = f"{len(found)} files without a record"
    message(f"{n} deleted" if delete else f"{n}; --repair --yes deletes them" if found else "every file has its record")


def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A new file, such as registry-2020-08-14.zip.")],
    archive: ArchiveOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the registry to one file, which `tomoe restore` brings back. Writers may go on.

    The archive's files are not in it: they never change once they are registered, so copy them with rsync, after this.

    Example: tomoe backup /backups/registry-2020-08-14.zip
    """
    _say("", opened(archive).backup(file), as_json)


def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `tomoe backup` wrote, on SQLite or PostgreSQL.")],
    force: Annotated[
        bool, typer.Option("--force", help="Also where records would be lost, or files are gone.")
    ] = False,
    archive: ArchiveOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put a backup's records in place of the registry's. Refused where it holds records that the backup has not.

    What was reduced since the backup is done again by the next `tomoe reduce`. `tomoe doctor --deep` checks the whole.

    Example: tomoe restore /backups/registry-2020-08-14.zip
    """
    home = opened(archive)
    _say(f"registry of {home.root} restored from ", home.restore(file, force=force), as_json)


def _say(what: str, made: Backup, as_json: bool) -> None:
    if wants_json(as_json):
        document(asdict(made))
    else:
        typer.echo(f"{what}{made!r}")
