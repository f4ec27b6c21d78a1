"""What happens to one film: it becomes a master or a reduction in the archive, or a failure with a reason."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from tomoe_explore import raw
from tomoe_explore.archive import Archive
from tomoe_explore.data import Exposure, Film, Masters, Provenance, Reduction, Refcat
from tomoe_explore.environment import code, environment
from tomoe_explore.errors import NoMastersError, ReservedError, TomoeError
from tomoe_explore.operations.run import Outcome, failure
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


def work_on(task: Task) -> Outcome:
    """Make a master of a dark or flat, a reduction of a film of the sky; an error becomes an outcome."""
    start = time.perf_counter()
    work: Callable[[Task], Outcome] = _reduce if task.exposure.kind == "object" else _master
    try:
        outcome = work(task)
    except ReservedError as error:
        outcome = replace(_outcome(task), status="skipped", error_kind=error.kind, message=str(error))
    except Exception as error:
        outcome = failure(_outcome(task), error)
    return replace(outcome, seconds=round(time.perf_counter() - start, 3))


def _outcome(task: Task) -> Outcome:
    exposure = task.exposure
    return Outcome(
        str(task.path), "done", exposure.kind, exposure_id=exposure.exposure_id, detector_id=exposure.detector_id
    )


def _master(task: Task) -> Outcome:
    archive, exposure = task.archive, task.exposure
    known = archive.master_of(task.path)
    if known is not None:
        return replace(_outcome(task), status="skipped", master_id=known, message="mastered already")
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
    return replace(_outcome(task), master_id=master_id)


def _reduce(task: Task) -> Outcome:
    archive = task.archive
    film, error = _opened(task)
    reservation = archive.begin(task.exposure, task.path, checksum=film.checksum if film else None, force=task.force)
    if reservation is None:
        done = archive.reduction_of(task.path)
        newer = archive.superseded_by(done) if done else None
        word = f"reduced already, superseded by {newer}; force makes it current again" if newer else "reduced already"
        return replace(_outcome(task), status="skipped", reduction_id=done, message=word)
    reduction_id = reservation.reduction_id
    try:
        if error is not None:
            raise error
        film = film or raw.open_film(task.path, checksum=reservation.film_checksum)
        masters = Masters() if film.calibrated else archive.find_masters(task.exposure)
        refcat = _refcat(task)
        reduction = reduce_film(film, masters, refcat, parameters=task.parameters, reduction_id=reduction_id)
        archive.commit(reduction, _provenance(task, film.checksum, refcat, reduction))
    except Exception as error:
        archive.fail(reservation, error)
        return failure(replace(_outcome(task), reduction_id=reduction_id), error)
    finally:
        # after Ctrl-C a notebook keeps this frame alive; the film must be free for the next try all the same
        del reservation
    return replace(_outcome(task), reduction_id=reduction_id)


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
