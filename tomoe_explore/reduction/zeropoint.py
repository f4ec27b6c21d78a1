"""Step 10: what ties ADU to Gaia G magnitudes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tomoe_explore.camera import COLOR_PIVOT
from tomoe_explore.data import Floats, Stack
from tomoe_explore.errors import ZeropointError
from tomoe_explore.kernels.moffat import fit_growth
from tomoe_explore.kernels.stack_apertures import light_within
from tomoe_explore.reduction.values import (
    Bools,
    Doubles,
    Growth,
    StackPhotometry,
    Targets,
    Zeropoint,
    surface_terms,
)

MIN_STARS = 3
WIDE_FWHM = 4.0  #: radius in FWHM to which the curve of growth is measured
N_RADII = 7  #: points of the curve of growth
N_GROWTH = 80  #: stars that make it, the least crowded
GROWTH_SCATTER, FEW = 0.03, 3  #: what the widest light scatters from star to star, as if so many had shown it before
CROWDED = 0.5  #: light of all neighbours near over a star's own, beyond which it tells nothing of the curve of growth
ISOLATED = 0.02  #: neighbours' light in the aperture, of the star's own, up to which the zero point rests on it
ENOUGH_STARS = 60  #: fewer are not to be chosen among
SURFACE_PRIORS = (3e-4, 1e-3, 2e-3, 4e-3, 8e-3, 1.6e-2)  #: mag: sizes of the terms by which the zero point may change
SYSTEMATIC = 0.003  #: mag; unseen companions and nonlinearity, which no number of stars averages out
USUAL_SNR, LEAST_SNR = 100.0, 15.0  #: of stars the zero point rests on: faint ones have companions that nobody sees
COLOR_PRIOR = 0.15  #: mag a mag: how large a colour term may be before stars have spoken
LEAST_SCATTER, USUAL_SCATTER = 0.003, 0.02  #: mag beyond photons: never taken smaller; where few stars tell


def zeropoint(
    targets: Targets, flux: Floats, spill: Floats, on_stack: StackPhotometry, growth: Growth, radius_px: float
) -> Zeropoint:
    """Zero point of a film from the mean 2 Hz fluxes of its reference stars.

    Parameters
    ----------
    targets : Targets
    flux : ndarray of float32, (m,)
        Mean aperture flux in the frames of the stack, transparency and neighbours taken out, ADU: what is calibrated is
        measured.
    spill : ndarray of float32, (m,)
        Light of neighbours that was taken out, ADU.
    on_stack : StackPhotometry
        For errors and flags.
    growth : Growth
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
    ``G + 2.5 log10(flux) = value + color_term (bp_rp - pivot) + surface(x, y)``, by least squares with weights
    ``1 / (photon error^2 + scatter^2)``, the scatter found so that chi-square is right, after clipping at 4 sigma. The
    surface takes up what the flat and the star images' change over the detector leave. The logarithm of a noisy flux is
    low by half its relative variance, which is added.
    """
    error = np.sqrt(on_stack.variance)
    good = (on_stack.flags == 0) & (targets.ref_id >= 0) & np.isfinite(targets.ref_mag)
    light = _expected(targets.ref_mag, flux, good & (flux > LEAST_SNR * error))
    snr = np.sort(light[good] / error[good])[::-1]
    enough = max(min(USUAL_SNR, float(snr[:ENOUGH_STARS].min(initial=USUAL_SNR))), LEAST_SNR)
    good &= (light >= enough * error) & (flux > 0)
    if good.sum() < MIN_STARS:
        raise ZeropointError(
            f"{int(good.sum())} usable reference stars of {int((targets.ref_id >= 0).sum())} on the film: "
            f"at least {MIN_STARS} are needed for a zero point"
        )
    alone = good & (spill < ISOLATED * flux)
    stars = np.flatnonzero(alone if alone.sum() >= ENOUGH_STARS else good)
    value = targets.ref_mag[stars] + 2.5 * np.log10(flux[stars]) + 0.5 * 1.0857 * (error[stars] / flux[stars]) ** 2
    color = targets.bp_rp[stars].astype(float)
    usual = float(np.median(color[np.isfinite(color)])) if np.isfinite(color).any() else COLOR_PIVOT
    terms = np.column_stack([
        np.ones(len(stars)), np.where(np.isfinite(color), color, usual) - COLOR_PIVOT,
        surface_terms(targets.x[stars], targets.y[stars]),
    ])  # fmt: skip
    center = terms[:, 2:].mean(axis=0)
    terms[:, 2:] -= center
    photon = 1.0857 * error[stars] / flux[stars]
    found, variance, n_used = _fitted(terms, value.astype(float), photon.astype(float))
    surface = found[2:]
    # frames are registered, the stack is not: their images are sharper than the one that the growth was measured on
    sharper = float(np.median((flux[stars] + spill[stars]) / on_stack.flux[stars]))
    correction = 1.0 / (float(growth.share(radius_px)) * sharper)
    total = float(found[0]) + 2.5 * np.log10(correction)
    stated = float(np.sqrt(variance + (1.0857 * growth.error) ** 2 + SYSTEMATIC**2))
    return Zeropoint(total, stated, float(found[1]), (surface, center), growth, correction, usual, n_used)


def _expected(mag: Floats, flux: Floats, sure: Bools) -> Doubles:
    """Flux that the catalog has us expect: to choose stars by what they measure would favour those measured bright."""
    if not sure.any():
        return np.zeros(len(mag))
    zero = float(np.median(mag[sure] + 2.5 * np.log10(flux[sure])))
    return np.asarray(10 ** (0.4 * (zero - mag.astype(np.float64))))


def _fitted(terms: Doubles, values: Doubles, photon: Doubles) -> tuple[Doubles, float, int]:
    """Coefficients, variance of the first, stars kept; the surface is as large as the stars show it to be.

    Its terms have a Gaussian prior whose width is the one of `SURFACE_PRIORS` that has the largest evidence (MacKay
    1992): where stars show nothing it vanishes and adds no noise to the fluxes, and there is no step between the two.
    """
    priors = [np.array([0.0, COLOR_PRIOR**-2] + [width**-2] * (terms.shape[1] - 2)) for width in SURFACE_PRIORS]
    weight = _robust(terms, values, photon, priors[-1])[3]
    prior = max(priors, key=lambda precision: _solve(terms, values, weight, precision)[2])
    found, covariance, kept, _ = _robust(terms, values, photon, prior)
    return found, float(covariance[0, 0]), kept


def _solve(terms: Doubles, values: Doubles, weight: Doubles, precision: Doubles) -> tuple[Doubles, Doubles, float]:
    """Weighted least squares with priors of a precision (0: none): coefficients, covariance, log of the evidence."""
    normal = (terms.T * weight) @ terms + np.diag(precision)
    covariance: Doubles = np.linalg.inv(normal).astype(np.float64)
    found = covariance @ (terms.T @ (weight * values))
    residual = values - terms @ found
    misfit = float((weight * residual**2).sum() + (precision * found**2).sum())
    evidence = 0.5 * float(np.log(precision[precision > 0]).sum() - np.linalg.slogdet(normal)[1] - misfit)
    return found, covariance, evidence


def _robust(
    terms: Doubles, values: Doubles, photon: Doubles, precision: Doubles
) -> tuple[Doubles, Doubles, int, Doubles]:
    """Coefficients, covariance, stars kept, weights."""
    scatter = USUAL_SCATTER
    center = values - np.median(values)
    keep = np.abs(center) < 5 * max(1.4826 * float(np.median(np.abs(center))), 0.02)
    for _ in range(4):
        weight = keep / (photon**2 + scatter**2)
        found, covariance, _ = _solve(terms, values, weight, precision)
        residual = values - terms @ found
        free = float(keep.sum() - (1 - precision * np.diag(covariance)).sum())  # what priors fix takes no freedom
        if free >= 5:
            excess = float((residual[keep] ** 2 - photon[keep] ** 2).sum()) / free
            scatter = float(np.sqrt(max(excess, LEAST_SCATTER**2)))
        keep = np.abs(residual) < 4 * np.hypot(photon, scatter)
    return found, covariance, int(keep.sum()), weight


def usual_growth(stack: Stack) -> Growth:
    """A Moffat image of beta 3.5 and the stack's seeing: the first guess, and all there is where stars do not tell."""
    return Growth(float(stack.fwhm_px / (2 * np.sqrt(2 ** (1 / 3.5) - 1))), 3.5, 0.02)


