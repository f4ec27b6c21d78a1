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
from tomoe_explore.kernels.linking import frame_points
from tomoe_explore.reduction import recipe
from tomoe_explore.reduction.moving import ResidualFilm, to_pixels
from tomoe_explore.reduction.recipe import Parameters, reduce_film
from tomoe_explore.reduction.values import FrameSeries, Prepared

Array = NDArray[np.float64]

#: Parameters with which more is found than is kept, for the curves; none: the same as is kept.
LOOSE: dict[str, float] = {"mover_score": 6.6}
POINT_SNR = 3.0  #: of the faintest single-frame points that the peer may use
POINTS_A_FRAME = 2000
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


def single_frame_points(prepared: Prepared, frames: FrameSeries, residual: ResidualFilm) -> Points:
    """The points on which the search's linking rests, with a lower threshold."""
    exposure = prepared.film.exposure
    frame, x, y, value = frame_points(residual.cells, int(POINT_SNR * residual.sigma), POINTS_A_FRAME)
    best = np.sort(np.argsort(-value, kind="stable")[:POINTS_A_FILM])
    frame, x_px, row = frame[best], to_pixels(x[best]), to_pixels(y[best])
    t = (exposure.mid_times(frame, row) - exposure.mjd_start) * 86_400.0
    x_ref, y_ref = x_px - frames.dx[frame].astype(float), row - frames.dy[frame]
    return Points(frame, t, x_ref, y_ref, value[best] / residual.sigma)


def searched(film: Film, c: Calibrated, **parameters: float) -> Reduction:
    """The recipe alone, no archive; ``parameters`` as `Parameters` takes them."""
    given = Parameters(**parameters)  # type: ignore[arg-type]
    reduction_id = make_reduction_id(film.exposure.exposure_id, film.exposure.detector_id, 1)
    return reduce_film(film, c.masters, c.refcat, parameters=given, reduction_id=reduction_id)


@contextmanager
def points_noted(found: list[Points]) -> Iterator[None]:
    """Within the block every search for movers leaves its single-frame points in the list."""
    fit = recipe.fit_movers

    def noted(prepared: Prepared, frames: FrameSeries, film: ResidualFilm, *rest: object, **options: object) -> object:
        found.append(single_frame_points(prepared, frames, film))
        return fit(prepared, frames, film, *rest, **options)  # type: ignore[arg-type]

    with mock.patch.object(recipe, "fit_movers", noted):
        yield
