"""How right and how fast the reduction is: films with known truth, and two peers on the same films.

    python benchmarks/reduction.py [--quick] [--json] [--scratch DIR]

Films are simulated from real Gaia stars (a sparse and a dense field, in ``../shared/data/stars``) and a synthetic sky,
in seeings of 2 to 8 arcsec, with and without moonlight, with headers amiss by up to 5 arcmin and 1 deg (the dense field
by 1 arcmin); reduced, scored and deleted night by night. Cloudy nights are in no figure but those named ``cloudy``.

What the figures are; ``NAME_worst`` is the worst case of the same quantity:

core_seconds_per_film
    CPU seconds from a raw file that the archive does not know to the archive, without the compression of the stack: of
    a timed night the median of the rounds, of these the median (worst: the largest; ``_least``: of the best rounds).
core_seconds_without_movers_streaks, compression_core_seconds
    The same less the searches for movers and streaks; the compression within the same runs.
over_readinto, without_movers_streaks_over_readinto
    The same over reading the bytes into a buffer that is used again.
faster_than_ccdproc_photutils, faster_than_numpy_sep, faster_than_numpy_sep_tutorial
    A peer's seconds over ours in the stages that both do (read, calibrate, stack, detect, match, zero point, forced
    2 Hz photometry with local sky); median (worst) timed night. ``recipe_``: over our whole recipe but movers, with
    what only ours does: registration, checks, neighbours' light, transparency, true errors, tables. ``_tutorial``: with
    a background and errors of every frame, as the tutorial of sep has them; the other does without.
astrometric_rms_arcsec
    Measured less true positions of unsaturated stars to 16 mag that the reduction does not call blended, the worse
    coordinate; median (worst) film. The tables also give how far the solution itself is off ("wcs").
solved_fraction, solved_wrongly
    Clear films reduced and solved within 1 arcsec; number of films, cloudy ones too, that were solved elsewhere.
zeropoint_error_mag, zeropoint_pull_rms
    Size of the difference to the truth, median (worst) film; rms over films of the difference over its stated error.
flux_bias_max, chi2_min, chi2_max
    Over half magnitudes with 50 stars or more, of all films of a field, each film's from 1 mag below its saturation to
    17 mag: the largest median of mean flux over truth, less 1; the extremes of reduced chi-square about each film's
    fitted zero point; the worst field (worst: films of one seeing in a field, the worst of these).
bright_scatter_ratio
    Scatter of the stars in each film's brightest magnitude used, over photons, sky, read-out and scintillation; all
    films of a field, the worst field (worst: as above).
completeness_sn7, spurious_fraction
    Isolated stars of S/N 6.5 to 7.5 that were found; detections above 7 that are nothing; all films outside the dense
    field (worst: the worst seeing; ``_dense``: of that field).
time_error_ms, archive_over_raw, bytes_per_row
    The worst film: largest error of mid-times at any row; its products over its raw bytes; a row of its photometry.
simulated_films_per_minute
    By two processes, wall time, dark and flat counted too; the slowest timed night.

A figure that was not measured is null.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from pathlib import Path

from parts import measure
from parts.figures import FIELDS, figures_of
from parts.films import Size, plan
from parts.reduction_report import report
from parts.work import Results, work_on

from tomoe_explore.simulate.stars import FAINTEST

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "stars"
QUICK = Size(nights=1, exposures=2, cloudy=0, timed=(0,), rounds=3, seeings=(3.0,))
FULL = Size(nights=13, exposures=8, cloudy=1, timed=(0, 3, 6), rounds=5)
PROCESSES = 2


def main() -> None:
    """Measure, print the tables, and with ``--json`` the document."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--quick", action="store_true", help="6 films instead of 336: some minutes")
    parser.add_argument("--json", action="store_true", help="one document on standard output, tables on standard error")
    parser.add_argument("--scratch", type=Path, help="where films are made and deleted: 2 GB (default: the system's)")
    options = parser.parse_args()
    measure.single_thread()
    started, size = time.perf_counter(), QUICK if options.quick else FULL
    data = DATA if DATA.is_dir() else None
    results = Results()
    if options.scratch:
        options.scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="tomoe-bench-", dir=options.scratch) as scratch:
        for of_night in _nights(data, size, Path(scratch)):
            results += of_night
            n_films, passed = len(results.scores + results.cloudy), time.perf_counter() - started
            print(f"{n_films} films done, {passed:.0f} s", file=sys.stderr)
    about = measure.setup(
        films={f: sum(s.field == f for s in results.scores) for f in FIELDS}, cloudy_films=len(results.cloudy),
        rounds=size.rounds, quick=options.quick,
        stars="Gaia and synthetic" if data else "synthetic only: no ../shared/data/stars beside the repository",
        faintest_star=FAINTEST, seconds=round(time.perf_counter() - started), seeing_arcsec=list(size.seeings),
        movers_timed="the film of residuals, searches for movers and streaks, fits, cutouts, inside the same runs",
        peers="same targets and aperture; all share one matching of stars, for none of the packages has one",
    )  # fmt: skip
    figures, yardstick = figures_of(results)
    print(report(figures, results), file=sys.stderr if options.json else sys.stdout)
    if options.json:
        print(measure.document(figures, yardstick, about))


def _nights(data: Path | None, size: Size, scratch: Path) -> Iterator[Results]:
    """The timed nights one by one, alone on the machine; then the others, a night a process."""
    nights = plan(data, size)
    for night in (n for n in nights if n.timed):
        yield work_on(night, scratch, size.rounds)
    others = [n for n in nights if not n.timed]
    if others:
        # spawned, not forked: a fork would copy the locks of threads that do not exist in the child
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(PROCESSES, mp_context=context) as pool:
            yield from pool.map(work_on, others, repeat(scratch))


if __name__ == "__main__":
    main()
