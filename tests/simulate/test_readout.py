from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from tomoe_explore.simulate.psf import add_stars, line_peak, moffat_alpha
from tomoe_explore.simulate.readout import noisy_electrons, read_out
from tomoe_explore.simulate.sensor import ZEROPOINT_E_S


@pytest.mark.parametrize("mean", [0.05, 1.0, 8.0, 70.0, 3500.0])
@pytest.mark.parametrize("read_noise", [1.86, 2.2])
def test_noise_has_the_moments_of_poisson_plus_gauss(mean: float, read_noise: float) -> None:
    """All of the distribution, by quadrature over the normal deviate."""
    z = np.linspace(-8, 8, 40001)
    weight = np.exp(-(z**2) / 2) / np.exp(-(z**2) / 2).sum()
    values = np.array([noisy_electrons(mean, read_noise, v) for v in z])
    center = (weight * values).sum()
    variance = (weight * (values - center) ** 2).sum()
    third = (weight * (values - center) ** 3).sum()
    assert center == pytest.approx(mean, abs=1e-6 * (1 + mean))
    assert variance == pytest.approx(mean + read_noise**2, rel=0.003)
    assert third == pytest.approx(mean, abs=0.01 * (mean + read_noise**2) ** 1.5)


def test_noise_is_distributed_as_poisson_plus_gauss() -> None:
    rng = np.random.default_rng(5)
    n = 200_000
    for mean in (2.0, 20.0, 67.0):
        true = rng.poisson(mean, n) + 2.0 * rng.standard_normal(n)
        ours = np.array([noisy_electrons(mean, 2.0, z) for z in rng.standard_normal(n)])
        assert stats.ks_2samp(true, ours).statistic < 0.006  # 1 % of equal samples of this size exceed 0.005


def test_readout_clips_and_swaps_bytes() -> None:
    light = np.array([[0.0, 1000.0, 1e6]], dtype=np.float32)
    ones, zeros = np.ones_like(light), np.zeros_like(light)
    out = np.empty((1, 5), dtype=np.int16)
    read_out(light, ones, zeros, np.zeros((1, 5), dtype=np.float32), (0.5, 2.0, 6000.0, 32000.0), out)
    assert out.view(">i2").tolist() == [[0, 2000, 12000, 0, 0]]
    read_out(light, ones, zeros, np.full((1, 5), -1.0, dtype=np.float32), (0.5, 2.0, 6000.0, 32000.0), out)
    adu = out.view(">i2")[0]
    assert adu[0] == -4
    assert adu[3] == -4
    assert adu[4] == -4
    read_out(light, ones, zeros, np.zeros((1, 5), dtype=np.float32), (0.1, 2.0, 6000.0, 32000.0), out)
    assert out.view(">i2")[0, 2] == 32000


def test_star_image_holds_its_light_and_is_centred() -> None:
    image = np.zeros((101, 121), dtype=np.float32)
    add_stars(image, np.array([60.3]), np.array([49.8]), np.array([1e6]), (3.0, 3.5, 1e-4))
    total = image.sum(dtype=float)
    assert total == pytest.approx(1e6, rel=2e-4)
    assert (image.sum(axis=0, dtype=float) * np.arange(121)).sum() / total == pytest.approx(60.3, abs=2e-3)
    assert (image.sum(axis=1, dtype=float) * np.arange(101)).sum() / total == pytest.approx(49.8, abs=2e-3)


def test_star_image_matches_a_finely_integrated_moffat() -> None:
    image = np.zeros((21, 21), dtype=np.float32)
    add_stars(image, np.array([10.2]), np.array([9.6]), np.array([1.0]), (2.6, 3.0, 1e-9))
    fine = (np.arange(21 * 50) + 0.5) / 50 - 0.5
    alpha = moffat_alpha(2.6, 3.0)
    r2 = (fine[None, :] - 10.2) ** 2 + (fine[:, None] - 9.6) ** 2
    truth = 2.0 / (np.pi * alpha**2) * (1 + r2 / alpha**2) ** -3.0
    truth = truth.reshape(21, 50, 21, 50).mean(axis=(1, 3))
    assert np.abs(image - truth).max() < 0.004 * truth.max()


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
        add_stars(image, np.array([20.0]), np.array([20.0]), np.array([1.0]), (seeing_arcsec / 1.189, 3.5, 1e-9))
        return image.astype(float)

    saturated = ZEROPOINT_E_S - 2.5 * np.log10((6000 - sky) / star(3.5).max() / 0.5)
    assert saturated == pytest.approx(12.2, abs=0.1)
    mags = np.linspace(17.5, 19.5, 201)
    electrons = 10 ** (0.4 * (ZEROPOINT_E_S - mags)) * 0.5
    best = [np.sqrt((e**2 * star(3.0) ** 2 / (sky + 4.0 + e * star(3.0))).sum()) for e in electrons]
    assert np.interp(-5.0, -np.array(best), mags) == pytest.approx(18.5, abs=0.12)
