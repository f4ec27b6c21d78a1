"""The values that the searches for movers and streaks share and that go no further than the recipe."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tomoe_explore.reduction.values import Bools, Doubles, Floats

CELL = 2  #: pixels along a side of a cell


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
    """

    cells: NDArray[np.int8]
    recorded: Bools
    sigma: float
    width: float
    shifts: Floats

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
