"""Moving objects: great circles on the sky, which the film sees row by row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tomoe_explore.camera import NX, NY
from tomoe_explore.simulate.draws import generator
from tomoe_explore.simulate.projection import Projection

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Mover:
    """An object on a great circle.

    Attributes
    ----------
    mover_id : int
    ra, dec : float
        deg at ``mjd``.
    mjd : float
        MJD, UTC.
    rate : float
        arcsec/s.
    position_angle : float
        deg, north through east, at ``mjd``.
    mag : float
        Gaia G.

    Examples
    --------
    >>> ra, dec = Mover(1, 310.0, 0.0, 59000.0, 3.6, 90.0, 15.0).at(59000.0 + 10 / 86400)
    >>> round(float(ra), 6), round(float(dec), 6)
    (310.01, 0.0)
    """

    mover_id: int
    ra: float
    dec: float
    mjd: float
    rate: float
    position_angle: float
    mag: float

    def at(self, mjd: ArrayLike) -> tuple[Array, Array]:
        """Positions (deg) at times in MJD."""
        angle = np.radians(self.rate * (np.asarray(mjd, float) - self.mjd) * 86_400.0 / 3600.0)
        d0, pa = np.radians(self.dec), np.radians(self.position_angle)
        dec = np.arcsin(np.sin(d0) * np.cos(angle) + np.cos(d0) * np.sin(angle) * np.cos(pa))
        east = np.sin(angle) * np.sin(pa)
        north = np.cos(d0) * np.cos(angle) - np.sin(d0) * np.sin(angle) * np.cos(pa)
        return (self.ra + np.degrees(np.arctan2(east, north))) % 360.0, np.degrees(dec)


def draw_movers(
    seed: int, detector_id: int, projection: Projection, span_mjd: tuple[float, float], n: int
) -> list[Mover]:
    """Movers of 2-5 arcsec/s and 15.3-16.3 mag that are inside a detector in the middle of the night's films.

    They are above 25 sigma in each frame. The same object is met in all exposures until it leaves the detector.

    Examples
    --------
    >>> [m.mover_id for m in draw_movers(1, 112, Projection.nominal(310.0, -12.0, 112), (59000.0, 59000.01), 2)]
    [112001, 112002]
    """
    rng = generator(seed, "movers", detector_id)
    movers = []
    for k in range(n):
        ra, dec = projection.to_sky(rng.uniform(0.2, 0.8) * NX, rng.uniform(0.2, 0.8) * NY)
        rate, angle, mag = rng.uniform(2.0, 5.0), rng.uniform(0.0, 360.0), rng.uniform(15.3, 16.3)
        movers.append(Mover(detector_id * 1000 + k + 1, float(ra), float(dec), sum(span_mjd) / 2, rate, angle, mag))
    return movers
