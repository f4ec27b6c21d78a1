"""The solver on a real field of unknown origin, and on injected distortion."""

import numpy as np
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from tomoe_explore.camera import NX, NY, PIXEL_SCALE
from tomoe_explore.data import Refcat, Stack
from tomoe_explore.errors import AstrometryError, NoReferenceStarsError
from tomoe_explore.reduction.astrometry import solve
from tomoe_explore.reduction.detect import detect
from tomoe_explore.reduction.values import Detections
from tomoe_explore.refcat import read_refcat, standard_columns, write_refcat


def make_refcat(ra, dec, mag, name="truth"):
    order = np.argsort(dec)
    n = len(ra)
    zero = np.zeros(n, np.float32)
    return Refcat(name, "", np.arange(n), ra[order], dec[order], mag[order].astype(np.float32), zero, zero,
                  np.full(n, 2016.0), zero)  # fmt: skip


def make_detections(x, y, flux):
    order = np.argsort(-flux)
    n = len(x)
    ones = np.ones(n, np.float32)
    none = np.zeros((2, 2))
    return Detections(x[order], y[order], flux[order].astype(np.float32), ones, 3 * ones, 0 * ones, np.zeros(n, bool),
                      none.astype(bool), none.astype(np.float32))  # fmt: skip


@pytest.fixture(scope="module")
def tycho(shared_data, tmp_path_factory):
    path = tmp_path_factory.mktemp("tycho") / "tycho.parquet"
    stars = pq.read_table(shared_data / "stars" / "tycho2_vt.parquet")
    near = np.abs(stars["dec_udeg"].to_numpy() / 1e6 - 38) < 2
    write_refcat(standard_columns(stars.filter(near)), path)
    return read_refcat(path)


@pytest.mark.parametrize(("d_ra", "d_dec"), [(3.0, 0.0), (0.0, -3.0), (-2.1, 2.1), (0.0, 0.0)])
def test_the_unsolved_field_is_solved_from_three_arcminutes_off(shared_data, tycho, d_ra, d_dec):
    path = shared_data / "images" / "unsolved-field-tycho2-ra305-dec38.fits.fz"
    image = fits.getdata(path, 1, memmap=False).astype(np.float32)
    sigma = 1.4826 * np.median(np.abs(image - np.median(image)))
    stack = Stack(image, np.full(image.shape, sigma**2, np.float32), np.zeros(image.shape, np.uint8), 1)
    center = (305 + d_ra / 60 / np.cos(np.radians(38)), 38 + d_dec / 60)
    solution = solve(detect(stack), tycho.near(*center, 0.6), center)
    ra, dec = WCS(solution.wcs_header).all_pix2world((NX - 1) / 2, (NY - 1) / 2, 0)
    assert np.hypot((ra - 305) * np.cos(np.radians(38)), dec - 38) * 3600 < 1.0
    assert solution.rms < 0.3


def distorted_field(seed, n=300, angle_deg=0.7, offset=(0.05, -0.03)):
    """Stars on a detector with a cubic distortion of some pixels; noise 0.05 px; strangers on either side."""
    rng = np.random.default_rng(seed)
    u, v = rng.uniform(-NX / 2, NX / 2, n), rng.uniform(-NY / 2, NY / 2, n)
    a = np.radians(angle_deg)
    r2 = (u**2 + v**2) / 1e6
    ud, vd = u * (1 + 0.002 * r2), v * (1 + 0.002 * r2)
    xi = -(np.cos(a) * ud + np.sin(a) * vd) * PIXEL_SCALE / 3600
    eta = (-np.sin(a) * ud + np.cos(a) * vd) * PIXEL_SCALE / 3600
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval = ["RA---TAN", "DEC--TAN"], [312.0 + offset[0], -12.0 + offset[1]]
    ra, dec = wcs.all_pix2world(xi, eta, 1)
    flux = 10 ** rng.uniform(2, 4.5, n)
    mag = 22 - 2.5 * np.log10(flux) + rng.normal(0, 0.05, n)
    x = u + (NX - 1) / 2 + rng.normal(0, 0.05, n)
    y = v + (NY - 1) / 2 + rng.normal(0, 0.05, n)
    seen = rng.random(n) < 0.8
    known = rng.random(n) < 0.8
    return (
        make_detections(x[seen], y[seen], flux[seen]),
        make_refcat(ra[known], dec[known], mag[known]),
        (ra, dec, x, y),
    )


@pytest.mark.parametrize("seed", range(5))
def test_distortion_rotation_and_offset_are_found(seed):
    detections, refcat, (ra, dec, x, y) = distorted_field(seed)
    solution = solve(detections, refcat, (312.0, -12.0))
    ra_fit, dec_fit = WCS(solution.wcs_header).all_pix2world(x, y, 0)
    error = np.hypot((ra_fit - ra) * np.cos(np.radians(dec)), dec_fit - dec) * 3600
    assert np.sqrt((error**2).mean() / 2) < 0.12
    assert solution.offset[2] == pytest.approx(0.7, abs=0.02)
    assert "SIP" in solution.wcs_header["CTYPE1"]


def test_the_header_works_both_ways():
    detections, refcat, (_, _, x, y) = distorted_field(9)
    wcs = WCS(solve(detections, refcat, (312.0, -12.0)).wcs_header)
    back = wcs.all_world2pix(*wcs.all_pix2world(x, y, 0), 0)
    np.testing.assert_allclose(back, [x, y], atol=1e-4)


def test_strangers_are_refused():
    detections, _, _ = distorted_field(1)
    _, other, _ = distorted_field(2)
    with pytest.raises(AstrometryError, match=r"no match|agree"):
        solve(detections, other, (312.0, -12.0))


def test_too_few_stars_are_named():
    detections, refcat, _ = distorted_field(1)
    few = make_refcat(refcat.ra[:3], refcat.dec[:3], refcat.mag[:3])
    with pytest.raises(NoReferenceStarsError, match="at least 6"):
        solve(detections, few, (312.0, -12.0))
