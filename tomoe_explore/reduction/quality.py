"""The gates: a film that no astronomy can come of fails with the reason that fits best; doubtful frames are flagged.

Each gate looks at what a step has measured, cheapest first: the sky, the star images, the match with the catalog, the
light of the stars. Every threshold is in ``limits.py``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter
from scipy.spatial import cKDTree

from tomoe_explore.camera import NX, NY, PIXEL_SCALE, airmass, detector_center, focal_plane_offset, vignetting
from tomoe_explore.data import SATURATED_PIXEL, Exposure, Refcat, Stack
from tomoe_explore.errors import (
    CloudError,
    DefocusError,
    DomeError,
    NoiseError,
    PointingError,
    PoorSolutionError,
    SaturatedFieldError,
    TomoeError,
    TrailedError,
    TwilightError,
)
from tomoe_explore.limits import LIMITS, Limits
from tomoe_explore.reduction.values import Calibration, Detections, Floats, Prepared
from tomoe_explore.schema import Flag

HALF_STAMP = 16  #: px about a star; an image of 20 arcsec ends within
MAX_IMAGES = 40  #: stars in the mean star image
IMAGE_SNR = 20.0  #: of a star in the mean star image
FOUND_SNR = 10.0  #: of a star that is counted
SHARPEST_PX = 1.4  #: FWHM; what is sharper is a hot pixel or a cosmic ray, not the narrowest star (2", 1.7 px)


@dataclass(frozen=True)
class StarImage:
    """The mean star image of a stack; see `star_image`.

    Attributes
    ----------
    fwhm_px : float
        Diameter of the circle that has the area above half maximum; a doughnut's is that of its ring. NaN: no stars.
    ellipticity : float
        1 - minor / major axis of that area.
    n_stars : int
        Stars in the mean.
    """

    fwhm_px: float
    ellipticity: float
    n_stars: int


def check_sky(stack: Stack, calibration: Calibration, exposure: Exposure, *, limits: Limits = LIMITS) -> None:
    """Refuse a film in twilight. It comes before detection, which has no use for such a stack.

    Parameters
    ----------
    stack : Stack
        ADU a frame above dark.
    calibration : Calibration
        For the gain.
    exposure : Exposure
        Of the film.
    limits : Limits

    Raises
    ------
    TwilightError
        If the sky is beyond a part of the full well, or brighter than a surface brightness.
    """
    sky = _sky(stack)
    full = exposure.gain_mode.safe_adu(calibration.gain)
    mag = sky_mag(sky, exposure, calibration.gain, limits=limits)
    if sky > limits.sky_of_full * full or mag < limits.sky_mag:
        raise TwilightError(
            f"the sky has {sky:.0f} ADU a frame ({sky / full:.0%} of the full well, {mag:.1f} mag/arcsec2); at most "
            f"{limits.sky_of_full:.0%} and {limits.sky_mag:g} mag/arcsec2 can be measured: twilight, or a lamp? "
            f"({exposure.where})"
        )


def check_images(prepared: Prepared, *, limits: Limits = LIMITS) -> StarImage:
    """Refuse a closed dome, a saturated field, trailed and defocused stars.

    Parameters
    ----------
    prepared : Prepared
        Stack and detections; no astrometry is needed.
    limits : Limits

    Returns
    -------
    StarImage
        Its size and shape, NaN where there are too few stars to tell.

    Raises
    ------
    DomeError, SaturatedFieldError, TrailedError, DefocusError
        In this order: a dark film has neither good nor bad images, and a trail is wide too.
    """
    where = f"({prepared.film.exposure.where})"
    _check_dome(prepared, limits)
    part = np.count_nonzero(prepared.stack.mask[::2] & SATURATED_PIXEL) / (NX * NY / 2)
    if part > limits.saturated_part:
        raise SaturatedFieldError(
            f"{part:.1%} of the detector is saturated, at most {limits.saturated_part:.0%} leaves a field to measure: "
            f"a planet or a very bright star; observe it in a lower gain mode or beside it {where}"
        )
    image = star_image(prepared.stack, prepared.detections)
    if image.n_stars < limits.min_images:
        return image
    size = f"{image.fwhm_px * PIXEL_SCALE:.1f} arcsec wide"
    if image.ellipticity > limits.ellipticity:
        raise TrailedError(
            f"the mean image of {image.n_stars} stars is {size} and has an ellipticity of {image.ellipticity:.2f}, at "
            f"most {limits.ellipticity:g} is accepted: the telescope did not follow the sky {where}"
        )
    if image.fwhm_px * PIXEL_SCALE > limits.fwhm_arcsec:
        raise DefocusError(
            f"the mean image of {image.n_stars} stars is {size}, at most {limits.fwhm_arcsec:g} is accepted: focus the "
            f"telescope {where}"
        )
    return image


def check_noise(prepared: Prepared, sky_offset: Floats, *, limits: Limits = LIMITS) -> float:
    """Refuse a film whose noise is not what its gain says: all errors would be wrong.

    Parameters
    ----------
    prepared : Prepared
    sky_offset : ndarray of float32, (n, cells_y, cells_x)
        Sky of each frame above that of the stack, ADU: what clouds and twilight change is no noise.
    limits : Limits

    Returns
    -------
    float
        Noise of the sky in time over the noise expected, standard deviations.

    Raises
    ------
    NoiseError
        If it is beyond the limit, either way.
    """
    film, stack = prepared.film, prepared.stack
    _, block = next(film.blocks())
    here = np.flatnonzero(prepared.used[: len(block)])
    sample = block[here, film.y0 : film.y0 + NY : 32, film.x0 : film.x0 + NX : 8]
    stored = sample.view(sample.dtype.newbyteorder(">")) if sample.dtype == np.int16 else sample
    # flat-fielded before the median, as the stack's variance is
    flat = prepared.calibration.flat[::32, ::8]
    measured = float(np.median(np.var(stored, axis=0, ddof=1, dtype=np.float32) / flat**2)) * film.bscale**2
    measured -= float(np.var(np.median(sky_offset[here], axis=(1, 2)), ddof=1))
    expected = float(np.median(stack.variance[::32, ::8])) * stack.n_frames
    # with few frames the median of the pixels' variances is below their mean: Wilson & Hilferty (1931)
    median_of_mean = (1 - 2 / (9 * max(len(here) - 1, 1))) ** 3
    ratio = float(np.sqrt(max(measured, 0.0) / median_of_mean / expected))
    if not 1 / limits.noise < ratio < limits.noise:
        raise NoiseError(
            f"the frames' noise is {ratio:.2f} times what {prepared.calibration.gain:.3f} e-/ADU and "
            f"{prepared.calibration.read_noise:.1f} ADU of read noise give, at most {limits.noise:g} either way is "
            f"accepted: another gain mode than GAIN says, or sky subtracted already? ({film.exposure.where})"
        )
    return ratio


def diagnose(
    prepared: Prepared, stars: Refcat, error: TomoeError, *, fwhm_px: float = 3.0, limits: Limits = LIMITS
) -> TomoeError:
    """Why no match with the catalog was found: cloud, pointing, a saturated field, or as the astrometry says.

    Parameters
    ----------
    prepared : Prepared
    stars : Refcat
        About the place where the header points.
    error : TomoeError
        Of the astrometry; it is given back where nothing else fits better.
    fwhm_px : float
        Seeing; NaN is taken as 3.
    limits : Limits

    Returns
    -------
    TomoeError
        To be raised from ``error``.

    Notes
    -----
    The stars expected are those of the catalog on the detector that clear air would show at `FOUND_SNR` on this stack.
    Far fewer found means cloud; as many found, though none of them match, means that the telescope pointed elsewhere.
    """
    e = prepared.film.exposure
    detections = prepared.detections
    expected = expected_stars(prepared, stars, fwhm_px if np.isfinite(fwhm_px) else 3.0, limits=limits)
    found = _n_found(detections)
    if expected < limits.min_expected or isinstance(error, PoorSolutionError):
        return error
    bright = detections.saturated[: max(found, 1)]
    if len(bright) and bright.mean() > 0.5:
        return SaturatedFieldError(
            f"{int(bright.sum())} of the {len(bright)} stars found are saturated, and no match with the catalog: "
            f"observe the field in a lower gain mode ({e.where})"
        )
    if found < limits.few_found * expected:
        return CloudError(
            f"{found} stars found where {expected} of {stars.name!r} ought to be seen in clear air, less than "
            f"{limits.few_found:.0%}: thick cloud ({e.where})"
        )
    if found > limits.many_found * expected:
        return PointingError(
            f"{found} stars found, {expected} of {stars.name!r} expected, and they do not match: did the telescope "
            f"point at RA {e.ra:.4f}, Dec {e.dec:.4f} as the header says? {error} ({e.where})"
        )
    return error


def check_light(zeropoint: float, exposure: Exposure, gain: float, *, limits: Limits = LIMITS) -> float:
    """Refuse a film that clouds took nearly all light from.

    Parameters
    ----------
    zeropoint : float
        Gaia G of 1 ADU a frame, measured.
    exposure : Exposure
        Of the film.
    gain : float
        e-/ADU.
    limits : Limits

    Returns
    -------
    float
        Loss of light against clear air, mag; sensors differ by 0.1.

    Raises
    ------
    CloudError
        If the loss is beyond the limit.
    """
    loss = clear_zeropoint(exposure, gain, limits=limits) - zeropoint
    if loss > limits.cloud_mag:
        raise CloudError(
            f"the stars have lost {loss:.1f} mag against clear air (zero point {zeropoint:.2f}, "
            f"{zeropoint + loss:.2f} expected), at most {limits.cloud_mag:g} is accepted: thick cloud, or a cover in "
            f"the light? ({exposure.where})"
        )
    return loss


def frame_flags(
    transparency: Floats, n_stars: int | NDArray[np.int64], recorded: NDArray[np.bool_], *, loss_mag: float = 0.0,
    limits: Limits = LIMITS,
) -> NDArray[np.int32]:  # fmt: skip
    """Flags of the frames of a film.

    Parameters
    ----------
    transparency : ndarray of float32, (n,)
        Light of stars in each frame over that in the stack.
    n_stars : int or ndarray of int, (n,)
        Stars that it rests on.
    recorded : ndarray of bool, (n,)
        Whether there is such a frame; see `frames.FrameWatch`.
    loss_mag : float
        Of the whole film; see `check_light`.
    limits : Limits

    Returns
    -------
    ndarray of int32, (n,)
        ``CLOUD`` (against the best tenth of the frames, or all of them), ``FEW_STARS``, ``LOST_FRAME``.

    Examples
    --------
    >>> frame_flags(np.float32([1.0, 0.7, 1.0, 0.0]), 80, np.array([True, True, True, False])).tolist()
    [0, 16, 0, 256]
    """
    flags = np.zeros(len(transparency), np.int32)
    if recorded.any():
        best = float(np.quantile(transparency[recorded], 0.9))
        flags[(transparency < (1 - limits.frame_loss) * best) | (loss_mag > limits.film_loss_mag)] |= Flag.CLOUD
    flags[np.broadcast_to(np.asarray(n_stars) < limits.frame_stars, flags.shape)] |= Flag.FEW_STARS
    flags[~recorded] = Flag.LOST_FRAME
    return flags


def clear_zeropoint(exposure: Exposure, gain: float, *, limits: Limits = LIMITS) -> float:
    """Gaia G of 1 ADU a frame in clear air, to about 0.2 mag: what the camera, airmass and vignetting let expect."""
    center = detector_center(exposure.ra, exposure.dec, exposure.detector_id)
    light = float(vignetting(np.hypot(*focal_plane_offset(exposure.detector_id))))
    dimming = limits.extinction * (airmass(*center, exposure.mjd_start) - 1)
    return float(limits.zeropoint_e_s - 2.5 * np.log10(gain / exposure.exptime1_s / light) - dimming)


def sky_mag(sky_adu: float, exposure: Exposure, gain: float, *, limits: Limits = LIMITS) -> float:
    """Surface brightness (Gaia G, mag/arcsec2) of a sky level in ADU a frame, in clear air."""
    return clear_zeropoint(exposure, gain, limits=limits) - 2.5 * float(np.log10(max(sky_adu, 1e-3) / PIXEL_SCALE**2))


def star_image(stack: Stack, detections: Detections) -> StarImage:
    """The median of bright unsaturated stars, each scaled to its peak: neighbours and cosmic rays fall out."""
    ny, nx = stack.image.shape
    x, y = np.rint(detections.x).astype(int), np.rint(detections.y).astype(int)
    inside = (np.minimum(x, nx - 1 - x) > HALF_STAMP) & (np.minimum(y, ny - 1 - y) > HALF_STAMP)
    good = _starlike(detections, IMAGE_SNR) & ~detections.saturated & inside
    index = _one_each(detections, np.flatnonzero(good)[: 4 * MAX_IMAGES])[:MAX_IMAGES]
    if len(index) == 0:
        return StarImage(float("nan"), float("nan"), 0)
    x, y = x[index], y[index]
    stamps = _stamps(stack, detections, x, y)
    for _ in range(3):
        dx, dy = _middle_of_light(stamps)
        if not (dx.any() or dy.any()):
            break
        x = np.clip(x + dx, HALF_STAMP, nx - 1 - HALF_STAMP)
        y = np.clip(y + dy, HALF_STAMP, ny - 1 - HALF_STAMP)
        stamps = _stamps(stack, detections, x, y)
    # the middle of a doughnut is dark: the brightest nine pixels, wherever they are
    peaks = np.maximum(np.partition(stamps.reshape(len(stamps), -1), -9, axis=1)[:, -9:].mean(axis=1), 1e-3)
    ordered = np.sort(stamps / peaks[:, None, None], axis=0)  # far quicker than np.median
    image = ordered[(len(stamps) - 1) // 2 : len(stamps) // 2 + 1].mean(axis=0)
    # smoothed where images are wide, so that no pixel of a doughnut's rim is taken for the maximum
    top = np.partition(image.ravel(), -9)[-9:].mean() if (image > 0.5).sum() > 60 else image.max()
    v, u = np.nonzero(image > 0.5 * top)
    spread = np.cov(np.array([u, v], float), bias=True) + np.eye(2) / 12 if len(u) > 1 else np.eye(2)
    minor, major = np.sqrt(np.linalg.eigvalsh(spread))
    return StarImage(float(2 * np.sqrt(len(u) / np.pi)), float(1 - minor / major), len(index))


def _one_each(detections: Detections, index: NDArray[np.int64]) -> NDArray[np.int64]:
    """Detections without a brighter one near: a trail or a doughnut may be taken for several stars."""
    tree = cKDTree(np.column_stack([detections.x[index], detections.y[index]]))
    pairs = tree.query_pairs(HALF_STAMP / 2, output_type="ndarray")  # brightest first, so the second is the fainter one
    return np.delete(index, np.unique(pairs[:, 1]))


def _stamps(stack: Stack, detections: Detections, x: NDArray[np.int64], y: NDArray[np.int64]) -> Floats:
    size, corner = (2 * HALF_STAMP + 1, 2 * HALF_STAMP + 1), (y - HALF_STAMP, x - HALF_STAMP)
    image, sky = (sliding_window_view(array, size)[corner] for array in (stack.image, detections.background))
    return np.asarray(image - sky)


def _middle_of_light(stamps: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where the middle of what is brighter than half the maximum lies off a stamp's middle; far neighbours left out."""
    half = np.arange(-HALF_STAMP, HALF_STAMP + 1)
    smooth = uniform_filter(stamps, (0, 3, 3))
    near = np.hypot(half[:, None], half) <= 0.75 * HALF_STAMP
    bright = near & (smooth > 0.5 * (smooth * near).max(axis=(1, 2), keepdims=True))
    n = np.maximum(bright.sum(axis=(1, 2)), 1)
    dx, dy = (bright * half).sum(axis=(1, 2)) / n, (bright * half[:, None]).sum(axis=(1, 2)) / n
    return np.rint(dx).astype(np.int64), np.rint(dy).astype(np.int64)


