"""What would a reduction do? Told from headers and the registry; nothing is written, no pixel is read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from tomoe_explore.archive import Archive
from tomoe_explore.operations.finding import find
from tomoe_explore.operations.run import Outcome
from tomoe_explore.operations.stars import StrPath

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
    found = find(paths, archive, force=force, progress=progress)  # to look for copies would read all their bytes
    to_do = Counter((e.night, _ORDER.index(e.kind)) for _, e in found.to_do)
    done = Counter((film.night, _ORDER.index(film.kind)) for film in found.finished.values())
    films = tuple(Films(key[0], _ORDER[key[1]], to_do[key], done[key]) for key in sorted({*to_do, *done}))
    return Plan(films, tuple(found.unreadable))
