"""Centroids, frame sky, residual peaks and the two matchers, against numpy and against known truth."""

import numpy as np
import pytest
from scipy.spatial import cKDTree

from tomoe_explore.kernels.centroids import film_centroids
from tomoe_explore.kernels.linking import link
from tomoe_explore.kernels.matching import nearest, one_each, vote
from tomoe_explore.kernels.residuals import residual_peaks
from tomoe_explore.kernels.sky import film_sky


def gaussian(shape, x, y, flux, sigma=1.3):
    yy, xx = np.mgrid[: shape[0], : shape[1]]
    return flux / (2 * np.pi * sigma**2) * np.exp(-0.5 * ((xx - x) ** 2 + (yy - y) ** 2) / sigma**2)


def test_centroids_follow_a_star_from_frame_to_frame():
    shape = (30, 34)
    truth = [(15.3, 14.8), (15.8, 14.5), (14.9, 15.2)]
    frames = np.array([gaussian(shape, x, y, 20_000) + 10 for x, y in truth]).round().astype(">i2").view(np.int16)
    dark, flat = np.zeros((30, 30), np.float32), np.ones((30, 30), np.float32)
    start = np.array([15.0], np.float32), np.array([15.0], np.float32)
    sky = np.array([10], np.float32)
    x, y, size = film_centroids(frames, (0, 0, 1.0, 0.0), (dark, flat), start, sky, 1.5)
    np.testing.assert_allclose(np.column_stack([x[0], y[0]]), truth, atol=0.01)
    star, window = 1.3**2 + 1 / 12, 1.5**2  # a pixel widens an image by its own variance
    np.testing.assert_allclose(size[0], star * window / (star + window), rtol=0.05)


def test_centroid_at_the_edge_is_nan():
    dark, flat = np.zeros((30, 30), np.float32), np.ones((30, 30), np.float32)
    start = np.array([1.0], np.float32), np.array([15.0], np.float32)
    x, _, _ = film_centroids(
        np.ones((1, 30, 30), np.float32), (0, 0, 1.0, 0.0), (dark, flat), start, np.zeros(1, np.float32), 1.3
    )
    assert np.isnan(x).all()


def test_film_sky_equals_numpy():
    rng = np.random.default_rng(1)
    frames = rng.integers(50, 90, (3, 60, 80))
    mean = rng.uniform(60, 70, (60, 80)).astype(np.float32)
    masked = rng.random((60, 80)) < 0.3
    sky = film_sky(frames.astype(">i2").view(np.int16), (0, 0), mean, masked[::2], (2, 4), 2)
    difference = np.where(masked, np.nan, frames - mean)
    cell = difference[1, 30:60:2, 40:60]
    np.testing.assert_allclose(sky[1, 1, 2], np.nanmean(cell), rtol=1e-4)


def test_residual_peaks_find_what_the_mean_does_not_have():
    rng = np.random.default_rng(2)
    mean = np.full((64, 80), 100, np.float32)
    frames = rng.normal(100, 3, (4, 64, 80))
    frames[2] += gaussian((64, 80), 40.4, 30.7, 900)
    raw = frames.round().astype(">i2").view(np.int16)
    f, x, y, ratio = residual_peaks(raw, (0, 0), mean, np.full((64, 80), 60, np.float32), np.zeros(4, np.float32), 50)
    assert f.tolist() == [2]
    assert abs(x[0] - 40.4) < 0.4
    assert abs(y[0] - 30.7) < 0.4
    assert ratio[0] > 3


def test_residual_peaks_stop_at_the_limit():
    rng = np.random.default_rng(3)
    raw = rng.normal(100, 30, (2, 64, 80)).round().astype(">i2").view(np.int16)
    mean, threshold = np.full((64, 80), 100, np.float32), np.full((64, 80), 20, np.float32)
    f, *_ = residual_peaks(raw, (0, 0), mean, threshold, np.zeros(2, np.float32), 10)
    assert np.bincount(f).tolist() == [10, 10]


