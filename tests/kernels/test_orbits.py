"""Orbits against slow twins: Kepler's equation by bisection, and the disturbed motion by scipy's integrator."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.optimize import brentq

from tomoe_explore.kernels.orbits import GM_SUN, disturbed, two_body, within


@pytest.mark.parametrize("e", [0.0, 0.1, 0.7, 0.97, 0.9999])
@pytest.mark.parametrize("mean", [0.001, 1.0, 3.0, 3.2, 6.28])
def test_two_bodies_obey_kepler(e: float, mean: float) -> None:
    a, mjd = 2.5, 59040.0
    motion = np.sqrt(GM_SUN / a**3)
    state = two_body(np.array([[59000.0, mean, 0.0, 0.0, 0.0, e, a]]), mjd)[0]
    m = (mean + 40 * motion) % (2 * np.pi)
    anomaly = brentq(lambda x: x - e * np.sin(x) - m, -0.1, 2 * np.pi + 0.1, xtol=1e-15)
    place = a * np.array([np.cos(anomaly) - e, np.sqrt(1 - e * e) * np.sin(anomaly), 0])
    np.testing.assert_allclose(state[:3], place, atol=1e-9)
    energy = state[3:] @ state[3:] / 2 - GM_SUN / np.linalg.norm(state[:3])
    assert energy == pytest.approx(-GM_SUN / (2 * a), rel=1e-9)


def test_the_axes_are_turned_by_the_three_angles() -> None:
    peri, node, incl = 0.3, 1.1, 0.5
    flat = two_body(np.array([[59000.0, 0.7, 0.0, 0.0, 0.0, 0.2, 1.5]]), 59100.0)[0].reshape(2, 3)
    state = two_body(np.array([[59000.0, 0.7, peri, node, incl, 0.2, 1.5]]), 59100.0)[0].reshape(2, 3)

    def z(angle: float) -> np.ndarray:
        return np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])

    x = np.array([[1, 0, 0], [0, np.cos(incl), -np.sin(incl)], [0, np.sin(incl), np.cos(incl)]])
    np.testing.assert_allclose(state, flat @ (z(node) @ x @ z(peri)).T, atol=1e-14)


def test_a_disturbed_orbit_is_scipys() -> None:
    """With one heavy body on a circle, which passes it."""
    step, first = 0.25, 58990.0
    times = first + step * np.arange(600)
    speed = np.sqrt(GM_SUN)
    angle = speed * (times - first)
    bodies = np.zeros((600, 1, 6))
    bodies[:, 0, 0], bodies[:, 0, 1] = np.cos(angle), np.sin(angle)
    bodies[:, 0, 3], bodies[:, 0, 4] = -speed * np.sin(angle), speed * np.cos(angle)
    mass = np.array([1e-3])

    def slope(t: float, y: np.ndarray) -> np.ndarray:
        p = np.array([np.cos(speed * (t - first)), np.sin(speed * (t - first)), 0])
        d = p - y[:3]
        pull = -GM_SUN * y[:3] / np.linalg.norm(y[:3]) ** 3
        return np.concatenate([y[3:], pull + GM_SUN * mass[0] * (d / np.linalg.norm(d) ** 3 - p)])

    start = np.array([1.2, 0.3, 0.05, -0.001, 0.015, 0.0002])
    slow = solve_ivp(slope, (59000, 59120), start, method="DOP853", rtol=1e-12, atol=1e-14).y[:, -1]
    fast = disturbed(start, (59000.0, 59120.0), (first, step, mass, bodies))
    np.testing.assert_allclose(fast, slow, atol=1e-8)
    free = disturbed(start, (59000.0, 59120.0), (first, step, np.array([0.0]), bodies))
    assert np.abs(free - slow).max() > 1e-4


def test_directions_within_their_own_margins() -> None:
    rng = np.random.default_rng(2)
    u = rng.normal(size=(5000, 3))
    u /= np.linalg.norm(u, axis=1)[:, None]
    margin = rng.uniform(0, 0.3, 5000)
    place = np.array([0.0, 0.6, 0.8])
    slow = np.flatnonzero(np.linalg.norm(u - place, axis=1) < 0.1 + margin)
    fast = within(u.astype(np.float32), margin.astype(np.float32), place, 0.1)
    assert set(slow) == set(fast.tolist())
