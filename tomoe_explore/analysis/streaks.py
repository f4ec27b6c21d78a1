"""One physical streak, one row: what the detectors of an exposure saw of it, joined."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tomoe_explore.errors import ParameterError
from tomoe_explore.wcs import tangent

if TYPE_CHECKING:
    import pandas as pd

ASIDE_ARCSEC = 5.0  #: from line to line, beyond three standard errors: the sky is curved, astrometry differs
ASIDE_RAD = 0.02  #: between directions, beyond three standard errors
SLACK_S = 0.6  #: of the times of ends: an exposure, and what the shutter takes
FARTHEST_DEG = 1.5  #: to the next detector that saw it: gaps, and one detector between

_NEEDED = [
    "streak_id", "exposure_id", "detector_id", "frame_first", "frame_last", "mjd_first", "mjd_last", "ra1", "dec1",
    "ra2", "dec2", "length", "rate", "rate_err", "snr", "across_err", "class", "class_probability",
]  # fmt: skip


def join_streaks(rows: pd.DataFrame) -> pd.DataFrame:
    """Streaks that crossed detectors, one row each.

    Parameters
    ----------
    rows : DataFrame
        Of the table ``streaks``: any exposures and detectors.

    Returns
    -------
    DataFrame
        With the columns of ``rows``. A streak of several rows has the values of its brightest one but for
        ``object_id`` (the smallest ``streak_id``, in every row of the result), the ends and their frames and times (of
        the first and the last piece), ``length`` (arcsec, end to end), ``rate`` (weighted mean of those known) and
        ``snr`` (of all). ``n_detectors`` says how many detectors saw it.

    Raises
    ------
    ParameterError
        If columns are missing.

    Notes
    -----
    Two rows are one streak if they are of one exposure and of two detectors, each lies on the other's great circle
    within the errors, and it took as long from the one to the other as its rate says: the rate known, else what the
    length and the frames of a row allow.

    Examples
    --------
    >>> import tomoe_explore as te
    >>> import tempfile
    >>> archive = te.Archive.create(tempfile.mkdtemp() + "/archive")
    >>> len(te.join_streaks(archive.table("streaks").to_pandas()))
    0
    """
    import pandas as pd

    missing = [name for name in _NEEDED if name not in rows]
    if missing:
        raise ParameterError(f"join_streaks needs the columns of the table streaks, {', '.join(missing)} are missing")
    rows = rows.reset_index(drop=True)
    group = np.arange(len(rows))
    for _, one in rows.groupby("exposure_id"):
        _label(one, group)
    joined = [_one_row(rows.loc[np.flatnonzero(group == g)]) for g in np.unique(group)]
    columns = [*rows.columns, *(n for n in ("object_id", "n_detectors") if n not in rows)]
    return pd.DataFrame(joined, columns=columns) if joined else rows.reindex(columns=columns)


def _label(one: pd.DataFrame, group: NDArray[np.int64]) -> None:
    """Give the rows of an exposure that are one streak the same number, in place."""
    index = one.index.to_numpy()
    for a in range(len(one)):
        for b in range(a + 1, len(one)):
            if _same(one.iloc[a], one.iloc[b]):
                old, new = sorted((int(group[index[a]]), int(group[index[b]])), reverse=True)
                group[group == old] = new


def _same(a: pd.Series, b: pd.Series) -> bool:
    if a["detector_id"] == b["detector_id"] or min(a["length"], b["length"]) <= 0:  # glints do not move
        return False
    center = float(a["ra1"]), float(a["dec1"])
    ends = []
    for row in (a, b):
        xi, eta = tangent(
            np.array([row["ra1"], row["ra2"]], float), np.array([row["dec1"], row["dec2"]], float), center
        )
        ends.append(np.stack([xi, eta], axis=1) * 3600)
    if not np.isfinite(ends).all():
        return False
    away = np.hypot(*(ends[0][:, None] - ends[1]).transpose(2, 0, 1))
    one, other = (int(v) for v in np.unravel_index(int(away.argmin()), (2, 2)))
    took_s = abs(_when(a, one) - _when(b, other)) * 86_400
    if away.min() > FARTHEST_DEG * 3600 or not _in_time(a, b, float(away.min()), took_s):
        return False
    errors = float(a["across_err"]), float(b["across_err"])
    return _on_line(ends[0], ends[1], errors) and _on_line(ends[1], ends[0], errors[::-1])


def _in_time(a: pd.Series, b: pd.Series, away: float, took_s: float) -> bool:
    """Whether a streak may have gone so far (arcsec) in so many seconds."""
    for row in (a, b):
        shown_s = (float(row["mjd_last"]) - float(row["mjd_first"])) * 86_400
        rate, length = float(row["rate"]), float(row["length"])
        least, most = length / (shown_s + SLACK_S), length / max(shown_s - SLACK_S, 0.01)
        if np.isfinite(rate):
            least, most = 0.95 * rate, 1.05 * rate
        if not away / most - SLACK_S <= took_s <= away / least + SLACK_S:
            return False
    return True


def _on_line(line: NDArray[np.float64], other: NDArray[np.float64], errors: tuple[float, float]) -> bool:
    """Whether both ends of one lie on the line of the other, arcsec."""
    length = max(float(np.hypot(*(line[1] - line[0]))), 1e-9)
    unit = (line[1] - line[0]) / length
    along, across = (other - line[0]) @ unit, (other - line[0]) @ [-unit[1], unit[0]]
    lever = 1 + 2 * np.maximum(np.maximum(-along, along - length), 0) / length
    angle = abs(across[1] - across[0]) / max(float(np.hypot(*(other[1] - other[0]))), 1e-9)
    size = float(np.hypot(*(other[1] - other[0])))
    turned = 2 * np.hypot(errors[0] / length, errors[1] / max(size, 1e-9))
    near = np.abs(across) < ASIDE_ARCSEC + 3 * np.hypot(errors[0] * lever, errors[1])
    return bool(near.all() and angle < ASIDE_RAD + 3 * turned)


def _one_row(pieces: pd.DataFrame) -> dict[str, object]:
    best: dict[str, object] = dict(pieces.iloc[int(pieces["snr"].to_numpy().argmax())])
    best["object_id"], best["n_detectors"] = int(pieces["streak_id"].min()), int(pieces["detector_id"].nunique())
    if len(pieces) == 1:
        return best
    center = float(pieces["ra1"].iloc[0]), float(pieces["dec1"].iloc[0])
    ra, dec = (np.stack([pieces[f"{n}1"], pieces[f"{n}2"]], axis=1).astype(float).ravel() for n in ("ra", "dec"))
    xi, eta = tangent(ra, dec, center)
    away = np.hypot(xi[:, None] - xi, eta[:, None] - eta)
    ends = [int(v) for v in np.unravel_index(int(away.argmax()), away.shape)]
    if _when(pieces.iloc[ends[0] // 2], ends[0] % 2) > _when(pieces.iloc[ends[1] // 2], ends[1] % 2):
        ends.reverse()
    for number, end in enumerate(ends, 1):
        best[f"ra{number}"], best[f"dec{number}"] = float(ra[end]), float(dec[end])
    for name, choose in (("frame", int), ("mjd", float)):
        best[f"{name}_first"] = choose(pieces[f"{name}_first"].min())
        best[f"{name}_last"] = choose(pieces[f"{name}_last"].max())
    best["length"] = float(away.max()) * 3600
    best["snr"] = float(np.sqrt((pieces["snr"] ** 2).sum()))
    known = pieces[pieces["rate"].notna()]
    if len(known):
        weight = 1 / known["rate_err"].to_numpy(float) ** 2
        best["rate"] = float((known["rate"].to_numpy(float) * weight).sum() / weight.sum())
        best["rate_err"] = float(weight.sum() ** -0.5)
    return best


def _when(row: pd.Series, end: int) -> float:
    return float(row["mjd_last"] if end else row["mjd_first"])
