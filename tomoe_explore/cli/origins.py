"""Verbs that ask where things come from: provenance, replay."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tomoe_explore.cli.options import ArchiveOption, JsonOption, NightOption, Quiet, Workers, opened, wants_json
from tomoe_explore.cli.output import document, line

if TYPE_CHECKING:
    from tomoe_explore.archive.provenance import Origin
    from tomoe_explore.archive.replay import Replay

Format = Literal["text", "json", "prov", "provn", "graph"]


def provenance(
    id: Annotated[str, typer.Argument(metavar="ID", help="Of a reduction, product, master, source, mover or streak.")],
    *,
    frame: Annotated[int | None, typer.Option(metavar="N", help="Of a source or mover: its row of this frame.")] = None,
    format: Annotated[
        Format, typer.Option(help="prov is W3C PROV-JSON, provn PROV-N, graph a drawing (needs --out).")
    ] = "text",
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write there; a graph as .png, .pdf or .svg.")
    ] = None,
    archive: ArchiveOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell where something comes from: film, calibrations, catalog, parameters, code.

    Example: tomoe provenance stack-357754112001 --format graph --out chain.svg
    """
    from tomoe_explore.errors import ParameterError

    if format == "graph" and out is None:
        raise ParameterError("a graph is written to a file: --out chain.png (or .pdf, .svg)")
    origin = opened(archive).provenance(id, frame=frame)
    form = "json" if wants_json(as_json) and format == "text" else format
    if out is None and form == "provn" and wants_json(as_json):
        document({"provn": _told(origin, form)})
        return
    if out is None:
        typer.echo(_told(origin, form))
        return
    try:
        if form == "graph":
            origin.draw().savefig(out, dpi=150)
        else:
            out.write_text(_told(origin, form) + "\n")
    except (OSError, ValueError) as error:
        raise ParameterError(f"{out} cannot be written: {error}") from None
    if wants_json(as_json):
        document({"path": str(out), "format": form})
    else:
        typer.echo(f"{out}: {origin.asked}")


def _told(origin: Origin, form: str) -> str:
    import json

    if form == "provn":
        return origin.to_provn().rstrip()
    if form == "text":
        return str(origin)
    return json.dumps(origin.to_prov() if form == "prov" else origin.to_dict(), indent=1, ensure_ascii=False)


def replay(
    id: Annotated[int | None, typer.Argument(metavar="REDUCTION_ID", help="Which reduction.")] = None,
    *,
    night: NightOption = None,
    films: Annotated[
        list[Path] | None, typer.Option(metavar="DIR", help="Where else films may lie; may be repeated.")
    ] = None,
    refcat: Annotated[Path | None, typer.Option(metavar="FILE", help="Where the reference catalog lies now.")] = None,
    workers: Workers = None,
    quiet: Quiet = False,
    archive: ArchiveOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run a reduction again from its record and compare with what is stored. The archive is only read.

    Says identical, or names what differs or is gone; exit status 0 only if all is identical. --night replays all
    current reductions of a night and sums up.

    Example: tomoe replay --night 2020-08-14 --workers 2
    """
    from tomoe_explore.errors import ParameterError
    from tomoe_explore.operations.replays import replay_night

    if (id is None) == (night is None):
        raise ParameterError("name a reduction, or a night with --night 2020-08-14; one of the two")
    home = opened(archive)
    runs: Iterable[Replay] = (
        replay_night(home, night, films=films or (), refcat=refcat, executor=workers, progress=not quiet)
        if night is not None
        else [home.replay(id or 0, films=films or (), refcat=refcat)]
    )
    results = []
    for result in runs:
        results.append(result)
        if not wants_json(as_json):
            line(repr(result if night is None else replace(result, changed=())))
    n_identical = sum(result.identical for result in results)
    if wants_json(as_json):
        document({"n": len(results), "identical": n_identical, "replays": [result.to_dict() for result in results]})
    elif night is not None:
        typer.echo(_summed(results))
    if n_identical < len(results):
        raise typer.Exit(1)


def _summed(results: Sequence[Replay]) -> str:
    """How many of a night came out the same (the others have been named), and what is other code now, said once."""
    n_gone, n_same = sum(bool(result.gone) for result in results), sum(result.identical for result in results)
    odd = [f"{n} {word}" for n, word in ((len(results) - n_same - n_gone, "differ"), (n_gone, "gone")) if n]
    same = f"{n_same} of {len(results)} reductions are identical" + (f": {', '.join(odd)}" if odd else "")
    changed = dict.fromkeys(text for result in results for text in result.changed)
    return "\n".join([same, *(f"  other now: {text}" for text in changed)])
