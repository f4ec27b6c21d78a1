"""How much light lies along one track of a film of residuals, and the best track near one."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Bytes = NDArray[np.int8]
Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Bools = NDArray[np.bool_]

SOFT = 3.5  #: sigma of one frame above which more counts little: one bright frame makes no track
SHIFT_ROWS = 32  #: rows of cells that share a frame's shift
STEP = 1.5  #: cells between the places of a trail that are looked at
MOST_STEPS = 30
PASSES = 6  #: of a climb with steps of one size, at most


@njit(cache=True, nogil=True)
def distinct(
    hits: NDArray[np.int32], order: NDArray[np.int64], span: float, reach: float, limit: int
) -> NDArray[np.int64]:
    """Hits that are no part of a better one: their tracks begin or end elsewhere.

    Parameters
    ----------
    hits : ndarray of int32, (k, 5)
        From `tracks.search`.
    order : ndarray of int64, (k,)
        Best first.
    span : float
        Frames from the middle of the film to either end.
    reach : float
        Tracks that begin and end as close as this are one, cells.
    limit : int
        At most so many are returned.

    Returns
    -------
    ndarray of int64
        Indices into ``hits``.
    """
    chosen = np.empty(limit, np.int64)
    ends = np.empty((limit, 4))
    n = 0
    for k in order:
        x, y, ux, uy = hits[k, 1], hits[k, 2], hits[k, 3] / 9.0, hits[k, 4] / 9.0
        one = (x - span * ux, y - span * uy, x + span * ux, y + span * uy)
        new = True
        for j in range(n):
            if (
                abs(one[0] - ends[j, 0]) <= reach and abs(one[1] - ends[j, 1]) <= reach
                and abs(one[2] - ends[j, 2]) <= reach and abs(one[3] - ends[j, 3]) <= reach
            ):  # fmt: skip
                new = False
                break
        if new:
            ends[n, 0], ends[n, 1], ends[n, 2], ends[n, 3] = one
            chosen[n] = k
            n += 1
            if n == limit:
                break
    return chosen[:n]


@njit(cache=True, nogil=True, inline="always")
def _on_frame(x, y, shifts, f):  # type: ignore[no-untyped-def]
    """Where a frame shows a place of the stack, cells."""
    band = min(max(int(y) // SHIFT_ROWS, 0), shifts.shape[1] - 1)
    return x + shifts[f, band, 0], y + shifts[f, band, 1]


@njit(cache=True, nogil=True, inline="always")
def _place(track, shifts, f, n):  # type: ignore[no-untyped-def]
    """Where a track is in a frame, cells."""
    x, y, ux, uy = track
    t = f - 0.5 * (n - 1)
    return _on_frame(x + ux * t, y + uy * t, shifts, f)


@njit(cache=True, nogil=True, inline="always")
def _between(image, x, y):  # type: ignore[no-untyped-def]
    """Between cells, and the part of the noise's variance that interpolation leaves, less one, along x and y."""
    i, j = int(x), int(y)
    a, b = x - i, y - j
    value = (1 - b) * ((1 - a) * image[j, i] + a * image[j, i + 1])
    value += b * ((1 - a) * image[j + 1, i] + a * image[j + 1, i + 1])
    return value, -2 * a * (1 - a), -2 * b * (1 - b)


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def _trail(motion, noise):  # type: ignore[no-untyped-def]
    """Places of a frame's trail that are looked at, and the noise of their mean, in place of one's."""
    sigma, rho = noise
    speed = np.sqrt(motion[0] ** 2 + motion[1] ** 2)
    n = min(int(speed / STEP) + 1, MOST_STEPS)
    together = 1.0  # they share noise, those that are not next to each other too
    for lag in range(1, n):
        shared = rho ** ((lag * speed / n) ** 2)
        together += 2 * (n - lag) / n * shared
        if shared < 0.01:
            break
    return n, sigma * np.sqrt(together), 1 - rho


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def _value(image, place, motion, trail):  # type: ignore[no-untyped-def]
    """Light along the trail of one frame, in sigma; NaN outside."""
    x, y = place
    ux, uy = motion
    n, sigma, apart = trail
    ny, nx = image.shape
    if x - abs(ux) < 0 or y - abs(uy) < 0 or x + abs(ux) >= nx - 1 or y + abs(uy) >= ny - 1:
        return np.nan
    total, variance = 0.0, 0.0
    for k in range(n):
        along = (k + 0.5) / n - 0.5
        value, less_x, less_y = _between(image, x + along * ux, y + along * uy)
        total += value
        variance += (1 + less_x * apart) * (1 + less_y * apart)
    return total / (sigma * np.sqrt(variance))


