"""An exposure becomes visible: its films' tables merged to one file each, synced, renamed, registered in one go.

Readers see the parts and reductions that the registry names as current, and its last transaction here changes them all
at once. What comes before may be cut off at any point: it leaves files that nobody sees, and records that say
``running`` by a process that is gone, whose films are done again.

Two processes may publish films of one exposure at the same time. Each writes files of its own generation from the parts
that it found current; the second one to finish finds them replaced, and merges again.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import sqlalchemy as sa

from tomoe_explore import schema
from tomoe_explore.archive import registry as tables
from tomoe_explore.archive import sky
from tomoe_explore.archive.layout import PART_TABLES, Layout, exposure_part_id
from tomoe_explore.archive.manifest import write_manifests
from tomoe_explore.archive.owner import this_process
from tomoe_explore.archive.registry import Registry
from tomoe_explore.archive.reserve import hold, is_under_way, now, release
from tomoe_explore.archive.row_groups import Selection, read_rows
from tomoe_explore.archive.stage import COLLECTION_FILE, ROWS_FILE, STACK_FILE, Staged
from tomoe_explore.archive.staging import Staging, discard, discard_staged, remove, staging_of
from tomoe_explore.archive.swap import Swap, exchange
from tomoe_explore.archive.table_file import read_staged, write_part
from tomoe_explore.archive.taking_out import take_out
from tomoe_explore.errors import ArchiveError

if TYPE_CHECKING:
    import pyarrow as pa

#: So often is an exposure merged anew because another process was faster.
ATTEMPTS = 20

Row = dict[str, Any]

_r, _p = tables.reductions.c, tables.parts.c
_CURRENT_PARTS = sa.select(tables.parts).where(_p.exposure_id == sa.bindparam("of"), _p.replaced.is_(None))
_CURRENT_REDUCTIONS = sa.select(tables.reductions).where(_r.exposure_id == sa.bindparam("of"), tables.CURRENT)
_RUNNING = sa.select(_r.reduction_id, _r.started).where(
    _r.reduction_id.in_(sa.bindparam("these", expanding=True)), _r.status == "running"
)
_SET_OWNER = sa.update(tables.reductions).where(_r.reduction_id.in_(sa.bindparam("these", expanding=True)))
_FINISH = sa.update(tables.reductions).where(_r.reduction_id == sa.bindparam("this"))
# one current reduction a detector and exposure, whichever file it came from: a compressed copy doubles nothing
_SUPERSEDE = sa.update(tables.reductions).where(
    _r.exposure_id == sa.bindparam("of"), _r.detector_id == sa.bindparam("detector"),
    _r.reduction_id != sa.bindparam("this"), tables.CURRENT,
)  # fmt: skip
_MOVE = sa.update(tables.reductions).where(_r.reduction_id.in_(sa.bindparam("these", expanding=True)))
_NEXT = sa.update(tables.exposures).where(tables.exposures.c.exposure_id == sa.bindparam("of"))
_GENERATION = sa.select(tables.exposures.c.generation).where(tables.exposures.c.exposure_id == sa.bindparam("of"))
_UNDER_WAY = sa.select(tables.reductions).where(_r.exposure_id == sa.bindparam("of"), _r.status == "running")
_PUBLISHED = sa.select(_r.generation).where(_r.reduction_id == sa.bindparam("this"), _r.status == "done")
_PATHS = sa.select(_p.path).where(_p.exposure_id == sa.bindparam("of"))
_KNOWN_SETTINGS = sa.select(tables.settings.c.checksum).where(tables.settings.c.checksum == sa.bindparam("this"))


@dataclass(frozen=True)
class _Claim:
    """An exposure as it was found, its current parts and reductions, and the generation that shall follow."""

    night: str
    exposure_id: int
    generation: int
    staged: Sequence[Staged]  # what shall be published
    parts: Sequence[sa.RowMapping]
    carried: Sequence[Row]  # the reductions that stay, of those in the parts
    merged: Sequence[Row]  # the reductions whose place is taken, of those in merged files

    @property
    def aside(self) -> int:
        """The generation of what is taken out of merged files: no other claim has it."""
        return self.generation - 1

    @cached_property
    def films(self) -> list[tuple[Row, Staged | None]]:
        """Records of the films that shall be in the parts, as their centres follow each other along HEALPix."""
        films = [(item.record, item) for item in self.staged] + [(row, None) for row in self.carried]
        ra, dec = (np.array([film[name] for film, _ in films], float) for name in ("ra", "dec"))
        known = np.isfinite(ra)
        place = np.full(len(films), -1)
        place[known] = sky.healpix_29(ra[known], dec[known]) if known.any() else -1
        return [films[k] for k in np.argsort(place, kind="stable")]


def publish(registry: Registry, layout: Layout, staged: Sequence[Staged]) -> list[Staged]:
    """Publish staged reductions of one exposure; see `Archive.publish`."""
    if len({item.place.exposure_id for item in staged}) != 1:
        raise ArchiveError("the films of one exposure are published together, and no others")
    for item in staged:
        hold(registry, item)
    published: list[Staged] = []
    try:
        for films in _one_a_detector(staged):
            published += _publish(registry, layout, films)
    except BaseException:
        _give_up(registry, layout, staged)
        raise
    finally:  # also where an error's traceback keeps them alive
        for item in staged:
            release(registry, item.place.reduction_id)
    return [item for item in staged if item not in published]


def _one_a_detector(staged: Sequence[Staged]) -> list[list[Staged]]:
    """In one go, but for copies of a film: each takes the place of the one reserved before, as if it came later."""
    turns: list[dict[int, Staged]] = []
    for item in sorted(staged, key=lambda item: item.place.reduction_id):
        detector_id = item.place.detector_id
        turn = next((turn for turn in turns if detector_id not in turn), None)
        if turn is None:
            turns.append(turn := {})
        turn[detector_id] = item
    return [list(turn.values()) for turn in turns]


def _publish(registry: Registry, layout: Layout, staged: Sequence[Staged]) -> Sequence[Staged]:
    """Publish films of different detectors; those that are this process's."""
    for _ in range(ATTEMPTS):
        claim = _claim(registry, staged)
        staged = claim.staged
        if not staged or _try(registry, layout, claim):
            break
    else:
        raise ArchiveError(f"exposure {claim.exposure_id} could not be published: others changed it all the time")
    for item in staged:
        discard_staged(layout, item.place)
    if staged:
        with suppress(ArchiveError):  # all is published; what this leaves undone the next one does, or a rerun
            if claim.generation > 1:
                _clear_killed(registry, layout, claim)
            for night in [claim.night, *([None] if claim.merged else [])]:
                write_manifests(registry, layout, night)
    return staged


