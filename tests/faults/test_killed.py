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
    """An unbroken run with one or two processes: how long it takes, how many calls write; also with calibrations."""

    seconds: float
    calls: int
    calls_of_night: int


@dataclass(frozen=True)
class Kill:
    """When a run is killed: a part of its life, 0 to 1."""

    kind: str
    part: float


KINDS = (
    "moment", "write of a night with its calibrations", "write of two workers",
    "moment of the real command with two workers",
)  # fmt: skip


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
    seconds, calls = [], []
    for begun, films in (("masters", ()), ("empty", whole_night(harness))):
        archive = harness.archive(begun)
        switch = harness.switch(archive, Mode.COUNT)
        start = time.monotonic()
        harness.rerun(archive, *films, switch=switch)
        seconds.append(time.monotonic() - start)
        calls.append(switch.calls)
        harness.assert_whole_exposures(archive, harness.films())
        harness.assert_complete(archive, harness.films())
    return Life(seconds[0], *calls)


def whole_night(harness: Harness) -> tuple[Path, Path]:
    return harness.night.calibrations, harness.night.sky


@pytest.mark.timeout(7200)
def test_killed_and_run_again(harness: Harness, life: Life, sample: int | None) -> None:
    killed: list[bool] = []

    def case(kill: Kill) -> None:
        night = whole_night(harness) if "calibrations" in kill.kind else ()
        archive = harness.archive("empty" if night else "masters")
        run = killed_run(harness, life, archive, kill, night)
        killed.append(run.wait() == -9)
        try:
            harness.assert_sound(archive, notes=True)
            harness.assert_whole_exposures(archive, harness.films())
            harness.rerun(archive, *night)
            harness.assert_complete(archive, harness.films())
        except AssertionError as error:
            raise AssertionError(f"{kill} in {archive}") from error

    each(case, kills(sample or 100))
    assert sum(killed) > len(killed) / 2, "killed too late to show anything"


def killed_run(harness: Harness, life: Life, archive: Path, kill: Kill, night: tuple[Path, ...]) -> Running:
    if kill.kind.startswith("write"):
        calls = life.calls_of_night if night else life.calls
        switch = harness.switch(archive, Mode.KILL, 1 + int(kill.part * calls))
        return harness.reduce(archive, *night, switch=switch, workers=2 if "two" in kill.kind else None)
    before = files(archive)
    real = "real" in kill.kind
    run = harness.reduce(archive, real=real, workers=2 if real else None)
    if real:  # not while Python starts
        until(lambda: files(archive) - before, run)
    end = time.monotonic() + kill.part * life.seconds
    until(lambda: time.monotonic() > end, run)
    run.kill()
    return run
