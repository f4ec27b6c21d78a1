import numpy as np
import pytest

from tomoe_explore.kernels.linking import CHAIN, frame_points, link

N = 18
T = np.arange(N) - (N - 1) / 2
RNG = np.random.default_rng


def points_of(*tracks, false=0, seed=1, size=(1000.0, 560.0), scatter=0.15, lost=None):
    """Points of tracks ``(x, y, ux, uy)`` and false ones, sorted as `frame_points` does; and whose they are."""
    rng = RNG(seed)
    rows = []
    for k, (x, y, ux, uy) in enumerate(tracks):
        for f in range(N):
            if not (lost and f in lost.get(k, ())):
                rows.append((f, x + ux * T[f], y + uy * T[f], k))
    for f in range(N):
        rows += [(f, rng.uniform(0, size[0]), rng.uniform(0, size[1]), -1) for _ in range(false)]
    rows.sort(key=lambda r: (r[0], r[2]))
    frame, x, y, whose = (np.array(c) for c in zip(*rows, strict=True))
    moved = rng.normal(0, scatter, (2, len(x)))
    x, y = x + moved[0], y + moved[1]
    order = np.lexsort((y, frame))
    return (frame[order].astype(np.int64), x[order], y[order]), whose[order]


def links(points, fastest=21.0, least=6, limit=200):
    found = link(points, N, fastest, least, limit)
    return found[np.argsort(found[:, 1])]


def assert_is(found, track, points=N):
    size, x, y, ux, uy = found
    assert size == points
    assert (x, y) == pytest.approx(track[:2], abs=0.3)
    assert (ux, uy) == pytest.approx(track[2:], abs=0.05)


@pytest.mark.parametrize("speed", [0.0, 0.5, 3.0, 15.0])
def test_an_object_is_linked_once_with_all_its_points(speed):
    track = (500.0, 300.0, 0.8 * speed, -0.6 * speed)
    found = links(points_of(track, false=30)[0])
    longest = found[np.argmax(found[:, 0])]
    assert_is(longest, track)
    near = np.hypot(found[:, 1] - track[0], found[:, 2] - track[1]) < 20
    assert near.sum() == 1


def test_false_points_alone_make_few_links():
    """Thirty a frame over the detector, six points asked for: chance gives next to none."""
    n = [len(links(points_of(false=30, seed=seed)[0])) for seed in range(4)]
    assert sum(n) <= 4, n


def test_frames_may_be_missing():
    track = (400.0, 200.0, 4.0, 1.0)
    lost = {0: (0, 3, 4, 7, 10, 11, 17)}
    (found,) = links(points_of(track, lost=lost)[0])
    assert_is(found, track, N - 7)


def test_too_few_points_are_no_link():
    track = (400.0, 200.0, 4.0, 1.0)
    points, _ = points_of(track, lost={0: range(5, N)})
    assert len(links(points, least=6)) == 0
    assert len(links(points, least=5)) == 1


def test_crossing_tracks_keep_apart():
    """Two that meet in the middle of the film, and one beside another."""
    tracks = [(300.0, 300.0, 2.0, 2.0), (300.4, 300.2, 2.0, -2.0), (500.0, 100.0, 1.0, 3.0), (506.0, 100.0, 1.0, 3.0)]
    found = links(points_of(*tracks)[0])
    assert len(found) == 4
    for k, track in enumerate(sorted(tracks)):
        same = [f for f in found if np.abs(f[3:] - track[2:]).max() < 0.1 and np.abs(f[1:3] - track[:2]).max() < 1]
        assert len(same) == 1, (k, track)
        assert same[0][0] >= N - 3  # where they meet a point may go to either


def test_a_point_belongs_to_one_link():
    tracks = [(float(x), 250.0, 3.0, 0.0) for x in range(100, 900, 100)]
    points, _ = points_of(*tracks, false=20)
    assert links(points)[:, 0].sum() <= len(points[0])
    assert (links(points)[:, 0] >= N - 1).sum() == len(tracks)


def test_what_is_too_fast_or_beyond_the_limit_is_left_out():
    fast = (500.0, 300.0, 12.0, 0.0)
    assert len(links(points_of(fast)[0], fastest=11.0)) == 0
    many = [(float(x), 250.0, 0.0, 1.0) for x in range(100, 900, 100)]
    assert len(links(points_of(*many)[0], limit=3)) == 3


def test_no_points_no_links():
    empty = np.zeros(0, np.int64), np.zeros(0), np.zeros(0)
    assert link(empty, N, 20.0, 6, 10).shape == (0, 5)


# --- points --------------------------------------------------------------------------------------
def film_of(*places, height=40.0, shape=(3, 60, 90)):
    """Images 1.1 cells wide at ``(frame, x, y)``."""
    film = np.zeros(shape)
    yy, xx = np.mgrid[: shape[1], : shape[2]]
    for f, x, y in places:
        film[f] += height * np.exp(-((xx - x) ** 2 + (yy - y) ** 2) / 2 / 1.1**2)
    return np.rint(np.minimum(film, 127)).astype(np.int8)


def test_points_are_the_maxima_between_cells():
    places = [(0, 20.3, 10.4), (0, 60.7, 40.1), (0, 30.0, 40.9), (2, 44.5, 22.0)]
    frame, x, y, value = frame_points(film_of(*places), 9, 20)
    assert frame.tolist() == [0, 0, 0, 2]
    expected = sorted(places, key=lambda p: (p[0], p[2]))
    np.testing.assert_allclose(np.column_stack([x, y]), [p[1:] for p in expected], atol=0.2)
    assert (value > 30).all()


def test_points_of_noise_are_all_local_maxima():
    film = RNG(1).integers(-20, 21, (2, 70, 100)).astype(np.int8)
    film += RNG(2).integers(-20, 21, film.shape).astype(np.int8)
    frame, _, y, value = frame_points(film, 36, 400)
    expected = 0
    for f in range(2):
        for j in range(2, 68):
            for i in range(2, 98):
                window = film[f, j - 2 : j + 3, i - 2 : i + 3].ravel().tolist()
                v = film[f, j, i]
                expected += bool(v > 36 and v == max(window) and v not in window[13:])
    # a few are so near each other that they are one
    assert 0.9 * expected <= len(frame) <= expected
    assert len(frame) > 20
    assert (value > 36).all()
    assert (np.diff(y)[frame[1:] == frame[:-1]] >= 0).all()


def test_of_too_many_the_best_are_taken():
    """A flash, a cloud of hot pixels: no flood, and the brightest are among those that are left."""
    film = np.clip(RNG(3).normal(0, 25, (2, 70, 100)), -126, 126).astype(np.int8)
    film[1, 35, 50] = 127
    frame, x, y, value = frame_points(film, 5, 20)
    assert (np.bincount(frame) <= 20).all() and len(frame) >= 6
    assert (127 in value) and any(abs(x[k] - 50) < 1 and abs(y[k] - 35) < 1 for k in np.flatnonzero(value == 127))


def test_a_flat_top_is_one_point():
    film = np.zeros((1, 30, 30), np.int8)
    film[0, 10:13, 10:13] = 127
    assert len(frame_points(film, 9, 20)[0]) == 1


def test_the_maxima_of_a_trail_are_one_point_in_its_middle():
    along = np.arange(5) * CHAIN
    film = film_of(*[(1, 30 + d, 25.0) for d in along], (1, 70.0, 50.0), height=60)
    frame, x, y, value = frame_points(film, 22, 60)
    assert frame.tolist() == [1, 1]
    assert (x[0], y[0]) == pytest.approx((30 + along.mean(), 25), abs=0.5)
    assert value[0] >= 60
