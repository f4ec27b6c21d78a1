"""Verbs that keep an archive: init, summary, doctor."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import Annotated

import typer

from tomoe_explore.cli.options import ArchiveOption, JsonOption, archive_path, opened, wants_json
from tomoe_explore.cli.output import document


def init(archive: ArchiveOption = None, as_json: JsonOption = False) -> None:
    """Make an empty archive; one that is there already stays as it is.

    Its registry is an SQLite file in it, or what $TOMOE_DATABASE says (an SQLAlchemy URL).

    Example: tomoe init --archive /data/tomoe
    """
    from tomoe_explore.archive import Archive

    path = archive_path(archive) or os.environ.get("TOMOE_ARCHIVE") or "archive"
    known = Archive(path).layout.marker.exists()
    made = Archive.create(path)
    if wants_json(as_json):
        document({"archive": str(made.root), "created": not known})
    else:
        typer.echo(f"{made.root} is an archive already" if known else f"made an empty archive: {made.root}")


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


def doctor(
    deep: Annotated[bool, typer.Option("--deep", help="Compute the checksum of every file anew.")] = False,
    archive: ArchiveOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check environment, archive and registry, and name each fault (exit status 1 if there is one).

    Example: tomoe doctor --deep
    """
    from tomoe_explore.operations.doctor import examine

    checks = examine(archive_path(archive), deep=deep)
    faults = [check for check in checks if check.status == "fault"]
    if wants_json(as_json):
        document({"faults": len(faults), "checks": [asdict(check) for check in checks]})
    else:
        for check in checks:
            typer.echo(f"{check.status:6s}{check.name}: {check.text}")
    if faults:
        for check in faults if wants_json(as_json) else ():
            typer.echo(f"tomoe: {check.name}: {check.text}", err=True)
        raise typer.Exit(1)
