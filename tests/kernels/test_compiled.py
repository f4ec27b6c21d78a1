"""Caches that different processes wrote meet in one process, and each function stays itself."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

MODULE = """
from tomoe_explore import compiled
import numpy as np
from numba import njit

@njit(cache=True)
def places(x):
    return np.argsort(x)

@njit(cache=True)
def middle(x):
    return np.sort(x)[len(x) // 2]
"""


def _run(folder: Path, code: str, **settings: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), *sys.path]), **settings},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, (done.returncode, done.stderr)
    return done.stdout.strip()


def test_sorts_that_two_processes_compiled_meet(tmp_path: Path) -> None:
    """Numba's own numbers give both sorts one symbol, after three other functions; the third process dies of it."""
    (tmp_path / "sorts.py").write_text(MODULE)
    ask = "import numpy as np, sorts; x = np.random.default_rng(0).normal(size=1000); "
    others = "import numba; [numba.njit(lambda x: x + 1)(1) for _ in range(3)]; "
    _run(tmp_path, others + ask + "sorts.places(x)")
    _run(tmp_path, ask + "sorts.middle(x)")
    both = ask + "p, m = sorts.places(x), sorts.middle(x); assert not sum(sorts.places.stats.cache_misses.values())"
    assert _run(tmp_path, both + "; print((x[p] == np.sort(x)).all(), m == np.sort(x)[500])") == "True True"


def test_processes_that_fork_number_apart() -> None:
    ask = """
import multiprocessing
from tomoe_explore import compiled
from numba.core.bytecode import FunctionIdentity
def number(_): return FunctionIdentity.from_function(number).unique_id
with multiprocessing.get_context("fork").Pool(2) as pool:
    print(len({number(0), *pool.map(number, range(2), chunksize=1)}) > 1, number(0) > 10**9)
"""
    assert _run(Path.cwd(), ask) == "True True"
