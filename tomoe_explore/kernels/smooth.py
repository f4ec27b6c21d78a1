"""The matched filter: an image less its sky, smoothed by a Gaussian, where some pixels do not count."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tomoe_explore.kernels.background import FAST, mesh_row, widen

Floats = NDArray[np.float32]

LEAST_WEIGHT = 0.3  #: of the kernel (squared) that must lie on good pixels


@njit(cache=True, nogil=True)
def gaussian(sigma: float) -> Floats:
    """``exp(-i^2 / 2 sigma^2)`` for i = 0 … ceil(3 sigma); twice the first but one value stands for both sides."""
    reach = int(np.ceil(3.0 * sigma))
    return np.exp(-0.5 * (np.arange(reach + 1) / sigma) ** 2).astype(np.float32)


@njit(cache=True, nogil=True, fastmath=FAST)
def smooth(
    image: Floats, bad: tuple[NDArray[np.int64], NDArray[np.int64]], mesh: Floats, kernel: Floats, out: Floats
) -> None:
    """Best amplitude of a Gaussian at every pixel: ``sum(k d w) / sum(k^2 w)``.

    Parameters
    ----------
    image : ndarray of float32, (ny, nx)
    bad : (start, x)
        From `pixels.bad_and_saturated`: pixels of weight ``w`` zero, as are those beyond the edge.
    mesh : ndarray of float32, (gy, gx)
        Sky on a mesh; ``d`` is the image less the sky.
    kernel : ndarray of float32
        Half of the one-dimensional kernel, from `gaussian`.
    out : ndarray of float32, (ny, nx)
        Zero where less than `LEAST_WEIGHT` of the kernel's squared weight lies on good pixels.

    Notes
    -----
    Rows are smoothed along x once and kept in a ring of as many rows as the kernel is high: nothing else is stored.
    """
    ny, nx = image.shape
    r = len(kernel) - 1
    start, columns = bad
    ring = np.zeros((2 * r + 1, nx), np.float32)
    sky, padded = np.empty(nx, np.float32), np.zeros(nx + 2 * r, np.float32)
    squares = kernel * kernel
    across, down = 1 / _edge_weights(squares, nx), 1 / _edge_weights(squares, ny)
    lost = np.zeros(nx, np.float32)
    wide = widen(mesh, nx)
    for y in range(-r, ny):
        ahead = y + r
        slot = ahead % (2 * r + 1)
        if ahead < ny:
            mesh_row(wide, ahead, ny, sky)
            inner, row = padded[r : r + nx], image[ahead]
            for x in range(nx):
                inner[x] = row[x] - sky[x]
            for k in range(start[ahead], start[ahead + 1]):
                inner[columns[k]] = np.float32(0.0)
            _along(padded, kernel, ring[slot])
        else:
            ring[slot] = np.float32(0.0)
        if y >= 0:
            row = out[y]
            _down(ring, y % (2 * r + 1), kernel, row)
            for x in range(nx):
                row[x] *= across[x] * down[y]
            near = columns[start[max(y - r, 0)] : start[min(y + r + 1, ny)]]
            if len(near) > 0:
                _weigh_again(row, near, lost, (start, columns, y, squares, across, down[y]))


@njit(cache=True, nogil=True, fastmath=FAST)
def _weigh_again(row, near, lost, where):  # type: ignore[no-untyped-def]
    """Take the weight of bad pixels out of what a row was divided by."""
    start, columns, y, squares, across, down = where
    r, nx, ny = len(squares) - 1, len(row), len(start) - 1
    for j in range(max(y - r, 0), min(y + r + 1, ny)):
        for k in range(start[j], start[j + 1]):
            for x in range(max(columns[k] - r, 0), min(columns[k] + r + 1, nx)):
                lost[x] += squares[abs(j - y)] * squares[abs(x - columns[k])]
    for c in near:
        for x in range(max(c - r, 0), min(c + r + 1, nx)):
            if lost[x] > 0:
                left = 1 - lost[x] * across[x] * down
                row[x] = row[x] / left if left > LEAST_WEIGHT else np.float32(0.0)
                lost[x] = np.float32(0.0)


@njit(cache=True, nogil=True, fastmath=FAST)
def _edge_weights(squares, n):  # type: ignore[no-untyped-def]
    """Sum of the squared kernel that lies inside, at each of n places."""
    out = np.empty(n, np.float32)
    r = len(squares) - 1
    for x in range(n):
        total = np.float32(0.0)
        for i in range(max(-r, -x), min(r, n - 1 - x) + 1):
            total += squares[abs(i)]
        out[x] = total
    return out


@njit(cache=True, nogil=True, fastmath=FAST)
def _along(padded, kernel, out):  # type: ignore[no-untyped-def]
    n, r = len(out), len(kernel) - 1
    middle = padded[r : r + n]
    for x in range(n):
        out[x] = middle[x]
    for i in range(1, r + 1):
        k, left, right = kernel[i], padded[r - i : r - i + n], padded[r + i : r + i + n]
        for x in range(n):
            out[x] += k * (left[x] + right[x])


@njit(cache=True, nogil=True, fastmath=FAST)
def _down(ring, slot, kernel, out):  # type: ignore[no-untyped-def]
    size, n = ring.shape
    middle = ring[slot]
    for x in range(n):
        out[x] = middle[x]
    for i in range(1, len(kernel)):
        k, above, below = kernel[i], ring[(slot - i) % size], ring[(slot + i) % size]
        for x in range(n):
            out[x] += k * (above[x] + below[x])
