"""At any call that writes: no space is left, or the disk fails, from there on or at that one only; or SIGKILL."""

from __future__ import annotations

import re
from itertools import groupby
from pathlib import Path

import pytest

from tests.faults.content import Films
from tests.faults.harness import Harness, each
from tests.faults.night import DETECTORS
from tests.faults.no_space import Mode
from tomoe_explore import raw

#: How the disk is named, by us, the system, or SQLite.
DISK = re.compile(r"(is|no) space (is )?left|disk is full|disk I/O error|Input/output error", re.IGNORECASE)


def chosen(calls: list[str], mode: Mode, n: int | None) -> list[int]:
    """Numbers of calls, from 1: so many, spread over the kinds of calls; or all of them, but where only one fails or
    is the last, the first of each row of like calls on the same file."""
    numbered = list(enumerate(calls, 1))
    if n is None and mode is Mode.FROM:
        return [number for number, _ in numbered]
    rows = [[number for number, _ in row] for _, row in groupby(numbered, key=lambda pair: pair[1])]
    if n is None:
        return [row[0] for row in rows]
    if mode is Mode.KILL:  # when all is registered, and nothing cleared away yet
        rows = [
            row for row in rows if calls[row[0] - 1].startswith("fdatasync") and "registry" not in calls[row[0] - 1]
        ]
        return [row[0] for row in rows[-n:]]
    picked = [rows[int((k + 0.5) / n * len(rows))] for k in range(n)]
    return [row[len(row) // 2] for row in picked]


def night_of(harness: Harness, what: str) -> tuple[str, list[Path], Films, tuple[int, ...]]:
    """The archive to begin with, films to reduce; then which films of the sky and whose masters it must have."""
    night = harness.night
    if what == "calibrations":
        return "empty", of_detectors(night.calibrations, DETECTORS[:1]), set(), DETECTORS[:1]
    sky = [path for path in of_detectors(night.sky, DETECTORS[:2]) if exposure_of(path) == night.exposures[0]]
    return "masters", sky, harness.films(1, DETECTORS[:2]), DETECTORS


def of_detectors(folder: Path, detectors: tuple[int, ...]) -> list[Path]:
    return [path for path in raw.find_films(folder) if raw.read_exposure(path).detector_id in detectors]


def exposure_of(path: Path) -> int:
    return raw.read_exposure(path).exposure_id


@pytest.mark.timeout(7200)
@pytest.mark.parametrize("mode", [Mode.FROM, Mode.ONLY, Mode.KILL], ids=lambda mode: mode.name)
@pytest.mark.parametrize("what", ["calibrations", "sky"])
def test_at_a_call_that_writes(harness: Harness, sample: int | None, mode: Mode, what: str) -> None:
    """A dark and a flat, or two films of an exposure whose masters are there."""
    like, paths, films, masters = night_of(harness, what)
    archive = harness.archive(like)
    unbroken = harness.switch(archive, Mode.COUNT)
    harness.rerun(archive, *paths, switch=unbroken)

    def case(at: int) -> None:
        archive = harness.archive(like)
        switch = harness.switch(archive, mode, at)
        run = harness.reduce(archive, *paths, switch=switch)
        status = run.wait()
        try:
            assert switch.met, "the call did not come"
            assert status == -9 if mode is Mode.KILL else status in (0, 1)
            assert "Traceback" not in run.messages
            assert status != 1 or DISK.search(run.messages)
            harness.assert_sound(archive, notes=True)
            harness.assert_whole_exposures(archive, films, run.failed)
            harness.rerun(archive, *paths)
            harness.assert_complete(archive, films, masters)
        except AssertionError as error:
            raise AssertionError(f"{mode.name} {at}, {switch.met}: {run.messages}") from error

    each(case, chosen(unbroken.listed, mode, None if sample is None else max(sample // 4, 1)))
