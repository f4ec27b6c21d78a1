"""One night from raw films to what was found of its movers: made, searched, judged, deleted."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from parts import measure
from parts.costs import MOVERS, Calibrated
from parts.mover_films import MoverNight, mover_films, mover_truth
from parts.mover_match import Array, Candidates, Judged, judge
from parts.mover_review import reviewed
from parts.mover_search import LOOSE, Points, points_noted, searched
from parts.shuffled import shuffled, swapped
from parts.tracee_peer import PointFilm
from tomoe_explore import raw
from tomoe_explore.archive import Archive
from tomoe_explore.data import Film
from tomoe_explore.errors import TomoeError
from tomoe_explore.operations.reduce import reduce
from tomoe_explore.refcat import read_refcat


@dataclass(frozen=True)
class FilmFound:
    """What was found on one film.

    Attributes
    ----------
    night : MoverNight
    kept, loose : Judged
        What the search gives, and what it gives with loose thresholds.
    shown_false, linked_false : int
        False candidates among those that a person would be shown; among those that are linked across exposures when
        thresholds are loose.
    shown : ndarray of bool
        Whether each mover that counts is met by one that is shown.
    film : PointFilm
        What the peer gets.
    """

    night: MoverNight
    kept: Judged
    loose: Judged
    shown_false: int
    linked_false: int
    shown: Array
    film: PointFilm


@dataclass(frozen=True)
class Cost:
    """CPU seconds, one entry a round: of the search ``empty`` and with ``movers`` on the film, and of ``readinto``."""

    field: str
    n_bytes: int
    seconds: dict[str, Array]


@dataclass(frozen=True)
class Alarms:
    """Scores of false candidates: one array a run of the search, by order of the frames."""

    field: str
    scores: dict[str, list[Array]]


@contextmanager
def _calibrated(night: MoverNight, scratch: Path, *, workers: int = 1) -> Iterator[tuple[Calibrated, pa.Table]]:
    """The films of a night with their masters, gone when the block ends."""
    with mover_films(night, scratch, workers=workers) as (made, table):
        archive = Archive.create(made.out.parent / "archive")
        reduce([*made.darks, *made.flats], archive, made.refcat, progress=False)
        masters = archive.find_masters(raw.read_exposure(made.films[0]))
        yield Calibrated(made, masters, read_refcat(made.refcat)), table


def work_on(night: MoverNight, scratch: Path) -> list[FilmFound]:
    """Make, search, judge and delete the films of a night."""
    parts = []
    with _calibrated(night, scratch) as (c, table):
        for path in c.night.films:
            try:
                parts.append(_search(raw.open_film(path, checksum=""), c, table, night))
            except Exception as error:  # whatever it is, a film is lost, and not an hour's work
                kind = error.kind if isinstance(error, TomoeError) else f"unexpected {type(error).__name__}"
                print(f"{night.night.name}, {path.name}: {kind}: {error}", file=sys.stderr)
    shown = reviewed([movers for movers, _, _ in parts])
    linked = reviewed([loose for _, loose, _ in parts], score=np.inf)
    done = []
    for (movers, loose, film), show, chained in zip(parts, shown, linked, strict=True):
        found, more = Candidates.of_table(movers), Candidates.of_table(loose)
        kept, seen, all_linked = (judge(c, film.truth) for c in (found, found[show], more[chained]))
        n_false = len(seen.false), len(all_linked.false)
        done.append(FilmFound(night, kept, judge(more, film.truth), *n_false, np.isfinite(seen.score), film))
    return done


def _search(film: Film, c: Calibrated, table: pa.Table, night: MoverNight) -> tuple[pa.Table, pa.Table, PointFilm]:
    truth = mover_truth(c.night, table, film.exposure.exposure_id)
    points: list[Points] = []
    with points_noted(points):
        reduction = searched(film, c)
    movers = reduction.tables["movers"]
    loose = searched(film, c, **LOOSE).tables["movers"] if LOOSE else movers
    header = dict(reduction.stack.wcs_header)
    return movers, loose, PointFilm(night.night.field, points[0], header, film.exposure.mjd_start, truth)


def timed(night: MoverNight, scratch: Path, rounds: int) -> Cost:
    """The search's cost inside the recipe, with and without movers in turn; the night must be alone on the machine."""
    with _calibrated(night, scratch, workers=2) as (c, _):
        watch = measure.Stopwatch()

        def run(name: str, path: Path) -> None:
            with watch.on(name, *MOVERS):
                searched(raw.open_film(path, checksum=""), c)

        movers, empty = c.night.films
        contenders = {
            "readinto": measure.reader(movers),
            "empty": lambda: run("empty", empty),
            "movers": lambda: run("movers", movers),
        }
        for warm in contenders.values():  # compiles, and fills the system's cache
            warm()
        watch.taken.clear()
        seconds, _ = measure.interleaved(contenders, rounds)
        of_search = {name: watch.blocks(name) for name in ("empty", "movers")}
        return Cost(night.night.field, movers.stat().st_size, {"readinto": seconds["readinto"]} | of_search)


def alarms(night: MoverNight, scratch: Path, shuffles: int) -> Alarms:
    """Scores of what the search finds on films without movers, as they are and with their frames in other orders."""
    scores: dict[str, list[Array]] = {"as taken": [], "swapped": [], "shuffled": []}
    with _calibrated(night, scratch) as (c, _):
        for path in c.night.films:
            film = raw.open_film(path, checksum="")
            number = film.exposure.exposure_id
            films = [("as taken", film), ("swapped", swapped(film))]
            films += [("shuffled", shuffled(film, 1000 * number + k)) for k in range(shuffles)]
            for name, other in films:
                found = searched(other, c, **LOOSE).tables["movers"]
                scores[name].append(found["score"].to_numpy().astype(float))
    return Alarms(night.night.field, scores)
