"""The whole recipe on simulated films of real Gaia stars, against the simulator's truth."""

from dataclasses import replace

import numpy as np
import pytest
from astropy.wcs import WCS

from tests.reduction.conftest import frame_of
from tomoe_explore import schema
from tomoe_explore.data import Masters
from tomoe_explore.errors import CalibrationError, NoMastersError, NoReferenceStarsError
from tomoe_explore.magnitudes import flux_njy
from tomoe_explore.reduction.recipe import reduce_film
from tomoe_explore.schema import Flag

UNUSABLE = Flag.SATURATED | Flag.EDGE | Flag.HOT_PIXEL | Flag.BLENDED


def on_chip(stars, margin=5):
    return stars["x"].between(margin, 1999 - margin) & stars["y"].between(margin, 1127 - margin)


def test_astrometry_is_good_to_a_third_of_an_arcsecond(night):
    for reduction in night.reductions:
        stars = night.of(reduction, "stars")
        stars = stars[on_chip(stars) & (stars["phot_g_mean_mag"] < 16)]
        ra, dec = WCS(reduction.stack.wcs_header).all_pix2world(stars["x"], stars["y"], 0)
        d_ra = (ra - stars["ra"]) * np.cos(np.radians(stars["dec"])) * 3600
        d_dec = (dec - stars["dec"]) * 3600
        assert len(stars) > 100
        assert np.sqrt((d_ra**2).mean()) < 0.3
        assert np.sqrt((d_dec**2).mean()) < 0.3
        assert reduction.stack.astrometric_rms < 0.3


def test_detections_without_a_reference_star_lie_where_the_star_is(night):
    reduction = night.reductions[0]
    sources = frame_of(reduction.tables["sources"])
    strangers = sources[sources["ref_id"].isna() & (sources["flags"] & UNUSABLE == 0)]
    stars = night.of(reduction, "stars")
    assert len(strangers) > 10
    distance = np.hypot(
        strangers["x"].to_numpy()[:, None] - stars["x"].to_numpy(),
        strangers["y"].to_numpy()[:, None] - stars["y"].to_numpy(),
    ).min(axis=1)
    assert np.median(distance) < 0.5


def test_zero_point_follows_from_fluxes(night):
    for reduction in night.reductions:
        stars = measured(night, reduction).query("phot_g_mean_mag_truth < 15.5")
        offset = -2.5 * np.log10(stars["flux"] / stars["flux_truth"])
        assert len(stars) > 50
        assert abs(np.median(offset)) < 0.05
        assert reduction.stack.zeropoint_err < 0.02


def test_zero_point_is_the_simulators_hidden_one(night):
    for reduction in night.reductions:
        hidden = night.hidden[reduction.exposure.exposure_id]["zeropoint"]
        assert abs(reduction.stack.zeropoint - hidden) < 0.05


def measured(night, reduction):
    """Usable non-variable stars with their true mean flux."""
    sources = frame_of(reduction.tables["sources"])
    stars = night.of(reduction, "stars")
    both = sources[sources["ref_id"].notna()].merge(stars, on="ref_id", suffixes=("", "_truth"))
    return both[(both["flags"] & UNUSABLE == 0) & ~both["is_variable"].astype(bool)]


def saturation_mag(night, reduction):
    """Where five stars in a row of magnitudes are unsaturated: a single flag may come from a bright neighbour."""
    sources = frame_of(reduction.tables["sources"])
    stars = sources[sources["ref_id"].notna()].sort_values("phot_g_mean_mag")
    hit = (stars["flags"] & Flag.SATURATED > 0).to_numpy()
    first_clean = np.flatnonzero(np.convolve(~hit, np.ones(5), "valid") == 5)[0]
    return float(stars["phot_g_mean_mag"].iloc[first_clean])


def test_2hz_fluxes_are_unbiased_from_a_magnitude_below_saturation_to_16(night):
    for reduction in night.reductions:
        stars = measured(night, reduction)
        first = saturation_mag(night, reduction) + 1
        n_bins = 0
        for low in np.arange(first, 15.6, 0.5):
            some = stars[stars["phot_g_mean_mag_truth"].between(low, low + 0.5)]
            if len(some) < 5:
                continue
            ratio = np.median(some["flux"] / some["flux_truth"])
            assert abs(ratio - 1) < 0.03, (low, len(some), ratio)
            n_bins += 1
        assert n_bins >= 4


