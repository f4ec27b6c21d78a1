"""A moving source in the pixels: what is cut out along its track, and what is measured there."""

import numpy as np
import pytest

from tomoe_explore.kernels.moffat import moffat
from tomoe_explore.kernels.track_fit import (
    LEAST_AWAY,
    SHIFT_PX,
    TWINKLE,
    cut_track,
    fit_line,
    measure_frames,
    without_best_place,
)

FWHM, BETA = 3.0, 3.5
PSF = moffat(FWHM, BETA)
ALPHA2 = FWHM**2 / 4 / (2 ** (1 / BETA) - 1)
VARIANCE, INVERSE_GAIN = 1600.0, 1 / 0.23
STEPS = 50  #: of a trail
N = 18
T = np.arange(N) - (N - 1) / 2


def image(x, y, trail, corner, w):
    """A trailed star of light 1, on a fine grid along the trail."""
    j, i = np.mgrid[:w, :w]
    total = np.zeros((w, w))
    for along in (np.arange(STEPS) + 0.5) / STEPS - 0.5 if any(trail) else (0.0,):
        r2 = (i + corner[0] - x - along * trail[0]) ** 2 + (j + corner[1] - y - along * trail[1]) ** 2
        total += (BETA - 1) / np.pi / ALPHA2 * (1 + r2 / ALPHA2) ** -BETA
    return total / (STEPS if any(trail) else 1)


def stamps_of(x, y, trail, flux, seed, *, half=9):
    """Stamps of a source that is really at ``(x, y)``, its photons and the sky's noise; weights are even."""
    rng = np.random.default_rng(seed)
    w = 2 * half + 1
    corner = np.stack([np.rint(x), np.rint(y)], axis=1).astype(np.int64) - half
    light = np.empty((len(x), w, w), np.float32)
    for f in range(len(x)):
        expected = flux[f] * image(x[f], y[f], trail, corner[f], w)
        light[f] = expected + rng.normal(size=(w, w)) * np.sqrt(VARIANCE + expected * INVERSE_GAIN)
    return light, np.ones_like(light), corner, np.zeros((w, w), bool)


@pytest.mark.parametrize("trail", [(0.0, 0.0), (5.0, 3.0), (-0.5, 9.0)])
@pytest.mark.parametrize("flux", [2500.0, 20_000.0])
def test_fluxes_and_places_are_right_within_their_errors(trail, flux):
    """Frame by frame, at places a fifth of a pixel from the truth, in frames of unequal transparency."""
    rng = np.random.default_rng(3)
    n = 160
    x, y = rng.uniform(50, 60, (2, n))
    transparency = rng.uniform(0.6, 1.1, n)
    stamps = stamps_of(x, y, trail, flux * transparency, 4, half=12)
    off = np.array([0.2, -0.15])
    values = measure_frames(
        stamps, (x - off[0], y - off[1]), PSF, trail, (transparency, flux), (VARIANCE, INVERSE_GAIN)
    )
    pull = (values[:, 0] - flux) / values[:, 1]
    lost = 0.01 * flux / np.median(values[:, 1])  # at a place that is amiss
    assert pull.mean() == pytest.approx(0, abs=0.2 + lost)
    assert (pull**2).mean() == pytest.approx(1, abs=0.25 + lost)
    for k in range(2):
        pull = (values[:, 2 + k] - off[k]) / values[:, 4 + k]
        assert pull.mean() == pytest.approx(0, abs=0.25)
        assert (pull**2).mean() == pytest.approx(1, abs=0.3)
    assert np.median(values[:, 4:]) < 0.6


def test_the_flux_error_is_that_of_the_best_filter():
    x = y = np.full(1, 55.3)
    stamps = stamps_of(x, y, (0.0, 0.0), np.zeros(1), 1)
    (values,) = measure_frames(stamps, (x, y), PSF, (0.0, 0.0), (np.ones(1), 1.0), (VARIANCE, INVERSE_GAIN))
    best = np.sqrt(VARIANCE / (image(55.3, 55.3, (0, 0), stamps[2][0], 19) ** 2).sum())
    assert values[1] == pytest.approx(best, rel=0.01)


