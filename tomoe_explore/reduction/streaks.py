"""Step 12: trails within single frames, found on the film of residuals."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from tomoe_explore import memory
from tomoe_explore.kernels.segments import CELLS, MAX_THRESHOLD, find_segments, lags
from tomoe_explore.kernels.traces import erase, trace
from tomoe_explore.reduction.moving import CELL, ResidualFilm, to_cells, to_pixels
from tomoe_explore.reduction.trails import FittedTrail, Streaks, Trails
from tomoe_explore.reduction.values import Bools, Doubles, FrameSeries

SEGMENT_SNR = 4.75  #: of a segment of 64 px that is looked at: some eight in a frame of noise
TRAIL_SNR = 5.8  #: of a trail that is fitted in the pixels
SEGMENTS_A_FRAME = 2000
TRAILS_A_FRAME = 40
MAX_TRAILS = 200  #: a film
UNEVEN = 1.0  #: change of the sky from place to place in a frame, in the noise of a pixel
JUMP_PX = 2.5  #: of the images in a frame
WIDE = 1.35  #: their width over the usual one
BEYOND_PX = 45.0  #: what a streak shows of itself in the frame before or after may be too short for a trail
MARGIN_PX = 6.0  #: about a streak no other candidate is sought


def find_trails(film: ResidualFilm, *, deep: bool = False) -> Trails:
    """Straight trails of single frames.

    Parameters
    ----------
    film : ResidualFilm
    deep : bool
        With segments of 128 px: fainter trails that are longer; twice the time.

    Returns
    -------
    Trails
        The most significant `MAX_TRAILS`; of a frame at most `TRAILS_A_FRAME`.
    """
    thresholds, noise, coarse = _thresholds(film, deep)
    found = np.empty((SEGMENTS_A_FRAME, 5), np.int16)
    _, ny, nx = film.cells.shape
    turned, work = memory.empty((nx // 2, (ny + 7) // 8 * 8), np.int8), memory.empty((ny, nx), np.int8)
    frames, lines, too_many = [], [], False
    for frame in np.flatnonzero(film.recorded):
        n = find_segments(film.cells[frame], turned, thresholds, (deep, coarse), found)
        if n == 0:
            continue
        trails, more = trace(film.cells[frame], work, found[:n], (noise, TRAIL_SNR, TRAILS_A_FRAME))
        frames.append(np.full(len(trails), frame, np.int16))
        lines.append(trails)
        too_many |= more or n == SEGMENTS_A_FRAME
    every = np.concatenate(lines) if lines else np.empty((0, 6))
    number = np.concatenate(frames) if frames else np.empty(0, np.int16)
    best = np.sort(np.argsort(-every[:, 4], kind="stable")[:MAX_TRAILS])
    x1, y1, x2, y2 = to_pixels(every[best, :4].T)
    too_many |= len(every) > MAX_TRAILS
    return Trails(number[best], x1, y1, x2, y2, every[best, 4], every[best, 5] * CELL, too_many)


def calm(frames: FrameSeries, noise: float) -> Bools:
    """Frames in which stars and sky make no trails, ``(n,)``.

    Parameters
    ----------
    frames : FrameSeries
    noise : float
        Of a pixel of a frame, ADU.

    Notes
    -----
    In a gust the images of stars are trails or lie beside their places, and a light that flares up or sweeps over the
    field leaves edges: a streak in such a frame is lost, but nothing false is told.
    """
    sky = frames.sky_offset.reshape(len(frames.fwhm_px), -1)
    uneven = np.ptp(sky - np.median(sky, axis=0), axis=1)
    x, y = (v.mean(axis=0) for v in frames.shifts(np.array([0.0, 564.0, 1127.0])))
    jump = np.hypot(x - np.median(x), y - np.median(y))
    wide = frames.fwhm_px / np.median(frames.fwhm_px)
    return np.asarray((uneven < UNEVEN * noise) & (jump < JUMP_PX) & (wide < WIDE), bool)


def mask_streaks(film: ResidualFilm, streaks: Streaks, fwhm_px: float) -> None:
    """Set the cells of streaks to 0, in place, so that no other search meets them.

    So are those ahead of their ends in the frames before and after, where they may have shone for a short time more.
    """
    for pieces in streaks.pieces:
        for trail in pieces:
            _mask(film, trail.frame, (trail.x[0], trail.y[0], trail.x[1], trail.y[1]), _half_width(trail, fwhm_px))
        known = len(pieces) > 1  # which end came first
        before, after = ((-1,), (1,)) if known else ((-1, 1), (-1, 1))
        for trail, end, steps in ((pieces[0], 0, before), (pieces[-1], 1, after)):
            beyond = BEYOND_PX / max(trail.length, 1.0)
            x, y = (v[end] + beyond * (v[end] - v[1 - end]) for v in (trail.x, trail.y))
            for frame in (trail.frame + step for step in steps if not trail.cut[end]):
                _mask(film, frame, (trail.x[end], trail.y[end], x, y), _half_width(trail, fwhm_px))


def _half_width(trail: FittedTrail, fwhm_px: float) -> float:
    return (1.5 * max(trail.fwhm, fwhm_px) + MARGIN_PX) / CELL


def _mask(film: ResidualFilm, frame: int, line: tuple[float, float, float, float], half_width: float) -> None:
    if 0 <= frame < len(film.cells):
        x1, y1, x2, y2 = to_cells(np.array(line)).tolist()
        erase(film.cells[frame], (x1, y1, x2, y2), half_width)


def _thresholds(film: ResidualFilm, deep: bool) -> tuple[NDArray[np.int64], Doubles, bool]:
    """Thresholds of segments by slope; the noise of a cell in a long sum; whether the former are coarse.

    The variance of a sum is that of its cells and their covariances, which the smoothing makes:
    ``sigma^2 exp(-distance^2 / (4 width^2))``.
    """
    y, x = np.mgrid[0:3, -3:4]
    covariance = film.sigma**2 * np.exp(-(x**2 + y**2) / (4 * film.width**2))
    near, far = _lags()
    noise = np.sqrt((near * covariance).sum(axis=(1, 2)))
    of_sums = 0.5 * np.sqrt((far * covariance).sum(axis=(1, 2))) if deep else noise
    thresholds = SEGMENT_SNR * of_sums
    coarse = bool(thresholds.max() > MAX_THRESHOLD)
    return np.rint(thresholds / 2 if coarse else thresholds).astype(np.int64), noise / np.sqrt(CELLS), coarse


@lru_cache(maxsize=1)
def _lags() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return lags()
