"""Detection against injected stars, and on a real CCD image against SEP used as its documentation does."""

import warnings

import numpy as np
import pytest
import sep
from astropy.io import fits

from tests.skies import NOISE, SKY, Sky, nearest, observed, spread
from tomoe_explore.data import Stack
from tomoe_explore.errors import TomoeError
from tomoe_explore.reduction import detect as step
from tomoe_explore.reduction.detect import detect, seeing

SHAPE = (500, 700)


def stack_of(image, sigma, mask=None):
    mask = np.zeros(image.shape, np.uint8) if mask is None else mask
    return Stack(image, np.full(image.shape, sigma**2, np.float32), mask, 1)


def field(seed, fwhm, n=60, snr=(20, 800), beta=3.5, shape=SHAPE):
    """Isolated stars, log-uniform in brightness."""
    rng = np.random.default_rng(seed)
    x, y = spread(rng, shape, n, 7 * fwhm + 10)
    return Sky(x, y, 10 ** rng.uniform(*np.log10(snr), n), fwhm, beta), rng


@pytest.fixture
def real_image(shared_data):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an old observatory log in its header
        with fits.open(shared_data / "images" / "sep-image.fits", memmap=False) as hdus:
            return hdus[0].data.astype(np.float32)


def test_agrees_with_sep_on_a_real_image(real_image):
    background = sep.Background(real_image)
    objects = sep.extract(real_image - background, 1.5, err=background.globalrms)
    bright = objects[(objects["flux"] > 40 * background.globalrms) & (objects["flag"] == 0)]
    found = detect(stack_of(real_image, background.globalrms))
    distance, index = nearest(bright["x"], bright["y"], found.x, found.y)
    matched = distance < 1.5
    assert matched.mean() > 0.97
    # galaxies have more light than a star of their height: only the order can agree
    order = [np.argsort(np.argsort(f)) for f in (found.flux[index[matched]], bright["flux"][matched])]
    assert np.corrcoef(*order)[0, 1] > 0.9
    assert np.median(np.abs(found.background - background.back())) < 0.1 * background.globalrms


@pytest.mark.parametrize("fwhm", [1.8, 3.0, 6.8])
def test_stars_of_seven_sigma_are_found_and_noise_is_not(fwhm):
    """A perfect filter finds 97.7 % at a threshold of 5; 90 % is two standard deviations of 95 % of so many stars."""
    found_of, stars_of, spurious = 0, 0, 0
    for seed in range(3):
        shape = (600, 900)
        rng = np.random.default_rng([seed, 1])
        x, y = spread(rng, shape, 120, 5 * fwhm + 5)
        snr = np.where(np.arange(120) < 80, 7.3, 100.0)  # 7.3 against sky alone is 7 with the star's own photons
        sky = Sky(x, y, snr, fwhm)
        found = detect(observed(sky.light(shape), rng))
        reach = max(2.0, fwhm)
        found_of += (nearest(x, y, found.x, found.y)[0][:80] < reach).sum()
        stars_of += 80
        strong = found.flux / found.flux_err > 7
        spurious += (nearest(found.x[strong], found.y[strong], x, y)[0] > reach).sum()
    assert found_of / stars_of > 0.93
    assert spurious <= 1


@pytest.mark.parametrize("fwhm", [1.8, 3.0, 6.8])
@pytest.mark.parametrize("beta", [2.8, 4.5])
def test_width_light_and_significance_are_those_of_the_stars(fwhm, beta):
    sky, rng = field(2, fwhm, beta=beta, n=50, snr=(30, 1000), shape=(700, 900))
    found = detect(observed(sky.light((700, 900)), rng))
    distance, index = nearest(sky.x, sky.y, found.x, found.y)
    assert (distance < 1).all()
    # a pixel widens the image by its own variance, 1/12
    assert seeing(found) == pytest.approx(np.sqrt(fwhm**2 + 8 * np.log(2) / 12), rel=0.03)
    bright = sky.snr > 100
    assert np.median(found.flux[index] / sky.flux) == pytest.approx(1.0, abs=0.02)
    assert found.flux[index][bright] == pytest.approx(sky.flux[bright], rel=0.06)
    pull = (found.flux[index] / sky.flux - 1)[~bright] * sky.flux[~bright] / found.flux_err[index][~bright]
    assert 0.6 < pull.std() < 1.4
    assert np.median(found.ellipticity[index][bright]) < 0.05


