"""SIGKILL to the whole process group, at random moments of its life and at random calls that write."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tests.faults.harness import Harness, Running, each, files, until
from tests.faults.no_space import Mode


@dataclass(frozen=True)
class Life:
    """An unbroken run with one or two processes: how long it takes, how many calls write."""

    seconds: float
    calls: int


@dataclass(frozen=True)
class Kill:
    """When a run is killed: a part of its life, 0 to 1."""

    kind: str
    part: float


KINDS = ("moment", "write", "write of two workers", "moment of the real command with two workers")


def kills(n: int) -> list[Kill]:
    """All kinds in turn, each spread over the life of the run."""
    rng = np.random.default_rng(20200814)
    rounds = -(-n // len(KINDS))
    parts = (
        rng.permuted(np.tile(np.arange(rounds), (len(KINDS), 1)), axis=1) + rng.random((len(KINDS), rounds))
    ) / rounds
    return [Kill(KINDS[k % len(KINDS)], float(parts[k % len(KINDS), k // len(KINDS)])) for k in range(n)]


@pytest.fixture(scope="module")
def life(harness: Harness) -> Life:
    archive = harness.archive("masters")
    switch = harness.switch(archive, Mode.COUNT)
    start = time.monotonic()
    harness.rerun(archive, switch=switch)
    seconds = time.monotonic() - start
    harness.assert_whole_exposures(archive, harness.films())
    harness.assert_complete(archive, harness.films())
    return Life(seconds, switch.calls)


@pytest.mark.timeout(7200)
def test_killed_and_run_again(harness: Harness, life: Life, sample: int | None) -> None:
    killed: list[bool] = []

    def case(kill: Kill) -> None:
        archive = harness.archive("masters")
        run = killed_run(harness, life, archive, kill)
        killed.append(run.wait() == -9)
        try:
            harness.assert_sound(archive, notes=True)
            harness.assert_whole_exposures(archive, harness.films())
            harness.rerun(archive)
            harness.assert_complete(archive, harness.films())
        except AssertionError as error:
            raise AssertionError(f"{kill} in {archive}") from error

    each(case, kills(sample or 100))
    assert sum(killed) > len(killed) / 2, "killed too late to show anything"


def killed_run(harness: Harness, life: Life, archive: Path, kill: Kill) -> Running:
    if kill.kind.startswith("write"):
        switch = harness.switch(archive, Mode.KILL, 1 + int(kill.part * life.calls))
        return harness.reduce(archive, switch=switch, workers=2 if "two" in kill.kind else None)
    before = files(archive)
    real = "real" in kill.kind
    run = harness.reduce(archive, real=real, workers=2 if real else None)
    if real:  # not while Python starts
        until(lambda: files(archive) - before, run)
    end = time.monotonic() + kill.part * life.seconds
    until(lambda: time.monotonic() > end, run)
    run.kill()
    return run
