"""What happens to a film: it becomes a master, or is staged and published with its exposure, or fails with a reason."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from tomoe_explore import raw
from tomoe_explore.archive import Archive
from tomoe_explore.archive.known import Finished
from tomoe_explore.archive.reserve import Reservation
from tomoe_explore.archive.stage import Staged
from tomoe_explore.data import Exposure, Film, Masters, Provenance, Reduction, Refcat
from tomoe_explore.environment import code, environment
from tomoe_explore.errors import ArchiveError, NoMastersError, ReservedError, TomoeError
from tomoe_explore.operations.run import Outcome, Worked, failure
from tomoe_explore.operations.stars import cached_refcat
from tomoe_explore.reduction.masters import make_dark, make_flat
from tomoe_explore.reduction.recipe import Parameters, reduce_film


@dataclass(frozen=True)
class Task:
    """A film to work on, and with what.

    Attributes
    ----------
    path : Path
    exposure : Exposure
        What the film's header says.
    archive : Archive
    refcat : Path or None
        Reference catalog; films of the sky need one.
    parameters : Parameters or None
        Of the recipe.
    force : bool
        Whether a film that is done is reduced again.
    """

    path: Path
    exposure: Exposure
    archive: Archive
    refcat: Path | None = None
    parameters: Parameters | None = None
    force: bool = False


@dataclass(frozen=True)
class Publication:
    """Films of one exposure that are staged."""

    archive: Archive
    films: tuple[Worked, ...]


def work_on(work: Task | Publication) -> tuple[Worked, ...]:
    """Make a master of a dark or flat, stage a film of the sky, or publish an exposure; errors become outcomes."""
    return publish(work) if isinstance(work, Publication) else (_film(work),)


def publish(publication: Publication) -> tuple[Worked, ...]:
    """Publish an exposure: all its films are done, or failed for the same reason."""
    archive = publication.archive
    staged = [film.staged for film in publication.films if film.staged is not None]
    try:
        lost = archive.publish(staged)
    except Exception as error:
        return tuple(fail(archive, film.staged, film.outcome, error) for film in publication.films)
    taken = ArchiveError("another process took the film over, or gave it up, before its exposure was published")
    return tuple(
        Worked(failure(film.outcome, taken) if film.staged in lost else film.outcome) for film in publication.films
    )


def skipped(path: Path, film: Finished) -> Outcome:
    """The outcome of a film that the archive has."""
    word, newer = "mastered already" if film.master_id else "reduced already", film.superseded_by
    if newer:
        word += f", superseded by {newer}; force makes it current again"
    return Outcome(
        str(path), "skipped", film.kind, film.exposure_id, film.detector_id, film.reduction_id, film.master_id,
        message=word,
    )  # fmt: skip


def fail(archive: Archive, held: Reservation | Staged | None, outcome: Outcome, error: Exception) -> Worked:
    """Record that a film failed."""
    if held is not None:
        with suppress(TomoeError):  # such as a full disk, which is why it failed; its process' end frees the film
            archive.fail(held, error)
    return Worked(failure(outcome, error))


def _film(task: Task) -> Worked:
    start = time.perf_counter()
    work: Callable[[Task], Worked] = _reduce if task.exposure.kind == "object" else _master
    try:
        film = work(task)
    except ReservedError as error:
        film = Worked(replace(_outcome(task), status="skipped", error_kind=error.kind, message=str(error)))
    except Exception as error:
        _end_if_interrupted(error)
        film = Worked(failure(_outcome(task), error))
    return replace(film, outcome=replace(film.outcome, seconds=round(time.perf_counter() - start, 3)))


def _end_if_interrupted(error: Exception) -> None:
    """Ctrl-C in compiled code comes out of numba as an error of another kind."""
    if isinstance(error, SystemError) and isinstance(error.__cause__ or error.__context__, KeyboardInterrupt):
        raise KeyboardInterrupt from error


def _outcome(task: Task) -> Outcome:
    exposure = task.exposure
    return Outcome(
        str(task.path), "done", exposure.kind, exposure_id=exposure.exposure_id, detector_id=exposure.detector_id
    )


def _master(task: Task) -> Worked:
    archive, exposure = task.archive, task.exposure
    known = archive.master_of(task.path)
    if known is not None:
        e = task.exposure
        return Worked(skipped(task.path, Finished(e.kind, e.night, e.exposure_id, e.detector_id, None, None, known)))
    film = raw.open_film(task.path)
    dark = None
    if exposure.kind == "dark":
        master = make_dark(film)
    else:
        try:
            dark = archive.find_masters(exposure).dark
        except NoMastersError:
            # flats are often taken at another cadence than darks; a dark is a fraction of a percent of their light
            dark = None
        master = make_flat(film, dark)
    master_id = archive.add_master(
        master, film_checksum=film.checksum, film_path=task.path,
        dark_id=dark.master_id if dark else None, code_version=code().version,
    )  # fmt: skip
    return Worked(replace(_outcome(task), master_id=master_id))


def _reduce(task: Task) -> Worked:
    archive = task.archive
    film, error = _opened(task)
    reservation = archive.begin(task.exposure, task.path, checksum=film.checksum if film else None, force=task.force)
    if reservation is None:
        done = archive.reduction_of(task.path)
        newer = archive.superseded_by(done) if done else None
        e = task.exposure
        return Worked(
            skipped(task.path, Finished("object", e.night, e.exposure_id, e.detector_id, done, newer, master_id=None))
        )
    reduction_id = reservation.reduction_id
    try:
        if error is not None:
            raise error
        film = film or raw.open_film(task.path, checksum=reservation.film_checksum)
        masters = Masters() if film.calibrated else archive.find_masters(task.exposure)
        refcat = _refcat(task)
        reduction = reduce_film(film, masters, refcat, parameters=task.parameters, reduction_id=reduction_id)
        staged = archive.stage(reduction, _provenance(task, film.checksum, refcat, reduction))
    except Exception as error:
        _end_if_interrupted(error)
        return fail(archive, reservation, replace(_outcome(task), reduction_id=reduction_id), error)
    finally:
        # after Ctrl-C a notebook keeps this frame alive; the film must be free for the next try all the same
        del reservation
    return Worked(replace(_outcome(task), reduction_id=reduction_id), staged)


def _opened(task: Task) -> tuple[Film | None, TomoeError | None]:
    """A film that the archive does not know, read while its checksum is made, or why it cannot be read."""
    if task.archive.checksum_of(task.path) is not None:
        return None, None
    try:
        return raw.open_film(task.path), None
    except TomoeError as error:  # recorded once the film has a reservation
        return None, error


def _provenance(task: Task, checksum: str, refcat: Refcat, reduction: Reduction) -> Provenance:
    return Provenance(
        reduction.reduction_id, str(task.path.resolve()), checksum, reduction.dark_id, reduction.flat_id,
        refcat.name, refcat.checksum, code().version, code().dirty, reduction.parameters, environment(),
    )  # fmt: skip


def _refcat(task: Task) -> Refcat:
    if task.refcat is None:
        raise TomoeError(f"a film of the sky needs a reference catalog ({task.exposure.where})")
    return cached_refcat(task.refcat, task.refcat.stat().st_mtime_ns)
