import numpy as np

from tomoe_explore.kernels.apertures import BAD, EDGE, SATURATED, annulus_means, film_apertures, image_apertures

NY, NX = 40, 50


def weights(x, y, radius):
    yy, xx = np.mgrid[:NY, :NX]
    return np.clip(radius + 0.5 - np.hypot(xx - x, yy - y), 0, 1)


def setup(seed=1):
    rng = np.random.default_rng(seed)
    frames = rng.integers(100, 3000, (3, NY, NX + 4))
    dark = rng.normal(50, 5, (NY, NX)).astype(np.float32)
    flat = rng.normal(1, 0.05, (NY, NX)).astype(np.float32)
    bad = np.zeros((NY, NX), bool)
    return frames, dark, flat, bad


def measure(frames, dark, flat, bad, x, y, dx, dy, radius=4.0, saturation=1e9):
    return film_apertures(
        frames.astype(">i2").view(np.int16), (0, 0, 0.5, 100.0), (dark, flat, bad),
        (np.array(x, np.float32), np.array(y, np.float32)),
        (np.array(dx, np.float32), np.array(dy, np.float32)), (radius, saturation),
    )  # fmt: skip


def test_film_apertures_equal_numpy():
    frames, dark, flat, bad = setup()
    x, y, dx, dy = [20.3, 31.7], [15.1, 22.8], [0.0, 0.4, -0.3], [0.1, 0.0, 0.25]
    flux, area, bits = measure(frames, dark, flat, bad, x, y, dx, dy)
    calibrated = (100.0 + 0.5 * frames[:, :, :NX] - dark) / flat
    for i in range(2):
        for f in range(3):
            w = weights(np.float32(x[i]) + np.float32(dx[f]), np.float32(y[i]) + np.float32(dy[f]), 4.0)
            np.testing.assert_allclose(flux[i, f], (w * calibrated[f]).sum(), rtol=1e-5)
            np.testing.assert_allclose(area[i, f], w.sum(), rtol=1e-5)
    assert not bits.any()


def test_bits_say_edge_bad_and_saturated():
    frames, dark, flat, bad = setup()
    frames[1, 20, 25] = 30_000
    bad[10, 12] = True
    _, _, bits = measure(frames, dark, flat, bad, [25, 12, 1], [20, 10, 30], [0] * 3, [0] * 3, saturation=15_000.0)
    assert bits.tolist() == [[0, SATURATED, 0], [BAD] * 3, [EDGE] * 3]


def test_a_bad_pixel_takes_the_mean_of_its_row_neighbours():
    frames, dark, flat, bad = setup()
    bad[15, 20] = True
    value = (100 + 0.5 * frames[0, 15, [19, 21]] - dark[15, [19, 21]]) / flat[15, [19, 21]]
    with_bad = measure(frames[:1], dark, flat, bad, [20.0], [15.0], [0], [0])[0][0, 0]
    without = measure(frames[:1], dark, flat, bad & False, [20.0], [15.0], [0], [0])[0][0, 0]
    own = (100 + 0.5 * frames[0, 15, 20] - dark[15, 20]) / flat[15, 20]
    np.testing.assert_allclose(with_bad - without, value.mean() - own, rtol=1e-3)


def test_image_apertures_equal_numpy_at_an_edge_too():
    rng = np.random.default_rng(3)
    image = rng.normal(10, 3, (NY, NX)).astype(np.float32)
    variance = rng.uniform(1, 2, (NY, NX)).astype(np.float32)
    x, y = np.array([24.6, 0.4], np.float32), np.array([18.2, 38.9], np.float32)
    flux, flux_variance, area = image_apertures(image, variance, (x, y), 3.5)
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
