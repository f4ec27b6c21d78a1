import numpy as np
import pytest
from scipy.interpolate import RegularGridInterpolator

from tomoe_explore.kernels.background import (
    cell_means,
    filled,
    first_levels,
    median_of_nine,
    mesh_at,
    upsample,
)
from tomoe_explore.kernels.pixels import bad_and_saturated

SHAPE = (200, 330)


def test_first_levels_are_near_the_sky_in_spite_of_stars_and_bad_pixels():
    rng = np.random.default_rng(1)
    image = rng.normal(100, 5, SHAPE).astype(np.float32)
    variance, mask = np.full(SHAPE, 25, np.float32), np.zeros(SHAPE, np.uint8)
    image[rng.random(SHAPE) < 0.1] += 300  # a crowd
    mask[:, :40], image[:, :40] = 1, 1e6
    image[0, 200] = np.nan
    level, sigma = first_levels(image, variance, mask, (3, 5))
    assert np.abs(level - 100).max() < 2
    assert sigma == pytest.approx(5, rel=1e-3)
    mask[:] = 1
    assert np.isnan(first_levels(image, variance, mask, (3, 5))[0]).all()


def test_cell_means_are_those_of_free_pixels_wherever_in_the_cell_they_lie():
    rng = np.random.default_rng(2)
    yy, xx = np.mgrid[: SHAPE[0], : SHAPE[1]]
    plane = 50 + 0.2 * xx - 0.1 * yy
    image = rng.normal(plane, 3).astype(np.float32)
    masked = rng.random(SHAPE) < 0.3
    masked[:, 33:60] = True  # half of a cell's left: the mean position is off its centre
    image[masked] += 1000
    image[7, 40] = np.nan
    bad, _ = bad_and_saturated(image, np.zeros(SHAPE, np.uint8), (1, 2))
    gy, gx = 4, 5
    cy, cx = (np.arange(gy) + 0.5) * SHAPE[0] / gy - 0.5, (np.arange(gx) + 0.5) * SHAPE[1] / gx - 0.5
    true = (50 + 0.2 * cx - 0.1 * cy[:, None]).astype(np.float32)
    mean, free = cell_means(image, bad, masked, (true + 1, np.full((gy, gx), 3, np.float32)))
    assert mean == pytest.approx(true, abs=5 * 3 / np.sqrt(1000))
    cells = (yy * gy // SHAPE[0], xx * gx // SHAPE[1])
    count = np.zeros((gy, gx))
    np.add.at(count, cells, ~masked)
    assert free == pytest.approx(count / (50 * 66), abs=1e-3)


def test_a_mesh_is_interpolated_and_extrapolated_linearly():
    mesh = np.random.default_rng(3).normal(0, 1, (4, 6)).astype(np.float32)
    centers = [(np.arange(g) + 0.5) * n / g - 0.5 for g, n in zip(mesh.shape, SHAPE, strict=True)]
    twin = RegularGridInterpolator(centers, mesh, bounds_error=False, fill_value=None)
    places = np.mgrid[: SHAPE[0], : SHAPE[1]].reshape(2, -1)
    image = upsample(mesh, np.empty(SHAPE, np.float32))
    assert image.ravel() == pytest.approx(twin(places.T), abs=1e-4)
    y, x = places[:, ::97].astype(float)
    assert mesh_at(mesh, x, y, SHAPE) == pytest.approx(twin(np.column_stack([y, x])), abs=1e-4)


def test_a_mesh_of_one_cell_is_constant():
    mesh = np.full((1, 1), 7, np.float32)
    assert (upsample(mesh, np.empty((9, 11), np.float32)) == 7).all()
    assert (median_of_nine(mesh) == 7).all()


def test_cells_without_trust_take_their_neighbours_mean():
    mesh = np.arange(20, dtype=np.float32).reshape(4, 5)
    trusted = np.ones((4, 5), bool)
    trusted[1, 2] = trusted[0, 0] = False
    mesh[1, 2] = mesh[0, 0] = np.nan
    out = filled(mesh, trusted)
    assert out[1, 2] == pytest.approx(7.0)
    assert out[0, 0] == pytest.approx((1 + 5 + 6) / 3)
    assert (out[trusted] == mesh[trusted]).all()
    assert (filled(mesh, np.zeros((4, 5), bool)) == 0).all()


def test_the_median_of_nine_takes_out_one_cell_and_leaves_a_slope():
    yy, xx = np.mgrid[:6, :7].astype(np.float32)
    slope = 3 * xx - 2 * yy
    spoilt = slope.copy()
    spoilt[3, 3] = 100
    assert median_of_nine(slope) == pytest.approx(slope)
    assert median_of_nine(spoilt)[3, 3] == pytest.approx(slope[3, 3], abs=2)
