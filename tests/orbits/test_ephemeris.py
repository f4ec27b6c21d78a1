"""Where objects are: against other people's integrations, and the telescope against astropy's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import EarthLocation, get_body_barycentric
from astropy.time import Time

from tests.orbits.known_sky import CERES, MJD, PLACES, write_orbits
from tomoe_explore.camera import ALTITUDE_M, LATITUDE_DEG, LONGITUDE_DEG
from tomoe_explore.orbits.ephemeris import observer, rough, sight, state_of, terrestrial
from tomoe_explore.orbits.mpcorb import read_orbits


@pytest.fixture
def elements(tmp_path: Path) -> np.ndarray:
    return read_orbits(write_orbits(tmp_path / "MPCORB.DAT")).elements


@pytest.mark.parametrize("number", range(len(PLACES)), ids=[place[0] for place in PLACES])
def test_places_and_motions_are_those_of_an_integration_with_de440(elements: np.ndarray, number: int) -> None:
    _, ra, dec, d_ra, d_dec, allowed = PLACES[number]
    for near_d in (0.0, 0.05):  # the state may be known some time before
        mjd_tt = terrestrial(MJD - near_d)
        seen = sight(state_of(elements[number], mjd_tt), mjd_tt, MJD)
        off = 3600 * np.hypot((seen.ra - ra) * np.cos(np.radians(dec)), seen.dec - dec)
        assert off < allowed
        np.testing.assert_allclose([seen.d_ra, seen.d_dec], [d_ra, d_dec], atol=5e-4)


def test_ceres_is_where_skyfield_has_it(tmp_path: Path) -> None:
    """2020 June 17, 0 h: its tests have 23.1437 h, -17.323 deg, seen from the Earth's centre."""
    orbit = read_orbits(write_orbits(tmp_path / "x", (CERES,))).elements[0]
    mjd_tt = terrestrial(59017.0)
    seen = sight(state_of(orbit, mjd_tt), mjd_tt, 59017.0)
    # half of the last digits, and 3.5 arcsec of parallax
    assert abs(seen.ra - 15 * 23.1437) * 3600 < 3 + 4
    assert abs(seen.dec + 17.323) * 3600 < 2 + 4


def test_the_telescope_is_where_astropy_has_it() -> None:
    time = Time(MJD, format="mjd", scale="utc")
    site = EarthLocation.from_geodetic(LONGITUDE_DEG * u.deg, LATITUDE_DEG * u.deg, ALTITUDE_M * u.m)
    earth, sun = (get_body_barycentric(name, time, ephemeris="builtin") for name in ("earth", "sun"))
    place = (earth - sun + site.get_gcrs_posvel(time)[0]).xyz.to_value(u.km)
    here = observer(MJD)
    assert np.abs(here[:3] * 149_597_870.7 - place).max() < 1.0
    later = observer(MJD + 1e-3)
    np.testing.assert_allclose(here[3:], (later[:3] - observer(MJD - 1e-3)[:3]) / 2e-3, atol=1e-8)


def test_rough_places_are_off_by_what_planets_do(elements: np.ndarray) -> None:
    directions, turn, distance = rough(elements, MJD)
    for k, (_, ra, dec, d_ra, d_dec, _) in enumerate(PLACES):
        a, d = np.radians([ra, dec])
        place = np.array([np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)])
        assert np.linalg.norm(directions[k] - place) * distance[k] < 1e-3 * ((MJD - 59000) / 100) ** 2
        rate = np.linalg.norm(turn[k]) * np.degrees(1) * 3600 / 86_400
        assert rate == pytest.approx(np.hypot(d_ra, d_dec), rel=0.1)


def test_an_orbit_there_and_back_is_the_same(elements: np.ndarray) -> None:
    from tomoe_explore.kernels.orbits import disturbed
    from tomoe_explore.orbits.ephemeris import bodies

    table = bodies(59000.0, 59300.0)
    start = state_of(elements[2], 59010.0)
    back = disturbed(disturbed(start, (59010.0, 59250.0), table), (59250.0, 59010.0), table)
    np.testing.assert_allclose(back, start, atol=1e-8)
