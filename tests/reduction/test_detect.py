"""Detection on a real CCD image against SEP used as its documentation does."""

import warnings

import numpy as np
import pytest
import sep
from astropy.io import fits

from tomoe_explore.data import Stack
from tomoe_explore.reduction.detect import detect, seeing


def stack_of(image, sigma, mask=None):
    mask = np.zeros(image.shape, np.uint8) if mask is None else mask
    return Stack(image, np.full(image.shape, sigma**2, np.float32), mask, 1)


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
    assert len(found) > 20
    distance = np.hypot(bright["x"][:, None] - found.x, bright["y"][:, None] - found.y)
    nearest = distance.argmin(1)
    matched = distance.min(1) < 1.5
    assert matched.mean() > 0.97
    ratio = found.flux[nearest[matched]] / bright["flux"][matched]
    assert abs(np.median(ratio) - 1) < 0.1


def test_finds_isolated_stars_where_they_are_and_measures_the_seeing():
    rng = np.random.default_rng(1)
    ny, nx, sigma_px = 400, 600, 1.4
    x, y = rng.uniform(20, nx - 20, 60), rng.uniform(20, ny - 20, 60)
    flux = 10 ** rng.uniform(2.6, 4.5, 60)
    yy, xx = np.mgrid[:ny, :nx]
    image = rng.normal(50, 3.0, (ny, nx))
    for i in range(60):
        image += flux[i] / (2 * np.pi * sigma_px**2) * np.exp(-((xx - x[i]) ** 2 + (yy - y[i]) ** 2) / 2 / sigma_px**2)
    found = detect(stack_of(image.astype(np.float32), 3.0))
    distance = np.hypot(x[:, None] - found.x, y[:, None] - found.y)
    isolated = np.sort(np.hypot(x[:, None] - x, y[:, None] - y), axis=1)[:, 1] > 12
    assert (distance.min(1)[isolated] < 0.5).mean() > 0.97
    bright = isolated & (flux > 5000)
    assert np.median(distance.min(1)[bright]) < 0.03
    assert seeing(found) == pytest.approx(2.3548 * sigma_px, rel=0.03)
    assert np.median(found.background) == pytest.approx(50, abs=0.2)


def test_background_is_the_mean_where_noise_is_skewed():
    rng = np.random.default_rng(2)
    image = rng.poisson(2.0, (300, 500)).astype(np.float32)
    found = detect(stack_of(image, np.sqrt(2.0)))
    assert np.median(found.background) == pytest.approx(2.0, abs=0.03)


def test_a_saturated_star_is_said_to_be():
    yy, xx = np.mgrid[:200, :300]
    image = (20 + 3000 * np.exp(-((xx - 150) ** 2 + (yy - 100) ** 2) / 4)).astype(np.float32)
    mask = np.where(image > 2500, 2, 0).astype(np.uint8)
    found = detect(stack_of(image + np.random.default_rng(3).normal(0, 2, image.shape).astype(np.float32), 2.0, mask))
    assert found.saturated[0]


def test_nothing_there_gives_nothing():
    image = np.random.default_rng(4).normal(10, 1, (200, 300)).astype(np.float32)
    found = detect(stack_of(image, 1.0))
    assert len(found) <= 2
    assert np.isnan(seeing(found))
