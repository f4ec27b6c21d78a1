"""A dark at another temperature."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tomoe_explore.kernels.background import FAST

Floats = NDArray[np.float32]


@njit(cache=True, nogil=True, fastmath=FAST)
def scale_hot(dark: Floats, level: float, hot: float, factor: float, out: Floats) -> None:
    """Scale what hot pixels have above a level.

    Parameters
    ----------
    dark : ndarray of float32, (ny, nx)
        ADU.
    level : float
        ADU.
    hot : float
        ADU above which a pixel is hot.
    factor : float
        Of the excess of the hot pixels over the level.
    out : ndarray of float32, (ny, nx)
        Written; of the other pixels as they are.
    """
    base, least, more = np.float32(level), np.float32(hot), np.float32(factor - 1)
    for y in range(len(dark)):
        row, scaled = dark[y], out[y]
        for x in range(len(row)):
            v = row[x]
            scaled[x] = v + (v - base) * more if v > least else v
