from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy import stats

from tomoe_explore.errors import RefcatError
from tomoe_explore.simulate.observer import MAG_ERROR, POSITION_ERROR_MAS, catalog_error, observed_catalog
from tomoe_explore.simulate.stars import (
    Stars,
    depth,
    middle,
    read_stars,
    synthetic_stars,
    with_colors,
    with_faint_stars,
)


def test_synthetic_counts_are_realistic() -> None:
    stars = synthetic_stars(1, [(310.0, -12.0)], 1.0)
    assert (stars.mag < 16).sum() / np.pi == pytest.approx(1096, rel=0.06)
    assert (stars.mag < 18.5).sum() / np.pi == pytest.approx(4400, rel=0.04)
    assert len(stars) / np.pi == pytest.approx(8472, rel=0.03)
    assert stars.mag.max() <= 20.0


def test_colors_are_as_wide_as_gaias_and_redder_for_the_faint(shared_data) -> None:
    """To the sixteenth magnitude real Gaia stars tell; fainter ones are to be redder."""
    table = shared_data / "stars" / "gaia_dr2_ra309-318_dec-16--8_g16.parquet"
    real = read_stars(table).bp_rp
    real = real[np.isfinite(real)]
    stars = synthetic_stars(1, [(310.0, -12.0)], 1.0)
    bright = stars.bp_rp[stars.mag < 16]
    if len(real):
        assert np.median(bright) == pytest.approx(np.median(real), abs=0.15)
        assert bright.std() == pytest.approx(real.std(), rel=0.3)
    assert stars.bp_rp[stars.mag > 19].mean() > bright.mean() + 0.1


@pytest.mark.parametrize(("ra", "dec"), [(0.1, 0.0), (200.0, 61.3), (10.0, 89.0), (359.9, -89.5)])
def test_synthetic_sky_has_no_holes(ra: float, dec: float) -> None:
    """Quarters of the circle hold equal numbers, also across RA 0 and near the poles."""
    stars = synthetic_stars(2, [(ra, dec)], 1.0)
    assert len(stars) == pytest.approx(8472 * np.pi, rel=0.05)
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


def test_observer_has_gaps_an_end_and_errors_that_grow() -> None:
    stars = synthetic_stars(1, [(310.0, -12.0)], 1.0)
    catalog, known = observed_catalog(1, stars)
    within = stars.mag <= 18.5
    assert 0.003 < 1 - known[within].mean() < 0.03
    assert known[stars.mag < 15].all()
    assert not known[~within].any()
    seen = catalog.to_pandas().set_index("source_id").loc[stars.source_id[known]]
    true = stars[known]
    assert seen.bp_rp.isna().mean() == pytest.approx(0.02, abs=0.005)
    assert np.array_equal(seen.bp_rp.dropna(), true.bp_rp[seen.bp_rp.notna()].astype(np.float32))
    pulls = {
        "ra": (seen.ra.to_numpy() - true.ra) * np.cos(np.radians(true.dec)) * 3.6e6,
        "dec": (seen.dec.to_numpy() - true.dec) * 3.6e6,
    }
    for residual in pulls.values():
        pull = residual / catalog_error(POSITION_ERROR_MAS, true.mag)
        assert pull.std() == pytest.approx(1.0, rel=0.03)
        assert residual[true.mag > 18].std() > 5 * residual[true.mag < 14].std()
    pull = (seen.phot_g_mean_mag.to_numpy() - true.mag) / catalog_error(MAG_ERROR, true.mag)
    assert pull.std() == pytest.approx(1.0, rel=0.03)


def test_a_drawn_color_is_unknown_to_the_observer_and_the_stars_own() -> None:
    stars = synthetic_stars(1, [(310.0, -12.0)], 0.5)
    unknown = Stars(*(getattr(stars, n) for n in list(Stars.__dataclass_fields__)[:-1]), np.full(len(stars), np.nan))
    colored = with_colors(1, unknown)
    some = with_colors(1, unknown[10:20])
    assert np.array_equal(some.bp_rp, colored.bp_rp[10:20])
    assert np.abs(np.corrcoef(colored.bp_rp, stars.bp_rp)[0, 1]) < 0.05
    assert stats.ks_2samp(colored.bp_rp, stars.bp_rp).pvalue > 1e-3
    catalog, _ = observed_catalog(1, colored, np.zeros(len(stars), dtype=bool))
    assert catalog["bp_rp"].null_count == catalog.num_rows


def test_no_star_near_is_an_error() -> None:
    with pytest.raises(RefcatError, match="no star of the table"):
        observed_catalog(1, synthetic_stars(1, [(310.0, -12.0)], 0.2).near([(10.0, 50.0)], 1.0))


@pytest.mark.parametrize(
    ("name", "center", "ends", "per_degree"),
    [
        ("gaia_dr2_ra309-318_dec-16--8_g16", (313.0, -12.0), 16.0, 1090),
        ("gaia_dr3_ra6.3_dec61.3_g18.5", (6.3, 61.33), 18.5, 24800),
    ],
)
def test_faint_stars_continue_a_table_at_its_density(shared_data, name, center, ends, per_degree) -> None:
    table = read_stars(shared_data / "stars" / f"{name}.parquet")
    complete, density = depth(table)
    assert complete == ends
    assert density * synthetic_counts(ends) == pytest.approx(per_degree, rel=0.2)
    both = with_faint_stars(table, 1, [center], 0.2)
    near = table.near([center], 0.2)
    assert (both.mag <= ends).sum() == len(near)
    added, last = ((both.mag > low) & (both.mag <= low + 0.5) for low in (ends, ends - 0.5))
    assert added.sum() / last.sum() == pytest.approx(1.25, abs=0.3)
    assert both.mag.max() == pytest.approx(20.0, abs=0.01)
    assert len(np.unique(both.star_id)) == len(np.unique(both.source_id)) == len(both)


def synthetic_counts(mag: float) -> float:
    return 10 ** (3.04 + 0.27 * (mag - 16) - 0.012 * (mag - 16) ** 2)


def test_a_table_that_is_deep_enough_stays_as_it_is() -> None:
    deep = synthetic_stars(1, [(313.0, -12.0)], 0.5)
    assert len(with_faint_stars(deep, 1, [(313.0, -12.0)], 0.4)) == len(deep.near([(313.0, -12.0)], 0.4))


def test_a_table_without_motions_stands_still(tmp_path) -> None:
    pq.write_table(pa.table({"ra": [10.0], "dec": [5.0], "phot_g_mean_mag": [12.0]}), tmp_path / "s.parquet")
    stars = read_stars(tmp_path / "s.parquet")
    assert stars.at(60000.0)[0][0] == 10.0
    assert np.isnan(stars.bp_rp[0])
