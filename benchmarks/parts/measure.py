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
from numpy.typing import NDArray

Array = NDArray[np.float64]

_ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "NUMBA", "VECLIB_MAXIMUM", "NUMEXPR")}


def single_thread() -> None:
    """Start the script again with one thread a library, unless it runs so: linear algebra spins on idle threads.

    Without ``TOMOE_DATABASE``, too: the archives of a benchmark are their own.
    """
    os.environ.pop("TOMOE_DATABASE", None)
    if any(os.environ.get(name) != value for name, value in _ONE_THREAD.items()):
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | _ONE_THREAD)


def interleaved(contenders: Mapping[str, Callable[[], Any]], rounds: int) -> tuple[dict[str, Array], dict[str, Any]]:
    """Run contenders in turn, round after round.

    Parameters
    ----------
    contenders : mapping of str to callable
    rounds : int
        Odd, three at least: a first run that fills caches does not move the median.

    Returns
    -------
    seconds : dict
        CPU seconds of this process in each round.
    results : dict
        What each gave in the last round.

    Examples
    --------
    >>> seconds, results = interleaved({"one": lambda: 1, "two": lambda: 2}, 3)
    >>> seconds["one"].shape, results
    ((3,), {'one': 1, 'two': 2})
    """
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    results: dict[str, Any] = {}
    for _ in range(rounds):
        for name, run in contenders.items():
            results.pop(name, None)  # its memory is free before the next run
            start = time.process_time()
            results[name] = run()
            seconds[name].append(time.process_time() - start)
    return {name: np.array(values) for name, values in seconds.items()}, results


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

    def blocks(self, name: str) -> Array:
        """Seconds of each block."""
        return np.array(self.taken[name])


def reader(path: Path) -> Callable[[], int]:
    """The yardstick: `readinto` of all bytes of a file into a buffer that is used again.

    The buffer asks for huge pages where the system has them: without, reading takes three to four times as long.
    """
    buffer = mmap.mmap(-1, path.stat().st_size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
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


def table(title: str, head: Sequence[str], rows: Sequence[Sequence[object]], *, words: int = 1) -> str:
    """A table for people; floats get three digits, None a dash; all but the first columns stand to the right.

    Parameters
    ----------
    title : str
    head : sequence of str
    rows : sequence of sequences
    words : int
        How many columns at the left are words.

    Examples
    --------
    >>> print(table("t", ["name", "value"], [["a", 12.3456], ["b", None]]))
    t
      name  value
      a      12.3
      b         -
    """
    cells = [list(head), *([_cell(value) for value in row] for row in rows)]
    widths = [max(len(row[k]) for row in cells) for k in range(len(head))]

    def placed(row: Sequence[str]) -> str:
        return "  ".join(
            c.ljust(w) if k < words else c.rjust(w) for k, (c, w) in enumerate(zip(row, widths, strict=True))
        )

    return "\n".join([title, *(f"  {placed(row)}".rstrip() for row in cells)])


def _cell(value: object) -> str:
    if value is None or (isinstance(value, float) and not np.isfinite(value)):
        return "-"
    return f"{value:#.3g}".rstrip(".") if isinstance(value, float) else str(value)


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
