"""Random numbers: each thing of a simulation has its own stream, so any film can be made again alone."""

from __future__ import annotations

import zlib

import numpy as np


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