@njit(cache=True, nogil=True, inline="always")
def _soft(value):  # type: ignore[no-untyped-def]
    """A frame's light within `SOFT`; what is above rises ever more slowly, so that the best track has still most."""
    if value > SOFT:
        return SOFT + 0.5 * np.log(1.0 + value - SOFT)
    return max(value, -SOFT)


@njit(cache=True, nogil=True, error_model="numpy")
def track_snr(
    film: Bytes, used: Bools, shifts: Floats, track: tuple[float, float, float, float], noise: tuple[float, float]
) -> tuple[float, int]:
    """Signal to noise of the light along a track.

    Parameters
    ----------
    film : ndarray of int8, (n, ny, nx)
    used : ndarray of bool, (n,)
        Frames that were recorded.
    shifts : ndarray of float32, (n, ny / SHIFT_ROWS, 2)
        Of each frame along x and y, cells.
    track : (x, y, ux, uy)
        Cells at the middle of the film; cells a frame.
    noise : (sigma, correlation)
        Of the film's cells, and of neighbouring ones.

    Returns
    -------
    snr : float
        What a frame has above `SOFT` counts as its logarithm.
    n : int
        Frames that see the place.
    """
    n = len(film)
    total, seen = 0.0, 0
    motion = track[2], track[3]
    trail = _trail(motion, noise)
    for f in range(n):
        if used[f]:
            value = _value(film[f], _place(track, shifts, f, n), motion, trail)
            if not np.isnan(value):
                total += _soft(value)
                seen += 1
    return (total / np.sqrt(seen) if seen else 0.0), seen


@njit(cache=True, nogil=True, error_model="numpy")
def quick_snr(
    film: Bytes, used: Bools, shifts: Floats, track: tuple[float, float, float, float], noise: tuple[float, float]
) -> tuple[float, float]:
    """Signal to noise of the light along a track, and how far it is above that of three of its places all the time.

    Parameters are those of `track_snr`. The latter tells most of what stands still, at a tenth of `motion_snr`'s cost.
    """
    n = len(film)
    motion = track[2], track[3]
    trail = _trail(motion, noise)
    along, still, seen = 0.0, 0.0, 0
    for f in range(n):
        if not used[f]:
            continue
        value = _value(film[f], _place(track, shifts, f, n), motion, trail)
        if np.isnan(value):
            continue
        along, seen = along + _soft(value), seen + 1
        for k in range(-1, 2):
            t = k * n / 3
            place = _on_frame(track[0] + track[2] * t, track[1] + track[3] * t, shifts, f)
            value = _value(film[f], place, motion, trail)
            still += 0.0 if np.isnan(value) else _soft(value)
    if not seen:
        return 0.0, 0.0
    return along / np.sqrt(seen), (along - still / 3) / np.sqrt(seen)


