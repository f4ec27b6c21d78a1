"""Sums of a film of residuals along every straight motion, by halves of halves.

Eighteen frames are six triples, six triples two halves. A triple is summed along the few motions it can tell apart
(the frames beside its middle one move by a whole cell), a half along nine for each of those, the film along nine for
each of these: what is summed once serves 81 motions. Rows are added as int8, 32 at a time in the processor's
registers, and all that one motion of the triples needs stays in the cache.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Bytes = NDArray[np.int8]

FRAMES = 18  #: of one search
CLIP = 7  #: largest value of a cell that enters a sum: 18 of them just fit into an int8
BAND = 48  #: rows of the result made at a time
REACH = 4  #: largest motion, cells a frame
PAD = 48  #: columns of nothing on either side
SIDE = 20  #: columns beside the result that its halves need: half of 3 REACH cells, and some


@njit(cache=True, nogil=True)
def clipped(film: Bytes, lift: Bytes, out: Bytes) -> None:
    """The film's cells within ``±CLIP``, in the middle of rows with `PAD` more cells of zero on either side.

    Parameters
    ----------
    film : ndarray of int8, (n, ny, nx)
    lift : ndarray of int8, (ny, nx)
        Added to each frame.
    out : ndarray of int8, (FRAMES, ny, nx + 2 PAD)
        Frames that the film does not have are zero.
    """
    n, ny, nx = film.shape
    for f in range(FRAMES):
        for y in range(ny):
            row = out[f, y]
            if f >= n:
                row[:] = np.int8(0)
                continue
            row[:PAD] = np.int8(0)
            row[nx + PAD :] = np.int8(0)
            _clip(film[f, y], lift[y], row[PAD : nx + PAD])


@njit(cache=True, nogil=True, forceinline=True)
def _clip(row, lift, out):  # type: ignore[no-untyped-def]
    low, high, most = np.int8(-CLIP), np.int8(CLIP), np.int8(120)
    for x in range(len(out)):
        v = row[x]
        v = np.int8((v if v < most else most) + lift[x])
        v = v if v > low else low
        out[x] = v if v < high else high


@njit(cache=True, nogil=True)
def _add_three(a, b, c, out):  # type: ignore[no-untyped-def]
    for x in range(len(out)):
        out[x] = np.int8(np.int8(a[x] + b[x]) + c[x])


@njit(cache=True, nogil=True)
def _largest(a, b, c):  # type: ignore[no-untyped-def]
    """Largest values of three sums of three rows, of which the outer ones move apart by a cell each."""
    first = second = third = np.int8(-128)
    for x in range(len(b)):
        u = np.int8(np.int8(a[x + 2] + b[x]) + c[x])
        v = np.int8(np.int8(a[x + 1] + b[x]) + c[x + 1])
        w = np.int8(np.int8(a[x] + b[x]) + c[x + 2])
        first = u if u > first else first
        second = v if v > second else second
        third = w if w > third else third
    return first, second, third


@njit(cache=True, nogil=True)
def _first_three(a, b, c, d, out):  # type: ignore[no-untyped-def]
    """Largest of ``a + b, a + c, a + d``."""
    for x in range(len(out)):
        u, v, w = np.int8(a[x] + b[x]), np.int8(a[x] + c[x]), np.int8(a[x] + d[x])
        u = u if u > v else v
        out[x] = u if u > w else w


@njit(cache=True, nogil=True)
def _next_three(a, b, c, d, out):  # type: ignore[no-untyped-def]
    """The same and what is there."""
    for x in range(len(out)):
        u, v, w = np.int8(a[x] + b[x]), np.int8(a[x] + c[x]), np.int8(a[x] + d[x])
        u = u if u > v else v
        u = u if u > w else w
        out[x] = u if u > out[x] else out[x]


@njit(cache=True, nogil=True)
def _any_above(row, least):  # type: ignore[no-untyped-def]
    """Whether a row has a value above the least: the signs of the differences together."""
    signs = np.int8(0)
    for x in range(len(row)):
        signs = np.int8(signs | np.int8(least - row[x]))
    return signs < 0


@njit(cache=True, nogil=True)
def search(film: Bytes, motions: NDArray[np.int64], limit_squared: float, least: int, hits: NDArray[np.int32]) -> int:
    """Places and motions along which the film sums up to more than a threshold.

    Parameters
    ----------
    film : ndarray of int8, (FRAMES, ny, nx + 2 PAD)
        From `clipped`.
    motions : ndarray of int64, (m, 2)
        Motions of the triples along x and y, cells a frame, at most `REACH`.
    limit_squared : float
        Square of the largest motion, cells a frame.
    least : int
        Sums must be larger.
    hits : ndarray of int32, (k, 5)
        Written: sum; x and y at the middle of the film, cells; motion along x and y in ninths of a cell a frame.

    Returns
    -------
    int
        Number of hits; the search ends when there is no room for more.
    """
    _, ny, wide = film.shape
    nx = wide - 2 * PAD
    triples, low = np.zeros((6, BAND + 16, wide), np.int8), np.empty(6, np.int64)
    largest, rows = np.empty((3, 2, BAND + 4), np.int8), np.empty((3, nx + 2 * SIDE), np.int8)
    n = 0
    for y0 in range(0, ny, BAND):
        band = y0, min(y0 + BAND, ny)
        for m in range(len(motions)):
            vx, vy = motions[m]
            _sum_triples(film, (vx, vy), y0, triples, low)
            for wy in range(3 * vy - 1, 3 * vy + 2):  # thirds of a cell a frame
                tops = _largest_of_halves((triples, low), (3 * vx, wy), y0, largest)
                for k in range(3):
                    wx = 3 * vx + k - 1
                    if wx * wx + wy * wy > 9 * limit_squared:
                        continue
                    n = _search_halves((triples, low), (wx, wy), (largest[k], tops), (band, least), (rows, hits, n))
                    if n == len(hits):
                        return n
    return n


@njit(cache=True, nogil=True)
def _sum_triples(film, motion, y0, triples, low):  # type: ignore[no-untyped-def]
    """Rows of the six triples that the band's motions need."""
    vx, vy = motion
    ny, wide = film.shape[1:]
    inner = wide - 2 * REACH
    for k in range(6):
        # the triple's middle is 3 k + 1 - 8.5 frames from the film's; the finer motions differ by 4/9 at most
        away = 3 * k + 1 - 8.5
        low[k] = y0 + int(np.floor(away * vy)) - 6
        for r in range(triples.shape[1]):
            y = low[k] + r
            out = triples[k, r]
            a, c = y - vy, y + vy
            if min(a, c) < 0 or max(a, c) >= ny:
                _sum_at_edge(film, (3 * k, y), motion, out)
                continue
            left, right = film[3 * k, a, REACH - vx :], film[3 * k + 2, c, REACH + vx :]
            _add_three(left, film[3 * k + 1, y, REACH:], right, out[REACH : REACH + inner])


