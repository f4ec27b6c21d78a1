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
    return _sums(pairs, _shares(pairs[2], table, step), light)


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def untangled(
    pairs: tuple[NDArray[np.int64], NDArray[np.int64], Doubles],
    shares: tuple[Doubles, float, float],
    flux: NDArray[np.float32],
    known: tuple[NDArray[np.bool_], Doubles],
    n_steps: int,
) -> Doubles:
    """All light of each target from what its aperture holds, neighbours' light included: damped Jacobi iteration.

    Parameters
    ----------
    pairs
        As in `spill`.
    shares : (table, step, own)
        Table and step as in `spill`; share of a target's light in its own aperture.
    flux : ndarray of float32, (m,)
        Light in the aperture of each.
    known : (known, light)
        ``(m,)`` each: targets whose light stays what it is; and the first guess.
    n_steps : int

    Returns
    -------
    ndarray of float64, (m,)
    """
    table, step, own = shares
    share = _shares(pairs[2], table, step)
    fixed, light = known[0], known[1].copy()
    for _ in range(n_steps):
        spilled = _sums(pairs, share, light)
        for i in range(len(light)):
            if not fixed[i]:
                light[i] = 0.5 * (light[i] + max(flux[i] - spilled[i], 0.0) / own)
    return light


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy", forceinline=True)
def _shares(distance, table, step):  # type: ignore[no-untyped-def]
    """The table at distances."""
    share = np.zeros(len(distance))
    last = len(table) - 1
    for k in range(len(distance)):
        place = distance[k] / step
        cell = int(place)
        if cell < last:
            part = place - cell
            share[k] = table[cell] * (1.0 - part) + table[cell + 1] * part
    return share


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy", forceinline=True)
def _sums(pairs, share, light):  # type: ignore[no-untyped-def]
    """Sum over each target's neighbours of share times light."""
    target, neighbour, _ = pairs
    out = np.zeros(len(light))
    for k in range(len(share)):
        out[target[k]] += share[k] * light[neighbour[k]]
    return out


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def overlaps(alpha: float, beta: float, radii: Doubles, n: int, step: float) -> Doubles:
    """Share of a Moffat star's light in soft-edged apertures at distances 0, step, 2 step and so on.

    Parameters
    ----------
    alpha, beta : float
        ``I(r) ~ (1 + (r / alpha)^2)^-beta``, pixels.
    radii : ndarray of float64, (k,)
        Of the apertures, pixels.
    n : int
        Number of distances.
    step : float
        Pixels.

    Returns
    -------
    ndarray of float64, (k, n)

    Notes
    -----
    Summed over rings and angles of the aperture; the profile is read from a table in steps of ``alpha / 100``, whose
    linear interpolation errs by 1e-4 of the peak.
    """
    n_rings, n_angles, fine = 8, 8, 100.0 / alpha
    r = np.arange(int((n * step + radii.max() + 1.0) * fine) + 2) / fine
    profile = (beta - 1.0) / (np.pi * alpha**2) * np.exp(-beta * np.log(1.0 + (r / alpha) ** 2))
    out = np.zeros((len(radii), n))
    for k in range(len(radii)):
        edge = radii[k] + 0.5
        for i in range(n_rings):
            ring = (i + 0.5) * edge / n_rings
            area = ring * edge / n_rings * 2 * np.pi / n_angles * min(edge - ring, 1.0)
            for j in range(n_angles):
                angle = (j + 0.5) * np.pi / n_angles
                x, y2 = ring * np.cos(angle), (ring * np.sin(angle)) ** 2
                for d in range(n):
                    place = np.sqrt((d * step + x) ** 2 + y2) * fine
                    cell = int(place)
                    out[k, d] += area * (profile[cell] + (place - cell) * (profile[cell + 1] - profile[cell]))
    return out
