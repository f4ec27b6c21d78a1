"""Cutout films: a small square of the sky, frame by frame, from the raw film or what is kept of it around movers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from tomoe_explore.archive import registry as tables
from tomoe_explore.archive.position import parse_position, parse_whole
from tomoe_explore.archive.registry import Registry
from tomoe_explore.archive.reserve import identify
from tomoe_explore.archive.search import Where, stack_rows
from tomoe_explore.archive.windows import moved, rewindow
from tomoe_explore.camera import NX, NY, ROW_TIME_S
from tomoe_explore.errors import NotFoundError, ParameterError

if TYPE_CHECKING:
    from astropy.wcs import WCS

    from tomoe_explore.data import Film, Floats

Times = NDArray[np.float64]


@dataclass(frozen=True, repr=False)
class CutoutFilm:
    """A cutout film.

    Attributes
    ----------
    frames : ndarray of float32
        ``(frame, y, x)``; ADU above the master dark, flat-fielded (as read where there are no masters); NaN outside the
        detector, and outside of what was kept.
    mjd : ndarray of float64
        Mid-exposure of each frame at the middle row, MJD, UTC.
    x0, y0 : int
        Column and row of the trimmed frame at the cutout's first pixel; may be negative.
    exposure_id, detector_id, reduction_id : int
        Of the film, and of the reduction whose WCS places the cutout.
    wcs : astropy.wcs.WCS
        Of the cutout's pixels.
    source : str
        ``raw``: the raw film; ``kept``: the cutouts of movers that are kept when it goes.
    """

    frames: Floats
    mjd: Times
    x0: int
    y0: int
    exposure_id: int
    detector_id: int
    reduction_id: int
    wcs: WCS
    source: str

    def __repr__(self) -> str:
        n, ny, nx = self.frames.shape
        where = f"detector {self.detector_id}, exposure {self.exposure_id}"
        return f"{type(self).__name__} of {n} frames, {nx}x{ny} px, {where} ({self.source})"


def cutout_film(registry: Registry, root: Path, position: Any, exposure_id: int, size_px: int) -> CutoutFilm:
    """A cutout film; see `Archive.film`."""
    size_px, exposure_id = parse_whole("size_px", size_px), parse_whole("exposure_id", exposure_id)
    if not 1 <= size_px <= NY:
        raise ParameterError(f"size_px must be 1 to {NY}, got {size_px}")
    ra, dec = parse_position(position)
    where = Where(exposure_ids=(exposure_id,), cone=(ra, dec, 0.0))
    rows = stack_rows(registry, where)
    if not rows:
        raise NotFoundError(
            f"no reduced film of exposure {exposure_id} covers RA {ra:.5f}, Dec {dec:.5f}; "
            "archive.search(position, product='stack') lists the exposures that do"
        )
    stack = rows[-1]
    wcs = _wcs(root / stack["path"])
    x, y = wcs.all_world2pix([ra], [dec], 0)
    x0, y0 = round(float(x[0])) - size_px // 2, round(float(y[0])) - size_px // 2
    try:
        frames, mjd = _of_raw(registry, root, stack["reduction_id"], (x0, y0), size_px)
        source = "raw"
    except NotFoundError as gone:
        frames, mjd = _of_kept(root, stack, (x0, y0), size_px, gone)
        source = "kept"
    ids = stack["exposure_id"], stack["detector_id"], stack["reduction_id"]
    return CutoutFilm(frames, mjd, x0, y0, *ids, moved(wcs, x0, y0), source)


def _of_raw(
    registry: Registry, root: Path, reduction_id: int, corner: tuple[int, int], size: int
) -> tuple[Floats, Times]:
    film, dark, flat = _film_and_masters(registry, root, reduction_id)
    return _cut(film, dark, flat, corner, size), film.exposure.mid_times(
        np.arange(film.n_frames), corner[1] + size // 2
    )


def _of_kept(
    root: Path, run: sa.RowMapping, corner: tuple[int, int], size: int, gone: NotFoundError
) -> tuple[Floats, Times]:
    """What the cutouts of a film's movers show of a square; the film itself is gone."""
    from tomoe_explore.archive.collection_file import read_cutouts

    frames: Floats | None = None
    for cutout, _ in read_cutouts(root / run["collection_path"]) if run["collection_path"] else ():
        seen = rewindow(cutout.frames, (cutout.x0, cutout.y0), corner, (size, size))
        frames = seen if frames is None else np.where(np.isnan(frames), seen, frames)
        mjd = cutout.mjd + (corner[1] + size // 2 - cutout.y) * ROW_TIME_S / 86_400.0
    if frames is None or not np.isfinite(frames).any():
        raise NotFoundError(f"{gone}, and no cutout of a mover that was kept of it shows this place") from None
    return frames, mjd


def _wcs(path: Path) -> WCS:
    from astropy.io import fits
    from astropy.wcs import WCS

    return WCS(fits.getheader(path, "STACK"))


def _film_and_masters(registry: Registry, root: Path, reduction_id: int) -> tuple[Film, Floats | None, Floats | None]:
    from tomoe_explore import raw
    from tomoe_explore.archive.masters import read_cached

    reductions, films = tables.reductions.c, tables.films.c
    dark, flat = tables.masters.alias(), tables.masters.alias()
    query = (
        sa.select(films.path, films.size, films.film_checksum, dark.c.path.label("dark"), flat.c.path.label("flat"))
        .select_from(tables.reductions)
        .join(tables.films, films.film_checksum == reductions.film_checksum)
        .outerjoin(dark, dark.c.master_id == reductions.dark_id)
        .outerjoin(flat, flat.c.master_id == reductions.flat_id)
        .where(reductions.reduction_id == reduction_id)
    )
    row = registry.rows(query)[0]
    path, checksum = row["path"] and Path(row["path"]), row["film_checksum"]
    there = bool(path) and path.exists()
    # uncompressed films share their size: one with another time is read to know it
    if not there or path.stat().st_size != row["size"] or identify(registry, path).checksum != checksum:
        where = f"; it lay at {path}" if path and not there else ", another film lies at its path now"
        raise NotFoundError(f"the raw film of reduction {reduction_id} is gone{where} ({checksum})")
    images = [read_cached(root / row[kind]).pixels if row[kind] else None for kind in ("dark", "flat")]
    return raw.open_film(path, checksum=checksum), images[0], images[1]


def _cut(film: Film, dark: Floats | None, flat: Floats | None, corner: tuple[int, int], size: int) -> Floats:
    x0, y0 = corner
    frames = np.full((film.n_frames, size, size), np.nan, dtype=np.float32)
    from_x, to_x = max(x0, 0), min(x0 + size, NX)
    from_y, to_y = max(y0, 0), min(y0 + size, NY)
    inside = (slice(from_y, to_y), slice(from_x, to_x))
    for n in range(film.n_frames):  # frame by frame: a film is never loaded whole
        pixels = film.adu(n, n + 1)[0][inside]
        pixels = pixels if dark is None else pixels - dark[inside]
        pixels = pixels if flat is None else pixels / flat[inside]
        frames[n, from_y - y0 : to_y - y0, from_x - x0 : to_x - x0] = pixels
    return frames
