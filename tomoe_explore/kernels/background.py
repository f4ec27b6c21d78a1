"""Sky on a mesh of cells, and the mesh brought back to pixels.

Cells number ``gy, gx`` along y and x and share the image evenly; a cell's value stands at its centre.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float32]

FAST = {"contract", "reassoc", "nsz", "arcp"}  #: fast arithmetic that still knows NaN
SAMPLE_STEP = (4, 4)  #: rows and columns of the first guess
FIRST_CLIP, CLIP = 2.0, 5.0  #: sigma


@njit(cache=True, nogil=True, fastmath=FAST)
def first_levels(
    image: Floats, variance: Floats, mask: NDArray[np.uint8], cells: tuple[int, int]
) -> tuple[Floats, Floats]:
    """Level and noise of the sky in each cell, stars or not.

    Parameters
    ----------
    image, variance : ndarray of float32, (ny, nx)
        Any unit; its square.
    mask : ndarray of uint8, (ny, nx)
        Not zero where a pixel is not to be used.
    cells : (gy, gx)

    Returns
    -------
    level, sigma : ndarray of float32, (gy, gx)
        NaN where a cell has no good pixel.

    Notes
    -----
    Median of some pixels, then three times the mean of those within 2 sigma of the last: near the mode, so that stars
    count little. Biased where noise is skewed, which `cell_means` mends.
    """
    ny, nx = image.shape
    gy, gx = cells
    level, sigma = np.full((gy, gx), np.nan, np.float32), np.full((gy, gx), np.nan, np.float32)
    size = (ny // gy // SAMPLE_STEP[0] + 2) * (nx // gx // SAMPLE_STEP[1] + 2)
    values, noise, n = np.empty((gx, size), np.float32), np.empty((gx, size), np.float32), np.empty(gx, np.int64)
    for cy in range(gy):
        n[:] = 0
        for y in range(cy * ny // gy, (cy + 1) * ny // gy, SAMPLE_STEP[0]):  # a whole row, for the memory's sake
            row, spread, flags = image[y], variance[y], mask[y]
            for cx in range(gx):
                k = n[cx]
                for x in range(
                    cx * nx // gx + y // SAMPLE_STEP[0] % SAMPLE_STEP[1], (cx + 1) * nx // gx, SAMPLE_STEP[1]
                ):
                    values[cx, k], noise[cx, k] = row[x], spread[x]
                    k += flags[x] == 0 and np.isfinite(row[x])  # else the next one takes its place
                n[cx] = k
        for cx in range(gx):
            if n[cx] > 0:
                level[cy, cx], sigma[cy, cx] = _clipped(values[cx, : n[cx]], noise[cx, : n[cx]])
    return level, sigma


@njit(cache=True, nogil=True, fastmath=FAST, forceinline=True)
def _clipped(values, noise):  # type: ignore[no-untyped-def]
    level, least = _rough_median(values), noise[0]
    for k in range(len(noise)):
        least = noise[k] if noise[k] < least else least
    square = least * np.float32(1.1)  # sky's own scatter of the stated noise is some per cent
    for _ in range(3):
        reach = np.float32(FIRST_CLIP) * np.sqrt(square)
        total, squares, n = np.float32(0.0), np.float32(0.0), np.float32(0.0)
        for k in range(len(values)):
            d = values[k] - level
            use = np.float32(1.0) if abs(d) <= reach else np.float32(0.0)
            total += d * use
            squares += noise[k] * use
            n += use
        if n < 5:
            break
        level += total / n
        square = squares / n
    return level, np.sqrt(square)


@njit(cache=True, nogil=True)
def _rough_median(values):  # type: ignore[no-untyped-def]
    """Median of some thirty of the values, sorted by insertion: far quicker than a sort for so few."""
    few, n = np.empty(64, np.float32), 0
    for k in range(0, len(values), max(len(values) // 30, 1)):
        v, i = values[k], n
        while i > 0 and few[i - 1] > v:
            few[i] = few[i - 1]
            i -= 1
        few[i] = v
        n += 1
    return few[n // 2]


@njit(cache=True, nogil=True, fastmath=FAST)
def cell_means(
    image: Floats,
    bad: tuple[NDArray[np.int64], NDArray[np.int64]],
    masked: NDArray[np.bool_],
    first: tuple[Floats, Floats],
) -> tuple[Floats, Floats]:
    """Mean of the star-free pixels of each cell, as if they were spread over it evenly.

    Parameters
    ----------
    image : ndarray of float32, (ny, nx)
    bad : (start, x)
        From `pixels.bad_and_saturated`: pixels whose value may be anything; they must be masked too.
    masked : ndarray of bool, (ny, nx)
        Pixels left out: stars, bad pixels.
    first : (level, sigma)
        As `first_levels` gives them; pixels further off than 5 sigma are left out.

    Returns
    -------
    mean : ndarray of float32, (gy, gx)
        NaN where a cell has no free pixel.
    free : ndarray of float32, (gy, gx)
        Share of the cell that was free.
    """
    ny, nx = image.shape
    gy, gx = first[0].shape
    total, n = np.zeros((gy, gx)), np.zeros((gy, gx))
    wide, sky = widen(first[0], nx), np.empty(nx, np.float32)
    edges = (np.arange(gx + 1) * nx // gx).astype(np.uint64)  # unsigned: the compiler need not think of x < 0
    for y in range(ny):
        cy = ((y + 1) * gy - 1) // ny
        mesh_row(wide, y, ny, sky)
        row, out = image[y], masked[y]
        for x in range(nx):
            sky[x] = row[x] - sky[x]
        for k in range(bad[0][y], bad[0][y + 1]):
            sky[bad[1][k]] = np.float32(0.0)  # NaN would outlive the mask, which is a factor
        for cx in range(gx):
            reach = np.float32(CLIP) * first[1][cy, cx]
            t, c = np.float32(0.0), np.float32(0.0)
            for x in range(edges[cx], edges[cx + 1]):
                use = np.float32((abs(sky[x]) <= reach) & (out[x] == 0))
                t += sky[x] * use
                c += use
            total[cy, cx] += t
            n[cy, cx] += c
    mean, free = np.full((gy, gx), np.nan, np.float32), np.zeros((gy, gx), np.float32)
    for cy in range(gy):
        for cx in range(gx):
            if n[cy, cx] > 0:
                mean[cy, cx] = first[0][cy, cx] + total[cy, cx] / n[cy, cx]
            free[cy, cx] = n[cy, cx] * (gy * gx) / (ny * nx)
    return mean, free


@njit(cache=True, nogil=True)
def filled(mesh: Floats, trusted: NDArray[np.bool_]) -> Floats:
    """The mesh with every cell that is not trusted replaced by the mean of its trusted neighbours, ring by ring.

    Parameters
    ----------
    mesh : ndarray of float32, (gy, gx)
    trusted : ndarray of bool, (gy, gx)

    Returns
    -------
    ndarray of float32, (gy, gx)
        Zero throughout if no cell is trusted.
    """
    gy, gx = mesh.shape
    out = np.zeros((gy, gx), np.float32)
    for cy in range(gy):
        for cx in range(gx):
            if trusted[cy, cx]:
                out[cy, cx] = mesh[cy, cx]
                continue
            for reach in range(1, max(gy, gx)):
                total, n = 0.0, 0
                for j in range(max(cy - reach, 0), min(cy + reach + 1, gy)):
                    for i in range(max(cx - reach, 0), min(cx + reach + 1, gx)):
                        if trusted[j, i]:
                            total += mesh[j, i]
                            n += 1
                if n > 0:
                    out[cy, cx] = total / n
                    break
    return out


@njit(cache=True, nogil=True)
def median_of_nine(mesh: Floats) -> Floats:
    """Each cell's median with its neighbours; at the edge the mirrored neighbour continues the slope."""
    gy, gx = mesh.shape
    out, nine = np.empty((gy, gx), np.float32), np.empty(9, np.float32)
    for cy in range(gy):
        for cx in range(gx):
            n = 0
            for j in range(cy - 1, cy + 2):
                for i in range(cx - 1, cx + 2):
                    inside = 0 <= j < gy and 0 <= i < gx
                    opposite_j, opposite_i = 2 * cy - j, 2 * cx - i
                    if inside:
                        nine[n] = mesh[j, i]
                    elif 0 <= opposite_j < gy and 0 <= opposite_i < gx:
                        nine[n] = 2 * mesh[cy, cx] - mesh[opposite_j, opposite_i]
                    else:
                        nine[n] = mesh[cy, cx]
                    n += 1
            nine.sort()
            out[cy, cx] = nine[4]
    return out


