"""The shift and rotation that bring most detections onto reference stars."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True, nogil=True)
def vote(
    detected: tuple[NDArray[np.float64], NDArray[np.float64]],
    expected: tuple[NDArray[np.float64], NDArray[np.float64]],
    angles: NDArray[np.float64],
    reach: float,
    bin_size: float,
) -> tuple[int, float, float, int, float]:
    """Vote for the offset between two point lists over trial rotations.

    Parameters
    ----------
    detected, expected : (x, y)
        Positions of detections, and of reference stars where they ought to be, pixels from the field's centre.
    angles : ndarray of float64
        Trial rotations of the expected positions about the origin, rad.
    reach : float
        Largest offset along x or y, pixels.
    bin_size : float
        Of the vote, pixels.

    Returns
    -------
    best_angle : int
        Index of the winning rotation.
    shift_x, shift_y : float
        Detected minus rotated expected position, pixels.
    votes : int
        Pairs in the winning 2 x 2 bins.
    background : float
        Mean pairs in 2 x 2 bins at that rotation: what chance gives.

    Notes
    -----
    A two-dimensional histogram of all pair differences; right pairs pile up, wrong ones spread. Votes are counted
    over 2 x 2 bins so that a bin's edge cannot split a pile.
    """
    size = int(np.ceil(2 * reach / bin_size)) + 1
    best = (0, 0.0, 0.0, -1, 0.0)
    histogram = np.zeros((size, size), np.int32)
    for a in range(len(angles)):
        cos, sin = np.cos(angles[a]), np.sin(angles[a])
        histogram[:] = 0
        pairs = 0
        for j in range(len(expected[0])):
            ex = cos * expected[0][j] - sin * expected[1][j]
            ey = sin * expected[0][j] + cos * expected[1][j]
            for i in range(len(detected[0])):
                ix = int(np.floor((detected[0][i] - ex + reach) / bin_size))
                iy = int(np.floor((detected[1][i] - ey + reach) / bin_size))
                if 0 <= ix < size and 0 <= iy < size:
                    histogram[iy, ix] += 1
                    pairs += 1
        for iy in range(size - 1):
            for ix in range(size - 1):
                votes = histogram[iy, ix] + histogram[iy, ix + 1] + histogram[iy + 1, ix] + histogram[iy + 1, ix + 1]
                if votes > best[3]:
                    shift_x = (ix + 1) * bin_size - reach
                    shift_y = (iy + 1) * bin_size - reach
                    best = (a, shift_x, shift_y, votes, 4.0 * pairs / size**2)
    return best
