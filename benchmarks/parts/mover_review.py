"""Which candidates a person would be shown: those that are sure alone, and those that go on in another exposure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from parts.mover_match import VELOCITY_PART, VELOCITY_PX_S, Array, Candidates, offset_arcsec
from tomoe_explore.camera import PIXEL_SCALE

ALONE = 5e-4  #: expected false candidates a film at which one is shown that no other exposure has: 38 a night


def reviewed(exposures: Sequence[Candidates]) -> list[NDArray[np.bool_]]:
    """Which candidates of each exposure are shown.

    Parameters
    ----------
    exposures : sequence of Candidates
        Of one detector and field, one after the other.
    """
    shown = [found.false_alarm <= ALONE for found in exposures]
    for a, one in enumerate(exposures):
        for b in range(a + 1, len(exposures)):
            both = _linked(one, exposures[b])
            shown[a] |= both.any(axis=1)
            shown[b] |= both.any(axis=0)
    return shown


def _linked(one: Candidates, other: Candidates) -> NDArray[np.bool_]:
    """Which two are one object: the way from one to the other agrees with the velocity of both, ``(k, m)``."""
    linked = np.zeros((len(one), len(other)), bool)
    for k in range(len(one)):
        seconds = (other.mjd - one.mjd[k]) * 86_400.0
        way = offset_arcsec(other.ra, other.dec, one.ra[k], one.dec[k]) / seconds[:, None]
        linked[k] = _agree(way, one.velocity[k]) & _agree(way, other.velocity)
    return linked


def _agree(way: Array, velocity: Array) -> NDArray[np.bool_]:
    speed = np.hypot(way[..., 0], way[..., 1])
    slip = np.hypot(*np.moveaxis(way - velocity, -1, 0))
    return np.asarray(slip <= np.maximum(VELOCITY_PART * speed, VELOCITY_PX_S * PIXEL_SCALE))
