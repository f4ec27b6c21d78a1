from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from tomoe_explore.simulate.readout import add_levels, noisy_electrons, read_out


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


def _read(charge: np.ndarray, electronics: tuple[float, float, float, float], *, rows: float = 0.0, z: float = 0.0):
    """One row of light-sensitive pixels and two reference columns, with a read noise of 2 electrons."""
    size = (1, charge.shape[1] + 2)
    out = np.empty(size, dtype=np.int16)
    deviates = np.full(size[1] + 3, z, dtype=np.float32), np.array([3]), np.ones(1, dtype=np.float32)
    noise = np.full(size, 2.0, dtype=np.float32)
    read_out(charge, noise, deviates, np.full(1, rows, dtype=np.float32), electronics, out)
    return out


def test_readout_clips_and_swaps_bytes() -> None:
    charge = np.array([[0.0, 1000.0, 1e6]], dtype=np.float32)
    assert _read(charge, (0.5, 6000.0, 0.0, 32000.0)).view(">i2").tolist() == [[0, 2000, 12000, 0, 0]]
    adu = _read(charge, (0.5, 6000.0, 0.0, 32000.0), z=-1.0).view(">i2")[0]
    assert adu[0] == adu[3] == adu[4] == -4
    assert _read(charge, (0.1, 6000.0, 0.0, 32000.0)).view(">i2")[0, 2] == 32000


def test_a_rows_level_is_in_pixels_and_reference_columns() -> None:
    charge = np.array([[0.0, 1000.0]], dtype=np.float32)
    assert _read(charge, (0.5, 6000.0, 0.0, 32000.0), rows=3.0).view(">i2").tolist() == [[3, 2003, 3, 3]]


def test_a_full_pixel_loses_what_the_nonlinearity_says_and_a_half_full_one_a_quarter() -> None:
    charge = np.array([[0.0, 3000.0, 6000.0, 9000.0]], dtype=np.float32)
    adu = _read(charge, (0.25, 6000.0, 0.02, 32000.0)).view(">i2")[0, :4]
    assert np.abs(adu - [0, 12000 - 120, 24000 - 480, 24000 - 480]).max() <= 1


def test_levels_are_added_in_adu() -> None:
    frame = np.array([[100, -5, 31990]], dtype=">i2").view(np.int16)
    add_levels(frame, np.array([1, 2]), np.array([300.4, 20.0], dtype=np.float32), 32000.0)
    assert frame.view(">i2").tolist() == [[100, 295, 32000]]
