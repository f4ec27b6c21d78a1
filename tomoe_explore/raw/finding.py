"""Which files are films? Told by their names alone."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from tomoe_explore.errors import FilmError, NotFoundError
from tomoe_explore.raw.layout import StrPath

#: How the names of films end.
FILM_ENDINGS = (".fits", ".fits.fz", ".fits.gz")

_TEMPORARY = (".tmp.", ".temp.", ".part.", ".partial.")


def is_film_name(name: str) -> bool:
    """Whether a file is called as a film is; hidden and temporary names are not.

    Examples
    --------
    >>> [is_film_name(n) for n in ("r1.fits", "r1.fits.fz", ".r1.fits.Xy3", ".r1.fits", "r1.fits.part", "r1.tmp.fits")]
    [True, True, False, False, False, False]
    """
    return name.endswith(FILM_ENDINGS) and name[0] not in ".~" and not any(word in name for word in _TEMPORARY)


def find_films(paths: StrPath | Iterable[StrPath], *, without: StrPath | None = None) -> list[Path]:
    """The FITS files (``.fits``, ``.fits.fz``, ``.fits.gz``) among files and below directories, sorted by name.

    Parameters
    ----------
    paths : path or iterable of paths
        A file is taken whatever its name; a directory is searched with all that is below it, but for what is hidden,
        and for files that are called as those are that are being written.
    without : path, optional
        A directory that is passed over: an archive holds FITS files too.

    Returns
    -------
    list of pathlib.Path
        Empty if the directories hold no film.

    Raises
    ------
    NotFoundError
        If a path does not exist.
    FilmError
        If a directory cannot be read.

    Examples
    --------
    >>> find_films([])
    []
    """
    given = [paths] if isinstance(paths, (str, os.PathLike)) else paths
    shut = None if without is None else os.path.realpath(without)
    found: set[Path] = set()
    for path in map(Path, given):
        if path.is_dir():
            found.update(_below(path, shut))
        elif path.exists():
            found.add(path)
        else:
            raise NotFoundError(f"no such file or directory: {path}")
    return sorted(found, key=lambda p: (p.name, str(p)))


def _below(top: Path, shut: str | None) -> Iterator[Path]:
    for place, folders, names in os.walk(top, onerror=_unreadable):
        if os.path.realpath(place) == shut:
            folders.clear()
            continue
        folders[:] = [name for name in folders if name[0] != "."]
        yield from (Path(place, name) for name in names if is_film_name(name))


def _unreadable(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):  # one that was deleted meanwhile
        raise FilmError(f"{error.filename} cannot be read: {error.strerror}")
