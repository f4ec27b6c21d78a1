"""Peaks of a periodogram: found on the grid, refined between its points, with errors and false-alarm probabilities."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: Parameters of a sinusoid with a mean: frequency, two amplitudes, mean.
_N_PARAMETERS = 4
_ZOOM_POINTS = 41


@dataclass(frozen=True)
class Sampled:
    """A light curve as the periodogram wants it.

    Attributes
    ----------
    time_d : ndarray of float64
        Days since the first point, sorted.
    flux : ndarray of float64
    error : ndarray of float64 or None
        Standard errors; None for equal weights.
    """

    time_d: Array
    flux: Array
    error: Array | None

    @property
    def span_d(self) -> float:
        """From the first to the last point, d."""
        return float(self.time_d[-1])

    def power(self, start: float, step: float, n: int) -> Array:
        """Generalised Lomb-Scargle power at ``start + step * k`` (1/d): 0 to 1, floating mean, by nifty-ls.

        Notes
        -----
        Zechmeister & Kürster (2009, A&A 496, 577); Garrison et al. (2024, RNAAS 8, 250).
        """
        import nifty_ls

        result = nifty_ls.lombscargle(
            self.time_d, self.flux, self.error, fmin=start, fmax=start + step * (n - 1), Nf=n, fit_mean=True
        )
        return np.asarray(result.power, dtype=np.float64)


@dataclass(frozen=True)
class Peak:
    """A peak of the periodogram.

    Attributes
    ----------
    frequency, frequency_err : float
        1/d; the error holds for white noise.
    power : float
        Part of the variance that a sinusoid explains.
    amplitude : float
        Half of the full swing of that sinusoid, in the unit of the flux.
    false_alarm : float
        Probability that noise alone gives such a peak anywhere on the grid (Baluev 2008).
    relation : str
        ``best``, a harmonic or alias of it, or empty.
    """

    frequency: float
    frequency_err: float
    power: float
    amplitude: float
    false_alarm: float
    relation: str = ""

    @property
    def period(self) -> float:
        """Period, d."""
        return 1 / self.frequency

    @property
    def period_err(self) -> float:
        """Standard error of the period, d."""
        return self.frequency_err / self.frequency**2


def highest(frequency: Array, power: Array, separation: float, n: int) -> list[int]:
    """Indices of the ``n`` highest local maxima that lie at least ``separation`` apart.

    Examples
    --------
    >>> highest(np.arange(6.0), np.array([0.0, 3.0, 1.0, 2.0, 1.0, 5.0]), 1.5, 2)
    [5, 1]
    """
    padded = np.concatenate([[-np.inf], power, [-np.inf]])
    maxima = np.flatnonzero((padded[1:-1] > padded[:-2]) & (padded[1:-1] >= padded[2:]))
    chosen: list[int] = []
    for index in maxima[np.argsort(power[maxima])[::-1]][: 200 * n]:
        if all(abs(frequency[index] - frequency[other]) >= separation for other in chosen):
            chosen.append(int(index))
        if len(chosen) == n:
            break
    return chosen


def refine(data: Sampled, frequency: float, step: float) -> tuple[float, float, float]:
    """Frequency, its error and the power of a maximum near a point of the grid.

    Parameters
    ----------
    data : Sampled
    frequency, step : float
        A point of the grid and the grid's step, 1/d.

    Returns
    -------
    frequency, error, power : float

    Notes
    -----
    ``chi2(f) = chi2_0 (1 - power(f))`` rises by one from its minimum, errors scaled to a reduced chi2 of one, over
    ``sigma^2 = 2 (1 - power) / ((n - 4) |power''|)``. The maximum is that of a parabola through a second, finer grid.
    """
    for half in (step, step / 10):
        grid_step = 2 * half / (_ZOOM_POINTS - 1)
        start = max(frequency - half, grid_step)
        power = data.power(start, grid_step, _ZOOM_POINTS)
        best = int(np.argmax(power))
        frequency = start + grid_step * best
    low = int(np.clip(best - 10, 0, _ZOOM_POINTS - 21))
    offset = (np.arange(low, low + 21) - best) * grid_step
    scale = 10 * grid_step
    curve = np.polynomial.polynomial.polyfit(offset / scale, power[low : low + 21], 2)
    if not curve[2] < 0:  # no maximum inside: the edge of the frequencies searched
        return float(frequency), float("nan"), float(power[best])
    shift = float(np.clip(-curve[1] / (2 * curve[2]), -1, 1)) * scale
    curvature = 2 * abs(curve[2]) / scale**2
    n = max(len(data.time_d) - _N_PARAMETERS, 1)
    error = float(np.sqrt(2 * max(1 - power[best], 0.0) / (n * curvature)))
    return float(frequency + shift), error, float(power[best])


def amplitude(data: Sampled, frequency: float) -> float:
    """Amplitude of the best sinusoid with a mean, by weighted least squares, in the unit of the flux."""
    phase = 2 * np.pi * np.remainder(data.time_d * frequency, 1.0)
    design = np.stack([np.ones_like(phase), np.cos(phase), np.sin(phase)], axis=1)
    weight = np.ones_like(phase) if data.error is None else 1 / data.error
    solution = np.linalg.lstsq(design * weight[:, None], data.flux * weight, rcond=None)[0]
    return float(np.hypot(solution[1], solution[2]))
