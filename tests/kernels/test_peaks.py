import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, maximum_filter

from tomoe_explore.kernels.peaks import local_maxima, ring_levels, standing_out, vertices


def test_local_maxima_are_those_of_scipy():
    values = gaussian_filter(np.random.default_rng(1).normal(0, 1, (90, 211)), 1.0).astype(np.float32)
    floor = np.full((2, 3), 0.1, np.float32)
    y, x = local_maxima(values, floor, 10_000)
    expected = (maximum_filter(values, 3) == values) & (values > 0.1)
    expected[[0, -1]] = expected[:, [0, -1]] = False
    assert len(y) == expected.sum() > 100
    assert expected[y, x].all()
    assert len(local_maxima(values, floor, 7)[0]) == 7


def test_a_plateau_is_one_maximum():
    values = np.zeros((9, 9), np.float32)
    values[4:6, 3:6] = 5
    y, x = local_maxima(values, np.ones((1, 1), np.float32), 10)
    assert (y.tolist(), x.tolist()) == ([4], [3])


def test_vertices_are_the_tops_of_paraboloids():
    yy, xx = np.mgrid[:9, :9]
    values = (10 - 0.7 * (xx - 4.3) ** 2 - 0.4 * (yy - 3.8) ** 2).astype(np.float32)
    x, y, top = vertices(values, (np.array([4]), np.array([4])))
    assert (x[0], y[0], top[0]) == pytest.approx((4.3, 3.8, 10), abs=1e-5)


def test_a_peak_stands_out_above_its_lowest_way_to_a_higher_one():
    values = np.zeros((5, 40), np.float32)
    values[2] = np.interp(np.arange(40), [0, 10, 15, 20, 30, 39], [0, 9, 2, 6, 3, 3])
    x, y = np.array([20.0, 10.0, 30.0]), np.full(3, 2.0)
    lists = np.array([0, 2, 4, 6]), np.array([1, 2, 0, 2, 0, 1])
    rise = standing_out(values, (x, y), values[2, [20, 10, 30]], lists)
    assert rise == pytest.approx([6 - 2, 9, 0])


def test_a_ring_gives_its_lower_quartile():
    xx = np.mgrid[:60, :60][1]
    values = (100 + 2 * (xx - 30.0)).astype(np.float32)
    values[28:33, 28:33] = 1e4
    ring = 100 + 2 * np.sort(np.rint(9 * np.cos(np.arange(16) * np.pi / 8)))
    places = np.array([30, 0]), np.array([30, 0])
    out = ring_levels(values, places, 9.0)
    assert out[0] == pytest.approx(ring[4])
    assert np.isfinite(out[1])
