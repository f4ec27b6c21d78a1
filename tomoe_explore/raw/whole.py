"""Is a film whole? What can be known without decompressing it, of a file that may still be growing."""

from __future__ import annotations

import math
import os
import struct
import zlib
from pathlib import Path

from tomoe_explore.data import Exposure
from tomoe_explore.errors import TruncatedFilmError
from tomoe_explore.raw.keywords import exposure_of
from tomoe_explore.raw.layout import FITS_BLOCK, Layout, StrPath, opened, read_layout

_CHUNK = 1 << 20


def read_whole(path: StrPath) -> Exposure:
    """What the header of a film says, of a film that has all its bytes.

    Parameters
    ----------
    path : path
        A film, plain, ``.gz`` or ``.fz``.

    Returns
    -------
    Exposure

    Raises
    ------
    TruncatedFilmError
        If bytes are missing that the header announces; a file that is being written is such a film.
    FilmError
        As `read_exposure`.

    Notes
    -----
    The end of a ``.gz`` file says how long its content is; only where that is not what the header says (several gzip
    members, or a part of a file) it is decompressed to see.
    """
    path = Path(path)
    with opened(path) as stream:
        size = os.fstat(stream.fileno()).st_size
    if size < FITS_BLOCK:
        raise TruncatedFilmError(f"{path} is truncated: expected at least {FITS_BLOCK} bytes, got {size}")
    layout = read_layout(path)
    if layout.packing == "gz":
        _check_end(layout)
    return exposure_of(layout)


def _check_end(layout: Layout) -> None:
    needed = layout.offset + math.prod(layout.shape) * abs(layout.bitpix) // 8
    padded = -(-needed // FITS_BLOCK) * FITS_BLOCK
    with opened(layout.path) as stream:
        stream.seek(-4, os.SEEK_END)
        (length,) = struct.unpack("<I", stream.read(4))
    if length == padded % 2**32:
        return
    got, reason = 0, ""
    with opened(layout.path, gzipped=True) as stream:
        try:
            while chunk := stream.read(_CHUNK):
                got += len(chunk)
        except (EOFError, OSError, zlib.error) as error:
            reason = f" ({error})"
    if reason or got < needed:
        raise TruncatedFilmError(
            f"{layout.path} is truncated: expected {needed} bytes for {layout.shape[0]} frames, got {got}{reason}"
        )
