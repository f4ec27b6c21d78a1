"""Straight motions on the sky: fitted to positions and rates, and merged where chance would not make them agree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.spatial import cKDTree

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

ARCSEC = np.pi / 180 / 3600  #: rad

#: A tracklet's motion is fitted on one tangent plane, so its ends are no farther apart, rad.
REACH = np.radians(1.0)

#: Rows of one object are at least so far apart, s.
APART_S = 0.2

#: So many pairs of motions are compared at most; where there are more, only nearer ones are.
_PAIRS = 5_000_000


@dataclass(frozen=True)
class Points:
    """Rows of a table as plain arrays, ``(n,)`` each, sorted by time.

    Attributes
    ----------
    t : ndarray
        Seconds since the first.
    u : ndarray, (n, 3)
        Unit vectors.
    error : ndarray
        Standard error of a coordinate, rad.
    w : ndarray, (n, 3)
        Velocity along the sky, rad/s; NaN where the row has no rate.
    w_error : ndarray
        Of a coordinate of it, rad/s.
    film : ndarray of int64
        The same number for rows of one film; -1 where unknown.
    """

    t: Array
    u: Array
    error: Array
    w: Array
    w_error: Array
    film: Indices


@dataclass(frozen=True)
class Motion:
    """A straight motion fitted to some rows.

    Attributes
    ----------
    rows : ndarray of int64
    t, u, w : float, ndarray, ndarray
        Mean time, place then (unit vector) and velocity, rad/s.
    error, w_error : float
        Of a coordinate, rad and rad/s; those of ``u`` and ``w`` are independent.
    chi2 : float
        A degree of freedom; 0 where there is none.
    rms : float
        Of the rows' distances, rad.
    """

    rows: Indices
    t: float
    u: Array
    w: Array
    error: float
    w_error: float
    chi2: float
    rms: float


def basis(u: Array) -> tuple[Array, Array]:
    """Unit vectors to the east and north of places; at the poles any two that fit.

    Examples
    --------
    >>> east, north = basis(np.array([1.0, 0.0, 0.0]))
    >>> (east + 0.0).tolist(), (north + 0.0).tolist()
    ([0.0, 1.0, 0.0], [0.0, 0.0, 1.0])
    """
    x, y, z = np.moveaxis(u, -1, 0)
    r = np.hypot(x, y)
    safe = np.where(r > 1e-12, r, 1.0)
    cos, sin = np.where(r > 1e-12, x / safe, 1.0), np.where(r > 1e-12, y / safe, 0.0)
    east = np.stack([-sin, cos, np.zeros_like(sin)], axis=-1)
    return east, np.stack([-z * cos, -z * sin, r], axis=-1)


def fit(points: Points, rows: Indices) -> Motion:
    """The motion of some rows, by least squares on the plane that touches the sky at their mean.

    Rows with a rate count with it too; a single one is its own motion.
    """
    if len(rows) == 1:
        k = int(rows[0])
        return Motion(rows, points.t[k], points.u[k], points.w[k], points.error[k], points.w_error[k], 0.0, 0.0)
    t, u = points.t[rows], points.u[rows]
    weight = 1 / points.error[rows] ** 2
    centre = (weight[:, None] * u).sum(axis=0)
    centre /= np.linalg.norm(centre)
    east, north = basis(centre)
    depth = u @ centre
    place = np.stack([u @ east, u @ north], axis=1) / depth[:, None]
    t0 = float((weight * t).sum() / weight.sum())
    dt = t - t0
    rated = np.isfinite(points.w_error[rows])
    speed = np.stack([points.w[rows] @ east, points.w[rows] @ north], axis=1)[rated]
    speed_weight = 1 / points.w_error[rows][rated] ** 2
    information = (weight * dt**2).sum() + speed_weight.sum()
    mean = (weight[:, None] * place).sum(axis=0) / weight.sum()
    velocity = ((weight * dt)[:, None] * place).sum(axis=0) + (speed_weight[:, None] * speed).sum(axis=0)
    velocity /= information
    off = place - mean - dt[:, None] * velocity
    squares = (weight[:, None] * off**2).sum() + (speed_weight[:, None] * (speed - velocity) ** 2).sum()
    freedom = 2 * (len(rows) + int(rated.sum())) - 4
    middle = centre + mean[0] * east + mean[1] * north
    length = float(np.linalg.norm(middle))
    middle /= length
    w = velocity[0] * east + velocity[1] * north
    return Motion(
        rows, t0, middle, w - (w @ middle) * middle, float(weight.sum() ** -0.5), float(information**-0.5),
        float(squares / max(freedom, 1)) if freedom else 0.0, float(np.sqrt((off**2).sum(axis=1).mean())),
    )  # fmt: skip


def merge(points: Points, motions: list[Motion], *, sigmas: float, false_alarm: float) -> list[Motion]:
    """Merge motions that are one object's, those first that chance is least likely to bring together.

    Parameters
    ----------
    points : Points
    motions : list of Motion
        Each with a velocity; no row in two of them.
    sigmas : float
        How far, in standard errors, positions and velocities may be from each other.
    false_alarm : float
        How many false pairs may be expected among all of them.

    Returns
    -------
    list of Motion

    Notes
    -----
    A merged motion knows its velocity better, and so reaches farther: merging goes on until nothing changes.
    """
    while True:
        merged = _merge_once(points, motions, sigmas, false_alarm)
        if len(merged) == len(motions):
            return merged
        motions = merged


def _merge_once(points: Points, motions: list[Motion], sigmas: float, false_alarm: float) -> list[Motion]:
    first, second = _pairs(motions, sigmas, false_alarm)
    owner = np.arange(len(motions))
    result: dict[int, Motion] = dict(enumerate(motions))
    for a, b in zip(first.tolist(), second.tolist(), strict=True):
        if owner[a] != a or owner[b] != b or result[a] is not motions[a] or result[b] is not motions[b]:
            continue  # it has changed: the next turn sees it as it is then
        rows = np.sort(np.concatenate([motions[a].rows, motions[b].rows]))
        if _are_two(points, rows):
            continue
        motion = fit(points, rows)
        if motion.chi2 <= _most_chi2(points, rows, sigmas):
            result[a] = motion
            owner[b] = a
            del result[b]
    return list(result.values())


def _are_two(points: Points, rows: Indices) -> bool:
    """Whether an object would be at two places at a time, or in a film twice of which each row is a whole."""
    if (np.diff(points.t[rows]) < APART_S).any():
        return True
    whole = rows[np.isfinite(points.w_error[rows]) & (points.film[rows] >= 0)]
    return len(np.unique(points.film[whole])) < len(whole)


def _most_chi2(points: Points, rows: Indices, sigmas: float) -> float:
    """Chi-square a degree of freedom that a tracklet may have; its scatter falls with their number."""
    freedom = 2 * (len(rows) + int(np.isfinite(points.w_error[rows]).sum())) - 4
    return float(1 + sigmas * np.sqrt(2 / max(freedom, 1)))


def _pairs(motions: list[Motion], sigmas: float, false_alarm: float) -> tuple[Indices, Indices]:
    """Pairs of motions that agree and are not expected by chance, the least likely ones first.

    Notes
    -----
    Of ``n`` motions with a density of ``d`` about one of them, ``n d A f`` pairs agree by chance, where ``A`` is the
    area of the circle within which they must meet, and ``f`` the share of all motions whose velocity is as near.
    """
    from scipy.spatial import cKDTree

    n = len(motions)
    if n < 2:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    u, w = np.array([m.u for m in motions]), np.array([m.w for m in motions])
    t, error = np.array([m.t for m in motions]), np.array([m.error for m in motions])
    w_error = np.array([m.w_error for m in motions])
    tree = cKDTree(u)
    reach = bearable_reach(tree, _PAIRS)
    density = tree.query_ball_point(u, reach, return_length=True) / (np.pi * reach**2)
    a, b = tree.query_pairs(reach, output_type="ndarray").T
    dt = t[b] - t[a]
    a, b, dt = np.where(dt < 0, b, a), np.where(dt < 0, a, b), np.abs(dt)
    speed_error = np.hypot(w_error[a], w_error[b])
    place_error = np.hypot(error[a], error[b])
    # seen from each other's time: the mean velocity is that of a chord, which is best known over a long time
    middle = 0.5 * (w[a] + w[b])
    off = _along(u[a], middle, dt / 2) - _along(u[b], middle, -dt / 2)
    width = np.hypot(place_error, 0.5 * dt * speed_error)
    near = (np.linalg.norm(off, axis=1) < sigmas * width) & (dt >= APART_S)
    near[near] &= np.linalg.norm((w[a] - w[b])[near], axis=1) < sigmas * speed_error[near]
    a, b, width, speed_error = a[near], b[near], width[near], speed_error[near]
    alike = _share_alike(w, w[a], sigmas * speed_error)
    chance = n * 0.5 * density[a] * np.pi * (sigmas * width) ** 2 * alike
    good = np.flatnonzero(chance < false_alarm)
    order = good[np.argsort(chance[good], kind="stable")]
    return a[order].astype(np.int64), b[order].astype(np.int64)


def bearable_reach(tree: cKDTree, most_pairs: float, most_tries: float = np.inf) -> float:
    """The largest distance, rad, up to a degree, within which so many pairs of places lie at most, about.

    ``most_tries`` limits the squares of the places' numbers of pairs.
    """
    sample = tree.data[:: max(tree.n // 2_000, 1)]
    each = tree.n / len(sample)
    reach = REACH
    while True:
        later = (tree.query_ball_point(sample, reach, return_length=True) - 1) / 2
        if each * later.sum() <= most_pairs and each * (later**2).sum() <= most_tries:
            return float(reach)
        reach *= 0.8


def _along(u: Array, w: Array, dt: Array) -> Array:
    moved = u + w * dt[:, None]
    return np.asarray(moved / np.linalg.norm(moved, axis=1)[:, None])


def _share_alike(w: Array, of: Array, within: Array) -> Array:
    """Share of velocities that lie within a distance of some; of no fewer than one."""
    from scipy.spatial import cKDTree

    if not len(of):
        return np.zeros(0)
    scale = max(float(np.abs(w).max()), 1e-30)
    counts = cKDTree(w / scale).query_ball_point(of / scale, within / scale, return_length=True)
    return np.asarray(np.maximum(counts, 1) / len(w), dtype=np.float64)
