"""Runs ``tomoe`` on small archives, with faults, and looks at what is left."""

from __future__ import annotations

import itertools
import json
import multiprocessing
import multiprocessing.forkserver
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.faults import no_space, warm
from tests.faults.content import Content, Films, Tally, half_visible
from tests.faults.night import DETECTORS, Night
from tests.faults.no_space import Mode, Switch
from tomoe_explore.cli import app

_TIMEOUT_S = 120.0


@dataclass
class Running:
    """A command ``tomoe`` under way, in a process group of its own."""

    process: BaseProcess | subprocess.Popen[bytes]
    output: str

    @property
    def is_alive(self) -> bool:
        return self._status() is None

    def _status(self) -> int | None:
        return self.process.poll() if isinstance(self.process, subprocess.Popen) else self.process.exitcode

    def wait(self) -> int:
        """Its exit status; negative the number of the signal that ended it."""
        if isinstance(self.process, subprocess.Popen):
            return self.process.wait(_TIMEOUT_S)
        self.process.join(_TIMEOUT_S)
        status = self.process.exitcode
        assert status is not None, f"tomoe does not end: {self.messages}"
        return status

    def kill(self) -> None:
        """SIGKILL to the group."""
        while self.is_alive:  # its group is made when it begins
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid or 0, signal.SIGKILL)
                break
            time.sleep(0.001)
        self.wait()

    @property
    def messages(self) -> str:
        return Path(self.output + ".err").read_text()

    @property
    def outcomes(self) -> list[dict[str, Any]]:
        """What it printed of each film; nothing if it ended with an error of another kind, or was killed."""
        printed = Path(self.output + ".out").read_text()
        return list(json.loads(printed).get("films", ())) if printed else []

    @property
    def failed(self) -> Films:
        """Exposure and detector of the films that it said have failed."""
        return {(o["exposure_id"], o["detector_id"]) for o in self.outcomes if o["status"] == "failed"}


