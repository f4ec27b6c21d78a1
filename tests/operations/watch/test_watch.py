"""``tomoe watch`` in a process of its own: whole films only, newest first, killed and started again, all told."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from astropy.io import fits
from typer.testing import CliRunner

from tests.archive.reductions import make_exposure
from tests.operations.test_reduce import same_rows
from tests.operations.watch.watching import Watching, channel, until
from tomoe_explore import raw
from tomoe_explore.archive import Archive
from tomoe_explore.archive.owner import process_start
from tomoe_explore.cli import app
from tomoe_explore.operations import watch as module
from tomoe_explore.operations.reduce import make_masters
from tomoe_explore.operations.run import Outcome, Run
from tomoe_explore.operations.watch import Log, Metrics, Report, Settings, Webhook, check_health, listing, loop, watch
from tomoe_explore.operations.watch.arrivals import Arrival

Start = Callable[..., Watching]


def films_of(night: Path) -> dict[str, list[Path]]:
    """Films by kind, oldest first."""
    found: dict[str, list[Path]] = {"dark": [], "flat": [], "object": []}
    for path in raw.find_films(night):
        found[raw.read_exposure(path).kind].append(path)
    return found


def all_statuses(archive: Archive) -> list[str]:
    return archive.table("reductions", all_versions=True)["status"].to_pylist()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.timeout(250)
def test_a_night_arrives(start: Start, small_night: Path, tmp_path: Path) -> None:
    films = films_of(small_night)
    (dark,), (flat,), (first, second) = films["dark"], films["flat"], films["object"]
    archive, port = Archive.create(tmp_path / "archive"), free_port()
    incoming = tmp_path / "incoming"
    (tonight := incoming / "2020-08-14").mkdir(parents=True)
    with channel() as (url, told):
        watching = start(
            incoming, archive.root, small_night / "refcat.parquet", "--metrics-port", port, "--webhook", url,
            "--workers", 2,
        )  # fmt: skip
        (tonight / "note.fits").write_text("this is a note, not a film\n" * 200)
        os.link(first, tonight / f".{first.name}.Xy12ab")  # as rsync calls what it has not finished
        os.link(first, tonight / f"{first.name}.part")
        a_film_in_pieces(watching, archive, first, tonight)
        until(lambda: first.name in watching.films("failed"), "it is taken, and has no masters")
        for path in (dark, flat):
            os.link(path, tonight / path.name)
        until(lambda: first.name in watching.films("done"), "the first film is done")
        assert check_health(watching.health_file) == []

        (archive.root / "staging").rmdir()
        (archive.root / "staging").write_text("in the way")  # the archive cannot be written
        os.link(second, tonight / second.name)
        until(lambda: watching.health().get("state") == "waiting", "it waits for the archive")
        assert any("cannot be written" in reason for reason in check_health(watching.health_file))
        (archive.root / "staging").unlink()
        until(lambda: second.name in watching.films("done"), "the second film is done")

        incoming.rename(tmp_path / "away")
        until(lambda: "directory" in watching.health()["waiting_for"], "it waits for the directory")
        (tmp_path / "away").rename(incoming)
        until(lambda: watching.health()["state"] == "idle", "it goes on")
        figures = metrics(port)
        assert watching.end() == 0, watching.output()
    assert (figures['tomoe_films_done_total{kind="object"}'], figures["tomoe_film_seconds_count"]) == (2, 2)
    assert figures['tomoe_films_failed_total{kind="not-fits"}'] == 1
    assert figures["tomoe_last_success_timestamp_seconds"] > 1.6e9
    assert sorted(watching.films("done")) == sorted(p.name for p in (dark, flat, first, second))
    done = watching.events("done")[-1]
    assert {"time", "level", "event", "exposure", "detector", "film", "seconds", "reduction"} <= done.keys()
    assert archive.table("stacks").num_rows == 2
    assert watching.health()["state"] == "stopped" and watching.health()["backlog"] == 0
    assert sorted(all_statuses(archive)) == ["done", "done", "failed", "failed"]  # no masters; no archive
    summary = told[-1]
    assert any("waits: archive" in text for text in told) and any("goes on: archive" in text for text in told)
    for failure in ("1 film failed: not-fits. note.fits: ", f"1 film failed: no-masters. {first.name}: "):
        assert sum(failure in text for text in told) == 1  # at the end, or on a slow machine after a minute
    assert "stopped: 4 films done, 2 failed (1 not-fits, 1 no-masters)" in summary


def a_film_in_pieces(watching: Watching, archive: Archive, film: Path, folder: Path) -> None:
    """Write a film with long pauses; it is not touched before its last byte."""
    content = film.read_bytes()
    with (folder / film.name).open("wb") as file:
        for start, stop in ((0, 2000), (2000, 10_000_000), (10_000_000, len(content) - 4000)):
            file.write(content[start:stop])
            file.flush()
            until(lambda: watching.health().get("incomplete") == 1, "the film is seen, and incomplete", 20)
            n_looks = watching.health()["written"]
            until(lambda n=n_looks: watching.health()["written"] != n, "it has looked again", 20)
            assert film.name not in watching.films()
            assert all_statuses(archive) == []
        file.write(content[len(content) - 4000 :])


def metrics(port: int) -> dict[str, float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line[0] != "#")}


@pytest.mark.timeout(250)
def test_newest_first_and_nothing_twice_though_the_webhook_hangs(
    start: Start, first_run: tuple[Archive, Run], small_night: Path, tmp_path: Path
) -> None:
    films = films_of(small_night)
    order = [films["dark"][0], films["flat"][0], *reversed(films["object"])]
    archive, refcat = Archive.create(tmp_path / "archive"), small_night / "refcat.parquet"
    with channel(hangs_s=60.0) as (url, told):
        watching = start(small_night, archive.root, refcat, "--once", "--webhook", url)
        assert watching.process.wait(60) == 0, watching.output()
        assert watching.films() == [path.name for path in order]
        assert "all is done: 4 films done" in told[0]
    assert same_rows(archive, first_run[0])
    again = start(small_night, archive.root, refcat, "--once", "--json")
    nothing = {"done": {}, "failed": {}, "skipped": 0, "held": 0, "gone": 0, "waiting_for": {}}
    assert json.loads(again.output()) == nothing
    assert all_statuses(archive) == ["done", "done"]


@pytest.mark.timeout(250)
def test_killed_and_started_again(
    start: Start, first_run: tuple[Archive, Run], small_night: Path, tmp_path: Path
) -> None:
    archive, refcat = Archive.create(tmp_path / "archive"), small_night / "refcat.parquet"
    watching = start(small_night, archive.root, refcat, "--workers", 2)
    until(lambda: "running" in all_statuses(archive), "a film is under way")
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(watching.process.pid)], capture_output=True, text=True)
    workers = [int(pid) for pid in listed.stdout.split()]
    assert watching.end(signal.SIGKILL) == -signal.SIGKILL
    until(lambda: not any(process_start(pid) for pid in workers), "no worker outlives the watch", 10)
    assert all_statuses(archive).count("done") < 2, "killed too late to show anything"
    assert check_health(watching.health_file) == [f"process {watching.process.pid} is gone"]
    again = start(small_night, archive.root, refcat, "--once")
    assert again.process.wait(60) == 0, again.output()
    assert all_statuses(archive) == ["done", "done"]
    for table in ("photometry", "sources", "frames", "movers"):
        assert same_rows(archive, first_run[0], table), table
    staging = archive.root / "staging"
    assert not staging.exists() or not any(staging.iterdir())


def quiet(tmp_path: Path) -> Report:
    return Report(Log(tmp_path / "log"))


def test_a_film_that_kills_its_worker_is_recorded_and_left_alone(small_night: Path, tmp_path: Path) -> None:
    archive, incoming = Archive.create(tmp_path / "archive"), tmp_path / "incoming"
    incoming.mkdir()
    os.link(film := films_of(small_night)["object"][0], incoming / film.name)
    report, settings = quiet(tmp_path), Settings(interval_s=0.05, settle_s=0.1, once=True)

    def kill_workers() -> bool:
        for child in multiprocessing.active_children():
            child.kill()
        return False

    tally = watch(incoming, archive, small_night / "refcat.parquet", settings=settings, report=report,
                  stop=kill_workers)  # fmt: skip
    assert dict(tally.failed) == {"worker-died": 1}
    (record,) = archive.table("reductions", all_versions=True).to_pylist()
    assert record["status"] == "failed" and "died twice" in record["error"]
    left = watch(incoming, archive, settings=settings, report=quiet(tmp_path))
    assert left.n == 0


def test_too_little_space_makes_it_wait(small_night: Path, tmp_path: Path) -> None:
    archive, report = Archive.create(tmp_path / "archive"), quiet(tmp_path)
    looks: list[int] = []

    def stop() -> bool:
        looks.append(1)
        return len(looks) > 4

    settings = Settings(interval_s=0.05, settle_s=0.0, min_free_bytes=1e18)
    tally = watch(small_night, archive, small_night / "refcat.parquet", report=report, stop=stop, settings=settings)
    assert tally.n == 0
    assert "too little space" in report.waiting_for["disk"]


def another_detectors(film: Path, folder: Path) -> Path:
    """A film of the same exposure; its pixels are nobody's concern."""
    exposure = raw.read_exposure(film)
    night = exposure.night.replace("-", "")
    path = folder / f"rTMQ1{night}00{exposure.exposure_id}11.fits"
    with fits.open(film) as hdus:
        hdus[0].header["DET_ID"] = 111
        hdus.writeto(path)
    return path


