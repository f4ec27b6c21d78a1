"""A moving source in the pixels of all frames at once: how well it fits, and its track where something stands still."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tomoe_explore.kernels.moffat import Psf
from tomoe_explore.kernels.track_fit import templates

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Bools = NDArray[np.bool_]
Stamps = tuple[Floats, Floats, NDArray[np.int64], Bools]


@njit(cache=True, nogil=True)
def misfit(
    stamps: Stamps,
    places: tuple[Doubles, Doubles],
    psf: Psf,
    trail: tuple[float, float],
    light_of: tuple[Doubles, float],
    noise: tuple[float, float, float],
) -> tuple[float, float]:
    """What a source's pixels have beyond it: chi-square of each in its frame, and of what stands still.

    Parameters
    ----------
    stamps, places, psf, trail, light_of
        As in `track_fit.measure_frames`.
    noise : (variance, 1 / gain, reach)
        Also how far from the source a pixel is looked at, pixels.

    Returns
    -------
    each : float
        Mean of ``r^2 / sigma^2`` over the pixels near the source in their frames; 1 where noise is all there is.
    still : float
        The same of means over time, of the pixels that it comes near to; 0 where stamps move with the source.
    """
    data, weight, corner, _ = stamps
    transparency, flux = light_of
    n, w = data.shape[0], data.shape[1]
    images = templates(stamps, places, psf, trail)
    near2 = noise[2] ** 2
    chi2, m, same = 0.0, 0, True
    sums, near = np.zeros((2, w, w)), np.zeros((w, w), np.bool_)
    for f in range(n):
        same &= corner[f, 0] == corner[0, 0] and corner[f, 1] == corner[0, 1]
        for j in range(w):
            for i in range(w):
                if weight[f, j, i] <= 0.0:
                    continue
                model = flux * transparency[f] * images[f, 0, j, i]
                variance = (noise[0] + max(model, 0.0) * noise[1]) / weight[f, j, i]
                r = data[f, j, i] - model
                sums[0, j, i] += r / variance
                sums[1, j, i] += 1.0 / variance
                u, v = corner[f, 0] + i - places[0][f], corner[f, 1] + j - places[1][f]
                if u * u + v * v < near2:
                    chi2, m = chi2 + r * r / variance, m + 1
                    near[j, i] = True
    still, k = 0.0, 0
    for j in range(w):
        for i in range(w):
            if same and near[j, i]:
                still, k = still + sums[0, j, i] ** 2 / sums[1, j, i], k + 1
    return chi2 / max(m, 1), still / max(k, 1)


@njit(cache=True, nogil=True)
def joint_equations(
    stamps: Stamps,
    places: tuple[Doubles, Doubles],
    t: Doubles,
    psf: Psf,
    trail: tuple[float, float],
    source: tuple[Doubles, float, float, float],
) -> tuple[Doubles, Doubles]:
    """Normal equations for light, place and motion of a source, what stands still in its pixels being any.

    Parameters
    ----------
    stamps, places, psf, trail
        As in `track_fit.measure_frames`.
    t : ndarray of float64, (n,)
        Frames from the time for which the place is sought.
    source : (transparency, flux, variance, 1 / gain)
        As in `track_fit.measure_frames`.

    Returns
    -------
    matrix : ndarray of float64, (5, 5)
        Inverse covariance of flux (ADU), x, y (pixels), and motion along them (pixels a frame).
    right : ndarray of float64, (5,)

    Notes
    -----
    Where the mean of the frames was subtracted from the data it is subtracted from the model and its derivatives too:
    a common shift of all frames then hardly shows in a source that hardly moves, and its error says so.
    """
    data, weight, _, profiled = stamps
    transparency, flux, variance, inverse_gain = source
    n, w = data.shape[0], data.shape[1]
    still = stamps[0], weight, stamps[2], np.zeros_like(profiled)
    images = templates(still, places, psf, trail)
    matrix, right, one, mean = np.zeros((5, 5)), np.zeros(5), np.empty((n, 5)), np.zeros(5)
    for j in range(w):
        for i in range(w):
            mean[:], k = 0.0, 0
            for f in range(n):
                if weight[f, j, i] > 0.0:
                    light = transparency[f] * flux
                    one[f, 0] = transparency[f] * images[f, 0, j, i]
                    one[f, 1], one[f, 2] = light * images[f, 1, j, i], light * images[f, 2, j, i]
                    one[f, 3], one[f, 4] = t[f] * one[f, 1], t[f] * one[f, 2]
                    mean += one[f]
                    k += 1
            if k == 0:
                continue
            mean *= 1.0 / k if profiled[j, i] else 0.0
            for f in range(n):
                if weight[f, j, i] > 0.0:
                    photons = max(flux * one[f, 0], 0.0) * inverse_gain
                    d = one[f] - mean
                    share = weight[f, j, i] / (variance + photons)
                    r = data[f, j, i] - flux * d[0]
                    for p in range(5):
                        right[p] += share * d[p] * r
                        for q in range(5):
                            matrix[p, q] += share * d[p] * d[q]
    return matrix, right
