"""Step 8b: how much of the stars' light each frame got, and how much more they scatter than photons do."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tomoe_explore.reduction.values import Bools, Doubles, Floats, FrameSeries, Targets

MAX_STARS, MIN_STARS = 300, 5
PLANE_STARS = 60  #: from which thin cloud may differ over the detector
TWINKLE_STARS = (15, 60)  #: fewest and most stars from which scintillation is measured


def transparency(
    flux: Floats, error: Floats, targets: Targets, usable: Bools, used: Bools
) -> tuple[Floats, NDArray[np.int64]]:
    """Light of stars in each frame over their mean light: coefficients for `FrameSeries.light`.

    Parameters
    ----------
    flux : ndarray of float32, (m, n)
        Of all targets in all frames, any unit.
    error : ndarray of float32, (m,)
        Of a flux in one frame.
    targets : Targets
    usable : ndarray of bool, (m,)
        Unsaturated, unblended, well inside.
    used : ndarray of bool, (n,)
        Frames whose mean is 1.

    Returns
    -------
    light : ndarray of float32, (n, 3)
        1 throughout where fewer than five stars are usable.
    stars : ndarray of int
        Targets that were used.

    Notes
    -----
    Weighted least squares of each star's ratio to its own mean on a plane; weights are floored at 1 % a star so that
    scintillation of the brightest does not rule, and stars beyond 4 sigma in a frame are left out of it (they vary).
    The slopes are shrunk by ``1 - (their error / their rms)^2`` (James & Stein 1961): in a clear sky they are noise.
    """
    n = flux.shape[1]
    light = np.zeros((n, 3), np.float32)
    light[:, 0] = 1.0
    mean = flux[:, used].mean(axis=1)
    snr = mean / error
    stars = np.flatnonzero(usable & (snr > 15))
    stars = stars[np.argsort(-snr[stars], kind="stable")][:MAX_STARS]
    if len(stars) < MIN_STARS:
        return light, stars
    ratio = (flux[stars] / mean[stars, None]).astype(np.float64)
    sigma = np.hypot(error[stars] / mean[stars], 0.01).astype(np.float64)[:, None]
    terms = FrameSeries.plane(targets.x[stars], targets.y[stars])[:, : 3 if len(stars) >= PLANE_STARS else 1]
    fitted = np.broadcast_to(np.median(ratio, axis=0), ratio.shape)
    for _ in range(2):
        weight = (np.abs(ratio - fitted) < 4 * sigma) / sigma**2
        normal = np.einsum("si,sf,sj->fij", terms, weight, terms) + 1e-6 * np.eye(terms.shape[1])
        right = np.einsum("si,sf->fi", terms, weight * ratio)
        found = np.linalg.solve(normal, right[:, :, None])[:, :, 0]
        fitted = terms @ found.T
    if found.shape[1] == 3:
        found[:, 1:] *= _shrinkage(found[:, 1:], np.linalg.inv(normal))
    light[:, : found.shape[1]] = found
    light /= light[used, 0].mean()
    return light, stars


def _shrinkage(slopes: Doubles, covariance: Doubles) -> Doubles:
    expected = np.array([covariance[:, k, k].mean() for k in (1, 2)])
    return np.maximum(1.0 - expected / np.maximum((slopes**2).mean(axis=0), 1e-30), 0.0)


def twinkling(flux: Floats, variance: Floats, stars: NDArray[np.int64], expected: float) -> float:
    """Relative rms of stars beyond photons and read-out: scintillation, measured where the film has the stars for it.

    Parameters
    ----------
    flux : ndarray of float32, (m, n)
        In the frames of the stack, transparency taken out.
    variance : ndarray of float32, (m,)
        Of a flux in one frame by photons and read-out.
    stars : ndarray of int
        Stars to measure it on.
    expected : float
        By Young's formula: kept where too few stars are bright enough to tell.

    Notes
    -----
    Median over stars of the relative variance over that expected, so that variable stars do not count.
    """
    if len(stars) < TWINKLE_STARS[0] or flux.shape[1] < 5:
        return expected
    mean = flux[stars].mean(axis=1)
    photons = variance[stars] / mean**2
    bright = np.flatnonzero(photons < (0.7 * expected) ** 2)
    bright = bright[np.argsort(photons[bright], kind="stable")][: TWINKLE_STARS[1]]
    if len(bright) < TWINKLE_STARS[0]:
        return expected
    relative = flux[stars[bright]].var(axis=1, ddof=1) / mean[bright] ** 2
    middle = (1 - 2 / (9 * (flux.shape[1] - 1))) ** 3  # median of a reduced chi-square (Wilson & Hilferty 1931)
    excess = float(np.median(relative / middle - photons[bright]))
    return float(np.sqrt(max(excess, (0.3 * expected) ** 2)))
