"""Short straight segments in the frames of a residual film: sums along digital lines, by doubling.

A segment of 32 cells along one axis and up to 32 across is the sum of two of 16, these of two of 8, and so on (Brady
1998, SIAM J. Comput. 27, 107; Götz & Druckmüller 1996): five sweeps over a frame give the sums along all directions
between an axis and its diagonal. All sums are of int8 and fit into int8, and every row of them is made by one loop
over neighbouring cells that becomes vector code.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

CELLS = 32  #: cells along the axis that a segment follows
HALF = 16  #: segments begin at every 16th cell of that axis, so that they overlap by half
BIG, SMALL = np.int8(63), np.int8(-8)  #: sums of half a segment are clipped to these: two and a threshold fit int8
MAX_THRESHOLD = 110
CLIP = np.int8(7)  #: brighter cells count as this: a star does not make a line, and sixteen cells fit int8
APART = 8  #: cells between segments that are told apart within a band, across the axis

_PAD = 64  #: cells beside a row that stay empty
_OUTSIDE = 24  #: a segment may begin so many cells outside the frame


def lags() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How often two cells of a segment lie apart by some lag: the variance of its sum is these times the covariances.

    Returns
    -------
    near, far : ndarray of int64, (32, 3, 7) and (64, 3, 7)
        By the segment's slope (cells across), the lag along the axis (0, 1, 2) and across (-3 to 3); for segments of
        32 cells and of 64.

    Examples
    --------
    >>> near, far = lags()
    >>> near[0, :, 3].tolist(), far[0, :, 3].tolist()  # straight along the axis
    ([32, 62, 60], [64, 126, 124])
    """
    tables = []
    for length in (CELLS, 2 * CELLS):
        table = np.zeros((length, 3, 7), np.int64)
        for slope in range(length):
            across = offsets(slope, length)
            table[slope, 0, 3] = length
            for lag in (1, 2):
                apart = np.clip(across[lag:] - across[:-lag], -3, 3)
                np.add.at(table[slope, lag], apart + 3, 2)
        tables.append(table)
    return tables[0], tables[1]


