"""What else puts charge into pixels: particles that hit the chip, and full pixels that spill over."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tomoe_explore.camera import NX, NY
from tomoe_explore.simulate.draws import log_uniform

Image = NDArray[np.float32]

#: *assumed*: muons and electrons at 1100 m; with pixels of 19 um that is one in ten frames of half a second.
HITS_CM2_MIN = 1.5
PIXEL_CM = 19e-4  #: *assumed*: size of a pixel
HIT_E = (200.0, 5000.0)  #: *assumed*: electrons of a track; as many in each octave
TRACK_PX = 2.5  #: *assumed*: mean length of the tracks, which is distributed exponentially
BLOOM_SHARE = 0.1  #: *assumed*: part of the charge beyond the full well that runs into the column; the rest drains away
_SPILT = 1.1  #: a pixel filled by its neighbour is meant to be full, whatever its noise


def add_hits(charge: Image, rng: np.random.Generator, exptime_s: float) -> int:
    """Put the tracks of particles into a frame of electrons in place; returns how many.

    Examples
    --------
    >>> frame = np.zeros((1128, 2000), dtype=np.float32)
    >>> add_hits(frame, np.random.default_rng(1), 600.0) > 80, bool(frame.sum() > 1e4)
    (True, True)
    """
    n = rng.poisson(HITS_CM2_MIN * NX * NY * PIXEL_CM**2 * exptime_s / 60.0)
    for _ in range(n):
        x, y, angle = rng.uniform(0, NX), rng.uniform(0, NY), rng.uniform(0, 2 * np.pi)
        length, electrons = rng.exponential(TRACK_PX), float(log_uniform(rng, HIT_E))
        along = np.linspace(0.0, length, 2 + int(5 * length))
        column = np.floor(x + along * np.cos(angle)).astype(np.int64)
        row = np.floor(y + along * np.sin(angle)).astype(np.int64)
        inside = (column >= 0) & (column < NX) & (row >= 0) & (row < NY)
        np.add.at(charge, (row[inside], column[inside]), np.float32(electrons / along.size))
    return int(n)


def bloom(charge: Image, full_well_e: float) -> None:
    """Let full pixels spill into the others of their column, in place.

    Each run of full pixels gives ``BLOOM_SHARE`` of what is beyond the full well to the pixels above and below it, half
    to each side: the nearest ones fill up first. What reaches the edge is lost.

    Examples
    --------
    >>> frame = np.zeros((5, 1), dtype=np.float32)
    >>> frame[2] = 6000.0 + 10_000.0
    >>> bloom(frame, 6000.0)
    >>> frame[:, 0].tolist()
    [0.0, 500.0, 16000.0, 500.0, 0.0]
    """
    full = (charge > full_well_e).any(axis=0)
    for column in np.flatnonzero(full):
        charge[:, column] = _bloomed(np.ascontiguousarray(charge[:, column]), full_well_e, BLOOM_SHARE)


@njit(cache=True)
def _bloomed(column: Image, full_well: float, share: float) -> Image:
    out = column.copy()
    n = column.size
    j = 0
    while j < n:
        if column[j] <= full_well:
            j += 1
            continue
        first, excess = j, 0.0
        while j < n and column[j] > full_well:
            excess += column[j] - full_well
            j += 1
        for start, step in ((first - 1, -1), (j, 1)):
            left, k = 0.5 * share * excess, start
            while left > 0.0 and 0 <= k < n:
                room = full_well - out[k]
                if room > 0.0:
                    out[k] = out[k] + left if left < room else full_well * _SPILT
                    left -= room
                k += step
    return out
