"""From expected electrons to what a raw film holds: photon and read noise, full well, nonlinearity, gain, 16 bits."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

ROW_NOISE_ADU = 0.3  #: *assumed*: rms of the level that all pixels of a row and frame share, reference columns too
FRAME_NOISE_ADU = 0.1  #: *assumed*: rms of the level that all rows of a frame share


@njit(cache=True, fastmath=True, inline="always")
def noisy_electrons(mean: float, read_noise: float, z: float) -> float:
    """A Poisson number plus Gaussian read noise, made from one normal deviate.

    Notes
    -----
    The sum of a Poisson variable of mean ``m`` and a Gaussian of variance ``s^2`` has the cumulants
    ``m``, ``V = m + s^2``, ``m``, ``m``. With ``z`` normal, the
    expansion of Cornish & Fisher (1938, Rev. Inst. Int. Stat. 5, 307)

    ``m + sqrt(V) [z + k3 (z^2 - 1) / 6 + k4 (z^3 - 3 z) / 24 - k3^2 (2 z^3 - 5 z) / 36]``,
    ``k3 = m / V^1.5``, ``k4 = m / V^2``

    has them too (mean exactly; variance and skewness within 1 % for ``s >= 1.5``). The read noise hides that electrons
    are whole numbers. It costs a tenth of drawing Poisson numbers; the tests compare the two.
    """
    variance = mean + read_noise * read_noise
    root = math.sqrt(variance)
    k3, k4 = mean / (variance * root), mean / (variance * variance)
    z2 = z * z
    shape = z + k3 * (z2 - 1.0) / 6.0 + z * (k4 * (z2 - 3.0) / 24.0 - k3 * k3 * (2.0 * z2 - 5.0) / 36.0)
    return mean + root * shape


@njit(cache=True, fastmath=True, inline="always")
def _swapped(adu: int) -> int:
    """The two bytes of a number the other way round."""
    return ((adu & 0xFF) << 8) | ((adu >> 8) & 0xFF)


@njit(cache=True, fastmath=True)
def read_out(
    charge: NDArray[np.float32],
    read_noise: NDArray[np.float32],
    deviates: tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32]],
    row_adu: NDArray[np.float32],
    electronics: tuple[float, float, float, float],
    out: NDArray[np.int16],
) -> None:
    """Read one frame.

    Parameters
    ----------
    charge : ndarray of float32
        ``(ny, nx)``: expected electrons.
    read_noise : ndarray of float32
        ``(ny, nx_raw)``: of each pixel, electrons.
    deviates : tuple of ndarray
        A pool of normal deviates; where in it each row starts, and the sign that each row gives to them.
    row_adu : ndarray of float32
        ``(ny,)``: level of each row, ADU.
    electronics : tuple
        Gain (e-/ADU), full well (e-), part of its signal that a full pixel loses by nonlinearity, largest ADU.
    out : ndarray of int16
        ``(ny, nx_raw)``, **byte-swapped to big-endian** as FITS wants it. Columns from ``nx`` on are reference
        columns, which see no light and have no dark current.

    Notes
    -----
    ``electrons (1 - n electrons / full_well) / gain`` with the nonlinearity ``n``.
    """
    ny, nx = charge.shape
    gain, full_well, nonlinearity, largest = electronics
    bend = nonlinearity / full_well
    pool, starts, signs = deviates
    for j in range(ny):
        normal, sign = pool[starts[j] :], signs[j]
        for i in range(out.shape[1]):
            z = sign * normal[i]
            if i < nx:
                electrons = min(noisy_electrons(charge[j, i], read_noise[j, i], z), full_well)
                electrons *= 1.0 - bend * electrons
            else:
                electrons = read_noise[j, i] * z
            adu = math.floor(min(max(electrons / gain + row_adu[j], -largest), largest) + 0.5)
            out[j, i] = np.int16(_swapped(adu))


@njit(cache=True)
def add_levels(out: NDArray[np.int16], pixels: NDArray[np.int64], adu: NDArray[np.float32], largest: float) -> None:
    """Add ADU to some pixels (flattened index) of a frame that has been read, in place."""
    flat = out.ravel()
    for k in range(pixels.size):
        value = np.int16(_swapped(int(flat[pixels[k]])))
        flat[pixels[k]] = np.int16(_swapped(math.floor(min(value + adu[k], largest) + 0.5)))
