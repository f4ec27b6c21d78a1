"""Jobs in real processes: they outlive who submits them, end cleanly, and are taken up where they were cut off."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import tomoe_explore as te
from tests.databases import Databases
from tests.films import write_film
from tests.operations.test_reduce import same_rows
from tomoe_explore import errors
from tomoe_explore.archive import Archive
from tomoe_explore.archive import jobs as queue
from tomoe_explore.operations import job_process, job_reporter
from tomoe_explore.operations.job import Job
from tomoe_explore.operations.job_process import JobProcess
from tomoe_explore.operations.job_reporter import Reporter, Stopped
from tomoe_explore.operations.run import Outcome, Run

N_DARKS = 10

pytestmark = pytest.mark.timeout(200)


@pytest.fixture
def archive(tmp_path: Path, databases: Databases) -> Iterator[Archive]:
    """An empty archive; no job of it is left behind."""
    archive = Archive.create(tmp_path / "archive")
    limits(archive, workers=2, memory_gb=2)
    yield archive
    for job in te.jobs(archive):
        if job.state in ("queued", "running"):
            job.cancel()
            job.wait(60)


def limits(archive: Archive, **values: float) -> None:
    archive.layout.limits.write_text(json.dumps(values))


@pytest.fixture(scope="module")
def darks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Many small films that are quickly worked on."""
    folder = tmp_path_factory.mktemp("darks")
    rng = np.random.default_rng(5)
    adu = rng.integers(-5, 6, (6, 1128, 2156), dtype=np.int16)
    for k in range(N_DARKS):
        adu += np.int16(1)  # no two films, and no two masters, have the same content
        write_film(
            folder / f"rTMQ12020081400{3577 + k:06d}12.fits", adu, EXP_ID=3577 + k, DATA_TYP="DARK", OBJECT="DARK"
        )
    return folder


def until(true: Callable[[], object], timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.02)


def assert_each_dark_is_there_once(archive: Archive) -> None:
    exposures = archive.search(product="dark")["exposure_id"].tolist()
    assert sorted(exposures) == [3577 + k for k in range(N_DARKS)]
    assert_sound(archive)


def assert_sound(archive: Archive) -> None:
    """All that is there is whole and known, and nothing else is there."""
    known = archive.search(product="dark")
    for path, checksum in zip(known["path"], known["checksum"], strict=True):
        assert te.raw.checksum(path) == checksum
    assert {str(path) for path in (archive.root / "masters").rglob("*.fits")} == set(known["path"])
    staging = archive.root / "staging"
    assert not staging.exists() or not any(staging.iterdir())


