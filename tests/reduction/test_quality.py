"""Every gate with a film on either side of it, and the frames that are flagged."""

from dataclasses import replace

import numpy as np
import pytest
from astropy.wcs import WCS
from scipy.ndimage import gaussian_filter, uniform_filter1d

from tests.reduction.conftest import frame_of
from tomoe_explore import errors
from tomoe_explore.camera import GAIN_MODES, NX, NY, PIXEL_SCALE
from tomoe_explore.data import Stack
from tomoe_explore.limits import LIMITS, Limits
from tomoe_explore.reduction import recipe
from tomoe_explore.reduction.calibrate import calibrate
from tomoe_explore.reduction.detect import detect
from tomoe_explore.reduction.epoch import check_epoch
from tomoe_explore.reduction.quality import check_noise, check_sky, frame_flags, sky_mag, star_image
from tomoe_explore.schema import Flag

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture(scope="module")
def clear(field):
    """The film as it is."""
    return field.reduce(field.edited())


def test_a_good_film_has_no_flags(clear):
    assert (clear.tables["frames"]["flags"].to_numpy() == 0).all()
    assert clear.stack.lost == ()


# --- dome -----------------------------------------------------------------------------------------
def test_a_closed_dome_is_called_so(field):
    film = field.edited(lambda adu: field.dark_adu)
    with pytest.raises(errors.DomeError, match=r"the darkest one at least 8, and \d+ stars are seen"):
        field.reduce(film)


@pytest.mark.parametrize(("e_s", "error"), [(6.5, errors.DomeError), (9.5, errors.CloudError)])
def test_a_sky_without_stars_is_cloud_and_darkness_the_dome(field, e_s, error):
    light = e_s * field.film.exposure.exptime1_s / field.gain
    with pytest.raises(error):
        field.reduce(field.edited(lambda adu: field.lit(field.dark_adu, light)))


def test_stars_on_a_sky_taken_off_are_no_closed_dome(field, clear):
    """Their noise gives them away."""
    with pytest.raises(errors.NoiseError, match="sky subtracted already"):
        field.reduce(field.edited(lambda adu: (adu - np.float32(clear.stack.sky))[:4]))


# --- noise ----------------------------------------------------------------------------------------
@pytest.mark.parametrize(("factor", "passes"), [(1.2, True), (1.4, False), (0.82, True), (0.7, False)])
def test_noise_that_the_gain_does_not_explain(field, factor, passes):
    prepared = recipe._prepare(field.edited(), field.masters, recipe.Parameters())
    offset = np.zeros((6, 4, 8), np.float32)
    assert check_noise(prepared, offset) == pytest.approx(1.0, abs=0.03)
    expected = prepared.stack.variance / np.float32(factor**2)
    noisier = replace(prepared, stack=replace(prepared.stack, variance=expected))
    if passes:
        assert check_noise(noisier, offset) == pytest.approx(factor, rel=0.03)
    else:
        with pytest.raises(errors.NoiseError, match="another gain mode"):
            check_noise(noisier, offset)


def test_a_sky_that_changes_is_no_noise(field, clear):
    """By three times its noise, as thin cloud in moonlight does."""
    change = np.array([0, 40, -60, 120, 20, -90], np.float32)[:, None, None]
    again = field.reduce(field.edited(lambda adu: adu + change))
    assert again.stack.zeropoint == pytest.approx(clear.stack.zeropoint, abs=0.02)


# --- twilight -------------------------------------------------------------------------------------
@pytest.mark.parametrize(("part", "passes"), [(0.39, True), (0.42, False)])
def test_twilight(field, clear, part, passes):
    full = GAIN_MODES["high"].safe_adu(calibrate(field.film, field.masters).gain)
    film = field.edited(lambda adu: field.lit(adu, part * full - clear.stack.sky))
    if passes:
        assert field.reduce(film).stack.sky == pytest.approx(part * full, rel=0.01)
    else:
        with pytest.raises(errors.TwilightError, match=r"twilight"):
            field.reduce(film)


@pytest.mark.parametrize(("mag", "passes"), [(16.1, True), (15.9, False)])
def test_twilight_in_low_gain_is_told_by_surface_brightness(field, mag, passes):
    low = GAIN_MODES["low"]
    calibration = replace(calibrate(field.film, field.masters), gain=low.gain)
    e = replace(field.film.exposure, gain_mode=low)
    level = 10 ** (-0.4 * (mag - sky_mag(1.0, e, low.gain)))
    assert level < 0.4 * low.safe_adu(low.gain)
    image = np.full((NY, NX), level, np.float32)
    stack = Stack(image, image, np.zeros((NY, NX), np.uint8), 17)
    if passes:
        check_sky(stack, calibration, e)
    else:
        with pytest.raises(errors.TwilightError, match=r"15\.9 mag/arcsec2"):
            check_sky(stack, calibration, e)


def test_the_sky_has_the_brightness_that_was_simulated(clear, field):
    assert sky_mag(clear.stack.sky, field.film.exposure, field.gain) == pytest.approx(20.0, abs=0.3)


