import numpy as np
import pytest
from scipy.ndimage import convolve1d

from tomoe_explore.kernels.background import upsample
from tomoe_explore.kernels.pixels import bad_and_saturated
from tomoe_explore.kernels.smooth import LEAST_WEIGHT, gaussian, smooth


@pytest.mark.parametrize("sigma", [0.5, 1.3, 3.0])
def test_smooth_equals_the_weighted_sums_of_numpy(sigma):
    rng = np.random.default_rng(1)
    image = rng.normal(20, 3, (61, 87)).astype(np.float32)
    image[rng.random(image.shape) < 0.03] = np.nan
    image[10:19, 30:39] = np.nan  # a hole larger than the smaller kernels
    image[:, 60] = np.nan
    mesh = rng.normal(20, 1, (2, 3)).astype(np.float32)
    bad, (rows, _) = ~np.isfinite(image), bad_and_saturated(image, np.zeros(image.shape, np.uint8), (1, 2))
    out = np.empty_like(image)
    half = gaussian(sigma)
    smooth(image, rows, mesh, half, out)

    def both(values, kernel):
        return convolve1d(convolve1d(values, kernel, 0, mode="constant"), kernel, 1, mode="constant")

    kernel = np.concatenate([half[:0:-1], half]).astype(float)
    difference = np.where(bad, 0.0, image - upsample(mesh, np.empty_like(image)))
    weight, inside = both((~bad).astype(float), kernel**2), both(np.ones(image.shape), kernel**2)
    expected = both(difference, kernel) / np.maximum(weight, 1e-9)
    sure = weight > (LEAST_WEIGHT + 0.01) * inside
    assert sure.mean() > 0.8
    assert out[sure] == pytest.approx(expected[sure], abs=1e-3)
    assert (out[weight < (LEAST_WEIGHT - 0.01) * inside] == 0).all()


def test_the_amplitude_of_a_gaussian_is_found():
    yy, xx = np.mgrid[:41, :41]
    image = (50 * np.exp(-((xx - 20) ** 2 + (yy - 20) ** 2) / 2 / 1.7**2)).astype(np.float32)
    out = np.empty_like(image)
    smooth(image, (np.zeros(42, np.int64), np.zeros(0, np.int64)), np.zeros((1, 1), np.float32), gaussian(1.7), out)
    assert out[20, 20] == pytest.approx(50, rel=1e-4)
