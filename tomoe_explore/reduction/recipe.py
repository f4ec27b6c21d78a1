"""The recipe: the order of the steps from one raw film to its tables. Read this file first.

No step knows another; what passes between them is in ``values.py`` and ``data.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomoe_explore import memory
from tomoe_explore.camera import NX, NY, PIXEL_SCALE, airmass, detector_center, north_angle, scintillation
from tomoe_explore.data import Film, Masters, Reduction, Refcat, Stack
from tomoe_explore.errors import AstrometryError, FilmError, NoReferenceStarsError
from tomoe_explore.magnitudes import flux_njy
from tomoe_explore.reduction import tables
from tomoe_explore.reduction.astrometry import solve
from tomoe_explore.reduction.calibrate import calibrate
from tomoe_explore.reduction.cutouts import cut_movers
from tomoe_explore.reduction.detect import detect, seeing
from tomoe_explore.reduction.epoch import check_epoch
from tomoe_explore.reduction.frames import check_frames, fill_holes, recorded_frames, stand_in
from tomoe_explore.reduction.glints import find_glints, with_glints
from tomoe_explore.reduction.mover_fit import fit_movers
from tomoe_explore.reduction.movers import KEEP_SCORE, find_movers
from tomoe_explore.reduction.moving import ResidualFilm
from tomoe_explore.reduction.moving_tables import movers_tables
from tomoe_explore.reduction.neighbours import blended, find_pairs, spilled_light, starlight
from tomoe_explore.reduction.photometry import photometry, stack_photometry
from tomoe_explore.reduction.quality import check_images, check_light, check_noise, check_sky, diagnose, frame_flags
from tomoe_explore.reduction.registration import register
from tomoe_explore.reduction.residuals import residuals
from tomoe_explore.reduction.stack import stack_film
from tomoe_explore.reduction.streak_class import classify
from tomoe_explore.reduction.streak_fit import fit_trails
from tomoe_explore.reduction.streak_table import crossing_flags, streaks_table
from tomoe_explore.reduction.streak_tracks import track_streaks
from tomoe_explore.reduction.streaks import calm, find_trails, mask_streaks
from tomoe_explore.reduction.targets import choose_targets
from tomoe_explore.reduction.trails import Streaks
from tomoe_explore.reduction.transparency import transparency, twinkling
from tomoe_explore.reduction.values import (
    Floats,
    FrameSeries,
    Growth,
    Pairs,
    Prepared,
    Solution,
    StackPhotometry,
    Targets,
    Zeropoint,
)
from tomoe_explore.reduction.zeropoint import growth_curves, measure_growth, usual_growth, zeropoint
from tomoe_explore.schema import Flag
from tomoe_explore.wcs import TanSip


@dataclass(frozen=True)
class Parameters:
    """What an astronomer may want to set; kept with every reduction.

    Attributes
    ----------
    detection_snr : float
        Threshold of sources on the stack.
    mag_limit : float
        Faintest reference stars measured in every frame, Gaia G.
    aperture_fwhm : float
        Aperture radius of the photometry in units of the seeing.
    pointing_error_arcmin, rotation_error_deg : float
        How far the header's pointing may be off.
    mover_rates : (float, float)
        Rates sought, arcsec/s.
    mover_score : float
        Least score of a mover that is kept; see `tomoe_explore.reduction.mover_fit`.
    deep_streaks : bool
        Whether to seek fainter trails that are longer than 300 px; twice the time.

    Examples
    --------
    >>> Parameters(mag_limit=17.0).mag_limit
    17.0
    """

    detection_snr: float = 5.0
    mag_limit: float = 18.5
    aperture_fwhm: float = 1.0
    pointing_error_arcmin: float = 6.0
    rotation_error_deg: float = 1.2
    mover_rates: tuple[float, float] = (0.3, 100.0)
    mover_score: float = KEEP_SCORE
    deep_streaks: bool = False

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Parameters:
        """The parameters that JSON holds, which knows no tuples; those that are absent have their defaults.

        Examples
        --------
        >>> Parameters.of({"mover_rates": [1.0, 50.0]}).mover_rates
        (1.0, 50.0)
        """
        given: dict[str, Any] = {n: tuple(v) if isinstance(v, list) else v for n, v in values.items()}
        return cls(**given)


def reduce_film(
    film: Film, masters: Masters, refcat: Refcat, *, parameters: Parameters | None = None, reduction_id: int
) -> Reduction:
    """Reduce one film: stack, astrometry, zero point, 2 Hz photometry, movers.

    Parameters
    ----------
    film : Film
        An object film (RAW, or CUBE whose dark and flat are applied).
    masters : Masters
        Of the film's detector and gain mode; a dark at least.
    refcat : Refcat
        Covering the field; any epoch.
    parameters : Parameters, optional
    reduction_id : int
        See `tomoe_explore.ids.make_reduction_id`.

    Returns
    -------
    Reduction

    Raises
    ------
    TomoeError
        The first step that fails says why; nothing half done is returned.
    """
    p = parameters or Parameters()
    prepared = _prepare(film, masters, p)
    stars, solution = _astrometry(prepared, refcat, p)
    prepared = replace(prepared, stack=_solved(prepared, solution, p))
    measured, stack, zero = _measure(prepared, stars, solution, p, reduction_id)
    wcs = TanSip.from_header(stack.wcs_header)
    prepared = replace(prepared, stack=stack)
    moving = residuals(prepared, measured.frames, stars, zero)
    streaks = _streaks(prepared, measured.frames, zero, moving, p)
    mask_streaks(moving, streaks, stack.fwhm_px)
    found = find_movers(moving, film.exposure.frame_interval_s, rates=p.mover_rates, keep=p.mover_score)
    fitted = fit_movers(prepared, measured.frames, moving, found, zero, sought=(p.mover_rates, p.mover_score))
    streaks = with_glints(streaks, find_glints(prepared, measured.frames, moving, fitted, zero))
    crossed = crossing_flags(streaks, measured.targets.x, measured.targets.y, stack.aperture_px, film.n_frames)
    measured = replace(measured, flags=measured.flags | crossed)
    movers, mover_detections = movers_tables(film.exposure, reduction_id, wcs, fitted, zero.njy)
    products = {
        "photometry": tables.photometry_table(measured),
        "sources": tables.sources_table(
            measured, prepared.detections, wcs, _position_err(prepared, measured, solution)
        ),
        "frames": tables.frames_table(measured, stack),
        "movers": movers,
        "mover_detections": mover_detections,
        "streaks": streaks_table(film.exposure, reduction_id, wcs, streaks, zero.njy),
    }
    dark_id, flat_id = (m.master_id if m and not film.calibrated else None for m in (masters.dark, masters.flat))
    cutouts = cut_movers(prepared, measured.frames, wcs, movers)
    return Reduction(reduction_id, film.exposure, stack, products, dark_id, flat_id, refcat.name, asdict(p), cutouts)


def _streaks(prepared: Prepared, frames: FrameSeries, zero: Zeropoint, moving: ResidualFilm, p: Parameters) -> Streaks:
    """Trails of single frames, fitted, joined to streaks, classified."""
    noise = float(np.sqrt(prepared.stack.sky_variance * prepared.stack.n_frames))
    quiet = replace(moving, recorded=moving.recorded & calm(frames, noise))
    trails = find_trails(quiet, deep=p.deep_streaks)
    streaks = track_streaks(fit_trails(prepared, frames, zero, trails), prepared.film.exposure, prepared.recorded)
    streaks = classify(streaks, frames)
    return replace(streaks, flags=streaks.flags | np.int32(Flag.TOO_MANY if trails.too_many else 0))


def _prepare(film: Film, masters: Masters, p: Parameters) -> Prepared:
    """Calibration, stack and detections: all that needs no reference catalog."""
    if film.exposure.kind != "object":
        raise FilmError(f"expected an object film, got DATA-TYP {film.exposure.kind} ({film.exposure.where})")
    film, holes = fill_holes(film)
    calibration = calibrate(film, masters)
    if holes.any():
        calibration = replace(calibration, bad=calibration.bad | holes)
    recorded = recorded_frames(film)
    check_frames(film, recorded)
    film = stand_in(film, recorded)
    stack, mean = stack_film(film, calibration, recorded)
    check_sky(stack, calibration, film.exposure)
    prepared = Prepared(film, calibration, recorded, stack, mean, detect(stack, snr=p.detection_snr))
    check_images(prepared)
    return prepared


def _astrometry(prepared: Prepared, refcat: Refcat, p: Parameters) -> tuple[Refcat, Solution]:
    """The reference stars about the film, at its epoch, and the solution on them."""
    e = prepared.film.exposure
    center = detector_center(e.ra, e.dec, e.detector_id)
    radius = float(np.hypot(NX, NY) / 2 * PIXEL_SCALE / 3600 + p.pointing_error_arcmin / 60 * 1.5)
    stars = refcat.near(*center, radius, e.mjd_start)
    try:
        solution = solve(
            prepared.detections, stars, center, north_deg=north_angle(e.ra, e.dec, e.detector_id),
            pointing_error_arcmin=p.pointing_error_arcmin, rotation_error_deg=p.rotation_error_deg,
        )  # fmt: skip
    except (AstrometryError, NoReferenceStarsError) as error:
        raise diagnose(prepared, stars, error, fwhm_px=seeing(prepared.detections)) from error
    check_epoch(prepared.detections, TanSip.from_header(solution.wcs_header), stars, e)
    return stars, solution


def _solved(prepared: Prepared, solution: Solution, p: Parameters) -> Stack:
    detections = prepared.detections
    fwhm = seeing(detections)
    fwhm = fwhm if np.isfinite(fwhm) else 3.0
    return replace(
        prepared.stack, wcs_header=solution.wcs_header, n_stars=solution.n_stars, astrometric_rms=solution.rms,
        fwhm_px=fwhm, aperture_px=max(p.aperture_fwhm * fwhm, 2.0),
        sky=float(np.median(detections.background[::16, ::16])),
    )  # fmt: skip


def _measure(
    prepared: Prepared, stars: Refcat, solution: Solution, p: Parameters, reduction_id: int
) -> tuple[tables.Film2Hz, Stack, Zeropoint]:
    """Targets, frame shifts, zero point, fluxes in nJy; and the stack with its zero point and depth."""
    e, stack, used = prepared.film.exposure, prepared.stack, prepared.used
    radius = stack.aperture_px
    frames = register(prepared)
    prepared = _true_noise(prepared, check_noise(prepared, frames.sky_offset))
    stack = prepared.stack
    targets = choose_targets(prepared.detections, solution, stars, mag_limit=p.mag_limit)
    pairs = find_pairs(targets, stack.fwhm_px, radius)
    on_stack = stack_photometry(stack, targets, pairs, prepared.detections, radius)
    growth, spill = _neighbours(stack, targets, on_stack, pairs)
    on_stack = replace(on_stack, flags=on_stack.flags | blended(on_stack.flux, spill))
    raw = photometry(prepared, targets, frames, on_stack, radius)
    plane, comparison = transparency(raw.flux, np.sqrt(raw.variance), targets, on_stack.flags == 0, used)
    frames = replace(frames, light=plane, n_stars=len(comparison))
    light = frames.light_at(targets.x, targets.y)
    flux = raw.flux / light - spill[:, None]
    mean = flux[:, used].mean(axis=1)
    zero = zeropoint(targets, mean, spill, on_stack, growth, radius)
    loss = check_light(zero.value, e, prepared.calibration.gain)
    usual = scintillation(airmass(*detector_center(e.ra, e.dec, e.detector_id), e.mjd_start), e.exptime1_s)
    twinkle = twinkling(flux[:, used], raw.variance, comparison, usual)
    error = np.sqrt(raw.variance + (twinkle * np.maximum(mean, 0.0)) ** 2)
    njy = flux_njy(zero.at(targets.x, targets.y, targets.bp_rp)) * zero.aperture_correction
    of_frames = frame_flags(frames.transparency, frames.n_stars, prepared.recorded, loss_mag=loss)
    of_frames |= np.int32(prepared.calibration.flags)
    colorless = (targets.ref_id >= 0) & ~np.isfinite(targets.bp_rp) & np.isfinite(targets.bp_rp).any()
    of_targets = on_stack.flags | np.where(colorless, np.int32(Flag.NO_COLOR), np.int32(0))
    measured = tables.Film2Hz(
        e, reduction_id, stars.name, targets, frames, (flux * njy[:, None]).astype(np.float32),
        (error[:, None] / light * njy[:, None]).astype(np.float32),
        raw.background, raw.flags | of_targets[:, None] | of_frames, of_frames,
    )  # fmt: skip
    correction, calibration = zero.aperture_correction, prepared.calibration
    stack = replace(
        stack, zeropoint=zero.value, zeropoint_err=zero.error,
        gain=calibration.gain, read_noise_e=calibration.read_noise * calibration.gain,
        aperture_correction=correction, scintillation=twinkle,
    )  # fmt: skip
    stack = replace(stack, depth=float(tables.depth(stack, stack.sky_variance)))
    return measured, stack, zero


def _neighbours(stack: Stack, targets: Targets, on_stack: StackPhotometry, pairs: Pairs) -> tuple[Growth, Floats]:
    """The curve of growth and the light of neighbours in each aperture: either needs the other, twice is enough."""
    saturated = on_stack.flags & Flag.SATURATED > 0
    curves = growth_curves(stack, targets, on_stack)
    about = pairs.of(curves.stars, len(targets))
    growth = usual_growth(stack)
    for _ in range(2):
        light = starlight(targets, pairs, on_stack.flux, saturated, growth, stack.aperture_px)
        growth = measure_growth(stack, curves, spilled_light(about, light, growth, curves.radii), growth)
    light = starlight(targets, pairs, on_stack.flux, saturated, growth, stack.aperture_px)
    return growth, spilled_light(pairs, light, growth, stack.aperture_px)


def _true_noise(prepared: Prepared, ratio: float) -> Prepared:
    """The same film with the noise that its sky shows: the gain of a flat is that of another level and another day."""
    variance = np.multiply(prepared.stack.variance, np.float32(ratio**2), out=memory.empty((NY, NX), np.float32))
    calibration = replace(prepared.calibration, gain=prepared.calibration.gain / ratio**2)
    return replace(prepared, stack=replace(prepared.stack, variance=variance), calibration=calibration)


def _position_err(prepared: Prepared, measured: tables.Film2Hz, solution: Solution) -> NDArray[np.float64]:
    """Standard error, arcsec a coordinate.

    For reference stars what the brightest ones scatter about the solution, which holds the catalog's own errors; for
    detections also ``fwhm / (2.35 S/N)`` of the centroid (King 1983).
    """
    snr = np.append(prepared.detections.flux / prepared.detections.flux_err, np.inf)[measured.targets.detection]
    snr = np.where(measured.targets.ref_id >= 0, np.inf, snr)
    centroid = prepared.stack.fwhm_px * PIXEL_SCALE / 2.3548 / np.maximum(snr, 1.0)
    return np.hypot(centroid, solution.floor)
