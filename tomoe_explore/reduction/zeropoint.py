"""Step 7: what ties ADU to Gaia G magnitudes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from tomoe_explore.data import Stack
from tomoe_explore.errors import ZeropointError
from tomoe_explore.kernels.apertures import image_apertures
from tomoe_explore.reduction.values import Targets, Zeropoint

MIN_STARS = 3
WIDE_FWHM = 4.0  #: radius in FWHM that holds all of a star's light
N_RADII = 9  #: points of the curve of growth
INTRINSIC_MAG = 0.02  #: scatter of stars about the zero point from colours and the catalog, added to their errors


def zeropoint(
    stack: Stack, targets: Targets, sky: NDArray[np.float32], usable: NDArray[np.bool_], radius_px: float
) -> Zeropoint:
    """Zero point of a stack and its aperture correction.

    Parameters
    ----------
    stack : Stack
        With its seeing.
    targets : Targets
    sky : ndarray of float32, (m,)
        Local sky, ADU a pixel.
    usable : ndarray of bool, (m,)
        Not saturated, not blended, well inside.
    radius_px : float
        Aperture of the photometry, pixels.

    Returns
    -------
    Zeropoint

    Raises
    ------
    ZeropointError
        If fewer than three reference stars are usable.

    Notes
    -----
    Weighted mean of ``G + 2.5 log10(flux)`` after clipping at 3 robust sigma. The aperture correction is the median
    ratio of the light within four FWHM to that in the aperture, from stars whose error of that ratio is below 3 %
    and whose neighbours there have less than 1 % of their light.
    """
    positions = targets.x, targets.y
    flux, variance, area = image_apertures(stack.image, stack.variance, positions, radius_px)
    flux = flux - sky * area
    error = np.sqrt(variance)
    crowding = _crowding(targets, flux, (WIDE_FWHM + 1) * stack.fwhm_px)
    growth = _growth(stack, targets, sky, usable & (flux > 30 * error), crowding, radius_px)
    correction = float(np.interp(radius_px, *growth))
    stars = usable & (targets.ref_id >= 0) & np.isfinite(targets.ref_mag) & (flux > 10 * error)
    if stars.sum() < MIN_STARS:
        raise ZeropointError(
            f"{int(stars.sum())} usable reference stars of {int((targets.ref_id >= 0).sum())} on the film: "
            f"at least {MIN_STARS} are needed for a zero point"
        )
    values = targets.ref_mag[stars] + 2.5 * np.log10(flux[stars] * correction)
    errors = np.hypot(1.0857 * error[stars] / flux[stars], INTRINSIC_MAG)
    keep = np.ones(len(values), bool)
    for _ in range(5):
        center = np.median(values[keep])
        sigma = max(1.4826 * float(np.median(np.abs(values[keep] - center))), 0.01)
        keep = np.abs(values - center) < 3 * np.hypot(sigma, errors - errors.min())
    weight = keep / errors**2
    value = float((weight * values).sum() / weight.sum())
    chi2 = float((weight * (values - value) ** 2).sum() / max(keep.sum() - 1, 1))
    return Zeropoint(value, float(np.sqrt(max(chi2, 1.0) / weight.sum())), growth, int(keep.sum()))


def _crowding(targets: Targets, flux: NDArray[np.float32], radius_px: float) -> NDArray[np.float64]:
    """Light of all neighbours within a radius, over the target's own."""
    positions = np.column_stack([targets.x, targets.y])
    pairs = cKDTree(positions).query_pairs(radius_px, output_type="ndarray")
    light = np.maximum(flux, 0.0).astype(np.float64)
    near = np.bincount(pairs[:, 0], light[pairs[:, 1]], len(light))
    near += np.bincount(pairs[:, 1], light[pairs[:, 0]], len(light))
    return near / np.maximum(light, 1e-3)


def _growth(
    stack: Stack,
    targets: Targets,
    sky: NDArray[np.float32],
    bright: NDArray[np.bool_],
    crowding: NDArray[np.float64],
    radius_px: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Radii from the photometry's to the widest, and all light over the light within each.

    Medians over bright isolated stars; of a Gaussian image where fewer than three tell.
    """
    radii = np.linspace(radius_px, max(WIDE_FWHM * stack.fwhm_px, radius_px + 1), N_RADII)
    x, y = targets.x[bright], targets.y[bright]
    sums = [image_apertures(stack.image, stack.variance, (x, y), radius) for radius in radii]
    light = np.array([flux - sky[bright] * area for flux, _, area in sums])
    sure = np.sqrt(sums[-1][1]) < 0.03 * light[0]
    sure &= crowding[bright] < 0.01
    ratio = light[-1] / np.maximum(light, 1e-3)
    sure &= (ratio[0] > 0.9) & (ratio[0] < 2.0)
    if sure.sum() < 3:
        sigma = stack.fwhm_px / 2.3548
        return radii, 1 / (1 - np.exp(-0.5 * (radii / sigma) ** 2))
    return radii, np.median(ratio[:, sure], axis=1)
