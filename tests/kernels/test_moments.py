import numpy as np
import pytest

from tests.skies import NOISE, SKY, Sky, observed
from tomoe_explore.kernels.moffat import moffat, through_gaussian
from tomoe_explore.kernels.moments import filter_errors, lone_widths, wing_fluxes

SHAPE = (300, 400)


@pytest.mark.parametrize(("fwhm", "beta"), [(2.5, 3.0), (5.0, 4.5)])
def test_widths_and_wings_of_lone_stars(fwhm, beta):
    rng = np.random.default_rng(1)
    y, x = (g.ravel() for g in np.mgrid[50:260:60, 50:360:60])
    sky = Sky(
        x + rng.uniform(-0.5, 0.5, x.size), y + rng.uniform(-0.5, 0.5, x.size), np.full(x.size, 500.0), fwhm, beta
    )
    stack = observed(sky.light(SHAPE), rng)
    stack.mask[y[0], x[0] + 3] = 1  # not whole
    companion = Sky(sky.x[1:2] + 2 * fwhm, sky.y[1:2], np.array([300.0]), fwhm, beta)
    image = stack.image + companion.light(SHAPE).astype(np.float32)
    image[100, 200] = 30_000  # not a star
    peaks = np.rint(np.append(sky.y, 100)).astype(int), np.rint(np.append(sky.x, 200)).astype(int)
    known = np.full(x.size + 1, SKY, np.float32), np.full(x.size + 1, NOISE, np.float32)
    sigma, growth = lone_widths(image, stack.mask, known, peaks, 100)
    assert len(sigma) == x.size - 2
    width, _, expected = through_gaussian(beta)
    assert np.median(sigma) * 2.3548 * width == pytest.approx(np.sqrt(fwhm**2 + 8 * np.log(2) / 12), rel=0.02)
    assert np.median(growth) == pytest.approx(expected, rel=0.01)
    assert len(lone_widths(image, stack.mask, known, peaks, 3)[0]) == 3


def test_filter_errors_are_those_of_the_whole_sum():
    rng = np.random.default_rng(2)
    yy, xx = np.mgrid[:80, :90]
    variance = (25 + 0.2 * xx + 60 * np.exp(-((xx - 40) ** 2 + (yy - 40) ** 2) / 18)).astype(np.float32)
    y, x = rng.integers(10, 70, 50), rng.integers(10, 80, 50)
    errors = filter_errors(variance, 1.8, (y, x))
    for k in range(50):
        squares = np.exp(-((xx - x[k]) ** 2 + (yy - y[k]) ** 2) / 1.8**2)
        assert errors[k] == pytest.approx(np.sqrt((squares * variance).sum()) / squares.sum(), rel=0.03)
    variance[40, 40] = np.nan
    assert np.isfinite(filter_errors(variance, 1.8, (np.array([40, 0]), np.array([40, 0])))).all()


def test_light_of_a_saturated_star_from_its_wings():
    star = Sky(np.array([200.3]), np.array([150.1]), np.array([5e3]), 3.0)
    stack = observed(star.light(SHAPE), np.random.default_rng(3))
    full = stack.image > 2000
    assert full.sum() > 5
    stack.mask[full], stack.image[full] = 2, 2000
    places = np.array([200.3]), np.array([150.1]), np.array([9.0])
    flux = wing_fluxes(stack.image, stack.mask, np.array([SKY], np.float32), places, moffat(3.07, 3.5))
    assert flux[0] == pytest.approx(star.flux[0], rel=0.03)