@njit(cache=True, nogil=True)
def widen(mesh: Floats, nx: int) -> Floats:
    """A mesh interpolated linearly along x, and beyond the outermost cell centres extrapolated, ``(gy, nx)``."""
    gy, gx = mesh.shape
    wide = np.empty((gy, nx), np.float32)
    for x in range(nx):
        i, w = _between(x, nx, gx)
        right = min(i + 1, gx - 1)
        for j in range(gy):
            wide[j, x] = mesh[j, i] + w * (mesh[j, right] - mesh[j, i])
    return wide


@njit(cache=True, nogil=True)
def _between(x, nx, gx):  # type: ignore[no-untyped-def]
    """The cell centre before a pixel, and the pixel's distance from it in cells."""
    f = (x + 0.5) * gx / nx - 0.5
    i = min(max(int(np.floor(f)), 0), max(gx - 2, 0))
    return i, np.float32(f - i)


@njit(cache=True, nogil=True, fastmath=FAST, forceinline=True)
def mesh_row(wide: Floats, y: int, ny: int, row: Floats) -> None:
    """One row of an image interpolated linearly in a mesh.

    Parameters
    ----------
    wide : ndarray of float32, (gy, nx)
        The mesh after `widen`.
    y, ny : int
        The row, and how many the image has.
    row : ndarray of float32, (nx,)
        Filled in place.
    """
    j, w = _between(y, ny, len(wide))
    above, below = wide[j], wide[min(j + 1, len(wide) - 1)]
    for x in range(len(row)):
        row[x] = above[x] + w * (below[x] - above[x])


@njit(cache=True, nogil=True, fastmath=FAST)
def upsample(mesh: Floats, out: Floats) -> Floats:
    """Fill an image with a mesh by `widen` and `mesh_row`, and return it."""
    wide = widen(mesh, out.shape[1])
    for y in range(len(out)):
        mesh_row(wide, y, len(out), out[y])
    return out


@njit(cache=True, nogil=True)
def mesh_at(mesh: Floats, x: NDArray[Any], y: NDArray[Any], shape: tuple[int, int]) -> Floats:
    """A mesh at some places (pixels), as `upsample` would have it, ``(m,)``."""
    gy, gx = mesh.shape
    out = np.empty(len(x), np.float32)
    for k in range(len(x)):
        j, v = _between(y[k], shape[0], gy)
        i, u = _between(x[k], shape[1], gx)
        below, right = min(j + 1, gy - 1), min(i + 1, gx - 1)
        a = mesh[j, i] + u * (mesh[j, right] - mesh[j, i])
        b = mesh[below, i] + u * (mesh[below, right] - mesh[below, i])
        out[k] = a + v * (b - a)
    return out
