"""Stars that two mistakes put on the detectors: a planet, or a cluster of bright stars."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tomoe_explore.simulate.draws import generator
from tomoe_explore.simulate.stars import Stars

PLANET_MAG = -2.0
CLUSTER_STARS, CLUSTER_ARCMIN, CLUSTER_MAG = 250, 6.0, (4.0, 11.0)
_FIRST_ID = 20_000_000
_FIRST_SOURCE_ID = 8_000_000_000_000_000_000


def bright_stars(seed: int, mistake: str, centers: Sequence[tuple[float, float]]) -> Stars:
    """One planet within 5 arcmin of each centre (deg), or a cluster about it.

    Examples
    --------
    >>> bright_stars(1, "planet", [(10.0, 60.0)]).mag.tolist()
    [-2.0]
    """
    parts = []
    for k, (ra, dec) in enumerate(centers):
        rng = generator(seed, "bright stars", round((ra + 360.0) * 1e5), round((dec + 90.0) * 1e5))
        if mistake == "planet":
            east, north, mag = rng.uniform(-5.0, 5.0, 1), rng.uniform(-5.0, 5.0, 1), np.array([PLANET_MAG])
        else:
            east, north = rng.normal(0.0, CLUSTER_ARCMIN, (2, CLUSTER_STARS))
            mag = rng.uniform(*CLUSTER_MAG, CLUSTER_STARS)
        n = len(mag)
        number = k * CLUSTER_STARS + np.arange(n)
        zero = np.zeros(n)
        star_ra, star_dec = (ra + east / 60.0 / np.cos(np.radians(dec))) % 360.0, dec + north / 60.0
        parts.append(
            (_FIRST_ID + number, _FIRST_SOURCE_ID + number, star_ra, star_dec, zero, zero, zero + 2016.0, mag,
             np.clip(rng.normal(0.6, 0.3, n), -0.2, 2.0))
        )  # fmt: skip
    return Stars(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))
