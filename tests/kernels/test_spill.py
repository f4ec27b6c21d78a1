import numpy as np

from tomoe_explore.kernels.moffat import fit_growth
from tomoe_explore.kernels.spill import overlaps, spill, untangled
from tomoe_explore.kernels.stack_apertures import image_apertures, light_within, mask_bits


def test_spill_equals_numpy():
    rng = np.random.default_rng(1)
    target, neighbour = rng.integers(0, 50, 400), rng.integers(0, 50, 400)
    distance, light = rng.uniform(0, 12, 400), rng.uniform(0, 9, 50)
    table = np.exp(-np.arange(20) / 4)  # to a distance of 9.5: those beyond give nothing
    share = np.where(distance < 9.5, np.interp(distance, 0.5 * np.arange(20), table), 0.0)
    expected = np.bincount(target, share * light[neighbour], 50)
    np.testing.assert_allclose(spill((target, neighbour, distance), table, 0.5, light), expected, rtol=1e-12)


def test_mask_bits_are_those_within_the_radius():
    mask = np.zeros((40, 50), np.uint8)
    mask[20, 25], mask[0, 49] = 1, 2
    x, y = np.array([25.0, 28.9, 29.1, 49.0], np.float32), np.array([20.0, 20.0, 20.0, 0.0], np.float32)
    assert mask_bits(mask, (x, y), 4.0).tolist() == [1, 1, 0, 2]


def test_light_within_is_that_of_the_apertures():
    rng = np.random.default_rng(2)
    image = rng.normal(50, 5, (60, 70)).astype(np.float32)
    x, y = rng.uniform(-2, 72, 30).astype(np.float32), rng.uniform(-2, 62, 30).astype(np.float32)
    sky, radii = rng.uniform(45, 55, 30).astype(np.float32), np.array([2.5, 4.0, 9.3], np.float32)
    found = light_within(image, (x, y), radii, sky)
    for radius, light in zip(radii, found, strict=True):
        flux, _, area, _ = image_apertures(image, image, np.zeros(image.shape, np.uint8), (x, y), radius)
        np.testing.assert_allclose(light, flux - sky * area, atol=0.02)


def test_overlap_is_the_light_of_a_moffat_image_in_an_aperture():
    alpha, beta, fine = 3.2, 3.0, np.arange(-8, 8, 0.04) + 0.02
    u, v = np.meshgrid(fine, fine)
    weight = np.clip(3.5 + 0.5 - np.hypot(u, v), 0, 1) * 0.04**2
    found = overlaps(alpha, beta, np.array([2.0, 3.5]), 20, 0.5)[1]
    for i in (0, 5, 12, 19):
        profile = (beta - 1) / (np.pi * alpha**2) * (1 + ((u - 0.5 * i) ** 2 + v**2) / alpha**2) ** -beta
        np.testing.assert_allclose(found[i], (weight * profile).sum(), rtol=0.01)


def test_untangled_light_explains_what_the_apertures_hold():
    table, own = np.exp(-np.arange(30) / 5), 0.8
    pairs = np.array([0, 1, 1, 2]), np.array([1, 0, 2, 1]), np.array([4.0, 4.0, 6.0, 6.0])
    light = np.array([100.0, 50.0, 10.0])
    flux = (own * light + spill(pairs, table, 0.5, light)).astype(np.float32)
    fixed = np.array([False, False, True])
    found = untangled(pairs, (table, 0.5, own), flux, (fixed, np.where(fixed, light, flux / own)), 40)
    np.testing.assert_allclose(found, light, rtol=1e-4)


def test_fitted_growth_is_that_of_the_image():
    alpha, beta, radii = 3.1, 2.8, np.linspace(3, 12, 7)
    curve = 1 - (1 + (radii / alpha) ** 2) ** (1 - beta)
    fwhm = 2 * alpha * np.sqrt(2 ** (1 / beta) - 1)
    alpha, beta = fit_growth(radii, curve / curve[0], 1.1 * fwhm)
    found = 1 - (1 + (radii / alpha) ** 2) ** (1 - beta)
    np.testing.assert_allclose(found, curve, rtol=0.001)
