"""From expected electrons to what a raw film holds: photon and read noise, full well, gain, 16 bits."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray


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


@njit(cache=True, fastmath=True)
def read_out(
    light: NDArray[np.float32],
    response: NDArray[np.float32],
    dark: NDArray[np.float32],
    normal: NDArray[np.float32],
    electronics: tuple[float, float, float, float],
    out: NDArray[np.int16],
) -> None:
    """Expose and read one frame.

    Parameters
    ----------
    light, response, dark : ndarray of float32
        ``(ny, nx)``: electrons that fall on a perfect pixel, relative sensitivity, and dark electrons in the frame.
    normal : ndarray of float32
        ``(ny, nx_raw)`` normal deviates.
    electronics : tuple
        Gain (e-/ADU), read noise (e-), full well (e-), largest ADU.
    out : ndarray of int16
        ``(ny, nx_raw)``, **byte-swapped to big-endian** as FITS wants it. Columns from ``nx`` on are reference
        columns, which see no light and have no dark current.
    """
    ny, nx = light.shape
    gain, read_noise, full_well, largest = electronics
    for j in range(ny):
        for i in range(out.shape[1]):
            if i < nx:
                mean = light[j, i] * response[j, i] + dark[j, i]
                electrons = min(noisy_electrons(mean, read_noise, normal[j, i]), full_well)
            else:
                electrons = read_noise * normal[j, i]
            adu = math.floor(min(max(electrons / gain, -largest), largest) + 0.5)
            out[j, i] = np.int16(((adu & 0xFF) << 8) | ((adu >> 8) & 0xFF))