# --- saturation -----------------------------------------------------------------------------------
@pytest.mark.parametrize(("part", "passes"), [(0.045, True), (0.055, False)])
def test_a_planet(field, part, passes):
    rows = int(part * NY)

    def bleed(adu):
        adu[:, 500 : 500 + rows, :] = 30_000 + np.arange(NX) % 7
        return adu

    film = field.edited(bleed)
    if passes:
        sources = frame_of(field.reduce(film).tables["sources"])
        near = sources[sources["y"].between(500, 500 + rows)]
        assert len(near) > 20
        assert (near["flags"] & Flag.SATURATED > 0).all()
        assert (sources[sources["y"] < 480]["flags"] & Flag.SATURATED > 0).mean() < 0.05
    else:
        with pytest.raises(errors.SaturatedFieldError, match=r"5\.5% of the detector"):
            field.reduce(film)


# --- star images ----------------------------------------------------------------------------------
@pytest.mark.parametrize(("arcsec", "passes"), [(9.0, True), (11.0, False)])
def test_defocus(field, clear, arcsec, passes):
    sigma_px = np.sqrt((arcsec / PIXEL_SCALE) ** 2 - clear.stack.fwhm_px**2) / 2.3548
    noise = np.float32(np.sqrt(clear.stack.sky / field.gain)) * np.random.default_rng(5).standard_normal(
        field.adu.shape, np.float32
    )
    film = field.edited(lambda adu: gaussian_filter(adu, (0, sigma_px, sigma_px), mode="nearest") + noise)
    if passes:
        assert abs(field.reduce(film).stack.zeropoint - clear.stack.zeropoint) < 0.1
    else:
        with pytest.raises(errors.DefocusError, match="focus the telescope"):
            field.reduce(film)


def stars_image(shape_of):
    """A stack of 60 stars on a grid; ``shape_of(u, v)`` gives their light about the centre."""
    rng = np.random.default_rng(3)
    image = rng.normal(300, 2.0, (600, 1000)).astype(np.float32)
    yy, xx = np.mgrid[-24:25, -24:25]
    for j in range(6):
        for i in range(10):
            y, x, (dy, dx) = 50 + 100 * j, 50 + 100 * i, rng.uniform(-0.5, 0.5, 2)
            light = shape_of(xx - dx, yy - dy)
            image[y - 24 : y + 25, x - 24 : x + 25] += 800 * light / light.max()
    return Stack(image, np.full(image.shape, 4.0, np.float32), np.zeros(image.shape, np.uint8), 17)


@pytest.mark.parametrize(
    ("shape_of", "fwhm_px", "ellipticity"),
    [
        (lambda u, v: np.exp(-(u**2 + v**2) / 2 / 1.4**2), 3.3, 0.0),
        (lambda u, v: (1 + (u**2 + v**2) / 5.0**2) ** -3.0, 2 * 5.0 * np.sqrt(2 ** (1 / 3) - 1), 0.0),
        (lambda u, v: np.exp(-(u**2 / 6.0**2 + v**2 / 2.0**2) / 2), 2.3548 * np.sqrt(12), 2 / 3),
        (lambda u, v: np.exp(-((u + v) ** 2 / 72 + (u - v) ** 2 / 8) / 2), 2.3548 * np.sqrt(12), 2 / 3),
        (lambda u, v: np.exp(-((np.hypot(u, v) - 6) ** 2) / 2), 2 * np.sqrt(7.18**2 - 4.82**2), 0.0),
    ],
    ids=["narrow", "moffat", "trail", "trail askew", "doughnut"],
)
def test_the_mean_star_image_is_measured(shape_of, fwhm_px, ellipticity):
    stack = stars_image(shape_of)
    image = star_image(stack, detect(stack))
    assert image.n_stars >= 30
    assert image.fwhm_px == pytest.approx(fwhm_px, rel=0.12)
    assert image.ellipticity == pytest.approx(ellipticity, abs=0.12)


@pytest.mark.parametrize(("pixels", "passes"), [(0.5, True), (2.5, False), (6, False)])
def test_a_telescope_that_does_not_follow(field, pixels, passes):
    # the sky moves while a frame is exposed, and from frame to frame
    def drift(adu):
        blurred = uniform_filter1d(adu, max(round(pixels), 1), axis=2)
        return np.array([np.roll(a, int(pixels * n), axis=1) for n, a in enumerate(blurred)])

    film = field.edited(drift)
    if passes:
        assert field.reduce(film).stack.n_stars > 300
    else:
        with pytest.raises(errors.TrailedError, match="did not follow"):
            field.reduce(film)


# --- cloud ----------------------------------------------------------------------------------------
@pytest.mark.parametrize("mag", [0.7, 2.7])
def test_a_film_through_cloud_is_flagged(field, clear, mag):
    reduction = field.reduce(field.edited(lambda adu: field.dimmed(adu, mag)))
    assert clear.stack.zeropoint - reduction.stack.zeropoint == pytest.approx(mag, abs=0.05)
    flags = reduction.tables["frames"]["flags"].to_numpy() & Flag.CLOUD > 0
    assert flags.all() if mag > LIMITS.film_loss_mag else not flags.any()


