"""Which frequencies of the sampling turn one true frequency into several: the spectral window and its names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: A regular cadence counts from this much of the spectral window's maximum on.
MIN_POWER = 0.05

#: Multiples of a cadence, and of a period, that are given names.
MAX_MULTIPLE = 3

#: A gap of more than this many sampling intervals parts two films.
GAP = 1.5


@dataclass(frozen=True)
class Cadence:
    """A regularity of the sampling.

    Attributes
    ----------
    name : str
        ``sampling`` (frame to frame), ``film`` (from film to film), ``day`` or ``year``.
    frequency : float
        1/d.
    power : float
        Of the spectral window there (the largest of its first multiples), 0 to 1.
    """

    name: str
    frequency: float
    power: float


def window_power(time_d: NDArray[np.float64], frequency: float) -> float:
    """Power of the spectral window, ``|sum exp(2 pi i f t)|^2 / n^2`` (Deeming 1975, Ap&SS 36, 137).

    Examples
    --------
    >>> round(window_power(np.arange(10.0), 1.0), 3)
    1.0
    """
    phase = 2 * np.pi * np.remainder(time_d * frequency, 1.0)
    return float((np.cos(phase).mean()) ** 2 + (np.sin(phase).mean()) ** 2)


def cadences(time_d: NDArray[np.float64]) -> tuple[Cadence, ...]:
    """The regularities of a sampling that are strong enough to make aliases.

    Parameters
    ----------
    time_d : ndarray of float64
        Times in days, sorted, starting near 0.

    Returns
    -------
    tuple of Cadence

    Examples
    --------
    >>> night = np.arange(100) / 86400 / 2
    >>> [c.name for c in cadences(night)]
    ['sampling']
    """
    span = time_d[-1] - time_d[0]
    candidates = {"day": 1.0, "year": 1 / 365.25, **_measured(time_d)}
    found = []
    for name, frequency in candidates.items():
        if frequency * span < 1.5:
            continue
        tried = [k * frequency + d / span for k in range(1, MAX_MULTIPLE + 1) for d in (-0.25, 0.0, 0.25)]
        power = max(window_power(time_d, f) for f in tried)
        if power >= MIN_POWER:
            found.append(Cadence(name, float(frequency), power))
    return tuple(sorted(found, key=lambda c: -c.frequency))


def _measured(time_d: NDArray[np.float64]) -> dict[str, float]:
    """Frequencies of the frames, if they are regular, and of the films, if there are several."""
    steps = np.diff(time_d)
    steps = steps[steps > 0]
    if len(steps) < 3:
        return {}
    step = float(np.median(steps))
    if np.mean(np.abs(steps - step) < 0.02 * step) < 0.5:
        return {}
    # the frames' own interval, better than the median: time stamps are rounded
    step = float(np.mean(steps[np.abs(steps - step) < 0.02 * step]))
    starts = time_d[np.r_[True, np.diff(time_d) > GAP * step]]
    measured = {"sampling": 1 / step}
    if len(starts) > 2:
        measured["film"] = 1 / float(np.median(np.diff(starts)))
    return measured


def relation(frequency: float, best: float, known: Sequence[Cadence], tolerance: float) -> str:
    """How a frequency hangs together with the strongest one; empty if it does not.

    Parameters
    ----------
    frequency, best : float
        Of a peak, and of the strongest one, 1/d.
    known : sequence of Cadence
    tolerance : float
        1/d.

    Returns
    -------
    str
        Such as ``harmonic 2``, ``alias: + 1 day`` (best + 1/d) or ``alias: 2 film -`` (2/film - best).

    Examples
    --------
    >>> relation(1.3, 0.3, [Cadence("day", 1.0, 0.8)], 0.01)
    'alias: + 1 day'
    >>> relation(0.6, 0.3, [], 0.01)
    'harmonic 2'
    """
    for k in range(2, MAX_MULTIPLE + 1):
        if abs(frequency - k * best) < tolerance:
            return f"harmonic {k}"
        if abs(frequency - best / k) < tolerance:
            return f"subharmonic 1/{k}"
    for cadence in known:
        for k in range(1, MAX_MULTIPLE + 1):
            shift = k * cadence.frequency
            for text, alias in ((f"+ {k} {cadence.name}", best + shift), (f"- {k} {cadence.name}", best - shift),
                                (f"{k} {cadence.name} -", shift - best)):  # fmt: skip
                if abs(frequency - alias) < tolerance:
                    return f"alias: {text}"
    return ""