@pytest.mark.parametrize("fwhm", [1.8, 3.0])
def test_positions_have_no_bias_with_the_pixel(fwhm):
    sky, rng = field(3, fwhm, n=80, snr=(200, 800), shape=(700, 900))
    found = detect(observed(sky.light((700, 900)), rng))
    _, index = nearest(sky.x, sky.y, found.x, found.y)
    error, phase = found.x[index] - sky.x, 2 * np.pi * sky.x
    assert error.std() < 0.03
    assert abs(error.mean()) < 0.01
    assert abs(2 * (error * np.sin(phase)).mean()) < 0.015


def test_close_pairs_are_told_apart_and_do_not_pull_each_other():
    fwhm, shape = 3.0, (500, 700)
    rng = np.random.default_rng(4)
    x, y = spread(rng, shape, 40, 30)
    angle = rng.uniform(0, 2 * np.pi, 40)
    apart = rng.uniform(1.6, 2.3, 40) * fwhm
    pairs = np.concatenate([x, x + apart * np.cos(angle)]), np.concatenate([y, y + apart * np.sin(angle)])
    sky = Sky(*pairs, np.repeat([300.0, 120.0], 40), fwhm)
    found = detect(observed(sky.light(shape), rng))
    distance, index = nearest(sky.x, sky.y, found.x, found.y)
    assert (distance < 1).mean() > 0.97
    good = distance < 1
    assert np.median(distance[good]) < 0.06
    assert np.median(found.flux[index][good] / sky.flux[good]) == pytest.approx(1.0, abs=0.03)
    assert len(found) < 80 + 4


def test_moonlight_leaves_sources_and_sky_right():
    sky, rng = field(5, 3.0)
    yy, xx = np.mgrid[: SHAPE[0], : SHAPE[1]]
    moon = SKY + 0.3 * xx + 0.2 * yy + 2e-4 * (xx - 300.0) ** 2
    found = detect(observed(sky.light(SHAPE), rng, moon))
    assert (nearest(sky.x, sky.y, found.x, found.y)[0] < 1).mean() > 0.97
    assert (nearest(found.x, found.y, sky.x, sky.y)[0] > 2).sum() <= 1
    difference = found.background - moon
    assert abs(difference.mean()) < 0.05 * NOISE
    assert np.abs(difference).max() < 0.4 * NOISE


def test_a_very_bright_star_is_one_source_and_so_is_its_bleeding_column():
    sky, rng = field(6, 3.0)
    light = sky.light(SHAPE)
    yy, xx = np.mgrid[: SHAPE[0], : SHAPE[1]]
    r2 = (xx - 350.0) ** 2 + (yy - 250.0) ** 2
    star = Sky(np.array([350.0]), np.array([250.0]), np.array([3e4]), 3.0)
    stack = observed(light + star.light(SHAPE) + 2e4 / (r2 + 400) * (r2 < 200**2), rng)  # a halo beyond the image
    full = stack.image > 15000
    full[120:360, 349:352] = True
    stack.image[full], stack.mask[full] = 15000, 2
    found = detect(stack)
    near = np.hypot(found.x - 350, found.y - 250) < 12
    assert near.sum() == 1
    assert found.saturated.sum() == 1
    assert found.saturated[0]
    assert np.hypot(found.x[0] - 350, found.y[0] - 250) < 0.5
    assert found.flux[0] == pytest.approx(star.flux[0], rel=0.1)
    far = np.hypot(sky.x - 350, sky.y - 250) > 30
    assert (nearest(sky.x, sky.y, found.x, found.y)[0][far] < 1).mean() > 0.97
    strong = ~near & (found.flux / found.flux_err > 7)
    assert (nearest(found.x[strong], found.y[strong], sky.x, sky.y)[0] > 2).sum() <= 2
    assert found.star_mask[130:350, 349:352].all()


