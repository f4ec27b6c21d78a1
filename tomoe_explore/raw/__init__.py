"""Raw films: the only place that knows raw FITS. Headers are read cheaply, pixels block by block, never whole.

Films come plain (``readinto`` into buffers that go from film to film), ``.gz`` (streamed) or ``.fz`` (tile by tile).
"""

from __future__ import annotations

import os
from pathlib import Path

from tomoe_explore.data import Exposure, Film, FrameSource
from tomoe_explore.raw.finding import FILM_ENDINGS, find_films, is_film_name
from tomoe_explore.raw.frames import StreamedFrames, frame_source
from tomoe_explore.raw.keywords import exposure_of, number
from tomoe_explore.raw.layout import StrPath, opened, read_layout
from tomoe_explore.raw.light import first_light
from tomoe_explore.raw.whole import read_whole

__all__ = ["FILM_ENDINGS", "checksum", "find_films", "is_film_name", "open_film", "read_exposure", "read_whole"]


def read_exposure(path: StrPath) -> Exposure:
    """What the header of a film says; no pixel is read.

    Parameters
    ----------
    path : path
        A film, plain, ``.gz`` or ``.fz``.

    Returns
    -------
    Exposure

    Raises
    ------
    NotFitsError, TruncatedFilmError, FilmShapeError, MissingKeywordError
        If the file is no FITS file, is too short, has another shape, or lacks keywords (all are named).
    NotFoundError
        If there is no such file.

    Notes
    -----
    The cadence is ``TFRAME`` (``PROJECT`` is not to be trusted). ``UTC-EXP`` not before ``UTC`` sets
    `Flag.BAD_TIME`. A declination outside +-90 deg is accepted for darks and flats only.
    """
    return exposure_of(read_layout(Path(path)))


def open_film(path: StrPath, *, checksum: str | None = None) -> Film:
    """Open a film for reading block by block.

    Parameters
    ----------
    path : path
        A film of type RAW (2156 x 1128), CUBE (2000 x 1128, calibrated) or the original readout (2160 x 1200),
        16-bit integers or float32, plain, ``.gz`` or ``.fz``.
    checksum : str, optional
        The file's checksum where it is known already; where it is not given the film is read, and summed on the way.

    Returns
    -------
    Film
        ``film.source`` opens the file for each read, so a film can be pickled and holds no file open.

    Raises
    ------
    FilmError
        As `read_exposure`; a ``.gz`` or ``.fz`` film that breaks off may raise only when it is read.

    Notes
    -----
    The light-sensitive pixels lie where ``TRIMSEC`` or ``DATASEC`` say; else where the statistics of frame 0 do,
    if they are clear; else at `camera.X_FIRST_LIGHT`.
    """
    layout = read_layout(Path(path))
    exposure = exposure_of(layout)
    header = layout.header
    source = frame_source(layout)
    if checksum is None:
        checksum = _film_checksum(Path(path), source)
    x0, y0 = first_light(layout, source)
    kind = str(header.get("FMTTYPE", "")).strip()
    return Film(
        exposure, source, x0, y0,
        bscale=number(layout, "BSCALE", 1.0), bzero=number(layout, "BZERO", 0.0),
        calibrated=kind == "TOMOE-IMAGE-CUBE" or (not kind and layout.bitpix == -32),
        checksum=checksum, path=str(path),
    )  # fmt: skip


def checksum(path: StrPath) -> str:
    """Checksum of a file's bytes: ``xxh3:`` and 32 hexadecimal digits (XXH3, 128 bits).

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     checksum(file.name)
    'xxh3:99aa06d3014798d86001c324468d497f'
    """
    return _checksum(Path(path))


def _film_checksum(path: Path, source: FrameSource) -> str:
    """Checksum of a film's file; the frames that are read for it need not be read again."""
    import xxhash

    digest = xxhash.xxh3_128()
    if isinstance(source, StreamedFrames) and source.load(digest):
        return f"xxh3:{digest.hexdigest()}"
    return _checksum(path)


def _checksum(path: Path) -> str:
    import xxhash

    digest = xxhash.xxh3_128()
    with opened(path) as stream:
        # no more than the file needs: fresh memory costs more than to read a small file
        buffer = memoryview(bytearray(min(os.fstat(stream.fileno()).st_size + 1, 1 << 20)))
        while n := stream.readinto(buffer):
            digest.update(buffer[:n])
    return f"xxh3:{digest.hexdigest()}"
