"""Sums along motions, against the same sums made one after the other."""

import itertools

import numpy as np
import pytest

from tomoe_explore.kernels.tracks import BAND, CLIP, FRAMES, PAD, REACH, clipped, search

NY, NX = BAND + 9, 37
MOTIONS = [(0, 0), (1, -2), (REACH, 0), (0, -REACH), (-3, 2)]
LIMIT = float(REACH)


def room(film, lift=None):
    out = np.full((FRAMES, film.shape[1], film.shape[2] + 2 * PAD), 55, np.int8)
    clipped(film, np.zeros(film.shape[1:], np.int8) if lift is None else lift, out)
    return out


def hits_of(film, motions, least, limit=LIMIT, most=200_000):
    hits = np.empty((most, 5), np.int32)
    n = search(room(film), np.array(motions), limit**2, least, hits)
    return hits[:n]


def offsets(motion, third, ninth, back):
    """Where each frame is added, against the place at the film's middle, along one axis; ``back`` to the first half."""
    middles = [-back, ninth - back]
    return [middles[h] + (k - 1) * third + (f - 1) * motion for h in range(2) for k in range(3) for f in range(3)]


def brute(film, motions, least, limit=LIMIT):
    """``(sum, x, y, ux, uy)`` of the best of nine motions a place, if larger than the least."""
    ny, nx = film.shape[1:]
    wide = np.zeros((FRAMES, ny + 2 * PAD, nx + 2 * PAD), np.int64)
    wide[: len(film), PAD:-PAD, PAD:-PAD] = np.clip(film.astype(int), -CLIP, CLIP)
    found = []
    for vx, vy in motions:
        for wy, wx in itertools.product(range(3 * vy - 1, 3 * vy + 2), range(3 * vx - 1, 3 * vx + 2)):
            if wx**2 + wy**2 > 9 * limit**2:
                continue
            nine = [(3 * wx + i, 3 * wy + j) for j in (-1, 0, 1) for i in (-1, 0, 1)]
            along = [
                (offsets(vx, wx, ux, (3 * wx + 1) // 2), offsets(vy, wy, uy, (uy + 1) // 2)) for ux, uy in nine
            ]  # fmt: skip
            sums = np.stack([_shifted(wide, *offset, (ny, nx)) for offset in along])
            best = sums.argmax(axis=0)
            for y, x in np.argwhere(sums.max(axis=0) > least):
                found.append((sums[:, y, x].max(), x, y, *nine[best[y, x]]))
    return found


def _shifted(wide, along_x, along_y, shape):
    ny, nx = shape
    return sum(
        frame[PAD + b : PAD + b + ny, PAD + a : PAD + a + nx]
        for frame, a, b in zip(wide, along_x, along_y, strict=True)
    )


def test_cells_are_clipped_and_frames_that_are_not_there_are_empty():
    film = np.random.default_rng(1).integers(-127, 128, (11, 9, 20)).astype(np.int8)
    out = room(film)
    np.testing.assert_array_equal(out[:11, :, PAD:-PAD], np.clip(film, -CLIP, CLIP))
    assert not out[11:].any() and not out[:, :, :PAD].any() and not out[:, :, -PAD:].any()


def test_cells_are_lifted_before_they_are_clipped():
    rng = np.random.default_rng(1)
    film, lift = rng.integers(-127, 128, (FRAMES, 9, 20)).astype(np.int8), rng.integers(0, 2, (9, 20)).astype(np.int8)
    expected = np.clip(film.astype(int) + lift, -CLIP, CLIP)
    np.testing.assert_array_equal(room(film, lift)[:, :, PAD:-PAD], expected)


@pytest.mark.parametrize(("n", "least"), [(FRAMES, 54), (12, 43)])
def test_the_sums_are_those_of_a_search_one_by_one(n, least):
    """All motions of some cells, all places, edges and corners too; motions beyond the limit are left out."""
    film = np.random.default_rng(2).integers(-9, 10, (n, NY, NX)).astype(np.int8)
    expected = brute(film, MOTIONS, least)
    assert len(expected) > 500
    found = hits_of(film, MOTIONS, least)
    assert sorted(map(tuple, found.tolist())) == sorted(expected)
    assert {0, NX - 1} <= set(found[:, 1]) and {0, NY - 1} <= set(found[:, 2])
    assert np.hypot(found[:, 3], found[:, 4]).max() <= 9 * LIMIT + 3 * np.sqrt(2)


def test_no_sum_overflows():
    film = np.full((FRAMES, NY, NX), 127, np.int8)
    found = hits_of(film, [(0, 0)], FRAMES * CLIP - 1)
    assert len(found) == len(brute(film, [(0, 0)], FRAMES * CLIP - 1)) > 1000
    assert (found[:, 0] == FRAMES * CLIP).all()
    assert len(hits_of(film, MOTIONS, FRAMES * CLIP)) == 0
    assert len(hits_of(-film, MOTIONS, 0)) == 0
    mixed = film * np.where(np.arange(FRAMES) % 2, 1, -1).astype(np.int8)[:, None, None]
    assert hits_of(mixed, [(0, 0)], 0)[:, 0].max(initial=0) <= 9 * CLIP  # at the edges one sign may be missing


def test_what_is_added_lies_near_the_line_that_is_told():
    """One bright cell in one frame: every hit's line passes near it, and they are nine a place."""
    for f in range(FRAMES):
        film = np.zeros((FRAMES, NY, NX), np.int8)
        film[f, 20, 18] = 100
        found = hits_of(film, [(1, -2), (-REACH, 1)], CLIP - 1)
        x, y, ux, uy = found[:, 1:].T
        t = f - (FRAMES - 1) / 2
        away = np.maximum(np.abs(x + ux / 9 * t - 18), np.abs(y + uy / 9 * t - 20))
        assert len(found) >= 9
        # triples to a third of a cell a frame, halves to a ninth, and rounding
        assert away.max() <= 4 / 3 + 1 / 9 * 4.5 + 0.5


@pytest.mark.parametrize("velocity", [(0.0, 0.0), (0.37, -1.21), (2.6, 2.9), (-3.9, 0.3)])
def test_a_planted_track_is_the_best_hit(velocity):
    ux, uy = velocity
    rng = np.random.default_rng(3)
    ny, nx = 90, 120
    film = np.clip(np.rint(rng.normal(0, 1, (FRAMES, ny, nx))), -5, 5)
    yy, xx = np.mgrid[:ny, :nx]
    for f in range(FRAMES):
        t = f - (FRAMES - 1) / 2
        film[f] += 6 * np.exp(-((xx - 60.4 - ux * t) ** 2 + (yy - 44.7 - uy * t) ** 2) / 2 / 1.1**2)
    speeds = range(-REACH, REACH + 1)
    motions = [(a, b) for a in speeds for b in speeds if np.hypot(a, b) <= LIMIT + 0.5]
    found = hits_of(np.rint(film).astype(np.int8), motions, 50)
    _, x, y, vx, vy = found[found[:, 0].argmax()]
    assert (x, y) == pytest.approx((60.4, 44.7), abs=1.2)
    assert (vx / 9, vy / 9) == pytest.approx(velocity, abs=0.2)


def test_the_search_ends_when_there_is_no_more_room():
    film = np.full((FRAMES, NY, NX), 5, np.int8)
    assert len(hits_of(film, MOTIONS, 10, most=77)) == 77
