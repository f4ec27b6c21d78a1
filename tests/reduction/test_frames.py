"""Films with lost frames, without values in places, very short and very long ones."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from tests.reduction.conftest import frame_of
from tests.reduction.field import Arrays, Endless
from tomoe_explore import errors
from tomoe_explore.camera import NX, NY
from tomoe_explore.reduction.frames import FrameWatch, fill_holes, stand_in
from tomoe_explore.schema import Flag


def zero(adu, n):
    adu[n] = 0


def constant(adu, n):
    adu[n] = 331


def copied(adu, n):
    adu[n] = adu[n - 1]


def broken_off(adu, n):
    adu[n, 400:] = 0


@pytest.fixture(scope="module")
def clean(field):
    return field.reduce(field.edited())


@pytest.mark.parametrize("fault", [zero, constant, copied, broken_off])
def test_a_lost_frame_is_left_out_and_named(field, clean, fault):
    adu = field.adu.copy()
    fault(adu, 3)
    reduction = field.reduce(field.edited(lambda _: adu))
    assert reduction.stack.n_frames == 4
    assert reduction.stack.lost == (3,)
    frames, photometry, sources = (frame_of(reduction.tables[n]) for n in ("frames", "photometry", "sources"))
    assert frames["flags"].tolist() == [0, 0, 0, Flag.LOST_FRAME, 0, 0]
    assert np.flatnonzero(np.isnan(frames["transparency"])).tolist() == [3]
    assert sorted(photometry["frame"].unique()) == [0, 1, 2, 4, 5]
    assert np.isfinite(photometry[["flux", "flux_err", "background"]]).all(axis=None)
    assert (sources["n_frames"] == 4).all()
    # what is left is what it was: the stack against the one of all frames, in its noise
    assert reduction.stack.zeropoint == pytest.approx(clean.stack.zeropoint, abs=0.01)
    assert reduction.stack.sky == pytest.approx(clean.stack.sky, abs=1.0)
    both = photometry.merge(frame_of(clean.tables["photometry"]), on=["ref_id", "frame"], suffixes=("", "_clean"))
    bright = both[both["ref_id"].notna() & (both["flux"] > 50 * both["flux_err"]) & (both["flags"] == 0)]
    assert len(bright) > 300
    np.testing.assert_allclose(bright["mjd"], bright["mjd_clean"], rtol=0, atol=2e-9)  # 0.2 ms
    assert abs(np.median(bright["flux"] / bright["flux_clean"]) - 1) < 0.005


def test_a_film_of_which_little_is_left_is_refused(field):
    def lose(adu):
        adu[[1, 4, 5]] = 0
        return adu

    with pytest.raises(errors.LostFramesError, match=r"3 of 6 frames were recorded .* at least 3 after the first"):
        field.reduce(field.edited(lose))


def test_a_film_without_an_unsaturated_pixel_is_twilight_not_lost(field):
    with pytest.raises(errors.TwilightError, match="every pixel is saturated"):
        field.reduce(field.edited(lambda adu: np.full_like(adu, 32_000)))


def test_the_watch_sees_over_the_edge_of_blocks():
    frames = np.random.default_rng(2).normal(size=(6, NY, NX)).astype(np.float32)
    frames[2] = frames[1]
    frames[5, 900:] = np.nan
    watch = FrameWatch(0, 0)
    seen = [watch.see(frames[start : start + 2]).tolist() for start in (0, 2, 4)]
    assert seen == [[True, True], [False, True], [True, False]]


def test_lost_frames_are_stood_in_for(field):
    recorded = np.array([True, False, True, True, True, False])
    film = stand_in(field.edited(), recorded)
    whole = field.edited().source.read(0, 6)
    np.testing.assert_array_equal(film.source.read(0, 6), whole[[0, 0, 2, 3, 4, 4]])
    np.testing.assert_array_equal(film.source.read(5, 6), whole[[4]])
    assert stand_in(film, np.ones(6, bool)) is film


def cube(field, edit=lambda adu: None):
    """A calibrated float film of the same frames."""
    adu = ((field.adu - field.masters.dark.pixels) / field.masters.flat.pixels).astype(np.float32)
    edit(adu)
    return replace(field.edited(), source=Arrays(adu), calibrated=True)


def test_holes_of_a_calibrated_film_are_masked(field, clean):
    def puncture(adu):
        adu[2, 300:304, 100:1900] = np.nan
        adu[:, 700, :] = np.inf
        adu[4] = np.nan  # a whole frame

    reduction = field.reduce(cube(field, puncture))
    assert reduction.stack.lost == (4,)
    assert (reduction.stack.mask[300:304, 100:1900] & 1).all() and (reduction.stack.mask[700] & 1).all()
    assert np.isfinite(reduction.stack.image).all() and np.isfinite(reduction.stack.variance).all()
    tables = {name: frame_of(reduction.tables[name]) for name in ("photometry", "sources", "frames")}
    assert np.isfinite(tables["photometry"][["flux", "flux_err", "background"]]).all(axis=None)
    near = tables["sources"]["y"].between(298, 305) & tables["sources"]["x"].between(105, 1890)
    assert near.sum() >= 3
    assert (tables["sources"][near]["flags"] & Flag.HOT_PIXEL > 0).all()
    assert reduction.stack.zeropoint == pytest.approx(clean.stack.zeropoint, abs=0.01)


@pytest.mark.parametrize(("part", "passes"), [(0.045, True), (0.055, False)])
def test_too_many_holes_are_refused(field, part, passes):
    def puncture(adu):
        adu[1][np.random.default_rng(3).random((NY, NX)) < part] = np.nan

    film = cube(field, puncture)
    if passes:
        filled, holes = fill_holes(film)
        assert holes.mean() == pytest.approx(part, rel=0.02)
        assert np.isfinite(filled.source.read(0, 6)).all()
    else:
        with pytest.raises(errors.HolesError, match=r"5\.5% of the pixels have no value"):
            fill_holes(film)


def test_a_raw_film_has_no_holes_and_is_given_back(field):
    film = field.edited()
    same, holes = fill_holes(film)
    assert same is film
    assert not holes.any()


def long_film(field, n_frames):
    """Stars of the field on an even sky, with noise that is never twice the same at a pixel."""
    mean = field.adu.mean(axis=0)
    sky = np.median(mean[::8, ::8])
    smooth = gaussian_filter(mean, 1.5)
    stars = np.where(smooth > sky + 30, mean, sky)
    noise = np.random.default_rng(4).normal(0, np.sqrt(sky / field.gain), 4 * NY * NX)
    film = field.edited()
    source = Endless(stars.astype(np.int16), np.rint(noise).astype(np.int16))
    return replace(film, exposure=replace(film.exposure, n_frames=n_frames), source=source)


@pytest.mark.parametrize("n_frames", [54, pytest.param(360, marks=pytest.mark.slow)])
def test_memory_does_not_grow_with_the_film(field, n_frames):
    def reduce(n):
        tracemalloc.start()
        reduction = field.reduce(long_film(field, n))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak, reduction

    (short, _), (long, reduction) = reduce(18), reduce(n_frames)
    rows = reduction.tables["photometry"].num_rows
    assert rows == n_frames * reduction.tables["sources"].num_rows
    assert long - short < 500 * rows  # some bytes a row of the tables; 54 frames would be 244 MB, 360 1,624 MB
    assert reduction.stack.n_frames == n_frames - 1
