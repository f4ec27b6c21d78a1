"""Which detections are one object's: tracklets across the frames, detectors and exposures of a night."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tomoe_explore.analysis.motion import ARCSEC, Array, Indices, Motion, Points, basis, bearable_reach, fit, merge
from tomoe_explore.errors import ParameterError

if TYPE_CHECKING:
    import pandas as pd

#: Standard error of a position where the table has none, arcsec.
POSITION_ERR = 0.5

#: A tolerance is never wider, rad: beyond, a bare arc is extended by its fitted motion only.
_WIDEST = 15 * ARCSEC

#: So many pairs of rows, and points on their lines, are looked at, about: some seconds.
_PAIRS, _TRIES = 20_000_000, 4e8

_NEEDED = ("ra", "dec", "mjd")


@dataclass(frozen=True, repr=False)
class Links:
    """What `link` found; printing it shows the tracklets.

    Attributes
    ----------
    detections : pandas.DataFrame
        The rows that were given, in their order, with ``tracklet_id`` (null: in none).
    tracklets : pandas.DataFrame
        One row a tracklet: ``tracklet_id, n`` (rows), ``n_exposures`` (null where the rows have no ``exposure_id``),
        ``mjd ra dec`` at the middle, ``ra_err dec_err`` arcsec, ``rate rate_err`` arcsec/s, ``position_angle`` deg,
        ``rms`` arcsec, ``mag`` (mean), ``mjd_first mjd_last``.
    """

    detections: pd.DataFrame
    tracklets: pd.DataFrame

    def __len__(self) -> int:
        return len(self.tracklets)

    def _headline(self) -> str:
        n, linked = len(self.detections), int(self.detections["tracklet_id"].notna().sum())
        return f"{len(self)} tracklet{'s' * (len(self) != 1)} of {linked} of {n} detections"

    def __repr__(self) -> str:
        shown = self.tracklets[["tracklet_id", "n", "mjd", "ra", "dec", "rate", "position_angle", "rms", "mag"]]
        return f"{self._headline()}\n{shown.to_string(index=False, max_rows=20)}" if len(self) else self._headline()

    def _repr_html_(self) -> str:
        return f"<p class='tomoe-links'>{self._headline()}</p>{self.tracklets.to_html(index=False, max_rows=20)}"


def link(
    detections: Any, *, speeds: tuple[float, float] = (0.05, 100.0), sigmas: float = 4.0, false_alarm: float = 0.1
) -> Links:
    """Link detections into tracklets: rows that one constant motion along a great circle explains.

    Parameters
    ----------
    detections : pandas.DataFrame, pyarrow.Table or astropy Table
        With ``ra dec`` (deg) and ``mjd`` (UTC). Used where there: ``ra_err dec_err`` (arcsec, else 0.5), ``rate``
        (arcsec/s), ``position_angle`` (deg) and ``rate_err``, ``mag``, ``exposure_id``, ``detector_id``.
    speeds : (low, high)
        Allowed rates, arcsec/s.
    sigmas : float
        How far rows may lie from the motion, in standard errors.
    false_alarm : float
        How many tracklets chance may be expected to make in the whole table, of rows that lie anyhow.

    Returns
    -------
    Links
        ``.detections`` and ``.tracklets``.

    Raises
    ------
    ParameterError
        If a column is missing or a position or time is not finite; the message names the row.

    Notes
    -----
    Rows without a rate are linked in threes and more, within up to a degree; rows with one, and what was linked so, in
    twos and more, over any gap over which the motion is known well enough. Each row is in one tracklet at most; those
    that chance is least likely to make come first.

    No number of rows is asked for: a tracklet is kept if fewer than ``false_alarm`` like it are expected by chance, by
    the density of the rows about it and the errors that it was found with (a bound on the *number of false alarms*;
    Desolneux, Moisan & Morel 2000, IJCV 40, 7). In a small table three rows may do, among many false ones five or six.
    It holds for rows that are independent of each other: what repeats at one place does not move, and is no tracklet,
    since its rate is less than four of its errors. Random tables of 5 to 100 rows a square degree gave none in 215.

    Of rows without a rate, so many are compared that it takes seconds: where 100,000 crowd into a few square degrees, a
    bare arc must show itself within some arcminutes.

    Examples
    --------
    >>> import pandas as pd
    >>> t = np.arange(6) * 10.0
    >>> moving = pd.DataFrame({"ra": 10 + t * 2 / 3600, "dec": 0.0 * t, "mjd": 59075.5 + t / 86400})
    >>> found = link(moving)
    >>> len(found), round(float(found.tracklets["rate"].iloc[0]), 3)
    (1, 2.0)
    """
    low, high = (float(v) for v in speeds)
    if not (0 < low < high and sigmas > 0 and false_alarm > 0):
        raise ParameterError(
            f"expected 0 < speeds[0] < speeds[1] (arcsec/s), sigmas > 0, false_alarm > 0; "
            f"got {speeds}, {sigmas}, {false_alarm}"
        )
    frame = _frame(detections)
    points, order = _points(frame)
    within = (low * ARCSEC, high * ARCSEC)
    single = np.flatnonzero(np.isfinite(points.w_error))
    speed = np.linalg.norm(points.w[single], axis=1)
    single = single[(speed >= within[0]) & (speed <= within[1])]
    motions = [fit(points, np.array([k])) for k in single.tolist()]
    motions += _arcs(points, within, sigmas, false_alarm)
    found = [m for m in merge(points, motions, sigmas=sigmas, false_alarm=false_alarm) if len(m.rows) > 1]
    found = [m for m in found if within[0] <= np.linalg.norm(m.w) <= within[1]]
    found.sort(key=lambda m: (-len(m.rows), m.rms))
    return _links(frame, order, points, found)


def _frame(detections: Any) -> pd.DataFrame:
    import pandas as pd
    import pyarrow as pa

    if isinstance(detections, pa.Table):
        from tomoe_explore.archive.pandas_frame import to_pandas

        frame = to_pandas(detections)
    elif hasattr(detections, "to_pandas"):
        frame = detections.to_pandas()
    elif isinstance(detections, pd.DataFrame):
        frame = detections
    else:
        kind = type(detections).__name__
        raise ParameterError(f"detections must be a pandas, pyarrow or astropy table with ra, dec and mjd; got {kind}")
    missing = [name for name in _NEEDED if name not in frame]
    if missing:
        raise ParameterError(f"detections lack the columns {', '.join(missing)}; they have {', '.join(frame.columns)}")
    for name in _NEEDED:
        wrong = np.flatnonzero(~np.isfinite(_numbers(frame, name)))
        if len(wrong):
            raise ParameterError(
                f"{name} of {len(wrong)} of {len(frame)} detections is no number, first in row {wrong[0]}"
            )
    if len(wrong := np.flatnonzero(np.abs(_numbers(frame, "dec")) > 90)):
        raise ParameterError(
            f"dec must lie within -90 and 90 deg; in row {wrong[0]} it is {frame['dec'].iloc[wrong[0]]}"
        )
    return frame


def _numbers(frame: pd.DataFrame, name: str, missing: float = np.nan) -> Array:
    """A column as float64; where there is none, or it is null, a value."""
    import pandas as pd

    if name not in frame:
        return np.full(len(frame), missing)
    values = pd.to_numeric(frame[name], errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    return np.where(np.isfinite(values), values, missing)


def _points(frame: pd.DataFrame) -> tuple[Points, Indices]:
    """The rows in order of time, and which row each was."""
    mjd = _numbers(frame, "mjd")
    order = np.argsort(mjd, kind="stable")
    ra, dec = np.radians(_numbers(frame, "ra")), np.radians(_numbers(frame, "dec"))
    u = np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=1)
    ra_err, dec_err = (_numbers(frame, name, POSITION_ERR) for name in ("ra_err", "dec_err"))
    error = np.sqrt(0.5 * (ra_err**2 + dec_err**2))
    rate, rate_err = _numbers(frame, "rate"), _numbers(frame, "rate_err")
    angle = np.radians(_numbers(frame, "position_angle"))
    east, north = basis(u)
    w = rate[:, None] * ARCSEC * (np.sin(angle)[:, None] * east + np.cos(angle)[:, None] * north)
    # a rate without an error says little more than that it moves; a film shows it to some per cent
    rate_err = np.where(np.isfinite(rate_err) & (rate_err > 0), rate_err, 0.1 * rate)
    rated = np.isfinite(w).all(axis=1) & (rate_err > 0)
    film = np.full(len(frame), -1, np.int64)
    if "exposure_id" in frame:
        exposure, detector = _numbers(frame, "exposure_id", -1.0), _numbers(frame, "detector_id", 0.0)
        film = np.where(exposure >= 0, exposure * 1000 + detector, -1).astype(np.int64)
    t = (mjd - (mjd.min() if len(mjd) else 0.0)) * 86_400.0
    points = Points(
        t[order], u[order], np.maximum(error, 0.01)[order] * ARCSEC, np.where(rated[:, None], w, np.nan)[order],
        np.where(rated, rate_err * ARCSEC, np.nan)[order], film[order],
    )  # fmt: skip
    return points, order.astype(np.int64)


def _arcs(points: Points, speeds: tuple[float, float], sigmas: float, false_alarm: float) -> list[Motion]:
    """Arcs of three rows and more among those that have no rate, the best first, each row in one."""
    from tomoe_explore.kernels.arcs import arc, best_seeds

    bare = np.flatnonzero(~np.isfinite(points.w_error))
    if len(bare) < 3:
        return []
    plain = points.t[bare], points.u[bare], points.error[bare]
    reach, neighbours = _neighbours(plain[1])
    limits = reach, sigmas, _WIDEST
    free = np.ones(len(bare), np.bool_)
    partner, chance, n_tried = best_seeds(plain, neighbours, speeds, limits, free, np.arange(len(bare)))
    limit = np.log(false_alarm / max(n_tried, 1))
    arcs: list[Motion] = []
    waiting = np.flatnonzero(chance < limit)
    while len(waiting):
        lost = []
        for i in waiting[np.argsort(chance[waiting], kind="stable")].tolist():
            if not free[i]:
                continue
            if not free[partner[i]]:
                lost.append(i)
                continue
            members, expected = arc(plain, neighbours, (i, partner[i]), limits, free)
            if len(members) < 3 or _log_chance(len(members), expected) > limit:
                lost.append(i)
                continue
            motion = fit(points, bare[members])
            if np.linalg.norm(motion.w) > 4 * motion.w_error and motion.chi2 < 1 + 3 * sigmas:
                arcs.append(motion)
                free[members] = False
        again = np.array([i for i in lost if free[i]], np.int64)
        partner[again], chance[again], _ = best_seeds(plain, neighbours, speeds, limits, free, again)
        # each turn takes rows away or ends: a seed that was refused for its motion is not tried again
        waiting = again[chance[again] < limit] if len(arcs) and len(again) < len(waiting) else again[:0]
    return arcs


def _log_chance(size: int, expected: float) -> float:
    from math import lgamma, log

    return (size - 2) * log(expected) - lgamma(size - 1)


def _neighbours(u: Array) -> tuple[float, tuple[Indices, Indices]]:
    """Later rows about each row, in order of time, within a reach that keeps their number bearable."""
    from scipy.spatial import cKDTree

    tree = cKDTree(u)
    reach = bearable_reach(tree, _PAIRS, _TRIES)
    pairs = tree.query_pairs(reach, output_type="ndarray")
    pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
    begin = np.searchsorted(pairs[:, 0], np.arange(len(u) + 1))
    return reach, (begin.astype(np.int64), np.ascontiguousarray(pairs[:, 1], np.int64))


def _links(frame: pd.DataFrame, order: Indices, points: Points, found: list[Motion]) -> Links:
    import pandas as pd

    label = np.zeros(len(frame), np.int64)
    for number, motion in enumerate(found, 1):
        label[order[motion.rows]] = number
    ids = pd.array(label, dtype="Int64")
    ids[label == 0] = pd.NA
    mjd = _numbers(frame, "mjd")[order]
    mag = _numbers(frame, "mag")[order]
    rows = [_row(number, motion, points, mjd, mag) for number, motion in enumerate(found, 1)]
    tracklets = pd.DataFrame(rows, columns=_COLUMNS).astype({"tracklet_id": "int64", "n": "int64"})
    exposures = pd.array([pd.NA] * len(found), dtype="Int64")
    if "exposure_id" in frame:
        seen = frame["exposure_id"].to_numpy()[order]
        exposures = pd.array([len(pd.unique(seen[m.rows])) for m in found], dtype="Int64")
    tracklets.insert(2, "n_exposures", pd.Series(exposures))
    return Links(frame.assign(tracklet_id=ids), tracklets)


_COLUMNS = [
    "tracklet_id", "n", "mjd", "ra", "dec", "ra_err", "dec_err", "rate", "rate_err", "position_angle", "rms", "mag",
    "mjd_first", "mjd_last",
]  # fmt: skip


def _row(number: int, motion: Motion, points: Points, mjd: Array, mag: Array) -> tuple[Any, ...]:
    east, north = basis(motion.u)
    x, y, z = motion.u
    times = mjd[motion.rows]
    zero = times[0] - points.t[motion.rows[0]] / 86_400.0
    magnitudes = mag[motion.rows][np.isfinite(mag[motion.rows])]
    error = motion.error / ARCSEC
    return (
        number, len(motion.rows), zero + motion.t / 86_400.0, np.degrees(np.arctan2(y, x)) % 360,
        np.degrees(np.arctan2(z, np.hypot(x, y))), error, error, np.linalg.norm(motion.w) / ARCSEC,
        motion.w_error / ARCSEC, np.degrees(np.arctan2(motion.w @ east, motion.w @ north)) % 360, motion.rms / ARCSEC,
        magnitudes.mean() if len(magnitudes) else np.nan, times.min(), times.max(),
    )  # fmt: skip
