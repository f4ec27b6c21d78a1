"""Neighbours' light and the curve of growth, on Moffat images laid down by hand."""

import numpy as np
import pytest

from tomoe_explore.data import Stack
from tomoe_explore.kernels.stack_apertures import image_apertures
from tomoe_explore.reduction.neighbours import blended, find_pairs, spilled_light, starlight
from tomoe_explore.reduction.values import Growth, StackPhotometry, Targets
from tomoe_explore.reduction.zeropoint import growth_curves, measure_growth, usual_growth
from tomoe_explore.schema import Flag

NY, NX, SKY = 1128, 2000, 0.0
FWHM, BETA, RADIUS = 3.0, 3.2, 3.0
ALPHA = FWHM / 2 / np.sqrt(2 ** (1 / BETA) - 1)
#: The image that pixels see: they widen it by their own variance.
TRUE = Growth(ALPHA * np.sqrt(1 + 5.545 / 12 / FWHM**2), BETA, 0.0)


def moffat(u, v):
    """A pixel's share of the light, from 5 x 5 points in it."""
    points = (np.arange(5) - 2) / 5
    r2 = (u[..., None, None] + points) ** 2 + (v[..., None, None] + points[:, None]) ** 2
    return (BETA - 1) / (np.pi * ALPHA**2) * ((1 + r2 / ALPHA**2) ** -BETA).mean(axis=(-1, -2))


def field(x, y, light):
    """A stack of stars, its targets, and their aperture fluxes."""
    image = np.zeros((NY, NX), np.float32)
    half = np.arange(-40, 41)
    for a, b, flux in zip(x, y, light, strict=True):
        i, j = round(a), round(b)
        u, v = np.meshgrid(half + i - a, half + j - b)
        image[j - 40 : j + 41, i - 40 : i + 41] += flux * moffat(u, v)
    m = len(x)
    none, one = np.full(m, -1, np.int64), np.ones(m)
    targets = Targets(one, one, np.float32(x), np.float32(y), none, np.full(m, np.nan, np.float32),
                      np.full(m, np.nan, np.float32), np.arange(m), none)  # fmt: skip
    stack = Stack(
        image, np.full_like(image, 4.0), np.zeros(image.shape, np.uint8), 17, fwhm_px=FWHM, aperture_px=RADIUS
    )
    flux, variance, _, _ = image_apertures(image, stack.variance, stack.mask, (targets.x, targets.y), RADIUS)
    zero = np.zeros(m)
    seen = StackPhotometry(flux, variance, np.float32(zero), zero == 0, zero, zero.astype(np.int32))
    return stack, targets, seen


def crowd(seed=1, n=400):
    """A bright star with one or two neighbours, all over the field."""
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(60, NX - 60, n), rng.uniform(60, NY - 60, n)
    x[1::2] = np.clip(x[::2] + rng.choice([-1, 1], n // 2) * rng.uniform(4, 9, n // 2), 45, NX - 45)
    y[1::2] = np.clip(y[::2] + rng.uniform(-3, 3, n // 2), 45, NY - 45)
    light = 10 ** rng.uniform(3.5, 5, n)
    return x, y, light


def test_all_light_is_found_in_spite_of_neighbours():
    x, y, light = crowd()
    _, targets, seen = field(x, y, light)
    pairs = find_pairs(targets, FWHM, RADIUS)
    found = starlight(targets, pairs, seen.flux, np.zeros(len(x), bool), TRUE, RADIUS)
    alone = light * TRUE.share(RADIUS)
    off = seen.flux / alone - 1
    assert np.median(off) > 0.01  # without it, neighbours make stars too bright
    assert np.abs(np.median(found / light - 1)) < 0.006
    assert np.percentile(np.abs(found / light - 1), 90) < 0.03
    left = (seen.flux - spilled_light(pairs, found, TRUE, RADIUS)) / alone - 1
    assert np.abs(np.median(left)) < 0.006


def test_who_is_blended_is_said():
    """A neighbour of a tenth of the light is harmless at nine pixels and not at four; the bright one does not mind."""
    x, y = np.array([300.0, 304.0, 700.0, 709.0]), np.full(4, 500.0)
    light = np.array([1e5, 2e4, 1e5, 2e4])
    _, targets, seen = field(x, y, light)
    pairs = find_pairs(targets, FWHM, RADIUS)
    found = starlight(targets, pairs, seen.flux, np.zeros(4, bool), TRUE, RADIUS)
    flags = blended(seen.flux, spilled_light(pairs, found, TRUE, RADIUS))
    assert flags.tolist() == [0, Flag.BLENDED, 0, 0]


def test_a_saturated_neighbours_light_is_taken_from_the_catalog():
    x, y, light = np.array([300.0, 308.0, 900.0, 1200.0]), np.full(4, 500.0), np.array([4e3, 1e6, 1e4, 2e4])
    _, targets, seen = field(x, y, light)
    mag = (20 - 2.5 * np.log10(light)).astype(np.float32)
    object.__setattr__(targets, "ref_mag", mag)
    pairs = find_pairs(targets, FWHM, RADIUS)
    flux, saturated = seen.flux.copy(), np.array([False, True, False, False])
    flux[1] *= 0.3  # what is left of it
    found = starlight(targets, pairs, flux, saturated, TRUE, RADIUS)
    np.testing.assert_allclose(found[1:], light[1:], rtol=0.008)
    spilled = spilled_light(pairs, found, TRUE, RADIUS)[0]
    np.testing.assert_allclose(flux[0] - spilled, light[0] * TRUE.share(RADIUS), rtol=0.1)


@pytest.mark.parametrize("crowded", [False, True])
def test_the_curve_of_growth_is_that_of_the_stars(crowded):
    x, y, light = crowd(2, 300)
    if not crowded:
        x, y, light = x[::2], y[::2], light[::2]
    stack, targets, seen = field(x, y, light)
    pairs = find_pairs(targets, FWHM, RADIUS)
    near = np.bincount(pairs.target, light[pairs.neighbour] / light[pairs.target], len(x))
    object.__setattr__(seen, "crowding", near)
    curves, growth = growth_curves(stack, targets, seen), usual_growth(stack)
    for _ in range(2):
        found = starlight(targets, pairs, seen.flux, np.zeros(len(x), bool), growth, RADIUS)
        growth = measure_growth(stack, curves, spilled_light(pairs, found, growth, curves.radii), growth)
    assert growth.beta == pytest.approx(BETA, abs=0.35)
    assert np.median(found / light) == pytest.approx(1.0, abs=0.006)
