"""The film of a mover, fixed on the sky or following it, from what is kept of the film around it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from tomoe_explore.archive import registry as tables
from tomoe_explore.archive.collection_file import detector_wcs, read_cutouts
from tomoe_explore.archive.cutout import CutoutFilm
from tomoe_explore.archive.position import parse_whole
from tomoe_explore.archive.registry import Registry
from tomoe_explore.archive.windows import middles, moved, rewindow
from tomoe_explore.errors import NotFoundError, ParameterError
from tomoe_explore.ids import MEMBERS, member_kind

if TYPE_CHECKING:
    from tomoe_explore.data import Floats, MoverCutout

HALF_PX = 16  #: of a cutout that follows a mover, where the one that is kept does not

LARGEST_PX = 50_000_000  #: of a fixed film that is put together from a following one: 200 MB


@dataclass(frozen=True, repr=False)
class MoverFilm(CutoutFilm):
    """A cutout film of a moving-object candidate; ``mjd`` are its times at the mover.

    Attributes
    ----------
    mover_id : int
    x, y : ndarray of float64, (frame,)
        Where its motion takes the mover in each frame, px of the cutout.
    comoving : bool
        Whether the cutout follows the mover, to the nearest pixel. Then ``x0, y0`` and ``wcs`` are those of the middle
        frame.
    """

    mover_id: int
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    comoving: bool

    def comoving_sum(self, half_px: int = 16) -> Floats:
        """The frames added up along the motion, less the sky of each.

        Parameters
        ----------
        half_px : int
            The sum has ``2 half_px + 1`` pixels along x and y; the mover is in the middle one.

        Returns
        -------
        ndarray of float32, (y, x)
            ADU of all frames: the mean of those that show a pixel, times their number in the film. NaN where none does.

        Notes
        -----
        Frames are moved by whole pixels. The sky of a frame is the median of its cutout.
        """
        half_px = parse_whole("half_px", half_px)
        if half_px < 0:
            raise ParameterError(f"half_px must be 0 or more, got {half_px}")
        shape = 2 * half_px + 1, 2 * half_px + 1
        frames = rewindow(self.frames, (0, 0), middles(self.x, self.y, half_px), shape)
        shown = [n for n in range(len(frames)) if np.isfinite(self.frames[n]).any()]  # the others were not recorded
        if not shown:
            return np.full(shape, np.nan, np.float32)
        sky = np.array([np.nanmedian(self.frames[n]) for n in shown], np.float32)
        less = frames[shown] - sky[:, None, None]
        count = np.isfinite(less).sum(axis=0)
        mean = np.nansum(less, axis=0) / np.where(count, count, np.nan)
        return (mean * len(shown)).astype(np.float32)


def mover_film(registry: Registry, root: Path, mover_id: int, *, comoving: bool = False) -> MoverFilm:
    """The film of a mover; see `Archive.mover_film`."""
    mover_id = parse_whole("mover_id", mover_id)
    run = _reduction(registry, mover_id)
    ((cutout, header),) = read_cutouts(root / run["collection_path"], mover_id)
    x0, y0, frames = _following(cutout) if comoving else _fixed(cutout)
    middle = len(cutout.mjd) // 2
    corner = int(x0[middle]), int(y0[middle])
    ids = run["exposure_id"], run["detector_id"], run["reduction_id"]
    x, y = cutout.x - x0, cutout.y - y0
    return MoverFilm(
        frames, cutout.mjd, *corner, *ids, moved(detector_wcs(header), *corner), "kept", mover_id, x, y, comoving
    )


def _reduction(registry: Registry, mover_id: int) -> sa.RowMapping:
    """The record of a mover's reduction, which has a collection."""
    if not (0 < mover_id < 2**63 and member_kind(mover_id) == "mover"):
        raise NotFoundError(f"no mover {mover_id}: archive.table('movers') lists them")
    c = tables.reductions.c
    found = registry.rows(
        sa.select(c.reduction_id, c.exposure_id, c.detector_id, c.collection_path).where(
            c.reduction_id == mover_id // MEMBERS, c.status == "done"
        )
    )
    if not found:
        raise NotFoundError(f"no mover {mover_id}: there is no reduction {mover_id // MEMBERS}")
    if not found[0]["collection_path"]:
        raise NotFoundError(
            f"reduction {mover_id // MEMBERS} keeps no cutout films: it has no mover, or an older version made it; "
            "`tomoe reduce --force` makes them while the raw film lives"
        )
    return found[0]


def _fixed(cutout: MoverCutout) -> tuple[NDArray[Any], NDArray[Any], Floats]:
    """Corners and pixels of a window that covers all of a cutout's: its own, if that does not move."""
    height, width = cutout.frames.shape[1:]
    x0, y0 = int(cutout.x0.min()), int(cutout.y0.min())
    shape = int(cutout.y0.max()) + height - y0, int(cutout.x0.max()) + width - x0
    corners = np.full_like(cutout.x0, x0), np.full_like(cutout.y0, y0)
    if shape == (height, width):
        return *corners, cutout.frames
    if len(cutout.frames) * shape[0] * shape[1] > LARGEST_PX:
        raise ParameterError(
            f"mover {cutout.mover_id} crosses {shape[1]} x {shape[0]} px in {len(cutout.frames)} frames: take "
            "comoving=True"
        )
    return *corners, rewindow(cutout.frames, (cutout.x0, cutout.y0), corners, shape)


def _following(cutout: MoverCutout) -> tuple[NDArray[Any], NDArray[Any], Floats]:
    """Corners and pixels of windows about the mover: the cutout's own, if they move."""
    if np.ptp(cutout.x0) or np.ptp(cutout.y0):
        return cutout.x0, cutout.y0, cutout.frames
    corners, side = middles(cutout.x, cutout.y, HALF_PX), 2 * HALF_PX + 1
    return *corners, rewindow(cutout.frames, (cutout.x0, cutout.y0), corners, (side, side))
