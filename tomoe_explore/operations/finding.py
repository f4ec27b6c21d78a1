"""Which films are there? What the archive has, by its records alone; of the others what their headers say."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tomoe_explore import raw
from tomoe_explore.archive import Archive
from tomoe_explore.archive.known import Finished
from tomoe_explore.data import Exposure
from tomoe_explore.errors import NotFoundError
from tomoe_explore.operations.run import Outcome, failure
from tomoe_explore.operations.stars import StrPath

Header = tuple[Path, Exposure]


@dataclass(frozen=True)
class Found:
    """Films that were found.

    Attributes
    ----------
    to_do : list of (Path, Exposure)
        Exposure by exposure.
    finished : dict of Path to Finished
        Films that the archive has; their headers are not read.
    unreadable : list of Outcome
        Films that fail, since their header cannot be read.
    """

    to_do: list[Header]
    finished: dict[Path, Finished]
    unreadable: list[Outcome]

    @property
    def nights(self) -> set[str]:
        """Those with films of the sky."""
        ready = {film.night for film in self.finished.values() if film.kind == "object"}
        return ready | {exposure.night for _, exposure in self.to_do if exposure.kind == "object"}


def find(paths: StrPath | Iterable[StrPath], archive: Archive, *, force: bool = False, progress: bool = False) -> Found:
    """Find films. All paths are absolute: an executor may work elsewhere.

    Parameters
    ----------
    paths : path or iterable of paths
        Films, or directories of films. What lies in the archive's own directory is no film.
    archive : Archive
    force : bool
        Whether films of the sky that the archive has are to be done all the same.
    progress : bool
        Whether to show a progress bar.

    Raises
    ------
    NotFoundError
        If there is no film.
    """
    paths = [paths] if isinstance(paths, (str, os.PathLike)) else list(paths)
    found = raw.find_films(map(os.path.abspath, paths), without=archive.root)
    if not found:
        raise NotFoundError(f"no films (*.fits, *.fits.fz, *.fits.gz) in {listed(paths)}")
    finished = _finished(found, archive, force=force)
    headers: list[Header] = []
    unreadable: list[Outcome] = []
    from tqdm.auto import tqdm

    left = [path for path in found if path not in finished]
    for path in tqdm(left, desc="headers", unit="film", leave=False, disable=not progress):
        try:
            headers.append((path, raw.read_exposure(path)))
        except Exception as error:
            unreadable.append(failure(Outcome(str(path), "failed"), error))
    headers.sort(key=lambda header: (header[1].night, header[1].exposure_id, header[1].detector_id))
    return Found(headers, finished, unreadable)


def _finished(films: Iterable[Path], archive: Archive, *, force: bool) -> dict[Path, Finished]:
    files = []
    for path in films:
        with suppress(OSError):  # told when its header is read
            stat = path.stat()
            files.append((str(path), stat.st_size, stat.st_mtime_ns))
    finished = {Path(path): film for path, film in archive.finished(files).items()}
    return {path: film for path, film in finished.items() if not (force and film.kind == "object")}


def listed(paths: StrPath | Iterable[StrPath]) -> str:
    """For people."""
    return ", ".join(map(str, [paths] if isinstance(paths, (str, os.PathLike)) else paths)) or "nothing"
