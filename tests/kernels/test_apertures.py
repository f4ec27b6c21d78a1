import numpy as np
import pytest

from tomoe_explore.kernels.apertures import BAD, EDGE, SATURATED, film_apertures

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


def measure(frames, dark, flat, bad, x, y, dx, dy, radius=4.0, saturation=1e9, clean=False):
    at_x = np.array(x, np.float32)[:, None] + np.array(dx, np.float32)
    at_y = np.array(y, np.float32)[:, None] + np.array(dy, np.float32)
    return film_apertures(
        frames.astype(">i2").view(np.int16), (0, 0, 0.5, 100.0), (dark, flat, bad),
        (at_x, at_y, np.full(len(x), clean)), (radius, saturation),
    )  # fmt: skip


@pytest.mark.parametrize("clean", [True, False])
@pytest.mark.parametrize("radius", [2.0, 4.0, 9.3])
def test_film_apertures_equal_numpy(clean, radius):
    """By the quick way and by the careful one; the last frame is shifted by more than a pixel."""
    frames, dark, flat, bad = setup()
    x, y, dx, dy = [20.3, 31.7], [15.1, 22.8], [0.0, 0.4, -1.7], [0.1, 0.0, 1.25]
    flux, area, bits = measure(frames, dark, flat, bad, x, y, dx, dy, radius, clean=clean)
    calibrated = (100.0 + 0.5 * frames[:, :, :NX] - dark) / flat
    for i in range(2):
        for f in range(3):
            w = weights(np.float32(x[i]) + np.float32(dx[f]), np.float32(y[i]) + np.float32(dy[f]), radius)
            np.testing.assert_allclose(flux[i, f], (w * calibrated[f]).sum(), rtol=1e-5)
            np.testing.assert_allclose(area[i, f], w.sum(), rtol=1e-5)
    assert not bits.any()


def test_bits_say_edge_bad_and_saturated():
    frames, dark, flat, bad = setup()
    frames[1, 20, 25] = 30_000
    bad[10, 12] = True
    _, _, bits = measure(frames, dark, flat, bad, [25, 12, 1], [20, 10, 30], [0] * 3, [0] * 3, saturation=15_000.0)
    assert bits.tolist() == [[0, SATURATED, 0], [BAD] * 3, [EDGE] * 3]


@pytest.mark.parametrize("clean", [True, False])
def test_a_bad_pixel_takes_the_mean_of_its_row_neighbours(clean):
    frames, dark, flat, bad = setup()
    bad[15, 20] = True
    value = (100 + 0.5 * frames[0, 15, [19, 21]] - dark[15, [19, 21]]) / flat[15, [19, 21]]
    with_bad = measure(frames[:1], dark, flat, bad, [20.0], [15.0], [0], [0], clean=clean)[0][0, 0]
    without = measure(frames[:1], dark, flat, bad & False, [20.0], [15.0], [0], [0], clean=clean)[0][0, 0]
    own = (100 + 0.5 * frames[0, 15, 20] - dark[15, 20]) / flat[15, 20]
    np.testing.assert_allclose(with_bad - without, value.mean() - own, rtol=1e-3)


def test_an_aperture_that_leaves_the_frame_is_measured_carefully_whatever_is_said():
    frames, dark, flat, bad = setup()
    for x, y in ((1.0, 20.0), (NX - 2.0, 20.0), (20.0, 1.0), (20.0, NY - 1.5)):
        quick = measure(frames, dark, flat, bad, [x], [y], [0] * 3, [0] * 3, clean=True)
        careful = measure(frames, dark, flat, bad, [x], [y], [0] * 3, [0] * 3)
        for one, other in zip(quick, careful, strict=True):
            np.testing.assert_array_equal(one, other)
        assert (quick[2] == EDGE).all()