@pytest.mark.parametrize("fwhm", [1.8, 4.0])
def test_pixels_that_lie_are_no_sources(fwhm):
    """Known ones count nothing, be they NaN; unknown single ones and tracks are sharper than any star."""
    sky, rng = field(7, fwhm, n=50)
    stack = observed(sky.light(SHAPE), rng)
    image, mask = stack.image, stack.mask
    image[:, 333], mask[:, 333] = 3000, 1
    bad = rng.random(SHAPE) < 0.005
    image[bad], mask[bad] = np.nan, 1
    stack.variance[bad] = np.nan
    hot_y, hot_x = rng.integers(5, SHAPE[0] - 5, 60), rng.integers(5, SHAPE[1] - 5, 60)
    image[hot_y, hot_x] += rng.uniform(100, 3000, 60)
    for _ in range(20):
        row, column = rng.integers(10, SHAPE[0] - 10), rng.integers(10, SHAPE[1] - 10)
        image[row, column : column + 4] += rng.uniform(150, 800)
    found = detect(stack)
    distance, index = nearest(sky.x, sky.y, found.x, found.y)
    assert (distance < 1).mean() > 0.93
    assert np.median(found.flux[index] / sky.flux) == pytest.approx(1.0, abs=0.02)
    assert (nearest(found.x, found.y, sky.x, sky.y)[0] > 2).sum() <= 2
    assert seeing(found) == pytest.approx(np.sqrt(fwhm**2 + 8 * np.log(2) / 12), rel=0.04)
    assert np.isfinite(found.background).all()


def test_stars_at_the_edge_are_found():
    x, y = np.array([1.5, 350.0, 698.0, 200.0]), np.array([250.0, 1.2, 100.0, 497.5])
    lone, rng = field(8, 3.0, n=20)
    sky = Sky(np.append(x, lone.x), np.append(y, lone.y), np.append([200.0] * 4, lone.snr), 3.0)
    found = detect(observed(sky.light(SHAPE), rng))
    distance, index = nearest(x, y, found.x, found.y)
    assert (distance < 0.5).all()
    assert found.flux[index] == pytest.approx(sky.flux[:4], rel=0.2)
    assert np.isfinite(found.fwhm_px).all()


def test_the_background_is_the_mean_where_noise_is_skewed():
    rng = np.random.default_rng(2)
    image = rng.poisson(2.0, (300, 500)).astype(np.float32)
    found = detect(stack_of(image, np.sqrt(2.0)))
    assert np.median(found.background) == pytest.approx(2.0, abs=0.03)


def test_the_background_is_not_lifted_by_a_crowd_of_stars():
    rng = np.random.default_rng(9)
    n = 1500  # one in 230 pixels
    sky = Sky(rng.uniform(0, 700, n), rng.uniform(0, 500, n), 10 ** rng.uniform(0.9, 2.5, n), 3.0)
    found = detect(observed(sky.light(SHAPE), rng))
    assert found.background.mean() - SKY == pytest.approx(0.0, abs=0.12 * NOISE)


def test_nothing_there_gives_nothing():
    image = np.random.default_rng(4).normal(10, 1, (200, 300)).astype(np.float32)
    found = detect(stack_of(image, 1.0))
    assert len(found) <= 2
    assert np.isnan(seeing(found))


def test_too_many_sources_are_no_stellar_field(monkeypatch):
    monkeypatch.setattr(step, "MAX_SOURCES", 20)
    sky, rng = field(10, 3.0, n=60, snr=(500, 800))
    with pytest.raises(TomoeError, match="more than 20 sources"):
        detect(observed(sky.light(SHAPE), rng))
