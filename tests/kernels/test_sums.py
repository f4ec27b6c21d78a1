import numpy as np
import pytest

from tomoe_explore.kernels.decode import decode
from tomoe_explore.kernels.sums import accumulate


def big_endian(values: np.ndarray) -> np.ndarray:
    """As the kernels see a film: native int16 whose bytes are swapped."""
    return values.astype(">i2").view(np.int16)


@pytest.mark.parametrize("value", [0, 1, -1, 255, 256, 32767, -32768])
def test_decode_reads_big_endian_bytes(value):
    assert int(decode(big_endian(np.array([value]))[0])) == value


@pytest.mark.parametrize("kind", ["int16", "float32"])
def test_accumulate_equals_numpy(kind):
    rng = np.random.default_rng(1)
    frames = rng.integers(-30000, 30000, (7, 13, 40))
    window = (3, 2)
    trimmed = frames[:, 2:12, 3:33].astype(float)
    reference = trimmed[0].astype(np.float32)
    raw = big_endian(frames) if kind == "int16" else frames.astype(np.float32)
    total, squares = np.zeros((10, 30), np.float32), np.zeros((10, 30), np.float32)
    peak = np.full((10, 30), -np.inf, np.float32)
    accumulate(raw[:4], window, reference, total, peak, squares)
    accumulate(raw[4:], window, reference, total, peak, squares)
    difference = trimmed - trimmed[0]
    np.testing.assert_array_equal(total, difference.sum(0))
    np.testing.assert_array_equal(peak, difference.max(0))
    np.testing.assert_allclose(squares, (difference**2).sum(0), rtol=1e-6)


def test_mean_of_a_bright_steady_pixel_keeps_a_thousandth_adu():
    rng = np.random.default_rng(2)
    frames = np.rint(rng.normal(25_000, 40, (360, 4, 6))).astype(int)
    reference = frames[0].astype(np.float32)
    total, squares = np.zeros((4, 6), np.float32), np.zeros((4, 6), np.float32)
    peak = np.full((4, 6), -np.inf, np.float32)
    accumulate(big_endian(frames), (0, 0), reference, total, peak, squares)
    np.testing.assert_allclose(reference + total / 360, frames.mean(0), atol=2e-3, rtol=0)
