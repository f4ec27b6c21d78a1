"""The magnitude of a signal over noise, against a sum over pixels done another way."""

from __future__ import annotations

import numpy as np
import pytest
from astropy import units as u
from astropy.nddata import CCDData

from tomoe_explore.analysis.depth import mover_limit
from tomoe_explore.errors import ParameterError

BETA, FWHM_PX, SCALE = 3.5, 3.0, 1.189


def _stack(**header: float) -> CCDData:
    alpha2 = (FWHM_PX / 2) ** 2 / (2 ** (1 / BETA) - 1)
    inside = 1 - (1 + 9.0 / alpha2) ** (1 - BETA)
    usual = {"MAGZP": 25.8, "GAIN": 0.25, "RDNOISE": 2.0, "SKY": 300.0, "APRADIUS": 3.0, "APCORR": 1 / inside,
             "SCINT": 0.01, "FWHM": FWHM_PX * SCALE, "EXPTIME1": 0.5}  # fmt: skip
    stack = CCDData(np.zeros((2, 2)), unit=u.adu)
    stack.header.update({k: v for k, v in (usual | header).items() if v is not None})
    return stack


@pytest.mark.parametrize("rate", [0.0, 3.0, 20.0])
def test_it_is_what_a_sum_over_pixels_gives(rate):
    """A trail of 4000 points, each a profile, on fine pixels."""
    mag = float(mover_limit(_stack(), 2.5, rate))
    alpha2 = (FWHM_PX / 2) ** 2 / (2 ** (1 / BETA) - 1)
    y, x = np.mgrid[-20:20:0.2, -26:26:0.2]
    image = np.zeros(x.shape)
    for along in np.linspace(-0.5, 0.5, 200) * rate * 0.5 / SCALE:
        image += (1 + ((x - along) ** 2 + y**2) / alpha2) ** -BETA
    image /= image.sum() * 0.04
    electrons = 10 ** (0.4 * (25.8 - mag)) * 0.25
    noise = np.sqrt(300 * 0.25 + 2.0**2)
    assert electrons * np.sqrt((image**2).sum() * 0.04) / noise == pytest.approx(2.5, rel=0.01)


def test_it_goes_with_the_logarithm_of_signal_over_noise():
    one, ten = mover_limit(_stack(), [1.0, 10.0], 2.0)
    assert one - ten == pytest.approx(2.5)
    assert mover_limit(_stack(SKY=1200.0), 1.0, 2.0) < one  # a bright sky hides more


def test_wings_beyond_any_profile_are_borne():
    widest, sharpest = mover_limit(_stack(APCORR=3.0)), mover_limit(_stack(APCORR=1.0001))
    assert widest < mover_limit(_stack()) < sharpest


@pytest.mark.parametrize(
    ("stack", "args", "message"),
    [
        (_stack(), (0.0,), "snr must be above 0, got 0"),
        (_stack(), (2.0, -1.0), "rate must be 0 arcsec/s or more, got -1"),
        (_stack(), (2.0, float("nan")), "rate must be 0 arcsec/s or more, got nan"),
        (_stack(FWHM=None), (2.0,), "header lacks FWHM"),
        (_stack(GAIN=None), (2.0,), "header lacks GAIN"),
    ],
)
def test_what_makes_no_sense_is_named(stack, args, message):
    with pytest.raises(ParameterError, match=message):
        mover_limit(stack, *args)
