"""How fast the archive answers and keeps, and whether it replays: searches of a million products, rows of real films.

    python benchmarks/archive.py [--quick] [--json] [--scratch DIR]

Registered are reductions of all 84 detectors, each with its film and stack, and three tables' files of each exposure,
spread over nights and fields of a survey; no file belongs to them, for a search reads none. Each search is
`Archive.search` as a user calls it, with the table (pandas) that it returns, in turn on both databases: stacks, or all
products and films, within 15 arcmin of a random position or of one night (a night has 84 x 30 films). PostgreSQL is a
server of Debian's that the benchmark starts as the tests do; without one its figures are null.

Rows are those of a simulated film's reduction, copied to exposures of all 84 detectors (four visits of each field) and
to visits of one field by two detectors, each copy through the archive's own begin, stage and publish.

What the figures are:

search_p95_ms, search_p99_ms
    Percentiles of the wall time of a search by position or night, all kinds alike, on the slower database.
    ``_sqlite``, ``_postgresql``: of one; ``_position_stacks`` and the like: of one kind of search, the slower database.
searches_per_s
    Searches that one process answers, over all kinds, on the slower database.
backup_s, restore_s
    A backup of all that, and its restore into an empty registry, on the slower database.
consolidate_rows_per_s, consolidate_rows_per_core_s
    Rows of all tables a second of wall time by ``tomoe consolidate --workers 2``, its processes' start among it, for
    the exposures of 84 detectors; and a second of CPU time of all its processes, which other work on the machine
    disturbs less. ``_revisits``: a CPU second of one process, for the visits of one field.
replay_identical, replayed
    Whether every reduction of a simulated night (2 detectors, 2 exposures, as in the demo) replays identical; how many.
overhead_core_seconds
    CPU seconds a film of begin, stage and publish in exposures of 84 films, the stack's compression left out; each of
    the three; ``_2_films``: in exposures of two.
cone_ms
    CPU time of a cone of 30 arcsec about a star on the consolidated files, warm, median: the 15 columns of a light
    curve read by the archive's reader; ``_few_columns``: of 5 columns; ``_archive_table``: by `Archive.table`, the
    registry's search included; ``_pyarrow_dataset``, ``_duckdb``: by these on the same files and HEALPix ranges.
cone_rows
    Rows in such a cone, median.

The yardsticks are the wall time of a table of as many rows as a night's search finds made from one `SELECT` of SQLite's
own Python module, without a condition on the sky; and of `readinto` of the files that are consolidated. A figure that
was not measured is null.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from parts import measure
from parts.merged import QUICK, Scale, measure_rows, row_figures, row_yardstick
from parts.registered import Survey, fill
from parts.searches import Timing, figures_of, keep, report, run_searches, servers, yardstick

PROMISED = ("search_p95_ms", "searches_per_s", "search_p99_ms", "consolidate_rows_per_s", "replay_identical")


def main() -> None:
    """Measure, print the tables, and with ``--json`` the document."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the products, fewer searches and rows")
    parser.add_argument("--json", action="store_true", help="one document on standard output, tables on standard error")
    parser.add_argument(
        "--scratch", type=Path, help="where registries are made and deleted: 6 GB (default: the system's)"
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
        rows = measure_rows(Path(scratch), QUICK if options.quick else Scale())
    searches, of_rows = figures_of(timing), row_figures(rows)
    figures = {name: (searches | of_rows)[name] for name in (*PROMISED, *searches, *of_rows)}
    about = measure.setup(
        products=survey.n_products, films=survey.n_films, nights=survey.nights, rounds=rounds, quick=options.quick,
        databases=list(archives), seconds=round(time.perf_counter() - started),
    )  # fmt: skip
    yard |= row_yardstick(rows)
    print(report(figures, timing), file=sys.stderr if options.json else sys.stdout)
    if options.json:
        print(measure.document(figures, yard, about))


if __name__ == "__main__":
    main()
