"""What would a reduction do? Told from headers and the registry; nothing is written, no pixel is read."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tomoe_explore.archive import Archive
from tomoe_explore.operations.reduce import read_headers
from tomoe_explore.operations.run import Outcome

StrPath = str | os.PathLike[str]

_ORDER = ("dark", "flat", "object")


@dataclass(frozen=True)
class Films:
    """Films of one kind and night: how many a reduction would work on, and how many it would skip."""

    night: str
    kind: str
    to_do: int
    done: int


@dataclass(frozen=True)
class Plan:
    """What a reduction would do.

    Attributes
    ----------
    films : tuple of Films
        In the order of nights, darks before flats before films of the sky.
    unreadable : tuple of Outcome
        Films that would fail, since their header cannot be read.
    """

    films: tuple[Films, ...]
    unreadable: tuple[Outcome, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON can hold them."""
        return {
            "to_do": sum(films.to_do for films in self.films), "done": sum(films.done for films in self.films),
            "films": [asdict(films) for films in self.films],
            "unreadable": [asdict(outcome) for outcome in self.unreadable],
        }  # fmt: skip


def plan(paths: StrPath | Iterable[StrPath], archive: Archive, *, force: bool = False, progress: bool = False) -> Plan:
    """What `reduce` would do with some films.

    Parameters
    ----------
    paths : path or iterable of paths
        Films, or directories of films.
    archive : Archive
    force : bool
        Whether films of the sky that are done would be reduced again.
    progress : bool
        Whether to show a progress bar.

    Raises
    ------
    NotFoundError
        If there is no film.

    Examples
    --------
    >>> import tempfile
    >>> plan(tempfile.mkdtemp(), Archive.create(tempfile.mkdtemp() + "/archive"))
    Traceback (most recent call last):
    ...
    tomoe_explore.errors.NotFoundError: no films (*.fits, *.fits.fz, *.fits.gz) in ...
    """
    headers, unreadable = read_headers(paths, archive, progress=progress)
    counts = Counter((e.night, _ORDER.index(e.kind), _is_done(archive, path, e.kind, force)) for path, e in headers)
    films = tuple(
        Films(night, _ORDER[kind], counts[night, kind, False], counts[night, kind, True])
        for night, kind in sorted({key[:2] for key in counts})
    )
    return Plan(films, tuple(unreadable))


def _is_done(archive: Archive, path: Path, kind: str, force: bool) -> bool:
    if archive.checksum_of(path) is None:  # it has never been seen here; to look for a copy would read all its bytes
        return False
    if kind != "object":
        return archive.master_of(path) is not None
    return not force and archive.reduction_of(path) is not None
