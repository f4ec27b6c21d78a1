"""Who holds a reservation: a process, told from a later one with the same number by its start time."""

from __future__ import annotations

import os
import socket
import subprocess
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path


@dataclass(frozen=True)
class Owner:
    """A process that reduces a film.

    Attributes
    ----------
    host : str
        Name of the machine.
    pid : int
        Process number there.
    started : str
        When the process started, in whatever form the system gives it; only compared. Empty stands for nobody.

    Examples
    --------
    >>> this_process().is_alive()
    True
    """

    host: str
    pid: int
    started: str

    def is_alive(self) -> bool:
        """Whether the process still runs; one on another machine counts as alive, nobody here can know."""
        if not self.started:
            return False
        return self.host != socket.gethostname() or process_start(self.pid) == self.started


def this_process() -> Owner:
    """The owner that stands for the calling process."""
    return _owner(os.getpid())


@lru_cache(maxsize=4)
def _owner(pid: int) -> Owner:
    return Owner(socket.gethostname(), pid, process_start(pid))


def process_start(pid: int) -> str:
    """When a process started; empty if there is none, or a dead one that nobody has waited for."""
    if Path("/proc/self/stat").exists():
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            return ""
        fields = stat.rpartition(")")[2].split()  # the name before may hold spaces and brackets
        return "" if fields[0] in "ZX" else f"{_boot_id()}:{fields[19]}"
    command = ["ps", "-o", "lstart=", "-p", str(pid)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


@lru_cache(maxsize=1)
def _boot_id() -> str:
    """Start times count from boot, so one of an earlier boot must differ."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
