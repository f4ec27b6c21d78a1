from __future__ import annotations

import numpy as np
import pytest

from tomoe_explore.simulate.psf import add_aureole, add_stars, line_peak, moffat_alpha, shape_matrix
from tomoe_explore.simulate.sensor import ZEROPOINT_E_S


def test_star_image_holds_its_light_and_is_centred() -> None:
    image = np.zeros((101, 121), dtype=np.float32)
    add_stars(image, np.array([60.3]), np.array([49.8]), np.array([1e6]), shape_matrix([3.0], 3.5), (3.5, 1e-4))
    total = image.sum(dtype=float)
    assert total == pytest.approx(1e6, rel=2e-4)
    assert (image.sum(axis=0, dtype=float) * np.arange(121)).sum() / total == pytest.approx(60.3, abs=2e-3)
    assert (image.sum(axis=1, dtype=float) * np.arange(101)).sum() / total == pytest.approx(49.8, abs=2e-3)


@pytest.mark.parametrize(
    ("fwhm", "beta", "size", "angle"), [(2.6, 3.0, 0.0, 0.0), (1.7, 3.3, 0.128, 0.6), (5.0, 4.5, 0.1, 2.0)]
)
def test_star_image_matches_a_finely_integrated_moffat(fwhm: float, beta: float, size: float, angle: float) -> None:
    image = np.zeros((25, 25), dtype=np.float32)
    shape = shape_matrix([fwhm], beta, (size * np.cos(2 * angle), size * np.sin(2 * angle)))
    add_stars(image, np.array([12.2]), np.array([11.6]), np.array([1.0]), shape, (beta, 1e-9))
    # the same ellipse, drawn along its axes
    fine = (np.arange(25 * 50) + 0.5) / 50 - 0.5
    dx, dy = fine[None, :] - 12.2, fine[:, None] - 11.6
    major = fwhm / (2 * np.sqrt(2 ** (1 / beta) - 1)) * np.exp(size / 2)
    minor = major * np.exp(-size)
    along, across = dx * np.cos(angle) + dy * np.sin(angle), dy * np.cos(angle) - dx * np.sin(angle)
    truth = (beta - 1) / (np.pi * major * minor) * (1 + (along / major) ** 2 + (across / minor) ** 2) ** -beta
    truth = truth.reshape(25, 50, 25, 50).mean(axis=(1, 3))
    assert np.abs(image - truth).max() < 0.003 * truth.max()
    far = np.hypot(*np.mgrid[-12:13, -12:13]) > 4
    assert np.abs(image[far] / truth[far] - 1).max() < 0.02


def test_pixels_hold_what_scipy_integrates() -> None:
    from scipy.integrate import dblquad

    image = np.zeros((9, 9), dtype=np.float32)
    shape = shape_matrix([2.4], 3.2, (0.05, -0.08))
    add_stars(image, np.array([4.3]), np.array([3.8]), np.array([1.0]), shape, (3.2, 1e-9))
    inverse = np.linalg.inv([[shape[0, 0], shape[0, 1]], [shape[0, 1], shape[0, 2]]])
    norm = 2.2 / np.pi * np.sqrt(np.linalg.det(inverse))

    def profile(y: float, x: float) -> float:
        r = np.array([x - 4.3, y - 3.8])
        return norm * (1 + r @ inverse @ r) ** -3.2

    for i, j in ((4, 4), (5, 3), (7, 6)):
        value, _ = dblquad(profile, i - 0.5, i + 0.5, j - 0.5, j + 0.5)
        assert image[j, i] == pytest.approx(value, rel=0.01)


def test_motion_widens_a_star_as_it_does_a_sum_of_shifted_ones() -> None:
    """A star that shakes by 0.3 px rms along x."""
    still, moved = np.zeros((31, 31), dtype=np.float32), np.zeros((31, 31), dtype=np.float32)
    add_stars(
        moved, np.full(1, 15.0), np.full(1, 15.0), np.ones(1), shape_matrix([2.9], 3.5, blur=(0.09, 0, 0)), (3.5, 1e-9)
    )
    phases = np.linspace(0, 2 * np.pi, 400, endpoint=False)
    x = 15.0 + 0.3 * np.sqrt(2) * np.cos(phases)
    add_stars(still, x, np.full(400, 15.0), np.full(400, 1 / 400), shape_matrix(np.full(400, 2.9), 3.5), (3.5, 1e-12))
    assert np.abs(moved - still).max() < 0.01 * still.max()


def test_line_peak_is_the_integral_of_the_profile() -> None:
    along = np.linspace(-200, 200, 400001)
    alpha, beta = moffat_alpha(3.0, 3.5), 3.5
    profile = (beta - 1) / (np.pi * alpha**2) * (1 + along**2 / alpha**2) ** -beta
    assert line_peak(3.0, 3.5) == pytest.approx(np.trapezoid(profile, along), rel=1e-4)


def test_zeropoint_gives_the_published_saturation_and_depth() -> None:
    """High gain: 12.2 mag saturates in 3.5 arcsec seeing; 18.5 mag has 5 sigma in 0.5 s in good seeing, sky 20."""
    sky = 10 ** (0.4 * (ZEROPOINT_E_S - 20.0 + 2.5 * np.log10(1.189**2))) * 0.5

    def star(seeing_arcsec: float) -> np.ndarray:
        image = np.zeros((41, 41), dtype=np.float32)
        add_stars(
            image,
            np.full(1, 20.0),
            np.full(1, 20.0),
            np.ones(1),
            shape_matrix([seeing_arcsec / 1.189], 3.5),
            (3.5, 1e-9),
        )
        return image.astype(float)

    saturated = ZEROPOINT_E_S - 2.5 * np.log10((6000 - sky) / star(3.5).max() / 0.5)
    assert saturated == pytest.approx(12.2, abs=0.1)
    mags = np.linspace(17.5, 19.5, 201)
    electrons = 10 ** (0.4 * (ZEROPOINT_E_S - mags)) * 0.5
    best = [np.sqrt((e**2 * star(3.0) ** 2 / (sky + 4.0 + e * star(3.0))).sum()) for e in electrons]
    assert np.interp(-5.0, -np.array(best), mags) == pytest.approx(18.5, abs=0.12)


def test_aureole_holds_its_light_and_falls_with_the_square_of_the_distance() -> None:
    image = np.zeros((601, 601), dtype=np.float32)
    add_aureole(image, 300.0, 300.0, 1e6, 280.0)
    assert image.sum(dtype=float) == pytest.approx(1e6, rel=1e-3)
    assert image[300, 500] / image[300, 400] == pytest.approx(0.25, rel=0.01)
