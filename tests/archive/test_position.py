"""Positions, radii, nights and ids as people write them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from hypothesis import given
from hypothesis import strategies as st

from tomoe_explore.archive.position import parse_ids, parse_nights, parse_position, parse_radius
from tomoe_explore.errors import ParameterError

TARGET = SkyCoord("20h40m12.3s", "-12d00m05s")


@pytest.mark.parametrize(
    "text",
    [
        "20 40 12.3 -12 00 05", "20:40:12.3 -12:00:05", "20h40m12.3s -12d00m05s", "20h40m12.3s, -12°00′05″",
        "20 40 12.3, -12 00 05", "20:40:12.3-12:00:05", "310.05125 -12.0013888889", "310.05125, -12.0013888889",
        "310.05125-12.0013888889", "310.05125d -12.0013888889d", "J2000 20 40 12.3 −12 00 05",
        "20h40.205m -12d00.08333333m",
        "J204012.3-120005", "20h40m12.3s -12d0m5s", "  20  40 12.3  -12  0 5 ",
    ],
)  # fmt: skip
def test_usual_forms(text: str) -> None:
    ra, dec = parse_position(text)
    assert SkyCoord(ra, dec, unit="deg").separation(TARGET).arcsec < 0.01


@pytest.mark.parametrize(
    "value",
    [
        TARGET,
        TARGET.galactic,
        (310.05125, -12.0013888889),
        [310.05125 * u.deg, -12.0013888889 * u.deg],
        (20.67008333333 * u.hourangle, -12.0013888889 * u.deg),
        (TARGET.ra.to(u.rad), TARGET.dec.to(u.rad)),
        (TARGET.ra, TARGET.dec),
        (310.05125, -12.0013888889) * u.deg,
        np.array([310.05125, -12.0013888889]),
    ],
)
def test_objects(value: Any) -> None:
    ra, dec = parse_position(value)
    assert SkyCoord(ra, dec, unit="deg").separation(TARGET).arcsec < 0.01


@pytest.mark.parametrize(
    "value",
    ["M31", "Barnard's star", "20 40", "20 40 61 -12 00 05", "310 -95", "400 10", "nan nan", "",
      "1 2 3", (1.0,), 7, None,
     (float("nan"), 0.0), (310.0 * u.m, -12.0 * u.m), SkyCoord([1, 2], [3, 4], unit="deg"), "20 40 12.3 -12 75 05"],
)  # fmt: skip
def test_what_is_no_position(value: Any) -> None:
    if value == "20 40":  # two numbers are degrees
        assert parse_position(value) == (20.0, 40.0)
        return
    with pytest.raises(ParameterError):
        parse_position(value)


def test_sign_of_small_declinations() -> None:
    assert parse_position("00 00 00 -00 00 36") == (0.0, -0.01)
    assert parse_position("359.9999999 +0.5")[1] == 0.5
    assert parse_position((-10.0, 0.0)) == (350.0, 0.0)


@given(st.floats(0, 359.99), st.floats(-89.99, 89.99))
def test_astropy_writes_what_is_read(ra: float, dec: float) -> None:
    coordinate = SkyCoord(ra, dec, unit="deg")
    for style, separator in (("hmsdms", "fromunit"), ("hmsdms", ":"), ("hmsdms", " "), ("decimal", None)):
        options = {} if separator is None else {"sep": separator}
        text = coordinate.to_string(style, precision=6, **({} if separator == "fromunit" else options))
        back = SkyCoord(*parse_position(text), unit="deg")
        assert back.separation(coordinate).arcsec < 0.01, text


@pytest.mark.parametrize(
    ("radius", "degrees"),
    [
        ("3 arcsec", 3 / 3600),
        ("15arcmin", 0.25),
        ('36"', 0.01),
        ("6'", 0.1),
        ("0.5 deg", 0.5),
        (6 * u.arcmin, 0.1),
        ("0 deg", 0),
    ],
)
def test_radius(radius: Any, degrees: float) -> None:
    assert parse_radius(radius) == pytest.approx(degrees)


@pytest.mark.parametrize(
    "radius", ["3", 3, "3 parsec", "-3 arcsec", "", "200 deg", 3 * u.s, float("nan"), None, "arcsec"]
)
def test_what_is_no_radius(radius: Any) -> None:
    with pytest.raises(ParameterError, match="radius"):
        parse_radius(radius)


def test_nights_and_ids() -> None:
    assert parse_nights("2020-08-14") == ("2020-08-14", "2020-08-14")
    for wrong in ("2020-8-14", "20200814", "2020-02-30", "2020-08-15:2020-08-14", "tonight", "2020-08-14:x"):
        with pytest.raises(ParameterError, match="night"):
            parse_nights(wrong)
    assert parse_ids("exposure_id", (1, "2", np.int64(3), 4.0)) == [1, 2, 3, 4]
    assert parse_ids("exposure_id", np.array(112)) == [112]
    assert parse_ids("exposure_id", []) == []
    for wrong_id in ("x", 1.5, [None], np.float32(112.5), float("inf"), float("nan"), 10**30, "1" * 30, ["1.5"]):
        with pytest.raises(ParameterError, match="exposure_id"):
            parse_ids("exposure_id", wrong_id)