def test_a_frame_that_tells_nothing_has_infinite_errors():
    x = y = np.array([55.3, 55.3])
    light, weight, corner, profiled = stamps_of(x, y, (0.0, 0.0), np.full(2, 5000.0), 1)
    weight[0] = 0
    values = measure_frames(
        (light, weight, corner, profiled), (x, y), PSF, (0.0, 0.0), (np.ones(2), 5000.0), (VARIANCE, INVERSE_GAIN)
    )
    assert np.isinf(values[0, [1, 4, 5]]).all() and (values[0, [0, 2, 3]] == 0).all()
    assert np.isfinite(values[1]).all()


# --- cutting -------------------------------------------------------------------------------------
NY, NX = 60, 80


def film(seed, x, y, flux=0.0, *, x0=4, y0=3, scale=0.5, zero=100.0):
    """Raw frames of a source on a sky with stars; the true images; the sky of the frames."""
    rng = np.random.default_rng(seed)
    dark = rng.normal(20, 3, (NY, NX)).astype(np.float32)
    flat = rng.normal(1, 0.05, (NY, NX)).astype(np.float32)
    sky = rng.normal(0, 4, N).astype(np.float32)
    reference = (300 + 400 * (rng.random((NY, NX)) < 0.01)).astype(np.float32)
    j, i = np.mgrid[:NY, :NX]
    adu = np.empty((N, NY, NX))
    for f in range(N):
        r2 = (i - x[f]) ** 2 + (j - y[f]) ** 2
        star = flux * (BETA - 1) / np.pi / ALPHA2 * (1 + r2 / ALPHA2) ** -BETA
        adu[f] = dark + flat * (reference + sky[f] + star)
    stored = np.full((N, NY + y0 + 2, NX + x0 + 5), 7777.0)
    stored[:, y0 : y0 + NY, x0 : x0 + NX] = (adu - zero) / scale
    return stored, (x0, y0, scale, zero), (dark, flat, reference), sky


def cut(stored, packing, images, sky, places, *, half=5, away=8.0, shining=None, blocked=None):
    none = np.zeros((NY, NX), bool)
    dark, flat, reference = images
    everything = (
        dark,
        flat,
        reference,
        reference,
        none if blocked is None else blocked,
        none if shining is None else shining,
    )
    return cut_track(stored, packing, everything, (*places, sky), (half, away), (VARIANCE, INVERSE_GAIN))


def test_other_frames_are_the_background_of_a_source_that_moves_on():
    """Whatever stands still, the reference wrong or not: the source's light is left, to a tenth of an ADU."""
    x, y = 40 + 2.0 * T, 30 + 0.7 * T
    stored, packing, (dark, flat, reference), sky = film(1, x, y, 6000.0)
    wrong = reference + 50
    rounded = np.rint(stored).astype(">i2").view(np.int16)
    used = np.ones(N, bool)
    for raw, tolerance in ((stored.astype(np.float32), 0.2), (rounded, 0.7)):
        light, weight, corner, profiled = cut(raw, packing, (dark, flat, wrong), sky, (x, y, used))
        assert not profiled.any()
        for f in range(N):
            np.testing.assert_array_equal(corner[f], np.rint([x[f], y[f]]) - 5)
            true = 6000 * image(x[f], y[f], (0, 0), corner[f], 11)
            left = light[f] - true
            # what the wings of the source do to its own background
            assert np.abs(left).max() < tolerance + 6000 * image(0, 0, (0, 0), (8, 0), 1)[0, 0]
            away = (np.hypot(x - corner[f, 0] - 5, y - corner[f, 1] - 5) > 8).sum()
            assert away >= LEAST_AWAY
            assert weight[f, 5, 5] == pytest.approx(away / (away + 1), rel=1e-6)


