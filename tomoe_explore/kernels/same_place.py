"""Which detections of different films are of one thing: same place, film after film."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

_NONE = -1


@njit(cache=True, nogil=True)
def same_place(
    xyz: NDArray[np.float64], first: NDArray[np.int64], known: NDArray[np.float64], reach: float
) -> NDArray[np.int64]:
    """Object of each detection; objects are founded by detections that none lies near.

    Parameters
    ----------
    xyz : ndarray of float64, shape (3, n)
        Unit vectors of the detections, film by film.
    first : ndarray of int64
        Where each film begins, and ``n`` at the end.
    known : ndarray of float64, shape (3, m)
        Unit vectors of objects known already.
    reach : float
        Distance (chord) up to which a detection may be of an object.

    Returns
    -------
    ndarray of int64, shape (n,)
        A known object's index; or ``m + i`` for the object that detection ``i`` founded.

    Notes
    -----
    Films are taken in turn. Of the pairs of a detection and an object in reach the nearest is joined first, then the
    next of which neither is taken; so two detections of a film are never one object. Who remains founds an object at
    its own place. Objects are found by a hash of the cubic cell of edge ``2 reach`` they lie in: those in reach of a
    point lie in the 8 cells about its nearest corner. Different cells may share a hash; the distance decides.
    """
    n, m = xyz.shape[1], known.shape[1]
    bits = 8
    while (1 << bits) < n + m:
        bits += 1
    heads = np.full(1 << bits, _NONE, np.int32)
    nexts = np.full(n + m, _NONE, np.int32)
    for j in range(m):
        _enter(heads, nexts, j, known[:, j], reach)
    found = np.full(n, _NONE, np.int64)
    taken = np.full(n + m, _NONE, np.int32)  # the film that an object was last seen on
    sources = np.empty(64, np.int64)
    objects = np.empty(64, np.int64)
    distances = np.empty(64, np.float64)
    buckets = np.empty(8, np.int64)
    for film in range(len(first) - 1):
        pairs = 0
        for i in range(first[film], first[film + 1]):
            for b in range(_buckets_near(xyz[:, i], reach, len(heads), buckets)):
                j = heads[buckets[b]]
                while j != _NONE:
                    d2 = 0.0
                    for axis in range(3):
                        at = known[axis, j] if j < m else xyz[axis, j - m]
                        d2 += (xyz[axis, i] - at) ** 2
                    if d2 <= reach * reach:
                        if pairs == len(sources):
                            sources, objects = np.append(sources, sources), np.append(objects, objects)
                            distances = np.append(distances, distances)
                        sources[pairs], objects[pairs], distances[pairs] = i, j, d2
                        pairs += 1
                    j = nexts[j]
        for p in np.argsort(distances[:pairs], kind="mergesort"):
            if found[sources[p]] == _NONE and taken[objects[p]] != film:
                found[sources[p]] = objects[p]
                taken[objects[p]] = film
        for i in range(first[film], first[film + 1]):
            if found[i] == _NONE:
                found[i] = m + i
                _enter(heads, nexts, m + i, xyz[:, i], reach)
    return found


@njit(cache=True, nogil=True)
def _bucket(x: int, y: int, z: int, size: int) -> int:
    """Where a cell's objects are listed; ``size`` is a power of two."""
    mixed = x * 0x1F1F1F1F1F1F1F1F + y * 0x3C6EF372FE94F82B + z * 0x2545F4914F6CDD1D
    return (mixed ^ (mixed >> 29)) & (size - 1)


@njit(cache=True, nogil=True)
def _enter(heads: NDArray[np.int32], nexts: NDArray[np.int32], j: int, at: NDArray[np.float64], reach: float) -> None:
    edge = 2 * reach
    bucket = _bucket(int(np.floor(at[0] / edge)), int(np.floor(at[1] / edge)), int(np.floor(at[2] / edge)), len(heads))
    nexts[j], heads[bucket] = heads[bucket], j


@njit(cache=True, nogil=True)
def _buckets_near(at: NDArray[np.float64], reach: float, size: int, buckets: NDArray[np.int64]) -> int:
    """The different buckets of the 8 cells about the nearest corner; how many."""
    edge, n = 2 * reach, 0
    x, y, z = int(np.floor(at[0] / edge - 0.5)), int(np.floor(at[1] / edge - 0.5)), int(np.floor(at[2] / edge - 0.5))
    for dx in range(2):
        for dy in range(2):
            for dz in range(2):
                bucket = _bucket(x + dx, y + dy, z + dz, size)
                new = True
                for k in range(n):
                    new = new and buckets[k] != bucket
                if new:
                    buckets[n] = bucket
                    n += 1
    return n
