"""How deep, how purely and how fast moving objects are found: movers of known brightness in films of real stars.

    python benchmarks/movers.py [--quick] [--json] [--scratch DIR] [--calibrate]

Films are simulated from real Gaia stars, a sparse (high latitude) and a dense field, in seeings of 2.5 to 4.5 arcsec;
nights of one detector and three exposures are made, searched, judged and deleted. A film with movers has 40, of rates
even in the logarithm over 0.5 to 10 arcsec/s, in all directions, each of a magnitude that gives it a wanted S/N: per
frame, matched along its trail (``simulate/trail_snr.py``). Those that come within 3 FWHM of a star brighter than 13 mag
in any frame are put in but not counted. What a match is says ``parts/mover_match.py``: within 2 FWHM at the candidate's
time, with a velocity that differs by at most 20 % or 1 px/s.

The peer, tracee 0.0.4, links our single-frame points. Its threshold of the points and all its parameters are chosen for
its best on other films (``parts/tracee_peer.py``); both searches are compared at the score above which films without
movers give 0.1 false candidates each.

What the figures are:

completeness
    Part of the movers found in films of both fields, by S/N a frame; ``_sparse``, ``_dense``: of one; ``_by_rate``: in
    bins of arcsec/s; ``_curve``: against S/N at high latitude, of what is kept, and of both searches at equal false
    rate.
false_per_film_sparse, false_per_film_dense
    Candidates kept in films without movers and streaks; ``_with_movers``: those that match none in films with movers.
false_review_per_night, false_review_per_night_below
    False candidates among those that a person would be shown (``parts/mover_review.py``), of nights without movers and
    of all others too, some with streaks and glints, scaled to 900 exposures of 84 detectors; and what the true number
    is below with 90 % confidence: none among 450 films is below 390.
review_completeness_8 (_4, _2.5, _2)
    Movers met in all exposures of a night that a person would be shown.
duplicates
    Further rows of a mover that was found, over those found.
position_chi2, rate_error
    Of movers found: mean of ``d C^-1 d / 2`` (S/N 2.5 and above) with the covariance that the table says, 1 if it is
    right; median of the rate's relative error (S/N 8).
gain_over_tracee_mag
    Magnitudes between the S/N at which either search finds half (``half_found_snr``), at equal false rate.
false_alarm_curves
    False candidates in a film without movers, and the part of the movers of S/N 2 to 8 that is found, against the
    threshold of the score: of ours with loose thresholds, and of tracee.
core_seconds_per_film
    CPU seconds of the search inside the recipe, median of the rounds, films without and with movers in turn: of those
    without the worse field; all of them by name, with the least of the rounds.

``--calibrate`` measures instead how many candidates a film has above a score that cannot be movers: of films without
movers as they are, and with their frames in other orders but the times of the film (``parts/shuffled.py``).

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
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from itertools import repeat
from pathlib import Path

from parts import measure
from parts.mover_figures import Measured, figures_of, yardstick_of
from parts.mover_films import MoverNight, mover_nights, timed_nights
from parts.mover_report import calibration, report
from parts.mover_work import FilmFound, alarms, timed, work_on
from parts.tracee_peer import judged, tune

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "stars"
PROCESSES = 2


@dataclass(frozen=True)
class Extent:
    """How much is done: nights a field, nights for tuning, its rounds, rounds of the timing, shuffles of each film."""

    nights: int
    tuning: int
    tuning_rounds: int
    rounds: int
    shuffles: int


QUICK = Extent(nights=6, tuning=2, tuning_rounds=1, rounds=5, shuffles=2)
FULL = Extent(nights=64, tuning=8, tuning_rounds=2, rounds=9, shuffles=5)


def main() -> None:
    """Measure, print the tables, and with ``--json`` the document."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the films: some minutes")
    parser.add_argument("--json", action="store_true", help="one document on standard output, tables on standard error")
    parser.add_argument("--scratch", type=Path, help="where films are made and deleted: 2 GB (default: the system's)")
    parser.add_argument(
        "--calibrate",
        action="store_true",
        help="false alarms against the score, of films with shuffled frames, instead",
    )
    options = parser.parse_args()
    if not options.calibrate and find_spec("tracee") is None:
        parser.error("the peer is not installed: pip install tracee (which needs a compiler where it has no wheel)")
    measure.single_thread()
    started, extent = time.perf_counter(), QUICK if options.quick else FULL
    data = DATA if DATA.is_dir() else None
    if options.scratch:
        options.scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="tomoe-bench-", dir=options.scratch) as scratch:
        measured = _calibrate if options.calibrate else _measure
        figures, yardstick, text = measured(data, extent, Path(scratch))
    about = measure.setup(
        **asdict(extent), quick=options.quick, seconds=round(time.perf_counter() - started),
        stars="Gaia" if data else "synthetic only: no ../shared/data/stars beside the repository",
        peer="tracee on our single-frame points, tuned on other films",
    )  # fmt: skip
    print(text, file=sys.stderr if options.json else sys.stdout)
    if options.json:
        print(measure.document(figures, yardstick, about))


def _measure(data: Path | None, extent: Extent, scratch: Path) -> tuple[dict[str, object], dict[str, object], str]:
    costs = [timed(night, scratch, extent.rounds) for night in timed_nights(data)]  # alone on the machine
    with _pool() as pool:
        films: list[FilmFound] = []
        nights = mover_nights(data, extent.nights, extent.tuning)
        for of_night in _each(pool, nights, scratch):
            films += of_night
        lost = sum(n.night.exposures for n in nights) - len(films)
        tuning = [f.film for f in films if f.night.tuning]
        films = [f for f in films if not f.night.tuning]
        setting, tuned = tune(tuning, lambda s: list(pool.map(judged, tuning, repeat(s))), extent.tuning_rounds)
        peer = list(pool.map(judged, [f.film for f in films], repeat(setting), chunksize=4))
    m = Measured(films, peer, setting, tuned, costs)
    figures = figures_of(m) | {"films_lost": lost, "tracee_setting": asdict(setting)}
    return figures, dict(yardstick_of(costs)), report(figures, m)


def _each(pool: ProcessPoolExecutor, nights: list[MoverNight], scratch: Path) -> Iterator[list[FilmFound]]:
    """What was found in each night; how far it is goes to standard error."""
    started = time.perf_counter()
    for done, of_night in enumerate(pool.map(work_on, nights, repeat(scratch)), 1):
        if done % 8 == 0 or done == len(nights):
            print(f"{done} of {len(nights)} nights, {time.perf_counter() - started:.0f} s", file=sys.stderr)
        yield of_night


def _calibrate(data: Path | None, extent: Extent, scratch: Path) -> tuple[dict[str, object], dict[str, object], str]:
    nights = [n for n in mover_nights(data, extent.nights, 0) if n.kind == "empty"]
    with _pool() as pool:
        found = list(pool.map(alarms, nights, repeat(scratch), repeat(extent.shuffles)))
    figures, text = calibration(found)
    return figures, {}, text


@contextmanager
def _pool() -> Iterator[ProcessPoolExecutor]:
    # spawned, not forked: a fork would copy the locks of threads that do not exist in the child
    with ProcessPoolExecutor(PROCESSES, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield pool


if __name__ == "__main__":
    main()
