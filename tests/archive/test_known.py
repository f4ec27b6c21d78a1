"""Films that need no more work: done, or failed for a reason of their own; what may pass is tried again."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.archive.reductions import make_exposure, make_film, make_master, reduce_film
from tomoe_explore import errors, raw
from tomoe_explore.archive import Archive
from tomoe_explore.archive.known import Finished


@pytest.mark.both_databases
@pytest.mark.parametrize(
    ("error", "settled"),
    [
        (errors.TruncatedFilmError("x"), True), (errors.CloudError("x"), True), (errors.PoorSolutionError("x"), True),
        (errors.NoReferenceStarsError("x"), True), (errors.ZeropointError("x"), True),
        (errors.NoMastersError("x"), False), (errors.ArchiveError("x"), False), (errors.RefcatError("x"), False),
        (errors.FilmError("cannot be read"), False), (errors.WorkerDiedError("x"), True),
        (FileNotFoundError(2, "the catalog's disk is not mounted"), False), (OSError(5, "Input/output error"), False),
        (MemoryError(), False),
    ],
)  # fmt: skip
def test_what_is_settled(archive: Archive, tmp_path: Path, error: Exception, settled: bool) -> None:
    film = make_film(tmp_path, make_exposure())
    reservation = archive.begin(make_exposure(), film)
    assert reservation is not None
    archive.fail(reservation, error)
    stat = film.stat()
    assert archive.settled([(str(film), stat.st_size, stat.st_mtime_ns)]) == ({str(film)} if settled else set())
    assert archive.settled([(str(film), stat.st_size, stat.st_mtime_ns + 1)]) == set()


@pytest.mark.both_databases
def test_what_films_became(archive: Archive, tmp_path: Path) -> None:
    exposure = make_exposure()
    film, copy = make_film(tmp_path, exposure), tmp_path / "copy.fits"
    copy.write_bytes(film.read_bytes() + b"another file of this exposure")
    place = ("object", exposure.night, exposure.exposure_id, exposure.detector_id)

    def finished(path: Path) -> Finished | None:
        return archive.finished([(str(path), path.stat().st_size, path.stat().st_mtime_ns)]).get(str(path))

    assert finished(film) is None
    first = reduce_film(archive, film, exposure)
    assert finished(film) == Finished(*place, first, None, None)
    second = reduce_film(archive, film, exposure, force=True)
    assert finished(film) == Finished(*place, second, None, None)
    third = reduce_film(archive, copy, exposure)
    assert finished(film) == Finished(*place, second, third, None)
    assert finished(copy) == Finished(*place, third, None, None)
    os.utime(film, ns=(0, 0))
    assert finished(film) is None, "a film that has changed is another one"


def test_what_calibrations_became(archive: Archive, tmp_path: Path) -> None:
    master = make_master("dark")
    film = make_film(tmp_path, master.exposure)
    archive.add_master(master, film_checksum=raw.checksum(film), film_path=film)
    ((path, became),) = archive.finished([(str(film), film.stat().st_size, film.stat().st_mtime_ns)]).items()
    assert (path, became.kind, became.master_id, became.reduction_id) == (str(film), "dark", master.master_id, None)