@dataclass(frozen=True)
class Curves:
    """Light about the stars that make the curve of growth: ``stars`` are targets, ``light`` is ``(n_radii, k)``, ADU.

    Sky is taken off, neighbours' light is not.
    """

    stars: NDArray[np.int64]
    radii: Doubles
    light: Floats


def growth_curves(stack: Stack, targets: Targets, on_stack: StackPhotometry) -> Curves:
    """The light of bright stars, the least crowded, within several radii on the stack."""
    smallest = stack.aperture_px
    radii = np.linspace(smallest, max(WIDE_FWHM * stack.fwhm_px, smallest + 1), N_RADII)
    noise = np.sqrt(on_stack.variance) * radii[-1] / smallest
    sure = (on_stack.flags == 0) & on_stack.clean & (on_stack.crowding < CROWDED) & (on_stack.flux > 0)
    bright = np.flatnonzero(sure & (noise < 0.03 * on_stack.flux))
    bright = bright[np.argsort(on_stack.crowding[bright], kind="stable")][:N_GROWTH]
    at = targets.x[bright], targets.y[bright]
    light = light_within(stack.image, at, radii.astype(np.float32), on_stack.sky[bright])
    return Curves(bright, radii, light)


def measure_growth(stack: Stack, curves: Curves, spilled: Floats, first: Growth) -> Growth:
    """Curve of growth from bright stars on the stack, their neighbours' light taken off.

    Parameters
    ----------
    stack : Stack
        For its seeing.
    curves : Curves
    spilled : ndarray of float32, (n_radii, m)
        Light of neighbours within the radii of the curves about each target, ADU.
    first : Growth
        What is known so far.

    Returns
    -------
    Growth
        A Moffat profile fitted to the median curve, so that the light beyond the widest radius counts too; ``first``
        where fewer than three stars tell.
    """
    light = curves.light - spilled[:, curves.stars]
    ratio = light / np.maximum(light[0], 1e-3)
    plain = (ratio[-1] > 0.9) & (ratio[-1] < 2.0)
    if plain.sum() < 3:
        return first
    median = np.median(ratio[:, plain], axis=1)
    n, scatter = int(plain.sum()), 1.4826 * float(np.median(np.abs(ratio[-1, plain] - median[-1])))
    known, usual = n * scatter**2, FEW * GROWTH_SCATTER**2
    error = 1.2533 * float(np.sqrt((known + usual) / (n + FEW) / n)) / median[-1]
    alpha, beta = fit_growth(curves.radii, median.astype(np.float64), stack.fwhm_px)
    return Growth(float(alpha), float(beta), float(error))
