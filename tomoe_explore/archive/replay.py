"""A reduction run again from its record, beside the archive, and compared with what is stored."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from tomoe_explore import raw, schema
from tomoe_explore.archive import registry as tables
from tomoe_explore.archive.compare import Difference, compare_files, compare_tables
from tomoe_explore.archive.layout import PART_TABLES
from tomoe_explore.archive.rows import rows_of
from tomoe_explore.archive.stage import of_stack
from tomoe_explore.data import Masters, Provenance, Reduction
from tomoe_explore.environment import code, environment
from tomoe_explore.errors import ArchiveError, NotFoundError, TomoeError

if TYPE_CHECKING:
    from tomoe_explore.archive.archive import Archive, StrPath
    from tomoe_explore.data import Film, Master, Refcat
    from tomoe_explore.reduction.recipe import Parameters


@dataclass(frozen=True, repr=False)
class Replay:
    """What came of running a reduction again.

    Attributes
    ----------
    reduction_id : int
    gone : tuple of str
        Inputs that cannot be had any more; with one of them missing nothing was run.
    differences : tuple of Difference
        What came out otherwise than it is stored.
    changed : tuple of str
        Code and libraries that are others now than recorded. They explain a difference, they are none.
    compared : mapping
        Values compared, by table, ``stack``, ``mover`` (the collection), or ``record``: what the registry says of the
        stack.

    Examples
    --------
    >>> Replay(357754112001, gone=("film r.fits: deleted",))
    reduction 357754112001: cannot be run again
      gone: film r.fits: deleted
    """

    reduction_id: int
    gone: tuple[str, ...] = ()
    differences: tuple[Difference, ...] = ()
    changed: tuple[str, ...] = ()
    compared: Mapping[str, int] | None = None

    @property
    def identical(self) -> bool:
        """Whether it ran, and every value of every table and record and every pixel came out as stored."""
        return not self.gone and not self.differences and bool(self.compared)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON can hold them."""
        return {
            "reduction_id": self.reduction_id, "identical": self.identical, "gone": list(self.gone),
            "differences": [d.to_dict() for d in self.differences], "changed": list(self.changed),
            "compared": dict(self.compared or {}),
        }  # fmt: skip

    def __repr__(self) -> str:
        compared = ", ".join(f"{n:,} values of {name}" for name, n in (self.compared or {}).items())
        word = "cannot be run again" if self.gone else f"identical ({compared})" if self.identical else "differs"
        lines = [f"reduction {self.reduction_id}: {word}"]
        lines += [f"  gone: {text}" for text in self.gone]
        lines += [f"  differs: {difference}" for difference in self.differences]
        return "\n".join([*lines, *(f"  other now: {text}" for text in self.changed)])


def replay(
    archive: Archive, reduction_id: int, *, films: StrPath | Iterable[StrPath] = (), refcat: StrPath | None = None
) -> Replay:
    """Run a reduction again and compare; see `Archive.replay`."""
    run = _record(archive, reduction_id)
    parameters, changed = _parameters(json.loads(run["parameters"]))
    changed += _code_now(run)
    gone: list[str] = []
    film = _kept(gone, _film, archive, run["film_checksum"], films)
    dark, flat = (_kept(gone, _master, archive, run[f"{kind}_id"]) if run[f"{kind}_id"] else None
                  for kind in ("dark", "flat"))  # fmt: skip
    stars = _kept(gone, _refcat, archive, run, refcat)
    if film is None or stars is None or gone:
        return Replay(reduction_id, tuple(gone), changed=tuple(changed))
    from tomoe_explore.reduction.recipe import reduce_film

    try:
        again = reduce_film(film, Masters(dark, flat), stars, parameters=parameters, reduction_id=reduction_id)
    except TomoeError as error:
        failed = Difference("recipe", text=f"fails now, where it succeeded: {error.kind}: {error}")
        return Replay(reduction_id, differences=(failed,), changed=tuple(changed))
    differences, compared = _compare(archive, run, again)
    return Replay(reduction_id, differences=tuple(differences), changed=tuple(changed), compared=compared)


