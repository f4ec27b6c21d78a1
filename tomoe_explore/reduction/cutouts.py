"""Step 12: what is kept of the film around each mover, for when the film itself is gone."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tomoe_explore.camera import NX, NY, ROW_TIME_S
from tomoe_explore.data import Exposure, Film, Floats, MoverCutout
from tomoe_explore.reduction.values import Calibration, Doubles, FrameSeries, Prepared
from tomoe_explore.wcs import TanSip

MARGIN_PX = 16  #: on all sides of the track and its trails: stars that are 8 arcsec wide, and sky about them
LARGEST_PX = 18 * 128 * 128  #: of a cutout film that does not move: 9 s at 15 arcsec/s along a diagonal fit in

Integers = NDArray[np.int32]


def cut_movers(prepared: Prepared, frames: FrameSeries, wcs: TanSip, movers: pa.Table) -> tuple[MoverCutout, ...]:
    """Cut a film around each mover out of the film, calibrated.

    Parameters
    ----------
    prepared, frames
        As made by the steps before.
    wcs : TanSip
        Of the stack.
    movers : pyarrow.Table
        Rows as in ``schema.TABLES["movers"]``; ``x y mjd rate position_angle`` are the motion.

    Returns
    -------
    tuple of MoverCutout
        One a row, in order. It does not move, and covers the whole track with its trails and `MARGIN_PX` about it, as
        far as the detector goes; where that is more than `LARGEST_PX` pixels in all frames, it follows the mover.

    Notes
    -----
    Frames that were not recorded, bad pixels, and what lies beyond the detector are NaN. Nothing is resampled: the
    corners are whole pixels.
    """
    stack, exposure = prepared.stack, prepared.film.exposure
    cutouts = []
    for row in movers.to_pylist():
        velocity = _velocity(row, wcs)
        x, y = _track(row, velocity, exposure, frames)
        x0, y0, shape = _windows(x, y, [0.5 * abs(v) * exposure.exptime1_s for v in velocity])
        pixels = np.full((len(x), *shape), np.nan, np.float32)
        about = _inside(_near(row["x"], NX), _near(row["y"], NY), (2 * MARGIN_PX, 2 * MARGIN_PX))[0]
        noise = float(np.sqrt(np.median(stack.variance[about]) * stack.n_frames))
        mjd = exposure.mid_times(np.arange(len(y)), y)
        cutouts.append(MoverCutout(row["mover_id"], pixels, x0, y0, x, y, mjd, noise))
    if cutouts:
        _fill(prepared, cutouts)
    return tuple(cutouts)


def _near(at: float, end: int) -> int:
    """Where a window about a place begins, which may lie just off the detector."""
    return round(min(max(at, 0), end - 1)) - MARGIN_PX


def _velocity(row: Mapping[str, float], wcs: TanSip) -> tuple[float, float]:
    """Motion along x and y, pixels a second of the time at the row where it is."""
    angle = np.radians(row["position_angle"])
    ra = row["ra"] + row["rate"] * np.sin(angle) / np.cos(np.radians(row["dec"])) / 3600
    x, y = wcs.to_pixels([row["ra"], ra], [row["dec"], row["dec"] + row["rate"] * np.cos(angle) / 3600])
    return float(x[1] - x[0]), float(y[1] - y[0])


def _track(
    row: Mapping[str, float], velocity: tuple[float, float], exposure: Exposure, frames: FrameSeries
) -> tuple[Doubles, Doubles]:
    """Where the mover is in each frame, ``(n,)`` each: a row is read when it is its turn, and the telescope shakes."""
    vx, vy = velocity
    since = (exposure.mid_times(np.arange(exposure.n_frames), 0.0) - row["mjd"]) * 86_400.0
    y = (row["y"] + vy * since) / (1.0 - vy * ROW_TIME_S)
    x = row["x"] + vx * (since + y * ROW_TIME_S)
    dx, dy = frames.shifts(np.clip(y, 0, NY - 1))
    return x + np.diagonal(dx), y + np.diagonal(dy)


def _windows(x: Doubles, y: Doubles, trail: list[float]) -> tuple[Integers, Integers, tuple[int, int]]:
    """First column and row of each frame's cutout, and the shape of them all; ``trail`` is half of one along x, y."""
    low, high = [], []
    for at, half, end in zip((x, y), trail, (NX, NY), strict=True):
        low.append(int(np.clip(np.floor(at.min() - half) - MARGIN_PX, 0, end - 1)))
        high.append(int(np.clip(np.ceil(at.max() + half) + MARGIN_PX + 1, low[-1] + 1, end)))
    width, height = high[0] - low[0], high[1] - low[1]
    if len(x) * width * height <= LARGEST_PX:
        return np.full(len(x), low[0], np.int32), np.full(len(y), low[1], np.int32), (height, width)
    half_x, half_y = (MARGIN_PX + int(np.ceil(half)) for half in trail)
    x0, y0 = (np.round(at).astype(np.int32) - half for at, half in ((x, half_x), (y, half_y)))
    return x0, y0, (2 * half_y + 1, 2 * half_x + 1)


def _inside(x0: int, y0: int, shape: tuple[int, int]) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """The part of a window that lies on the detector: there, and in the window."""
    left, low = (int(np.clip(at, 0, end)) for at, end in ((x0, NX), (y0, NY)))
    right, top = (int(np.clip(at + n, 0, end)) for at, n, end in ((x0, shape[1], NX), (y0, shape[0], NY)))
    window = slice(low - y0, max(top, low) - y0), slice(left - x0, max(right, left) - x0)
    return (slice(low, max(top, low)), slice(left, max(right, left))), window


def _fill(prepared: Prepared, cutouts: list[MoverCutout]) -> None:
    film, calibration = prepared.film, prepared.calibration
    for start, block in film.blocks():  # one pass, however long the film
        for cutout in cutouts:
            x0, y0 = (corner[start : start + len(block)] for corner in (cutout.x0, cutout.y0))
            step = 1 if np.ptp(cutout.x0) or np.ptp(cutout.y0) else len(block)  # frames that have a window in common
            for n in range(0, len(block), step):
                there, here = _inside(int(x0[n]), int(y0[n]), cutout.frames.shape[1:])
                pixels = _calibrated(film, block[n : n + step], there, calibration)
                cutout.frames[start + n : start + n + step, *here] = pixels
    for cutout in cutouts:
        cutout.frames[~prepared.recorded] = np.nan


def _calibrated(film: Film, stored: NDArray[np.int16] | Floats, at: tuple[slice, slice], by: Calibration) -> Floats:
    rows, columns = (
        slice(part.start + first, part.stop + first) for part, first in zip(at, (film.y0, film.x0), strict=True)
    )
    raw = stored[:, rows, columns]
    values = raw.view(raw.dtype.newbyteorder(">")) if raw.dtype == np.int16 else raw
    adu = values.astype(np.float32) * np.float32(film.bscale) + np.float32(film.bzero)
    adu -= by.dark[at]
    adu /= by.flat[at]
    adu[:, by.bad[at]] = np.nan
    return adu
