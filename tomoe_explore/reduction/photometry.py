"""Step 8: 2 Hz photometry, forced at every target in every frame, straight from the raw film."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from scipy.spatial import cKDTree

from tomoe_explore.camera import NX, NY
from tomoe_explore.data import Floats, Stack
from tomoe_explore.kernels.apertures import BAD, EDGE, SATURATED, annulus_means, film_apertures, image_apertures
from tomoe_explore.reduction.values import Detections, FilmPhotometry, FrameSeries, Prepared, Targets
from tomoe_explore.schema import Flag

ANNULUS_FWHM = (3.0, 6.0)  #: inner and outer radius of the local sky
BLEND_FRACTION = 0.1


def local_sky(stack: Stack, targets: Targets, detections: Detections) -> Floats:
    """Mean of star-free pixels of the stack about each target, ADU a pixel, ``(m,)``."""
    masked = detections.star_mask | (stack.mask & 1 > 0)
    xi = np.clip(np.rint(targets.x), 0, NX - 1).astype(int)
    yi = np.clip(np.rint(targets.y), 0, NY - 1).astype(int)
    radii = (max(ANNULUS_FWHM[0] * stack.fwhm_px, 8.0), max(ANNULUS_FWHM[1] * stack.fwhm_px, 16.0))
    return np.asarray(annulus_means(stack.image, masked, (targets.x, targets.y), radii, detections.background[yi, xi]))


def stack_flags(stack: Stack, targets: Targets, sky: Floats, radius_px: float) -> NDArray[np.int32]:
    """What the stack says of each target: saturated, bad pixel, edge, blended; bits of ``schema.Flag``, ``(m,)``."""
    positions = targets.x, targets.y
    flux, _, area = image_apertures(stack.image, stack.variance, positions, radius_px)
    flags = np.zeros(len(targets), np.int32)
    for bit, flag in ((1, Flag.HOT_PIXEL), (2, Flag.SATURATED)):
        hit = image_apertures((stack.mask & bit > 0).astype(np.float32), stack.variance, positions, radius_px)[0] > 0
        flags[hit] |= flag
    margin = radius_px + 2
    edge = (targets.x < margin) | (targets.y < margin) | (targets.x > NX - 1 - margin) | (targets.y > NY - 1 - margin)
    flags[edge] |= Flag.EDGE
    flags[_blended(targets, flux - sky * area, stack.fwhm_px, radius_px)] |= Flag.BLENDED
    return flags


def _blended(targets: Targets, flux: Floats, fwhm_px: float, radius_px: float) -> NDArray[np.bool_]:
    """Whether a neighbour puts more than a tenth of the target's own light into its aperture (Gaussian images)."""
    from scipy.special import erfc

    sigma = fwhm_px / 2.3548
    pairs = cKDTree(np.column_stack([targets.x, targets.y])).query_pairs(
        radius_px + 2.5 * fwhm_px, output_type="ndarray"
    )
    blended = np.zeros(len(targets), bool)
    if len(pairs) == 0:
        return blended
    distance = np.hypot(
        *(np.column_stack([targets.x, targets.y])[pairs[:, 0]] - np.column_stack([targets.x, targets.y])[pairs[:, 1]]).T
    )
    share = 0.5 * erfc((distance - radius_px) / (np.sqrt(2) * sigma))
    for a, b in ((pairs[:, 0], pairs[:, 1]), (pairs[:, 1], pairs[:, 0])):
        spill = np.maximum(flux[b], 0) * share > BLEND_FRACTION * np.maximum(flux[a], 1e-3)
        blended[a[spill]] = True
    return blended


def photometry(
    prepared: Prepared,
    targets: Targets,
    frames: FrameSeries,
    *,
    sky: Floats,
    radius_px: float,
    scintillation: float,
) -> FilmPhotometry:
    """Fluxes of all targets in all frames.

    Parameters
    ----------
    prepared, targets, frames
        As made by the steps before.
    sky : ndarray of float32, (m,)
        Local sky on the stack, ADU a pixel.
    radius_px : float
        Aperture radius, pixels.
    scintillation : float
        Relative rms of a star's flux in one frame (Young's formula).

    Returns
    -------
    FilmPhotometry
        Aperture fluxes in ADU, sky subtracted, not yet corrected for aperture and transparency.

    Notes
    -----
    ``flux_err**2 = sum(w**2 var) + (scintillation * mean flux)**2``, with the variance of a pixel expected from the
    stack. The local sky of a frame is that of the stack plus the frame's own offset on a coarse grid.
    """
    flux: list[Floats] = []
    area: list[Floats] = []
    bits: list[NDArray[np.uint8]] = []
    film, calibration, stack = prepared.film, prepared.calibration, prepared.stack
    images = calibration.dark, calibration.flat, calibration.bad
    positions = targets.x, targets.y
    for start, block in film.blocks():
        stop = start + len(block)
        shifts = frames.dx[start:stop], frames.dy[start:stop]
        result = film_apertures(block, film.packing, images, positions, shifts, (radius_px, calibration.saturation))
        flux.append(result[0])
        area.append(result[1])
        bits.append(result[2])
    areas = np.hstack(area)
    background = sky[:, None] + _sky_at(frames.sky_offset, targets)
    fluxes = np.hstack(flux) - background * areas
    one_frame = stack.variance * np.float32(stack.n_frames)
    _, variance, _ = image_apertures(stack.image, one_frame, positions, radius_px)
    mean = np.maximum(fluxes[:, 1:].mean(axis=1), 0.0)
    error = np.sqrt(variance + (scintillation * mean) ** 2)
    flags = _flags(np.hstack(bits))
    return FilmPhotometry(
        fluxes, np.repeat(error[:, None], fluxes.shape[1], axis=1), background.astype(np.float32), flags
    )


def _sky_at(grid: Floats, targets: Targets) -> Floats:
    """The coarse sky grid at the targets, linearly between cell centres, ``(m, n)``."""
    n, gy, gx = grid.shape
    cy = (targets.y + 0.5) / NY * gy - 0.5
    cx = (targets.x + 0.5) / NX * gx - 0.5
    return np.column_stack([map_coordinates(grid[f], [cy, cx], order=1, mode="nearest") for f in range(n)])


def _flags(bits: NDArray[np.uint8]) -> NDArray[np.int32]:
    flags = np.zeros(bits.shape, np.int32)
    for bit, flag in ((EDGE, Flag.EDGE), (BAD, Flag.HOT_PIXEL), (SATURATED, Flag.SATURATED)):
        flags[bits & bit > 0] |= int(flag)
    return flags
