"""Verbs that ask the archive: search, table, lightcurve, periodogram."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tomoe_explore.cli.options import (
    ArchiveOption,
    JsonOption,
    NightOption,
    PositionArgument,
    RadiusOption,
    opened,
    wants_json,
)
from tomoe_explore.cli.output import document, message, print_table

#: Rows that `tomoe table` shows on a terminal.
SHOWN_ROWS = 20

_SEARCH_COLUMNS = ("product_id", "product", "night", "exposure_id", "detector_id", "n_rows", "bytes", "path")


def search(
    *,
    position: Annotated[
        str | None, typer.Option(metavar="POSITION", help='Only what covers it: "20 40 12.3 -12 00 05", or deg.')
    ] = None,
    radius: Annotated[str | None, typer.Option(metavar="ANGLE", help="… or comes this near; 15arcmin.")] = None,
    night: NightOption = None,
    exposure: Annotated[int | None, typer.Option(help="Exposure number.")] = None,
    detector: Annotated[int | None, typer.Option(help="Detector.")] = None,
    product: Annotated[
        str | None,
        typer.Option(metavar="KIND,…", help="stack, mover (cutout films), photometry, movers (table), film, dark …"),
    ] = None,
    archive: ArchiveOption = None,
    as_json: JsonOption = False,
) -> None:
    """List products, films and masters, with paths, sizes and checksums.

    Example: tomoe search --position "310.05 -12.0" --radius 15arcmin --product stack,movers
    """
    found = opened(archive).search(
        position, radius=radius, night=night, exposure_id=exposure, detector_id=detector, product=product
    )
    if wants_json(as_json):
        document({"n": len(found), "products": found.astype(object).to_dict("records")})
    elif len(found):
        print_table(_SEARCH_COLUMNS, found[list(_SEARCH_COLUMNS)].astype(object).values.tolist())
    else:
        message("nothing found")


def table(
    name: Annotated[str, typer.Argument(metavar="NAME", help="photometry, sources, stacks, movers …")],
    *,
    position: Annotated[
        str | None, typer.Option(metavar="POSITION", help='Only rows near it: "20 40 12.3 -12 00 05", or deg.')
    ] = None,
    radius: Annotated[str | None, typer.Option(metavar="ANGLE", help="How near. [default: 3arcsec]")] = None,
    night: NightOption = None,
    exposure: Annotated[int | None, typer.Option(help="Exposure number.")] = None,
    detector: Annotated[int | None, typer.Option(help="Detector.")] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write .fits, .vot, .ecsv, .csv or .parquet.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Also more than 10,000,000 rows.")] = False,
    archive: ArchiveOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show or write rows of one of the archive's tables, for TOPCAT, STILTS and others.

    Example: tomoe table photometry --night 2020-08-14 --out night.fits
    """
    from tomoe_explore.archive.archive import ROW_LIMIT
    from tomoe_explore.archive.export import write_table

    rows = opened(archive).table(
        name, position=position, radius=radius, night=night, exposure_id=exposure, detector_id=detector,
        limit=None if every else ROW_LIMIT,
    )  # fmt: skip
    if out:
        write_table(rows, out)
    if wants_json(as_json):
        content = {} if out else {"rows": rows.to_pylist()}
        document({"table": name, "n_rows": rows.num_rows, "path": str(out) if out else None, **content})
    elif out:
        typer.echo(f"{out}: {rows.num_rows} rows of {name}")
    else:
        print_table(rows.column_names, [list(row.values()) for row in rows.slice(0, SHOWN_ROWS).to_pylist()])
        if rows.num_rows > SHOWN_ROWS:
            message(f"{SHOWN_ROWS} of {rows.num_rows} rows are shown; --out FILE writes all")


def lightcurve(
    position: PositionArgument,
    *,
    radius: RadiusOption = "3arcsec",
    night: NightOption = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write .ecsv, .parquet or .csv.")] = None,
    archive: ArchiveOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show or write the 2 Hz light curve of the object nearest to a position.

    Example: tomoe lightcurve "20 40 12.3 -12 00 05" --out star.ecsv
    """
    from tomoe_explore.analysis.light_curve_file import plain_table, write_light_curve

    lc = opened(archive).light_curve(position, radius, night=night)
    written = write_light_curve(lc, out) if out else None
    points = plain_table(lc)
    if wants_json(as_json):
        units = {name: str(points[name].unit or "") for name in points.colnames}
        columns = {} if written else {"columns": {name: points[name].tolist() for name in points.colnames}}
        document({"n_points": len(points), "path": written, "units": units, "meta": dict(points.meta), **columns})
    elif written:
        typer.echo(f"{written}: {len(points)} points of {points.meta.get('LABEL', position)}")
    else:
        points.write(_standard_output(), format="ascii.ecsv")


def _standard_output() -> Any:
    return typer.get_text_stream("stdout")


def periodogram(
    position: PositionArgument,
    *,
    radius: RadiusOption = "3arcsec",
    night: NightOption = None,
    minimum_frequency: Annotated[
        float | None, typer.Option("--min", metavar="F", help="Lowest frequency, 1/d.")
    ] = None,
    maximum_frequency: Annotated[
        float | None, typer.Option("--max", metavar="F", help="Highest frequency, 1/d.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw it: .png, .pdf or .svg.")] = None,
    archive: ArchiveOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find the periods of the object nearest to a position.

    Example: tomoe periodogram "20 40 12.3 -12 00 05" --plot periods.png
    """
    from tomoe_explore.analysis.periodogram import periodogram as compute

    lc = opened(archive).light_curve(position, radius, night=night)
    found = compute(lc, minimum_frequency=minimum_frequency, maximum_frequency=maximum_frequency)
    if plot:
        _draw(found, plot)
    if wants_json(as_json):
        document({**found.to_dict(), "meta": dict(lc.meta), "plot": plot})
    else:
        typer.echo(repr(found))


def _draw(found: Any, path: Path) -> None:
    from tomoe_explore.errors import ParameterError

    try:
        import matplotlib as mpl
    except ImportError:
        raise ParameterError("--plot needs matplotlib (pip install 'tomoe-explore[views]')") from None
    mpl.use("agg")
    try:
        found.plot().figure.savefig(path, dpi=150)
    except (OSError, ValueError) as error:
        raise ParameterError(f"{path} cannot be drawn: {error}") from None
