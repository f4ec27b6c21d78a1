"""Sources that no catalog knows: those that stand still are taken off a film of residuals, those that drift stay."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Bytes = NDArray[np.int8]
Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Bools = NDArray[np.bool_]

SHIFT_ROWS = 32  #: rows of cells that share a frame's shift


@njit(cache=True, nogil=True, inline="always")
def _at(image, x, y):  # type: ignore[no-untyped-def]
    i, j = int(np.floor(x)), int(np.floor(y))
    a, b = x - i, y - j
    low = (1 - a) * image[j, i] + a * image[j, i + 1]
    return (1 - b) * low + b * ((1 - a) * image[j + 1, i] + a * image[j + 1, i + 1])


@njit(cache=True, nogil=True)
def drift_snr(film: Bytes, used: Bools, shifts: Floats, x: Doubles, y: Doubles, noise: tuple[float, float]) -> Doubles:
    """Significance and direction of a steady drift of each source, whose light wanders from frame to frame.

    Parameters
    ----------
    film : ndarray of int8, (n, ny, nx)
        Smoothed by the star image, so that its slope beside a source tells the source's displacement.
    used : ndarray of bool, (n,)
    shifts : ndarray of float32, (n, ny / SHIFT_ROWS, 2)
        Of each frame along x and y, cells.
    x, y : ndarray of float64, (m,)
        Cells.
    noise : (sigma, width)
        Of the cells, and of the smoothing in cells.

    Returns
    -------
    ndarray of float64, (m, 2)
        ``S = sum(t slope) / sqrt(var(slope) sum(t^2))`` along x and y, t from the middle of the film: the derivative of
        the likelihood for a motion from rest. Zero where a source lies at the edge.
    """
    ny, nx = film.shape[1:]
    times = np.flatnonzero(used)
    t = times - times.mean()
    # neighbours two cells apart agree by exp(-4 / 4 width^2)
    scale = noise[0] * np.sqrt(2.0 * (1.0 - np.exp(-1.0 / noise[1] ** 2)) * (t**2).sum())
    out = np.zeros((len(x), 2))
    for k in range(len(x)):
        sum_x, sum_y, inside = 0.0, 0.0, True
        band = min(max(int(y[k]) // SHIFT_ROWS, 0), shifts.shape[1] - 1)
        for i in range(len(times)):
            f = times[i]
            px, py = x[k] + shifts[f, band, 0], y[k] + shifts[f, band, 1]
            if px < 2 or py < 2 or px >= nx - 3 or py >= ny - 3:
                inside = False
                break
            sum_x += t[i] * (_at(film[f], px + 1, py) - _at(film[f], px - 1, py))
            sum_y += t[i] * (_at(film[f], px, py + 1) - _at(film[f], px, py - 1))
        if inside:
            # light moves to where the slope falls with time
            out[k, 0], out[k, 1] = sum_x / scale, sum_y / scale
    return out


@njit(cache=True, nogil=True)
def take_off(film: Bytes, used: Bools, x: Doubles, y: Doubles, reach: Doubles) -> None:
    """Subtract from the cells within a distance of each source their mean over time, in place; each cell once.

    Parameters
    ----------
    film : ndarray of int8, (n, ny, nx)
    used : ndarray of bool, (n,)
    x, y, reach : ndarray of float64, (m,)
        Cells.

    Notes
    -----
    The fraction that bytes cannot hold is spread over the frames, so that the sum over time is zero.
    """
    _, ny, nx = film.shape
    frames = np.flatnonzero(used)
    n = len(frames)
    done = np.zeros((ny, nx), np.bool_)
    for k in range(len(x)):
        r = reach[k]
        for j in range(max(int(np.ceil(y[k] - r)), 0), min(int(np.floor(y[k] + r)), ny - 1) + 1):
            half = np.sqrt(max(r * r - (j - y[k]) ** 2, 0.0))
            for i in range(max(int(np.ceil(x[k] - half)), 0), min(int(np.floor(x[k] + half)), nx - 1) + 1):
                if done[j, i]:
                    continue
                done[j, i] = True
                total = 0
                for f in frames:
                    total += film[f, j, i]
                each, left, over = total // n, total - total // n * n, 0
                for f in frames:
                    over += left
                    share = each
                    if over >= n:
                        over, share = over - n, each + 1
                    film[f, j, i] = np.int8(min(max(film[f, j, i] - share, -127), 127))
