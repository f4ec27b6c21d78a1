"""Clouds that the wind carries over the field."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

STRUCTURE_DEG = 0.35  #: *assumed*: distance at which the extinction's correlation is ``exp(-1/2)``
CONTRAST = 0.3  #: *assumed*: rms of the extinction over its mean
WIND_DEG_S = 0.15  #: *assumed*: 15 m/s at 6 km
_WAVES = 24


@dataclass(frozen=True)
class Cloud:
    """Extinction over the camera's field as a function of time.

    Attributes
    ----------
    extinction : float
        Typical, mag; 0 is a clear sky.
    waves : ndarray, (m, 3)
        Wave numbers along xi and eta (1/deg) and phases.
    wind : tuple of float
        deg/s along xi and eta.

    Notes
    -----
    ``extinction * max(0, 1 + CONTRAST g(position - wind t))`` with a smooth random field g of unit variance.
    """

    extinction: float
    waves: Array
    wind: tuple[float, float]

    def transparency(self, seconds: ArrayLike, xi: ArrayLike, eta: ArrayLike) -> Array:
        """Share of light that passes at a time, s, and a place in the tangent plane, deg; they broadcast."""
        if self.extinction == 0.0:
            return np.ones(np.broadcast(seconds, xi, eta).shape)
        t = np.asarray(seconds, float)[..., None]
        phase = (np.asarray(xi, float)[..., None] - self.wind[0] * t) * self.waves[:, 0]
        phase = phase + (np.asarray(eta, float)[..., None] - self.wind[1] * t) * self.waves[:, 1] + self.waves[:, 2]
        field = np.sqrt(2.0 / len(self.waves)) * np.cos(phase).sum(axis=-1)
        return np.asarray(10.0 ** (-0.4 * self.extinction * np.maximum(0.0, 1.0 + CONTRAST * field)))


def draw_cloud(rng: np.random.Generator, extinction: float) -> Cloud:
    """The clouds of one exposure.

    Examples
    --------
    >>> cloud = draw_cloud(np.random.default_rng(1), 1.0)
    >>> bool(0.05 < cloud.transparency(0.0, 0.0, 0.0) < 1.0)
    True
    """
    waves = rng.standard_normal((_WAVES, 3)) / STRUCTURE_DEG
    waves[:, 2] = rng.uniform(0.0, 2 * np.pi, _WAVES)
    angle = rng.uniform(0.0, 2 * np.pi)
    return Cloud(extinction, waves, (WIND_DEG_S * float(np.cos(angle)), WIND_DEG_S * float(np.sin(angle))))