def test_a_job_outlives_who_submits_it(archive: Archive, small_night: Path, first_run: tuple[Archive, Run]) -> None:
    code = (
        "import sys, time, tomoe_explore as te\n"
        "job = te.submit(sys.argv[1], sys.argv[2], sys.argv[1] + '/refcat.parquet')\n"
        "print(job.job_id, job.record.owner.pid, flush=True)\n"
        "time.sleep(100)"
    )
    command = [sys.executable, "-c", code, str(small_night), str(archive.root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as notebook:
        assert notebook.stdout is not None
        job_id, pid = map(int, notebook.stdout.readline().split())
        assert os.getsid(pid) != os.getsid(notebook.pid)
        os.killpg(notebook.pid, signal.SIGKILL)
    job = te.job(archive, job_id)
    assert job.state in ("queued", "running")
    with pytest.raises(TimeoutError, match="still"):
        job.wait(0)
    assert job.wait(120) == "done", job.log()
    progress = job.progress
    assert (progress.total, progress.done, progress.failed) == (4, 4, 0)
    assert [outcome.kind for outcome in job.run.done] == ["dark", "flat", "object", "object"]
    for table in ("photometry", "sources", "movers"):
        assert same_rows(archive, first_run[0], table), table
    assert "4 of 4 films" in repr(job)
    assert "done" in job.log(1)
    assert [j.job_id for j in te.jobs(archive)] == [job_id]
    with pytest.raises(errors.JobError, match="nothing to resume"):
        job.resume()
    with pytest.raises(errors.JobError, match="nothing to cancel"):
        job.cancel()


def test_cancelled_and_killed_and_taken_up_again(archive: Archive, darks: Path) -> None:
    job = te.submit(darks, archive)
    until(lambda: len(job.run.done) >= 2)
    archive.layout.limits.write_text("{")  # somebody is writing to it
    job.cancel()
    assert job.wait(30) == "cancelled"
    limits(archive, workers=2, memory_gb=2)
    n_done = job.progress.done
    assert 2 <= n_done < N_DARKS, "cancelled too late to show anything"
    assert len(archive.search(product="dark")) == n_done
    assert_sound(archive)

    job.resume()
    until(lambda: len(job.run.done) > n_done)
    os.kill(job.record.owner.pid, signal.SIGKILL)
    until(lambda: job.state == "lost", 5)
    assert "is gone; resume takes" in repr(job)
    assert job.progress.done < N_DARKS, "killed too late to show anything"

    assert job.resume().wait(100) == "done", job.log()
    assert job.progress.ended == N_DARKS
    assert_each_dark_is_there_once(archive)


@pytest.mark.slow
def test_workers_of_a_killed_job_end_with_it(archive: Archive, darks: Path) -> None:
    job = te.submit(darks, archive, workers=2)
    until(lambda: len(job.run.done) >= 2)
    pid = job.record.owner.pid
    workers = children(pid)
    assert len(workers) >= 2
    os.kill(pid, signal.SIGKILL)
    until(lambda: not any(os.path.exists(f"/proc/{worker}") for worker in workers), 10)
    assert job.resume().wait(100) == "done", job.log()
    assert_each_dark_is_there_once(archive)


@pytest.mark.both_databases
def test_jobs_wait_for_room_then_for_each_other(archive: Archive, darks: Path) -> None:
    """No disk: both wait. With one worker for all they run one after the other."""
    few = sorted(darks.glob("*.fits"))[:2]
    limits(archive, disk_free_gb=1e7)
    first, second = te.submit(few[0], archive), te.submit(few[1], archive)
    until(lambda: all("GB must stay free" in job.record.message for job in (first, second)))
    assert (first.state, second.state) == ("queued", "queued")
    limits(archive, workers=1)
    assert first.wait(60) == second.wait(60) == "done"
    assert str(first.record.finished) <= str(second.record.started)
    assert len(archive.table("masters")) == 2


@pytest.mark.slow
def test_a_user_who_waits_gets_a_turn(archive: Archive, darks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The long job of one user gives way to another's, and goes on afterwards."""
    limits(archive, workers=1, turn_minutes=0.01)
    long = te.submit(darks, archive)
    until(lambda: long.state == "running")
    monkeypatch.setenv("JUPYTERHUB_USER", "somebody-else")
    short = te.submit(sorted(darks.glob("*.fits"))[-1], archive)
    assert short.record.user_name == "somebody-else"
    assert short.wait(60) == "done"
    assert long.state in ("queued", "running")
    assert long.wait(60) == "done"
    assert str(short.record.finished) < str(long.record.finished)
    assert_each_dark_is_there_once(archive)


def children(pid: int) -> list[int]:
    """Processes that any thread of a process has started."""
    found = [path.read_text().split() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    return [int(child) for part in found for child in part]


def worker_of(pid: int) -> int | None:
    found = [child for child in children(pid) if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]
    return found[0] if found else None


def test_a_worker_that_dies_costs_its_film_only(archive: Archive, darks: Path) -> None:
    job = te.submit(darks, archive)
    until(lambda: len(job.run.done) >= 1)
    worker = worker_of(job.record.owner.pid)
    assert worker is not None
    os.kill(worker, signal.SIGKILL)
    assert job.wait(100) == "done", job.log()
    assert (job.progress.done, job.progress.failed) == (N_DARKS - 1, 1)
    assert "worker-died: its process died" in repr(job)
    assert job.resume().wait(60) == "done"
    assert job.progress.failed == 0
    assert_each_dark_is_there_once(archive)


def test_a_job_in_a_registry_that_was_restored(archive: Archive, darks: Path, tmp_path: Path) -> None:
    """What it did after the backup is not done any more, whatever its own notes say."""
    limits(archive, disk_free_gb=1e7)
    job = te.submit(sorted(darks.glob("*.fits"))[:2], archive)
    until(lambda: "GB must stay free" in job.record.message)
    backup = archive.backup(tmp_path / "registry.zip").path
    limits(archive)
    assert job.wait(60) == "done"
    assert len(archive.table("masters")) == 2
    archive.restore(backup, force=True)
    assert len(archive.table("masters")) == 0
    until(lambda: job.state == "lost")  # its process may be ending yet
    assert job.resume().wait(60) == "done"
    assert len(archive.table("masters")) == 2
    assert_sound(archive)


@pytest.mark.slow
def test_films_that_fail_are_named_and_tried_again(archive: Archive, darks: Path, tmp_path: Path) -> None:
    good = sorted(darks.glob("*.fits"))[0]
    bad = tmp_path / "cut.fits"
    bad.write_bytes(good.read_bytes()[:-500_000])
    job = te.submit([good, bad], archive)
    assert job.wait(60) == "done"
    assert (job.progress.done, job.progress.failed) == (1, 1)
    assert "cut.fits: truncated" in repr(job)
    assert [o.error_kind for o in job.run.failed] == ["truncated"]
    bad.write_bytes(sorted(darks.glob("*.fits"))[1].read_bytes())
    assert job.resume().wait(60) == "done"
    assert (job.progress.done, job.progress.failed) == (2, 0)
    assert not job.run.failed


def test_a_job_that_cannot_work_says_why(archive: Archive, small_night: Path) -> None:
    job = te.submit(small_night, archive)
    assert job.wait(60) == "failed"
    assert "has used no reference catalog yet" in repr(job)


def test_what_is_wrong_is_said_at_once(archive: Archive, darks: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(errors.NotFoundError, match="no films"):
        te.submit(tmp_path / "empty", archive)
    with pytest.raises(errors.RefcatError, match="no reference catalog at"):
        te.submit(darks, archive, tmp_path / "none.parquet")
    for workers in (0, 3, True, "2"):
        with pytest.raises(errors.ParameterError, match="workers must be 1 to 2"):
            te.submit(darks, archive, workers=workers)  # type: ignore[arg-type]
    assert len(te.jobs(archive)) == 0
    with pytest.raises(errors.NotFoundError, match="no job 4"):
        te.jobs(archive)[4]


def test_notes_that_cannot_be_written_stop_the_job_and_lose_no_count(archive: Archive) -> None:
    reporter = Reporter(archive, queue.add(archive.registry, "ada", {}, workers=1))  # it has no directory
    for _ in range(2):  # the second time the run was begun again
        with pytest.raises(Stopped, match="its notes cannot be written: No such file") as stopped:
            reporter.film(Outcome("a.fits", "done"))
    assert stopped.value.state == "queued"
    assert reporter.values()["done"] == 1


@pytest.fixture
def reporter(archive: Archive) -> Reporter:
    """Of a job of this process."""
    job_id = queue.add(archive.registry, "ada", {"paths": []}, workers=1)
    archive.layout.job(job_id).mkdir(parents=True)
    queue.adopt(archive.registry, job_id)
    return Reporter(archive, job_id)


def test_films_count_when_they_are_reduced_not_when_their_exposure_is_published(reporter: Reporter) -> None:
    reporter.count(200, {})
    outcomes = [Outcome(f"{k}.fits", "done", "object") for k in range(84)]
    start = time.monotonic()
    for outcome in outcomes:
        reporter.staged(outcome)
        time.sleep(0.01)
    before = reporter.values()
    assert before["done"] == 84
    for outcome in outcomes:  # in a burst
        reporter.film(outcome if outcome.film != "7.fits" else replace(outcome, status="failed", error_kind="archive"))
    true = 84 / (time.monotonic() - start)
    after = reporter.values()
    assert (after["done"], after["failed"]) == (83, 1)
    assert true / 2 < after["rate"] < 2 * true
    assert before["rate"] == pytest.approx(after["rate"], rel=0.5)


def test_the_rate_is_that_of_late(reporter: Reporter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_reporter, "RATE_S", 0.3)
    reporter.count(200, {})
    time.sleep(1.0)  # the first film takes long
    for k in range(40):
        reporter.staged(Outcome(f"{k}.fits", "done"))
        time.sleep(0.02)
    assert reporter.values()["rate"] > 40 / 1.8


def test_a_rate_alone_is_no_news(reporter: Reporter, archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_reporter, "PULSE_S", 0.1)
    (job,) = te.jobs(archive)
    with reporter:
        reporter.staged(Outcome("a.fits", "done"))
        until(lambda: job.record.done == 1)
        heard = job.record.heartbeat
        time.sleep(0.5)
        assert job.record.heartbeat == heard
    assert reporter.values()["done"] == 0, "it was never published"


def test_who_ends_a_job_that_gives_way_is_heard(reporter: Reporter) -> None:
    reporter.ask_stop(Stopped("queued", "has given way"))
    reporter.ask_stop(Stopped("cancelled", "SIGTERM"))
    reporter.go_on()
    with pytest.raises(Stopped, match="SIGTERM"):
        reporter.check()
    assert reporter.stop is not None


def test_films_that_failed_are_not_tried_again_by_the_same_process(reporter: Reporter, archive: Archive) -> None:
    """Else a job that gives way never gets past a cloudy hour; what may pass is tried again."""
    process = JobProcess(archive, 1)
    for film, kind in (("a.fits", "cloud"), ("b.fits", "archive")):
        process._reporter.film(Outcome(film, "failed", error_kind=kind))
    process._reporter.film(Outcome("c.fits", "skipped", error_kind="reserved", message="by another process"))
    assert process._reporter.values()["failed"] == 3
    assert set(process._known([])) == {"a.fits"}
    assert not JobProcess(archive, 1)._known([]), "it was resumed"


def test_a_registry_that_is_away_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TOMOE_DATABASE", raising=False)
    monkeypatch.setattr(job_process, "PULSE_S", 0.1)
    archive = Archive.create(tmp_path / "archive")
    job_id = queue.add(archive.registry, "ada", {}, workers=1)
    away = tmp_path / "away"
    archive.root.rename(away)
    back = threading.Timer(0.5, away.rename, [archive.root])
    back.start()
    assert job_process._insist(lambda: queue.record(te.open_archive(archive.root).registry, job_id)).job_id == job_id
    back.join()
    with pytest.raises(errors.NotFoundError, match="no job 99"):
        job_process._insist(lambda: queue.record(archive.registry, 99))
    monkeypatch.setattr(job_process, "STUBBORN_S", 0.3)
    with pytest.raises(errors.ArchiveError, match="no archive"):
        job_process._insist(lambda: te.open_archive(tmp_path / "none"))


@pytest.mark.slow
def test_films_that_are_deleted(archive: Archive, darks: Path, tmp_path: Path) -> None:
    """What is done is done; what cannot be done any more has failed, and the others go on."""
    good, bad, late = (tmp_path / f"{name}.fits" for name in ("good", "bad", "late"))
    for k, film in enumerate((good, bad, late)):
        film.write_bytes(sorted(darks.glob("*.fits"))[k].read_bytes()[: -500_000 if film is bad else None])
    job = te.submit([good, bad], archive)
    assert job.wait(60) == "done"
    good.unlink()
    assert job.resume().wait(60) == "done", job.log()
    assert (job.progress.done, job.progress.failed) == (1, 1)
    bad.unlink()
    assert job.resume().wait(60) == "done", job.log()
    assert (job.progress.done, job.progress.failed, job.progress.total) == (1, 1, 2)
    assert "bad.fits: not-found" in repr(job)


def test_a_process_that_does_not_start(archive: Archive, darks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(errors.JobError, match="could not be started"):
        te.submit(darks, archive)
    (job,) = te.jobs(archive)
    assert isinstance(job, Job)
    assert job.state == "failed"