def _give_up(registry: Registry, layout: Layout, staged: Sequence[Staged]) -> None:
    """Remove the files of reductions that are not registered, and not another process's by now."""
    try:
        with registry.reading() as connection:
            mine = _mine(connection, staged)
    except ArchiveError:  # nobody can tell; what is left is done again or swept up
        return
    for item in mine:
        discard(layout, item.place)


def _mine(connection: sa.Connection, staged: Sequence[Staged]) -> list[Staged]:
    """Those that no other process has taken over, or given up."""
    found = connection.execute(_RUNNING, {"these": [item.place.reduction_id for item in staged]})
    running = {row.reduction_id: row.started for row in found}
    return [item for item in staged if running.get(item.place.reduction_id) == item.started]


def _claim(registry: Registry, staged: Sequence[Staged]) -> _Claim:
    """Take the reductions for this process, and a generation; see what the exposure has."""
    place, owner = staged[0].place, this_process()
    of = {"of": place.exposure_id}
    with registry.writing() as connection:
        mine = _mine(connection, staged)
        ids, detectors = [item.place.reduction_id for item in mine], {item.place.detector_id for item in mine}
        holder = {"owner_host": owner.host, "owner_pid": owner.pid, "owner_started": owner.started}
        connection.execute(_SET_OWNER.values(**holder), {"these": ids})
        parts = connection.execute(_CURRENT_PARTS, of).mappings().all()
        current = connection.execute(_CURRENT_REDUCTIONS, of).mappings().all()
        # what is not in the exposure's own parts is in merged files, and stays there if it is not superseded
        own = {part["generation"] for part in parts}
        carried = [dict(row) for row in current if row["detector_id"] not in detectors and row["generation"] in own]
        merged = [dict(row) for row in current if row["detector_id"] in detectors and row["generation"] not in own]
        generation = int(connection.execute(_GENERATION, of).scalar_one()) + (2 if merged else 1)
        connection.execute(_NEXT, of | {"generation": generation})
    return _Claim(place.night, place.exposure_id, generation, mine, parts, carried, merged)


