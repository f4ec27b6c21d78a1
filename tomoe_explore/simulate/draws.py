"""Random numbers: each thing of a simulation has its own stream, so any film can be made again alone."""

from __future__ import annotations

import math
import zlib

import numpy as np
from numpy.typing import NDArray


def generator(seed: int, *names: str | int) -> np.random.Generator:
    """The random generator of one thing, the same in every run.

    Parameters
    ----------
    seed : int
        Seed of the simulation, not negative.
    *names : str or int
        What it is for, e.g. ``"film", exposure_id, detector_id``.

    Examples
    --------
    >>> a, b = generator(1, "film", 7), generator(1, "film", 7)
    >>> bool(a.random() == b.random())
    True
    """
    words = [zlib.crc32(n.encode()) if isinstance(n, str) else int(n) for n in names]
    return np.random.default_rng(np.random.SeedSequence([seed, *words]))


def log_uniform(
    rng: np.random.Generator, limits: tuple[float, float], size: int | tuple[int, ...] | None = None
) -> NDArray[np.float64]:
    """Numbers between two positive limits, as many in each octave.

    Examples
    --------
    >>> bool(1.0 < log_uniform(np.random.default_rng(1), (1.0, 8.0)) < 8.0)
    True
    """
    return np.asarray(np.exp(rng.uniform(math.log(limits[0]), math.log(limits[1]), size)))
