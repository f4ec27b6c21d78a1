"""Which known object is a mover: one that is where it is, and moves as it does."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from tomoe_explore.kernels.orbits import within
from tomoe_explore.orbits.ephemeris import rough, sight, state_of, terrestrial
from tomoe_explore.orbits.mpcorb import Orbits

Array = NDArray[np.float64]
_ARCSEC = np.pi / 180 / 3600

#: Rough places are for times so far apart, d: a tenth of a night.
_STEP_D = 0.1

#: How far planets move an object in 100 days at most, au (0.0017 was measured), as the square of the time; and what
#: else rough places leave out, au: the turning Earth, and the bend of the path within the step.
_DISTURBED_AU, _ROUGH_AU = 3e-3, 2e-4

#: A margin of this is wide, rad: the object is near the Earth, or its epoch far away.
_WIDE = 0.01

#: How far a mover may be from a known object: what astrometry and orbits leave, arcsec; the error of Earth's place, au.
RADIUS_ARCSEC, _EARTH_AU = 10.0, 2e-6

#: An orbit's own uncertainty widens the radius to this at most, arcsec: chance objects would come in.
WIDEST_ARCSEC = 300.0


@dataclass(frozen=True)
class Mover:
    """What of a mover is compared.

    Attributes
    ----------
    mjd : float
        UTC.
    ra, dec : float
        deg, ICRS.
    rate, position_angle : float
        arcsec/s, deg; NaN where not known: then only the place counts.
    error, rate_err : float
        Standard errors, arcsec and arcsec/s.
    """

    mjd: float
    ra: float
    dec: float
    rate: float
    position_angle: float
    error: float
    rate_err: float


@dataclass(frozen=True)
class Known:
    """A known object that a mover is.

    Attributes
    ----------
    name : str
        Its designation.
    separation : float
        From where its orbit has it, arcsec.
    """

    name: str
    separation: float


@dataclass(frozen=True)
class _Places:
    """Rough places at one time: of objects with wide margins first, then of the others from south to north.

    Attributes
    ----------
    order : ndarray of int64
        Which of the orbits each is.
    u : ndarray of float32, (n, 3)
        Unit vectors.
    margin : ndarray of float32
        How far the object may be from there, rad.
    rate : ndarray of float64
        rad/d.
    n_wide : int
    """

    order: NDArray[np.int64]
    u: NDArray[np.float32]
    margin: NDArray[np.float32]
    rate: Array
    n_wide: int

    def near(self, centre: Array, radius: float) -> NDArray[np.int64]:
        """Which of them may lie within a radius, rad."""
        reach = radius + _WIDE
        south, north = self.n_wide + np.searchsorted(self.u[self.n_wide :, 2], [centre[2] - reach, centre[2] + reach])
        parts = [
            first + within(self.u[first:last], self.margin[first:last], centre, radius)
            for first, last in ((0, self.n_wide), (south, north))
        ]
        return np.concatenate(parts)


class Finder:
    """Known objects, ready to be compared with movers; keep it, it remembers places of the night.

    Parameters
    ----------
    orbits : Orbits
        Of `read_orbits`.

    Notes
    -----
    Every tenth of a day all objects get a rough place, with a margin for what is left out; those near a mover that may
    move as it does are computed with all planets. A mover is the nearest object within ``10 arcsec``, widened by
    three of its errors, by the error of the Earth's place for near objects, and by the orbit's own uncertainty (``U``)
    up to 300 arcsec, whose velocity on the sky is the mover's within three errors, 5 % and 0.02 arcsec/s.

    Examples
    --------
    >>> from tomoe_explore.orbits.mpcorb import Orbits
    >>> finder = Finder(Orbits(np.zeros(0, "S7"), np.zeros((0, 7)), np.zeros(0, np.float32)))
    >>> finder.identify([Mover(59075.5, 310.0, -12.0, 1.0, 90.0, 0.3, 0.02)])
    [None]
    """

    def __init__(self, orbits: Orbits) -> None:
        self.orbits = orbits
        self._lock = threading.Lock()
        self._rough = lru_cache(maxsize=2)(self._rough_at)
        self._state = lru_cache(maxsize=10_000)(self._state_at)

    def identify(self, movers: list[Mover]) -> list[Known | None]:
        """Which known object each mover is; None where it is none of them.

        Parameters
        ----------
        movers : list of Mover
            Best those of one film: they share the search.
        """
        if not movers or not len(self.orbits):
            return [None] * len(movers)
        u = np.array([_unit(m.ra, m.dec) for m in movers])
        centre = u.sum(axis=0)
        centre /= np.linalg.norm(centre)
        radius = float(np.linalg.norm(u - centre, axis=1).max())
        if radius > np.radians(2):  # not of one film: each for itself
            return [self.identify([mover])[0] for mover in movers] if len(movers) > 1 else [None]
        key = round(float(np.mean([m.mjd for m in movers])) / _STEP_D)
        with self._lock:  # one thread makes the rough places of a time, the others wait for them
            places = self._rough(key)
        near = places.near(centre, radius + WIDEST_ARCSEC * _ARCSEC)
        return [self._of(mover, place, key, near) for mover, place in zip(movers, u, strict=True)]

    def _of(self, mover: Mover, place: Array, key: int, near: NDArray[np.int64]) -> Known | None:
        places = self._rough(key)
        gap = np.linalg.norm(places.u[near] - place, axis=1)
        near = near[gap < places.margin[near] + WIDEST_ARCSEC * _ARCSEC]
        if np.isfinite(mover.rate):  # most objects are slow: they need no closer look
            rate = places.rate[near] / _ARCSEC / 86_400
            slack = 3 * mover.rate_err + 0.05 + 0.3 * mover.rate
            near = near[(np.abs(rate - mover.rate) < slack) | (places.margin[near] > _WIDE)]
        found = [known for k in places.order[near].tolist() if (known := self._compared(mover, k, key))]
        return min(found, key=lambda known: known.separation, default=None)

    def _compared(self, mover: Mover, index: int, key: int) -> Known | None:
        """The object if the mover may be it."""
        state = self._state(index, key)
        if not np.isfinite(state).all():
            return None
        seen = sight(state, terrestrial(key * _STEP_D), mover.mjd)
        gap = np.linalg.norm(_unit(seen.ra, seen.dec) - _unit(mover.ra, mover.dec)) / _ARCSEC
        own = float(self.orbits.runoff[index]) * abs(mover.mjd - self.orbits.elements[index, 0]) / seen.distance
        radius = RADIUS_ARCSEC + 3 * mover.error + min(own, WIDEST_ARCSEC) + _EARTH_AU / seen.distance / _ARCSEC
        if gap > radius:
            return None
        if np.isfinite(mover.rate):
            angle = np.radians(mover.position_angle)
            off = np.hypot(mover.rate * np.sin(angle) - seen.d_ra, mover.rate * np.cos(angle) - seen.d_dec)
            if off > 3 * mover.rate_err + 0.05 * mover.rate + 0.02:
                return None
        return Known(self.orbits.name(index), float(gap))

    def _rough_at(self, key: int) -> _Places:
        mjd = key * _STEP_D
        u, turn, distance = rough(self.orbits.elements, mjd)
        rate = np.linalg.norm(turn, axis=1)
        days = np.abs(self.orbits.elements[:, 0] - mjd) / 100
        margin = (_DISTURBED_AU * days**2 + _ROUGH_AU) / distance + rate * _STEP_D / 2
        margin = np.minimum(margin, 2.0)
        wide = margin > _WIDE
        order = np.lexsort((u[:, 2].astype(np.float32), ~wide))
        return _Places(
            order, u[order].astype(np.float32), margin[order].astype(np.float32), rate[order], int(wide.sum())
        )

    def _state_at(self, index: int, key: int) -> Array:
        return state_of(self.orbits.elements[index], terrestrial(key * _STEP_D))


def _unit(ra: float, dec: float) -> Array:
    a, d = np.radians(ra), np.radians(dec)
    return np.array([np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)])
