"""Which known object a mover is: those that are, those that only lie near, and a catalog of many."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.orbits.known_sky import MJD, PLACES, write_orbits
from tomoe_explore.orbits.identify import Finder, Mover
from tomoe_explore.orbits.mpcorb import Orbits, read_orbits


@pytest.fixture
def finder(tmp_path: Path) -> Finder:
    return Finder(read_orbits(write_orbits(tmp_path / "MPCORB.DAT")))


def mover(number: int, *, d_ra: float = 0.0, d_dec: float = 0.0) -> Mover:
    """An object seen where it is, or some arcsec off."""
    _, ra, dec, east, north, _ = PLACES[number]
    angle = float(np.degrees(np.arctan2(east, north)) % 360)
    ra, dec = ra + d_ra / 3600 / np.cos(np.radians(dec)), dec + d_dec / 3600
    return Mover(MJD, ra, dec, float(np.hypot(east, north)), angle, 0.3, 0.01)


@pytest.mark.parametrize("number", range(len(PLACES)), ids=[place[0] for place in PLACES])
def test_known_objects_are_known(finder: Finder, number: int) -> None:
    (found,) = finder.identify([mover(number, d_ra=3.0)])
    assert found is not None
    assert found.name == PLACES[number][0]
    assert found.separation == pytest.approx(3.0, abs=1.5)


def test_what_lies_elsewhere_or_moves_otherwise_is_not_known(finder: Finder) -> None:
    there = mover(2)
    others = [
        mover(2, d_dec=60.0), replace(there, rate=3.0), replace(there, position_angle=there.position_angle + 180),
        replace(there, mjd=MJD + 0.01), replace(there, dec=-there.dec),
    ]  # fmt: skip
    assert finder.identify(others) == [None] * len(others)
    assert finder.identify([]) == []


def test_without_a_rate_the_place_counts(finder: Finder) -> None:
    (found,) = finder.identify([replace(mover(3), rate=np.nan, position_angle=np.nan, rate_err=np.nan)])
    assert found is not None and found.name == "2020 XB2"


def test_movers_of_one_film_share_a_search_and_get_their_own_answers(finder: Finder) -> None:
    near = mover(2)
    film = [near, replace(near, ra=near.ra + 0.2), mover(2, d_ra=-4.0)]
    assert [found and found.name for found in finder.identify(film)] == ["2020 XA1", None, "2020 XA1"]


def test_an_uncertain_orbit_has_a_wider_radius(finder: Finder) -> None:
    off = mover(4, d_dec=60.0)
    assert finder.identify([off]) == [None]
    vague = replace(finder.orbits, runoff=np.full(5, 10.0, np.float32))
    (found,) = Finder(vague).identify([off])
    assert found is not None and found.name == "2020 XC3"


def test_a_whole_catalog_costs_milliseconds_a_film(finder: Finder) -> None:
    """Of 300,000 objects of the main belt the few that matter are found; all are looked at once."""
    import time

    rng, n = np.random.default_rng(1), 300_000
    belt = np.stack([
        np.full(n, 59000.0), *(rng.uniform(0, 2 * np.pi, n) for _ in range(3)), rng.rayleigh(0.12, n),
        np.minimum(rng.rayleigh(0.1, n), 0.5), rng.uniform(2.1, 3.4, n),
    ], axis=1)  # fmt: skip
    orbits = Orbits(
        np.concatenate([finder.orbits.packed, np.full(n, b"99999  ")]), np.concatenate([finder.orbits.elements, belt]),
        np.zeros(n + 5, np.float32),
    )  # fmt: skip
    many = Finder(orbits)
    assert many.identify([mover(0)])[0] is not None
    start = time.process_time()
    names = [found.name if found else "" for k in range(25) for found in many.identify([mover(2, d_dec=0.1 * k)])]
    assert names == ["2020 XA1"] * 25
    assert (time.process_time() - start) / 25 < 0.05  # some ms; a tenth of a second would be felt
