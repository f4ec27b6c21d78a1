"""Verbs that make or reduce films: simulate, refcat import, masters, reduce."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tomoe_explore.cli.options import ArchiveOption, JsonOption, Quiet, Workers, archive_path, opened, wants_json
from tomoe_explore.cli.output import document, ended, message, print_table

if TYPE_CHECKING:
    from tomoe_explore.archive import Archive
    from tomoe_explore.data import Refcat

Films = Annotated[list[Path], typer.Argument(metavar="FILES_OR_DIRS...", help="Films, or directories of films.")]


def simulate(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Directory for the films.")],
    *,
    night: Annotated[str, typer.Option(metavar="NIGHT", help="Local date, YYYY-MM-DD.")] = "2020-08-14",
    detectors: Annotated[str, typer.Option(metavar="ID,ID…", help="Detectors (111 to 444).")] = "111,112",
    exposures: Annotated[int, typer.Option(help="Exposures of the sky.")] = 3,
    frames: Annotated[int, typer.Option(help="Frames of each film.")] = 18,
    seed: Annotated[int, typer.Option(help="The same seed gives the same films.")] = 1,
    stars: Annotated[Path | None, typer.Option(metavar="FILE", help="Real stars. [default: a synthetic sky]")] = None,
    center: Annotated[str | None, typer.Option(metavar="RA,DEC", help="Where the telescope points, deg.")] = None,
    movers: Annotated[int, typer.Option(help="Moving objects a detector.")] = 1,
    streaks: Annotated[int, typer.Option(help="Streaks a film.")] = 1,
    flares: Annotated[int, typer.Option(help="Flaring stars a detector.")] = 0,
    seeing: Annotated[
        float | None, typer.Option(metavar="ARCSEC", help="Width of star images. [default: 2.5 to 4.5]")
    ] = None,
    moon: Annotated[float, typer.Option(help="Moonlight, 0 to 1.")] = 0.0,
    cloud: Annotated[float, typer.Option(metavar="MAG", help="Typical extinction by passing clouds.")] = 0.0,
    mistake: Annotated[
        str | None, typer.Option(metavar="NAME", help="An observer's mistake: dome, twilight, defocus, pointing, …")
    ] = None,
    gain: Annotated[str, typer.Option(metavar="MODE", help="Gain mode: high, mid or low.")] = "high",
    workers: Annotated[int, typer.Option(metavar="N", min=1, help="Processes; the films do not depend on it.")] = 1,
    quiet: Quiet = False,
    archive: ArchiveOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make raw films, darks and flats with known truth.

    OUT/truth/*.parquet says what was put in; OUT/refcat.parquet is what an observer would have.

    Example: tomoe simulate raw --detectors 112 --exposures 3 --seed 1
    """
    from tomoe_explore.simulate import simulate as make

    night_made = make(
        out, night=night, detectors=_numbers(detectors, "--detectors"), exposures=exposures, frames=frames,
        seed=seed, stars=stars, center=_center(center), movers=movers, streaks=streaks, flares=flares, seeing=seeing,
        moon=moon, cloud=cloud, mistake=mistake, gain=gain, workers=workers, progress=not quiet,
    )  # fmt: skip
    if not wants_json(as_json):
        typer.echo(repr(night_made))
        return
    files = {name: [str(p) for p in getattr(night_made, name)] for name in ("films", "darks", "flats")}
    truth = str(night_made.out / "truth")
    document({**files, "refcat": str(night_made.refcat), "truth": truth, "center": night_made.center, "seed": seed})


