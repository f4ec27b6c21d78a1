"""Our TAN-SIP against astropy's."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from tomoe_explore.wcs import TanSip


def header(ra, dec, sip):
    step, turn = 1.189 / 3600, np.radians(37.0)
    words = {
        "WCSAXES": 2, "CTYPE1": "RA---TAN" + "-SIP" * sip, "CTYPE2": "DEC--TAN" + "-SIP" * sip,
        "CUNIT1": "deg", "CUNIT2": "deg", "CRPIX1": 1000.5, "CRPIX2": 564.5, "CRVAL1": ra, "CRVAL2": dec,
        "CD1_1": -step * np.cos(turn), "CD1_2": step * np.sin(turn), "CD2_1": step * np.sin(turn),
        "CD2_2": step * np.cos(turn),
    }  # fmt: skip
    if sip:  # up to 3 px in the corners
        words |= {"A_ORDER": 3, "A_2_0": 1e-6, "A_1_1": -8e-7, "A_0_3": 2e-9}
        words |= {"B_ORDER": 3, "B_0_2": 1.2e-6, "B_2_1": 1e-9}
    return words


@pytest.mark.parametrize("sip", [False, True])
@pytest.mark.parametrize(("ra", "dec"), [(310.0, -12.0), (0.01, 40.0), (123.0, 89.95), (200.0, -60.0)])
def test_agrees_with_astropy_both_ways(ra, dec, sip):
    words = header(ra, dec, sip)
    ours, theirs = TanSip.from_header(words), WCS(fits.Header(words))
    rng = np.random.default_rng(1)
    x, y = rng.uniform(-300, 2300, 500), rng.uniform(-300, 1430, 500)
    sky, expected = ours.to_sky(x, y), theirs.all_pix2world(x, y, 0)
    d_ra = (sky[0] - expected[0] + 180) % 360 - 180
    assert np.abs(d_ra * np.cos(np.radians(sky[1]))).max() * 3600 < 1e-6
    assert np.abs(sky[1] - expected[1]).max() * 3600 < 1e-6
    if not sip:  # the form that astropy writes
        again = TanSip.from_header(theirs.to_header())
        np.testing.assert_allclose(again.to_sky(x, y), sky, rtol=1e-12, atol=1e-11)
    back = ours.to_pixels(*expected)
    assert np.abs(back[0] - x).max() < 1e-5
    assert np.abs(back[1] - y).max() < 1e-5


def test_the_other_side_of_the_sky_has_no_pixels():
    ours = TanSip.from_header(header(10.0, 0.0, True))
    assert np.isnan(ours.to_pixels([190.0], [0.0])[0]).all()


def test_a_missing_keyword_is_named():
    words = header(10.0, 0.0, False)
    del words["CD2_1"]
    with pytest.raises(KeyError, match="CD2_1"):
        TanSip.from_header(words)