class Harness:
    """The night, archives to begin with, and a warm process to run commands."""

    def __init__(self, home: Path, night: Night) -> None:
        self.home, self.night, self.tally = home, night, Tally()
        self.library = no_space.compiled(home)
        self._number = itertools.count(1)
        self._looking = threading.RLock()  # two cases at a time; what is done in this process takes turns
        self._context = multiprocessing.get_context("forkserver")
        self._start()
        self.whole = Content.of(home / "whole")

    def _start(self) -> None:
        """Start the server; it lives as long as this process."""
        self._context.set_forkserver_preload(["tests.faults.warm"])
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("LD_PRELOAD", str(self.library))
            patch.setenv(warm.HOME, str(self.home))
            patch.delenv("TOMOE_ARCHIVE", raising=False)
            patch.delenv("TOMOE_DATABASE", raising=False)
            multiprocessing.forkserver.ensure_running()
        first = self._context.Process(target=len, args=("",))
        first.start()
        first.join()
        error = self.home / "error"
        assert not error.exists(), error.read_text()

    def process(self, target: Callable[..., None], arguments: tuple[Any, ...]) -> BaseProcess:
        """A function in a fork of the warm process."""
        process = self._context.Process(target=target, args=arguments)
        process.start()
        return process

    # --- archives ---------------------------------------------------------------------------------
    def archive(self, like: str) -> Path:
        """A copy of one of the archives made by `warm`; what never changes is shared with it."""
        path = self.home / f"{like}-{next(self._number)}"

        def copy(source: str, target: str) -> None:
            (os.link if source.endswith((".fits", ".parquet")) else shutil.copy2)(source, target)

        shutil.copytree(self.home / like, path, copy_function=copy)
        return path

    def switch(self, archive: Path, mode: Mode, at: int = 0) -> Switch:
        return Switch(self.home / f"switch-{next(self._number)}", archive, mode, at)

    # --- commands ---------------------------------------------------------------------------------
    def start(self, archive: Path, *arguments: object, switch: Switch | None = None, **given: Any) -> Running:
        """``tomoe --archive ARCHIVE --json ARGUMENTS`` in a fork of the warm process; ``given`` as `warm.tomoe` has."""
        output = str(self.home / f"output-{next(self._number)}")
        words = ["--archive", str(archive), "--json", *map(str, arguments)]
        given["switch"] = str(switch.file) if switch else ""
        process = self._context.Process(target=warm.tomoe, args=(words, output), kwargs=given)
        process.start()
        return Running(process, output)

    def start_real(self, archive: Path, *arguments: object, switch: Switch | None = None) -> Running:
        """The same with the command that users have."""
        output = str(self.home / f"output-{next(self._number)}")
        command = [str(Path(sys.executable).with_name("tomoe")), "--archive", str(archive), "--json"]
        fault = {"LD_PRELOAD": str(self.library), "TOMOE_FAULT": str(switch.file)} if switch else {}
        with open(output + ".out", "wb") as out, open(output + ".err", "wb") as err:
            process = subprocess.Popen(
                [*command, *map(str, arguments)], stdout=out, stderr=err, start_new_session=True,
                env=os.environ | fault,
            )  # fmt: skip
        return Running(process, output)

    def reduce(self, archive: Path, *films: Path, **options: Any) -> Running:
        """``tomoe reduce`` on films, by default all of the sky; ``real=True``: in a process of its own."""
        real, workers = options.pop("real", False), options.pop("workers", None)
        more = ["--workers", workers] if workers else []
        start = self.start_real if real else self.start
        words = ["reduce", *(films or [self.night.sky]), "--refcat", self.night.refcat, "--quiet", *more]
        return start(archive, *words, *options.pop("more", ()), **options)

    # --- looks ------------------------------------------------------------------------------------
    def films(self, exposures: int = 2, detectors: tuple[int, ...] = DETECTORS) -> Films:
        """Exposure and detector of the films of the sky."""
        return {(e, d) for e in self.night.exposures[:exposures] for d in detectors}

    def assert_sound(self, archive: Path, *, notes: bool) -> None:
        """The doctor finds no fault; nor, unless ``notes``, anything that a fault has left behind."""
        left = {"orphans", "interrupted", "manifests"}
        with self._looking:
            checks = doctor(archive)
        for check in checks:
            assert check["status"] != "fault", check
            assert notes or check["name"] not in left or check["status"] == "ok", check

    def assert_whole_exposures(self, archive: Path, films: Films, failed: Films | None = None) -> None:
        with self._looking:
            tally = half_visible(archive, films, failed)
            self.tally.add(tally)
        assert tally.clean, tally

    def assert_complete(self, archive: Path, films: Films, masters: Iterable[int] = DETECTORS) -> None:
        """An archive that holds what one without faults does, of these films and masters, and nothing else."""
        self.assert_sound(archive, notes=False)
        with self._looking:
            tally = self.whole.only(films, masters).compared(Content.of(archive))
            self.tally.add(tally)
        assert tally.clean, tally

    def rerun(self, archive: Path, *films: Path, **options: Any) -> Running:
        """What the user does next: the same again, without the fault."""
        run = self.reduce(archive, *films, **options)
        assert run.wait() == 0, run.messages
        return run


def each(case: Callable[[Any], None], cases: Iterable[Any]) -> None:
    """Try cases, two at a time; all are tried."""
    with ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(case, one) for one in cases]
    errors = [error for future in futures if isinstance(error := future.exception(), Exception)]
    if errors:
        raise ExceptionGroup(f"{len(errors)} of {len(futures)} cases", errors)


def until(true: Callable[[], object], running: Running | None = None, timeout_s: float = 60) -> None:
    """Wait for something, or the end of a command."""
    deadline = time.monotonic() + timeout_s
    while not true() and (running is None or running.is_alive):
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.01)


def files(archive: Path) -> set[Path]:
    """All but the registry's."""
    return {path for path in archive.rglob("*") if not path.name.startswith("registry.sqlite") and not path.is_dir()}


def doctor(archive: Path) -> list[dict[str, str]]:
    """What ``tomoe doctor --deep`` says; all is as old as if the fault had been an hour ago."""
    for path in archive.rglob("*"):
        stat = path.stat()
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns - 3600 * 10**9))
    done = CliRunner().invoke(app, ["doctor", "--deep", "--json", "--archive", str(archive)])
    found = json.loads(done.stdout)
    return list(found["checks"] if isinstance(found, dict) else found)
