"""Short straight segments in the frames of a residual film: sums along digital lines, by doubling.

Rows are added in pairs; a segment of 32 cells along one axis and up to 32 across is the sum of two of 16, these of two
of 8, and those of two of 4 (Brady 1998, SIAM J. Comput. 27, 107; Götz & Druckmüller 1996): five sweeps over a frame
give the sums along all directions between an axis and its diagonal. All sums are of int8 and fit into int8, and every
row of them is made by one loop over neighbouring cells that becomes vector code.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

CELLS = 32  #: cells along the axis that a segment follows
SLOPES = 17  #: of a segment: its second half begins 0 to 16 cells across from where the first does
HALF = 16  #: segments begin at every 16th cell of that axis, so that they overlap by half
BIG, SMALL = np.int8(63), np.int8(-8)  #: sums of half a segment are clipped to these: two and a threshold fit int8
MAX_THRESHOLD = 110
CLIP = np.int8(7)  #: brighter cells count as this: a star does not make a line, and sixteen cells fit int8
APART = 8  #: cells between segments that are told apart within a band, across the axis

_PAIRS = 8  #: of rows in half a segment
_PAD = 64  #: cells beside a row that stay empty
_WORDS = 63  #: of eight columns turned at a time: the lines that they become stay in the cache
_OUTSIDE = 24  #: a segment may begin so many cells outside the frame
_LOW, _TWO, _FOUR = np.uint64(0x00FF00FF00FF00FF), np.uint64(0x0000FFFF0000FFFF), np.uint64(0x00000000FFFFFFFF)


def lags() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How often two cells of a segment lie apart by some lag: the variance of its sum is these times the covariances.

    Returns
    -------
    near, far : ndarray of int64, (17, 3, 7) and (33, 3, 7)
        By the segment's slope, the lag along the axis (0, 1, 2) and across (-3 to 3); for segments of 32 cells and of
        64.

    Examples
    --------
    >>> near, far = lags()
    >>> near[0, :, 3].tolist(), far[0, :, 3].tolist()  # straight along the axis
    ([32, 62, 60], [64, 126, 124])
    """
    tables = []
    for length in (CELLS, 2 * CELLS):
        table = np.zeros((length // 2 + 1, 3, 7), np.int64)
        for slope in range(length // 2 + 1):
            across = offsets(slope, length)
            table[slope, 0, 3] = length
            for lag in (1, 2):
                apart = np.clip(across[lag:] - across[:-lag], -3, 3)
                np.add.at(table[slope, lag], apart + 3, 2)
        tables.append(table)
    return tables[0], tables[1]


def offsets(slope: int, length: int) -> NDArray[np.int64]:
    """Cells across the axis of each of a segment's cells; its halves are ``slope`` apart.

    The slope of a half is half as large, rounded up and down in turn.

    Examples
    --------
    >>> offsets(2, 4).tolist()
    [0, 0, 2, 2]
    >>> offsets(3, 8).tolist()
    [0, 0, 2, 2, 3, 3, 5, 5]
    """
    if length == 2:
        return np.zeros(2, np.int64)
    half = offsets((slope + 1) // 2 if length in (8, CELLS) else slope // 2, length // 2)
    return np.concatenate([half, half + slope])


@njit(cache=True, nogil=True, forceinline=True)
def _pair(one, other, out):  # type: ignore[no-untyped-def]
    """The sum of two rows, each clipped."""
    low, high = np.int8(-CLIP), CLIP
    for x in range(len(out)):
        u, v = one[x], other[x]
        u = u if u > low else low
        v = v if v > low else low
        u = u if u < high else high
        v = v if v < high else high
        out[x] = np.int8(u + v)


@njit(cache=True, nogil=True, forceinline=True)
def _clip(row, out):  # type: ignore[no-untyped-def]
    low, high = np.int8(-CLIP), CLIP
    for x in range(len(out)):
        v = row[x]
        v = v if v > low else low
        out[x] = v if v < high else high


@njit(cache=True, nogil=True, forceinline=True)
def _add(a, b, out):  # type: ignore[no-untyped-def]
    for x in range(len(out)):
        out[x] = np.int8(a[x] + b[x])


@njit(cache=True, nogil=True, forceinline=True)
def _add_clipped(a, b, out, least):  # type: ignore[no-untyped-def]
    """Whether any sum is above the least, too."""
    signs = np.int8(0)
    for x in range(len(out)):
        v = np.int8(a[x] + b[x])
        v = v if v < BIG else BIG
        v = v if v > SMALL else SMALL
        out[x] = v
        signs = np.int8(signs | np.int8(least - v))
    return signs < 0


@njit(cache=True, nogil=True, forceinline=True)
def _add_clipped_long(a, b, out, least):  # type: ignore[no-untyped-def]
    """As `_add_clipped` where the sum of two may leave int8: both are halved, and so is the sum."""
    signs = np.int8(0)
    for x in range(len(out)):
        v = np.int8((a[x] >> np.int8(1)) + (b[x] >> np.int8(1)))
        v = v if v < BIG else BIG
        out[x] = v
        signs = np.int8(signs | np.int8(least - v))
    return signs < 0


@njit(cache=True, nogil=True, forceinline=True)
def _raise(a, b, c, level, best):  # type: ignore[no-untyped-def]
    """The best of two slopes, which share their halves, above the threshold."""
    for x in range(len(best)):
        u, v = b[x], c[x]
        u = u if u > v else v
        u = np.int8(np.int8(a[x] + u) - level)
        best[x] = u if u > best[x] else best[x]


@njit(cache=True, nogil=True, forceinline=True)
def _level(sums, n, out, m, sign):  # type: ignore[no-untyped-def]
    """Sums of two neighbouring groups of rows each: of ``n`` slopes a group, up; of ``m``, out."""
    width = sums.shape[1]
    for g in range(len(out) // m):
        for s in range(m):
            half = (s + 1) // 2 if m == 5 else s // 2
            one, other = sums[2 * g * n + min(half, n - 1)], sums[(2 * g + 1) * n + min(half, n - 1)]
            begin = _PAD + sign * s
            _add(one[_PAD : width - _PAD], other[begin : begin + width - 2 * _PAD], out[g * m + s, _PAD : width - _PAD])


@njit(cache=True, nogil=True, forceinline=True)
def _halves(sums, out, sign, least, bright):  # type: ignore[no-untyped-def]
    """Sums along 16 rows from those along 8, clipped, and which slopes have one above the least."""
    width = sums.shape[1]
    for s in range(len(out)):
        begin = _PAD + sign * s
        one, other = sums[s // 2, _PAD : width - _PAD], sums[5 + s // 2, begin : begin + width - 2 * _PAD]
        bright[s] = _add_clipped(one, other, out[s, _PAD : width - _PAD], least)


@njit(cache=True, nogil=True, forceinline=True)
def _wholes(p, h, out, sign, least, bright):  # type: ignore[no-untyped-def]
    """Half the sums along 32 rows, for segments that are twice as long."""
    width = p.shape[1]
    for s in range(len(out)):
        begin, half = _PAD + sign * s, (s + 1) // 2
        other = h[half, begin : begin + width - 2 * _PAD]
        bright[s] = _add_clipped_long(p[half, _PAD : width - _PAD], other, out[s, _PAD : width - _PAD], least)


@njit(cache=True, nogil=True, forceinline=True)
def _best(pair, shine, thresholds, kind, best):  # type: ignore[no-untyped-def]
    """For each cell the sum above its threshold of the best segment that begins there; whether there is one.

    Only slopes of which either half has a sum above half the threshold are looked at; the rest is -128.
    """
    (p, h), (shine_p, shine_h), (up, sign) = pair, shine, kind
    width, some = p.shape[1], False
    n = width - 2 * _PAD
    for k in range(len(p)):
        if not (shine_p[k] or shine_h[k]):
            continue
        if not some:
            best[:] = np.int8(-128)
            some = True
        s = max(2 * k - up, 0)  # and the next slope: the halves of both are these
        t = min(max(2 * k - up + 1, 0), len(thresholds) - 1)
        i, j = _PAD + sign * s, _PAD + sign * t
        _raise(p[k, _PAD : _PAD + n], h[k, i : i + n], h[k, j : j + n], np.int8(thresholds[s]), best)
    if not some:
        return False
    signs = np.int8(0)
    for x in range(n):
        signs |= np.int8(best[x] > 0)
    return signs != 0


@njit(cache=True, nogil=True, forceinline=True)
def _pick(best, p, h, thresholds, kind, found):  # type: ignore[no-untyped-def]
    """Note the local maxima of a band: column, slope and sum above the threshold; returns how many."""
    up, sign = kind
    n, k = len(best), 0
    for x in range(n):
        if best[x] <= 0 or k == len(found):
            continue
        peak = True
        for other in range(max(x - APART, 0), min(x + APART + 1, n)):
            if best[other] > best[x] or (best[other] == best[x] and other < x):
                peak = False
                break
        if peak:
            highest, slope = -1000, 0
            for s in range(len(thresholds)):
                half = (s + up) // 2
                value = np.int64(p[half, _PAD + x]) + h[half, _PAD + x + sign * s] - thresholds[s]
                if value > highest:
                    highest, slope = value, s
            found[k, 0], found[k, 1], found[k, 2] = x, slope, highest
            k += 1
    return k


@njit(cache=True, nogil=True, forceinline=True)
def _load(cells, band, turned, coarse, out):  # type: ignore[no-untyped-def]
    """Eight pairs of rows into the middle of wider empty ones; those that are turned are pairs already."""
    n = cells.shape[1]
    for r in range(_PAIRS):
        row, k = out[r, _PAD + _OUTSIDE : _PAD + _OUTSIDE + n], band * _PAIRS + r
        if turned and k < len(cells):
            row[:] = cells[k]
        elif not turned and 2 * k + 1 < len(cells):
            _pair(cells[2 * k], cells[2 * k + 1], row)
        else:
            row[:] = np.int8(0)
        if coarse:
            for x in range(n):
                row[x] = np.int8(row[x] + np.int8(1)) >> np.int8(1)


@njit(cache=True, nogil=True)
def _along(cells, thresholds, kind, found, turned):  # type: ignore[no-untyped-def]
    """Segments along the first axis of a frame into ``found``: x1, y1, x2, y2 and the sum above the threshold."""
    (deep, coarse), k = kind, 0
    nx, pairs = cells.shape[1], len(cells) if turned else len(cells) // 2
    width = (nx + 2 * _OUTSIDE + 31) // 32 * 32 + 2 * _PAD
    rows, four, eight = (
        np.zeros((_PAIRS, width), np.int8),
        np.zeros((12, width), np.int8),
        np.zeros((10, width), np.int8),
    )
    halves, bright = np.zeros((2, 2, 9, width), np.int8), np.zeros((2, 2, 9), np.bool_)
    longer, shining = np.zeros((2, 4, SLOPES, width if deep else 0), np.int8), np.zeros((2, 4, SLOPES), np.bool_)
    best, picked = np.empty(width - 2 * _PAD, np.int8), np.empty((len(found), 3), np.int64)
    length, back = (2 * CELLS, 3) if deep else (CELLS, 1)
    least = np.int8(thresholds.min() // 2)
    for band in range((pairs + _PAIRS - 1) // _PAIRS):
        _load(cells, band, turned, coarse, rows)
        for lean in range(2):
            sign = 1 - 2 * lean
            _level(rows, 1, four, 3, sign)
            _level(four, 3, eight, 5, sign)
            new, old = band % 2, (band + 1) % 2
            _halves(eight, halves[lean, new], sign, least, bright[lean, new])
            p, h, up = halves[lean, old], halves[lean, new], 1
            shine_p, shine_h = bright[lean, old], bright[lean, new]
            if deep and band > 0:
                new, old = band % 4, (band + 2) % 4
                _wholes(p, h, longer[lean, new], sign, least, shining[lean, new])
                p, h, up = longer[lean, old], longer[lean, new], 0
                shine_p, shine_h = shining[lean, old], shining[lean, new]
            if band < back or not _best((p, h), (shine_p, shine_h), thresholds, (up, sign), best):
                continue
            n = _pick(best, p, h, thresholds, (up, sign), picked[k:])
            for i in range(n):
                x, y = picked[k + i, 0] - _OUTSIDE, (band - back) * HALF
                x2, y2 = x + sign * max(2 * picked[k + i, 1] - 1, 0), y + length - 1
                if turned:
                    found[k + i] = y, x, y2, x2, picked[k + i, 2]
                else:
                    found[k + i] = x, y, x2, y2, picked[k + i, 2]
            k += n
    return k


@njit(cache=True, nogil=True, forceinline=True)
def _two(one, other):  # type: ignore[no-untyped-def]
    """Of two words, the sums of neighbouring bytes: those of the first in the lower ones of each pair."""
    shift = np.uint64(8)
    low = ((one & _LOW) + ((one >> shift) & _LOW)) & _LOW
    return low | ((((other & _LOW) + ((other >> shift) & _LOW)) & _LOW) << shift)


@njit(cache=True, nogil=True, forceinline=True)
def _turn_squares(rows, out, n):  # type: ignore[no-untyped-def]
    """Squares of 8 x 8 bytes: neighbours in a row added, and turned; four words each (Warren 2012, 7-3)."""
    s2, s4 = np.uint64(16), np.uint64(32)
    r0, r1, r2, r3, r4, r5, r6, r7 = rows[0], rows[1], rows[2], rows[3], rows[4], rows[5], rows[6], rows[7]
    for x in range(n):
        a0, a1 = _two(r0[x], r1[x]), _two(r2[x], r3[x])
        a2, a3 = _two(r4[x], r5[x]), _two(r6[x], r7[x])
        b0, b1 = (a0 & _TWO) | ((a1 & _TWO) << s2), ((a0 >> s2) & _TWO) | (a1 & ~_TWO)
        b2, b3 = (a2 & _TWO) | ((a3 & _TWO) << s2), ((a2 >> s2) & _TWO) | (a3 & ~_TWO)
        out[0, x], out[2, x] = (b0 & _FOUR) | (b2 << s4), (b0 >> s4) | (b2 & ~_FOUR)
        out[1, x], out[3, x] = (b1 & _FOUR) | (b3 << s4), (b1 >> s4) | (b3 & ~_FOUR)


@njit(cache=True, nogil=True)
def turn(cells: NDArray[np.int8], out: NDArray[np.int8]) -> None:
    """Rows become columns, clipped, and neighbours of a row are added in pairs.

    Parameters
    ----------
    cells : ndarray of int8, (ny, nx)
    out : ndarray of int8, (nx / 2, ny rounded up to eights)
        Written; columns beyond the last row are 0.
    """
    ny, nx = cells.shape
    whole = ny - ny % 8 if nx % 8 == 0 else 0
    if whole:
        lines, squares = out.view(np.uint64), np.empty((4, _WORDS), np.uint64)
        clipped = np.empty((8, 8 * _WORDS), np.int8)
        words = clipped.view(np.uint64)
        for first in range(0, nx // 8, _WORDS):
            n = min(_WORDS, nx // 8 - first)
            for y in range(0, whole, 8):
                for r in range(8):
                    _clip(cells[y + r, 8 * first : 8 * (first + n)], clipped[r, : 8 * n])
                _turn_squares(words, squares, n)
                for x in range(n):
                    for j in range(4):
                        lines[4 * (first + x) + j, y // 8] = squares[j, x]
    for x in range(nx // 2):
        for y in range(whole, ny):
            u, v = cells[y, 2 * x], cells[y, 2 * x + 1]
            out[x, y] = min(max(u, np.int8(-CLIP)), CLIP) + min(max(v, np.int8(-CLIP)), CLIP)
        for y in range(ny, out.shape[1]):
            out[x, y] = 0


@njit(cache=True, nogil=True)
def find_segments(
    cells: NDArray[np.int8],
    turned: NDArray[np.int8],
    thresholds: NDArray[np.int64],
    kind: tuple[bool, bool],
    found: NDArray[np.int16],
) -> int:
    """Segments of one frame that are brighter than noise.

    Parameters
    ----------
    cells : ndarray of int8, (ny, nx)
        Residuals in units of half the noise.
    turned : ndarray of int8, (nx / 2, ny rounded up to eights)
        Memory to work in: the first touch of fresh memory would cost as much as a tenth of the search.
    thresholds : ndarray of int64, (17,) or (33,)
        For the sum of a segment, by its slope: how many cells across its halves are apart; at most `MAX_THRESHOLD`.
    kind : (deep, coarse)
        Whether segments are 64 cells long, not 32, and the threshold is for half their sum; whether the threshold is
        in units of the noise, not of half the noise: in wide seeing neighbours agree, and sums are larger.
    found : ndarray of int16, (k, 5)
        Written: both ends in cells (x1, y1, x2, y2), and by how much the sum exceeds its threshold.

    Returns
    -------
    int
        Number of segments; no more than ``found`` holds.
    """
    turn(cells, turned)
    k = _along(cells, thresholds, kind, found, False)
    return k + _along(turned, thresholds, kind, found[k:], True)
