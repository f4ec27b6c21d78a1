"""Films that are none, or not whole yet, among good ones."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.harness import Harness
from tests.faults.night import DETECTORS
from tests.faults.test_registry import two_films


def first_part(n: int) -> Callable[[bytes], bytes]:
    return lambda content: content[:n]


@pytest.mark.parametrize(
    ("spoil", "kind"),
    [
        (first_part(-500_000), "truncated"),
        (first_part(3_000), "truncated"),
        (first_part(1_000), "not-fits|truncated"),
        (first_part(0), "not-fits|truncated"),
        (lambda content: b"<html>404</html>", "not-fits"),
        (lambda content: gzip.compress(content, 1)[:-100_000], "not-fits|truncated"),
    ],
)
def test_a_film_that_is_not_whole(harness: Harness, tmp_path: Path, spoil: Callable[[bytes], bytes], kind: str) -> None:
    """It fails by its name, the other film of its exposure is there; once it is whole, both are."""
    good, bad = two_films(harness)
    archive = harness.archive("masters")
    late = tmp_path / bad.name
    late.write_bytes(spoil(bad.read_bytes()))
    run = harness.reduce(archive, good, late)
    assert run.wait() == 1
    (failed,) = (outcome for outcome in run.outcomes if outcome["status"] == "failed")
    assert failed["film"] == str(late)
    assert failed["error_kind"] in kind.split("|")
    harness.assert_sound(archive, notes=True)
    film = harness.films(1, DETECTORS[1:2])
    harness.assert_whole_exposures(archive, harness.films(1, DETECTORS[:2]), film)
    shutil.copyfile(bad, late)
    harness.rerun(archive, good, late)
    harness.assert_complete(archive, harness.films(1, DETECTORS[:2]))
