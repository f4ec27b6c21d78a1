"""Points in single frames, and those that lie on one line at one speed."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Bytes = NDArray[np.int8]
Doubles = NDArray[np.float64]
Points = tuple[NDArray[np.int64], Doubles, Doubles]

GAP = 3  #: frames between the two points that a link starts from, at most
SCATTER = 0.8  #: of a point about its link, cells
TRAIL = 0.2  #: the same, of the length of its trail
CHAIN = 3.0  #: points of a frame nearer than this belong to one trail, cells


@njit(cache=True, nogil=True)
def frame_points(film: Bytes, least: int, limit: int) -> tuple[NDArray[np.int64], Doubles, Doubles, Doubles]:
    """Local maxima of each frame.

    Parameters
    ----------
    film : ndarray of int8, (n, ny, nx)
    least : int
        Maxima are larger; where a frame has more of them than ``limit``, only its best ones are taken.
    limit : int

    Returns
    -------
    frame : ndarray of int64, (k,)
        Rising.
    x, y : ndarray of float64, (k,)
        Cells; of a trail, its middle. Rising in y within a frame.
    value : ndarray of float64, (k,)
        The largest of a trail.
    """
    n = len(film)
    frame, x, y, value = np.empty(n * limit, np.int64), np.empty(n * limit), np.empty(n * limit), np.empty(n * limit)
    k = 0
    for f in range(n):
        threshold = least
        while _maxima(film[f], threshold, x[k:], y[k:], value[k:], limit) < 0:
            threshold += max(threshold // 4, 1)
        m = _maxima(film[f], threshold, x[k:], y[k:], value[k:], limit)
        m = _trails(x[k:], y[k:], value[k:], m)
        order = np.argsort(y[k : k + m])
        x[k : k + m], y[k : k + m] = x[k : k + m][order], y[k : k + m][order]
        value[k : k + m], frame[k : k + m] = value[k : k + m][order], f
        k += m
    return frame[:k], x[:k], y[:k], value[:k]


@njit(cache=True, nogil=True, forceinline=True)
def _maxima(image, least, x, y, value, limit):  # type: ignore[no-untyped-def]
    """Their number; -1 if there are more than the limit."""
    ny, nx = image.shape
    n = 0
    for j in range(2, ny - 2):
        row = image[j]
        top = np.int8(0)
        for i in range(nx):  # most rows have nothing
            top |= np.int8(row[i] > least)
        if top == 0:
            continue
        for i in range(2, nx - 2):
            v = row[i]
            if v <= least or not _is_peak(image, j, i):
                continue
            if n == limit:
                return -1
            left, right, low, high = (
                float(row[i - 1]),
                float(row[i + 1]),
                float(image[j - 1, i]),
                float(image[j + 1, i]),
            )
            x[n] = i + 0.5 * (right - left) / max(2.0 * v - left - right, 1.0)
            y[n] = j + 0.5 * (high - low) / max(2.0 * v - low - high, 1.0)
            value[n] = v
            n += 1
    return n


@njit(cache=True, nogil=True, forceinline=True)
def _is_peak(image, y, x):  # type: ignore[no-untyped-def]
    value = image[y, x]
    for j in range(-2, 3):
        for i in range(-2, 3):
            other = image[y + j, x + i]
            if other > value or (other == value and (j, i) > (0, 0)):
                return False
    return True


@njit(cache=True, nogil=True, forceinline=True)
def _trails(x, y, value, n):  # type: ignore[no-untyped-def]
    """Points near each other become one, their mean; in place."""
    label = np.arange(n)
    for a in range(n):
        for b in range(a):
            if (x[a] - x[b]) ** 2 + (y[a] - y[b]) ** 2 <= CHAIN**2 and label[a] != label[b]:
                old, new = label[a], label[b]
                for c in range(n):
                    if label[c] == old:
                        label[c] = new
    m = 0
    for a in range(n):
        sum_x, sum_y, top, members = 0.0, 0.0, 0.0, 0
        first = True
        for b in range(n):
            if label[b] == label[a]:
                first = first and b >= a
                sum_x, sum_y, top, members = sum_x + x[b], sum_y + y[b], max(top, value[b]), members + 1
        if first:
            # members come later, so what is written over was read
            x[m], y[m], value[m] = sum_x / members, sum_y / members, top
            m += 1
    return m


@njit(cache=True, nogil=True)
def link(points: Points, n_frames: int, fastest: float, min_points: int, limit: int) -> Doubles:
    """Link points at constant velocity, those with most points first, each point in one link only.

    Parameters
    ----------
    points : (frame, x, y)
        From `frame_points`.
    n_frames : int
    fastest : float
        Largest speed, cells a frame.
    min_points : int
        Fewest points (one a frame) of a link.
    limit : int
        Largest number of links.

    Returns
    -------
    ndarray of float64, (m, 5)
        Number of points; x and y at the middle of the film, cells; motion along x and y, cells a frame.

    Notes
    -----
    A link starts from two points at most `GAP` frames apart and is followed frame by frame in both directions, its line
    fitted anew with each point: what is near enough grows with the distance from the points that it has.
    """
    frame = points[0]
    start = np.searchsorted(frame, np.arange(n_frames + 1))
    used = np.zeros(len(frame), np.bool_)
    seeds = _seeds(points, start, used, fastest, min_points)
    found = np.empty((limit, 5))
    member = np.empty(n_frames, np.int64)
    n = 0
    for s in np.argsort(-seeds[:, 2]):
        i, j = seeds[s, 0], seeds[s, 1]
        if n == limit or used[i] or used[j]:
            continue
        size, line = _follow(points, start, used, (i, j), member)
        if size >= min_points and line[2] ** 2 + line[3] ** 2 <= fastest**2:
            found[n, 0] = size
            found[n, 1:] = line
            n += 1
            used[member[:size]] = True
    return found[:n]


@njit(cache=True, nogil=True, forceinline=True)
def _seeds(points, start, used, fastest, min_points):  # type: ignore[no-untyped-def]
    """Pairs that gather enough points, with their number: ``(i, j, size)``."""
    frame, x, y = points
    n_frames = len(start) - 1
    member = np.empty(n_frames, np.int64)
    seeds = np.empty((256, 3), np.int64)
    n = 0
    for i in range(len(frame)):
        for g in range(frame[i] + 1, min(frame[i] + GAP, n_frames - 1) + 1):
            reach = fastest * (g - frame[i])
            first = start[g] + np.searchsorted(y[start[g] : start[g + 1]], y[i] - reach)
            for j in range(first, start[g + 1]):
                if y[j] > y[i] + reach:
                    break
                if abs(x[j] - x[i]) > reach:
                    continue
                size, _ = _follow(points, start, used, (i, j), member)
                if size >= min_points:
                    if n == len(seeds):
                        longer = np.empty((2 * n, 3), np.int64)
                        longer[:n] = seeds
                        seeds = longer
                    seeds[n] = i, j, size
                    n += 1
    return seeds[:n]


@njit(cache=True, nogil=True, forceinline=True)
def _follow(points, start, used, seed, member):  # type: ignore[no-untyped-def]
    """The free points on the line through two, and the line: x and y at the film's middle, motion."""
    frame, x, y = points
    n_frames = len(start) - 1
    i, j = seed
    middle = 0.5 * (n_frames - 1)
    sums = np.zeros(7)  # n, t, tt, x, tx, y, ty
    for p in (i, j):
        _add(sums, frame[p] - middle, x[p], y[p])
    member[0], member[1], size = i, j, 2
    first, last = frame[i], frame[j]
    line = _line(sums)
    for step in range(1, n_frames):
        for f in (frame[i] - step, frame[i] + step):
            if not 0 <= f < n_frames or f == frame[j]:
                continue
            t = f - middle
            away = max(max(first - f, f - last), 0)
            reach = SCATTER * (1 + 0.5 * away / (last - first)) + TRAIL * np.sqrt(line[2] ** 2 + line[3] ** 2)
            p = _nearest(points, (start[f], start[f + 1]), (line[0] + line[2] * t, line[1] + line[3] * t), reach, used)
            if p >= 0:
                member[size] = p
                size += 1
                first, last = min(first, f), max(last, f)
                _add(sums, t, x[p], y[p])
                line = _line(sums)
    return size, line


