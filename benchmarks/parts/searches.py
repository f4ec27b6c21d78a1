"""Searches of a registry, timed in turn on each database; and its backup."""

from __future__ import annotations

import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from parts import measure
from parts.registered import Survey, make_archive
from tomoe_explore.archive import Archive

_REPOSITORY = Path(__file__).resolve().parents[2]

#: Kinds of search: what is asked of a position or a night.
SEARCHES = ("position_stacks", "position_all", "night_stacks", "night_all")

_FIGURES = ("search_p95_ms", "searches_per_s", "search_p99_ms")


@dataclass
class Timing:
    """Seconds, by database: of each search by kind, of filling, backup and restore; rows that the searches found."""

    searches: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    rows: dict[str, list[int]] = field(default_factory=dict)
    fill_s: dict[str, float] = field(default_factory=dict)
    backup_s: dict[str, float] = field(default_factory=dict)
    restore_s: dict[str, float] = field(default_factory=dict)

    def percentile(self, q: float, name: str | None = None, kind: str | None = None) -> float | None:
        """Percentile (ms) of the searches of a kind, or all; of a database, or the slower one."""
        found = []
        for database, kinds in self.searches.items():
            seconds = [s for k, values in kinds.items() if kind in (None, k) for s in values]
            if name in (None, database) and seconds:
                found.append(1e3 * float(np.percentile(seconds, q)))
        return max(found, default=None)


@contextmanager
def servers() -> Iterator[dict[str, str | None]]:
    """URL of each database: None for SQLite; PostgreSQL where Debian's is installed, for as long as the block runs."""
    sys.path.append(str(_REPOSITORY))
    from tests.postgres import Server, binaries

    if binaries() is None:
        yield {"sqlite": None}
        return
    with tempfile.TemporaryDirectory(prefix="tomoe-pg-") as home:
        server = Server(Path(home))
        try:
            yield {"sqlite": None, "postgresql": server.new_database(), "empty": server.new_database()}
        finally:
            server.stop("immediate")


def run_searches(archives: Mapping[str, Archive], survey: Survey, rounds: int, timing: Timing) -> None:
    """Each kind of search in each round, the databases in turn; the first round fills caches and is not counted."""
    rng = np.random.default_rng(2)
    fields = survey.fields()
    for turn in range(rounds + 1):
        ra, dec = fields[rng.integers(len(fields))] + rng.uniform(-4, 4, 2)
        night = survey.night(int(rng.integers(survey.nights)))
        place: dict[str, Any] = {"position": (float(ra) % 360.0, float(dec)), "radius": "15 arcmin"}
        of_night: dict[str, Any] = {"night": night}
        asked: list[dict[str, Any]] = [place | {"product": "stack"}, place, of_night | {"product": "stack"}, of_night]
        for kind, options in zip(SEARCHES, asked, strict=True):
            for name, archive in archives.items():
                start = time.perf_counter()
                found = archive.search(**options)
                passed = time.perf_counter() - start
                if turn:
                    timing.searches.setdefault(name, {}).setdefault(kind, []).append(passed)
                    timing.rows.setdefault(kind, []).append(len(found))


def yardstick(archive: Archive) -> dict[str, float]:
    """Wall time (ms) of the products of one night, read by SQLite's own module and made a table; the median of five."""
    import pandas as pd

    times = []
    with sqlite3.connect(archive.layout.registry) as connection:
        names = "reduction_id, night, exposure_id, detector_id, mjd, ra, dec, bytes, checksum, path"
        query = f"SELECT {names} FROM reductions WHERE night = '2020-08-14'"
        for _ in range(5):
            start = time.perf_counter()
            pd.DataFrame(connection.execute(query).fetchall())
            times.append(1e3 * (time.perf_counter() - start))
    return {"night_stacks_sqlite3_ms": float(np.median(times))}


def keep(archive: Archive, directory: Path, url: str | None) -> tuple[float, float]:
    """Seconds of a backup, and of its restore into an empty archive in ``directory``, its registry at ``url``."""
    path = directory.parent / f"{directory.name}.zip"
    other = make_archive(directory, url)
    start = time.perf_counter()
    archive.backup(path)
    saved = time.perf_counter()
    other.restore(path)
    return saved - start, time.perf_counter() - saved


def figures_of(timing: Timing) -> dict[str, float | None]:
    """The figures that are promised, and those of each database and kind; null where nothing was measured."""
    figures: dict[str, float | None] = dict.fromkeys(_FIGURES)
    figures["search_p95_ms"], figures["search_p99_ms"] = timing.percentile(95), timing.percentile(99)
    rates = []
    for kinds in timing.searches.values():
        seconds = [s for values in kinds.values() for s in values]
        rates.append(len(seconds) / sum(seconds))
    figures["searches_per_s"] = min(rates, default=None)
    figures |= {f"search_p95_ms_{name}": timing.percentile(95, name) for name in timing.searches}
    figures |= {f"search_p95_ms_{kind}": timing.percentile(95, None, kind) for kind in SEARCHES}
    figures["backup_s"] = max(timing.backup_s.values(), default=None)
    figures["restore_s"] = max(timing.restore_s.values(), default=None)
    return figures


def report(figures: Mapping[str, float | None], timing: Timing) -> str:
    """The tables for people."""
    rows = []
    for kind in SEARCHES:
        found = int(np.median(timing.rows.get(kind, [0])))
        for name in timing.searches:
            rows.append([kind, name, found, *(timing.percentile(q, name, kind) for q in (50, 95, 99))])
    searches = measure.table("Searches, ms", ["search", "database", "rows", "median", "p95", "p99"], rows, words=2)
    copies = [[n, timing.fill_s.get(n), timing.backup_s.get(n), timing.restore_s.get(n)] for n in timing.fill_s]
    kept = measure.table("Registry, s", ["database", "fill", "backup", "restore"], copies)
    shown = measure.table("Figures", ["figure", "value"], [[name, value] for name, value in figures.items()])
    return "\n\n".join([searches, kept, shown])
