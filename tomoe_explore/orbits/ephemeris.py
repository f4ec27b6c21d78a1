"""Where objects are, seen from Kiso, against the stars: offline, from their orbits."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import erfa
import numpy as np
from numpy.typing import NDArray

from tomoe_explore.camera import ALTITUDE_M, LATITUDE_DEG, LONGITUDE_DEG
from tomoe_explore.kernels.orbits import Table, disturbed, two_body

Array = NDArray[np.float64]

_J2000, _MJD = 2_400_000.5, 51_544.5
_LIGHT = 173.144632674  # au/d
_AU_M = 149_597_870_700.0

#: The file's ecliptic (obliquity 84381.448 arcsec) to the axes of the ICRS.
_TILT = np.radians(84_381.448 / 3600)
TO_ICRS = np.array([[1, 0, 0], [0, np.cos(_TILT), -np.sin(_TILT)], [0, np.sin(_TILT), np.cos(_TILT)]])

#: Masses in the Sun's: Mercury, Venus, Mars to Neptune, Earth, Moon.
_MASSES = 1 / np.array([6_023_600.0, 408_523.72, 3_098_703.59, 1_047.348644, 3_497.9018, 22_902.98, 19_412.26,
                        332_946.0487, 27_068_703.24])  # fmt: skip
_STEP_D = 0.25  # cubics of the Moon's path are good to 20 m


@dataclass(frozen=True)
class Sight:
    """An object seen from Kiso.

    Attributes
    ----------
    ra, dec : float
        Place among a catalog's stars, deg, ICRS: with light time, and without aberration, as theirs.
    d_ra, d_dec : float
        Motion, arcsec/s, the first times cos(dec).
    distance : float
        From the observer, au.
    """

    ra: float
    dec: float
    d_ra: float
    d_dec: float
    distance: float


def terrestrial(mjd_utc: float) -> float:
    """MJD (TT) of an MJD (UTC); leap seconds are those that the installed library knows."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", erfa.ErfaWarning)  # of years for which none are announced yet
        one, two = erfa.taitt(*erfa.utctai(_J2000, mjd_utc))
    return float((one - _J2000) + two)


def observer(mjd_utc: float) -> Array:
    """Heliocentric state of the telescope, au and au/d, ICRS axes.

    Notes
    -----
    Earth by `erfa.epv00` (good to some 10 km); UT1 is taken for UTC, and the poles for the axis (0.4 km).
    """
    mjd_tt = terrestrial(mjd_utc)
    earth = erfa.epv00(_J2000, mjd_tt)[0]
    site = erfa.pvtob(
        np.radians(LONGITUDE_DEG), np.radians(LATITUDE_DEG), ALTITUDE_M, 0.0, 0.0, 0.0, erfa.era00(_J2000, mjd_utc)
    )
    to_stars = erfa.c2i06a(_J2000, mjd_tt).T
    place = earth["p"] + to_stars @ site["p"] / _AU_M
    return np.concatenate([place, earth["v"] + to_stars @ site["v"] * 86_400 / _AU_M])


@lru_cache(maxsize=8)
def bodies(first: float, last: float) -> Table:
    """Places of what disturbs orbits between two times (MJD, TT), as `disturbed` takes them."""
    begin = first - 2 * _STEP_D
    times = begin + _STEP_D * np.arange(int((last - first) / _STEP_D) + 6)
    states = np.empty((len(times), len(_MASSES), 6))
    earth, moon = erfa.epv00(_J2000, times)[0], erfa.moon98(_J2000, times)
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", erfa.ErfaWarning)  # of years far away, where planets are less exact
        found = [erfa.plan94(_J2000, times, n) for n in (1, 2, 4, 5, 6, 7, 8)]
    for k, body in enumerate(found):
        states[:, k, :3], states[:, k, 3:] = body["p"], body["v"]
    states[:, 7, :3], states[:, 7, 3:] = earth["p"], earth["v"]
    states[:, 8, :3], states[:, 8, 3:] = earth["p"] + moon["p"], earth["v"] + moon["v"]
    return begin, _STEP_D, _MASSES, states


def state_of(elements: Array, mjd_tt: float) -> Array:
    """Heliocentric state of one object, au and au/d, ICRS axes, disturbed by the planets and the Moon since its epoch.

    Parameters
    ----------
    elements : ndarray of float64, (7,)
        A row of `Orbits.elements`.
    mjd_tt : float
    """
    epoch = float(elements[0])
    start = two_body(elements[None, :], epoch)[0]
    start = np.concatenate([TO_ICRS @ start[:3], TO_ICRS @ start[3:]])
    low, high = sorted((epoch, mjd_tt))
    # tables of whole months, so that objects and times of a night share one
    table = bodies(30.0 * np.floor(low / 30), 30.0 * np.ceil(high / 30) + 1)
    return np.asarray(disturbed(start, (epoch, mjd_tt), table))


def sight(state: Array, mjd_tt: float, mjd_utc: float) -> Sight:
    """What is seen at a time of an object whose state is known at a time near it.

    Parameters
    ----------
    state : ndarray of float64, (6,)
        As of `state_of`, at ``mjd_tt``.
    mjd_tt : float
    mjd_utc : float
        When light reaches the telescope.
    """
    table = bodies(30.0 * np.floor(mjd_tt / 30) - 30, 30.0 * np.ceil(mjd_tt / 30) + 30)
    here = disturbed(state, (mjd_tt, terrestrial(mjd_utc)), table)
    watcher = observer(mjd_utc)
    delay = 0.0
    for _ in range(3):
        line = here[:3] - delay * here[3:] - watcher[:3]
        delay = float(np.linalg.norm(line)) / _LIGHT
    distance = float(np.linalg.norm(line))
    u = line / distance
    turn = (here[3:] - watcher[3:]) / distance
    turn = (turn - (turn @ u) * u) * np.degrees(1) * 3600 / 86_400
    ra, dec = np.arctan2(u[1], u[0]), np.arcsin(u[2])
    east = np.array([-np.sin(ra), np.cos(ra), 0.0])
    return Sight(
        float(np.degrees(ra) % 360),
        float(np.degrees(dec)),
        float(turn @ east),
        float(turn @ np.cross(u, east)),
        distance,
    )


def rough(elements: Array, mjd_utc: float) -> tuple[Array, Array, Array]:
    """Directions (unit vectors, ICRS), motions (rad/d) and distances (au) of many objects, the planets left out."""
    mjd_tt = terrestrial(mjd_utc)
    states = two_body(elements, mjd_tt)
    watcher = observer(mjd_utc)
    line, speed = states[:, :3] @ TO_ICRS.T - watcher[:3], states[:, 3:] @ TO_ICRS.T - watcher[3:]
    distance = np.linalg.norm(line, axis=1)
    line -= (states[:, 3:] @ TO_ICRS.T) * (distance / _LIGHT)[:, None]
    u = line / distance[:, None]
    turn = speed / distance[:, None]
    turn -= (turn * u).sum(axis=1)[:, None] * u
    return u, turn, distance
