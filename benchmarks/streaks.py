"""How well streaks are found, and at what cost: streaks of known place and brightness on films of the full simulator.

    python benchmarks/streaks.py [--quick] [--json] [--scratch DIR]

Films are simulated from real Gaia stars (a sparse and a dense field) and a synthetic sky, in seeings of 2 to 8 arcsec;
each has six streaks of 60 px and more, half of them in one frame, half in three or four (their rates are judged), and
three glints; every third film has streaks of 300 px and more at half the noise of a pixel, and is searched in deep
mode.

completeness
    By the signal to noise of a pixel on the ridge: streaks with a row in the table; of those that show 60 px or more in
    a frame. ``"0.5"``: in deep mode. ``completeness_by_seeing``: the same at S/N 1.
one_row
    Of the streaks found, those with exactly one row.
false_per_frame
    Rows that are no streak put in, over all frames; not in deep mode (``false_per_frame_deep``).
end_error_px, end_error_px_snr1
    Distance from a true end along the streak that 68 % of the ends stay within: streaks within one frame; of S/N 1.
glint_completeness, false_glints_per_frame
    Of points in one frame (three a film, 11 to 16 mag) above a signal to noise of 8 there, those with a row; rows of
    class ``glint`` that are none, by the field.
rate_pull_rms, rates
    Error of the rate over its standard error, of streaks that have one; and their number.
core_seconds_per_film, glint_core_seconds_per_film
    CPU seconds of search, fit, joining and classes, and of the search for points; the best of the rounds, median of the
    films timed, which have six streaks each. The film of residuals is counted with the movers, who need it too.

A figure that was not measured is null.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from pathlib import Path

from parts import measure
from parts.films import plan
from parts.streak_report import figures_of, report
from parts.streak_work import FULL, QUICK, work_on

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "stars"
PROCESSES = 2


def main() -> None:
    """Measure, print the tables, and with ``--json`` the document."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--quick", action="store_true", help="36 films instead of 216: three minutes")
    parser.add_argument("--json", action="store_true", help="one document on standard output, tables on standard error")
    parser.add_argument("--scratch", type=Path, help="where films are made and deleted: 2 GB (default: the system's)")
    options = parser.parse_args()
    measure.single_thread()
    started, size = time.perf_counter(), QUICK if options.quick else FULL
    data = DATA if DATA.is_dir() else None
    if options.scratch:
        options.scratch.mkdir(parents=True, exist_ok=True)
    scores, yardstick = [], []
    with tempfile.TemporaryDirectory(prefix="tomoe-streaks-", dir=options.scratch) as scratch:
        nights = plan(data, size)
        for night in (n for n in nights if n.timed):
            made, read_s = work_on(night, Path(scratch), size.rounds)
            scores += made
            yardstick.append(read_s)
            print(f"{len(scores)} films done, {time.perf_counter() - started:.0f} s", file=sys.stderr)
        others = [n for n in nights if not n.timed]
        # spawned, not forked: a fork would copy the locks of threads that do not exist in the child
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(PROCESSES, mp_context=context) as pool:
            for made, _ in pool.map(work_on, others, repeat(Path(scratch))):
                scores += made
                print(f"{len(scores)} films done, {time.perf_counter() - started:.0f} s", file=sys.stderr)
    figures = figures_of(scores)
    print(report(figures, scores), file=sys.stderr if options.json else sys.stdout)
    about = measure.setup(
        films=len(scores), quick=options.quick, seeing_arcsec=list(size.seeings), rounds=size.rounds,
        stars="Gaia and synthetic" if data else "synthetic only: no ../shared/data/stars beside the repository",
        seconds=round(time.perf_counter() - started),
    )  # fmt: skip
    if options.json:
        reading = min(yardstick) if yardstick else None
        print(measure.document(figures, {"readinto_core_seconds": reading}, about))


if __name__ == "__main__":
    main()
