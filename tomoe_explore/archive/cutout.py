"""Cutout films: a small square of the sky, frame by frame, from the raw film while it lives."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from tomoe_explore.archive import registry as tables
from tomoe_explore.archive.position import parse_position, parse_whole
from tomoe_explore.archive.reserve import identify
from tomoe_explore.archive.search import Where, stack_rows
from tomoe_explore.camera import NX, NY
from tomoe_explore.errors import NotFoundError, ParameterError

if TYPE_CHECKING:
    from astropy.wcs import WCS

    from tomoe_explore.archive.archive import Archive
    from tomoe_explore.data import Film, Floats


@dataclass(frozen=True)
class CutoutFilm:
    """A cutout film.

    Attributes
    ----------
    frames : ndarray of float32
        ``(frame, y, x)``; ADU above the master dark (as read where there is none); NaN outside the detector.
    mjd : ndarray of float64
        Mid-exposure of each frame at the middle row, MJD, UTC.
    x0, y0 : int
        Column and row of the trimmed frame at the cutout's first pixel; may be negative.
    exposure_id, detector_id, reduction_id : int
        Of the film, and of the reduction whose WCS places the cutout.
    wcs : astropy.wcs.WCS
        Of the cutout's pixels.
    """

    frames: Floats
    mjd: NDArray[np.float64]
    x0: int
    y0: int
    exposure_id: int
    detector_id: int
    reduction_id: int
    wcs: WCS

    def __repr__(self) -> str:
        n, ny, nx = self.frames.shape
        return f"CutoutFilm of {n} frames, {nx}x{ny} px, detector {self.detector_id}, exposure {self.exposure_id}"


def cutout_film(archive: Archive, position: Any, exposure_id: int, size_px: int) -> CutoutFilm:
    """A cutout film; see `Archive.film`."""
    size_px, exposure_id = parse_whole("size_px", size_px), parse_whole("exposure_id", exposure_id)
    if not 1 <= size_px <= NY:
        raise ParameterError(f"size_px must be 1 to {NY}, got {size_px}")
    ra, dec = parse_position(position)
    where = Where(exposure_ids=(exposure_id,), cone=(ra, dec, 0.0))
    rows = stack_rows(archive.registry, where)
    if not rows:
        raise NotFoundError(
            f"no reduced film of exposure {exposure_id} covers RA {ra:.5f}, Dec {dec:.5f}; "
            "archive.search(position, product='stack') lists the exposures that do"
        )
    stack = rows[-1]
    wcs = _wcs(archive.root / stack["path"])
    x, y = wcs.all_world2pix([ra], [dec], 0)
    x0, y0 = round(float(x[0])) - size_px // 2, round(float(y[0])) - size_px // 2
    film, dark = _film_and_dark(archive, stack["reduction_id"])
    frames = _cut(film, dark, (x0, y0), size_px)
    mjd = film.exposure.mid_times(np.arange(film.n_frames), y0 + size_px // 2)
    placed = wcs.deepcopy()
    placed.wcs.crpix = placed.wcs.crpix - [x0, y0]
    if placed.sip is not None:
        from astropy.wcs import Sip

        placed.sip = Sip(placed.sip.a, placed.sip.b, placed.sip.ap, placed.sip.bp, placed.sip.crpix - [x0, y0])
    return CutoutFilm(frames, mjd, x0, y0, stack["exposure_id"], stack["detector_id"], stack["reduction_id"], placed)


def _wcs(path: Path) -> WCS:
    from astropy.io import fits
    from astropy.wcs import WCS

    return WCS(fits.getheader(path, "STACK"))


def _film_and_dark(archive: Archive, reduction_id: int) -> tuple[Film, Floats | None]:
    from tomoe_explore import raw
    from tomoe_explore.archive.masters import read_cached

    reductions, films, masters = tables.reductions.c, tables.films.c, tables.masters.c
    query = (
        sa.select(films.path, films.size, films.film_checksum, masters.path.label("dark_path"))
        .select_from(tables.reductions)
        .join(tables.films, films.film_checksum == reductions.film_checksum)
        .outerjoin(tables.masters, masters.master_id == reductions.dark_id)
        .where(reductions.reduction_id == reduction_id)
    )
    row = archive.registry.rows(query)[0]
    path, checksum = row["path"] and Path(row["path"]), row["film_checksum"]
    there = bool(path) and path.exists()
    # uncompressed films share their size: one with another time is read to know it
    if not there or path.stat().st_size != row["size"] or identify(archive.registry, path).checksum != checksum:
        where = f"; it lay at {path}" if path and not there else ", another film lies at its path now"
        raise NotFoundError(f"the raw film of reduction {reduction_id} is gone{where} ({checksum})")
    dark = read_cached(archive.root / row["dark_path"]).pixels if row["dark_path"] else None
    return raw.open_film(path, checksum=checksum), dark


def _cut(film: Film, dark: Floats | None, corner: tuple[int, int], size: int) -> Floats:
    x0, y0 = corner
    frames = np.full((film.n_frames, size, size), np.nan, dtype=np.float32)
    from_x, to_x = max(x0, 0), min(x0 + size, NX)
    from_y, to_y = max(y0, 0), min(y0 + size, NY)
    inside = (slice(from_y, to_y), slice(from_x, to_x))
    for n in range(film.n_frames):  # frame by frame: a film is never loaded whole
        pixels = film.adu(n, n + 1)[0][inside]
        frames[n, from_y - y0 : to_y - y0, from_x - x0 : to_x - x0] = pixels if dark is None else pixels - dark[inside]
    return frames
