"""Step 9: how much of the stars' light each frame got, and how much more they scatter than photons do."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tomoe_explore.reduction.values import Bools, Doubles, Floats, FrameSeries, Targets

MAX_STARS, MIN_STARS = 300, 5
PLANE_STARS = 60  #: from which thin cloud may differ over the detector
PRIOR = 0.5  #: relative error of the variance that scintillation has by formula


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
    k = terms.shape[1]
    squares = (terms[:, :, None] * terms[:, None, :]).reshape(len(stars), k * k)
    fitted = np.broadcast_to(np.median(ratio, axis=0), ratio.shape)
    for _ in range(2):
        weight = (np.abs(ratio - fitted) < 4 * sigma) / sigma**2
        normal = (weight.T @ squares).reshape(-1, k, k) + 1e-6 * np.eye(k)
        right = (weight * ratio).T @ terms
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
    """Relative rms of stars beyond photons and read-out: scintillation, as far as the film has the stars to tell.

    Parameters
    ----------
    flux : ndarray of float32, (m, n)
        In the frames of the stack, transparency taken out.
    variance : ndarray of float32, (m,)
        Of a flux in one frame by photons and read-out.
    stars : ndarray of int
        Stars to measure it on.
    expected : float
        By formula; taken as known to half its variance.

    Returns
    -------
    float

    Notes
    -----
    Each star gives ``var(flux) / mean^2 - variance / mean^2`` with the error of a sample variance; their weighted mean
    is weighted again with what is expected. Stars that vary by five such errors more are left out.
    """
    guess = expected**2
    precision = 1.0 / (PRIOR * guess) ** 2
    result = guess
    free = flux.shape[1] - 1
    if len(stars) and free >= 2:
        mean = flux[stars].mean(axis=1)
        relative = (flux[stars].var(axis=1, ddof=1) / mean**2).astype(np.float64)
        photons = (variance[stars] / mean**2).astype(np.float64)
        for _ in range(3):
            error = (photons + result) * np.sqrt(2 / free)
            weight = (relative - photons - result < 5 * error) / error**2
            total = float((weight * (relative - photons)).sum()) + precision * guess
            result = max(total / (float(weight.sum()) + precision), 0.1 * guess)
    return float(np.sqrt(result))
