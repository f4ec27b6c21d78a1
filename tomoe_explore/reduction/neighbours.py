"""Step 8: the light that neighbours put into a target's aperture."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tomoe_explore.camera import NX, NY
from tomoe_explore.kernels.neighbours import neighbour_lists
from tomoe_explore.kernels.spill import spill, untangled
from tomoe_explore.reduction.values import Bools, Doubles, Floats, Growth, Pairs, Targets
from tomoe_explore.schema import Flag

REACH_FWHM = 6.0  #: farther ones count as sky
STEPS = 8  #: of the iteration
BLEND_FRACTION = 0.1


def find_pairs(targets: Targets, fwhm_px: float, radius_px: float) -> Pairs:
    """Targets that may put light into each other's apertures.

    Parameters
    ----------
    targets : Targets
    fwhm_px, radius_px : float
        Seeing and aperture radius, pixels.

    Returns
    -------
    Pairs
        Each pair twice, once for either member; those of a target follow each other.
    """
    x, y = targets.x.astype(np.float64), targets.y.astype(np.float64)
    reach = np.full(len(targets), radius_px + REACH_FWHM * fwhm_px)
    start, neighbour = neighbour_lists(x, y, reach, (NY, NX))
    target = np.repeat(np.arange(len(targets)), np.diff(start))
    distance = np.sqrt((x[target] - x[neighbour]) ** 2 + (y[target] - y[neighbour]) ** 2)
    return Pairs(target, neighbour, distance)


def starlight(
    targets: Targets, pairs: Pairs, flux: Floats, saturated: Bools, growth: Growth, radius_px: float
) -> Doubles:
    """All light of each target, its neighbours' taken off.

    Parameters
    ----------
    targets : Targets
    pairs : Pairs
    flux : ndarray of float32, (m,)
        Aperture flux of each target on the stack, neighbours' light included, ADU.
    saturated : ndarray of bool, (m,)
        Targets whose flux is too small: where the catalog has them, their light is taken from there.
    growth : Growth
        The star image.
    radius_px : float
        Aperture radius, pixels.

    Returns
    -------
    ndarray of float64, (m,)
        ADU.

    Notes
    -----
    Of a star with all its light T an aperture at distance d holds ``T A(d)``. The fluxes are sums of such terms over
    all stars near; ``T`` is found by iteration, none being negative (Jacobi). What is farther than six FWHM, and what
    was not detected, is in the local sky.
    """
    table, step = growth.overlap(radius_px, pairs.reach)
    own = float(growth.share(radius_px))
    total = np.maximum(flux.astype(np.float64), 0.0) / own
    known = saturated & np.isfinite(targets.ref_mag)
    usual = ~saturated & np.isfinite(targets.ref_mag) & (flux > 0)
    if known.any() and usual.any():
        zero = np.median(targets.ref_mag[usual] + 2.5 * np.log10(total[usual]))
        total[known] = 10 ** (0.4 * (zero - targets.ref_mag[known].astype(np.float64)))
    return untangled(pairs.arrays, (table[0], step, own), flux, (known, total), STEPS)


def spilled_light(pairs: Pairs, light: Doubles, growth: Growth, radius_px: ArrayLike) -> Floats:
    """Light of neighbours in an aperture about each target, ADU, ``(m,)``; ``light`` is that of `starlight`.

    Of several radii, ``(k, m)``.
    """
    tables, step = growth.overlap(radius_px, pairs.reach)
    spilled = np.array([spill(pairs.arrays, table, step, light) for table in tables], np.float32)
    return spilled.reshape(*np.shape(radius_px), len(light))


def blended(flux: Floats, spill: Floats) -> NDArray[np.int32]:
    """`Flag.BLENDED` where neighbours put more than a tenth of a target's own light into its aperture, ``(m,)``."""
    too_much = spill > BLEND_FRACTION * np.maximum(flux - spill, 1e-3)
    return np.where(too_much, np.int32(Flag.BLENDED), np.int32(0))
