import numpy as np
import pytest

from tests.skies import SKY, Sky, observed
from tomoe_explore.kernels.measure import HELD, measure
from tomoe_explore.kernels.moffat import moffat, through_gaussian
from tomoe_explore.kernels.neighbours import neighbour_lists
from tomoe_explore.kernels.pixels import bad_and_saturated

SHAPE, FWHM = (120, 160), 3.0
WIDTH, SHARE, _ = through_gaussian(3.5)
SEEN = np.sqrt(FWHM**2 + 8 * np.log(2) / 12)  # with the pixel
WINDOW = SEEN / WIDTH / 2.3548, SHARE, moffat(SEEN, 3.5)


def measured(stack, x, y, flux, *, reach=20.0, held=0, sweeps=4):
    bad, _ = bad_and_saturated(stack.image, stack.mask, (1, 2))
    n = len(x)
    x, y, flux = (np.array(v, float) for v in (x, y, flux))
    stars = x, y, flux, np.full(n, held, np.uint8), np.full(n, SKY, np.float32)
    lists = neighbour_lists(x, y, np.full(n, reach), SHAPE)
    return x, y, flux, measure((stack.image, stack.variance), bad, stars, lists, WINDOW, sweeps)


def quiet(light):
    """No noise at all in the image; the variance as it would be."""
    stack = observed(light, np.random.default_rng(1))
    stack.image[:] = light + SKY
    return stack


def test_a_lone_star_without_noise():
    star = Sky(np.array([80.37]), np.array([60.81]), np.array([100.0]), FWHM)
    x, y, flux, rest = measured(quiet(star.light(SHAPE)), [80.0], [61.0], [1.0])
    assert (x[0], y[0]) == pytest.approx((80.37, 60.81), abs=0.01)
    assert flux[0] == pytest.approx(star.flux[0], rel=0.01)
    own = 1 / (1 / rest[0, 1:3] - 1 / WINDOW[0] ** 2)  # the window divided out
    assert own == pytest.approx(WINDOW[0] ** 2, rel=0.03)
    assert abs(rest[0, 3]) < 0.01
    assert rest[0, 4] == 0
    assert rest[0, 5] < 0.8


def test_the_stated_error_is_the_scatter():
    star = Sky(np.array([80.2]), np.array([60.4]), np.array([15.0]), FWHM)
    light = star.light(SHAPE)
    rng = np.random.default_rng(2)
    results = [measured(observed(light, rng), [80.2], [60.4], star.flux) for _ in range(400)]
    flux, error = np.array([(r[2][0], r[3][0, 0]) for r in results]).T
    assert flux.std() == pytest.approx(error.mean(), rel=0.12)
    assert flux.mean() / error.mean() == pytest.approx(14.3, rel=0.05)  # 15 without the star's own photons


def test_neighbours_are_taken_off():
    pair = Sky(np.array([78.0, 82.4]), np.array([60.2, 60.9]), np.array([300.0, 100.0]), FWHM)
    stack = quiet(pair.light(SHAPE))
    start = [78.3, 82.0], [60.0, 61.0], pair.flux * [1.2, 1.8]
    x, y, flux, rest = measured(stack, *start)
    assert x == pytest.approx(pair.x, abs=0.03)
    assert y == pytest.approx(pair.y, abs=0.03)
    assert flux == pytest.approx(pair.flux, rel=0.02)
    assert rest[1, 4] > rest[0, 4] > 0
    alone = measured(stack, *start, reach=0.0)
    assert abs(alone[0][1] - pair.x[1]) > 0.1


@pytest.mark.parametrize("spoil", ["pixels", "column", "edge"])
def test_pixels_that_are_not_there_are_made_up_for(spoil):
    x0 = 1.7 if spoil == "edge" else 80.3
    star = Sky(np.array([x0]), np.array([60.6]), np.array([200.0]), FWHM)
    stack = quiet(star.light(SHAPE))
    if spoil == "pixels":
        stack.image[61, 80] = stack.image[59, 81] = np.nan
    elif spoil == "column":
        stack.image[:, 81], stack.mask[:, 81] = 1e4, 1
    x, y, flux, rest = measured(stack, [x0 + 0.2], [60.5], star.flux * 0.9)
    assert (x[0], y[0]) == pytest.approx((x0, 60.6), abs=0.08)
    assert flux[0] == pytest.approx(star.flux[0], rel=0.04)
    whole = measured(quiet(Sky(np.array([80.3]), star.y, star.snr, FWHM).light(SHAPE)), [80.3], [60.6], star.flux)
    assert rest[0, 0] > 1.01 * whole[3][0, 0]


def test_single_pixels_are_sharper_than_stars_and_held_stars_stay():
    stack = quiet(np.zeros(SHAPE))
    stack.image[60, 80] += 500
    x, y, flux, rest = measured(stack, [80.1], [60.1], [100.0])
    assert rest[0, 5] > 1
    x, y, flux, rest = measured(stack, [81.0], [61.0], [77.0], held=HELD)
    assert (x[0], y[0], flux[0]) == (81.0, 61.0, 77.0)
