"""Orbits about the Sun: of many at once without the planets, and of one with them."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

#: Gaussian constant squared: the Sun's gravity, au^3/d^2.
GM_SUN = 0.01720209895**2

Doubles = NDArray[np.float64]
Table = tuple[float, float, NDArray[np.float64], NDArray[np.float64]]

#: Dormand & Prince (1980), J. Comput. Appl. Math. 6, 19: stages, fifth order, and its difference to the fourth.
_C = np.array([0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1, 1])
_A = np.array([
    [0, 0, 0, 0, 0, 0, 0],
    [1 / 5, 0, 0, 0, 0, 0, 0],
    [3 / 40, 9 / 40, 0, 0, 0, 0, 0],
    [44 / 45, -56 / 15, 32 / 9, 0, 0, 0, 0],
    [19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729, 0, 0, 0],
    [9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656, 0, 0],
    [35 / 384, 0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84, 0],
])  # fmt: skip
_E = np.array([71 / 57600, 0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40])

_TOLERANCE = 1e-12  # au a step


@njit(cache=True, nogil=True)
def two_body(elements: Doubles, mjd: float) -> Doubles:
    """Heliocentric states of orbits that nothing but the Sun disturbs.

    Parameters
    ----------
    elements : ndarray of float64, (n, 7)
        Epoch (MJD), mean anomaly, argument of perihelion, node, inclination (rad), eccentricity below 1, semi-major
        axis (au).
    mjd : float
        When, on the scale of the epochs.

    Returns
    -------
    states : ndarray of float64, (n, 6)
        Place, au, and velocity, au/d, on the axes of the elements.
    """
    states = np.empty((len(elements), 6))
    for k in range(len(elements)):
        epoch, mean, peri, node, incl, e, a = elements[k]
        n = np.sqrt(GM_SUN / a**3)
        m = (mean + n * (mjd - epoch)) % (2 * np.pi)
        if m > np.pi:
            m -= 2 * np.pi
        x = m + 0.85 * e * np.sign(m)
        for _ in range(50):
            f, slope = x - e * np.sin(x) - m, 1 - e * np.cos(x)
            step = f / np.sqrt(max(slope**2 - f * e * np.sin(x), 0.25 * slope**2))  # safe near e = 1
            x -= step
            if abs(step) < 1e-14:
                break
        root = np.sqrt(1 - e * e)
        along, across = a * (np.cos(x) - e), a * root * np.sin(x)
        speed = n * a / (1 - e * np.cos(x))
        v_along, v_across = -speed * np.sin(x), speed * root * np.cos(x)
        cw, sw, co, so, ci, si = np.cos(peri), np.sin(peri), np.cos(node), np.sin(node), np.cos(incl), np.sin(incl)
        p0, p1, p2 = cw * co - sw * so * ci, cw * so + sw * co * ci, sw * si
        q0, q1, q2 = -sw * co - cw * so * ci, -sw * so + cw * co * ci, cw * si
        states[k, 0], states[k, 1], states[k, 2] = (
            along * p0 + across * q0, along * p1 + across * q1, along * p2 + across * q2)  # fmt: skip
        states[k, 3], states[k, 4], states[k, 5] = (
            v_along * p0 + v_across * q0, v_along * p1 + v_across * q1, v_along * p2 + v_across * q2)  # fmt: skip
    return states


@njit(cache=True, nogil=True)
def disturbed(state: Doubles, span: tuple[float, float], table: Table) -> Doubles:
    """The heliocentric state of an orbit at another time, disturbed by planets and the Moon.

    Parameters
    ----------
    state : ndarray of float64, (6,)
        At the beginning.
    span : (begin, end)
        MJD; the end may come first.
    table : (first, step, masses, bodies)
        Heliocentric states of the disturbing bodies, ``(n, bodies, 6)`` on the state's axes, each ``step`` days from
        ``first`` on, beyond both ends; and their masses in the Sun's.

    Returns
    -------
    state : ndarray of float64, (6,)
        NaN where it runs into a body.
    """
    begin, end = span
    left = end - begin
    y, slopes = state.copy(), np.empty((7, 6))
    h = np.sign(left) * min(abs(left), 1.0)
    t = begin
    _slope(t, y, table, slopes[0])
    for _ in range(100_000):
        if abs(end - t) < 1e-12:
            return y
        if abs(h) > abs(end - t):
            h = end - t
        stage = y
        for s in range(1, 7):
            stage = y.copy()
            for j in range(s):
                stage += h * _A[s, j] * slopes[j]
            _slope(t + _C[s] * h, stage, table, slopes[s])
        error = 1e-30
        for c in range(6):
            miss = 0.0
            for s in range(7):
                miss += _E[s] * slopes[s, c]
            error = max(error, abs(h * miss))
        if error <= _TOLERANCE:
            t, y = t + h, stage
            slopes[0] = slopes[6]
        h *= min(5.0, max(0.2, 0.9 * (_TOLERANCE / error) ** 0.2))
        if abs(h) < 1e-9:
            break
    return np.full(6, np.nan)


@njit(cache=True, nogil=True)
def _slope(t, y, table, slope):  # type: ignore[no-untyped-def]
    first, step, masses, bodies = table
    x0, x1, x2 = y[0], y[1], y[2]
    r2 = x0 * x0 + x1 * x1 + x2 * x2
    pull = -GM_SUN / (r2 * np.sqrt(r2))
    a0, a1, a2 = pull * x0, pull * x1, pull * x2
    k = int((t - first) / step)
    s = (t - first) / step - k
    # cubics through places and velocities of two lines of the table
    f0, f1 = (1 + 2 * s) * (1 - s) ** 2, s * s * (3 - 2 * s)
    g0, g1 = step * s * (1 - s) ** 2, step * s * s * (s - 1)
    for b in range(len(masses)):
        low, high = bodies[k, b], bodies[k + 1, b]
        p0 = f0 * low[0] + f1 * high[0] + g0 * low[3] + g1 * high[3]
        p1 = f0 * low[1] + f1 * high[1] + g0 * low[4] + g1 * high[4]
        p2 = f0 * low[2] + f1 * high[2] + g0 * low[5] + g1 * high[5]
        d0, d1, d2 = p0 - x0, p1 - x1, p2 - x2
        d, p = d0 * d0 + d1 * d1 + d2 * d2, p0 * p0 + p1 * p1 + p2 * p2
        near, own = GM_SUN * masses[b] / (d * np.sqrt(d)), GM_SUN * masses[b] / (p * np.sqrt(p))
        a0 += near * d0 - own * p0
        a1 += near * d1 - own * p1
        a2 += near * d2 - own * p2
    slope[0], slope[1], slope[2], slope[3], slope[4], slope[5] = y[3], y[4], y[5], a0, a1, a2


@njit(cache=True, nogil=True)
def within(u: NDArray[np.float32], margin: NDArray[np.float32], place: Doubles, radius: float) -> NDArray[np.int64]:
    """Which of many directions come within a radius of a place, each with its own margin, rad."""
    found = np.empty(len(u), np.int64)
    n = 0
    for k in range(len(u)):
        x, y, z = u[k, 0] - place[0], u[k, 1] - place[1], u[k, 2] - place[2]
        if x * x + y * y + z * z < (radius + margin[k]) ** 2:
            found[n] = k
            n += 1
    return found[:n].copy()
