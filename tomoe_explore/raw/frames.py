"""The pixels of a film: frames read block by block from plain, gzipped and tile-compressed files."""

from __future__ import annotations

import gzip
import io
import sys
import threading
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from tomoe_explore.data import Floats, FrameSource
from tomoe_explore.errors import FilmError, ParameterError, TruncatedFilmError
from tomoe_explore.raw.layout import Layout, opened

Pixels = NDArray[np.int16] | Floats
_DTYPES: dict[int, np.dtype[Any]] = {16: np.dtype(">i2"), -32: np.dtype(">f4")}


_POOL_SIZE = 2  # one block in use, one being read
_pool: list[NDArray[np.uint8]] = []
_pool_lock = threading.Lock()


def _buffer(n_bytes: int) -> NDArray[np.uint8]:
    """Memory that nobody looks at any more: first touch of fresh memory costs three times the reading.

    The array handed out, and all views of it, hold a reference; a buffer without one is free for the next film.
    """
    with _pool_lock:
        for buffer in _pool:
            # held by the pool, by this loop, and as the argument of getrefcount
            if len(buffer) >= n_bytes and sys.getrefcount(buffer) <= 3:
                return buffer[:n_bytes]
        fresh = np.empty(n_bytes, np.uint8)
        _pool[:] = [fresh, *_pool[: _POOL_SIZE - 1]]
        return fresh[:]


def frame_source(layout: Layout) -> FrameSource:
    """The source of a film's frames, by how the file is packed."""
    if layout.packing == "fz":
        return TiledFrames(layout.path, layout.shape)
    return StreamedFrames(layout.path, layout.offset, layout.shape, _DTYPES[layout.bitpix], layout.packing == "gz")


@dataclass(eq=False)
class StreamedFrames:
    """Frames of a plain or gzipped file."""

    path: Path
    offset: int
    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    gzipped: bool
    _stream: io.RawIOBase | None = field(default=None, repr=False)

    def read(self, start: int, stop: int) -> Pixels:
        """Frames ``start <= n < stop``; see `tomoe_explore.data.FrameSource`."""
        _check_range(self.path, start, stop, self.shape[0])
        frame_bytes = self.shape[1] * self.shape[2] * self.dtype.itemsize
        n_bytes = (stop - start) * frame_bytes
        buffer = _buffer(n_bytes)
        stream = self._open()
        try:
            stream.seek(self.offset + start * frame_bytes)
            got = _fill(stream, memoryview(buffer.data))
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise TruncatedFilmError(f"{self.path} breaks off before frame {stop - 1}: {error}") from None
        finally:
            if not self.gzipped:
                stream.close()
        if got < n_bytes:
            raise TruncatedFilmError(
                f"{self.path} is truncated: expected {n_bytes} bytes for frames {start} to {stop - 1}, got {got}"
            )
        block = buffer.view(self.dtype).reshape(stop - start, *self.shape[1:])
        if self.dtype.itemsize == 2:
            return cast(Pixels, block.view(np.int16))
        return cast(Pixels, block.byteswap(inplace=True).view(np.float32))

    def _open(self) -> io.RawIOBase:
        if not self.gzipped:
            return opened(self.path)
        # kept open: to seek in a gzip stream is to unzip again from its start
        if self._stream is None:
            self._stream = opened(self.path, gzipped=True)
        return self._stream

    def __getstate__(self) -> dict[str, object]:
        return self.__dict__ | {"_stream": None}


@dataclass(frozen=True)
class TiledFrames:
    """Frames of a tile-compressed file; only the tiles asked for are decompressed."""

    path: Path
    shape: tuple[int, int, int]

    def read(self, start: int, stop: int) -> Pixels:
        """Frames ``start <= n < stop``; see `tomoe_explore.data.FrameSource`."""
        from astropy.io import fits

        _check_range(self.path, start, stop, self.shape[0])
        try:
            with fits.open(self.path, do_not_scale_image_data=True) as hdus:
                block = hdus[1].section[start:stop]
        except (OSError, ValueError, RuntimeError) as error:
            raise FilmError(f"{self.path}: frames {start} to {stop - 1} cannot be decompressed: {error}") from None
        if block.dtype.kind == "i":
            return np.ascontiguousarray(block, ">i2").view(np.int16)
        return np.ascontiguousarray(block, np.float32)


def _check_range(path: Path, start: int, stop: int, n_frames: int) -> None:
    if not 0 <= start < stop <= n_frames:
        raise ParameterError(f"{path} has frames 0 to {n_frames - 1}, asked for {start} <= n < {stop}")


def _fill(stream: io.RawIOBase, buffer: memoryview) -> int:
    """Read until the buffer is full or the file ends; the number of bytes read."""
    got = 0
    while got < len(buffer) and (n := stream.readinto(buffer[got:])):
        got += n
    return got
