"""What the tests of the watch share: a real process, local webhooks, and patience."""

from __future__ import annotations

import http.server
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest


def until(true: Callable[[], Any], what: str, seconds: float = 60.0) -> Any:
    """Wait until something is true; its value."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := true():
            return value
        time.sleep(0.03)
    raise AssertionError(f"not so after {seconds} s: {what}")


class Watching:
    """A ``tomoe watch`` in a process of its own, with its log and its health file beside the archive."""

    def __init__(self, raw: Path, archive: Path, refcat: Path, *options: object) -> None:
        self.log_file, self.health_file = archive.parent / "watch.log", archive.parent / "health.json"
        self.log_file.unlink(missing_ok=True)
        command = [
            Path(sys.executable).with_name("tomoe"), "--archive", archive, "watch", raw, "--refcat", refcat,
            "--settle", 0.4, "--interval", 0.1, "--gather", 0.5, "--log", self.log_file, "--health", self.health_file,
            *options,
        ]  # fmt: skip
        self.process = subprocess.Popen(
            [str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def events(self, *names: str) -> list[dict[str, Any]]:
        lines = self.log_file.read_text().splitlines() if self.log_file.exists() else []
        found = [json.loads(line) for line in lines]
        return [event for event in found if not names or event["event"] in names]

    def films(self, *events: str) -> list[str]:
        """Names of the films that are told of, in order."""
        return [Path(event["film"]).name for event in self.events(*(events or ("done", "failed")))]

    def health(self) -> dict[str, Any]:
        return json.loads(self.health_file.read_text()) if self.health_file.exists() else {}

    def end(self, number: int = signal.SIGTERM) -> int:
        os.kill(self.process.pid, number)
        return self.process.wait(30)

    def output(self) -> str:
        return self.process.communicate(timeout=60)[0]


@pytest.fixture
def start() -> Iterator[Callable[..., Watching]]:
    """Starts watches; those that still run at the end are killed."""
    started: list[Watching] = []

    def begin(*arguments: Any) -> Watching:
        started.append(Watching(*arguments))
        return started[-1]

    yield begin
    for watching in started:
        watching.process.kill()
        watching.process.communicate()


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        server: Any = self.server
        body = self.rfile.read(int(self.headers["Content-Length"]))
        server.got.append(json.loads(body)["text"])
        server.leave.wait(server.hangs_s)
        self.send_response(server.status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def channel(status: int = 200, hangs_s: float = 0.0) -> Iterator[tuple[str, list[str]]]:
    """A local chat channel: its URL, and the texts that it got."""
    server: Any = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    server.status, server.hangs_s, server.got, server.leave = status, hangs_s, [], threading.Event()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/services/secret", server.got
    finally:
        server.leave.set()
        server.shutdown()
        server.server_close()
        thread.join()
