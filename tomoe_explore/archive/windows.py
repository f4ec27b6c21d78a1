"""Windows on the detector, one a frame: pixels put from one into another, and the WCS that goes with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tomoe_explore.data import Floats

if TYPE_CHECKING:
    from astropy.wcs import WCS

Corners = tuple[ArrayLike, ArrayLike]  #: columns and rows of the detector at the first pixels


def rewindow(frames: Floats, corners: Corners, wanted: Corners, shape: tuple[int, int]) -> Floats:
    """Frames seen through other windows.

    Parameters
    ----------
    frames : ndarray of float32, (frame, y, x)
    corners, wanted : (x0, y0)
        Of the frames and of the windows; a number, or one a frame.
    shape : (height, width)
        Of the windows.

    Returns
    -------
    ndarray of float32, (frame, height, width)
        NaN where ``frames`` has nothing.

    Examples
    --------
    >>> rewindow(np.ones((1, 2, 2), np.float32), (10, 20), (11, 20), (1, 3))[0].tolist()
    [[1.0, nan, nan]]
    """
    n, height, width = frames.shape
    out = np.full((n, *shape), np.nan, np.float32)
    shifts = [np.broadcast_to(np.asarray(new) - np.asarray(old), n) for old, new in zip(corners, wanted, strict=True)]
    for k, (dx, dy) in enumerate(zip(*shifts, strict=True)):
        left, right = np.clip([dx, dx + shape[1]], 0, width).tolist()
        low, top = np.clip([dy, dy + shape[0]], 0, height).tolist()
        if left < right and low < top:
            out[k, low - dy : top - dy, left - dx : right - dx] = frames[k, low:top, left:right]
    return out


def moved(wcs: WCS, x0: int, y0: int) -> WCS:
    """A WCS counted from another first pixel, ``(x0, y0)`` of the one given; its distortion goes with it."""
    from astropy.wcs import Sip

    placed: Any = wcs.deepcopy()
    placed.wcs.crpix = placed.wcs.crpix - [x0, y0]
    if placed.sip is not None:
        placed.sip = Sip(placed.sip.a, placed.sip.b, placed.sip.ap, placed.sip.bp, placed.sip.crpix - [x0, y0])
    return placed


def middles(x: NDArray[np.float64], y: NDArray[np.float64], half: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First columns and rows of windows of ``2 half + 1`` pixels about places."""
    return np.round(x).astype(np.int64) - half, np.round(y).astype(np.int64) - half