def expected_stars(prepared: Prepared, stars: Refcat, fwhm_px: float, *, limits: Limits = LIMITS) -> int:
    """Stars of the catalog where the detector should point that clear air would show on this stack."""
    e, stack = prepared.film.exposure, prepared.stack
    ra, dec = detector_center(e.ra, e.dec, e.detector_id)
    d_ra = (stars.ra - ra + 180) % 360 - 180
    on = (np.abs(stars.dec - dec) < NY / 2 * PIXEL_SCALE / 3600) & (
        np.abs(d_ra) * np.cos(np.radians(dec)) < NX / 2 * PIXEL_SCALE / 3600
    )
    noise = float(np.sqrt(stack.sky_variance * np.pi)) * fwhm_px
    limit = clear_zeropoint(e, prepared.calibration.gain, limits=limits) - 2.5 * np.log10(FOUND_SNR * noise)
    return int((on & (stars.mag < limit)).sum())


def _check_dome(prepared: Prepared, limits: Limits) -> None:
    e, gain = prepared.film.exposure, prepared.calibration.gain
    sky, found = _sky(prepared.stack) * gain / e.exptime1_s, _n_found(prepared.detections)
    if sky < limits.dome_sky_e_s and found < limits.dome_stars:
        raise DomeError(
            f"the sky gives {sky:.1f} e-/s a pixel, the darkest one at least {limits.dome_sky_e_s:g}, and {found} "
            f"stars are seen, an open dome shows {limits.dome_stars}: dome or cover closed, or a dark called OBJECT? "
            f"({e.where})"
        )


def _sky(stack: Stack) -> float:
    """Median of the stack, ADU a frame."""
    return float(np.median(stack.image[::16, ::16]))


def _starlike(detections: Detections, snr: float) -> NDArray[np.bool_]:
    """Detections that are bright and no hot pixel; saturated ones have no size and are stars."""
    bright = detections.flux > snr * detections.flux_err
    return bright & ((detections.fwhm_px > SHARPEST_PX) | detections.saturated)


def _n_found(detections: Detections) -> int:
    return int(_starlike(detections, FOUND_SNR).sum())
