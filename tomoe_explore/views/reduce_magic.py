"""The cell magic ``%%tomoe_reduce``: options of ``tomoe reduce``, films in the cell; it submits a job."""

from __future__ import annotations

import glob
import os
from typing import Any

from IPython.core.magic import Magics, cell_magic, magics_class
from IPython.core.magic_arguments import argument, magic_arguments, parse_argstring

from tomoe_explore.operations.job import Job, submit


@magics_class
class ReduceMagic(Magics):
    """Holds the magic; `register` gives it to a shell."""

    @magic_arguments()
    @argument("--refcat", metavar="STARS.parquet", help="Reference catalog; by default the archive's last.")
    @argument("--workers", metavar="N", type=int, default=1, help="Processes.")
    @argument("--force", action="store_true", help="Reduce again what is done: a new reduction.")
    @argument("--archive", metavar="DIR", help="The archive; by default $TOMOE_ARCHIVE, else ./archive.")
    @cell_magic
    def tomoe_reduce(self, line: str, cell: str) -> Job:
        """Reduce the films that the cell names, a file, directory or pattern a line, as a job.

        The job is shown, and is in the variable ``job``; it goes on when the notebook is closed.
        In the cell, ``{name}`` stands for a variable of the notebook.
        """
        given = parse_argstring(self.tomoe_reduce, line)
        shell: Any = self.shell
        words = [text for text in map(str.strip, shell.var_expand(cell).splitlines()) if text]
        paths = [path for word in words if not word.startswith("#") for path in _found(os.path.expanduser(word))]
        job = submit(paths, given.archive, given.refcat, workers=given.workers, force=given.force)
        shell.user_ns["job"] = job
        return job


def _found(pattern: str) -> list[str]:
    """The files of a pattern; what is none, or finds nothing, stays as it is and is complained of later."""
    return sorted(glob.glob(pattern)) or [pattern]


def register(shell: Any) -> None:
    """Give a shell the magic."""
    shell.register_magics(ReduceMagic)
