"""The verb consolidate."""

from __future__ import annotations

from typing import Annotated

import typer

from tomoe_explore.cli.options import ArchiveOption, JsonOption, NightOption, opened, wants_json
from tomoe_explore.cli.output import document


def consolidate(
    night: NightOption = None,
    *,
    workers: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Processes, of up to 1 GB each. [default: this one]")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be merged.")] = False,
    grace: Annotated[
        float | None,
        typer.Option(
            min=0, metavar="MINUTES", help="Replaced files stay so long for those who read them. [default: 60]"
        ),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar.")] = False,
    archive: ArchiveOption = None,
    as_json: JsonOption = False,
) -> None:
    """Merge the files of nights into few that are in order of the sky: then searches by position are fast.

    Sources without a reference star get their object_id. A night's files are merged first; those of all nights, cell
    by cell of the sky, once there is enough that is new. Readers notice nothing, and films may be reduced meanwhile.
    Interrupted or killed, nothing is lost: run it again.

    Example: tomoe consolidate --night 2020-08-14 --workers 2
    """
    from tomoe_explore.operations.consolidate import consolidate as run

    kept = {} if grace is None else {"grace_s": 60 * grace}
    made = run(opened(archive), night, executor=workers, progress=not quiet, dry_run=dry_run, **kept)
    if wants_json(as_json):
        document(made.to_dict())
    else:
        typer.echo(repr(made))
