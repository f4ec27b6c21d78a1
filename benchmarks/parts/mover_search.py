"""How the search for movers is run, and where its single-frame points come from: all that the benchmark knows of it.

When the search changes, change this file.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from unittest import mock

import numpy as np
from numpy.typing import NDArray

from parts.costs import Calibrated
from tomoe_explore.data import Film, Reduction
from tomoe_explore.ids import make_reduction_id
from tomoe_explore.kernels.residuals import residual_peaks
from tomoe_explore.reduction import movers, recipe
from tomoe_explore.reduction.recipe import Parameters, reduce_film
from tomoe_explore.reduction.values import FrameSeries, Prepared

Array = NDArray[np.float64]

#: Parameters with which more is found than is kept, for the curves; none: the same as is kept.
LOOSE: dict[str, float] = {"mover_snr": 4.0}
POINT_SNR = 3.0  #: of the faintest single-frame points that the peer may use
POINTS_A_FRAME = 20_000
POINTS_A_FILM = 4000  #: the most significant; the peer's time grows faster than their number


@dataclass(frozen=True)
class Points:
    """Single-frame points that the reference image of a film does not have, ``(k,)`` each.

    Attributes
    ----------
    frame : ndarray of int
    t : ndarray
        Mid-exposure at the point's row, seconds from the film's start.
    x, y : ndarray
        In the stack's pixels: the frame's shift is taken off.
    snr : ndarray
    """

    frame: NDArray[np.int64]
    t: Array
    x: Array
    y: Array
    snr: Array


def single_frame_points(prepared: Prepared, frames: FrameSeries) -> Points:
    """The points on which the search's linking rests, with a lower threshold."""
    film, parts = prepared.film, []
    threshold = movers._threshold(prepared, frames, POINT_SNR) / np.float32(film.bscale)
    for start, block in film.blocks():
        offsets = np.median(frames.sky_offset[start : start + len(block)], axis=(1, 2)).astype(np.float32) / film.bscale
        f, x, y, ratio = residual_peaks(
            block, film.packing[:2], prepared.mean, threshold, offsets.astype(np.float32), POINTS_A_FRAME
        )
        parts.append((f.astype(np.int64) + start, x, y, ratio))
    frame, x, y, ratio = (np.concatenate(p) for p in zip(*parts, strict=True))
    own = np.flatnonzero(prepared.recorded[frame])
    best = np.sort(own[np.argsort(-ratio[own], kind="stable")[:POINTS_A_FILM]])
    frame, row = frame[best], y[best].astype(float)
    t = (film.exposure.mid_times(frame, row) - film.exposure.mjd_start) * 86_400.0
    x_ref, y_ref = x[best] - frames.dx[frame].astype(float), row - frames.dy[frame]
    return Points(frame, t, x_ref, y_ref, POINT_SNR * ratio[best].astype(float))


def searched(film: Film, c: Calibrated, **parameters: float) -> Reduction:
    """The recipe alone, no archive; ``parameters`` as `Parameters` takes them."""
    given = Parameters(**parameters)  # type: ignore[arg-type]
    reduction_id = make_reduction_id(film.exposure.exposure_id, film.exposure.detector_id, 1)
    return reduce_film(film, c.masters, c.refcat, parameters=given, reduction_id=reduction_id)


@contextmanager
def points_noted(found: list[Points]) -> Iterator[None]:
    """Within the block every search for movers leaves its single-frame points in the list."""
    search = recipe.find_movers

    def noted(prepared: Prepared, frames: FrameSeries, *args: object, **options: object) -> object:
        found.append(single_frame_points(prepared, frames))
        return search(prepared, frames, *args, **options)  # type: ignore[arg-type]

    with mock.patch.object(recipe, "find_movers", noted):
        yield
