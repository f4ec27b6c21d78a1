"""The camera's formulas against astropy and against the facts of the instrument."""

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import AltAz, EarthLocation, SkyCoord
from astropy.time import Time
from astropy.wcs import WCS
from hypothesis import given
from hypothesis import strategies as st

from tomoe_explore import camera
from tomoe_explore.errors import ParameterError

KISO = EarthLocation(camera.LONGITUDE_DEG * u.deg, camera.LATITUDE_DEG * u.deg, camera.ALTITUDE_M * u.m)


def test_there_are_84_detectors():
    assert len(set(camera.DETECTOR_IDS)) == 84
    assert {111, 116, 121, 126, 131, 135, 141, 144} <= set(camera.DETECTOR_IDS)
    assert not {117, 127, 136, 145, 511} & set(camera.DETECTOR_IDS)


def test_detectors_do_not_overlap_and_fill_a_nine_degree_circle():
    offsets = np.array([camera.focal_plane_offset(d) for d in camera.DETECTOR_IDS])
    apart = np.abs(offsets[:, None] - offsets)
    width, height = camera.NX * camera.PIXEL_SCALE / 3600, camera.NY * camera.PIXEL_SCALE / 3600
    overlap = (apart[..., 0] < width) & (apart[..., 1] < height)
    assert (overlap == np.eye(84, dtype=bool)).all()
    assert np.hypot(*offsets.T).max() < 4.7
    assert 84 * width * height == pytest.approx(20.8, abs=0.2)


@pytest.mark.parametrize(("ra", "dec", "mjd"), [(312, -12, 59075.55), (10, 60, 59075.7), (200, 30, 60320.8)])
def test_airmass_agrees_with_astropy(ra, dec, mjd):
    altaz = SkyCoord(ra, dec, unit="deg").transform_to(AltAz(obstime=Time(mjd, format="mjd"), location=KISO))
    assert camera.airmass(ra, dec, mjd) == pytest.approx(float(altaz.secz), rel=0.01)


@pytest.mark.parametrize("pointing", [(312.0, -12.0), (8.8, 60.6), (359.9, 85.0), (0.1, -35.0)])
@pytest.mark.parametrize("detector", [111, 216, 344, 433])
def test_detector_center_and_north_agree_with_a_tangent_projection(pointing, detector):
    tile = WCS(naxis=2)
    tile.wcs.ctype, tile.wcs.crval = ["RA---TAN", "DEC--TAN"], pointing
    ra, dec = tile.all_pix2world(*camera.focal_plane_offset(detector), 1)
    center = camera.detector_center(*pointing, detector)
    np.testing.assert_allclose(center, (ra, dec), atol=1e-9)
    xi, eta = tile.all_world2pix([ra, ra], [dec, dec + 1e-5], 1)
    angle = np.degrees(np.arctan2(xi[1] - xi[0], eta[1] - eta[0]))
    assert camera.north_angle(*pointing, detector) == pytest.approx(angle, abs=1e-3)


def test_rows_span_most_of_a_frame():
    first, last = camera.mid_times_mjd(59000.0, 0, [0, 1127], frame_interval_s=0.5, exptime1_s=0.499904)
    assert (last - first) * 86400 == pytest.approx(1127 * 0.00041475, abs=2e-6)
    assert (first - 59000.0) * 86400 == pytest.approx(0.249952, abs=2e-6)


@given(
    prefix=st.sampled_from("rsn"),
    detector=st.sampled_from(camera.DETECTOR_IDS),
    night=st.dates().map(str),
    exposure=st.integers(0, 99_999_999),
)
def test_names_go_both_ways(prefix, detector, night, exposure):
    parsed = camera.parse_name(camera.film_name(prefix, detector, night, exposure))
    assert (parsed.prefix, parsed.detector_id, parsed.night, parsed.exposure_id) == (prefix, detector, night, exposure)


@pytest.mark.parametrize(
    "name", ["", "sTMQ120200814.fits", "sTMQ1202013140035775411.fits", "sTMQ1202008140035775417.fits", "x.txt"]
)
def test_wrong_names_are_refused(name):
    with pytest.raises(ParameterError):
        camera.parse_name(name)


def test_compressed_names_are_read():
    assert camera.parse_name("rTMQ2202008140035775441.fits.fz").detector_id == 241


def test_gain_modes_are_told_apart():
    assert [camera.gain_mode(g).name for g in (None, 0.25, 0.9, 2.2)] == ["high", "high", "mid", "low"]
    with pytest.raises(ParameterError, match="positive"):
        camera.gain_mode(0.0)


def test_scintillation_is_half_more_than_youngs_formula():
    """Young's gives 3.5 mmag at the zenith; the median of the sites that Osborn et al. (2015) looked at half more."""
    assert 1.0857 * camera.scintillation(1.0, 0.5) == pytest.approx(1.5 * 0.0038, abs=0.0006)
    assert camera.scintillation(2.0, 0.5) == pytest.approx(2**1.5 * camera.scintillation(1.0, 0.5))
