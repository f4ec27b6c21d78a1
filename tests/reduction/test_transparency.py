"""Transparency from frame to frame, and scintillation, on made-up fluxes."""

import numpy as np
import pytest

from tomoe_explore.camera import NX, NY
from tomoe_explore.reduction.transparency import transparency, twinkling
from tomoe_explore.reduction.values import FrameSeries, Targets

N_FRAMES = 18
USED = np.arange(N_FRAMES) > 0


def sky(rng, m=200, slope=0.0, twinkle=0.004):
    """Fluxes of m stars under passing cloud, the light they truly had, and their photon variance."""
    x, y = rng.uniform(0, NX, m).astype(np.float32), rng.uniform(0, NY, m).astype(np.float32)
    light = np.zeros((N_FRAMES, 3), np.float32)
    light[:, 0] = rng.uniform(0.6, 1.0, N_FRAMES)
    light[:, 1:] = slope * rng.standard_normal((N_FRAMES, 2))
    light[:, 1:] -= light[USED, 1:].mean(axis=0)  # what all frames share is the zero point's
    light /= light[USED, 0].mean()
    true = FrameSeries.plane(x, y) @ light.T
    bright = 10 ** rng.uniform(3.5, 5.5, m)
    error = np.sqrt(bright / 0.23 + 28 * 1500)
    flux = bright[:, None] * true * (1 + twinkle * rng.standard_normal(true.shape))
    flux += error[:, None] * rng.standard_normal(true.shape)
    none = np.full(m, -1, np.int64)
    nan = np.full(m, np.nan, np.float32)
    targets = Targets(x.astype(float), y.astype(float), x, y, none, nan, nan, none, none)
    return targets, flux.astype(np.float32), error.astype(np.float32), light, true


@pytest.mark.parametrize("slope", [0.0, 0.05])
def test_cloud_is_followed_over_the_detector(slope):
    rng = np.random.default_rng(1)
    targets, flux, error, light, true = sky(rng, slope=slope)
    flux[:3, 5:9] *= 3  # flares
    found, stars = transparency(flux, error, targets, np.ones(len(targets), bool), USED)
    assert len(stars) > 100
    assert np.abs(found[:, 0] / light[:, 0] - 1).max() < 0.006
    series = FrameSeries(np.zeros((2, N_FRAMES, 3), np.float32), np.ones(N_FRAMES), found, np.zeros((1, 1, 1)), 9)
    left = series.light_at(targets.x, targets.y) / true - 1
    assert np.std(left) < 0.004
    if slope == 0.0:
        assert np.abs(found[:, 1:]).max() < 0.004  # noise is no cloud


def test_few_stars_tell_one_number_and_none_tell_nothing():
    rng = np.random.default_rng(2)
    targets, flux, error, light, _ = sky(rng, m=20)
    usable = np.zeros(20, bool)
    assert (transparency(flux, error, targets, usable, USED)[0] == np.array([1, 0, 0])).all()
    usable[:12] = True
    found, _ = transparency(flux, error, targets, usable, USED)
    assert (found[:, 1:] == 0).all()
    assert np.abs(found[:, 0] / light[:, 0] - 1).max() < 0.02


@pytest.mark.parametrize("twinkle", [0.003, 0.006, 0.012])
def test_scintillation_is_measured_where_stars_are_bright(twinkle):
    found = []
    for seed in range(10):
        _, flux, error, _, true = sky(np.random.default_rng(seed), twinkle=twinkle)
        flux[0, 3:] *= 2  # a variable star
        found.append(twinkling((flux / true)[:, USED], error**2, np.arange(len(flux)), 0.006))
    # the formula, twice too high for the least one, still weighs a little
    assert np.mean(found) == pytest.approx(twinkle, rel=0.12)


def test_without_bright_stars_scintillation_is_that_of_the_formula():
    _, flux, error, _, true = sky(np.random.default_rng(3), twinkle=0.02)
    assert twinkling((flux / true)[:, USED], error**2, np.zeros(0, np.int64), 0.006) == pytest.approx(0.006)
    faint = np.argsort(flux[:, 1])[:5]
    assert twinkling((flux / true)[:, USED], error**2, faint, 0.006) == pytest.approx(0.006, rel=0.35)
