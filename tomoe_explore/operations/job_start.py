"""How the process of a job is started: detached from the notebook or terminal, and no child of it.

It has a session of its own, so that no signal of a closed terminal or a restarted kernel reaches it, its output goes to
a log, and it is an orphan: who ends the children of a kernel does not find it. Imports are light up to the fork.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tomoe_explore.archive import Archive

_START_S = 60.0  #: a process that has not come to be after this time never will


def start(archive: Archive, job_id: int) -> int:
    """Start the process of a job; its number.

    Raises
    ------
    JobError
        If it cannot be started.
    """
    from tomoe_explore.archive.staging import clear_errors
    from tomoe_explore.errors import JobError

    package = Path(__file__).parent.parent.parent  # the process runs the code that this one runs
    paths = [str(package), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "TOMOE_DATABASE": archive.registry.url}
    command = [sys.executable, "-m", "tomoe_explore.operations.job_start", str(archive.root), str(job_id)]
    folder = archive.layout.job(job_id)
    with clear_errors(archive.root):
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "log").open("ab") as log:
            try:
                began = subprocess.run(
                    command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, cwd=folder, env=environment,
                    start_new_session=True, timeout=_START_S, check=True,
                )  # fmt: skip
                return int(began.stdout)
            except (subprocess.SubprocessError, ValueError) as error:
                raise JobError(f"job {job_id} could not be started: {error}; see {folder / 'log'}") from None


def _main() -> None:
    pid = os.fork()
    if pid:
        print(pid, flush=True)
        os._exit(0)
    os.dup2(2, 1)  # to the log; who started this waits for the end of standard output
    from tomoe_explore.operations.job_process import main

    main(sys.argv[1], int(sys.argv[2]))


if __name__ == "__main__":
    _main()
