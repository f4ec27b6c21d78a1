import numpy as np
import pytest
from scipy.ndimage import label

from tomoe_explore.kernels.blobs import blob_centers, blobs, nearest_blob, paint
from tomoe_explore.kernels.pixels import bad_and_saturated


def listed(full):
    return bad_and_saturated(np.zeros(full.shape, np.float32), 2 * full.astype(np.uint8), (1, 2))[1]


@pytest.mark.parametrize("density", [0.05, 0.3, 0.5])
def test_regions_are_those_of_scipy(density):
    full = np.random.default_rng(1).random((80, 130)) < density
    number = blobs(listed(full), 130)
    expected, n = label(full, np.ones((3, 3)))
    assert number.max() + 1 == n
    pairs = {(a, b) for a, b in zip(number, expected[full], strict=True)}
    assert len(pairs) == n


@pytest.mark.parametrize("core", [0.0, 6.0])
def test_the_star_stands_where_the_light_is_not_where_it_bled(core):
    yy, xx = np.mgrid[:200, :120]
    r = np.hypot(xx - 60, yy - 70)
    rng = np.random.default_rng(2)
    image = (3000 / (1 + (r / 3) ** 2) ** 2 + rng.normal(100, 3, r.shape)).astype(np.float32)
    full = r < core
    full[30:180, 59:62] = True
    image[full] = 4000
    full[5, 5] = True
    rows = listed(full)
    number = blobs(rows, 120)
    x, y, width, height = blob_centers(image, rows, number, 3)
    star = int(height.argmax())
    assert len(x) == 2
    assert (x[star], y[star]) == pytest.approx((60, 70), abs=0.3)
    assert height[star] == 150
    assert width[star] == max(2 * core - 1, 3)
    assert (x[1 - star], y[1 - star], width[1 - star], height[1 - star]) == (5, 5, 1, 1)
    near = nearest_blob(rows, number, (np.array([150, 8, 100]), np.array([64, 5, 90])), 4)
    assert near.tolist() == [star, 1 - star, -1]


def test_paint_sets_the_pixels_within_the_radius():
    mask = np.zeros((40, 50), bool)
    paint(mask, np.array([20.3, 0.0]), np.array([15.7, 39.0]), np.array([6.2, 3.0]))
    yy, xx = np.mgrid[:40, :50]
    expected = (np.hypot(xx - 20.3, yy - 15.7) <= 6.2) | (np.hypot(xx, yy - 39) <= 3)
    assert (mask == expected).all()
