"""Points of many times that one straight motion explains, among points that nothing explains."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

#: Two points of one object are at least so far apart in time, s: less than a frame, more than its rows differ.
APART_S = 0.2

Doubles = NDArray[np.float64]
Integers = NDArray[np.int64]


@njit(cache=True, nogil=True)
def best_seeds(
    points: tuple[Doubles, Doubles, Doubles],
    neighbours: tuple[Integers, Integers],
    speeds: tuple[float, float],
    limits: tuple[float, float, float],
    free: NDArray[np.bool_],
    these: Integers,
) -> tuple[Integers, Doubles, int]:
    """The later point with which each point begins the arc that is least likely by chance.

    Parameters
    ----------
    points : (t, u, error)
        ``(n,)`` s, ``(n, 3)`` unit vectors, ``(n,)`` rad; sorted by time.
    neighbours : (begin, index)
        Point ``i`` has the neighbours ``index[begin[i] : begin[i + 1]]``, sorted.
    speeds : (low, high)
        Of the motion, rad/s.
    limits : (reach, sigmas, widest)
        Radius of the neighbourhood, rad; tolerance in standard errors; largest tolerance, rad.
    free : ndarray of bool, (n,)
        Points that no arc has yet.
    these : ndarray of int64
        For which points.

    Returns
    -------
    partner : ndarray of int64
        For each of ``these``; -1 where there is none.
    chance : ndarray of float64
        Natural logarithm of a bound on the probability that so many points fall on the arc by chance.
    n_tried : int
        Pairs that were tried.

    Notes
    -----
    Of a point that has nothing to do with the arc, the chance to lie within its tolerance ``r`` is ``(r / reach)**2``.
    With the sum ``L`` of that over all later neighbours, ``m`` or more points come by chance with a probability of at
    most ``L**m / m!``. Points lie on the plane that touches the sky at the first: there great circles are straight.
    """
    begin, _ = neighbours
    partner = np.full(len(these), -1, np.int64)
    chance = np.zeros(len(these))
    n_most = 1
    for i in range(len(begin) - 1):
        n_most = max(n_most, begin[i + 1] - begin[i])
    plane = np.empty((4, n_most))
    later = np.empty(n_most, np.int64)
    member = np.empty(n_most, np.int64)
    n_tried = 0
    for n in range(len(these)):
        i = these[n]
        if not free[i]:
            continue
        size_here = _project(points, neighbours, i, free, plane, later)
        for q in range(size_here):
            dt = plane[0, q]
            speed = np.hypot(plane[1, q], plane[2, q]) / dt
            if speed < speeds[0] or speed > speeds[1]:
                continue
            n_tried += 1
            size, expected = _gather(plane, size_here, q, points[2][i], limits, member)
            if size >= 2:
                log_chance = (size - 1) * np.log(expected)
                for m in range(2, size):
                    log_chance -= np.log(m)
                if log_chance < chance[n]:
                    chance[n], partner[n] = log_chance, later[q]
    return partner, chance, n_tried


@njit(cache=True, nogil=True)
def arc(
    points: tuple[Doubles, Doubles, Doubles],
    neighbours: tuple[Integers, Integers],
    seed: tuple[int, int],
    limits: tuple[float, float, float],
    free: NDArray[np.bool_],
) -> tuple[Integers, float]:
    """Free points on the motion from one point through a later one: one a time, the nearest.

    Parameters
    ----------
    points, neighbours, limits, free
        As of `best_seeds`.
    seed : (i, j)
        The two points.

    Returns
    -------
    members : ndarray of int64
        By time, the two among them.
    expected : float
        Points that were to be expected on it by chance.
    """
    begin, _ = neighbours
    i, j = seed
    n_most = max(begin[i + 1] - begin[i], 1)
    plane = np.empty((4, n_most))
    later, member = np.empty(n_most, np.int64), np.empty(n_most, np.int64)
    size_here = _project(points, neighbours, i, free, plane, later)
    for q in range(size_here):
        if later[q] == j:
            size, expected = _gather(plane, size_here, q, points[2][i], limits, member)
            members = np.empty(size + 1, np.int64)
            members[0] = i
            for m in range(size):
                members[m + 1] = later[member[m]]
            return members, expected
    return np.empty(0, np.int64), 1.0


@njit(cache=True, nogil=True)
def _project(points, neighbours, i, free, plane, later):  # type: ignore[no-untyped-def]
    """Free neighbours later than a point: ``(dt, x, y, error**2)`` on the plane that touches the sky there."""
    t, u, error = points
    begin, index = neighbours
    c0, c1, c2 = u[i, 0], u[i, 1], u[i, 2]
    r = np.hypot(c0, c1)
    cos, sin = (c0 / r, c1 / r) if r > 1e-12 else (1.0, 0.0)
    size = 0
    for q in range(begin[i], begin[i + 1]):
        k = index[q]
        dt = t[k] - t[i]
        if dt < APART_S or not free[k]:
            continue
        depth = c0 * u[k, 0] + c1 * u[k, 1] + c2 * u[k, 2]
        plane[0, size] = dt
        plane[1, size] = (cos * u[k, 1] - sin * u[k, 0]) / depth
        plane[2, size] = (r * u[k, 2] - c2 * (cos * u[k, 0] + sin * u[k, 1])) / depth
        plane[3, size] = error[k] ** 2
        later[size] = k
        size += 1
    return size


@njit(cache=True, nogil=True, fastmath=True, forceinline=True)
def _gather(plane, n, seed, error, limits, member):  # type: ignore[no-untyped-def]
    """Points of the plane on the straight motion from its origin through one of them; their number and the expected."""
    reach, sigmas, widest = limits
    dt, x, y, own = plane[0, seed], plane[1, seed], plane[2, seed], plane[3, seed]
    rate, factor, limit, first = 1 / dt, sigmas**2, widest**2, error**2
    size, last, total = 0, 0.0, 0.0
    for q in range(n):
        s = plane[0, q] * rate
        square = factor * (plane[3, q] + (1 - s) ** 2 * first + s**2 * own)
        if square > limit:
            if s > 1:
                break
            continue
        total += square
        dx, dy = plane[1, q] - s * x, plane[2, q] - s * y
        d = (dx**2 + dy**2) / square if q != seed else 0.0
        if d > 1:
            continue
        if size and plane[0, q] - plane[0, member[size - 1]] < APART_S:
            if d < last:
                member[size - 1], last = q, d
        else:
            member[size], last = q, d
            size += 1
    return size, max(total / reach**2, 1e-12)
