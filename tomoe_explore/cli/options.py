"""Options that every verb has, before or after its name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from tomoe_explore.archive import Archive

ArchiveOption = Annotated[
    Path | None,
    typer.Option("--archive", metavar="DIR", help="The archive. [default: $TOMOE_ARCHIVE, else ./archive]"),
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]
PositionArgument = Annotated[str, typer.Argument(metavar="POSITION", help='Such as "20 40 12.3 -12 00 05", or deg.')]
RadiusOption = Annotated[str, typer.Option(metavar="ANGLE", help="How far from the position; 3arcsec, 2arcmin …")]
NightOption = Annotated[str | None, typer.Option(metavar="NIGHT", help="2020-08-14, or a range 2020-08-14:2020-08-20.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")]
Workers = Annotated[int | None, typer.Option(metavar="N", min=1, help="Processes. [default: this one]")]

_common: dict[str, object] = {}


def set_common(archive: Path | None, json: bool) -> None:
    """Note what was given before the verb."""
    _common.update(archive=archive, json=json)


def wants_json(after: bool) -> bool:
    """Whether ``--json`` was given, before or after the verb."""
    return after or bool(_common.get("json"))


def archive_path(after: Path | None) -> Path | None:
    """The archive that was named, after or before the verb; None if none was."""
    before = _common.get("archive")
    return after or (before if isinstance(before, Path) else None)


def opened(after: Path | None) -> Archive:
    """The archive that is meant, opened."""
    from tomoe_explore.archive import open_archive

    return open_archive(archive_path(after))
