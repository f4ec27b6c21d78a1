"""Verbs about moving objects: movers known."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tomoe_explore.cli.options import ArchiveOption, JsonOption, NightOption, opened, wants_json
from tomoe_explore.cli.output import document


def known(
    night: NightOption = None,
    *,
    mpcorb: Annotated[
        Path, typer.Option(metavar="MPCORB.DAT", help="Orbits in the MPC's format, plain or .gz.", show_default=False)
    ],
    force: Annotated[bool, typer.Option("--force", help="Also what was compared with this very file before.")] = False,
    archive: ArchiveOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say which movers are known objects: known, not known, or (so far) not checked.

    Nothing is downloaded and no film is reduced again; with newer orbits it may be done anew. `tomoe reduce --mpcorb`
    does it for the films that it reduces.

    Example: tomoe movers known --night 2020-08-14 --mpcorb MPCORB.DAT
    """
    from tomoe_explore.operations.known import find_known

    found = find_known(opened(archive), mpcorb, night=night, force=force)
    if wants_json(as_json):
        document(found.to_dict())
    else:
        typer.echo(repr(found))