def test_stars_that_lose_light_to_saturation_are_flagged(night):
    for reduction in night.reductions:
        sources = frame_of(reduction.tables["sources"])
        both = sources[sources["ref_id"].notna()].merge(night.of(reduction, "stars"), on="ref_id", suffixes=("", "_t"))
        bright = both[(both["phot_g_mean_mag_t"] < 12.5) & (both["flags"] & (Flag.EDGE | Flag.BLENDED) == 0)]
        clipped = bright["flux"] / bright["flux_t"] < 0.97
        saturated = bright["flags"] & Flag.SATURATED > 0
        assert clipped.sum() >= 5
        assert saturated[clipped].all()
        # a star of 12.2 mag fills its brightest pixel in 3.5 arcsec seeing (TOMOE.md); frames are sharper by chance
        sharpest = night.of(reduction, "frames")["fwhm"].min()
        assert not saturated[bright["phot_g_mean_mag_t"] > 12.6 - 5 * np.log10(sharpest / 3.5)].any()


def test_residuals_are_the_detections_distance_from_the_catalog(night):
    for reduction in night.reductions:
        sources = frame_of(reduction.tables["sources"])
        detected = sources["d_ra"].notna()
        assert detected.sum() > 500
        assert sources["ref_id"].notna()[detected].all()
        bright = sources[detected & (sources["phot_g_mean_mag"] < 15) & (sources["flags"] == 0)]
        for name in ("d_ra", "d_dec"):
            assert abs(bright[name].median()) < 0.02
            assert 0.005 < bright[name].std() < 0.1


def test_a_star_that_the_catalog_has_elsewhere_shows_it(night):
    film, refcat = night.films[0], night.refcat
    sources = frame_of(night.reductions[0].tables["sources"])
    one = sources[sources["d_ra"].notna() & (sources["flags"] == 0)].sort_values("phot_g_mean_mag").iloc[20]
    dec = refcat.dec.copy()
    dec[np.flatnonzero(refcat.source_id == one["ref_id"])] += 1.0 / 3600
    moved = reduce_film(film, night.masters, replace(refcat, dec=dec), reduction_id=1)
    again = frame_of(moved.tables["sources"]).set_index("ref_id").loc[one["ref_id"]]
    assert again["d_dec"] - one["d_dec"] == pytest.approx(-1.0, abs=0.02)
    assert again["d_ra"] == pytest.approx(one["d_ra"], abs=0.02)


def test_a_star_without_colour_is_flagged(night):
    sources = frame_of(night.reductions[0].tables["sources"])
    known = sources["ref_id"].notna()
    without = known & sources["bp_rp"].isna()
    assert 5 < without.sum() < 0.1 * known.sum()
    assert ((sources["flags"] & Flag.NO_COLOR > 0) == without).all()


def test_position_errors_are_true(night):
    for reduction in night.reductions:
        sources = frame_of(reduction.tables["sources"])
        both = sources[sources["ref_id"].notna()].merge(night.of(reduction, "stars"), on="ref_id", suffixes=("", "_t"))
        pull = (both["dec"] - both["dec_t"]) * 3600 / both["dec_err"]
        assert 0.5 < np.sqrt((pull**2).mean()) < 1.3


def test_errors_are_true(night):
    chi2 = np.concatenate([measured(night, r).query("phot_g_mean_mag_truth < 17")["chi2"] for r in night.reductions])
    assert 0.85 < np.median(chi2) < 1.15


def test_mid_times_are_at_the_row(night):
    for reduction in night.reductions:
        movers = night.of(reduction, "mover_positions")
        rows = frame_of(reduction.tables["photometry"])
        frames = night.of(reduction, "frames").set_index("frame")["mjd"]  # at the middle row
        source = rows[rows["source_id"] == rows["source_id"].iloc[0]]
        expected = frames.loc[source["frame"]].to_numpy() + (source["y"] - 563.5) * 0.00041475 / 86400
        assert np.abs(source["mjd"] - expected).max() * 86400e3 < 0.01
        # a mover's truth comes with its own row-dependent times
        exposure = reduction.exposure
        mine = exposure.mid_times(movers["frame"].to_numpy(), movers["y"].to_numpy())
        assert np.abs(mine - movers["mjd"]).max() * 86400e3 < 1.0


def test_frames_follow_the_true_shifts(night):
    for reduction in night.reductions:
        frames, truth = frame_of(reduction.tables["frames"]), night.of(reduction, "frames")
        d = frames["dx"].to_numpy() - truth["dx"].to_numpy()
        # the air tilts images by 0.08 px a frame, alike over some arcminutes only: 18 such patches leave 0.03
        assert np.std(d) < 0.045
        assert np.std(truth["dx"]) > 0.05


