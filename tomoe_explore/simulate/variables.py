"""Stars that vary: each is a function of time, evaluated at the mid-exposure of the star's own row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tomoe_explore.camera import NX, NY
from tomoe_explore.simulate.draws import generator
from tomoe_explore.simulate.projection import Projection
from tomoe_explore.simulate.stars import Stars

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Pulsation:
    """A sinusoid in magnitude.

    Attributes
    ----------
    period : float
        Days.
    amplitude : float
        Semi-amplitude, mag.
    epoch : float
        MJD of maximum light.

    Examples
    --------
    >>> float(Pulsation(0.001, 0.3, 59000.0).factor(np.array(59000.001)).round(4))
    1.3183
    """

    period: float
    amplitude: float
    epoch: float
    kind: str = "pulsation"

    def factor(self, mjd: Array) -> Array:
        """Flux over the catalog's flux at times in MJD."""
        return 10.0 ** (0.4 * self.amplitude * np.cos(2 * np.pi * (mjd - self.epoch) / self.period))


@dataclass(frozen=True)
class FlareEvent:
    """A flare: a linear rise, then an exponential decay.

    Attributes
    ----------
    epoch : float
        MJD of the peak.
    rise_s, decay_s : float
        Seconds.
    strength : float
        Peak flux of the flare over the star's quiet flux.

    Examples
    --------
    >>> FlareEvent(59000.0, 10.0, 20.0, 2.0).factor(np.array([58999.9, 59000.0])).tolist()
    [1.0, 3.0]
    """

    epoch: float
    rise_s: float
    decay_s: float
    strength: float
    kind: str = "flare"
    period: float = float("nan")

    @property
    def amplitude(self) -> float:
        """Half of the rise in mag, so that it compares with a pulsation's semi-amplitude."""
        return float(1.25 * np.log10(1.0 + self.strength))

    def factor(self, mjd: Array) -> Array:
        """Flux over the quiet flux at times in MJD."""
        seconds = (mjd - self.epoch) * 86_400.0
        rise = np.clip(1.0 + seconds / self.rise_s, 0.0, 1.0)
        return 1.0 + self.strength * np.where(seconds < 0, rise, np.exp(-np.maximum(seconds, 0.0) / self.decay_s))


@dataclass(frozen=True)
class Eclipse:
    """A star that loses light for some seconds: a smooth dip with a flat bottom.

    Attributes
    ----------
    epoch : float
        MJD of its middle.
    duration_s : float
        From the first to the last contact, s; a quarter of it falls, a quarter rises.
    depth : float
        Light lost over the star's light.

    Examples
    --------
    >>> dip = Eclipse(59000.0, 4.0, 0.4)
    >>> dip.factor(59000.0 + np.array([-3.0, -1.5, 0.0, 0.9]) / 86400).round(3).tolist()
    [1.0, 0.8, 0.6, 0.6]
    """

    epoch: float
    duration_s: float
    depth: float
    kind: str = "eclipse"
    period: float = float("nan")

    @property
    def amplitude(self) -> float:
        """Half of the loss in mag, so that it compares with a pulsation's semi-amplitude."""
        return float(-1.25 * np.log10(1.0 - self.depth))

    def factor(self, mjd: Array) -> Array:
        """Flux over the usual flux at times in MJD."""
        before = self.duration_s / 2 - np.abs((mjd - self.epoch) * 86_400.0)
        part = np.clip(before / (self.duration_s / 4), 0.0, 1.0)
        return 1.0 - self.depth * (1.0 - np.cos(np.pi * part)) / 2


Variation = Pulsation | FlareEvent | Eclipse


def draw_variables(
    seed: int, stars: Stars, projection: Projection, span_mjd: tuple[float, float], counts: Mapping[str, int]
) -> Mapping[int, Variation]:
    """Choose stars well inside a detector and how they vary.

    Parameters
    ----------
    seed : int
    stars : Stars
    projection : Projection
        Nominal, of the detector.
    span_mjd : tuple of float
        First and last time of the night's films.
    counts : mapping of str to int
        ``variables``, pulsating stars of 13-14.5 mag: bright, but below saturation; period 10-20 s, semi-amplitude
        0.25-0.35 mag. ``flares``, on stars of 14.5-16.5 mag: 0.5-5 times the star's light, rise 5-12 s, decay 8-30 s.
        ``eclipses`` of stars of 13-15 mag: 3-6 s, 30-80 % of the light.

    Returns
    -------
    mapping of int to Variation
        By ``star_id``.
    """
    x, y = projection.to_pixels(*stars.at(span_mjd[0]))
    inside = (np.abs(x - NX / 2) < 0.35 * NX) & (np.abs(y - NY / 2) < 0.35 * NY)
    rng = generator(seed, "variables", *(round(v * 1e4) for v in (projection.xi + 10, projection.eta + 10)))
    chosen: dict[int, Variation] = {}
    for k in _isolated(rng, stars, inside & (stars.mag > 13.0) & (stars.mag < 14.5), counts["variables"]):
        period = rng.uniform(10.0, 20.0) / 86_400.0
        epoch = span_mjd[0] + rng.random() * period
        chosen[int(stars.star_id[k])] = Pulsation(period, rng.uniform(0.25, 0.35), epoch)
    for k in _isolated(rng, stars, inside & (stars.mag > 14.5) & (stars.mag < 16.5), counts["flares"]):
        peak = span_mjd[0] + rng.uniform(0.3, 0.6) * (span_mjd[1] - span_mjd[0])
        strength = 10 ** rng.uniform(np.log10(0.5), np.log10(5.0))
        chosen[int(stars.star_id[k])] = FlareEvent(peak, rng.uniform(5.0, 12.0), rng.uniform(8.0, 30.0), strength)
    free = inside & ~np.isin(stars.star_id, list(chosen))
    for k in _isolated(rng, stars, free & (stars.mag > 13.0) & (stars.mag < 15.0), counts["eclipses"]):
        middle = span_mjd[0] + rng.uniform(0.3, 0.7) * (span_mjd[1] - span_mjd[0])
        chosen[int(stars.star_id[k])] = Eclipse(middle, rng.uniform(3.0, 6.0), rng.uniform(0.3, 0.8))
    return chosen


def _isolated(rng: np.random.Generator, stars: Stars, candidates: NDArray[np.bool_], n: int) -> list[int]:
    """At most ``n`` of the candidates, in random order, without a neighbour of similar light within 20 arcsec."""
    picked: list[int] = []
    for k in rng.permutation(np.flatnonzero(candidates)):
        if len(picked) >= n:
            break
        d_ra = (stars.ra - stars.ra[k]) * np.cos(np.radians(stars.dec[k]))
        close = np.hypot(d_ra, stars.dec - stars.dec[k]) < 20.0 / 3600
        if (close & (stars.mag < stars.mag[k] + 2.5)).sum() == 1:
            picked.append(int(k))
    return picked
