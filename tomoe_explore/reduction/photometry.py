"""Step 7: 2 Hz photometry, forced at every target in every frame, straight from the raw film."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tomoe_explore.camera import NX, NY
from tomoe_explore.data import BAD_PIXEL, SATURATED_PIXEL, Floats, Stack
from tomoe_explore.kernels.apertures import BAD, EDGE, SATURATED, film_apertures
from tomoe_explore.kernels.stack_apertures import annulus_means, image_apertures, mask_bits
from tomoe_explore.reduction.values import (
    Detections,
    FilmPhotometry,
    FrameSeries,
    Pairs,
    Prepared,
    StackPhotometry,
    Targets,
)
from tomoe_explore.schema import Flag

ANNULUS_FWHM = (3.0, 6.0)  #: inner and outer radius of the local sky
CLEAN_PX = 2.0  #: no saturated pixel this far beyond the aperture


def annulus(fwhm_px: float) -> tuple[float, float]:
    """Radii between which the local sky is measured, pixels: wide seeing needs no more pixels than 4 arcsec do."""
    inner = max(ANNULUS_FWHM[0] * fwhm_px, 8.0)
    return inner, max(min(ANNULUS_FWHM[1] * fwhm_px, inner + 12.0), 16.0)


def stack_photometry(
    stack: Stack, targets: Targets, pairs: Pairs, detections: Detections, radius_px: float
) -> StackPhotometry:
    """Aperture fluxes, local sky and flags of all targets on the stack.

    Parameters
    ----------
    stack : Stack
        With its seeing.
    targets : Targets
    pairs : Pairs
    detections : Detections
        For its mask of stars and its sky.
    radius_px : float
        Aperture radius, pixels.

    Returns
    -------
    StackPhotometry
    """
    positions = targets.x, targets.y
    xi = np.clip(np.rint(targets.x), 0, NX - 1).astype(int)
    yi = np.clip(np.rint(targets.y), 0, NY - 1).astype(int)
    level = detections.background[yi, xi]
    sky = annulus_means(stack.image, detections.star_mask, positions, annulus(stack.fwhm_px), level)
    flux, variance, area, bits = image_apertures(stack.image, stack.variance, stack.mask, positions, radius_px)
    near = mask_bits(stack.mask, positions, radius_px + CLEAN_PX)
    flags = np.zeros(len(targets), np.int32)
    flags[bits & BAD_PIXEL > 0] |= Flag.HOT_PIXEL
    flags[bits & SATURATED_PIXEL > 0] |= Flag.SATURATED
    margin = radius_px + 2
    edge = (targets.x < margin) | (targets.y < margin) | (targets.x > NX - 1 - margin) | (targets.y > NY - 1 - margin)
    flags[edge] |= Flag.EDGE
    flux = flux - sky * area
    light = np.maximum(flux, 1e-3).astype(np.float64)
    crowding = np.bincount(pairs.target, light[pairs.neighbour], len(targets)) / light
    return StackPhotometry(flux, variance, sky, near & SATURATED_PIXEL == 0, crowding, flags)


def photometry(
    prepared: Prepared, targets: Targets, frames: FrameSeries, on_stack: StackPhotometry, radius_px: float
) -> FilmPhotometry:
    """Fluxes of all targets in all frames.

    Parameters
    ----------
    prepared, targets, frames, on_stack
        As made by the steps before.
    radius_px : float
        Aperture radius, pixels.

    Returns
    -------
    FilmPhotometry
        Not yet corrected for aperture and transparency.

    Notes
    -----
    The variance is ``sum(w^2 var)`` with the variance of a pixel expected from the stack. The local sky of a frame is
    that of the stack plus the frame's own offset on a coarse grid.
    """
    film, calibration, stack = prepared.film, prepared.calibration, prepared.stack
    images = calibration.dark, calibration.flat, calibration.bad
    dx, dy = frames.shifts(targets.y)
    x, y = targets.x[:, None] + dx, targets.y[:, None] + dy
    moved = np.maximum(np.abs(dx).max(axis=1), np.abs(dy).max(axis=1)) if len(targets) else np.zeros(0)
    clean = on_stack.clean & (moved < CLEAN_PX)
    parts = []
    for start, block in film.blocks():
        here = slice(start, start + len(block))
        at = np.ascontiguousarray(x[:, here]), np.ascontiguousarray(y[:, here]), clean
        parts.append(film_apertures(block, film.packing, images, at, (radius_px, calibration.saturation)))
    flux, area = np.hstack([part[0] for part in parts]), np.hstack([part[1] for part in parts])
    bits = np.hstack([part[2] for part in parts])
    background = on_stack.sky[:, None] + _sky_at(frames.sky_offset, targets)
    one_frame = on_stack.variance * np.float32(stack.n_frames)
    return FilmPhotometry(flux - background * area, one_frame, background, _flags(bits))


def _sky_at(grid: Floats, targets: Targets) -> Floats:
    """The coarse sky grid at the targets, linearly between cell centres, ``(m, n)``."""
    _, gy, gx = grid.shape
    cy = np.clip((targets.y + np.float32(0.5)) / NY * gy - np.float32(0.5), 0, gy - 1)
    cx = np.clip((targets.x + np.float32(0.5)) / NX * gx - np.float32(0.5), 0, gx - 1)
    y0, x0 = np.minimum(cy.astype(int), gy - 2), np.minimum(cx.astype(int), gx - 2)
    fy, fx = (cy - y0)[None, :].astype(np.float32), (cx - x0)[None, :].astype(np.float32)
    low = grid[:, y0, x0] * (1 - fx) + grid[:, y0, x0 + 1] * fx
    high = grid[:, y0 + 1, x0] * (1 - fx) + grid[:, y0 + 1, x0 + 1] * fx
    return np.ascontiguousarray((low * (1 - fy) + high * fy).T)


def _flags(bits: NDArray[np.uint8]) -> NDArray[np.int32]:
    flags = np.zeros(bits.shape, np.int32)
    rows = np.flatnonzero(bits.any(axis=1))
    for bit, flag in ((EDGE, Flag.EDGE), (BAD, Flag.HOT_PIXEL), (SATURATED, Flag.SATURATED)):
        flags[rows] |= np.where(bits[rows] & bit > 0, np.int32(flag), np.int32(0))
    return flags
