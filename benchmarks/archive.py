"""How fast the archive's registry answers, on SQLite and on PostgreSQL, with a million registered products.

    python benchmarks/archive.py [--quick] [--json] [--scratch DIR]

Registered are reductions of all 84 detectors, each with its film and stack, and three tables' files of each exposure,
spread over nights and fields of a survey; no file belongs to them, for a search reads none. Each search is
`Archive.search` as a user calls it, with the table (pandas) that it returns, in turn on both databases: stacks, or all
products and films, within 15 arcmin of a random position or of one night (a night has 84 x 30 films). PostgreSQL is a
server of Debian's that the benchmark starts as the tests do; without one its figures are null.

What the figures are:

search_p95_ms, search_p99_ms
    Percentiles of the wall time of a search by position or night, all kinds alike, on the slower database.
    ``_sqlite``, ``_postgresql``: of one; ``_position_stacks`` and the like: of one kind of search, the slower database.
searches_per_s
    Searches that one process answers, over all kinds, on the slower database.
backup_s, restore_s
    A backup of all that, and its restore into an empty registry, on the slower database.
consolidate_rows_per_s, replay_identical
    Not measured here yet.

The yardstick is the wall time of a table of as many rows made from one `SELECT` of SQLite's own Python module, without
a condition on the sky. A figure that was not measured is null.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from parts import measure
from parts.registered import Survey, fill
from parts.searches import Timing, figures_of, keep, report, run_searches, servers, yardstick


def main() -> None:
    """Measure, print the tables, and with ``--json`` the document."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--quick", action="store_true", help="100,000 products instead of 1,000,000, fewer searches")
    parser.add_argument("--json", action="store_true", help="one document on standard output, tables on standard error")
    parser.add_argument(
        "--scratch", type=Path, help="where registries are made and deleted: 2 GB (default: the system's)"
    )
    options = parser.parse_args()
    measure.single_thread()
    started = time.perf_counter()
    survey = Survey(nights=40 if options.quick else 400)
    rounds = 10 if options.quick else 50
    if options.scratch:
        options.scratch.mkdir(parents=True, exist_ok=True)
    timing = Timing()
    with tempfile.TemporaryDirectory(prefix="tomoe-bench-", dir=options.scratch) as scratch, servers() as urls:
        empty = urls.pop("empty", None)
        archives = {}
        for name, url in urls.items():
            archives[name], timing.fill_s[name] = fill(Path(scratch, name), url, survey)
            print(f"{name}: {survey.n_products:,} products, {timing.fill_s[name]:.0f} s", file=sys.stderr)
        run_searches(archives, survey, rounds, timing)
        yard = yardstick(archives["sqlite"])
        for name, archive in archives.items():
            other = Path(scratch, f"{name}-restored")
            timing.backup_s[name], timing.restore_s[name] = keep(archive, other, empty if urls[name] else None)
    figures = figures_of(timing)
    about = measure.setup(
        products=survey.n_products, films=survey.n_films, nights=survey.nights, rounds=rounds, quick=options.quick,
        databases=list(archives), seconds=round(time.perf_counter() - started),
    )  # fmt: skip
    print(report(figures, timing), file=sys.stderr if options.json else sys.stdout)
    if options.json:
        print(measure.document(figures, yard, about))


if __name__ == "__main__":
    main()
