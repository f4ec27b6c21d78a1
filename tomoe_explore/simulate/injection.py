"""Films with many movers of known signal over noise: what a search is tried on."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tomoe_explore.camera import NX, NY
from tomoe_explore.errors import ParameterError
from tomoe_explore.simulate.draws import generator, log_uniform
from tomoe_explore.simulate.header import ExposureSetup
from tomoe_explore.simulate.movers import Mover
from tomoe_explore.simulate.night import Simulation, simulate
from tomoe_explore.simulate.plan import choose_center, read_table, schedule
from tomoe_explore.simulate.projection import Projection

Array = NDArray[np.float64]

#: Signal over noise in a frame: from what is hardly ever found to what every frame shows.
LADDER = (1.25, 1.6, 2.0, 2.5, 3.2, 4.0, 5.6, 8.0)

INJECTED = "injected.parquet"  #: in the folder of the truth: the movers that were asked for

_APART_PX = 15.0  #: least distance between the tracks of two movers
_MARGIN_PX = 80.0  #: from the edges to every track: headers are amiss
_MOST_TRIES = 200  #: a mover
_NAMES = ("mover_id", "ra", "dec", "mjd", "rate", "position_angle", "snr", "exposure_id")


def simulate_movers(
    out: str | os.PathLike[str], *, snr: Sequence[float] = LADDER, rates: tuple[float, float] = (0.5, 10.0),
    movers: int = 40, night: str = "2020-08-14", detectors: Sequence[int] = (112,), exposures: int = 1,
    frames: int = 18, seed: int = 1, **conditions: Any,
) -> Simulation:  # fmt: skip
    """Make a night of raw films, each with movers of its own whose signal over noise is given.

    Parameters
    ----------
    out : str or path
        As of `simulate`; the movers that were asked for are in ``truth/injected.parquet`` too.
    snr : sequence of float
        Signal over noise in each frame, matched along the trail; as many movers of each.
    rates : (low, high)
        arcsec/s; as many movers in each octave, in all directions.
    movers : int
        A film; they start where there is room, away from each other and from the edges.
    night, detectors, exposures, frames, seed
        As of `simulate`.
    **conditions
        Other options of `simulate`, such as ``seeing``, ``moon``, ``cloud``, ``stars``, ``center``, ``workers``.

    Returns
    -------
    Simulation

    Raises
    ------
    ParameterError
        If a number makes no sense, or so many movers, or so fast ones, have no room on a film.

    Examples
    --------
    >>> import tempfile
    >>> night = simulate_movers(tempfile.mkdtemp(), snr=[4.0], movers=3, frames=6, progress=False)
    >>> night.truth("movers").num_rows
    3
    """
    low, high = (float(v) for v in rates)
    if movers < 1 or not snr or not (0 < low <= high):
        raise ParameterError(
            f"expected one mover or more, one snr or more, and 0 < rates[0] <= rates[1] (arcsec/s); "
            f"got movers={movers}, snr={tuple(snr)}, rates={tuple(rates)}"
        )
    center = choose_center(read_table(conditions.get("stars")), conditions.get("center"), detectors)
    setups = [s for s in schedule(seed, night, exposures, frames, center) if s.kind == "object"]
    rows: list[Mover] = []
    for detector_id in detectors:
        nominal = Projection.nominal(*center, detector_id)
        for setup in setups:
            rng = generator(seed, "injection", setup.exposure_id, detector_id)
            drawn = rng.permutation(np.resize(np.asarray(snr, float), movers))
            rows += _draw(rng, nominal, setup, drawn, (low, high), first_id=len(rows) + 1)
    table = pa.Table.from_pylist([{name: getattr(mover, name) for name in _NAMES} for mover in rows])
    conditions = {"streaks": 0} | conditions
    made = simulate(
        out, night=night, detectors=detectors, exposures=exposures, frames=frames, seed=seed, mover_table=table,
        **conditions,
    )  # fmt: skip
    pq.write_table(table, Path(out) / "truth" / INJECTED)
    return made


def _draw(
    rng: np.random.Generator, nominal: Projection, setup: ExposureSetup, snr: Array, rates: tuple[float, float],
    *, first_id: int,
) -> list[Mover]:  # fmt: skip
    """Movers of one film whose tracks keep away from each other and from the edges."""
    duration = setup.n_frames * setup.frame_interval_s / 86_400
    times = setup.mjd_start + duration * np.linspace(0.0, 1.0, 50)
    middle = setup.mjd_start + duration / 2
    movers: list[Mover] = []
    tracks: list[Array] = []
    for number, of_mover in enumerate(snr):
        for _ in range(_MOST_TRIES):
            ra, dec = nominal.to_sky(rng.uniform(0, NX), rng.uniform(0, NY))
            rate, angle = float(log_uniform(rng, rates)), rng.uniform(0.0, 360.0)
            mover = Mover(
                first_id + number, float(ra), float(dec), middle, rate, angle, np.nan, float(of_mover),
                setup.exposure_id,
            )  # fmt: skip
            track = np.stack(nominal.to_pixels(*mover.at(times)), axis=1)
            inside = (track > _MARGIN_PX).all() and (track < np.array([NX, NY]) - _MARGIN_PX).all()
            if inside and all(_distance(track, other) > _APART_PX for other in tracks):
                movers.append(mover)
                tracks.append(track)
                break
        else:
            raise ParameterError(
                f"no room for mover {number + 1} of {len(snr)} with rates of {rates[0]:g} to {rates[1]:g} arcsec/s in "
                f"{setup.n_frames} frames: take fewer, or slower ones"
            )
    return movers


def _distance(one: Array, other: Array) -> float:
    """Least distance of two tracks, px, whatever the times."""
    return float(np.hypot(*(one[:, None] - other[None]).transpose(2, 0, 1)).min())
