"""The matched filter: an image less its sky, smoothed by a Gaussian, where some pixels do not count."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tomoe_explore.kernels.background import FAST, mesh_row, widen

Floats = NDArray[np.float32]

LEAST_WEIGHT = np.float32(0.3)  #: of the kernel (squared) that must lie on good pixels
TAPS = 3  #: pairs of pixels added in one sweep over a row


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
    taps = np.zeros(1 + -(-r // TAPS) * TAPS, np.float32)
    taps[: r + 1] = kernel
    pad = len(taps) - 1
    sky, padded, lost = np.empty(nx, np.float32), np.zeros(nx + 2 * pad, np.float32), np.empty(nx + 2 * r, np.float32)
    squares = kernel * kernel
    across, down = _edge_weights(squares, nx), _edge_weights(squares, ny)
    line = np.concatenate((squares[:0:-1], squares))
    wide = widen(mesh, nx)
    for y in range(-r, ny):
        ahead = y + r
        slot = ahead % (2 * r + 1)
        if ahead < ny:
            mesh_row(wide, ahead, ny, sky)
            inner, row = padded[pad : pad + nx], image[ahead]
            for x in range(nx):
                inner[x] = row[x] - sky[x]
            for k in range(start[ahead], start[ahead + 1]):
                inner[columns[k]] = np.float32(0.0)
            _along(padded, taps, ring[slot])
        else:
            ring[slot] = np.float32(0.0)
        if y >= 0:
            _down(ring, y % (2 * r + 1), taps, out[y])
            _lose(bad, y, line, lost)
            _divide(out[y], across, down[y], lost[r : r + nx])


@njit(cache=True, nogil=True, fastmath=FAST, forceinline=True)
def _lose(bad, y, line, lost):  # type: ignore[no-untyped-def]
    """Squared weight of a row's kernels that lies on bad pixels; each spreads it as far as the kernel reaches."""
    start, columns = bad
    r = len(line) // 2
    lost[:] = np.float32(0.0)
    for j in range(max(y - r, 0), min(y + r + 1, len(start) - 1)):
        weight = line[j - y + r]
        for k in range(start[j], start[j + 1]):
            first = np.uint64(columns[k])  # unsigned: the compiler need not think of x < 0
            for i in range(np.uint64(len(line))):
                lost[first + i] += weight * line[i]


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy", forceinline=True)
def _divide(row, across, down, lost):  # type: ignore[no-untyped-def]
    """A row over the squared weight on good pixels."""
    for x in range(len(row)):
        whole = across[x] * down
        left = whole - lost[x]
        row[x] = row[x] / left if left > LEAST_WEIGHT * whole else np.float32(0.0)


@njit(cache=True, nogil=True, fastmath=FAST, forceinline=True)
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


@njit(cache=True, nogil=True, fastmath=FAST, forceinline=True)
def _along(padded, taps, out):  # type: ignore[no-untyped-def]
    n, far = len(out), len(taps) - 1
    for i in range(1, far + 1, TAPS):
        pairs = (
            padded[far - i :], padded[far + i :], padded[far - i - 1 :], padded[far + i + 1 :],
            padded[far - i - 2 :], padded[far + i + 2 :],
        )  # fmt: skip
        weights = taps[i], taps[i + 1], taps[i + 2]
        if i == 1:
            _first_taps(padded[far : far + n], weights, pairs, out)
        else:
            _add_taps(weights, pairs, out)


@njit(cache=True, nogil=True, fastmath=FAST, forceinline=True)
def _down(ring, slot, taps, out):  # type: ignore[no-untyped-def]
    size = len(ring)
    for i in range(1, len(taps), TAPS):  # taps beyond the ring weigh nothing, whatever row they meet
        pairs = (
            ring[(slot - i) % size], ring[(slot + i) % size], ring[(slot - i - 1) % size], ring[(slot + i + 1) % size],
            ring[(slot - i - 2) % size], ring[(slot + i + 2) % size],
        )  # fmt: skip
        weights = taps[i], taps[i + 1], taps[i + 2]
        if i == 1:
            _first_taps(ring[slot], weights, pairs, out)
        else:
            _add_taps(weights, pairs, out)


@njit(cache=True, nogil=True, fastmath=FAST, forceinline=True)
def _first_taps(middle, weights, pairs, out):  # type: ignore[no-untyped-def]
    """Three pairs of taps in one sweep: the sum is then loaded and stored a third as often."""
    a, b, c = weights
    left_a, right_a, left_b, right_b, left_c, right_c = pairs
    for x in range(len(out)):
        near = a * (left_a[x] + right_a[x]) + b * (left_b[x] + right_b[x])
        out[x] = middle[x] + near + c * (left_c[x] + right_c[x])


@njit(cache=True, nogil=True, fastmath=FAST, forceinline=True)
def _add_taps(weights, pairs, out):  # type: ignore[no-untyped-def]
    a, b, c = weights
    left_a, right_a, left_b, right_b, left_c, right_c = pairs
    for x in range(len(out)):
        near = a * (left_a[x] + right_a[x]) + b * (left_b[x] + right_b[x])
        out[x] += near + c * (left_c[x] + right_c[x])