@pytest.mark.timeout(120)
def test_an_exposure_is_published_though_another_process_has_one_of_its_films(
    small_night: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "_RESERVED_S", 0.3)
    monkeypatch.setattr(loop, "_LONG_RESERVED_S", 1.0)
    archive, incoming = Archive.create(tmp_path / "archive"), tmp_path / "incoming"
    incoming.mkdir()
    films = films_of(small_night)
    for path in (films["dark"][0], films["flat"][0], film := films["object"][0]):
        os.link(path, incoming / path.name)
    other = another_detectors(film, incoming)
    held = archive.begin(raw.read_exposure(other), other)  # by this process, which lives
    report, end = quiet(tmp_path), time.monotonic() + 60
    settings = Settings(interval_s=0.1, settle_s=0.1, gather_s=0.2)

    def stop() -> bool:
        told = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
        return (report.tally.done["object"] > 0 and "held" in {line["event"] for line in told}) or over(end)

    tally = watch(incoming, archive, small_night / "refcat.parquet", settings=settings, report=report, stop=stop)
    assert dict(tally.done) == {"dark": 1, "flat": 1, "object": 1}
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    (line,) = [line for line in lines if line["event"] == "held"]
    assert line["film"] == str(other) and f"in process {os.getpid()}" in line["message"]
    once = watch(incoming, archive, settings=replace(settings, once=True), report=quiet(tmp_path))
    assert (once.held, once.skipped, once.text()) == (1, 0, "0 films done, 1 held by another process")
    archive.let_go(held)