def refcat_import(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Parquet, CSV, ECSV, FITS or VOTable.")],
    *,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="What to write. [default: NAME.refcat.parquet here]")
    ] = None,
    epoch: Annotated[
        float | None, typer.Option(help="Julian year of the positions, if the table does not say.")
    ] = None,
    archive: ArchiveOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a reference catalog of a star table in other columns or units.

    An archive that is there uses it from now on where `tomoe reduce` names none.

    Example: tomoe refcat import gaia.csv --out stars.parquet
    """
    from tomoe_explore.refcat import import_refcat

    target = out or Path(f"{file.name.split('.')[0]}.refcat.parquet")
    stars = import_refcat(file, target, epoch=epoch)
    where = _remember(stars, target, archive)
    if wants_json(as_json):
        document({"path": str(target), "name": stars.name, "stars": len(stars), "checksum": stars.checksum,
                  "archive": where})  # fmt: skip
    else:
        noted = f"; archive {where} uses it from now on" if where else ""
        typer.echo(f"{target}: {len(stars)} stars, catalog {stars.name!r}{noted}")


def _remember(stars: Refcat, path: Path, archive: Path | None) -> str | None:
    """Enter a catalog in the archive: in one that was named, or in the default one if it exists."""
    from tomoe_explore.errors import ArchiveError

    try:
        home = opened(archive)
    except ArchiveError:
        if archive_path(archive) is not None:
            raise
        return None
    home.add_refcat(stars, path)
    return str(home.root)


def masters(
    files: Films,
    *,
    workers: Workers = None,
    quiet: Quiet = False,
    archive: ArchiveOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put master darks and flats of the films into the archive; films of the sky are left alone.

    Example: tomoe masters raw/2020-08-14
    """
    from tomoe_explore.operations.reduce import make_masters

    ended(make_masters(files, opened(archive), executor=workers, progress=not quiet), as_json)


def reduce(
    files: Films,
    *,
    refcat: Annotated[
        Path | None, typer.Option(metavar="STARS.parquet", help="Reference catalog. [default: the archive's last]")
    ] = None,
    workers: Workers = None,
    scheduler: Annotated[str | None, typer.Option(metavar="tcp://…", help="Dask scheduler to work on.")] = None,
    mpcorb: Annotated[
        Path | None, typer.Option(metavar="MPCORB.DAT", help="Known objects: says which of them movers are.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Reduce again what is done: a new reduction.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say how many films are to do, and done.")] = False,
    quiet: Quiet = False,
    archive: ArchiveOption = None,
    as_json: JsonOption = False,
) -> None:
    """Reduce films into the archive: stacks, 2 Hz photometry, movers.

    Darks and flats among the films are mastered first. What is done already is skipped, so an interrupted run is
    simply started again. A film that fails, or that another process has under way, is named, and the others go on; the
    exit status is then 1.

    Example: tomoe reduce raw/2020-08-14 --refcat raw/2020-08-14/refcat.parquet --workers 2
    """
    from tomoe_explore.errors import ParameterError
    from tomoe_explore.operations.reduce import reduce as run

    if dry_run:
        _say_what_would_be_done(files, opened(archive), force, quiet, wants_json(as_json))
        return
    if scheduler and workers:
        raise ParameterError("--workers is for this machine and --scheduler for a cluster: give one of them")
    home = opened(archive)
    client = _client(scheduler) if scheduler else None
    try:
        done = run(files, home, refcat, executor=client or workers, force=force, mpcorb=mpcorb,
                   progress=not quiet)  # fmt: skip
    finally:
        if client is not None:
            client.close()
    ended(done, as_json)


def _say_what_would_be_done(files: list[Path], home: Archive, force: bool, quiet: bool, as_json: bool) -> None:
    from tomoe_explore.operations.plan import plan

    planned = plan(files, home, force=force, progress=not quiet)
    if as_json:
        document(planned.to_dict())
    else:
        rows = [[films.night, films.kind, films.to_do, films.done] for films in planned.films]
        print_table(("night", "kind", "to do", "done"), rows)
    for outcome in planned.unreadable:
        message(f"{outcome.film}: {outcome.error_kind}: {outcome.message}")
    if planned.unreadable:
        raise typer.Exit(1)


def _client(address: str) -> Any:
    from tomoe_explore.errors import ParameterError

    try:
        from distributed import Client
    except ImportError:
        raise ParameterError("--scheduler needs the package distributed (pip install 'tomoe-explore[scale]')") from None
    try:
        return Client(address, timeout="15s")
    except (OSError, ValueError, TimeoutError) as error:
        raise ParameterError(f"no Dask scheduler answers at {address}: {error}") from None


def _numbers(text: str, option: str) -> list[int]:
    from tomoe_explore.errors import ParameterError

    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise ParameterError(f"{option} must be numbers with commas between them, got {text!r}") from None


def _center(text: str | None) -> tuple[float, float] | None:
    from tomoe_explore.errors import ParameterError

    if text is None:
        return None
    try:
        ra, dec = (float(part) for part in text.split(","))
    except ValueError:
        raise ParameterError(f"--center must be RA,DEC in deg, such as 310.0,-12.0; got {text!r}") from None
    return ra, dec