class _Gone(Exception):
    """An input that cannot be had any more."""


def _kept(gone: list[str], find: Any, *arguments: Any) -> Any:
    """What ``find`` finds; where it is gone, None and why, so that all that is gone is named at once."""
    try:
        return find(*arguments)
    except _Gone as reason:
        gone.append(str(reason))
        return None


def _record(archive: Archive, reduction_id: int) -> sa.RowMapping:
    c, settings = tables.reductions.c, tables.settings
    said = [column for column in settings.c if column.name != "checksum"]
    query = sa.select(tables.reductions, *said)
    query = query.outerjoin(settings, settings.c.checksum == c.settings)
    found = archive.registry.rows(query.where(c.reduction_id == int(reduction_id)))
    if not found:
        raise NotFoundError(f"no reduction {reduction_id}; archive.table('reductions') lists them")
    if found[0]["status"] != "done":
        raise ArchiveError(f"reduction {reduction_id} is {found[0]['status']}: only what was finished can be compared")
    return found[0]


# --- what went in -----------------------------------------------------------------------------------
def _film(archive: Archive, checksum: str, places: StrPath | Iterable[StrPath]) -> Film:
    """The film with a checksum: where it was seen last, else among the files of some places."""
    known = tables.films
    row = archive.registry.rows(sa.select(known).where(known.c.film_checksum == checksum))[0]
    seen = [Path(row["path"])] if row["path"] else []
    # a size is known without reading; only what could be the film is summed
    others = [
        path
        for path in raw.find_films(places, without=archive.root)
        if path not in seen and path.stat().st_size == row["size"]
    ]
    reason = "another film lies where it was" if not seen else f"{seen[0]} is deleted"
    for path in seen + others:
        if not path.is_file():
            continue
        try:
            film = raw.open_film(path)
        except TomoeError as error:
            reason = str(error)
            continue
        if film.checksum == checksum:
            return film
        reason = f"{path} holds another film now ({film.checksum})"
    raise _Gone(f"raw film {checksum} (exposure {row['exposure_id']}, detector {row['detector_id']}): {reason}")


def _master(archive: Archive, master_id: str) -> Master:
    from tomoe_explore.archive.master_file import read_master

    c = tables.masters.c
    found = archive.registry.rows(sa.select(c.path, c.checksum).where(c.master_id == master_id))
    if not found:
        raise _Gone(f"master {master_id}: no longer in the archive")
    path = archive.root / found[0]["path"]
    if not path.is_file():
        raise _Gone(f"master {master_id}: {path} is missing")
    if raw.checksum(path) != found[0]["checksum"]:
        raise _Gone(f"master {master_id}: {path} has another checksum than when it was written")
    return read_master(path)


def _refcat(archive: Archive, run: sa.RowMapping, given: StrPath | None) -> Refcat:
    from tomoe_explore.refcat import read_refcat

    name, checksum = run["refcat"], run["refcat_checksum"]
    c = tables.refcats.c
    known = archive.registry.rows(sa.select(c.path).where(c.checksum == checksum))
    path = Path(given) if given is not None else Path(known[0]["path"]) if known else None
    if path is None:
        raise _Gone(f"reference catalog {name!r} ({checksum}): the archive does not know where it lies")
    if not path.is_file():
        raise _Gone(f"reference catalog {name!r} ({checksum}): {path} is deleted")
    now = raw.checksum(path)
    if now != checksum:
        raise _Gone(f"reference catalog {name!r} ({checksum}): {path} holds another one now ({now})")
    return read_refcat(path)