@njit(cache=True, nogil=True, error_model="numpy")
def motion_snr(
    film: Bytes,
    used: Bools,
    shifts: Floats,
    track: tuple[float, float, float, float],
    noise: tuple[float, float, float],
) -> tuple[float, float]:
    """Signal to noise of the light along a track when what stands still there is taken off, whatever it be.

    Parameters
    ----------
    film, used, shifts, track
        As in `track_snr`.
    noise : (sigma, correlation, width)
        Also the width of the smoothing, cells.

    Returns
    -------
    snr, soft : float
        The latter with each frame's light limited as in `track_snr`: no three bright frames make a track.

    Notes
    -----
    With ``v(g, f)`` the value in frame g at the track's place in frame f and ``K`` the image's overlap with itself at
    the distance of two places, an unknown still image is profiled out by the mean over time:
    ``S = (sum v(f, f) - sum v(g, f) / n) / sqrt(n - sum K(g, f) / n)``.
    """
    n = len(film)
    places = np.empty((n, 2))  # on the stack
    ok = np.zeros(n, np.bool_)
    motion, m = (track[2], track[3]), 0
    trail = _trail(motion, (noise[0], noise[1]))
    for f in range(n):
        if used[f]:
            t = f - 0.5 * (n - 1)
            places[f, 0], places[f, 1] = track[0] + track[2] * t, track[1] + track[3] * t
            place = _on_frame(places[f, 0], places[f, 1], shifts, f)
            if not np.isnan(_value(film[f], place, motion, trail)):
                ok[f], m = True, m + 1
    if m < 2:
        return 0.0, 0.0
    along, still, overlap, soft_along, soft_still = 0.0, 0.0, 0.0, 0.0, 0.0
    for f in range(n):
        if not ok[f]:
            continue
        for g in range(n):
            if not ok[g]:
                continue
            place = _on_frame(places[f, 0], places[f, 1], shifts, g)
            v = _value(film[g], place, motion, trail)
            v = 0.0 if np.isnan(v) else v
            d2 = (places[f, 0] - places[g, 0]) ** 2 + (places[f, 1] - places[g, 1]) ** 2
            overlap += np.exp(-d2 / (4 * noise[2] ** 2))
            still, soft_still = still + v, soft_still + _soft(v)
            if f == g:
                along, soft_along = along + v, soft_along + _soft(v)
    noise_left = np.sqrt(max(m - overlap / m, 1e-6))
    return (along - still / m) / noise_left, (soft_along - soft_still / m) / noise_left


@njit(cache=True, nogil=True, error_model="numpy")
def _snr(film, used, shifts, track, noise, by_motion):  # type: ignore[no-untyped-def]
    if by_motion:
        return motion_snr(film, used, shifts, track, noise)[1]
    return track_snr(film, used, shifts, track, (noise[0], noise[1]))[0]


@njit(cache=True, nogil=True, error_model="numpy")
def best_track(
    film: Bytes,
    used: Bools,
    shifts: Floats,
    start: tuple[float, float, float, float],
    noise: tuple[float, float, float],
    steps: tuple[float, int, bool],
) -> tuple[float, float, float, float, float]:
    """Climb from a track to the best one near it: ``(snr, x, y, ux, uy)``.

    Parameters
    ----------
    film, used, shifts, start, noise
        As in `motion_snr`.
    steps : (size, n, by_motion)
        The first step (cells, at the middle or at the ends of the film); the number of steps, each half of the one
        before; whether what is sought is most light, or most of it moving, of `motion_snr` the soft one.
    """
    n = len(film)
    size, n_steps, by_motion = steps
    track = np.array(start)
    top = _snr(film, used, shifts, start, noise, by_motion)
    for _ in range(n_steps):
        for _ in range(PASSES):
            moved = False
            for p in range(4):
                for sign in (-1.0, 1.0):
                    old = track[p]
                    track[p] = old + sign * (size if p < 2 else 2.0 * size / n)
                    s = _snr(film, used, shifts, (track[0], track[1], track[2], track[3]), noise, by_motion)
                    if s > top:
                        top, moved = s, True
                    else:
                        track[p] = old
            if not moved:
                break
        size *= 0.5
    return top, track[0], track[1], track[2], track[3]


@njit(cache=True, nogil=True)
def erase(film: Bytes, used: Bools, shifts: Floats, track: tuple[float, float, float, float], reach: float) -> None:
    """Set the cells about a track to zero, in place: within ``reach`` cells of its trail in each frame.

    Parameters are those of `track_snr`.
    """
    n, ny, nx = film.shape
    speed = np.sqrt(track[2] ** 2 + track[3] ** 2)
    steps = int(speed) + 1
    for f in range(n):
        if not used[f]:
            continue
        x, y = _place(track, shifts, f, n)
        for k in range(steps):
            along = (k + 0.5) / steps - 0.5
            cx, cy = x + along * track[2], y + along * track[3]
            for j in range(max(int(np.ceil(cy - reach)), 0), min(int(np.floor(cy + reach)), ny - 1) + 1):
                for i in range(max(int(np.ceil(cx - reach)), 0), min(int(np.floor(cx + reach)), nx - 1) + 1):
                    if (i - cx) ** 2 + (j - cy) ** 2 <= reach * reach:
                        film[f, j, i] = 0
