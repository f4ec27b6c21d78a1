"""Streaks that are put on the films of a night, and what of them the camera could see."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomoe_explore.camera import NX, NY, PIXEL_SCALE, ROW_TIME_S
from tomoe_explore.simulate.streaks import PlacedStreak

SNRS = (3.0, 1.0, 0.5)
LENGTHS_PX = {3.0: (60.0, 600.0), 1.0: (60.0, 600.0), 0.5: (300.0, 1200.0)}  #: as many in each octave
A_FILM = 6
LONGEST_S = 0.3  #: of those that stay in one frame
LEAST_PX = 60.0  #: of what a frame shows, to count
EXPTIME_S = 0.4999
GLINT_SNR = 8.0  #: of a glint that counts, matched to its image
GLINT_PX = 3.0  #: from its place to its row


def placed(rng: np.random.Generator, detector_id: int, exposures: int, frames: int) -> list[PlacedStreak]:
    """`A_FILM` streaks on each film, two frames or more apart; every second one shines for three frames."""
    streaks = []
    for exposure in range(exposures):
        slots = rng.permutation(np.arange(1, frames - 3, 3))[:A_FILM]
        for k, frame in enumerate(slots):
            snr = SNRS[(k + exposure) % 2] if exposure % 3 < 2 else SNRS[2]
            length = float(np.exp(rng.uniform(*np.log(LENGTHS_PX[snr]))))
            long = k % 2 == 1 and snr != SNRS[2]
            lasts = 1.3 if long else float(rng.uniform(0.5, 1.0) * LONGEST_S)
            speed = (min(length, 300.0) / EXPTIME_S) if long else length / lasts
            angle = rng.uniform(0.0, 360.0)
            half = speed * lasts / 2
            x, y = (
                _place(rng, half * abs(turn), size)
                for turn, size in ((np.cos(np.radians(angle)), NX), (np.sin(np.radians(angle)), NY))
            )
            middle = (frame + (1.5 if long else 0.5)) * 0.5 + y * ROW_TIME_S
            streaks.append(
                PlacedStreak(detector_id, exposure, x, y, speed * PIXEL_SCALE, angle, middle, lasts, snr)
            )  # fmt: skip
    return streaks


def _place(rng: np.random.Generator, half: float, size: int) -> float:
    margin = min(half + 10.0, size / 2 - 1.0)
    return float(rng.uniform(margin, size - margin))


@dataclass(frozen=True)
class StreakScore:
    """What became of the streaks of one film.

    Attributes
    ----------
    found : list of (field, snr, seeing, length, rows)
        Of each streak put in whose longest piece in a frame is long enough; rows that it has in the table.
    end_error : list of (snr, px)
        Of both ends of the streaks in one frame that have one row.
    rate_pull : list of float
        Error of the rate over its standard error.
    kinds : list of (truth, given)
    false : list of str
        Rows that are no streak put in.
    glints : list of bool
        Of each glint put in above `GLINT_SNR` whether it has a row.
    false_glints : list of str
    frames : int
    seconds, glint_seconds : list of float
        CPU seconds of the searches in each round; empty where they were not timed.
    deep : bool
    field : str
    """

    found: list[tuple[str, float, float, float, int]] = field(default_factory=list)
    end_error: list[tuple[float, float]] = field(default_factory=list)
    rate_pull: list[float] = field(default_factory=list)
    kinds: list[tuple[str, str]] = field(default_factory=list)
    false: list[str] = field(default_factory=list)
    glints: list[bool] = field(default_factory=list)
    false_glints: list[str] = field(default_factory=list)
    frames: int = 0
    seconds: list[float] = field(default_factory=list)
    glint_seconds: list[float] = field(default_factory=list)
    deep: bool = False
    field: str = ""


def score(
    truth: dict[str, NDArray[Any]], rows: dict[str, NDArray[Any]], about: tuple[str, float, str], deep: bool
) -> StreakScore:
    """Compare the true pieces of one film with the rows found.

    Parameters
    ----------
    truth, rows : dict of arrays
        Columns of the truth's table and of the table of streaks.
    about : (field, seeing, name)
    deep : bool
    """
    out = StreakScore(deep=deep, field=about[0])
    ends = np.column_stack([rows[n] for n in ("x1", "y1", "x2", "y2")]).astype(float).reshape(-1, 4)
    explained = _score_glints(out, truth, rows)
    for streak in np.unique(truth["streak_id"][truth["class"] != "glint"]):
        one = {n: v[truth["streak_id"] == streak] for n, v in truth.items()}
        longest = int(np.argmax(one["length"]))
        pieces = np.column_stack([one[n] for n in ("x1", "y1", "x2", "y2")]).astype(float)
        whole = np.concatenate([pieces[0, :2], pieces[-1, 2:]])
        near = (rows["frame_first"] <= one["frame_last"].max()) & (rows["frame_last"] >= one["frame_first"].min())
        mine = np.array([near[k] and _covers(whole, ends[k]) for k in range(len(ends))], bool)
        mine &= rows["class"] != "glint"
        explained |= mine
        if one["length"][longest] < LEAST_PX * PIXEL_SCALE:
            continue
        nominal = SNRS[int(np.argmin(np.abs(np.log(np.array(SNRS) / np.median(one["snr"])))))]
        out.found.append((about[0], nominal, about[1], float(one["length"][longest]) / PIXEL_SCALE, int(mine.sum())))
        if mine.sum() == 1:
            k = int(np.flatnonzero(mine)[0])
            if len(pieces) == 1:
                out.end_error.extend((nominal, e) for e in _end_errors(whole, ends[k]))
            if np.isfinite(rows["rate"][k]):
                out.rate_pull.append(float((rows["rate"][k] - one["rate"][0]) / rows["rate_err"][k]))
            out.kinds.append((str(one["class"][0]), str(rows["class"][k])))
    for k in np.flatnonzero(~explained):
        place = np.round(ends[k]).astype(int).tolist()
        kind = out.false_glints if rows["class"][k] == "glint" else out.false
        kind.append(f"{about[2]}, frame {rows['frame_first'][k]}, {place}, S/N {rows['snr'][k]:.1f}")
    return out


def _score_glints(out: StreakScore, truth: dict[str, NDArray[Any]], rows: dict[str, NDArray[Any]]) -> NDArray[np.bool_]:
    """Note which glints were found; whether each row is a true one."""
    mine, glint = rows["class"] == "glint", truth["class"] == "glint"
    explained = np.zeros(len(mine), bool)
    for k in np.flatnonzero(glint):
        near = np.hypot(rows["x1"] - truth["x1"][k], rows["y1"] - truth["y1"][k]) < GLINT_PX
        frame = truth["frame_first"][k]
        near &= mine & (rows["frame_first"] <= frame) & (rows["frame_last"] >= frame)
        explained |= near
        sigma = float(truth["width"][k]) / PIXEL_SCALE / 2.3548
        if truth["snr"][k] * np.sqrt(np.pi) * sigma > GLINT_SNR:  # the brightest pixel's, for a Gaussian image
            out.glints.append(bool(near.any()))
    return explained


def _covers(true: NDArray[np.float64], ends: NDArray[np.float64]) -> bool:
    """Whether a row lies on a true streak, and within its ends."""
    ux, uy = (true[2:] - true[:2]) / max(float(np.hypot(*(true[2:] - true[:2]))), 1e-9)
    length = float(np.hypot(*(true[2:] - true[:2])))
    d = ends.reshape(2, 2) - true[:2]
    along, across = d @ [ux, uy], d @ [-uy, ux]
    return bool(np.abs(across).max() < 12.0 and along.min() > -40.0 and along.max() < length + 40.0)


def _end_errors(true: NDArray[np.float64], ends: NDArray[np.float64]) -> list[float]:
    """Distances of both ends along the streak, whichever comes first."""
    length = float(np.hypot(*(true[2:] - true[:2])))
    unit = (true[2:] - true[:2]) / length
    along = np.sort((ends.reshape(2, 2) - true[:2]) @ unit)
    return [abs(float(along[0])), abs(float(along[1] - length))]
