"""Films whose frames come in another order but with the times of the film: its false alarms are counted on itself.

Stars, hot pixels, twinkling and noise stay what they are; a mover's places no longer lie on a line.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tomoe_explore.data import Film, Floats, FrameSource


@dataclass(frozen=True)
class _Reordered:
    """A source that gives frame ``order[n]`` of another for frame n."""

    source: FrameSource
    order: tuple[int, ...]

    def read(self, start: int, stop: int) -> NDArray[np.int16] | Floats:
        """See `tomoe_explore.data.FrameSource`."""
        # what the source gave is overwritten by the next read
        frames = [self.source.read(n, n + 1)[0].copy() for n in self.order[start:stop]]
        return np.stack(frames)


def shuffled(film: Film, seed: int) -> Film:
    """A film with its frames in random order; frame 0, which no stack uses, stays.

    Examples
    --------
    >>> shuffled_order(6, 2)
    (0, 3, 5, 4, 1, 2)
    """
    return replace(film, source=_Reordered(film.source, shuffled_order(film.n_frames, seed)))


def swapped(film: Film) -> Film:
    """A film with each two frames after frame 0 in reverse order, for films without movers: what drifts still does.

    Every other frame would still show a mover on a line, and the others on a line beside it.

    Examples
    --------
    >>> swapped_order(6)
    (0, 2, 1, 4, 3, 5)
    """
    return replace(film, source=_Reordered(film.source, swapped_order(film.n_frames)))


def shuffled_order(n_frames: int, seed: int) -> tuple[int, ...]:
    """A random order of the frames after frame 0."""
    return (0, *(1 + np.random.default_rng(seed).permutation(n_frames - 1)).tolist())


def swapped_order(n_frames: int) -> tuple[int, ...]:
    """Frames 1 and 2 exchanged, 3 and 4, …"""
    pairs = ((n + 1, n) if n + 1 < n_frames else (n,) for n in range(1, n_frames, 2))
    return (0, *(n for pair in pairs for n in pair))