@njit(cache=True, nogil=True)
def _sum_at_edge(film, place, motion, out):  # type: ignore[no-untyped-def]
    f, y = place
    vx, vy = motion
    ny, wide = film.shape[1:]
    out[:] = np.int8(0)
    for j in range(-1, 2):
        row = y + j * vy
        if 0 <= row < ny:
            for x in range(REACH, wide - REACH):
                out[x] += film[f + 1 + j, row, x + j * vx]


@njit(cache=True, nogil=True)
def _largest_of_halves(sums, motion, y0, largest):  # type: ignore[no-untyped-def]
    """First rows of the two halves, and the largest value of each row along three motions.

    The three share the rows of the triples, which stay in the processor's first cache. The rows themselves are summed
    where they are needed: seldom.
    """
    triples, low = sums
    wx, wy = motion
    wide = triples.shape[2]
    start, stop = PAD - SIDE, wide - PAD + SIDE
    tops = (y0 - (3 * wy + 1) // 2 - 1, y0 + (3 * wy) // 2 - 1)
    for h in range(2):
        for r in range(largest.shape[2]):
            y = tops[h] + r
            a, b, c = (
                triples[3 * h, y - wy - low[3 * h]],
                triples[3 * h + 1, y - low[3 * h + 1]],
                triples[3 * h + 2, y + wy - low[3 * h + 2]],
            )
            first, second, third = _largest(a[start - wx - 1 :], b[start:stop], c[start + wx - 1 :])
            largest[0, h, r], largest[1, h, r], largest[2, h, r] = first, second, third
    return tops


@njit(cache=True, nogil=True)
def _sum_half(sums, motion, place, out):  # type: ignore[no-untyped-def]
    """One row of a half."""
    triples, low = sums
    wx, wy = motion
    h, y = place
    start = PAD - SIDE
    a, b, c = (
        triples[3 * h, y - wy - low[3 * h]],
        triples[3 * h + 1, y - low[3 * h + 1]],
        triples[3 * h + 2, y + wy - low[3 * h + 2]],
    )
    _add_three(a[start - wx :], b[start:], c[start + wx :], out)


@njit(cache=True, nogil=True)
def _search_halves(sums, motion, halves, wanted, out):  # type: ignore[no-untyped-def]
    """Sums of the two halves along nine motions; only of rows whose largest values sum up to what is asked for."""
    wx, wy = motion
    largest, tops = halves
    band, least = wanted
    rows, hits, n = out
    best = rows[2, SIDE : rows.shape[1] - SIDE]
    # the halves' middles are nine frames apart: 9 u = 3 w + (-1, 0, 1), shared out between them
    ax = (3 * wx + 1) // 2
    left, right = SIDE - ax, SIDE + 3 * wx - ax
    for y in range(band[0], band[1]):
        some = False
        for jy in range(-1, 2):
            ay = (3 * wy + jy + 1) // 2
            first, second = y - ay, y + 3 * wy + jy - ay
            if np.int64(largest[0, first - tops[0]]) + largest[1, second - tops[1]] <= least:
                continue
            _sum_half(sums, motion, (0, first), rows[0])
            _sum_half(sums, motion, (1, second), rows[1])
            a, b = rows[0, left:], rows[1]
            if some:
                _next_three(a, b[right - 1 :], b[right:], b[right + 1 :], best)
            else:
                _first_three(a, b[right - 1 :], b[right:], b[right + 1 :], best)
            some = True
        if not some or not _any_above(best, np.int8(least)):
            continue
        for x in range(len(best)):
            if best[x] > least:
                s, ux, uy = _which(sums, motion, (x, y))
                hits[n, 0], hits[n, 1], hits[n, 2], hits[n, 3], hits[n, 4] = s, x, y, ux, uy
                n += 1
                if n == len(hits):
                    return n
    return n


@njit(cache=True, nogil=True)
def _which(sums, motion, place):  # type: ignore[no-untyped-def]
    """The best of the nine motions at a place."""
    wx, wy = motion
    x, y = place
    top, ux, uy = -128, 0, 0
    ax = (3 * wx + 1) // 2
    for jy in range(-1, 2):
        ay = (3 * wy + jy + 1) // 2
        by = 3 * wy + jy - ay
        for jx in range(-1, 2):
            bx = 3 * wx + jx - ax
            s = _half_at(sums, motion, 0, (x - ax, y - ay)) + _half_at(sums, motion, 1, (x + bx, y + by))
            if s > top:
                top, ux, uy = s, 3 * wx + jx, 3 * wy + jy
    return top, ux, uy


@njit(cache=True, nogil=True)
def _half_at(sums, motion, h, place):  # type: ignore[no-untyped-def]
    triples, low = sums
    wx, wy = motion
    x, y = place
    total = np.int64(0)
    for k in range(3):
        total += np.int64(triples[3 * h + k, y + (k - 1) * wy - low[3 * h + k], PAD + x + (k - 1) * wx])
    return total
