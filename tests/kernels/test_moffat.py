import numpy as np
import pytest
from scipy.integrate import quad

from tomoe_explore.kernels.moffat import (
    WIDE,
    WIDE_EDGE,
    add_images,
    light,
    light_and_slope,
    moffat,
    reaches,
    through_gaussian,
)


@pytest.mark.parametrize(("fwhm", "beta"), [(1.8, 2.5), (3.0, 3.5), (7.0, 4.5)])
def test_the_table_is_the_formula(fwhm, beta):
    psf = moffat(fwhm, beta)
    alpha2 = fwhm**2 / 4 / (2 ** (1 / beta) - 1)
    r = np.linspace(0, 10 * fwhm, 300)
    expected = (beta - 1) / np.pi / alpha2 * (1 + r**2 / alpha2) ** -beta
    values = [light(psf[0], psf[1], np.float32(v)) for v in r**2]
    assert values == pytest.approx(expected, rel=0.004)
    assert light(psf[0], psf[1], np.float32(1e6)) < 1e-4 * expected[0]
    assert light(psf[0], psf[1], np.float32(fwhm**2 / 4)) == pytest.approx(expected[0] / 2, rel=0.004)
    assert np.trapezoid(2 * np.pi * r * values, r) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize(("fwhm", "beta"), [(1.8, 2.5), (3.0, 3.5), (7.0, 4.5)])
def test_the_slope_is_the_formulas(fwhm, beta):
    psf = moffat(fwhm, beta)
    alpha2 = fwhm**2 / 4 / (2 ** (1 / beta) - 1)
    r2 = np.linspace(0, 3 * fwhm, 500) ** 2
    values, slopes = np.transpose([light_and_slope(psf[0], psf[1], np.float32(v)) for v in r2])
    assert values == pytest.approx([light(psf[0], psf[1], np.float32(v)) for v in r2], rel=1e-5)
    formula = -beta * (beta - 1) / np.pi / alpha2**2 * (1 + r2 / alpha2) ** (-beta - 1)
    per_px, wanted = np.sqrt(r2) * slopes, np.sqrt(r2) * formula  # what a displaced star changes
    assert np.abs(per_px - wanted).max() < 0.01 * np.abs(wanted).max()
    assert light_and_slope(psf[0], psf[1], np.float32(1e6)) == (psf[0][-1], 0)


def test_a_star_reaches_as_far_as_its_light_is_above_the_level():
    psf = moffat(3.0, 3.5)
    reach = reaches(psf, np.array([1e4, 1.0, 0.0]), 2.0)
    assert 1e4 * light(psf[0], psf[1], np.float32(reach[0] ** 2)) == pytest.approx(2.0, rel=0.01)
    assert reach[1:].tolist() == [0, 0]


@pytest.mark.parametrize("beta", [2.5, 3.5, 6.0])
def test_the_window_is_the_one_whose_filter_gives_the_best_signal_to_noise(beta):
    width, share, growth = through_gaussian(beta)
    alpha2 = 1 / 4 / (2 ** (1 / beta) - 1)

    def under(sigma, edge=np.inf):
        def integrand(r):
            image = (beta - 1) / np.pi / alpha2 * (1 + r**2 / alpha2) ** -beta
            return 2 * np.pi * r * np.exp(-0.5 * (r / sigma) ** 2) * image

        return quad(integrand, 0, min(edge, 8 * sigma), limit=200)[0]

    sigma = 1 / width / np.sqrt(8 * np.log(2))
    best = under(sigma) / sigma
    assert under(0.95 * sigma) / (0.95 * sigma) < best > under(1.05 * sigma) / (1.05 * sigma)
    assert share == pytest.approx(under(sigma), rel=1e-3)
    assert growth == pytest.approx(under(WIDE * sigma, WIDE_EDGE * sigma) / under(sigma), rel=1e-3)


def test_images_are_added_out_to_their_reach():
    """To what is there; stars beyond the edge reach in, and those without reach or light add nothing."""
    fwhm, beta = 3.0, 3.5
    x, y = np.array([20.3, 24.0, -2.0, 61.0, 40.0]), np.array([15.7, 16.0, 3.0, 41.5, 30.0])
    flux, reach = np.array([1000.0, 500.0, 800.0, 900.0, 50.0]), np.array([9.0, 6.5, 5.0, 4.0, 0.0])
    image = np.full((40, 60), 7, np.float32)
    add_images(image, (x, y, flux, reach), moffat(fwhm, beta))
    alpha2 = fwhm**2 / 4 / (2 ** (1 / beta) - 1)
    yy, xx = np.mgrid[:40, :60]
    r2 = (xx - x[:, None, None]) ** 2 + (yy - y[:, None, None]) ** 2
    each = flux[:, None, None] * (beta - 1) / np.pi / alpha2 * (1 + r2 / alpha2) ** -beta
    each *= r2 <= reach[:, None, None] ** 2
    each[4, 30, 40] = image[30, 40] - 7 - each[:4, 30, 40].sum()  # its own pixel may have it or not
    np.testing.assert_allclose(image, 7 + each.sum(axis=0), rtol=2e-3)
    assert image[39, 59] > 7 and image[3, 0] > 7
