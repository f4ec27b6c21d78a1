"""Which movers of an archive are known objects: compared with a file of orbits, at any time after the reduction."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from tomoe_explore import raw
from tomoe_explore.archive import Archive, open_archive
from tomoe_explore.archive.known_objects import KNOWN, NOT_KNOWN, read_known, write_known
from tomoe_explore.errors import OrbitsError
from tomoe_explore.operations.stars import StrPath
from tomoe_explore.orbits.identify import Finder, Known, Mover
from tomoe_explore.orbits.mpcorb import read_orbits

_ASKED = ("mover_id", "exposure_id", "detector_id", "mjd", "ra", "dec", "ra_err", "dec_err", "rate", "rate_err",
          "position_angle")  # fmt: skip
_SHOWN = 20

#: So many movers are noted at once: what is noted stays if the rest is interrupted.
_BATCH = 2_000


@dataclass(frozen=True, repr=False)
class KnownMovers:
    """What came of a comparison of movers with known objects.

    Attributes
    ----------
    orbits : int
        Objects that the file has.
    checked : int
        Movers that were compared now.
    before : int
        Movers that had been compared with the same file.
    known : tuple of (int, str, float)
        Of those compared now: ``mover_id``, the object's designation, and how far it was from its place, arcsec.
    damaged : tuple of str
        Lines of the file that cannot be used: their number and why.
    """

    orbits: int
    checked: int
    before: int
    known: tuple[tuple[int, str, float], ...]
    damaged: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON can hold them."""
        known = [dict(zip(("mover_id", "known_as", "separation"), row, strict=True)) for row in self.known]
        return {**asdict(self), "known": known, "not_known": self.checked - len(self.known)}

    def __repr__(self) -> str:
        before = f"; {self.before} had been compared before" if self.before else ""
        n = len(self.known)
        counts = f"{n} {KNOWN}, {self.checked - n} {NOT_KNOWN}{before}"
        lines = [f"{self.checked} movers compared with {self.orbits} orbits: {counts}"]
        lines += [f"  {mover_id}  {name}, {gap:.1f} arcsec away" for mover_id, name, gap in self.known[:_SHOWN]]
        return "\n".join([*lines, *([f"  and {n - _SHOWN} more; see .known"] if n > _SHOWN else [])])


def find_known(
    archive: Archive | StrPath | None, mpcorb: StrPath, *, night: str | None = None,
    exposure_id: int | Sequence[int] | None = None, force: bool = False,
) -> KnownMovers:  # fmt: skip
    """Compare the current movers of an archive with known objects; ``known_as`` and ``known`` of `movers` then say it.

    No film is reduced again: this may be done any time, and again with newer orbits.

    Parameters
    ----------
    archive : Archive or path, optional
        See `open_archive` for the default.
    mpcorb : path
        Orbits in the format of ``MPCORB.DAT``, plain or ``.gz``. Those of an epoch near the night serve best.
    night : str, optional
        Only this night, or range of nights.
    exposure_id : int or several, optional
        Only these exposures.
    force : bool
        Whether movers that were compared with this very file are compared again.

    Returns
    -------
    KnownMovers

    Raises
    ------
    OrbitsError
        If the orbits cannot be read.
    ArchiveError
        If there is no archive, or it cannot be written.

    Warns
    -----
    UserWarning
        If lines of the file are damaged: the first are named, the others are used.

    Notes
    -----
    Nothing is downloaded. Places are those seen from Kiso, with light time, in the gravity of the Sun, the planets and
    the Moon; an integration with DE440 has the same within 0.01 arcsec in the main belt, 0.2 at 0.02 au, 1 at 0.005.
    `tomoe_explore.orbits.identify.Finder` says what counts as the same.

    Examples
    --------
    >>> import tempfile
    >>> archive = Archive.create(tempfile.mkdtemp() + "/archive")
    >>> find_known(archive, "no/MPCORB.DAT", night="2020-08-14")
    Traceback (most recent call last):
    ...
    tomoe_explore.errors.OrbitsError: no orbits (MPCORB format) at ...
    """
    archive = archive if isinstance(archive, Archive) else open_archive(archive)
    finder, orbits = load_finder(mpcorb)
    table = archive.table("movers", night=night, exposure_id=exposure_id, columns=_ASKED, limit=None)
    rows = table.to_pylist()
    noted = {} if force else read_known(archive.registry, sorted({row["exposure_id"] for row in rows}))
    left = [row for row in rows if noted.get(row["mover_id"], ("", ""))[1] != orbits]
    known: list[tuple[int, str, float]] = []
    waiting: list[dict[str, Any]] = []
    films = _films(left)
    for n, film in enumerate(films, 1):
        for row, found in zip(film, finder.identify([_mover(row) for row in film]), strict=True):
            waiting.append(_noted(row, found))
            if found is not None:
                known.append((row["mover_id"], found.name, found.separation))
        if len(waiting) >= _BATCH or (waiting and n == len(films)):
            write_known(archive.registry, waiting, orbits)
            waiting = []
    n_before = len(rows) - len(left)
    return KnownMovers(len(finder.orbits), len(left), n_before, tuple(known), finder.orbits.damaged)


def load_finder(mpcorb: StrPath) -> tuple[Finder, str]:
    """Known objects of a file, read once a process while it does not change; and what the file is called in records.

    Raises
    ------
    OrbitsError
        If it cannot be read.
    """
    path = Path(os.path.abspath(mpcorb))
    if not path.is_file():
        raise OrbitsError(f"no orbits (MPCORB format) at {path}")
    stat = path.stat()
    return _load(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=1)
def _load(path: Path, _mtime_ns: int, _size: int) -> tuple[Finder, str]:
    orbits = read_orbits(path)
    if orbits.damaged:
        n = len(orbits.damaged)
        more = f"; and {n - 3} more" if n > 3 else ""
        warnings.warn(
            f"{path}: {n} of {len(orbits) + n} lines cannot be used: line {'; line '.join(orbits.damaged[:3])}{more}",
            stacklevel=4,
        )
    return Finder(orbits), f"{path.name} {raw.checksum(path)}"


def _films(rows: Iterable[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """In order of time: films near in time share what is known of the objects' places."""
    films: dict[tuple[int, int], list[dict[str, Any]]] = {}
    for row in sorted(rows, key=lambda row: (row["exposure_id"], row["detector_id"])):
        films.setdefault((row["exposure_id"], row["detector_id"]), []).append(row)
    return list(films.values())


def _mover(row: dict[str, Any]) -> Mover:
    rate = row["rate"] if row["rate"] is not None else np.nan
    errors = [value if np.isfinite(value) else 1.0 for value in (row["ra_err"], row["dec_err"])]
    rate_err = row["rate_err"] if np.isfinite(row["rate_err"]) else 0.05 * rate
    return Mover(row["mjd"], row["ra"], row["dec"], rate, row["position_angle"], max(errors), rate_err)


def _noted(row: dict[str, Any], found: Known | None) -> dict[str, Any]:
    return {
        "mover_id": row["mover_id"], "exposure_id": row["exposure_id"],
        "known_as": found.name if found else "", "separation": found.separation if found else None,
    }  # fmt: skip