def line_points(rng, n_frames=18, noise_points=8):
    """Two straight tracks and random points; returns the points sorted by frame and the track of each."""
    rows = []
    for f in range(n_frames):
        t = 0.5 * f
        rows.append((f, t, 100 + 3.0 * t + rng.normal(0, 0.2), 200 - 1.5 * t + rng.normal(0, 0.2), 0))
        if f % 3:  # gaps
            rows.append((f, t, 700 - 20.0 * t + rng.normal(0, 0.2), 500 + 11.0 * t + rng.normal(0, 0.2), 1))
        rows += [(f, t, *rng.uniform(0, 1000, 2), -1) for _ in range(noise_points)]
    frame, t, x, y, truth = np.array(rows).T
    return (frame.astype(np.int16), t, x, y), truth.astype(int)


def test_link_finds_both_tracks_and_nothing_else():
    points, truth = line_points(np.random.default_rng(4))
    label, size = link(points, (0.5, 80.0), 1.5, 6, 10)
    assert size.tolist() == [18, 12]
    assert (label[truth == 0] == 0).all()
    assert (label[truth == 1] == 1).all()
    assert (label[truth == -1] == -1).all()


def test_link_leaves_out_what_is_too_slow():
    points, _ = line_points(np.random.default_rng(5), noise_points=0)
    _, size = link(points, (10.0, 80.0), 1.5, 6, 10)
    assert size.tolist() == [12]


def test_link_of_nothing_is_nothing():
    none = np.zeros(0)
    label, size = link((none.astype(np.int16), none, none, none), (0.5, 80.0), 1.5, 5, 10)
    assert len(label) == len(size) == 0


@pytest.mark.parametrize(("angle", "shift"), [(0.0, (0.0, 0.0)), (0.012, (150.0, -80.0)), (-0.015, (-210.0, 190.0))])
def test_vote_finds_shift_and_rotation_among_strangers(angle, shift):
    rng = np.random.default_rng(6)
    star = rng.uniform(-1000, 1000, (2, 60))
    cos, sin = np.cos(angle), np.sin(angle)
    seen = np.array([cos * star[0] - sin * star[1] + shift[0], sin * star[0] + cos * star[1] + shift[1]])
    detected = np.hstack([seen[:, :40] + rng.normal(0, 0.5, (2, 40)), rng.uniform(-1000, 1000, (2, 40))])
    angles = np.linspace(-0.018, 0.018, 13)
    best, dx, dy, votes, chance = vote((detected[0], detected[1]), (star[0], star[1]), angles, 300.0, 6.0)
    assert abs(angles[best] - angle) < 0.0045  # one step and a half: bins are wider than a step moves the corners
    assert np.hypot(dx - shift[0], dy - shift[1]) < 6
    assert votes > chance + 6 * np.sqrt(chance)


@pytest.mark.parametrize(("n", "limit"), [(1, 2.0), (40, 0.5), (400, 0.03), (400, 5.0)])
def test_nearest_is_that_of_a_tree(n, limit):
    rng = np.random.default_rng(n)
    points, at = rng.uniform(0, 3, (n, 2)), rng.uniform(-1, 4, (300, 2))
    index, distance = nearest((points[:, 0], points[:, 1]), (at[:, 0], at[:, 1]), limit)
    expected, tree = cKDTree(points).query(at, distance_upper_bound=limit)
    np.testing.assert_array_equal(index, np.where(np.isfinite(expected), tree, -1))
    np.testing.assert_allclose(distance, expected)


def test_nothing_is_nearest_to_none():
    none = np.empty(0)
    index, distance = nearest((none, none), (np.zeros(2), np.zeros(2)), 1.0)
    assert index.tolist() == [-1, -1]
    assert np.isinf(distance).all()


def test_each_point_goes_to_the_nearest_place():
    assert one_each(np.array([2, -1, 0, 2, 0]), np.array([3.0, np.inf, 1.0, 2.0, 1.0]), 3).tolist() == [2, 3]
