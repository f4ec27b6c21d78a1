import numpy as np
import pytest
from scipy.ndimage import convolve1d, distance_transform_edt

from tomoe_explore.kernels.residual_film import UNITS, blocked_pixels, half_kernel, residual_film

NY, NX, N = 26, 44, 3
X0, Y0 = 5, 2
NOISE = 1 / 0.23, 9.0, 0.09, 0.0144


def scene(seed=1):
    """Arrays of every kind: stars where ``fixed``, masked pixels, a dark and a flat that differ from pixel to pixel."""
    rng = np.random.default_rng(seed)
    yy, xx = np.mgrid[:NY, :NX]
    dark = rng.normal(20, 3, (NY, NX))
    flat = rng.normal(1, 0.05, (NY, NX))
    sky = 300 + 0.5 * xx
    star = 9000 * np.exp(-((xx - 30.3) ** 2 + (yy - 11.6) ** 2) / 8) + 500 * np.exp(-(xx**2 + yy**2) / 8)
    fixed = star > 30
    mask = rng.random((NY, NX)) < 0.03
    flashes = 1500 * (rng.random((N, NY, NX)) < 0.02)
    adu = dark + flat * sky + star + flashes + rng.normal(0, 40, (N, NY, NX))
    return adu, dark, flat, sky, mask, fixed


def changes_of(seed=2):
    """Sky, shifts and light that differ from row to row."""
    rng = np.random.default_rng(seed)
    sky, dx, dy = (rng.normal(0, s, (N, NY // 2)) for s in (8, 0.4, 0.4))
    return sky, dx, dy, rng.normal(1, 0.05, (N, NY // 2))


def twin(adu, images, changes, kernel):
    """Each frame calibrated, less all that is known, over its noise; binned and smoothed: in float64."""
    mean, dark, flat, sky, mask, fixed = images
    level = dark + flat * sky
    star = np.where(fixed, mean - level, 0)
    right, up = np.zeros_like(star), np.zeros_like(star)
    right[:, 1:-1] = (mean[:, 2:] - mean[:, :-2]) / 2
    up[1:-1] = (mean[2:] - mean[:-2]) / 2
    up[0], up[-1] = (mean[1] - mean[0]) / 2, (mean[-1] - mean[-2]) / 2
    right, up = right * fixed, up * fixed
    inverse_gain, read, shift, light = NOISE
    variance = np.maximum(level - dark + star, 0) * inverse_gain + read
    variance += shift * (right**2 + up**2) + light * star**2
    more, dx, dy, transparency = (np.repeat(c, 2, axis=1)[:, :, None] for c in changes)
    known = level + star + more * flat + (transparency - 1) * star - dx * right - dy * up
    r = (adu - known) / np.sqrt(variance) * ~mask
    cells = r.reshape(len(adu), NY // 2, 2, NX // 2, 2).sum(axis=(2, 4))
    full = np.concatenate([kernel[:0:-1], kernel]).astype(float)
    smooth = convolve1d(convolve1d(cells, full, axis=1, mode="constant"), full, axis=2, mode="constant")
    return np.clip(smooth, -127, 127)


def made(stored, packing, mean, images, kernel):
    out = np.full((N, NY // 2, NX // 2), 99, np.int8)
    dark, flat, sky, mask, fixed = images
    arrays = [a.astype(np.float32) for a in (mean, dark, flat, sky)]
    changes = tuple(c.astype(np.float32) for c in changes_of())
    residual_film(stored, packing, (*arrays, mask, fixed), NOISE, changes, (kernel, out))
    return out


@pytest.mark.parametrize("width", [0.6, 1.0, 1.9])
@pytest.mark.parametrize("packing", [(0, 0, 1.0, 0.0), (X0, Y0, 0.5, 100.0)])
def test_every_cell_is_that_of_float64(width, packing):
    """Of int16 as the film has it, and of float32: rounded to the nearest whole number, edges and masks included."""
    adu, *images = scene()
    kernel = half_kernel(width)
    left, low, scale, zero = packing
    raw = np.full((N, NY + 2 * low, NX + 2 * left), 9999.0)
    raw[:, low : low + NY, left : left + NX] = np.rint((adu - zero) / scale)
    stored = raw[:, low : low + NY, left : left + NX]
    mean = stored.mean(axis=0)
    expected = twin(zero + scale * stored, (zero + scale * mean, *images), changes_of(), kernel)
    assert (np.abs(expected) > 10).sum() > 20
    assert (np.abs(expected) == 127).sum() < 5
    for kind in (raw.astype(">i2").view(np.int16), raw.astype(np.float32)):
        out = made(kind, packing, mean, images, kernel)
        assert np.abs(out - expected).max() < 0.502


def test_bright_light_stops_at_the_largest_byte():
    adu, *images = scene()
    mean = adu.mean(axis=0)
    adu[1, 8:12, 8:12], adu[2, 8:12, 8:12] = 30_000, -30_000
    images[3][:] = False
    raw = np.rint(adu).astype(">i2").view(np.int16)
    out = made(raw, (0, 0, 1.0, 0.0), mean, images, half_kernel(1.0))
    assert (out[1, 5, 5], out[2, 5, 5]) == (127, -127)
    assert out.min() == -127


@pytest.mark.parametrize("width", [0.5, 0.8, 1.2, 2.5])
def test_noise_has_the_promised_units(width):
    kernel = half_kernel(width)
    assert len(kernel) == 5
    assert kernel[0] ** 2 + 2 * (kernel[1:] ** 2).sum() == pytest.approx(1, abs=1e-6)
    assert kernel[1] / kernel[0] == pytest.approx(np.exp(-0.5 / width**2), rel=1e-5)
    rng = np.random.default_rng(5)
    sky, still = np.full((200, 400), 300.0, np.float32), np.zeros((4, 100), np.float32)
    frames = rng.normal(300, np.sqrt(300 / 0.23 + 9), (4, 200, 400)).astype(np.float32)
    images = sky, 0 * sky, 0 * sky + 1, sky, sky < 0, sky < 0
    out = np.empty((4, 100, 200), np.int8)
    residual_film(frames, (0, 0, 1.0, 0.0), images, NOISE, (still, still, still, still + 1), (kernel, out))
    assert out[:, 5:-5, 5:-5].std() == pytest.approx(UNITS, rel=0.03)
    assert abs(out[:, 5:-5, 5:-5].mean()) < 0.1


def test_pixels_without_weight_are_the_masked_those_about_saturated_ones_and_the_edges():
    rng = np.random.default_rng(6)
    mask = (rng.random((60, 90)) < 0.01).astype(np.uint8) + 2 * (rng.random((60, 90)) < 0.004).astype(np.uint8)
    mask[0, 0] = mask[59, 89] = 2
    out = np.empty(mask.shape, bool)
    blocked_pixels(mask, 2, 2.5, 4, out)
    edge = np.ones(mask.shape, bool)
    edge[4:-4, 4:-4] = False
    assert (out == ((mask > 0) | edge | (distance_transform_edt(mask & 2 == 0) <= 2.5))).all()
