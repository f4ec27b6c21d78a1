"""Two who reduce the same night at once; a job whose notebook is killed."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

import tomoe_explore as te
from tests.faults.harness import Harness, until
from tests.faults.night import DETECTORS
from tests.faults.test_registry import two_films


def test_two_reducers_of_one_night(harness: Harness) -> None:
    archive, night = harness.archive("empty"), (harness.night.calibrations, harness.night.sky)
    runs = [harness.reduce(archive, *night) for _ in range(2)]
    for run in runs:
        status = run.wait()
        # 1 for films that the other one had under way: they may not be done yet
        assert status == any(outcome["error_kind"] == "reserved" for outcome in run.outcomes), run.messages
    done = [o["film"] for run in runs for o in run.outcomes if o["status"] == "done" and o["kind"] == "object"]
    assert sorted(done) == sorted(map(str, harness.night.films))
    harness.assert_whole_exposures(archive, harness.films())
    harness.assert_complete(archive, harness.films())


def submit(archive: str, films: list[str], refcat: str, told: str) -> None:
    """Be a notebook's kernel."""
    os.setsid()
    job = te.submit(films, archive, refcat)
    Path(told).write_text(str(job.job_id))
    time.sleep(600)


@pytest.mark.slow  # by default tests/operations/test_job.py has one
def test_a_job_outlives_its_kernel(harness: Harness) -> None:
    archive, told = harness.archive("masters"), harness.home / "job-id"
    words = (str(archive), list(map(str, two_films(harness))), str(harness.night.refcat), str(told))
    kernel = harness.process(submit, words)
    until(lambda: told.exists() and told.read_text())
    os.killpg(kernel.pid or 0, 9)
    kernel.join()
    job = te.job(te.open_archive(archive), int(told.read_text()))
    assert job.state in ("queued", "running")
    assert job.wait(120) == "done", job.log()
    assert (job.progress.done, job.progress.failed) == (2, 0)
    films = harness.films(1, DETECTORS[:2])
    harness.assert_whole_exposures(archive, films)
    harness.rerun(archive, *two_films(harness))
    harness.assert_complete(archive, films)
