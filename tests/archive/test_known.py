"""Films that need no more work: done, or failed for a reason of their own; what may pass is tried again."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.archive.reductions import make_exposure, make_film
from tomoe_explore import errors
from tomoe_explore.archive import Archive


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
