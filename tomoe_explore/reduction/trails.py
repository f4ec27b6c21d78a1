"""The values that pass between the steps of the streak search and to its tables."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tomoe_explore.reduction.values import Doubles


@dataclass(frozen=True)
class Trails:
    """Straight trails in single frames, ``(k,)`` each, in the order of frames.

    Attributes
    ----------
    frame : ndarray of int16
    x1, y1, x2, y2 : ndarray of float64
        Ends, pixels.
    snr : ndarray of float64
        Signal to noise of all the trail.
    half_width : ndarray of float64
        How far from its line it shines, pixels.
    too_many : bool
        Whether a frame or the film had more than are kept.
    """

    frame: NDArray[np.int16]
    x1: Doubles
    y1: Doubles
    x2: Doubles
    y2: Doubles
    snr: Doubles
    half_width: Doubles
    too_many: bool = False

    def __len__(self) -> int:
        return len(self.frame)


@dataclass(frozen=True)
class FittedTrail:
    """A trail as the pixels of its frame have it.

    Attributes
    ----------
    frame : int
    x, y : tuple of float
        Of both ends, pixels.
    end_err : tuple of float
        Standard error of each end along the trail, pixels.
    across_err : float
        Of the line at its ends, across, pixels.
    cut : tuple of bool
        Whether each end is where the detector ends.
    flux, flux_err : float
        All its light, ADU of a frame as transparent as the stack.
    snr : float
        By the matched filter along its whole length.
    fwhm, fwhm_err : float
        Of the image across, as if of a star, pixels.
    variability : float
        Scatter of its brightness along, over the mean; noise taken off.
    taper, taper_err : float
        1 less the brightness of the outer quarters over that of the middle half.
    """

    frame: int
    x: tuple[float, float]
    y: tuple[float, float]
    end_err: tuple[float, float]
    across_err: float
    cut: tuple[bool, bool]
    flux: float
    flux_err: float
    snr: float
    fwhm: float
    fwhm_err: float
    variability: float
    taper: float
    taper_err: float

    @property
    def length(self) -> float:
        """Pixels."""
        return float(np.hypot(self.x[1] - self.x[0], self.y[1] - self.y[0]))

    def turned(self) -> FittedTrail:
        """The other end first."""
        pairs = {name: getattr(self, name)[::-1] for name in ("x", "y", "end_err", "cut")}
        return replace(self, **pairs)


@dataclass(frozen=True)
class Streaks:
    """Streaks of a film, one entry each, ``(k,)``.

    Attributes
    ----------
    pieces : tuple of tuple of FittedTrail
        What single frames show of each, in the order of motion.
    rate, rate_err : ndarray of float64
        Pixels/s; NaN where undetermined.
    flags : ndarray of int32
    kind : tuple of str
        ``meteor, satellite, glint, unknown``.
    probability : ndarray of float64
        Of the kind; NaN where unknown.
    """

    pieces: tuple[tuple[FittedTrail, ...], ...]
    rate: Doubles
    rate_err: Doubles
    flags: NDArray[np.int32]
    kind: tuple[str, ...]
    probability: Doubles

    def __len__(self) -> int:
        return len(self.pieces)
