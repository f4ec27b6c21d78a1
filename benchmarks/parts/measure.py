"""How costs are measured and reported: CPU seconds, peers in turn, the machine's yardstick, tables, one document."""

from __future__ import annotations

import json
import mmap
import os
import platform
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

_ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "NUMBA", "VECLIB_MAXIMUM", "NUMEXPR")}


def single_thread() -> None:
    """Start the script again with one thread a library, unless it runs so: linear algebra spins on idle threads."""
    if any(os.environ.get(name) != value for name, value in _ONE_THREAD.items()):
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | _ONE_THREAD)


def interleaved(contenders: Mapping[str, Callable[[], Any]], rounds: int) -> tuple[dict[str, float], dict[str, Any]]:
    """Run contenders in turn, round after round.

    Parameters
    ----------
    contenders : mapping of str to callable
    rounds : int
        Odd, three at least: a first run that fills caches does not move the median.

    Returns
    -------
    seconds : dict
        Median CPU seconds of this process.
    results : dict
        What each gave in the last round.
    """
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    results: dict[str, Any] = {}
    for _ in range(rounds):
        for name, run in contenders.items():
            results.pop(name, None)  # its memory is free before the next run
            start = time.process_time()
            results[name] = run()
            seconds[name].append(time.process_time() - start)
    return {name: float(np.median(values)) for name, values in seconds.items()}, results


class Stopwatch:
    """CPU seconds spent in functions that are called somewhere inside, without touching their callers.

    Examples
    --------
    >>> watch = Stopwatch()
    >>> with watch.on("sleep", "time:sleep"):
    ...     time.sleep(0)
    >>> len(watch.taken["sleep"])
    1
    """

    def __init__(self) -> None:
        self.taken: dict[str, list[float]] = defaultdict(list)

    @contextmanager
    def on(self, name: str, *places: str) -> Iterator[None]:
        """Time what is called by the names ``module:function``; one entry of ``taken[name]`` for the whole block."""
        total = 0.0

        def timed(function: Callable[..., Any]) -> Callable[..., Any]:
            def run(*args: Any, **options: Any) -> Any:
                nonlocal total
                start = time.process_time()
                try:
                    return function(*args, **options)
                finally:
                    total += time.process_time() - start

            return run

        patches = []
        for place in places:
            module, function = place.split(":")
            owner = import_module(module)
            patches.append(mock.patch.object(owner, function, timed(getattr(owner, function))))
        for patch in patches:
            patch.start()
        try:
            yield
        finally:
            for patch in patches:
                patch.stop()
            self.taken[name].append(total)

    def median(self, name: str, last: int) -> float:
        """Median of the last so many blocks."""
        return float(np.median(self.taken[name][-last:]))


def reader(path: Path) -> Callable[[], int]:
    """The yardstick: `readinto` of all bytes of a file into a buffer that is used again.

    The buffer asks for huge pages where the system has them: without, reading takes three to four times as long.
    """
    buffer = mmap.mmap(-1, path.stat().st_size)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        buffer.madvise(mmap.MADV_HUGEPAGE)

    def run() -> int:
        with open(path, "rb", buffering=0) as file:
            return int(file.readinto(buffer))

    return run


def setup(**more: object) -> dict[str, object]:
    """What the figures depend on: machine, libraries, and what the benchmark adds."""
    versions = {name: import_module(name).__version__ for name in ("numpy", "scipy", "astropy", "numba", "pyarrow")}
    machine = {"cores": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version()}
    return machine | versions | more


def table(title: str, head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table for people; floats get four digits, None a dash.

    Examples
    --------
    >>> print(table("t", ["name", "value"], [["a", 1.23456], ["b", None]]))
    t
      name  value
      a     1.235
      b     -
    """
    cells = [list(head), *([_cell(value) for value in row] for row in rows)]
    widths = [max(len(row[k]) for row in cells) for k in range(len(head))]
    lines = ["  " + "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in cells]
    return "\n".join([title, *lines])


def _cell(value: object) -> str:
    if value is None or (isinstance(value, float) and not np.isfinite(value)):
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def document(figures: Mapping[str, object], yardstick: Mapping[str, object], about: Mapping[str, object]) -> str:
    """The one JSON document of a benchmark; what is not finite was not measured and is null."""
    return json.dumps({"figures": _plain(figures), "yardstick": _plain(yardstick), "setup": _plain(about)}, indent=1)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not np.isfinite(value) else value
