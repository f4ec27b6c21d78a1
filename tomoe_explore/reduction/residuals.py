"""Step 11: what the film has that the sky has not: frames less the known stars and the sky, over their noise."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tomoe_explore import memory
from tomoe_explore.camera import NX, NY
from tomoe_explore.data import SATURATED_PIXEL, Refcat
from tomoe_explore.kernels.blobs import paint
from tomoe_explore.kernels.matching import nearest
from tomoe_explore.kernels.moffat import Psf, add_images, moffat, reaches
from tomoe_explore.kernels.residual_film import blocked_pixels, half_kernel, residual_film
from tomoe_explore.kernels.still import SHIFT_ROWS, drift_snr, take_off
from tomoe_explore.reduction.moving import CELL, ResidualFilm, to_cells
from tomoe_explore.reduction.values import Bools, Doubles, Floats, FrameSeries, Prepared, Zeropoint
from tomoe_explore.wcs import TanSip

MATCH_PX = 2.0  #: a detection this near to a reference star is the star
BRIGHT_SNR = 60.0  #: detections above it belong to the reference, whether the catalog knows them or not
FADE = 0.25  #: of the stack's noise in a pixel: where a star's light is held to end
FAINT_PEAK = 6.0  #: of a frame's noise: stars with lower peaks are subtracted as images, but for
CORE_LEVEL = 1.0  #: pixels that are brighter than this, as others are as a whole, by the mean frame
DRIFT_SNR = 2.5  #: unknown sources that drift less significantly than this stand still
SHIFT_ERROR_PX, LIGHT_ERROR = 0.3, 0.12  #: what is left of a star's shift and brightness in a frame, as cells see it
SPREAD_PX = 2.5  #: about saturated pixels
EDGE_PX = 4
CLIP = 7.0  #: larger values are no noise


@dataclass(frozen=True)
class _Stars:
    """Stars, their light (ADU a frame) and how far it reaches (pixels)."""

    x: Doubles
    y: Doubles
    flux: Doubles
    reach: Doubles

    def __getitem__(self, which: Bools) -> _Stars:
        return _Stars(self.x[which], self.y[which], self.flux[which], self.reach[which])


def residuals(prepared: Prepared, frames: FrameSeries, stars: Refcat, zero: Zeropoint) -> ResidualFilm:
    """The film of residuals that movers and streaks are sought in.

    Parameters
    ----------
    prepared : Prepared
        Its stack solved.
    frames : FrameSeries
        With the stars' light.
    stars : Refcat
        About the film, at its epoch, as faint as it goes.
    zero : Zeropoint

    Returns
    -------
    ResidualFilm

    Notes
    -----
    The reference must not hold what is sought: a mean over time would, of a slow mover. So it is the dark and the
    smooth sky, and the images of the faint stars of the catalog; only where a star is bright, of the catalog or not, is
    it the mean frame. What the stack shows beyond that is taken off afterwards if it stands still, and stays if it
    drifts.
    """
    known, unknown, psf = _sources(prepared, stars, zero)
    background, shining = _reference(prepared, known, psf)
    film, n = prepared.film, prepared.film.n_frames
    shape = NY // CELL, NX // CELL
    cells = memory.empty((n, *shape), np.int8)
    width = float(np.sqrt((prepared.stack.fwhm_px / 2.3548 / CELL) ** 2 + 1 / 12))
    kernel, blocked = half_kernel(width), _blocked(prepared)
    c = prepared.calibration
    images = prepared.mean, c.dark, c.flat, background, blocked, shining
    noise = 1.0 / c.gain, c.read_noise**2, SHIFT_ERROR_PX**2, LIGHT_ERROR**2
    changes = _changes(frames, shape[0])
    for start, block in film.blocks():
        here = slice(start, start + len(block))
        residual_film(
            block,
            film.packing,
            images,
            noise,
            (changes[0][here], changes[1][here], changes[2][here], changes[3][here]),
            (kernel, cells[here]),
        )
    cells[~prepared.recorded] = 0
    shifts = np.stack([changes[1], changes[2]], axis=2)[:, SHIFT_ROWS // 2 :: SHIFT_ROWS] / np.float32(CELL)
    sigma = _sigma(cells[prepared.recorded], shining)
    made = ResidualFilm(cells, prepared.recorded, sigma, width, shifts, background, shining, blocked)
    return replace(made, drifting=_settle(made, unknown))


def _sources(prepared: Prepared, stars: Refcat, zero: Zeropoint) -> tuple[_Stars, _Stars, Psf]:
    """Stars of the catalog and bright detections; detections that are neither; the star image."""
    stack, detections = prepared.stack, prepared.detections
    x, y = TanSip.from_header(stack.wcs_header).to_pixels(stars.ra, stars.dec)
    near = (x > -20) & (y > -20) & (x < NX + 20) & (y < NY + 20)
    x, y = x[near], y[near]
    flux = 10.0 ** (-0.4 * (stars.mag[near].astype(np.float64) - zero.value))
    match, _ = nearest((detections.x, detections.y), (x, y), MATCH_PX)
    alone = np.ones(len(detections), bool)
    alone[match[match >= 0]] = False
    own = detections.flux.astype(np.float64)
    flux = np.where((match >= 0) & ~detections.saturated[match], own[match], flux)
    bright = (detections.flux > BRIGHT_SNR * detections.flux_err) | detections.saturated
    growth = zero.growth
    psf = moffat(2 * growth.alpha * float(np.sqrt(2 ** (1 / growth.beta) - 1)), growth.beta)
    level = FADE * np.sqrt(stack.sky_variance)
    also, faint = alone & bright, alone & ~bright
    x, y, flux = np.append(x, detections.x[also]), np.append(y, detections.y[also]), np.append(flux, own[also])
    known = _Stars(x, y, flux, reaches(psf, flux, level))
    reach = np.maximum(reaches(psf, own[faint], level), stack.fwhm_px)
    return known[known.reach > 0], _Stars(detections.x[faint], detections.y[faint], own[faint], reach), psf


def _reference(prepared: Prepared, known: _Stars, psf: Psf) -> tuple[Floats, Bools]:
    """Sky with the images of faint stars, and the pixels where stars are too bright for their image to be right."""
    stack = prepared.stack
    noise = np.sqrt(stack.sky_variance * stack.n_frames)
    background = memory.empty((NY, NX), np.float32)
    background[:] = prepared.detections.background
    shining = memory.empty((NY, NX), np.bool_)
    shining[:] = False
    faint = known.flux * psf[2] < FAINT_PEAK * noise
    add_images(background, (known.x[faint], known.y[faint], known.flux[faint], known.reach[faint]), psf)
    core = reaches(psf, known.flux, CORE_LEVEL * noise)
    reach = np.where(faint, core, np.maximum(known.reach, stack.fwhm_px))
    paint(shining, known.x[reach > 0], known.y[reach > 0], reach[reach > 0])
    return background, shining


def _blocked(prepared: Prepared) -> Bools:
    """Bad pixels, saturated ones with those about them, and the edges, where stars are that nothing detects."""
    blocked = memory.empty((NY, NX), np.bool_)
    blocked_pixels(prepared.stack.mask, SATURATED_PIXEL, SPREAD_PX, EDGE_PX, blocked)
    return blocked


def _changes(frames: FrameSeries, rows: int) -> tuple[Floats, Floats, Floats, Floats]:
    """Sky above the mean, shifts and light of each frame at each row of cells, ``(n, rows)``."""
    dx, dy = frames.shifts(np.arange(rows) * CELL + 0.5)
    sky = np.median(frames.sky_offset, axis=(1, 2)).astype(np.float32)
    each = np.ones(rows, np.float32)
    return (
        np.ascontiguousarray(sky[:, None] * each), np.ascontiguousarray(dx.T), np.ascontiguousarray(dy.T),
        np.ascontiguousarray(frames.transparency[:, None].astype(np.float32) * each),
    )  # fmt: skip


def _sigma(cells: NDArray[np.int8], shining: Bools) -> float:
    """Noise of the cells without stars, from some rows."""
    free = ~(shining[::16, ::CELL] | shining[1::16, 1::CELL])
    values = cells[::6, ::8][:, free].astype(np.float32)
    return float(np.sqrt(np.mean(np.clip(values, -CLIP, CLIP) ** 2)))


def _settle(film: ResidualFilm, unknown: _Stars) -> Doubles:
    """Take off the unknown sources that stand still, in place: they shine too. The others, and where they drift to."""
    x, y = to_cells(unknown.x), to_cells(unknown.y)
    drift = drift_snr(film.cells, film.recorded, film.shifts, x, y, (film.sigma, film.width))
    size = np.hypot(drift[:, 0], drift[:, 1])
    still = size < DRIFT_SNR
    take_off(film.cells, film.recorded, x[still], y[still], unknown.reach[still] / CELL + 1)
    paint(film.shining, unknown.x[still], unknown.y[still], unknown.reach[still])
    moving = ~still
    return np.column_stack([x[moving], y[moving], drift[moving] / size[moving, None]])
