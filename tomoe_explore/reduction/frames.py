"""Step 0 of a film: which of its frames were recorded, and which pixels of a calibrated film have no value."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from tomoe_explore.camera import NX, NY
from tomoe_explore.data import Film, Floats, FrameSource
from tomoe_explore.errors import HolesError, LostFramesError, TwilightError
from tomoe_explore.limits import LIMITS, Limits

N_ROWS = 12  #: rows of each frame that are looked at
ABSENT = 0.5  #: a row with more than this part of its pixels without a value was not recorded


@dataclass
class FrameWatch:
    """Tells lost frames, block by block: all zero, constant, without values, or a copy of the frame before.

    Twelve rows spread over the frame are looked at, so that a frame that breaks off is seen too. Two frames that were
    exposed never agree in 24,000 noisy pixels.

    Examples
    --------
    >>> frames = np.random.default_rng(1).integers(0, 9, (4, NY, NX)).astype(np.int16)
    >>> frames[1], frames[3] = 0, frames[2]
    >>> FrameWatch(0, 0).see(frames).tolist()
    [True, False, True, False]
    """

    x0: int
    y0: int
    _before: NDArray[Any] | None = None

    def see(self, frames: NDArray[Any]) -> NDArray[np.bool_]:
        """Whether each frame of the next block was recorded, ``(n,)``; blocks must come in order."""
        rows = self.y0 + np.linspace(0, NY - 1, N_ROWS).astype(int)
        sample = frames[:, rows, self.x0 : self.x0 + NX]
        before = np.concatenate([sample[:1] if self._before is None else self._before, sample[:-1]])
        same = (sample == before).all(axis=(1, 2))
        if self._before is None:
            same[0] = False
        self._before = sample[-1:].copy()
        constant = (sample == sample[:, :, :1]).all(axis=2).any(axis=1)
        absent = np.zeros(len(frames), bool)
        if sample.dtype.kind == "f":
            absent = ((~np.isfinite(sample)).mean(axis=2) > ABSENT).any(axis=1)
        return ~(same | constant | absent)


def recorded_frames(film: Film) -> NDArray[np.bool_]:
    """Which frames of a film were recorded, ``(n_frames,)``; see `FrameWatch`."""
    watch = FrameWatch(film.x0, film.y0)
    return np.concatenate([watch.see(frames) for _, frames in film.blocks()])


def check_frames(film: Film, recorded: NDArray[np.bool_], *, limits: Limits = LIMITS) -> None:
    """Refuse a film with too few frames.

    Parameters
    ----------
    film : Film
    recorded : ndarray of bool, (n_frames,)
        See `recorded_frames`.
    limits : Limits

    Raises
    ------
    LostFramesError
        If fewer frames than the limit were recorded after the first.
    TwilightError
        If the frames are constant because every pixel is saturated.
    """
    if recorded[1:].sum() < limits.min_frames:
        level, e = float(np.median(film.adu(0, 1)[0, ::8, ::8])), film.exposure
        if level > e.gain_mode.safe_adu(e.gain_mode.gain):
            raise TwilightError(f"every pixel is saturated ({level:.0f} ADU): twilight, or a lamp? ({e.where})")
        raise LostFramesError(
            f"{int(recorded.sum())} of {film.n_frames} frames were recorded (the others are constant, without values, "
            f"or copies), at least {limits.min_frames} after the first are needed ({e.where})"
        )


def stand_in(film: Film, recorded: NDArray[np.bool_]) -> Film:
    """A film that has the nearest recorded frame in place of each lost one.

    Sums leave lost frames out and tables have no measurement of them; but in between no step has to ask, and none
    meets pixels that never saw light.
    """
    if recorded.all():
        return film
    there = np.flatnonzero(recorded)
    nearest = there[np.abs(np.arange(len(recorded))[:, None] - there).argmin(axis=1)]
    return replace(film, source=_StandIn(film.source, tuple(nearest.tolist())))


def fill_holes(film: Film, *, limits: Limits = LIMITS) -> tuple[Film, NDArray[np.bool_]]:
    """A calibrated film whose pixels all have values, and a mask of those that had none.

    Parameters
    ----------
    film : Film
        One of integers (RAW) has no holes: it is given back, and not read.
    limits : Limits

    Returns
    -------
    film : Film
        Gives the film's typical level where there was NaN or infinity: kernels work with finite numbers only.
    holes : ndarray of bool, (NY, NX)
        Pixels without a value in one recorded frame or more; they belong to the bad pixels.

    Raises
    ------
    HolesError
        If too many pixels are holes.
    """
    holes = np.zeros((NY, NX), np.bool_)
    if film.source.read(0, 1).dtype.kind != "f":
        return film, holes
    level = np.nan
    light = slice(film.y0, film.y0 + NY), slice(film.x0, film.x0 + NX)
    for _, frames in film.blocks():
        for frame in frames:
            bad = ~np.isfinite(frame[light])
            if bad.mean() < ABSENT:
                holes |= bad
                level = float(np.median(frame[light][~bad][::64])) if np.isnan(level) else level
    part = float(holes.mean())
    if part > limits.holes:
        raise HolesError(
            f"{part:.1%} of the pixels have no value (NaN) in a frame, at most {limits.holes:.0%} are masked: the film "
            f"was not calibrated well; give the RAW film ({film.exposure.where})"
        )
    if np.isfinite(level):
        film = replace(film, source=_Filled(film.source, np.float32(level)))
    return film, holes


@dataclass(frozen=True)
class _Filled:
    """A source of float frames with a level in place of NaN and infinity."""

    source: FrameSource
    level: np.float32

    def read(self, start: int, stop: int) -> Floats:
        """See `tomoe_explore.data.FrameSource`."""
        frames = cast(Floats, self.source.read(start, stop))
        return np.where(np.isfinite(frames), frames, self.level)


@dataclass(frozen=True)
class _StandIn:
    """A source that gives frame ``given[n]`` for frame n."""

    source: FrameSource
    given: tuple[int, ...]

    def read(self, start: int, stop: int) -> NDArray[np.int16] | Floats:
        """See `tomoe_explore.data.FrameSource`."""
        frames = self.source.read(start, stop)
        others = [n for n in range(start, stop) if self.given[n] != n]
        if others:
            frames = frames.copy()  # what the source gave is overwritten by the next read
            for n in others:
                frames[n - start] = self.source.read(self.given[n], self.given[n] + 1)[0]
        return frames
