import numpy as np

from tomoe_explore.kernels.spill import spill
from tomoe_explore.kernels.stack_apertures import mask_bits


def test_spill_equals_numpy():
    rng = np.random.default_rng(1)
    target, neighbour = rng.integers(0, 50, 400), rng.integers(0, 50, 400)
    distance, light = rng.uniform(0, 12, 400), rng.uniform(0, 9, 50)
    table = np.exp(-np.arange(20) / 4)  # to a distance of 9.5: those beyond give nothing
    share = np.where(distance < 9.5, np.interp(distance, 0.5 * np.arange(20), table), 0.0)
    expected = np.bincount(target, share * light[neighbour], 50)
    np.testing.assert_allclose(spill((target, neighbour, distance), table, 0.5, light), expected, rtol=1e-12)


def test_mask_bits_are_those_within_the_radius():
    mask = np.zeros((40, 50), np.uint8)
    mask[20, 25], mask[0, 49] = 1, 2
    x, y = np.array([25.0, 28.9, 29.1, 49.0], np.float32), np.array([20.0, 20.0, 20.0, 0.0], np.float32)
    assert mask_bits(mask, (x, y), 4.0).tolist() == [1, 1, 0, 2]