def _clear_killed(registry: Registry, layout: Layout, claim: _Claim) -> None:
    """Remove what killed processes left of earlier generations, unless somebody works on the exposure now."""
    with registry.reading() as connection:
        running = connection.execute(_UNDER_WAY, {"of": claim.exposure_id}).mappings().all()
        named = {layout.root / path for path in connection.execute(_PATHS, {"of": claim.exposure_id}).scalars()}
    if any(map(is_under_way, running)):
        return
    for generation in range(1, claim.generation):
        shutil.rmtree(layout.staging(_name(claim.exposure_id, generation)), ignore_errors=True)
        files = [layout.part(k, claim.night, exposure_part_id(k, claim.exposure_id, generation)) for k in PART_TABLES]
        remove({layout.root / file for file in files} - named)


def clear_staged(registry: Registry, layout: Layout) -> None:
    """Remove staged files of reductions that have ended: their process was killed before it could."""
    found = {int(path.name): path for path in layout.staging("").glob("*") if path.name.isdecimal()}
    if found:
        with registry.reading() as connection:
            running = {row.reduction_id for row in connection.execute(_RUNNING, {"these": list(found)})}
        for reduction_id in found.keys() - running:
            shutil.rmtree(found[reduction_id], ignore_errors=True)


def _name(exposure_id: int, generation: int) -> str:
    """Of the staging directory of an exposure."""
    return f"{exposure_id:08d}-g{generation:03d}"


def _try(registry: Registry, layout: Layout, claim: _Claim) -> bool:
    """Merge, put in place, register; False if the exposure was changed meanwhile, and nothing is done."""
    new: list[Row] = []
    old: list[str] = []
    done: bool | None = False
    try:
        with staging_of(layout, _name(claim.exposure_id, claim.generation)) as staging, _swap(layout, claim) as swap:
            if swap is not None:
                taken, old = take_out(registry, layout, swap, claim.merged, claim.aside)
                new += taken
                swap.place(taken)
            new += [part for kind in PART_TABLES if (part := _merge(layout, staging, kind, claim))]
            for item in claim.staged:
                for name, path in ((STACK_FILE, layout.stack), (COLLECTION_FILE, layout.collection)):
                    if (file := item.file(layout, name)).exists():  # else there is none, or an earlier try put it there
                        staging.take(file, path(item.place))
            staging.publish()
            done = None  # from here on it takes a look to know
            done = _register(registry, claim, new, old)
    except BaseException as error:
        done = _is_registered(registry, claim) if done is None else False
        if not done or not isinstance(error, ArchiveError):
            raise
    finally:
        if done is False:
            remove(layout.root / part["path"] for part in new)
    return bool(done)


def _is_registered(registry: Registry, claim: _Claim) -> bool | None:
    """Whether a transaction that ended with an error took effect all the same; None if nobody can tell."""
    this = {"this": claim.staged[0].place.reduction_id}
    try:
        with registry.reading() as connection:
            return connection.execute(_PUBLISHED, this).scalar() == claim.generation
    except ArchiveError:
        return None


