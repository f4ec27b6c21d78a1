"""Files come into the archive whole or not at all: staged, synced, renamed."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tomoe_explore import raw
from tomoe_explore.archive.layout import Layout, ProductPlace
from tomoe_explore.errors import ArchiveError

_ADVICE = {
    errno.EROFS: "the archive is on a read-only file system",
    errno.EACCES: "this user may not write there",
    errno.EPERM: "this user may not write there",
    errno.ENOSPC: "no space is left there",
    errno.EDQUOT: "the disk quota is used up",
}


@dataclass(frozen=True)
class StagedFile:
    """A file under way: where it will lie (relative to the archive), its checksum and size."""

    path: Path
    checksum: str
    bytes: int


class Staging:
    """Files on their way into the archive; see `staging_of`."""

    def __init__(self, layout: Layout, name: int | str) -> None:
        self._layout = layout
        self._directory = layout.staging(name)
        self._places: list[tuple[Path, Path]] = []

    def write(self, path: Path, writer: Callable[[Path], None]) -> StagedFile:
        """Let ``writer`` write what shall become ``path``, and put it on the disk for good."""
        target = self._directory / path.name
        writer(target)
        self.take(target, path)
        return StagedFile(path, raw.checksum(target), target.stat().st_size)

    def take(self, source: Path, path: Path) -> None:
        """Put a file that lies on this disk already on it for good; it shall become ``path``."""
        sync(source)
        self._places.append((source, self._layout.root / path))

    def publish(self) -> None:
        """Rename all files into place. They stay unseen until the registry names them."""
        directories = sorted({target.parent for _, target in self._places})
        for directory in directories:
            make_directory(directory)
        for source, target in self._places:
            os.replace(source, target)
        for directory in directories:
            sync(directory)


@contextmanager
def staging_of(layout: Layout, name: int | str) -> Iterator[Staging]:
    """A fresh staging directory, gone at the end whatever happens (but for a killed process).

    Raises
    ------
    ArchiveError
        If the archive cannot be written.
    """
    directory = layout.staging(name)
    with clear_errors(layout.root):
        try:
            shutil.rmtree(directory, ignore_errors=True)
            directory.mkdir(parents=True)  # not synced: what stays here after a crash is rubbish
            yield Staging(layout, name)
        finally:
            shutil.rmtree(directory, ignore_errors=True)


def discard_staged(layout: Layout, place: ProductPlace) -> None:
    """Remove the staged files of a reduction."""
    shutil.rmtree(layout.staging(place.reduction_id), ignore_errors=True)


def discard(layout: Layout, place: ProductPlace) -> None:
    """Remove all that an unregistered reduction left: staged or renamed."""
    discard_staged(layout, place)
    remove([layout.root / layout.stack(place), layout.root / layout.collection(place)])


def remove(paths: Iterable[Path]) -> None:
    """Remove files that may be there."""
    for path in paths:
        with suppress(FileNotFoundError, NotADirectoryError):
            path.unlink()


def sync(path: Path) -> None:
    """Wait until a file or directory is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_directory(path: Path) -> None:
    """Make a directory and its parents, each entered for good in the one above it."""
    if path.is_dir():
        return
    make_directory(path.parent)
    path.mkdir(exist_ok=True)
    sync(path.parent)


@contextmanager
def clear_errors(root: Path) -> Iterator[None]:
    """Turn an operating system's error into an `ArchiveError` that says what to do."""
    try:
        yield
    except OSError as error:
        reason = _ADVICE.get(error.errno or 0, "the file system refused")
        raise ArchiveError(f"archive {root} cannot be written: {reason} ({error})") from error
