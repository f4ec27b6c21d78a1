"""The films of the movers' benchmark: nights with movers of known signal over noise, and nights without any."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from parts.films import POINTING_ARCMIN, Night, Size, films, plan
from tomoe_explore.camera import NX, NY, PIXEL_SCALE
from tomoe_explore.simulate import Simulation
from tomoe_explore.simulate.header import ExposureSetup
from tomoe_explore.simulate.movers import Mover
from tomoe_explore.simulate.plan import schedule
from tomoe_explore.simulate.projection import Projection, pointing_for

Array = NDArray[np.float64]

FIELDS = ("sparse", "dense", "synthetic")  #: the last one only where there are no real stars
CLASSES = (8.0, 4.0, 2.5, 2.0)  #: signal over noise a frame for which there are bars: four movers in five
LADDER = (1.25, 1.6, 3.2, 5.6, 11.0, 16.0)  #: the others, for the curves
MOVERS_A_FILM = 40
RATES = (0.5, 10.0)  #: arcsec/s, as many in each octave
APART_PX = 15.0  #: least distance between the tracks of two movers
MARGIN_PX = 80.0  #: from the edges to every track: headers are amiss by up to 40 px
BRIGHT_MAG, AWAY_FWHM = 13.0, 3.0  #: movers nearer than this to brighter stars, in any frame, do not count
FRAMES = 18
EXPOSURES = 3  #: of a night, one after the other: those that a review looks at together

#: Kinds of nights in turn: every exposure has its own movers; none has any, nor streaks; the same movers are met in all
#: exposures, and there are streaks and glints.
KINDS = ("own", "empty", "own", "empty", "same", "empty", "own", "empty")


@dataclass(frozen=True)
class MoverNight:
    """A night of one detector.

    Attributes
    ----------
    night : Night
        Field, seed and place; its ``seeing`` is not used: every exposure draws its own, 2.5 to 4.5 arcsec.
    kind : str
        ``own``, ``empty`` or ``same``, as `KINDS` has it; ``timed``: movers in the first of two exposures only.
    tuning : bool
        Whether the peer is tuned on it: then it is in no figure.
    """

    night: Night
    kind: str
    tuning: bool = False


def mover_nights(data: Path | None, nights: int, tuning: int) -> list[MoverNight]:
    """Nights of each field, the fields in turn; then those for tuning, high latitude only.

    Parameters
    ----------
    data : Path or None
        Folder of the real star tables; without it the sky is synthetic only.
    nights, tuning : int
        How many a field.

    Examples
    --------
    >>> [(n.kind, n.tuning) for n in mover_nights(None, 3, 2)]
    [('own', False), ('empty', False), ('own', False), ('own', True), ('empty', True)]
    """
    planned = plan(data, Size(nights=nights + tuning, exposures=EXPOSURES, cloudy=0, timed=(), rounds=0))
    wanted = ("synthetic",) if data is None else ("sparse", "dense")
    of_fields = [_plain(n) for n in planned if n.field in wanted]
    chosen = []
    for number, night in enumerate(of_fields):
        k = number // len(wanted)
        if k < nights:
            chosen.append(MoverNight(night, KINDS[k % len(KINDS)]))
        elif night.field == wanted[0]:
            chosen.append(MoverNight(night, KINDS[(k - nights) % 2], tuning=True))
    return chosen


def timed_nights(data: Path | None) -> list[MoverNight]:
    """One night a field of two exposures, movers in the first."""
    return [
        MoverNight(replace(n.night, exposures=2, seed=n.night.seed + 50), "timed") for n in mover_nights(data, 1, 0)
    ]


def _plain(night: Night) -> Night:
    return replace(night, moon=0.0, pointing_error_arcmin=POINTING_ARCMIN, timed=False)


@contextmanager
def mover_films(night: MoverNight, scratch: Path, *, workers: int = 1) -> Iterator[tuple[Simulation, pa.Table]]:
    """The films of a night, gone when the block ends, and the table of movers that was put in."""
    table = mover_table(night)
    busy = int(night.kind == "same")
    things = {"mover_table": table, "streaks": busy, "glints": busy, "variables": 0, "seeing": None}
    with films(night.night, scratch, workers=workers, frames=FRAMES, **things) as made:
        yield made, table


# --- where the movers are ------------------------------------------------------------------------
def mover_table(night: MoverNight) -> pa.Table:
    """Movers as `simulate` takes them; none of two in the same exposure come near each other."""
    n, rng = night.night, np.random.default_rng([night.night.seed, night.night.detector_id])
    center = pointing_for(*n.aim, n.detector_id)
    setups = [s for s in schedule(n.seed, n.date, n.exposures, FRAMES, center) if s.kind == "object"]
    nominal = Projection.nominal(*center, n.detector_id)
    groups = {"own": [[s] for s in setups], "same": [setups], "timed": [setups[:1]], "empty": []}[night.kind]
    rows: list[Mover] = []
    for group in groups:
        rows += _draw(rng, nominal, group, first_id=len(rows) + 1)
    names = ("mover_id", "ra", "dec", "mjd", "rate", "position_angle", "snr", "exposure_id")
    kinds = (pa.int64(), *[pa.float64()] * 6, pa.int64())
    return pa.table(
        {name: pa.array([getattr(m, name) for m in rows], kind) for name, kind in zip(names, kinds, strict=True)}
    )


def _draw(rng: np.random.Generator, nominal: Projection, setups: list[ExposureSetup], *, first_id: int) -> list[Mover]:
    first, last = setups[0].mjd_start, setups[-1].mjd_start + FRAMES * setups[-1].frame_interval_s / 86_400
    times = np.linspace(first, last, 50)
    only = setups[0].exposure_id if len(setups) == 1 else None
    movers: list[Mover] = []
    tracks: list[Array] = []
    n_classes = MOVERS_A_FILM // 5
    others = rng.permutation(LADDER * 2)[: MOVERS_A_FILM - n_classes * len(CLASSES)]
    snrs = rng.permutation([*CLASSES * n_classes, *others])
    while len(movers) < MOVERS_A_FILM:
        ra, dec = nominal.to_sky(rng.uniform(0, NX), rng.uniform(0, NY))
        rate = float(np.exp(rng.uniform(*np.log(RATES))))
        mover = Mover(
            first_id + len(movers), float(ra), float(dec), (first + last) / 2, rate, rng.uniform(0, 360), np.nan,
            float(snrs[len(movers)]), only,
        )  # fmt: skip
        track = np.stack(nominal.to_pixels(*mover.at(times)), axis=1)
        inside = (track > MARGIN_PX).all() and (track < np.array([NX, NY]) - MARGIN_PX).all()
        if inside and all(_distance(track, other) > APART_PX for other in tracks):
            movers.append(mover)
            tracks.append(track)
    return movers


def _distance(one: Array, other: Array) -> float:
    """Least distance of two tracks, whatever the times; points lie at most 5 px apart on them."""
    return float(np.hypot(*(one[:, None] - other[None]).transpose(2, 0, 1)).min())


# --- what is true --------------------------------------------------------------------------------
@dataclass(frozen=True)
class MoverTruth:
    """The movers of one film.

    Attributes
    ----------
    movers : tuple of Mover
        With their magnitude on this film.
    counted : ndarray of bool
        On the detector, and away from bright stars, in every frame.
    fwhm_arcsec : float
        Mean width of star images.
    """

    movers: tuple[Mover, ...]
    counted: NDArray[np.bool_]
    fwhm_arcsec: float

    @property
    def snr(self) -> Array:
        """Wanted of each mover, a frame."""
        return np.array([m.snr for m in self.movers], float)

    @property
    def rate(self) -> Array:
        """arcsec/s."""
        return np.array([m.rate for m in self.movers], float)


def mover_truth(made: Simulation, table: pa.Table, exposure_id: int) -> MoverTruth:
    """The truth about one exposure of a night of one detector."""
    snr = dict(zip(table["mover_id"].to_pylist(), table["snr"].to_pylist(), strict=True))
    fwhm = float(_of(made, "frames", exposure_id)["fwhm"].to_numpy().mean())
    stars = _of(made, "stars", exposure_id)
    bright = stars.filter(pc.less(stars["phot_g_mean_mag"], BRIGHT_MAG))
    places = _columns(_of(made, "mover_positions", exposure_id), ("mover_id", "x", "y"))
    movers, counted = [], []
    for row in _of(made, "movers", exposure_id).to_pylist():
        here = places["mover_id"] == row["mover_id"]
        x, y = places["x"][here], places["y"][here]
        distance = np.hypot(x[:, None] - bright["x"].to_numpy(), y[:, None] - bright["y"].to_numpy())
        away = distance.min(initial=np.inf) > AWAY_FWHM * fwhm / PIXEL_SCALE
        counted.append(bool(away and here.sum() == FRAMES))
        place = {k: row[k] for k in ("mover_id", "ra", "dec", "mjd", "rate", "position_angle", "mag")}
        movers.append(Mover(**place, snr=snr[row["mover_id"]]))
    return MoverTruth(tuple(movers), np.array(counted, bool), fwhm)


def _of(made: Simulation, name: str, exposure_id: int) -> pa.Table:
    table = made.truth(name)
    return table.filter(pc.equal(table["exposure_id"], exposure_id))


def _columns(table: pa.Table, names: tuple[str, ...]) -> dict[str, NDArray[Any]]:
    return {name: table[name].to_numpy() for name in names}
