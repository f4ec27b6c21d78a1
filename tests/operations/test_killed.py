"""``kill -9`` in the middle of ``tomoe reduce``, and run again: the archive is as after an unbroken run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.operations.test_reduce import same_rows
from tomoe_explore.archive import Archive
from tomoe_explore.operations.run import Run


@pytest.mark.timeout(200)
@pytest.mark.parametrize("moment", ["first film reserved", "first film done"])
def test_kill_and_run_again(first_run: tuple[Archive, Run], small_night: Path, tmp_path: Path, moment: str) -> None:
    archive = Archive.create(tmp_path / "archive")
    command = [
        str(Path(sys.executable).with_name("tomoe")), "--archive", str(archive.root), "reduce", str(small_night),
        "--refcat", str(small_night / "refcat.parquet"), "--quiet",
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    status = "running" if moment == "first film reserved" else "done"
    try:
        wait_for(archive, status, process)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    n_done = archive.table("reductions")["status"].to_pylist().count("done")
    assert n_done < 2, "killed too late to show anything"
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    for table in ("photometry", "sources", "frames", "movers"):
        assert same_rows(archive, first_run[0], table), table
    assert set(archive.table("reductions")["status"].to_pylist()) == {"done"}
    staging = archive.root / "staging"
    assert not staging.exists() or not any(staging.iterdir())


def wait_for(archive: Archive, status: str, process: subprocess.Popen[bytes]) -> None:
    """Until a reduction has this status."""
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and process.poll() is None:
        if status in archive.table("reductions", all_versions=True)["status"].to_pylist():
            return
        time.sleep(0.01)
    raise AssertionError(f"no reduction came to be {status}: exit status {process.poll()}")
