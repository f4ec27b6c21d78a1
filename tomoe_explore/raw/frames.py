"""The pixels of a film: frames read block by block from plain, gzipped and tile-compressed files."""

from __future__ import annotations

import gzip
import io
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from tomoe_explore import memory
from tomoe_explore.data import Floats, FrameSource
from tomoe_explore.errors import FilmError, ParameterError, TruncatedFilmError
from tomoe_explore.raw.layout import Layout, opened

Pixels = NDArray[np.int16] | Floats
_DTYPES: dict[int, np.dtype[Any]] = {16: np.dtype(">i2"), -32: np.dtype(">f4")}

WHOLE_FRAMES = 20  #: films of at most so many frames are read whole
_CHUNK = 1 << 20  # bytes read at once: what the second-level cache holds

#: The block that was read last, of whichever film: steps read the same frames one after another. One block in all, so
#: that a list of films holds no memory.
_NOTHING: tuple[object, int, Any] = (None, 0, ())
_last: list[tuple[object, int, Any]] = [_NOTHING]


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

    @property
    def _frame_bytes(self) -> int:
        return self.shape[1] * self.shape[2] * self.dtype.itemsize

    def read(self, start: int, stop: int) -> Pixels:
        """Frames ``start <= n < stop``; see `tomoe_explore.data.FrameSource`.

        Frames of the block that was read last are not read again.
        """
        _check_range(self.path, start, stop, self.shape[0])
        owner, first, block = _last[0]
        if owner is self and first <= start and stop <= first + len(block):
            return block[start - first : stop - first]
        _last[0] = _NOTHING
        del block  # its memory is free for what is read now
        block = self._decoded(self._bytes(start, stop), stop - start)
        _last[0] = self, start, block
        return block

    def load(self, digest: Any) -> bool:
        """Read a plain film whole, for `read` to find, and feed its file's bytes to a digest; False if it is too long.

        What is read is summed while it is in the cache.
        """
        if self.gzipped or self.shape[0] > WHOLE_FRAMES:
            return False
        size = self.path.stat().st_size
        _last[0] = _NOTHING
        buffer = memory.empty(size, np.uint8)
        view, got = memoryview(buffer.data), 0
        with opened(self.path) as stream:
            while got < size and (n := stream.readinto(view[got : got + _CHUNK])):
                digest.update(view[got : got + n])
                got += n
        end = self.offset + self.shape[0] * self._frame_bytes
        if got < end:
            raise TruncatedFilmError(f"{self.path} is truncated: expected {end} bytes, got {got}")
        _last[0] = self, 0, self._decoded(buffer[self.offset : end], self.shape[0])
        return True

    def _bytes(self, start: int, stop: int) -> NDArray[np.uint8]:
        frame_bytes = self._frame_bytes
        n_bytes = (stop - start) * frame_bytes
        buffer = memory.empty(n_bytes, np.uint8)
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
        return buffer

    def _decoded(self, buffer: NDArray[np.uint8], n_frames: int) -> Pixels:
        block = buffer.view(self.dtype).reshape(n_frames, *self.shape[1:])
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
