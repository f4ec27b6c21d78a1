"""The values that the searches for movers and streaks share and that go no further than the recipe."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tomoe_explore.reduction.values import Bools, Doubles, Floats

CELL = 2  #: pixels along a side of a cell

#: Scores of movers, and how many false candidates a film has above each: counted in simulated films without movers,
#: their frames in order and shuffled, at high latitude and in a dense field alike (``benchmarks/movers.py``).
FALSE_ALARMS = ((6.6, 1.3), (6.8, 0.55), (7.0, 0.28), (7.1, 0.18), (7.4, 0.07), (7.7, 0.015), (8.0, 0.01))

#: The score of a mover is the mean of two: of the search, and the signal to noise of the fit in the pixels. The latter
#: counts as the former and this at most: what varies is bright in the pixels, too, but does not move.
FIT_BONUS = 2.0


@dataclass(frozen=True)
class ResidualFilm:
    """What a film has that its reference has not, in units of the noise.

    Attributes
    ----------
    cells : ndarray of int8, (n, NY / 2, NX / 2)
        (frame - reference) / noise, binned 2 x 2 and smoothed by the star image, with `sigma` for one standard
        deviation; 0 where pixels are bad or saturated and in frames that were not recorded. Cell (j, i) has its centre
        at pixel x = 2 i + 0.5, y = 2 j + 0.5.
    recorded : ndarray of bool, (n,)
    sigma : float
        Noise of a cell where there is no star.
    width : float
        Of the smoothing, cells (sigma of a Gaussian); neighbouring cells agree by ``exp(-1 / (4 width^2))``.
    shifts : ndarray of float32, (n, rows, 2)
        Shift of each frame's images along x and y, cells; one for every ``kernels.still.SHIFT_ROWS`` rows of cells.
    reference : ndarray of float32, (NY, NX)
        Sky and faint stars, ADU flat-fielded: what was subtracted where no star is ``shining``.
    shining, blocked : ndarray of bool, (NY, NX)
        Pixels of stars of which the mean frame was subtracted; those that have no weight.
    drifting : ndarray of float64, (k, 4)
        Sources of the stack that no catalog has and that do not stand still: x and y at the middle of the film, cells,
        and the direction of their drift.
    """

    cells: NDArray[np.int8]
    recorded: Bools
    sigma: float
    width: float
    shifts: Floats
    reference: Floats
    shining: Bools
    blocked: Bools
    drifting: Doubles = field(default_factory=lambda: np.zeros((0, 4)))

    @property
    def correlation(self) -> float:
        """Of the noise of neighbouring cells."""
        return float(np.exp(-1.0 / (4.0 * self.width**2)))


def to_cells(pixels: Doubles | Floats) -> Doubles:
    """Cells of pixels, both counted from 0 at the centre of the first."""
    return (np.asarray(pixels, np.float64) - 0.5) / CELL


def to_pixels(cells: Doubles | Floats) -> Doubles:
    """Pixels of cells."""
    return np.asarray(cells, np.float64) * CELL + 0.5


def false_alarm(score: Doubles) -> Doubles:
    """Expected number of false candidates a film above scores; beyond the last that was counted, no less than there.

    Examples
    --------
    >>> false_alarm(np.array([6.0, 30.0])).round(2).tolist()
    [1.3, 0.01]
    """
    scores, numbers = np.array(FALSE_ALARMS).T
    return np.exp(np.interp(score, scores, np.log(numbers)))


@dataclass(frozen=True)
class Candidates:
    """Tracks that may be movers, the best first.

    Attributes
    ----------
    tracks : ndarray of float64, (m, 4)
        x and y in cells at the frame ``middle``, shift of the frames taken out; motion along x and y, cells a frame.
    middle : ndarray of float64, (m,)
        Number of a frame, or halfway between two.
    score : ndarray of float64, (m,)
    too_many : bool
        Whether there were more.
    """

    tracks: Doubles
    middle: Doubles
    score: Doubles
    too_many: bool

    def __len__(self) -> int:
        return len(self.score)


@dataclass(frozen=True)
class Movers:
    """Candidates fitted in the pixels; positions are those of the stack, the frames' shifts taken out.

    Attributes
    ----------
    x, y : ndarray of float64, (m,)
        Pixels at ``mjd``.
    mjd : ndarray of float64, (m,)
        Mid-exposure at the row, UTC: the mean time, at which errors of place and velocity have nothing in common.
    velocity : ndarray of float64, (m, 2)
        Pixels/s along x and y.
    position_err, velocity_err : ndarray of float64, (m, 2)
        Standard errors along x and y, pixels and pixels/s.
    flux, flux_err : ndarray of float64, (m,)
        Of all its light, ADU of a frame as transparent as the stack.
    score : ndarray of float64, (m,)
    too_many : bool
        Whether there were more candidates.
    mover, frame : ndarray of int64, (k,)
        Of each measurement in a frame: number of the mover, and frame.
    place, place_err : ndarray of float64, (k, 2)
        Pixels.
    frame_flux, frame_flux_err : ndarray of float64, (k,)
    """

    x: Doubles
    y: Doubles
    mjd: Doubles
    velocity: Doubles
    position_err: Doubles
    velocity_err: Doubles
    flux: Doubles
    flux_err: Doubles
    score: Doubles
    too_many: bool
    mover: NDArray[np.int64]
    frame: NDArray[np.int64]
    place: Doubles
    place_err: Doubles
    frame_flux: Doubles
    frame_flux_err: Doubles

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, which: Bools) -> Movers:
        number = np.cumsum(which) - 1
        kept = which[self.mover]
        one = {n: getattr(self, n)[which] for n in _OF_A_MOVER}
        of_frames = {n: getattr(self, n)[kept] for n in _OF_A_FRAME}
        return Movers(**one, **of_frames, too_many=self.too_many, mover=number[self.mover[kept]])


_OF_A_MOVER = ("x", "y", "mjd", "velocity", "position_err", "velocity_err", "flux", "flux_err", "score")
_OF_A_FRAME = ("frame", "place", "place_err", "frame_flux", "frame_flux_err")
