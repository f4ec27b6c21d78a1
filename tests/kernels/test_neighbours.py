import numpy as np

from tomoe_explore.kernels.neighbours import neighbour_lists


def test_neighbours_are_those_of_brute_force():
    rng = np.random.default_rng(1)
    x, y, reach = rng.uniform(-0.5, 199.5, 500), rng.uniform(-0.5, 99.5, 500), rng.uniform(0, 25, 500)
    start, index = neighbour_lists(x, y, reach, (100, 200))
    near = np.hypot(x[:, None] - x, y[:, None] - y) < reach
    np.fill_diagonal(near, False)
    for i in range(500):
        assert set(index[start[i] : start[i + 1]]) == set(np.flatnonzero(near[i]))


def test_nobody_has_no_neighbours():
    start, index = neighbour_lists(np.zeros(0), np.zeros(0), np.zeros(0), (10, 10))
    assert (len(start), len(index)) == (1, 0)
