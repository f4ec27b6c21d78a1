"""One night of films with streaks: made, reduced, scored, timed if asked, deleted."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from parts import measure
from parts.films import Night, Size, films
from parts.streak_films import StreakScore, placed, score
from tomoe_explore import raw
from tomoe_explore.data import Masters
from tomoe_explore.errors import TomoeError
from tomoe_explore.reduction.masters import make_dark, make_flat
from tomoe_explore.reduction.recipe import Parameters, reduce_film
from tomoe_explore.refcat import read_refcat
from tomoe_explore.simulate import Simulation

QUICK = Size(nights=2, exposures=6, cloudy=0, timed=(0,), rounds=3, seeings=(3.0, 4.0))
FULL = Size(nights=12, exposures=6, cloudy=0, timed=(0,), rounds=5, seeings=(2.0, 2.5, 3.0, 3.5, 4.0, 5.0))
FRAMES = 18
GLINTS = 3  #: a film
SEARCH = tuple(
    f"tomoe_explore.reduction.recipe:{name}"
    for name in ("calm", "find_trails", "fit_trails", "track_streaks", "classify", "mask_streaks")
)
POINTS = "tomoe_explore.reduction.recipe:find_glints", "tomoe_explore.reduction.recipe:with_glints"


def work_on(night: Night, scratch: Path, rounds: int = 1) -> tuple[list[StreakScore], float | None]:
    """The scores of a night's films, and where it is timed the yardstick: CPU seconds to read a film's bytes."""
    night = replace(night, pointing_error_arcmin=0.75)
    streaks = placed(np.random.default_rng(night.seed), night.detector_id, night.exposures, FRAMES)
    with films(night, scratch, frames=FRAMES, streaks=0, movers=0, glints=GLINTS, placed_streaks=streaks) as made:
        masters, refcat = _masters(made), read_refcat(made.refcat)
        truth = made.truth("streaks")
        scores = []
        for k, path in enumerate(made.films):
            film, deep = raw.open_film(path, checksum=""), k % 3 == 2
            watch, reduction = measure.Stopwatch(), None
            for _ in range(rounds if night.timed and not deep else 1):
                try:
                    with watch.on("streaks", *SEARCH), watch.on("glints", *POINTS):
                        reduction = reduce_film(
                            film, masters, refcat, parameters=Parameters(deep_streaks=deep), reduction_id=1001001
                        )  # fmt: skip
                except TomoeError as error:
                    print(f"{night.name}, {film.exposure.where}: {error}")
            if reduction is None:
                continue
            of_film = truth.filter(pc.equal(truth["exposure_id"], film.exposure.exposure_id))
            about = night.field, night.seeing, f"{night.name}, {film.exposure.where}"
            one = score(_columns(of_film), _columns(reduction.tables["streaks"]), about, deep)
            one = replace(one, frames=FRAMES)
            if night.timed and not deep:
                seconds = watch.blocks("streaks").tolist(), watch.blocks("glints").tolist()
                one = replace(one, seconds=seconds[0], glint_seconds=seconds[1])
            scores.append(one)
        return scores, _yardstick(made.films[0]) if night.timed else None


def _yardstick(path: Path) -> float:
    run, taken = measure.reader(path), []
    for _ in range(5):
        start = time.process_time()
        run()
        taken.append(time.process_time() - start)
    return min(taken)


def _masters(made: Simulation) -> Masters:
    dark = make_dark(raw.open_film(made.darks[0]))
    return Masters(dark, make_flat(raw.open_film(made.flats[0]), dark))


def _columns(table: pa.Table) -> dict[str, NDArray[Any]]:
    return {name: table[name].to_numpy(zero_copy_only=False) for name in table.column_names}
