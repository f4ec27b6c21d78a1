"""A process in which everything is imported, whose forks run ``tomoe`` at once.

The server of `multiprocessing`'s *forkserver* imports this module when it starts. On the way it makes, with the public
commands, the archives that the tests begin from; after that all kernels are loaded.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
from pathlib import Path

#: Where the archives are made; set in the server only.
HOME = "TOMOE_FAULTS_HOME"


def tomoe(
    arguments: list[str], output: str, *, switch: str = "", patience_s: float | None = None, **environment: str
) -> None:
    """Be the command ``tomoe``, in a process group of its own.

    ``switch`` is the file of a `Switch`; ``patience_s`` how long a lock is waited for.
    """
    if os.getpid() != os.getsid(0):
        os.setsid()
    for number, ending in ((1, ".out"), (2, ".err")):
        os.dup2(os.open(output + ending, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), number)
    os.environ.update(environment)
    if switch:
        os.environ["TOMOE_FAULT"] = switch  # for the processes that it starts
        ctypes.CDLL(None).fault_arm(switch.encode())
    from tomoe_explore.archive import database
    from tomoe_explore.cli import main

    if patience_s is not None:
        database.BUSY_TIMEOUT_S = patience_s
    sys.argv = ["tomoe", *arguments]
    main()


def _prepare(home: Path) -> None:
    """Archives: ``empty``, one with the ``masters`` only, and the ``whole``."""
    from typer.testing import CliRunner

    from tests.faults.night import Night
    from tomoe_explore.cli import app

    night = Night.at(home / "night")
    archive = home / "making"
    for name, command in (
        ("empty", ["init"]),
        ("masters", ["masters", night.calibrations, "--quiet"]),
        ("whole", ["reduce", night.sky, "--refcat", night.refcat, "--quiet"]),
    ):
        done = CliRunner().invoke(app, ["--archive", str(archive), *map(str, command)])
        assert done.exit_code == 0, done.output + done.stderr
        shutil.copytree(archive, home / name)


if HOME in os.environ:
    _home = Path(os.environ.pop(HOME))
    try:
        _prepare(_home)
    except BaseException as error:
        import traceback

        (_home / "error").write_text("".join(traceback.format_exception(error)))
        raise