def test_frames_not_used_have_no_weight_and_are_no_background():
    x, y = 40 + 2.0 * T, 30 + 0.0 * T
    stored, packing, images, sky = film(2, x, y, 6000.0)
    stored[4] = 30_000
    used = np.arange(N) != 4
    light, weight, _, _ = cut(stored.astype(np.float32), packing, images, sky, (x, y, used))
    assert not weight[4].any() and not light[4].any()
    assert np.abs(light[used]).max() < 900


def test_a_slow_source_is_seen_against_the_reference():
    """In one place; where a star is shining the reference is not known: the mean of all frames is."""
    x, y = 40 + 0.2 * T, 30 + 0.1 * T
    stored, packing, images, sky = film(3, x, y, 6000.0)
    used = np.ones(N, bool)
    light, weight, corner, profiled = cut(stored.astype(np.float32), packing, images, sky, (x, y, used))
    assert (corner == corner[0]).all() and not profiled.any()
    assert (weight == 1).all()
    for f in range(N):
        np.testing.assert_allclose(light[f], 6000 * image(x[f], y[f], (0, 0), corner[f], 11), atol=0.5)
    shining = np.zeros((NY, NX), bool)
    shining[28:33, 38:43] = True
    light, weight, corner, profiled = cut(
        stored.astype(np.float32), packing, images, sky, (x, y, used), shining=shining
    )
    here = shining[corner[0, 1] : corner[0, 1] + 11, corner[0, 0] : corner[0, 0] + 11]
    np.testing.assert_array_equal(profiled, here)
    assert np.abs(light.mean(axis=0)[here]).max() < 0.1
    values = measure_frames(
        (light, weight, corner, profiled), (x, y), PSF, (0.0, 0.0), (np.ones(N), 6000.0), (VARIANCE, INVERSE_GAIN)
    )
    assert values[:, 0] == pytest.approx(6000, rel=0.02)
    assert np.abs(values[:, 2:4]).max() < 0.02


def test_bright_stars_have_little_weight_and_blocked_pixels_none():
    x, y = 40 + 2.0 * T, 30 + 0.7 * T
    stored, packing, (dark, flat, reference), sky = film(4, x, y)
    j, i = np.mgrid[:NY, :NX]
    star = 3000 * np.exp(-((i - 40) ** 2 + (j - 30) ** 2) / 8)
    shining, blocked = star > 10, (i + j) % 17 == 0
    images = dark, flat, reference, (reference + star).astype(np.float32), blocked, shining
    _, weight, corner, _ = cut_track(
        stored.astype(np.float32), packing, images, (x, y, np.ones(N, bool), sky), (5, 8.0), (VARIANCE, INVERSE_GAIN)
    )
    gy, gx = np.gradient(reference + star)
    more = star * INVERSE_GAIN + SHIFT_PX**2 * (gx**2 + gy**2) + (TWINKLE * star) ** 2
    calm = np.where(shining, VARIANCE / (VARIANCE + more), 1.0) * ~blocked
    for f in range(N):
        left, low = corner[f]
        here = calm[low : low + 11, left : left + 11]
        ratio = weight[f][here > 0] / here[here > 0]
        assert (weight[f][here == 0] == 0).all()
        assert ratio.min() > 0.85 and ratio.max() < 1  # the noise of the background


def test_a_source_that_has_left_harms_nothing():
    """Not one frame of a block sees it; or it is far outside; stamps at the edge end there."""
    x, y = 400 + 30.0 * T, 30 + 0.0 * T
    stored, packing, images, sky = film(5, x, y)
    none = np.zeros(N, bool)
    _, weight, corner, profiled = cut(stored.astype(np.float32), packing, images, sky, (x, y, none))
    assert not weight.any() and not profiled.any()
    np.testing.assert_array_equal(corner[:, 0], np.rint(x) - 5)
    x = 75 + 3.0 * T
    some = (x > 1) & (x < NX - 2)
    light, weight, corner, profiled = cut(stored.astype(np.float32), packing, images, sky, (x, y, some))
    beyond = corner[:, 0][:, None] + np.arange(11) >= NX
    assert not weight.transpose(0, 2, 1)[beyond].any()
    stamps = light, weight, corner, profiled
    values = measure_frames(stamps, (x, y), PSF, (3.0, 0.0), (np.ones(N), 5000.0), (VARIANCE, INVERSE_GAIN))
    assert np.isfinite(values[some & (x < NX - 4), 1]).all() and np.isinf(values[~some, 1]).all()
    assert without_best_place(stamps, (x, y), PSF, (3.0, 0.0), np.ones(N), np.array([0])).shape == (1,)


