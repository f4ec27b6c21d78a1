"""Arcs against a slow twin in NumPy."""

from __future__ import annotations

import numpy as np

from tomoe_explore.kernels.arcs import APART_S, arc, best_seeds

ARCSEC = np.pi / 180 / 3600
LIMITS = 0.004, 4.0, 60 * ARCSEC


def sky(n: int = 60, seed: int = 4) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Random points near a place, and six in a row."""
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(-0.002, 0.002, (2, n + 6))
    t = rng.integers(0, 200, n + 6) + rng.uniform(0, 0.1, n + 6)
    t[n:] = 10 + 20.0 * np.arange(6)
    x[n:], y[n:] = -0.0008 + 1e-5 * t[n:], 0.0003 + 0.4e-5 * t[n:]
    order = np.argsort(t)
    u = np.stack([np.ones_like(x), x, y], axis=1)[order]
    return t[order], u / np.linalg.norm(u, axis=1)[:, None], np.full(n + 6, 3 * ARCSEC)


def neighbours(n: int) -> tuple[np.ndarray, np.ndarray]:
    pairs = [(i, k) for i in range(n) for k in range(i + 1, n)]
    return np.searchsorted([i for i, _ in pairs], np.arange(n + 1)), np.array([k for _, k in pairs])


def slow_arc(points: tuple[np.ndarray, np.ndarray, np.ndarray], i: int, j: int) -> tuple[list[int], float]:
    t, u, error = points
    east = np.cross([0, 0, 1], u[i]) / np.linalg.norm(np.cross([0, 0, 1], u[i]))
    plane = np.stack([u @ east, u @ np.cross(u[i], east)], axis=1) / (u @ u[i])[:, None]
    members: dict[int, float] = {i: 0.0}
    expected = 0.0
    for k in range(len(t)):
        s = (t[k] - t[i]) / (t[j] - t[i])
        tolerance = LIMITS[1] * np.sqrt(error[k] ** 2 + ((1 - s) * error[i]) ** 2 + (s * error[j]) ** 2)
        if t[k] - t[i] < APART_S or tolerance > LIMITS[2]:
            continue
        expected += (tolerance / LIMITS[0]) ** 2
        d = 0.0 if k == j else float(np.linalg.norm(plane[k] - s * plane[j]) / tolerance)
        if d <= 1:
            clash = [m for m in members if m != i and abs(t[m] - t[k]) < APART_S]
            if all(members[m] > d for m in clash):
                members = {m: v for m, v in members.items() if m not in clash} | {k: d}
    return sorted(members), expected


def test_an_arc_is_the_slow_twins() -> None:
    points = sky()
    n = len(points[0])
    found = 0
    for i, j in np.random.default_rng(1).integers(0, n, (300, 2)).tolist():
        if points[0][j] - points[0][i] < APART_S:
            continue
        members, expected = arc(points, neighbours(n), (i, j), LIMITS, np.ones(n, bool))
        slow = slow_arc(points, i, j)
        assert members.tolist() == slow[0]
        np.testing.assert_allclose(expected, slow[1], rtol=1e-9)
        found += len(members) > 2
    assert found > 10


def test_the_best_seed_is_on_the_row_of_points() -> None:
    points = sky()
    n = len(points[0])
    speeds = 0.05 * ARCSEC, 100 * ARCSEC
    free = np.ones(n, bool)
    partner, chance, n_tried = best_seeds(points, neighbours(n), speeds, LIMITS, free, np.arange(n))
    first = int(np.argmin(chance))
    members, _ = arc(points, neighbours(n), (first, int(partner[first])), LIMITS, free)
    assert set(np.flatnonzero(points[0] % 20 == 10)) <= set(members.tolist()) and n_tried > n
    free[members[1:]] = False
    _, later, _ = best_seeds(points, neighbours(n), speeds, LIMITS, free, np.array([first]))
    assert later[0] > chance[first]