def _parameters(recorded: Mapping[str, Any]) -> tuple[Parameters, list[str]]:
    """The recorded parameters, and which of them this code knows no more, or knows besides."""
    from tomoe_explore.reduction.recipe import Parameters

    names = {field.name for field in fields(Parameters)}
    changed = [f"parameter {name}: not known to this code" for name in sorted(set(recorded) - names)]
    changed += [f"parameter {name}: not recorded, the default is used" for name in sorted(names - set(recorded))]
    return Parameters.of({name: value for name, value in recorded.items() if name in names}), changed


def _code_now(run: sa.RowMapping) -> list[str]:
    """Code and libraries that are not those of the record."""
    changed = []
    if run["code_version"] != code().version:
        changed.append(f"code {run['code_version'] or 'unknown'}: now {code().version}")
    dirty = [word for word, flag in (("then", run["code_dirty"]), ("now", code().dirty)) if flag]
    if dirty:
        changed.append(f"code with uncommitted changes {' and '.join(dirty)}: its version does not say all")
    recorded, now = json.loads(run["environment"]), environment()
    for name in sorted(set(recorded) | set(now)):
        if recorded.get(name) != now.get(name):
            changed.append(f"{name} {recorded.get(name, 'not recorded')}: now {now.get(name, 'absent')}")
    return changed


# --- what came out ----------------------------------------------------------------------------------
def _compare(archive: Archive, run: sa.RowMapping, again: Reduction) -> tuple[list[Difference], dict[str, int]]:
    differences: list[Difference] = []
    compared: dict[str, int] = {}
    for name in PART_TABLES:
        try:
            stored = rows_of(archive.registry, archive.root, name, run)
        except ArchiveError as error:
            differences.append(Difference(name, text=str(error)))
            continue
        if stored.num_rows != run[f"n_{name}"]:
            text = f"{run[f'n_{name}']:,} rows were written, {stored.num_rows:,} are stored"
            differences.append(Difference(name, text=text))
        found, n_values = compare_tables(name, stored, again.tables.get(name, schema.empty(name)))
        differences += found
        compared |= {name: n_values} if n_values else {}
    for name, found, n_values in _compare_files(archive, run, again):
        differences += found
        compared |= {name: n_values} if n_values else {}
    record = of_stack(again)
    differences += [_in_record(name, run[name], value) for name, value in record.items() if run[name] != value]
    return differences, compared | {"record": len(record)}


def _compare_files(
    archive: Archive, run: sa.RowMapping, again: Reduction
) -> Iterator[tuple[str, list[Difference], int]]:
    """Stack and collection of movers: what is stored is quantised, so the new ones must go through the same files."""
    from tomoe_explore.archive.collection_file import write_collection
    from tomoe_explore.archive.stack_file import write_stack

    provenance, stored = _provenance(run), run["collection_path"]
    with tempfile.TemporaryDirectory(prefix="tomoe-replay-") as directory:
        file = Path(directory, "again.fits")
        write_stack(again, provenance, file)
        yield "stack", *compare_files("stack", archive.root / run["path"], file)
        if again.cutouts and stored:
            write_collection(again, provenance, file)
            yield "mover", *compare_files("mover", archive.root / stored, file)
        elif again.cutouts or stored:
            text = f"{len(again.cutouts)} cutout films now, a file of them is {'stored' if stored else 'not stored'}"
            yield "mover", [Difference("mover", text=text)], 0


def _in_record(name: str, stored: Any, now: Any) -> Difference:
    gap = abs(stored - now) if isinstance(stored, float) and isinstance(now, float) else None
    return Difference("record", name, 1, 1, gap, "" if gap is not None else f"{stored!r} stored, {now!r} now")


def _provenance(run: sa.RowMapping) -> Provenance:
    names = [field.name for field in fields(Provenance) if field.name not in ("film_path", "parameters", "environment")]
    values = {name: run[name] for name in names} | {"code_dirty": bool(run["code_dirty"])}
    return Provenance(film_path="", parameters=json.loads(run["parameters"]),
                      environment=json.loads(run["environment"]), **values)  # fmt: skip
