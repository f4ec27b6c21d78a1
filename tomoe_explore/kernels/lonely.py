"""Points of single frames where no other frame has light."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Doubles = NDArray[np.float64]


@njit(cache=True, nogil=True)
def lonely(
    film: NDArray[np.int8],
    recorded: NDArray[np.bool_],
    points: tuple[NDArray[np.int64], Doubles, Doubles, Doubles],
    limits: tuple[float, float, float, float],
) -> NDArray[np.bool_]:
    """Whether no frame but the neighbours has light at a point's place.

    Parameters
    ----------
    film : ndarray of int8, (n, ny, nx)
    recorded : ndarray of bool, (n,)
    points : (frame, x, y, value)
        From `linking.frame_points`.
    limits : (mean, part, near, scatter)
        Light is a mean of so much (the noise of a frame over the root of their number, and one for rounding), and of so
        large a part of the point's own; or another point so near, in cells; or values whose standard deviation, so many
        times, exceeds the point's own: a star that varies leaves as much light in one frame as it lacks in another.

    Returns
    -------
    ndarray of bool, (k,)
    """
    frame, x, y, value = points
    mean, part, near, scatter = limits
    out = np.ones(len(frame), np.bool_)
    for k in range(len(frame)):
        i, j = round(x[k]), round(y[k])
        total, squares, number = 0.0, 0.0, 0
        for f in range(len(film)):
            if recorded[f] and abs(f - frame[k]) > 1:
                here = float(film[f, j, i])
                total, squares, number = total + here, squares + here * here, number + 1
        if number:
            level = total / number
            shines = level >= max(mean / np.sqrt(number) + 1.0, part * value[k])
            if shines or scatter * np.sqrt(max(squares / number - level * level, 0.0)) > value[k]:
                out[k] = False
                continue
        for m in range(len(frame)):
            if abs(frame[m] - frame[k]) > 1 and (x[m] - x[k]) ** 2 + (y[m] - y[k]) ** 2 < near * near:
                out[k] = False
                break
    return out
