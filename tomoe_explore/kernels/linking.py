"""Points in single frames that lie on one line at one speed."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True, nogil=True)
def link(
    points: tuple[NDArray[np.int16], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]],
    speeds: tuple[float, float],
    tolerance: float,
    min_points: int,
    limit: int,
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Link points at constant velocity, the longest links first, each point in one link only.

    Parameters
    ----------
    points : (frame, t, x, y)
        ``(k,)`` each, sorted by frame; t in s, x and y in pixels.
    speeds : (low, high)
        Allowed speeds, pixels/s.
    tolerance : float
        Largest distance from the line at a point's own time, pixels.
    min_points : int
        Fewest points (one a frame) of a link.
    limit : int
        Largest number of links.

    Returns
    -------
    label : ndarray of int32, (k,)
        Number of the link that holds the point; -1 if none does.
    size : ndarray of int32, (n_links,)
        Points in each link.

    Notes
    -----
    Every pair of points in two frames is a hypothesis, kept if it gathers ``min_points``: cubic in the number of
    points, which is small because the points are sparse.
    """
    frame, t, x, y = points
    k = len(frame)
    label = np.full(k, -1, np.int32)
    sizes = np.zeros(limit, np.int32)
    member = np.empty(k, np.int64)
    best_member = np.empty(k, np.int64)
    n_links = 0
    while n_links < limit:
        best, best_cost = min_points - 1, np.inf
        for i in range(k):
            if label[i] >= 0:
                continue
            for j in range(i + 1, k):
                if label[j] >= 0 or frame[j] == frame[i]:
                    continue
                dt = t[j] - t[i]
                vx, vy = (x[j] - x[i]) / dt, (y[j] - y[i]) / dt
                speed = np.hypot(vx, vy)
                if speed < speeds[0] or speed > speeds[1]:
                    continue
                size, cost = _gather((frame, t, x, y), label, (i, vx, vy), tolerance, member)
                if size > best or (size == best and size >= min_points and cost < best_cost):
                    best, best_cost = size, cost
                    best_member[:size] = member[:size]
        if best_cost == np.inf:
            break
        for q in range(best):
            label[best_member[q]] = n_links
        sizes[n_links] = best
        n_links += 1
    return label, sizes[:n_links]


@njit(cache=True, nogil=True)
def _gather(points, label, line, tolerance, member):  # type: ignore[no-untyped-def]
    """The nearest free point of each frame within the tolerance of a line; their number and squared distances."""
    frame, t, x, y = points
    i, vx, vy = line
    size, cost = 0, 0.0
    current, nearest, nearest_d2 = -1, -1, np.inf
    for q in range(len(frame)):
        if frame[q] != current:
            if nearest >= 0:
                member[size] = nearest
                size, cost = size + 1, cost + nearest_d2
            current, nearest, nearest_d2 = frame[q], -1, np.inf
        if label[q] >= 0:
            continue
        dt = t[q] - t[i]
        d2 = (x[q] - x[i] - vx * dt) ** 2 + (y[q] - y[i] - vy * dt) ** 2
        if d2 <= tolerance**2 and d2 < nearest_d2:
            nearest, nearest_d2 = q, d2
    if nearest >= 0:
        member[size] = nearest
        size, cost = size + 1, cost + nearest_d2
    return size, cost
