"""What jobs may use of a machine, so that one user cannot take it: every limit in one place."""

from __future__ import annotations

import json
import math
import os
import shutil
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from tomoe_explore.archive import Archive
from tomoe_explore.errors import ParameterError

_MIN_MEMORY_GB = 2.0  # what libraries and buffers reserve; they use a third of it


def _processors() -> int:
    """Processors of the machine, or the share of them that the container that this is may use."""
    n = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with suppress(OSError, ValueError):  # no such file, or "max"
        quota, period = map(int, Path("/sys/fs/cgroup/cpu.max").read_text().split())
        n = min(n, max(quota // period, 1))
    return n


@dataclass(frozen=True)
class JobLimits:
    """Limits of the jobs of one archive on one machine; ``limits.json`` in the archive sets others.

    Attributes
    ----------
    workers : int
        Processes that all jobs together work in; by default one a processor.
    memory_gb : float
        That each process may allocate, 10^9 bytes; a film that needs more fails. So many processes as the machine has
        memory for work at the same time.
    disk_free_gb : float
        Jobs wait while the archive's disk has less free, 10^9 bytes.
    turn_minutes : float
        A job that has run so long gives way to one of another user that waits, and queues again.

    Examples
    --------
    >>> JobLimits(workers=2, memory_gb=4.0)
    JobLimits(workers=2, memory_gb=4.0, disk_free_gb=2.0, turn_minutes=10.0)
    """

    workers: int = _processors()
    memory_gb: float = 4.0
    disk_free_gb: float = 2.0
    turn_minutes: float = 10.0

    def __post_init__(self) -> None:
        least = {"workers": 1, "memory_gb": _MIN_MEMORY_GB, "disk_free_gb": 0.0, "turn_minutes": 0.0}
        for name, value in asdict(self).items():
            kind = int if name == "workers" else (int, float)
            number = isinstance(value, kind) and not isinstance(value, bool) and math.isfinite(value)
            if not number or value < least[name]:
                raise ParameterError(f"limit {name} must be a number from {least[name]} on, got {value!r}")

    @classmethod
    def of(cls, archive: Archive) -> JobLimits:
        """The limits of an archive.

        Raises
        ------
        ParameterError
            If ``limits.json`` cannot be understood.
        """
        path = archive.layout.limits
        try:
            given = json.loads(path.read_text())
        except FileNotFoundError:
            return cls()
        except (OSError, ValueError) as error:
            raise ParameterError(f"{path} cannot be read: {error}") from None
        names = [field.name for field in fields(cls)]
        if not isinstance(given, dict):
            raise ParameterError(f'{path}: expected names and numbers such as {{"workers": 2}}, got {given!r}')
        if unknown := sorted(set(given) - set(names)):
            raise ParameterError(f"{path}: unknown {', '.join(unknown)}; there are {', '.join(names)}")
        try:
            return cls(**given)
        except ParameterError as error:
            raise ParameterError(f"{path}: {error}") from None

    @property
    def slots(self) -> int:
        """Processes that fit: no more than ``workers``, and no more than the memory holds."""
        return max(1, min(self.workers, int(_memory_bytes() / (self.memory_gb * 1e9))))

    def short_of_disk(self, place: Path) -> str:
        """Why no job may write there now; empty if one may."""
        try:
            free_gb = shutil.disk_usage(place).free / 1e9
        except OSError as error:  # a network disk that is away comes back
            return f"waits for {place}, which cannot be reached: {error.strerror or error}"
        if free_gb >= self.disk_free_gb:
            return ""
        return f"waits for room: {free_gb:.1f} GB free at {place}, {self.disk_free_gb:g} GB must stay free"


def _memory_bytes() -> float:
    """Memory of the machine, or of the container that this is."""
    memory = float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    with suppress(OSError, ValueError):  # no such file, or "max"
        memory = min(memory, float(Path("/sys/fs/cgroup/memory.max").read_text()))
    return memory