def offsets(slope: int, length: int) -> NDArray[np.int64]:
    """Cells across the axis of each of a segment's cells.

    Examples
    --------
    >>> offsets(3, 4).tolist()
    [0, 1, 2, 3]
    >>> offsets(2, 4).tolist()
    [0, 1, 1, 2]
    """
    if length == 1:
        return np.zeros(1, np.int64)
    half = offsets(slope // 2, length // 2)
    return np.concatenate([half, half + (slope + 1) // 2])


@njit(cache=True, nogil=True)
def _copy(row, coarse, out):  # type: ignore[no-untyped-def]
    """Clipped; where coarse, in half as many units."""
    half = np.int8(1) if coarse else np.int8(0)
    for x in range(len(row)):
        out[x] = (max(min(row[x], CLIP), -CLIP) + half) >> half


@njit(cache=True, nogil=True)
def _add(a, b, out):  # type: ignore[no-untyped-def]
    for x in range(len(out)):
        out[x] = np.int8(a[x] + b[x])


@njit(cache=True, nogil=True)
def _add_clipped(a, b, out):  # type: ignore[no-untyped-def]
    for x in range(len(out)):
        out[x] = max(min(np.int8(a[x] + b[x]), BIG), SMALL)


@njit(cache=True, nogil=True)
def _add_clipped_long(a, b, out):  # type: ignore[no-untyped-def]
    """As `_add_clipped` where the sum of two may leave int8: both are halved, and so is the sum."""
    for x in range(len(out)):
        out[x] = min(np.int8((a[x] >> 1) + (b[x] >> 1)), BIG)


@njit(cache=True, nogil=True)
def _raise(a, b, c, threshold, best):  # type: ignore[no-untyped-def]
    """The best of two slopes, which share all but the last cell across, above the threshold."""
    level = np.int8(threshold)
    for x in range(len(best)):
        best[x] = max(np.int8(a[x] + max(b[x], c[x]) - level), best[x])


@njit(cache=True, nogil=True)
def _level(sums, out, n, sign):  # type: ignore[no-untyped-def]
    """Sums along 2n rows from those along n; both ``(16, width)``: by group of rows and by slope."""
    width = sums.shape[1]
    for k in range(0, HALF, 2 * n):
        for s in range(2 * n):
            at = _PAD + sign * ((s + 1) // 2)
            into = out[k + s, _PAD : width - _PAD]
            one, other = sums[k + s // 2, _PAD : width - _PAD], sums[k + n + s // 2, at : at + width - 2 * _PAD]
            if 2 * n == HALF:
                _add_clipped(one, other, into)
            else:
                _add(one, other, into)


@njit(cache=True, nogil=True)
def _best(p, h, thresholds, sign, best):  # type: ignore[no-untyped-def]
    """For each cell the sum above its threshold of the best segment that begins there; -128 is none."""
    n = p.shape[1] - 2 * _PAD
    for x in range(len(best)):
        best[x] = -128
    for s in range(len(p)):
        one, other = _PAD + sign * s, _PAD + sign * (s + 1)
        _raise(p[s, _PAD : _PAD + n], h[s, one : one + n], h[s, other : other + n], thresholds[2 * s], best)


@njit(cache=True, nogil=True)
def _pick(best, halves, thresholds, sign, found):  # type: ignore[no-untyped-def]
    """Note the local maxima of a band: column, slope and sum above the threshold; returns how many."""
    p, h = halves
    n, k = len(best), 0
    top = np.int8(-128)
    for x in range(n):
        top = max(top, best[x])
    if top <= 0:
        return k
    x = 0
    while x < n:
        if best[x] > 0:
            peak = True
            for other in range(max(x - APART, 0), min(x + APART + 1, n)):
                if best[other] > best[x] or (best[other] == best[x] and other < x):
                    peak = False
                    break
            if peak and k < len(found):
                highest, slope = -1000, 0
                for s in range(2 * len(p)):
                    value = p[s // 2, _PAD + x] + h[s // 2, _PAD + x + sign * ((s + 1) // 2)] - thresholds[s]
                    if value > highest:
                        highest, slope = value, s
                found[k, 0], found[k, 1], found[k, 2] = x, slope, highest
                k += 1
        x += 1
    return k


@njit(cache=True, nogil=True)
def _load(cells, first, sign, coarse, out):  # type: ignore[no-untyped-def]
    """Sixteen rows into the middle of wider empty ones."""
    ny, nx = cells.shape
    at = _PAD + (_OUTSIDE if sign > 0 else 0)
    for r in range(HALF):
        if first + r < ny:
            _copy(cells[first + r], coarse, out[r, at : at + nx])
        else:
            out[r] = 0


@njit(cache=True, nogil=True)
def _along(cells, thresholds, kind, found, swapped):  # type: ignore[no-untyped-def]
    """Segments along the first axis of a frame into ``found``: x1, y1, x2, y2 and the sum above the threshold."""
    (deep, coarse), k = kind, 0
    ny, nx = cells.shape
    width = (nx + _OUTSIDE + 127) // 128 * 128 + 2 * _PAD
    rows = np.zeros((HALF, width), np.int8)
    one, two, three = np.zeros_like(rows), np.zeros_like(rows), np.zeros_like(rows)
    halves = np.zeros((2, 2, HALF, width), np.int8)
    longer = np.zeros((2, 4, 2 * HALF, width if deep else 0), np.int8)
    best = np.empty(width - 2 * _PAD, np.int8)
    picked = np.empty((len(found), 3), np.int64)
    length = 2 * CELLS if deep else CELLS
    for band in range((ny + HALF - 1) // HALF):
        for lean in range(2):
            sign = 1 - 2 * lean
            _load(cells, band * HALF, sign, coarse, rows)
            _level(rows, one, 1, sign)
            _level(one, two, 2, sign)
            _level(two, three, 4, sign)
            h, p = halves[lean, band % 2], halves[lean, (band + 1) % 2]
            _level(three, h, 8, sign)
            if band == 0:
                continue
            begin = band - 1
            if deep:
                q = longer[lean, band % 4]
                for s in range(2 * HALF):
                    at = _PAD + sign * ((s + 1) // 2)
                    _add_clipped_long(
                        p[s // 2, _PAD : width - _PAD], h[s // 2, at : at + width - 2 * _PAD],
                        q[s, _PAD : width - _PAD],
                    )  # fmt: skip
                if band < 3:
                    continue
                p, h, begin = longer[lean, (band + 2) % 4], q, band - 3
            _best(p, h, thresholds, sign, best)
            n = _pick(best, (p, h), thresholds, sign, picked[k:])
            for i in range(n):
                x = picked[k + i, 0] - (_OUTSIDE if sign > 0 else 0)
                y, x2 = begin * HALF, x + sign * picked[k + i, 1]
                if swapped:
                    found[k + i] = y, x, y + length - 1, x2, picked[k + i, 2]
                else:
                    found[k + i] = x, y, x2, y + length - 1, picked[k + i, 2]
            k += n
    return k


@njit(cache=True, nogil=True)
def turn(cells: NDArray[np.int8], out: NDArray[np.int8]) -> None:
    """Rows become columns: eight rows at a time, so that a line of the cache is written in few visits."""
    ny, nx = cells.shape
    whole = ny - ny % 8
    for y in range(0, whole, 8):
        for x in range(nx):
            for j in range(8):
                out[x, y + j] = cells[y + j, x]
    for y in range(whole, ny):
        for x in range(nx):
            out[x, y] = cells[y, x]


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
    turned : ndarray of int8, (nx, ny)
        Memory to work in: the first touch of fresh memory would cost as much as a tenth of the search.
    thresholds : ndarray of int64, (32,) or (64,)
        For the sum of a segment, by its slope (how many cells it goes across); at most `MAX_THRESHOLD`.
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
