"""A kernel gives the same digits whether this process compiled it or took it from the cache.

A function that kernels call stands in the code of each of them, and compiled on its own besides; where it is not
inlined, the process takes whichever copy it has loaded first. Fast arithmetic may have ordered their sums differently.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest


def jitted(kernels: Path) -> dict[str, list[tuple[Path, ast.FunctionDef, str]]]:
    """Compiled functions by name, with their decorator."""
    found: dict[str, list[tuple[Path, ast.FunctionDef, str]]] = {}
    for path in sorted(kernels.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                decorator = "".join(ast.unparse(d) for d in node.decorator_list)
                if "njit" in decorator:
                    found.setdefault(node.name, []).append((path, node, decorator))
    return found


def test_what_kernels_call_with_fast_arithmetic_is_inlined(repository: Path) -> None:
    functions = jitted(repository / "tomoe_explore" / "kernels")
    bodies = [(path, node) for found in functions.values() for path, node, _ in found]
    n_called = 0
    for name, found in functions.items():
        for path, node, decorator in found:
            callers = [
                caller.name
                for where, caller in bodies
                if caller is not node and (where == path or not name.startswith("_")) and _calls(caller, name)
            ]
            n_called += bool(callers)
            if callers and "fastmath" in decorator:
                assert "inline" in decorator, f"{path.name}: {name} is called by {callers}: forceinline=True"
    assert n_called > 20


def _calls(caller: ast.FunctionDef, name: str) -> bool:
    return any(isinstance(n, ast.Call) and isinstance(n.func, ast.Name) and n.func.id == name for n in ast.walk(caller))


_CENTROIDS = """
import numpy as np
from tomoe_explore.kernels.centroids import film_centroids
rng = np.random.default_rng(1)
frames = rng.integers(50, 400, (4, 200, 2156)).astype(">i2").view(np.int16)
dark, flat = np.full((200, 2000), 10, np.float32), rng.uniform(0.9, 1.1, (200, 2000)).astype(np.float32)
x, y = rng.uniform(20, 1900, 60).astype(np.float32), rng.uniform(20, 180, 60).astype(np.float32)
found = film_centroids(frames, (0, 0, 1.0, 0.0), (dark, flat), (x, y), np.full(60, 200, np.float32), 1.3)
print(sum(film_centroids.stats.cache_misses.values()), np.array(found).tobytes().hex())
"""


@pytest.mark.slow
def test_compiled_here_or_taken_from_the_cache(tmp_path: Path) -> None:
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    runs = [
        subprocess.run([sys.executable, "-c", _CENTROIDS], env=environment, capture_output=True, text=True, check=True)
        for _ in range(2)
    ]
    (cold, first), (warm, second) = (run.stdout.split() for run in runs)
    assert (cold, warm) == ("1", "0")
    assert first == second
