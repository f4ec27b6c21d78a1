import numpy as np

from tomoe_explore.kernels.stack_apertures import annulus_means, image_apertures

NY, NX = 40, 50


def weights(x, y, radius):
    yy, xx = np.mgrid[:NY, :NX]
    return np.clip(radius + 0.5 - np.hypot(xx - x, yy - y), 0, 1)


def test_image_apertures_equal_numpy_at_an_edge_too():
    rng = np.random.default_rng(3)
    image = rng.normal(10, 3, (NY, NX)).astype(np.float32)
    variance = rng.uniform(1, 2, (NY, NX)).astype(np.float32)
    x, y = np.array([24.6, 0.4], np.float32), np.array([18.2, 38.9], np.float32)
    mask = np.zeros((NY, NX), np.uint8)
    mask[18, 21:23], mask[30, 30] = [1, 2], 4
    flux, flux_variance, area, bits = image_apertures(image, variance, mask, (x, y), 3.5)
    assert bits.tolist() == [3, 0]
    for i in range(2):
        w = weights(x[i], y[i], 3.5)
        np.testing.assert_allclose(flux[i], (w * image).sum(), rtol=1e-5)
        np.testing.assert_allclose(flux_variance[i], (w**2 * variance).sum(), rtol=1e-5)
        np.testing.assert_allclose(area[i], w.sum(), rtol=1e-5)


def test_annulus_mean_is_unbiased_for_skewed_noise_and_ignores_the_mask():
    rng = np.random.default_rng(4)
    image = rng.poisson(1.5, (400, 400)).astype(np.float32)
    masked = np.zeros(image.shape, bool)
    masked[100:140, :] = True
    image[masked] = 1e6
    grid = np.arange(40, 380, 30, dtype=np.float32)
    x, y = (g.ravel() for g in np.meshgrid(grid, grid))
    sky = annulus_means(image, masked, (x, y), (9.0, 18.0), np.full(len(x), -1, np.float32))
    assert abs(sky.mean() - 1.5) < 0.02
    assert sky.max() < 2.5


def test_annulus_without_pixels_takes_the_default():
    sky = annulus_means(np.ones((50, 50), np.float32), np.ones((50, 50), bool),
                        (np.array([25.0], np.float32),) * 2, (5.0, 10.0), np.array([7.0], np.float32))  # fmt: skip
    assert sky.tolist() == [7.0]
