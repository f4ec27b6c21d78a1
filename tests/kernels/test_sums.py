import numpy as np
import pytest

from tomoe_explore.kernels.decode import decode
from tomoe_explore.kernels.sums import accumulate, combine, finish

SHAPE = 10, 30
WINDOW = 3, 2


def big_endian(values: np.ndarray) -> np.ndarray:
    """As the kernels see a film: native int16 whose bytes are swapped."""
    return values.astype(">i2").view(np.int16)


def sums() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return np.zeros(SHAPE, np.float32), np.zeros(SHAPE, np.float32), np.full(SHAPE, -np.inf, np.float32)


def planes() -> tuple[np.ndarray, ...]:
    image, variance, mean = (np.full(SHAPE, np.nan, np.float32) for _ in range(3))
    return image, variance, np.full(SHAPE, 99, np.uint8), mean


def calibration(rng):
    dark = rng.normal(50, 5, SHAPE).astype(np.float32)
    return dark, rng.normal(1, 0.05, SHAPE).astype(np.float32), rng.random(SHAPE) < 0.05


@pytest.mark.parametrize("value", [0, 1, -1, 255, 256, 32767, -32768])
def test_decode_reads_big_endian_bytes(value):
    assert int(decode(big_endian(np.array([value]))[0])) == value


@pytest.mark.parametrize("kind", ["int16", "float32"])
@pytest.mark.parametrize("n", [1, 2, 5, 6, 7, 13])
def test_accumulate_equals_numpy(kind, n):
    rng = np.random.default_rng(1)
    frames = rng.integers(-30000, 30000, (n, 13, 40))
    trimmed = frames[:, 2:12, 3:33].astype(float)
    reference = trimmed[0].astype(np.float32)
    raw = big_endian(frames) if kind == "int16" else frames.astype(np.float32)
    total, squares, peak = sums()
    for part in (slice(0, 4), slice(4, n)):
        if n > part.start:
            weights = np.ones(len(raw[part]), np.float32)
            accumulate(raw[part], weights, WINDOW, reference, (total, squares, peak))
    difference = trimmed - trimmed[0]
    np.testing.assert_array_equal(total, difference.sum(0))
    np.testing.assert_array_equal(peak, difference.max(0))
    np.testing.assert_allclose(squares, (difference**2).sum(0), rtol=1e-6)


def test_a_frame_without_weight_is_left_out():
    frames = np.random.default_rng(2).integers(100, 200, (5, 13, 40))
    frames[3] = 30_000
    weights = np.array([1, 1, 1, 0, 1], np.float32)
    reference = frames[0, 2:12, 3:33].astype(np.float32)
    total, squares, peak = sums()
    accumulate(big_endian(frames), weights, WINDOW, reference, (total, squares, peak))
    rest = np.delete(frames, 3, axis=0)[:, 2:12, 3:33]
    np.testing.assert_array_equal(reference + total / 4, rest.mean(0, dtype=np.float32))
    np.testing.assert_array_equal(reference + peak, rest.max(0))


def test_mean_of_a_bright_steady_pixel_keeps_a_thousandth_adu():
    rng = np.random.default_rng(2)
    frames = np.rint(rng.normal(25_000, 40, (360, *SHAPE))).astype(int)
    reference = frames[0].astype(np.float32)
    total, squares, peak = sums()
    accumulate(big_endian(frames), np.ones(360, np.float32), (0, 0), reference, (total, squares, peak))
    np.testing.assert_allclose(reference + total / 360, frames.mean(0), atol=2e-3, rtol=0)


def test_combine_equals_numpy():
    """Calibrating every frame in float64 and taking the mean gives the same to a thousandth of an ADU."""
    rng = np.random.default_rng(3)
    frames = np.rint(rng.normal(700, 30, (18, 13, 40))).astype(int)
    dark, flat, bad = calibration(rng)
    weights = np.ones(18, np.float32)
    weights[[0, 7]] = 0
    bscale, bzero, gain, read_variance = 0.5, 100.0, 0.23, 76.0
    out = planes()
    noise = 1 / gain, read_variance, 480.0
    combine(big_endian(frames), weights, (*WINDOW, bscale, bzero), (dark, flat, bad), noise, out)
    adu = bzero + bscale * frames[weights > 0][:, 2:12, 3:33]
    calibrated = (adu - dark.astype(float)) / flat
    image, variance, mask, mean = out
    np.testing.assert_allclose(image, calibrated.mean(0), atol=1e-3, rtol=0)
    np.testing.assert_allclose(mean, frames[weights > 0][:, 2:12, 3:33].mean(0), atol=1e-3, rtol=0)
    light = calibrated.mean(0) * flat
    np.testing.assert_allclose(variance, (light / gain + read_variance) / flat.astype(float) ** 2 / 16, rtol=1e-4)
    np.testing.assert_array_equal(mask, bad + 2 * (adu.max(0) >= 480.0))
    assert 0 < (mask & 2 > 0).mean() < 0.5


def test_combine_is_accumulate_and_finish():
    rng = np.random.default_rng(4)
    frames = big_endian(np.rint(rng.normal(700, 30, (40, 13, 40))).astype(int))
    masters, noise = calibration(rng), (4.3, 76.0, 480.0)
    weights = np.ones(40, np.float32)
    whole, parts = planes(), planes()
    combine(frames, weights, (*WINDOW, 1.0, 0.0), masters, noise, whole)
    reference = frames[0].view(">i2")[2:12, 3:33].astype(np.float32)
    running = sums()
    for k in (0, 18, 36):
        accumulate(frames[k : k + 18], weights[k : k + 18], WINDOW, reference, running)
    finish((reference, *running), 40, (1.0, 0.0), masters, noise, parts)
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)


def test_a_cosmic_ray_goes_and_the_mean_stays_unbiased():
    rng = np.random.default_rng(5)
    n = 18
    frames = np.rint(rng.normal(700, 30, (200, n, *SHAPE))).astype(int)
    hit = frames.copy()
    hit[:, 4, 5, 6] += 3000
    one, flat, none = np.zeros(SHAPE, np.float32), np.ones(SHAPE, np.float32), np.zeros(SHAPE, bool)
    weights, noise = np.ones(n, np.float32), (4.3, 76.0, 1e6)
    clean, cleaned = [], []
    for film, with_hit in zip(frames, hit, strict=True):
        out, out_hit = planes(), planes()
        combine(big_endian(film), weights, (0, 0, 1.0, 0.0), (one, flat, none), noise, out)
        combine(big_endian(with_hit), weights, (0, 0, 1.0, 0.0), (one, flat, none), noise, out_hit)
        clean.append(out[0])
        cleaned.append(out_hit[0][5, 6])
    assert abs(np.mean(cleaned) - 700) < 4 * 30 / np.sqrt(17 * 200)
    # every sample is kept but for one in some 100,000: the mean is that of all frames to a thousandth of its noise
    assert abs(np.mean(clean) - frames.mean()) < 0.02
