"""Cones against brute force: across RA 0, at the poles, small and large."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.wcs import WCS

from tests.archive.reductions import wcs_header
from tomoe_explore.archive import sky
from tomoe_explore.camera import NX, NY

CENTERS = [(0.0, 0.0), (359.9999, 10.0), (0.0001, -45.0), (123.4, 90.0), (200.0, -90.0), (310.0, 89.99), (45.0, 41.81)]


@pytest.mark.parametrize(("ra", "dec"), CENTERS)
@pytest.mark.parametrize("radius", [0.2 / 3600, 30.0 / 3600, 0.3, 5.0])
def test_ranges_hold_every_point_of_the_cone(ra: float, dec: float, radius: float) -> None:
    rng = np.random.default_rng(1)
    center = SkyCoord(ra, dec, unit="deg")
    points = center.directional_offset_by(
        rng.uniform(0, 360, 2000) * 1.0 * _DEG, 1.5 * radius * np.sqrt(rng.random(2000)) * _DEG
    )
    inside = points.separation(center).deg <= radius
    ours = sky.separation_deg(ra, dec, points.ra.deg, points.dec.deg)
    np.testing.assert_allclose(ours, points.separation(center).deg, atol=1e-9)
    index = sky.healpix_29(points.ra.deg, points.dec.deg)
    ranges = sky.cone_ranges(ra, dec, radius)
    found = np.any([(index >= a) & (index < b) for a, b in ranges], axis=0)
    assert found[inside].all()
    assert len(ranges) < 60
    assert sum(b - a for a, b in ranges) * _PIXEL_DEG2 < 4 * np.pi * radius**2  # not much more than the cone itself


_DEG = __import__("astropy.units", fromlist=["deg"]).deg
_PIXEL_DEG2 = 41252.96 / (12 * 4.0**29)


@pytest.mark.parametrize(("ra", "dec"), [(0.05, 0.0), (310.0, -12.0), (10.0, 89.9), (10.0, -89.9)])
def test_footprint_distance_is_that_of_the_detector(ra: float, dec: float) -> None:
    wcs = WCS(wcs_header(ra, dec))
    corners = wcs.all_pix2world([-0.5, NX - 0.5, NX - 0.5, -0.5], [-0.5, -0.5, NY - 0.5, NY - 0.5], 0)
    outline = sky.footprint(*[c.tolist() for c in corners])
    rng = np.random.default_rng(2)
    x, y = rng.uniform(-500, NX + 500, 300), rng.uniform(-500, NY + 500, 300)
    ras, decs = wcs.all_pix2world(x, y, 0)
    beyond = np.hypot(
        np.maximum(np.abs(x - (NX - 1) / 2) - NX / 2, 0), np.maximum(np.abs(y - (NY - 1) / 2) - NY / 2, 0)
    )
    distance = np.array([sky.footprint_distances_deg(a, d, [outline])[0] for a, d in zip(ras, decs, strict=True)])
    np.testing.assert_allclose(distance, beyond * 1.189 / 3600, atol=2e-5)
    assert ((distance == 0) == (beyond == 0)).all()
    assert 179 < sky.footprint_distances_deg((ra + 180) % 360, -dec, [outline])[0] < 180


@pytest.mark.parametrize("away", [10.0, 30.0, 83.0, 120.0, 170.0])
def test_distances_are_angles_however_far(away: float) -> None:
    outline = sky.footprint([9.9, 10.1, 10.1, 9.9], [0.1, 0.1, -0.1, -0.1])
    assert sky.footprint_distances_deg(10.1 + away, 0.0, [outline])[0] == pytest.approx(away, abs=1e-3)
    ends = [np.array([9.0]), np.array([0.0]), np.array([10.0]), np.array([0.0])]
    assert sky.streak_distance_deg(10.0 + away, 0.0, ends)[0] == pytest.approx(away, abs=1e-3)


def test_the_widest_cones_lose_nothing() -> None:
    assert sky.cone_ranges(0.0, 0.0, 148.766) == [(0, 12 << 58)]
    assert len(sky.cone_cells(0.0, 0.0, 180.0, 5)) == 12 * 4**5


def test_streaks_near_a_position() -> None:
    ends = [
        np.array([359.9, 10.0, 180.0]),
        np.array([-0.1, 0.0, 0.0]),
        np.array([0.1, 11.0, 181.0]),
        np.array([0.1, 0.0, 0.0]),
    ]
    distance = sky.streak_distance_deg(0.0, 0.0, ends)
    assert distance[0] == pytest.approx(0.0, abs=1e-6)
    assert distance[1] == pytest.approx(10.0, rel=1e-3)
    assert distance[2] == pytest.approx(179.0)
