from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tomoe_explore.errors import RefcatError
from tomoe_explore.simulate.stars import Stars, middle, observed_catalog, read_stars, synthetic_stars, with_faint_stars


def test_synthetic_counts_are_realistic() -> None:
    stars = synthetic_stars(1, [(310.0, -12.0)], 1.0)
    assert (stars.mag < 16).sum() / np.pi == pytest.approx(1096, rel=0.06)
    assert len(stars) / np.pi == pytest.approx(4400, rel=0.04)
    assert stars.mag.max() <= 18.5


@pytest.mark.parametrize(("ra", "dec"), [(0.1, 0.0), (200.0, 61.3), (10.0, 89.0), (359.9, -89.5)])
def test_synthetic_sky_has_no_holes(ra: float, dec: float) -> None:
    """Quarters of the circle hold equal numbers, also across RA 0 and near the poles."""
    stars = synthetic_stars(2, [(ra, dec)], 1.0)
    assert len(stars) == pytest.approx(4400 * np.pi, rel=0.05)
    d, a, d0 = np.radians(stars.dec), np.radians(stars.ra - ra), np.radians(dec)
    east = np.cos(d) * np.sin(a)
    north = np.cos(d0) * np.sin(d) - np.sin(d0) * np.cos(d) * np.cos(a)
    quarters = np.histogram(np.arctan2(east, north), bins=4, range=(-np.pi, np.pi))[0]
    assert quarters.min() > 0.9 * len(stars) / 4


def test_synthetic_sky_is_the_same_wherever_one_looks_from() -> None:
    one = synthetic_stars(3, [(310.0, -12.0)], 1.0)
    two = synthetic_stars(3, [(310.5, -12.2), (309.0, -12.0)], 1.0)
    common = set(one.source_id) & set(two.source_id)
    near = one.near([(310.5, -12.2)], 1.0)
    assert set(near.source_id) <= common
    assert len(set(one.source_id)) == len(one)
    assert set(synthetic_stars(4, [(310.0, -12.0)], 1.0).ra) != set(one.ra)


def test_middle_works_across_ra_zero_and_gives_up_on_the_whole_sky(shared_data) -> None:
    seam = synthetic_stars(1, [(359.8, 20.0)], 0.5)
    ra, dec = middle(seam)
    assert abs((ra - 359.8 + 180) % 360 - 180) < 0.03
    assert dec == pytest.approx(20.0, abs=0.03)
    assert middle(read_stars(shared_data / "stars" / "tycho2_vt.parquet")) is None
    dense = read_stars(shared_data / "stars" / "gaia_dr3_ra6.3_dec61.3_g18.5.parquet")
    assert middle(dense) == pytest.approx((6.3068, 61.3255), abs=1e-3)


def test_proper_motion_moves_stars() -> None:
    star = Stars(*(np.array([v]) for v in (1, 1, 10.0, 60.0, 1000.0, -500.0, 2016.0, 12.0, 1.0)))
    ra, dec = star.at(51544.5 + 26 * 365.25)
    assert (ra[0] - 10.0) * 0.5 * 3600 == pytest.approx(10.0, rel=1e-6)
    assert (dec[0] - 60.0) * 3600 == pytest.approx(-5.0, rel=1e-6)


def test_observer_has_errors_and_gaps() -> None:
    stars = synthetic_stars(1, [(310.0, -12.0)], 1.0)
    catalog, known = observed_catalog(1, stars)
    assert 0.003 < 1 - known.mean() < 0.03
    assert known[stars.mag < 15].all()
    seen = catalog.to_pandas().set_index("source_id").loc[stars.source_id[known]]
    true = stars[known]
    east = (seen.ra.to_numpy() - true.ra) * np.cos(np.radians(true.dec)) * 3.6e6
    assert east.std() == pytest.approx(20.0, rel=0.05)
    assert abs(east.mean()) < 1.0
    assert ((seen.dec.to_numpy() - true.dec) * 3.6e6).std() == pytest.approx(20.0, rel=0.05)
    assert (seen.phot_g_mean_mag.to_numpy() - true.mag).std() == pytest.approx(0.01, rel=0.05)


def test_no_star_near_is_an_error() -> None:
    with pytest.raises(RefcatError, match="no star of the table"):
        observed_catalog(1, synthetic_stars(1, [(310.0, -12.0)], 0.2).near([(10.0, 50.0)], 1.0))


def test_faint_stars_fill_a_table_that_ends_bright(shared_data, tmp_path) -> None:
    table = shared_data / "stars" / "gaia_dr2_ra309-318_dec-16--8_g16.parquet"
    bright = read_stars(table).near([(313.0, -12.0)], 1.0)
    faint = synthetic_stars(1, [(313.0, -12.0)], 1.0)
    both = with_faint_stars(bright, faint)
    assert (both.mag < 16.0).sum() == (bright.mag < 16.0).sum()
    jump = ((both.mag > 16.0) & (both.mag < 16.5)).sum() / ((both.mag > 15.5) & (both.mag <= 16.0)).sum()
    assert 1.1 < jump < 1.7
    assert len(np.unique(both.star_id)) == len(both)
    assert len(np.unique(both.source_id)) == len(both)
    assert with_faint_stars(faint, faint) is faint


def test_a_table_without_motions_stands_still(tmp_path) -> None:
    pq.write_table(pa.table({"ra": [10.0], "dec": [5.0], "phot_g_mean_mag": [12.0]}), tmp_path / "s.parquet")
    stars = read_stars(tmp_path / "s.parquet")
    assert stars.at(60000.0)[0][0] == 10.0
    assert np.isnan(stars.bp_rp[0])
