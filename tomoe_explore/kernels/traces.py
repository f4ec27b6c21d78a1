"""From a short segment to the whole trail: along its line, as far as the light goes."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

MIN_CELLS = 16  #: a trail is at least so long along its axis
PLAIN = 4.5  #: mean of a segment that is no work of noise
ROUNDS = 12  #: of growing; each makes a trail half as long again on either side
CLIP = 24.0  #: brighter cells count as this
_SAMPLES = 160  #: of a line while its direction is sought


@njit(cache=True, nogil=True, forceinline=True)
def _at(cells, x, y, steep):  # type: ignore[no-untyped-def]
    """Value on a line: of the nearest cell along its axis, between cells across it; 0 outside."""
    ny, nx = cells.shape
    if steep:
        i, j = math.floor(x), round(y)
        if i < 0 or j < 0 or i >= nx - 1 or j >= ny:
            return 0.0
        part, one, other = x - i, cells[j, i], cells[j, i + 1]
    else:
        i, j = round(x), math.floor(y)
        if i < 0 or j < 0 or i >= nx or j >= ny - 1:
            return 0.0
        part, one, other = y - j, cells[j, i], cells[j + 1, i]
    return min(max(one * (1.0 - part) + other * part, -CLIP), CLIP)


@njit(cache=True, nogil=True, forceinline=True)
def _mean(cells, x1, y1, x2, y2):  # type: ignore[no-untyped-def]
    """Mean along a line."""
    steep = abs(y2 - y1) > abs(x2 - x1)
    n = min(int(max(abs(x2 - x1), abs(y2 - y1))) + 1, _SAMPLES)
    dx, dy = (x2 - x1) / max(n - 1, 1), (y2 - y1) / max(n - 1, 1)
    total = 0.0
    for k in range(n):
        total += _at(cells, x1 + k * dx, y1 + k * dy, steep)
    return total / n


@njit(cache=True, nogil=True)
def _turned(cells, line, step):  # type: ignore[no-untyped-def]
    """The middle of the brightest of 25 lines whose ends lie up to two steps across from those given."""
    x1, y1, x2, y2 = line
    steep = abs(y2 - y1) > abs(x2 - x1)
    means = np.empty((5, 5))
    for p in range(5):
        for q in range(5):
            u, v = (p - 2) * step, (q - 2) * step
            means[p, q] = _mean(cells, x1 + u, y1, x2 + v, y2) if steep else _mean(cells, x1, y1 + u, x2, y2 + v)
    least = 0.9 * means.max()
    total, a, b = 1e-9, 0.0, 0.0
    for p in range(5):
        for q in range(5):
            weight = max(means[p, q] - least, 0.0)
            total, a, b = total + weight, a + weight * (p - 2) * step, b + weight * (q - 2) * step
    a, b = a / total, b / total
    return (x1 + a, y1, x2 + b, y2) if steep else (x1, y1 + a, x2, y2 + b)


@njit(cache=True, nogil=True)
def _inside(cells, line, ahead):  # type: ignore[no-untyped-def]
    """A line made longer by so many cells on either side, as far as the frame goes; and cells added before it."""
    ny, nx = cells.shape
    x1, y1, x2, y2 = line
    n = max(abs(x2 - x1), abs(y2 - y1))
    ux, uy = (x2 - x1) / n, (y2 - y1) / n
    before, after = float(ahead), float(ahead)
    for at, u, size in ((x1, ux, nx), (y1, uy, ny)):
        if u > 1e-9:
            before = min(before, at / u)
        elif u < -1e-9:
            before = min(before, (at - (size - 1)) / u)
    for at, u, size in ((x2, ux, nx), (y2, uy, ny)):
        if u > 1e-9:
            after = min(after, (size - 1 - at) / u)
        elif u < -1e-9:
            after = min(after, -at / u)
    return (x1 - before * ux, y1 - before * uy, x2 + after * ux, y2 + after * uy), before


@njit(cache=True, nogil=True)
def _profile(cells, line):  # type: ignore[no-untyped-def]
    x1, y1, x2, y2 = line
    n, steep = round(max(abs(x2 - x1), abs(y2 - y1))) + 1, abs(y2 - y1) > abs(x2 - x1)
    values = np.empty(n)
    for k in range(n):
        part = k / max(n - 1, 1)
        values[k] = _at(cells, x1 + part * (x2 - x1), y1 + part * (y2 - y1), steep)
    return values


@njit(cache=True, nogil=True)
def _ends(profile, level, middle):  # type: ignore[no-untyped-def]
    """Most likely ends of a trail of some brightness: where the sum of (profile - level / 2) is largest."""
    first, last = middle, middle
    total, top = 0.0, 0.0
    for k in range(middle, -1, -1):
        total += profile[k] - 0.5 * level
        if total > top:
            top, first = total, k
    total, top = 0.0, 0.0
    for k in range(middle, len(profile)):
        total += profile[k] - 0.5 * level
        if total > top:
            top, last = total, k
    return first, last


@njit(cache=True, nogil=True)
def _grown(cells, line):  # type: ignore[no-untyped-def]
    """A segment's line turned, and made longer or shorter, until it holds the trail."""
    if _mean(cells, line[0], line[1], line[2], line[3]) > PLAIN:  # a bright trail is as wide as its segment is askew
        line = _turned(cells, line, 2.0)
        line = _turned(cells, line, 1.5)
    for step in (0.75, 0.3):
        line = _turned(cells, line, step)
    x1, y1, x2, y2 = line
    for _ in range(ROUNDS):
        length = max(abs(x2 - x1), abs(y2 - y1))
        if length < 4:
            break
        longer, before = _inside(cells, (x1, y1, x2, y2), max(16.0, 0.5 * length))
        profile = _profile(cells, longer)
        core = round(before), min(round(before + length) + 1, len(profile))
        level = max(profile[core[0] : core[1]].mean(), 0.5)
        first, last = _ends(profile, level, (core[0] + core[1]) // 2)
        n = len(profile) - 1
        dx, dy = (longer[2] - longer[0]) / n, (longer[3] - longer[1]) / n
        new = longer[0] + first * dx, longer[1] + first * dy, longer[0] + last * dx, longer[1] + last * dy
        moved = max(abs(new[0] - x1), abs(new[1] - y1), abs(new[2] - x2), abs(new[3] - y2))
        x1, y1, x2, y2 = new
        if max(abs(x2 - x1), abs(y2 - y1)) < 4:
            break
        x1, y1, x2, y2 = _turned(cells, (x1, y1, x2, y2), 1.0 if level > PLAIN else 0.4)
        if moved < 1.5:
            break
    return _turned(cells, (x1, y1, x2, y2), 0.15)


@njit(cache=True, nogil=True)
def _significance(cells, line, noise):  # type: ignore[no-untyped-def]
    """Signal over noise of a line, of its three fainter quarters and of its two faintest.

    A star makes only one quarter bright, two make no more than two.
    """
    profile = _profile(cells, line)
    n = len(profile)
    parts = np.empty(4)
    for quarter in range(4):
        parts[quarter] = profile[quarter * n // 4 : (quarter + 1) * n // 4].sum()
    parts.sort()
    unit = noise * math.sqrt(0.25 * n)
    three = (parts[0] + parts[1] + parts[2]) / unit / math.sqrt(3.0)
    return parts.sum() / unit / 2.0, three, (parts[0] + parts[1]) / unit / math.sqrt(2.0)


@njit(cache=True, nogil=True)
def _half_width(cells, line):  # type: ignore[no-untyped-def]
    """How far from its line a trail is brighter than the noise of a cell."""
    x1, y1, x2, y2 = line
    length = math.hypot(x2 - x1, y2 - y1)
    px, py = -(y2 - y1) / length, (x2 - x1) / length
    far = 1.0
    for side in (-1.0, 1.0):
        for d in range(1, 60):
            u, v = side * d * px, side * d * py
            if _mean(cells, x1 + u, y1 + v, x2 + u, y2 + v) < 1.0:
                break
            far = max(far, float(d))
    return far


@njit(cache=True, nogil=True)
def erase(cells: NDArray[np.int8], line: tuple[float, float, float, float], half_width: float) -> None:
    """Set the cells about a line to 0, in place.

    Parameters
    ----------
    cells : ndarray of int8, (ny, nx)
    line : (x1, y1, x2, y2)
        In cells.
    half_width : float
        In cells; beyond the ends too.
    """
    ny, nx = cells.shape
    x1, y1, x2, y2 = line
    length = max(math.hypot(x2 - x1, y2 - y1), 1e-6)
    ux, uy = (x2 - x1) / length, (y2 - y1) / length
    slant = half_width / max(abs(ux), abs(uy))
    steep = abs(uy) > abs(ux)
    first, last = (min(y1, y2), max(y1, y2)) if steep else (min(x1, x2), max(x1, x2))
    for k in range(max(int(first - half_width), 0), min(int(last + half_width) + 2, ny if steep else nx)):
        middle = x1 + (k - y1) * ux / uy if steep else y1 + (k - x1) * uy / ux
        low, high = math.ceil(middle - slant), math.floor(middle + slant) + 1
        for other in range(max(low, 0), min(high, nx if steep else ny)):
            x, y = (other, k) if steep else (k, other)
            along = (x - x1) * ux + (y - y1) * uy
            if -half_width <= along <= length + half_width:
                cells[y, x] = 0


@njit(cache=True, nogil=True)
def trace(
    cells: NDArray[np.int8],
    work: NDArray[np.int8],
    segments: NDArray[np.int16],
    wanted: tuple[NDArray[np.float64], float, int],
) -> tuple[NDArray[np.float64], bool]:
    """The trails of one frame, from its segments.

    Parameters
    ----------
    cells : ndarray of int8, (ny, nx)
        Residuals in units of half the noise.
    work : ndarray of int8, (ny, nx)
        Memory: where a frame has a trail, it is erased in this copy before the next is sought.
    segments : ndarray of int16, (k, 5)
        As `segments.find_segments` gives them.
    wanted : (noise, snr, limit)
        Noise of a cell in a long sum along a line, ``(17,)`` by the line's slope in 16ths; least signal to noise of a
        trail; at most so many trails, of which those with the brightest segments come first.

    Returns
    -------
    trails : ndarray of float64, (m, 6)
        Both ends in cells, signal to noise, and half the width in cells.
    more : bool
        Whether there may be more.
    """
    noise, snr, limit = wanted
    out = np.empty((limit, 6))
    m = 0
    lines, strength = np.empty((len(segments), 4)), np.empty(len(segments))
    for k in range(len(segments)):  # by their sums the bright ones are all alike
        x1, y1, x2, y2 = segments[k, 0] * 1.0, segments[k, 1] * 1.0, segments[k, 2] * 1.0, segments[k, 3] * 1.0
        clipped, _ = _inside(cells, (x1, y1, x2, y2), 0.0)
        lines[k], strength[k] = clipped, _significance(cells, clipped, noise[0])[0]
    for k in np.argsort(-strength):
        clipped = lines[k, 0], lines[k, 1], lines[k, 2], lines[k, 3]
        if m > 0 and _significance(cells, clipped, noise[0])[0] < 3.0:
            continue  # it was part of a trail found before
        line = _grown(cells, clipped)
        dx, dy = abs(line[2] - line[0]), abs(line[3] - line[1])
        if max(dx, dy) < MIN_CELLS:
            continue
        slope = round((len(noise) - 1) * min(dx, dy) / max(dx, dy))
        whole, three, two = _significance(cells, line, noise[slope])
        if whole < snr or three < 0.6 * snr or two < 0.4 * snr:
            continue
        if m == limit:
            return out, True
        half_width = _half_width(cells, line)
        out[m] = line[0], line[1], line[2], line[3], whole, half_width
        if m == 0:
            work[:] = cells
            cells = work
        m += 1
        erase(cells, line, half_width + 2.0)
    return out[:m], False
