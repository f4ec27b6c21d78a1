"""Health file, speed, log and the examples in ``deploy/``."""

from __future__ import annotations

import configparser
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from tests.archive.reductions import make_exposure
from tomoe_explore.cli import app
from tomoe_explore.errors import ParameterError
from tomoe_explore.operations.run import Outcome
from tomoe_explore.operations.watch import Log, Metrics, Tally, check_health
from tomoe_explore.operations.watch.health import HANGS_S, STALE_S, write_health
from tomoe_explore.operations.watch.log import utc

WELL: dict[str, Any] = {"state": "idle", "waiting_for": {}, "under_way": []}


@pytest.mark.parametrize(
    ("ill", "words"),
    [
        ({}, ""),
        ({"state": "waiting", "waiting_for": {"disk": "too little space"}}, "waits: too little space"),
        ({"under_way": [{"film": "r.fits", "seconds": HANGS_S + 1}]}, "r.fits has been under way for 601 s"),
        ({"written": utc(time.time() - STALE_S - 10)}, "s ago, expected at most 60 s"),
        ({"pid": 4194304}, "process 4194304 is gone"),
        ({"state": "stopped"}, "the watch stopped at"),
        ({"written": "yesterday"}, "no health file"),
        ({"under_way": None}, "no health file"),
    ],
)
def test_check(tmp_path: Path, ill: dict[str, Any], words: str) -> None:
    write_health(tmp_path / "health.json", WELL | ill)
    assert [p.name for p in tmp_path.iterdir()] == ["health.json"]
    reasons = check_health(tmp_path / "health.json")
    assert bool(reasons) == bool(words) and words in "; ".join(reasons)
    result = CliRunner().invoke(app, ["watch", "--check", str(tmp_path / "health.json")])
    assert result.exit_code == bool(words)
    assert (words or "well") in result.output
    told = CliRunner().invoke(app, ["--json", "watch", "--check", str(tmp_path / "health.json")])
    assert json.loads(told.stdout)["well"] is not bool(words)
    assert len(json.loads(told.stdout)["reasons"]) == bool(words)


def test_wrong_usage(tmp_path: Path) -> None:
    for wrong in (["watch"], ["watch", "--check", "x", "--nonsense"], ["watch", "raw", "--workers", "0"],
                  ["watch", "raw", "--metrics-port", "99999"], ["watch", "raw", "--interval", "0"]):  # fmt: skip
        assert CliRunner().invoke(app, ["--archive", str(tmp_path), *wrong]).exit_code == 2, wrong


@pytest.mark.parametrize("option", ["--interval", "--settle", "--gather", "--min-free"])
def test_a_wrong_number_is_told_by_its_option(tmp_path: Path, option: str) -> None:
    result = CliRunner().invoke(app, ["--archive", str(tmp_path), "watch", "raw", option, "-1"])
    assert (result.exit_code, option in result.output) == (2, True)


def test_speed_against_real_time() -> None:
    tally, exposure = Tally(), make_exposure()
    assert tally.speed(2)["realtime_factor"] is None
    for detector_id in (111, 112, 113, 114):
        tally.add(Outcome("r.fits", "done", "object", seconds=0.5), replace(exposure, detector_id=detector_id))
    length_s = exposure.n_frames * exposure.frame_interval_s
    # two workers reduce four films a second; four detectors make four films in the length of one
    assert tally.speed(2)["realtime_factor"] == pytest.approx(2 / 0.5 / (4 / length_s), abs=0.01)
    assert tally.speed(2)["seconds_per_film"] == 0.5


def test_a_log_file_may_be_rotated(tmp_path: Path) -> None:
    log = Log(tmp_path / "log")
    log.write("info", "done", "ok", film="r.fits", error_kind="", seconds=0.5, exposure=None)
    (tmp_path / "log").rename(tmp_path / "log.1")
    log.write("error", "failed")
    log.close()
    first, second = (json.loads((tmp_path / name).read_text()) for name in ("log.1", "log"))
    assert set(first) == {"time", "level", "event", "message", "film", "seconds"}
    assert (second["level"], second["event"]) == ("error", "failed")
    with pytest.raises(ParameterError, match="cannot be written"):
        Log(tmp_path / "none" / "log")


def test_a_port_that_is_taken() -> None:
    metrics = Metrics(0)
    try:
        with pytest.raises(ParameterError, match=f"127.0.0.1:{metrics.port}"):
            Metrics(metrics.port)
    finally:
        metrics.close()


def parsed(path: Path) -> configparser.ConfigParser:
    parser = configparser.RawConfigParser(strict=False, comment_prefixes=("#", ";"))
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string(path.read_text())
    return parser


def test_commands_in_deploy_exist(repository: Path) -> None:
    unit = parsed(repository / "deploy" / "tomoe-watch.service")
    program = parsed(repository / "deploy" / "tomoe-watch.conf")
    watch = get_command(app).commands["watch"]  # type: ignore[attr-defined]
    for command in (unit["Service"]["ExecStart"], program["program:tomoe-watch"]["command"]):
        name, verb, *words = shlex.split(command)
        assert (Path(name).name, verb) == ("tomoe", "watch")
        context = watch.make_context("watch", words)  # raises where an option does not exist
        assert context.params["health"] and context.params["directory"]
    # the parent alone is told to end, and has the time to end its films
    assert (unit["Service"]["KillMode"], unit["Service"]["Restart"]) == ("mixed", "on-failure")
    assert program["program:tomoe-watch"]["stopasgroup"] == "false"
    readme = (repository / "deploy" / "README.md").read_text()
    options = {option for parameter in watch.params for option in parameter.opts}
    for word in readme.replace("`", " ").split():
        assert not word.startswith("--") or word in options, word


def test_systemd_accepts_the_unit(repository: Path, tmp_path: Path, tool: Callable[[str], str]) -> None:
    text = (repository / "deploy" / "tomoe-watch.service").read_text()
    unit = tmp_path / "tomoe-watch.service"
    unit.write_text(text.replace("/opt/tomoe/bin/tomoe", str(Path(sys.executable).with_name("tomoe"))))
    environment = os.environ | {"SYSTEMD_LOG_LEVEL": "warning"}
    command = [tool("systemd-analyze"), "verify", "--man=no", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    ours = [line for line in done.stderr.splitlines() if "tomoe-watch" in line]
    assert (done.returncode, ours) == (0, []), done.stderr