@contextmanager
def _swap(layout: Layout, claim: _Claim) -> Iterator[Swap | None]:
    """For merged files that are to be written anew, if there are any."""
    if not claim.merged:
        yield None
        return
    swap = Swap.begin(layout)
    try:
        yield swap
    finally:
        swap.end()


def _merge(layout: Layout, staging: Staging, kind: str, claim: _Claim) -> Row | None:
    """The file with an exposure's rows of a table, its films along HEALPix; None if there are no rows."""
    counted = f"n_{kind}"
    sources = [(row, item) for row, item in claim.films if row[counted]]
    if not sources:
        return None
    old = [layout.root / part["path"] for part in claim.parts if part["kind"] == kind]

    def rows_by_film() -> Iterator[pa.Table]:
        for row, item in sources:
            yield read_staged(item.file(layout, ROWS_FILE), item.begins[kind]) if item else _kept(old, kind, row)

    part_id = exposure_part_id(kind, claim.exposure_id, claim.generation)
    path, arrow = layout.part(kind, claim.night, part_id), schema.TABLES[kind].arrow
    file = staging.write(path, lambda target: write_part(rows_by_film(), arrow, target))
    return {
        "part_id": part_id, "kind": kind, "night": claim.night, "exposure_id": claim.exposure_id, "cell": None,
        "generation": claim.generation, "path": file.path.as_posix(), "checksum": file.checksum, "bytes": file.bytes,
        "n_rows": sum(int(row[counted]) for row, _ in sources), "replaced": None,
    }  # fmt: skip


def _kept(paths: Sequence[Path], kind: str, run: Row) -> pa.Table:
    """A carried reduction's rows.

    Raises
    ------
    ArchiveError
        If its file is gone or damaged; it says what to do.
    """
    this, n_rows, arrow = run["reduction_id"], run[f"n_{kind}"], schema.TABLES[kind].arrow
    advice = (
        f"rows of reduction {this} are to be kept. Put the file back from a copy of the archive, or reduce all films "
        f"of exposure {run['exposure_id']} in one run with --force"
    )
    try:
        rows = read_rows(paths, arrow, arrow.names, Selection(reduction_id=(this,)))
    except ArchiveError as error:
        raise ArchiveError(f"{error}; {advice}") from error
    if rows.num_rows != n_rows:
        names = ", ".join(map(str, paths)) or f"no file of {kind}"
        raise ArchiveError(f"{names} has {rows.num_rows:,} of {n_rows:,} rows, so it is damaged; {advice}")
    return rows


def _register(registry: Registry, claim: _Claim, new: Sequence[Row], old: Sequence[str]) -> bool:
    """Change what readers see, if the exposure and the merged files are still as they were claimed."""
    of, when = {"of": claim.exposure_id}, now()
    before = {part["part_id"] for part in claim.parts}
    with registry.writing() as connection:
        if {part["part_id"] for part in connection.execute(_CURRENT_PARTS, of).mappings()} != before:
            return False
        if len(_mine(connection, claim.staged)) < len(claim.staged):
            return False
        if not exchange(connection, new, [*old, *sorted(before)]):
            return False
        for item in claim.staged:
            this = item.place.reduction_id
            same = {"detector": item.place.detector_id, "this": this, "superseded_by": this}
            connection.execute(_SUPERSEDE, of | same)
            if connection.execute(_KNOWN_SETTINGS, {"this": item.settings["checksum"]}).first() is None:
                connection.execute(sa.insert(tables.settings), item.settings)
        done = {"status": "done", "finished": when, "error": None, "error_kind": None, "generation": claim.generation}
        connection.execute(_FINISH, [{"this": i.place.reduction_id, **done, **i.record} for i in claim.staged])
        for rows, generation in ((claim.carried, claim.generation), (claim.merged, claim.aside)):
            these = {"these": [row["reduction_id"] for row in rows]}
            connection.execute(_MOVE.values(generation=generation), these)
    return True
