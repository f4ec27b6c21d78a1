"""How a film lies in its file: packing, header, and the shape of its pixels."""

from __future__ import annotations

import gzip
import io
import math
import os
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, cast

from tomoe_explore import camera
from tomoe_explore.camera import NX, NY
from tomoe_explore.errors import (
    FilmError,
    FilmShapeError,
    MissingKeywordError,
    NotFitsError,
    NotFoundError,
    TruncatedFilmError,
)

if TYPE_CHECKING:
    from astropy.io.fits import Header

StrPath = str | os.PathLike[str]

FITS_BLOCK = 2880  #: bytes; a FITS file is a whole number of them
_MAX_HEADER_BLOCKS = 100  # a header longer than this is not one of a film
_SIZES = {(NX, NY), (camera.NX_RAW, NY), (camera.NX_READOUT, camera.NY_READOUT)}
_BITPIX = (16, -32)


@dataclass(frozen=True)
class Layout:
    """How one film lies in its file."""

    path: Path
    header: Header
    packing: str  # "", "gz" or "fz"
    offset: int  # of the first pixel, in the (unzipped) file
    shape: tuple[int, int, int]  # (frame, y, x)
    bitpix: int

    def keyword_error(self, text: str) -> NoReturn:
        """Raise `MissingKeywordError` with the file's name."""
        raise MissingKeywordError(f"{self.path}: {text}")


def opened(path: Path, gzipped: bool = False) -> io.RawIOBase:
    """The bytes of a file (unzipped if ``gzipped``); a missing or unreadable file is a typed error."""
    try:
        return cast(io.RawIOBase, gzip.open(path) if gzipped else open(path, "rb", buffering=0))
    except FileNotFoundError:
        raise NotFoundError(f"no such film: {path}") from None
    except OSError as error:
        raise FilmError(f"{path} cannot be read: {error.strerror}") from None


def read_layout(path: Path) -> Layout:
    """Read the header, and check that the file is a film and as long as its header says."""
    with opened(path) as stream:
        gzipped = stream.read(2) == b"\x1f\x8b"
    with opened(path, gzipped) as stream:
        header, offset = _read_header(stream, path, b"SIMPLE  =")
        if header.get("NAXIS") == 0:
            # an empty primary: the film may be tile-compressed in the first extension
            header, size = _read_header(stream, path, b"XTENSION=")
            offset += size
    tiled = header.get("ZIMAGE", False) is True
    packing = "fz" if tiled else "gz" if gzipped else ""
    shape, bitpix = _shape(path, header, "Z" if tiled else "")
    n_bytes = math.prod(shape) * abs(bitpix) // 8
    if tiled:
        n_bytes = int(header["NAXIS1"]) * int(header["NAXIS2"]) + int(header.get("PCOUNT", 0))
    if not gzipped and (got := path.stat().st_size) < offset + n_bytes:
        raise TruncatedFilmError(
            f"{path} is truncated: expected {offset + n_bytes} bytes for {shape[0]} frames, got {got}"
        )
    return Layout(path, header, packing, offset, shape, bitpix)


def _read_header(stream: io.RawIOBase, path: Path, start: bytes) -> tuple[Header, int]:
    from astropy.io.fits import Header

    blocks: list[bytes] = []
    while not (blocks and any(blocks[-1][i : i + 80].rstrip() == b"END" for i in range(0, FITS_BLOCK, 80))):
        try:
            block = stream.read(FITS_BLOCK)
        except (EOFError, OSError, zlib.error) as error:
            raise TruncatedFilmError(f"{path}: the header cannot be read: {error}") from None
        if not block and start.startswith(b"XTENSION"):
            raise TruncatedFilmError(f"{path} is truncated: an empty primary, and no extension that holds the film")
        if not blocks and not block.startswith(start):
            raise NotFitsError(
                f"{path} is not a FITS film: expected {start.decode()!r} at its start, got {block[:9]!r}"
            )
        if len(block) < FITS_BLOCK:
            raise TruncatedFilmError(
                f"{path} is truncated: the header needs blocks of {FITS_BLOCK} bytes and an END card, "
                f"got {len(block)} bytes in block {len(blocks)}"
            )
        blocks.append(block)
        if len(blocks) > _MAX_HEADER_BLOCKS:
            raise NotFitsError(f"{path} is not a FITS film: no END card in {len(blocks)} header blocks")
    text = b"".join(blocks)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd cards matter only if they are needed, and are named then
            return Header.fromstring(text.decode("ascii")), len(text)
    except UnicodeDecodeError:
        raise NotFitsError(f"{path} is not a FITS film: its header is not ASCII text") from None


def _shape(path: Path, header: Header, prefix: str) -> tuple[tuple[int, int, int], int]:
    n_axes, bitpix = header.get(f"{prefix}NAXIS"), header.get(f"{prefix}BITPIX")
    axes = [header.get(f"{prefix}NAXIS{i + 1}") for i in range(n_axes if isinstance(n_axes, int) else 0)]
    is_cube = len(axes) == 3 and all(isinstance(n, (int, float)) and n >= 1 for n in axes)
    if not is_cube or tuple(axes[:2]) not in _SIZES or bitpix not in _BITPIX:
        sizes = ", ".join(f"{x}x{y}" for x, y in sorted(_SIZES))
        got = "x".join(map(str, axes)) or "no pixels"
        raise FilmShapeError(
            f"{path}: expected a film of N frames of {sizes} pixels (x, y), 16-bit integers or float32; "
            f"got {got}, BITPIX {bitpix}"
        )
    nx, ny, n_frames = map(int, axes)
    return (n_frames, ny, nx), int(bitpix)