@pytest.mark.parametrize(("mag", "words"), [(3.3, "have lost 3"), (5.0, "have lost 5"), (9.0, "stars found where")])
def test_thick_cloud(field, mag, words):
    with pytest.raises(errors.CloudError, match=words):
        field.reduce(field.edited(lambda adu: field.dimmed(adu, mag)))


def test_cloud_that_passes_flags_its_frames(field):
    def passing(adu):
        for n, loss in ((2, 0.15), (3, 0.4), (4, 1.0)):
            adu[n] = field.dimmed(adu[n : n + 1], loss)[0]
        return adu

    reduction = field.reduce(field.edited(passing))
    frames, photometry = (frame_of(reduction.tables[name]) for name in ("frames", "photometry"))
    assert np.flatnonzero(frames["flags"] & Flag.CLOUD).tolist() == [3, 4]
    relative = frames["transparency"] / frames["transparency"].iloc[:2].mean()
    np.testing.assert_allclose(-2.5 * np.log10(relative[2:5]), [0.15, 0.4, 1.0], atol=0.03)
    assert (photometry["frame"][photometry["flags"] & Flag.CLOUD > 0].isin([3, 4])).all()


def test_frames_that_rest_on_few_stars_are_flagged():
    recorded = np.ones(3, bool)
    one = np.ones(3, np.float32)
    assert frame_flags(one, 4, recorded).tolist() == [Flag.FEW_STARS] * 3
    assert frame_flags(one, np.array([4, 5, 6]), recorded).tolist() == [Flag.FEW_STARS, 0, 0]
    assert frame_flags(one, 9, recorded, loss_mag=1.1).tolist() == [Flag.CLOUD] * 3
    assert frame_flags(one, 9, recorded, loss_mag=1.1, limits=Limits(film_loss_mag=2.0)).tolist() == [0] * 3


# --- pointing and catalog -------------------------------------------------------------------------
@pytest.mark.parametrize(("arcmin", "passes"), [(5.0, True), (25.0, False)])
def test_a_wrong_pointing(field, clear, arcmin, passes):
    film = field.edited(dec=field.film.exposure.dec + arcmin / 60)
    if passes:
        there, here = (WCS(r.stack.wcs_header).all_pix2world(1000, 560, 0) for r in (field.reduce(film), clear))
        assert np.abs(np.array(there) - here).max() * 3600 < 0.05
    else:
        with pytest.raises(errors.PointingError, match="as the header says"):
            field.reduce(film)


def some(refcat, index):
    names = ("source_id", "ra", "dec", "mag", "pmra", "pmdec", "epoch", "bp_rp")
    return replace(refcat, **{n: getattr(refcat, n)[index] for n in names})


def test_a_catalog_of_three_stars_here(field, clear):
    ra, dec = WCS(clear.stack.wcs_header).all_pix2world(1000, 560, 0)
    distance = np.hypot((field.refcat.ra - ra) * np.cos(np.radians(dec)), field.refcat.dec - dec)
    three = np.sort(np.argsort(distance)[:3])
    with pytest.raises(errors.NoReferenceStarsError, match="3 reference stars"):
        field.reduce(field.edited(), some(field.refcat, three))


def displaced(refcat, years):
    """Positions of other years under the old label; sorted by declination as a catalog is."""
    moved = refcat._at(float(refcat.epoch[0]) + years)
    moved = replace(moved, epoch=refcat.epoch)
    return some(moved, np.argsort(moved.dec, kind="stable"))


@pytest.mark.parametrize(("years", "passes"), [(1.5, True), (-16.0, False), (30.0, False)])
def test_a_catalog_of_another_epoch(field, clear, years, passes):
    refcat = displaced(field.refcat, years)
    if passes:
        reduction = field.reduce(field.edited(), refcat)
        assert abs(reduction.stack.astrometric_rms - clear.stack.astrometric_rms) < 0.02
    else:
        with pytest.raises(errors.RefcatEpochError, match=r"years (after|before) the film's date") as caught:
            field.reduce(field.edited(), refcat)
        found = float(str(caught.value).split("has them ")[1].split(" +- ")[0])
        assert found == pytest.approx(abs(years), abs=3)
        assert ("after" in str(caught.value)) == (years < 0)


def test_a_catalog_without_proper_motions_cannot_tell(field):
    still = replace(field.refcat, pmra=0 * field.refcat.pmra, pmdec=0 * field.refcat.pmdec)
    p = recipe.Parameters()
    prepared = recipe._prepare(field.edited(), field.masters, p)
    stars, solution = recipe._astrometry(prepared, still, p)
    assert check_epoch(prepared.detections, WCS(solution.wcs_header), stars, field.film.exposure) == (0.0, np.inf)