def test_the_bright_mover_is_found_once_with_its_motion(night):
    for reduction in night.reductions:
        truth = night.of(reduction, "movers").iloc[0]
        movers = frame_of(reduction.tables["movers"])
        mover = movers.iloc[0]
        assert len(movers) <= 2
        assert (movers["score"].iloc[1:] < 8).all()  # by chance, as their false_alarm tells
        assert abs(mover["rate"] - truth["rate"]) < 0.05 * truth["rate"]
        assert abs((mover["position_angle"] - truth["position_angle"] + 180) % 360 - 180) < 3
        at_mjd = (mover["mjd"] - truth["mjd"]) * 86400
        angle = np.radians(truth["position_angle"])
        d_ra = (mover["ra"] - truth["ra"]) * np.cos(np.radians(truth["dec"])) * 3600
        d_dec = (mover["dec"] - truth["dec"]) * 3600
        assert abs(d_ra - truth["rate"] * np.sin(angle) * at_mjd) < 0.3
        assert abs(d_dec - truth["rate"] * np.cos(angle) * at_mjd) < 0.3
        assert abs(mover["mag"] - truth["mag"]) < 0.06
        detections = frame_of(reduction.tables["mover_detections"])
        assert (detections["mover_id"] == mover["mover_id"]).sum() >= 12


def test_the_variable_stands_out(night):
    variable = night.truth["variables"].iloc[0]
    for reduction in night.reductions:
        sources = frame_of(reduction.tables["sources"])
        good = sources[(sources["flags"] & UNUSABLE == 0) & sources["ref_id"].notna()]
        top = good.sort_values("chi2", ascending=False).iloc[0]
        assert top["ref_id"] == variable["ref_id"]


def test_tables_are_as_the_schema_says(night):
    reduction = night.reductions[0]
    for name, table in reduction.tables.items():
        assert table.schema.equals(schema.TABLES[name].arrow, check_metadata=True)
    photometry = reduction.tables["photometry"]
    assert photometry.num_rows == reduction.tables["sources"].num_rows * 18
    assert np.isfinite(photometry["flux"].to_numpy()).all()


def test_a_reduction_is_reproducible(night):
    again = reduce_film(night.films[0], night.masters, night.refcat, reduction_id=night.reductions[0].reduction_id)
    assert again.tables["photometry"].equals(night.reductions[0].tables["photometry"])


def test_proper_motion_is_applied(night):
    """A catalog ten years older, its stars moved back by their motion, gives the same solution."""
    refcat = night.refcat
    moved = refcat._at(2006.0)
    reduction = reduce_film(night.films[0], night.masters, moved, reduction_id=night.reductions[0].reduction_id)
    here = WCS(night.reductions[0].stack.wcs_header).all_pix2world(1000, 560, 0)
    there = WCS(reduction.stack.wcs_header).all_pix2world(1000, 560, 0)
    assert np.abs(np.array(here) - np.array(there)).max() * 3600 < 0.005


def test_without_a_flat_it_is_flagged(night):
    reduction = reduce_film(night.films[0], Masters(night.masters.dark), night.refcat, reduction_id=1_111_001)
    assert (reduction.tables["photometry"]["flags"].to_numpy() & Flag.NO_FLAT > 0).all()


def test_without_a_dark_it_is_refused(night):
    with pytest.raises(NoMastersError, match=r"no master dark for detector 111"):
        reduce_film(night.films[0], Masters(), night.refcat, reduction_id=1_111_001)


def test_another_detectors_dark_is_refused(night):
    from dataclasses import replace

    dark = replace(night.masters.dark, exposure=replace(night.masters.dark.exposure, detector_id=112))
    with pytest.raises(CalibrationError, match="detector 112"):
        reduce_film(night.films[0], Masters(dark, night.masters.flat), night.refcat, reduction_id=1_111_001)


def test_a_catalog_of_another_field_is_refused(night):
    from dataclasses import replace

    elsewhere = replace(night.refcat, ra=(night.refcat.ra + 40) % 360)
    with pytest.raises(NoReferenceStarsError, match="none within"):
        reduce_film(night.films[0], night.masters, elsewhere, reduction_id=1_111_001)


def test_fluxes_are_on_the_gaia_scale(night):
    stars = measured(night, night.reductions[0]).query("phot_g_mean_mag_truth < 15")
    np.testing.assert_allclose(np.median(stars["flux"] / flux_njy(stars["phot_g_mean_mag_truth"])), 1, atol=0.03)
    np.testing.assert_allclose(np.median(stars["mag"] - stars["phot_g_mean_mag_truth"]), 0, atol=0.03)
