"""Films that are none, or not whole yet, among good ones."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Callable
from pathlib import Path

from tests.faults.harness import Harness
from tomoe_explore import raw

#: What is wrong with each film but the last, and the errors that may say so.
SPOILT: list[tuple[Callable[[bytes], bytes], str]] = [
    (lambda content: content[:-500_000], "truncated"),
    (lambda content: content[:3_000], "truncated"),
    (lambda content: b"<html>404</html>", "not-fits"),
    (lambda content: b"", "not-fits truncated"),
    (lambda content: gzip.compress(content, 1)[:-100_000], "not-fits truncated"),
]


def test_films_that_are_not_whole(harness: Harness, tmp_path: Path) -> None:
    """Each fails by its name, the good one is there; once they are whole, all are."""
    archive, films = harness.archive("masters"), harness.night.films
    late = [tmp_path / path.name for path in films]
    kinds = {}
    for path, bad, (spoil, kind) in zip(films, late, SPOILT, strict=False):
        bad.write_bytes(spoil(path.read_bytes()))
        kinds[str(bad)] = kind
    shutil.copyfile(films[-1], late[-1])
    run = harness.reduce(archive, *late)
    assert run.wait() == 1
    failed = {outcome["film"]: outcome["error_kind"] for outcome in run.outcomes if outcome["status"] == "failed"}
    assert failed.keys() == kinds.keys()
    assert all(failed[film] in kinds[film].split() for film in failed), failed
    assert all(film in run.messages for film in failed)
    exposure = raw.read_exposure(films[-1])
    good = (exposure.exposure_id, exposure.detector_id)
    harness.assert_sound(archive, notes=True)
    harness.assert_whole_exposures(archive, harness.films(), harness.films() - {good})
    for path, bad in zip(films, late, strict=True):
        shutil.copyfile(path, bad)
    harness.rerun(archive, *late)
    harness.assert_complete(archive, harness.films())