# --- lines ---------------------------------------------------------------------------------------
def test_a_line_is_that_of_polyfit():
    rng = np.random.default_rng(6)
    t, error = np.arange(20.0), rng.uniform(0.1, 0.6, 20)
    place = 3 + 0.7 * t + rng.normal(size=20) * error
    error[[4, 9]], place[[4, 9]] = np.inf, 1e6
    good = np.isfinite(error)
    t0, x0, speed, err_x, err_speed = fit_line(t, place, error)
    weight = 1 / error[good]
    (slope, start), covariance = np.polyfit(t[good] - t0, place[good], 1, w=weight, cov="unscaled")
    assert (speed, x0) == pytest.approx((slope, start), rel=1e-9)
    assert (err_speed, err_x) == pytest.approx(np.sqrt(np.diag(covariance)), rel=1e-9)
    assert abs(covariance[0, 1]) < 1e-9  # at the mean time they have nothing in common
    assert t0 == pytest.approx(np.average(t[good], weights=weight**2))


# --- one place alone -----------------------------------------------------------------------------
def parts_of(light, x, y, trail=(0.0, 0.0), *, half=9):
    """What is left without the best pixel, and without the best star."""
    w = 2 * half + 1
    corner = np.stack([np.rint(x), np.rint(y)], axis=1).astype(np.int64) - half
    data = np.stack([light[f][c[1] : c[1] + w, c[0] : c[0] + w] for f, c in enumerate(corner)]).astype(np.float32)
    stamps = data, np.ones_like(data), corner, np.zeros((w, w), bool)
    return without_best_place(stamps, (x, y), PSF, trail, np.ones(N), np.array([0, 3]))


def scene(*sources):
    """Frames of ``(x, y, flux)``, each of a number or one a frame; 90 x 160."""
    frames = np.zeros((N, 90, 160))
    j, i = np.mgrid[:90, :160]
    for x, y, flux in sources:
        for f, (cx, cy, light) in enumerate(np.broadcast(x, y, flux * np.ones(N))):
            frames[f] += light * (BETA - 1) / np.pi / ALPHA2 * (1 + ((i - cx) ** 2 + (j - cy) ** 2) / ALPHA2) ** -BETA
    return frames


@pytest.mark.parametrize("speed", [0.3, 1.5, 4.0])
def test_a_mover_is_something_without_its_best_pixel_and_star(speed):
    x, y = 80 + speed * T, 45 + 0.0 * T
    pixel, star = parts_of(scene((x, y, 5000.0)), x, y)
    assert pixel > 0.85
    if speed * N > 4 * FWHM:  # shorter tracks may lie within the place of one star
        assert star > 0.6


@pytest.mark.parametrize("speed", [0.3, 1.5, 4.0])
def test_a_flickering_pixel_is_nothing_without_itself(speed):
    frames = np.zeros((N, 90, 160))
    frames[5:9, 45, 79] = 3000.0
    x, y = 80 + speed * (T + 1.5), 45 + 0.0 * T
    pixel, _ = parts_of(frames, x, y)
    assert pixel < 0.1


def test_a_star_that_varies_is_nothing_without_itself():
    """Though no single pixel makes it: its light wanders over the place as it varies."""
    flux = 3000.0 * np.exp(-0.5 * (T / 3) ** 2)
    x, y = 80 + 1.0 * T, 45 + 0.0 * T
    pixel, star = parts_of(scene((80.0, 45.0, flux)), x, y)
    assert pixel > 0.75
    assert star < 0.3


def test_no_light_leaves_nothing():
    x, y = 80 + 2.0 * T, 45 + 0.0 * T
    assert parts_of(-scene((x, y, 5000.0)), x, y).tolist() == [0, 0]
