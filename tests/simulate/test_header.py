from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from astropy.time import Time

from tomoe_explore import camera
from tomoe_explore.simulate.header import ExposureSetup, raw_header


def test_film_is_what_tomoe_says(small_night) -> None:
    header = small_night.header("films")
    assert header["FMTTYPE"] == "TOMOE-IMAGE-RAW"
    assert (header["NAXIS1"], header["NAXIS2"], header["NAXIS3"], header["BITPIX"]) == (2156, 1128, 8, 16)
    assert header["DET_ID"] == 112
    assert header["QUAD_ID"] == 1
    assert header["DATA-TYP"] == "OBJECT"
    assert (header["TFRAME"], header["EXPTIME1"], header["TRLSTEP1"]) == (0.5, 0.499904, 0.00041475)
    assert header["FILTER"] == "BLANK"
    assert header["TIMESYS"] == "UTC"
    assert header["RADESYS"] == "ICRS"
    name = camera.parse_name(small_night.simulation.films[0].name)
    assert (name.exposure_id, name.detector_id, name.night) == (header["EXP_ID"], 112, "2020-08-14")


def test_files_are_valid_fits(small_night) -> None:
    for path in (*small_night.simulation.films, *small_night.simulation.darks, *small_night.simulation.flats):
        assert path.stat().st_size % 2880 == 0
        with fits.open(path, mode="readonly", disable_image_compression=True) as hdus:
            hdus.verify("exception")
            assert hdus[0].data.dtype == np.dtype(">i2")


def test_utc_exp_precedes_utc_by_five_seconds(small_night) -> None:
    header = small_night.header("films")
    lead = Time(header["UTC"], scale="utc") - Time(header["UTC-EXP"], scale="utc")
    assert lead.to_value("s") == pytest.approx(5.0, abs=1e-6)


def test_calibrations_have_a_pseudo_declination_and_their_own_cadence(small_night) -> None:
    dark, flat = small_night.header("darks"), small_night.header("flats")
    assert float(dark["DEC"].split(":")[0]) > 90
    assert float(flat["DEC"].split(":")[0]) > 90
    assert (dark["DATA-TYP"], dark["TFRAME"]) == ("DARK", 0.5)
    assert (flat["DATA-TYP"], flat["TFRAME"], flat["EXPTIME1"]) == ("FLAT", 1.0, 0.999904)
    assert len({dark["EXP_ID"], flat["EXP_ID"], small_night.header("films")["EXP_ID"]}) == 3


def test_pointing_of_the_header_is_within_an_arcminute_of_the_truth(small_night) -> None:
    from astropy.coordinates import SkyCoord

    header, hidden = small_night.header("films"), small_night.hidden
    told = SkyCoord(header["RA"], header["DEC"], unit=("hourangle", "deg"))
    true = SkyCoord(hidden["projection"]["ra"], hidden["projection"]["dec"], unit="deg")
    assert 1.0 < told.separation(true).arcsec < 46.0


@pytest.mark.parametrize(
    ("ra", "dec", "text"),
    [(0.0, -0.5, "-00:30:00.0"), (359.99999999, 10.0, "+10:00:00.0"), (15.0, -89.5, "-89:30:00.0")],
)
def test_sexagesimal_survives_small_and_rounded_values(ra: float, dec: float, text: str) -> None:
    setup = ExposureSetup(1, "object", "2020-08-14", 0, 1, 0.5, ra, dec, 290.0, 1)
    header = raw_header(setup, 111)
    assert header["DEC"] == text
    assert ":60" not in header["RA"]
