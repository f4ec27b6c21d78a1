"""A slow source in all frames at once, alone and over something that stands still."""

import numpy as np
import pytest

from tests.kernels.test_track_fit import INVERSE_GAIN, PSF, VARIANCE, N, T, image
from tomoe_explore.kernels.track_joint import joint_equations, misfit

HALF = 10
LINE = np.array([50.2, 60.4, 0.22, -0.13])  # px at the middle, px a frame
FLUX = 2500.0
REACH = 4.0


def stamps(seed, *, star=0.0, profiled=False):
    """A source in one place of the detector, in frames of unequal transparency, perhaps beside a star."""
    rng = np.random.default_rng(seed)
    w = 2 * HALF + 1
    transparency = 1 + 0.05 * np.sin(T)
    corner = np.tile(np.rint(LINE[:2]).astype(np.int64) - HALF, (N, 1))
    light = np.empty((N, w, w), np.float32)
    still = star * image(51.5, 61.0, (0.0, 0.0), corner[0], w)
    for f in range(N):
        x, y = LINE[:2] + LINE[2:] * T[f]
        expected = FLUX * transparency[f] * image(x, y, (0.0, 0.0), corner[f], w)
        light[f] = expected + still + rng.normal(size=(w, w)) * np.sqrt(VARIANCE + expected * INVERSE_GAIN)
    if profiled:
        light -= light.mean(axis=0)
    return (light, np.ones_like(light), corner, np.full((w, w), profiled)), transparency


def places(line):
    return line[0] + line[2] * T, line[1] + line[3] * T


@pytest.mark.parametrize("profiled", [False, True])
def test_what_stands_still_beside_a_source_is_told(profiled):
    alone, beside = [], []
    for seed in range(30):
        for found, star in ((alone, 0.0), (beside, 1500.0)):
            made, transparency = stamps(seed, star=star, profiled=profiled)
            noise = VARIANCE, INVERSE_GAIN, REACH
            found.append(misfit(made, places(LINE), PSF, (0.0, 0.0), (transparency, FLUX), noise))
    assert np.mean(alone, axis=0)[0] == pytest.approx(1, abs=0.05)
    if profiled:  # the mean of the frames has been taken off, and the star with it
        assert np.mean(beside, axis=0)[1] < 0.05
    else:
        assert np.mean(alone, axis=0)[1] == pytest.approx(1, abs=0.1)
        assert np.min(beside, axis=0)[1] > 2
        assert np.mean(beside, axis=0)[0] > 1.3


def test_stamps_that_move_along_have_nothing_that_stands_still():
    made, transparency = stamps(1, star=3000.0)
    made[2][0] += 1
    _, still = misfit(made, places(LINE), PSF, (0.0, 0.0), (transparency, FLUX), (VARIANCE, INVERSE_GAIN, REACH))
    assert still == 0


@pytest.mark.parametrize(("star", "profiled"), [(0.0, False), (0.0, True), (20_000.0, True)])
def test_the_track_is_right_within_its_errors_whatever_stands_still(star, profiled):
    """From a place half a pixel off, over many noises; a common shift of all frames hardly shows."""
    chi2 = []
    for seed in range(60):
        made, transparency = stamps(seed, star=star, profiled=profiled)
        line, flux = LINE + np.array([0.3, -0.3, 0.02, 0.02]), 0.8 * FLUX
        for _ in range(6):
            source = transparency, flux, VARIANCE, INVERSE_GAIN
            matrix, right = joint_equations(made, places(line), T, PSF, (0.0, 0.0), source)
            step = np.linalg.solve(matrix, right)
            flux, line = flux + step[0], line + step[1:]
        off = np.append(flux - FLUX, line - LINE)
        chi2.append(off @ matrix @ off / 5)
    assert np.mean(chi2) == pytest.approx(1.0, abs=0.2)


def test_the_equations_are_those_of_the_derivatives():
    """The right side against chi-square's slope by differences."""
    made, transparency = stamps(5, profiled=True)
    at = np.append(FLUX, LINE + 0.1)

    def chi2(p):
        images = np.array([image(*(p[1:3] + p[3:5] * T[f]), (0.0, 0.0), made[2][f], 2 * HALF + 1) for f in range(N)])
        model = p[0] * transparency[:, None, None] * images
        return (((made[0] - model + model.mean(axis=0)) ** 2) / VARIANCE).sum()

    source = transparency, FLUX, VARIANCE, 0.0
    _, right = joint_equations(made, places(at[1:]), T, PSF, (0.0, 0.0), source)
    for k, step in enumerate((20.0, 0.02, 0.02, 0.002, 0.002)):
        d = np.eye(5)[k] * step
        assert right[k] == pytest.approx(-(chi2(at + d) - chi2(at - d)) / (4 * step), rel=0.02, abs=1e-3)