def over(end: float) -> bool:
    return time.monotonic() > end


@pytest.mark.timeout(120)
def test_a_directory_that_is_away_for_a_moment_loses_no_film(
    small_night: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "RELIST_S", 0.3)
    archive, incoming, away = Archive.create(tmp_path / "archive"), tmp_path / "incoming", tmp_path / "away"
    incoming.mkdir()
    films = films_of(small_night)["object"]
    for path in films:
        os.link(path, incoming / path.name)
    report, began = quiet(tmp_path), time.monotonic()
    gone: list[float] = []

    def stop() -> bool:
        now = time.monotonic()
        if report.tally.n == 1 and not gone:  # one was handed out and came back, the other is under way or waits
            incoming.rename(away)
            gone.append(now)
        elif gone and away.exists() and now > gone[0] + 2.0:
            away.rename(incoming)
        return report.tally.n == 2 or over(began + 60)

    settings = Settings(interval_s=0.1, settle_s=0.1)
    tally = watch(incoming, archive, small_night / "refcat.parquet", settings=settings, report=report, stop=stop)
    assert (dict(tally.failed), tally.gone) == ({"no-masters": 2}, 0)


def test_a_film_that_is_deleted_before_its_turn_is_told_and_counted(
    small_night: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The older film goes as soon as the newer one is handed out, however soon that ends."""
    archive, incoming = Archive.create(tmp_path / "archive"), tmp_path / "incoming"
    incoming.mkdir()
    older, newer = films_of(small_night)["object"]
    for path in (older, newer):
        os.link(path, incoming / path.name)
    submit = loop.Crew.submit

    def and_delete(crew: loop.Crew, arrival: Arrival) -> None:
        submit(crew, arrival)
        (incoming / older.name).unlink(missing_ok=True)

    monkeypatch.setattr(loop.Crew, "submit", and_delete)
    with channel() as (url, told):
        log = Log(tmp_path / "log")
        report = Report(log, webhook=Webhook(url, log), metrics=(numbers := Metrics(0)))

        def stop() -> bool:
            return bool(metrics(numbers.port)["tomoe_films_gone_total"])

        settings = Settings(interval_s=0.05, settle_s=0.05, once=True)
        tally = watch(incoming, archive, small_night / "refcat.parquet", settings=settings, report=report, stop=stop)
    assert (dict(tally.failed), tally.gone) == ({"no-masters": 1}, 1)
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    (line,) = [line for line in lines if line["event"] == "gone"]
    assert (line["level"], line["film"]) == ("warning", str(incoming / older.name))
    assert any("1 film failed: gone" in text for text in told) and told[-1].endswith(", 1 gone")


@pytest.mark.timeout(120)
def test_masters_that_somebody_else_makes_are_noticed(
    small_night: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "_MASTERS_S", 0.2)
    archive, incoming = Archive.create(tmp_path / "archive"), tmp_path / "incoming"
    incoming.mkdir()
    films = films_of(small_night)
    os.link(films["object"][0], incoming / films["object"][0].name)
    report, end, made = quiet(tmp_path), time.monotonic() + 60, []

    def stop() -> bool:
        if report.tally.failed and not made:
            made.append(make_masters([*films["dark"], *films["flat"]], archive, progress=False))
        return report.tally.done["object"] > 0 or over(end)

    settings = Settings(interval_s=0.05, settle_s=0.05, gather_s=0.1)
    tally = watch(incoming, archive, small_night / "refcat.parquet", settings=settings, report=report, stop=stop)
    assert (dict(tally.failed), dict(tally.done)) == ({"no-masters": 1}, {"object": 1})


def test_an_exposure_that_is_refused_is_one_try(tmp_path: Path) -> None:
    archive = Archive.create(tmp_path / "archive")
    report = quiet(tmp_path)
    watching = loop._Watch(str(tmp_path), archive, tmp_path, Settings(), report)
    arrivals = [Arrival(f"{n}.fits", 1, 1, make_exposure(357754, 111 + n)) for n in range(4)]
    refused = Outcome("r.fits", "failed", error_kind="archive", message="archive: no space is left")
    for now in (100.0, 200.0, 300.0):
        for arrival in arrivals:
            watching._refused(arrival, refused, now)
    assert watching._pause_s == 8 * loop._FIRST_PAUSE_S
    assert watching._probe_at == 300.0 + 4 * loop._FIRST_PAUSE_S
    report.log.close()


def test_once_ends_where_the_directory_is_not_there(small_night: Path, tmp_path: Path) -> None:
    archive, report = Archive.create(tmp_path / "archive"), quiet(tmp_path)
    watch(tmp_path / "none", archive, small_night / "refcat.parquet", settings=Settings(once=True), report=report)
    assert report.waiting_for == {"directory": f"{tmp_path / 'none'} cannot be read: No such file or directory"}
    arguments = ["--archive", str(archive.root), "watch", str(tmp_path / "none"), "--once"]
    result = CliRunner().invoke(app, arguments)
    assert (result.exit_code, "none cannot be read" in result.stderr) == (1, True)


def test_the_archive_below_the_directory_is_no_film(small_night: Path, tmp_path: Path) -> None:
    archive = Archive.create(tmp_path / "archive")
    shutil.copy(films_of(small_night)["dark"][0], archive.root / "r.fits")
    settings = Settings(interval_s=0.05, settle_s=0.05, once=True)
    tally = watch(tmp_path, archive, small_night / "refcat.parquet", report=quiet(tmp_path), settings=settings)
    assert tally.n == 0


def test_the_door() -> None:
    assert set(module.__all__) <= set(dir(module))