@njit(cache=True, nogil=True, forceinline=True)
def _nearest(points, some, place, reach, used):  # type: ignore[no-untyped-def]
    """The nearest free point of a frame within reach; -1 if there is none."""
    _, x, y = points
    nearest, best = -1, reach**2
    low = some[0] + np.searchsorted(y[some[0] : some[1]], place[1] - reach)
    for p in range(low, some[1]):
        if y[p] > place[1] + reach:
            break
        d2 = (x[p] - place[0]) ** 2 + (y[p] - place[1]) ** 2
        if d2 <= best and not used[p]:
            nearest, best = p, d2
    return nearest


@njit(cache=True, nogil=True, forceinline=True)
def _add(sums, t, x, y):  # type: ignore[no-untyped-def]
    sums[0] += 1.0
    sums[1] += t
    sums[2] += t * t
    sums[3] += x
    sums[4] += t * x
    sums[5] += y
    sums[6] += t * y


@njit(cache=True, nogil=True, forceinline=True)
def _line(sums):  # type: ignore[no-untyped-def]
    n, t, tt, x, tx, y, ty = sums
    spread = n * tt - t * t
    ux, uy = (n * tx - t * x) / spread, (n * ty - t * y) / spread
    return (x - ux * t) / n, (y - uy * t) / n, ux, uy
