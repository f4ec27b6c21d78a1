"""Light that neighbours put into apertures."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Doubles = NDArray[np.float64]


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def spill(
    pairs: tuple[NDArray[np.int64], NDArray[np.int64], Doubles], table: Doubles, step: float, light: Doubles
) -> Doubles:
    """Sum over each target's neighbours of their light times its share at their distance.

    Parameters
    ----------
    pairs : (target, neighbour, distance)
        ``(k,)`` each: indices, and pixels.
    table : ndarray of float64
        Share at distances 0, step, 2 step …; 0 beyond.
    step : float
        Pixels.
    light : ndarray of float64, (m,)
        All light of each target.

    Returns
    -------
    ndarray of float64, (m,)
    """
    target, neighbour, distance = pairs
    out = np.zeros(len(light))
    last = len(table) - 1
    for k in range(len(target)):
        place = distance[k] / step
        cell = int(place)
        if cell < last:
            part = place - cell
            share = table[cell] * (1.0 - part) + table[cell + 1] * part
            out[target[k]] += share * light[neighbour[k]]
    return out
