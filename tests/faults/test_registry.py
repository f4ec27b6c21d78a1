"""The registry is locked for longer than anyone waits, vanishes for a while, or its server is restarted."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.faults.harness import Harness, files, until
from tests.faults.night import DETECTORS
from tests.faults.test_no_space import exposure_of, of_detectors
from tests.postgres import Server


def two_films(harness: Harness) -> list[Path]:
    """Of one exposure."""
    films = of_detectors(harness.night.sky, DETECTORS[:2])
    return [path for path in films if exposure_of(path) == harness.night.exposures[0]]


def test_locked_for_too_long(harness: Harness) -> None:
    archive, films = harness.archive("masters"), harness.films(1, DETECTORS[:2])
    before = files(archive)
    run = harness.reduce(archive, *two_films(harness), patience_s=0.3)
    until(lambda: files(archive) - before, run)
    with closing(sqlite3.connect(archive / "registry.sqlite", isolation_level=None, timeout=10)) as other:
        other.execute("BEGIN EXCLUSIVE")
        status = run.wait()
    assert status == 1
    assert "database is locked; another process held it" in run.messages
    assert "Traceback" not in run.messages
    harness.assert_sound(archive, notes=True)
    harness.assert_whole_exposures(archive, films, run.failed)
    harness.rerun(archive, *two_films(harness))
    harness.assert_complete(archive, films)


@pytest.mark.parametrize("workers", [None, pytest.param(2, marks=pytest.mark.slow)])
def test_vanished_for_a_while(harness: Harness, workers: int | None) -> None:
    archive, films = harness.archive("masters"), harness.films(1, DETECTORS[:2])
    registry, away = archive / "registry.sqlite", archive.with_suffix(".away")
    before = files(archive)
    run = harness.reduce(archive, *two_films(harness), workers=workers)
    until(lambda: files(archive) - before, run)
    registry.rename(away)
    end = time.monotonic() + 5
    until(lambda: time.monotonic() > end, run)
    assert not registry.exists(), "an empty registry was made in its place"
    away.rename(registry)
    assert run.wait() in (0, 1)
    assert "Traceback" not in run.messages
    harness.assert_sound(archive, notes=True)
    harness.assert_whole_exposures(archive, films, run.failed)
    harness.rerun(archive, *two_films(harness))
    harness.assert_complete(archive, films)


def test_the_server_crashes_and_comes_back(harness: Harness, postgres: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    archive, films = harness.home / "on-postgresql", harness.films(1, DETECTORS[:1])
    url = postgres.new_database()
    monkeypatch.setenv("TOMOE_DATABASE", url)
    paths = [*of_detectors(harness.night.calibrations, DETECTORS[:1]), two_films(harness)[0]]
    init = harness.start(archive, "init", TOMOE_DATABASE=url)
    assert init.wait() == 0, init.messages
    run = harness.reduce(archive, *paths, TOMOE_DATABASE=url)
    until(lambda: len(files(archive)) > 2, run)
    postgres.stop("immediate")
    postgres.start()
    assert run.wait() in (0, 1)
    assert "Traceback" not in run.messages
    harness.assert_sound(archive, notes=True)
    harness.assert_whole_exposures(archive, films, run.failed)
    harness.rerun(archive, *paths, TOMOE_DATABASE=url)
    harness.assert_complete(archive, films, DETECTORS[:1])
