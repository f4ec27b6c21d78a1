"""Magnitudes and fluxes against Gaia's published zero points."""

import astropy.units as u
import numpy as np
import pytest

from tomoe_explore.magnitudes import flux_njy, mag_err, mag_g

#: Gaia EDR3 (Riello et al. 2021, A&A 649, A3; zero points of the release).
GAIA_VEGA, GAIA_AB = 25.6873668671, 25.8010446445


def test_gaia_g_becomes_ab_flux():
    """A star gives the same electrons in either system, so its AB magnitude is G + (25.8010 - 25.6874)."""
    g = np.array([8.0, 12.5, 17.25])
    ab = (g + GAIA_AB - GAIA_VEGA) * u.ABmag
    np.testing.assert_allclose(flux_njy(g), ab.to_value(u.nJy), rtol=1e-3)


def test_there_and_back():
    g = np.linspace(-2, 21, 50)
    np.testing.assert_allclose(mag_g(flux_njy(g)), g, atol=1e-9)


def test_an_error_of_one_per_cent_is_eleven_millimagnitudes():
    assert float(mag_err(100.0, 1.0)) == pytest.approx(mag_g(99.5) - mag_g(100.5), rel=1e-3)
    assert np.isnan(mag_err(-1.0, 1.0))
