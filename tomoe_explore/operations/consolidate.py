"""A night's many small files become few large ones, in order of the sky; then all nights'. Readers are not disturbed.

1. **A night.** Sources without a reference star get the ids of their objects; then sources and photometry are merged
   into a file a HEALPix cell, the other tables into a file each, and all these take the place of what they were made
   from in one transaction.
2. **All nights.** The night files of a cell are merged with its file of all nights once they have a quarter of its rows
   or more: a row is copied a few times in all, however many nights there are.
3. Files that were replaced go after an hour.

It may be killed at any moment and run again.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import BrokenExecutor, as_completed
from dataclasses import dataclass
from itertools import chain, groupby
from typing import Any

import numpy as np
import pyarrow.compute as pc
import sqlalchemy as sa
from numpy.typing import NDArray

from tomoe_explore import schema
from tomoe_explore.archive import Archive, open_archive
from tomoe_explore.archive import registry as tables
from tomoe_explore.archive.layout import PART_TABLES
from tomoe_explore.archive.manifest import mend_manifests, write_manifests
from tomoe_explore.archive.objects import object_ids
from tomoe_explore.archive.partitions import Objects, cell_of, cells_of, partitioned, with_neighbours
from tomoe_explore.archive.position import parse_nights
from tomoe_explore.archive.row_groups import Selection, read_rows
from tomoe_explore.archive.swap import GRACE_S, Swap, clear_killed, removable, remove_parts
from tomoe_explore.errors import ArchiveError, WorkerDiedError
from tomoe_explore.operations.executors import Workers, open_executor
from tomoe_explore.operations.merging import Consolidation, Input, Merged, Merging, Plan, Row, Task, merge_task

#: Night files are merged into all nights' once they have this share of its rows.
SHARE = 0.25

#: A process gets about so many tasks a table, each of at most so many cells.
_SHARES, _MOST_CELLS = 4, 16

#: So often is a night done again because films of it came meanwhile.
ATTEMPTS = 10

_p = tables.parts.c


def consolidate(
    archive: Archive | str | None = None, night: str | None = None, *, executor: Any = None, progress: bool = True,
    dry_run: bool = False, grace_s: float = GRACE_S,
) -> Consolidation:  # fmt: skip
    """Merge nights' files into partitions of the sky, and these over all nights; see the top of this file.

    Parameters
    ----------
    archive : Archive or path, optional
        See `open_archive` for the default.
    night : str, optional
        ``"2020-08-14"`` or ``"2020-08-14:2020-08-20"``; by default all that have something to merge.
    executor : None, int or dask.distributed.Client, optional
        As in `reduce`; a process takes up to 1 GB.
    progress : bool
        Whether to show a progress bar.
    dry_run : bool
        Only say what would be merged.
    grace_s : float
        How long ago files must have been replaced to be removed, s.

    Returns
    -------
    Consolidation
        What was merged, and which files were removed.

    Raises
    ------
    ArchiveError
        If the archive cannot be read or written, or changes all the time.

    Examples
    --------
    >>> import tempfile
    >>> consolidate(Archive.create(tempfile.mkdtemp() + "/archive"), progress=False)
    nothing to consolidate
    """
    start = time.perf_counter()
    archive = archive if isinstance(archive, Archive) else open_archive(archive)
    nights = _nights(archive, night)
    if dry_run:
        plans = [_plan_night(archive, n) for n in nights] + _plan_all(archive)
        found = [item for plan in plans for item in plan.expected()]
        return Consolidation(tuple(found), len(removable(archive.registry, grace_s)), 0.0, dry_run=True)
    clear_killed(archive.registry, archive.layout)
    done: list[Merged] = []
    with open_executor(executor) as pool:
        if nights and isinstance(pool, Workers):
            pool.prepare(merge_task)
        for n in nights:
            done += _until_unchanged(archive, n, pool, progress=progress)
        for plan in _plan_all(archive):
            done += _work(archive, plan, pool, progress=progress) or []
    mend_manifests(archive.registry, archive.layout)  # also those of a run that was killed
    replaced = removable(archive.registry, grace_s)
    remove_parts(archive.registry, archive.layout, replaced)
    return Consolidation(tuple(done), len(replaced), time.perf_counter() - start)


def _nights(archive: Archive, night: str | None) -> list[str]:
    """Nights with files of single exposures."""
    query = sa.select(_p.night).where(_p.replaced.is_(None), _p.exposure_id.is_not(None)).distinct()
    if night is not None:
        query = query.where(_p.night.between(*parse_nights(night)))
    return sorted(row["night"] for row in archive.registry.rows(query))


def _until_unchanged(archive: Archive, night: str, pool: Any, *, progress: bool) -> list[Merged]:
    for _ in range(ATTEMPTS):
        done = _work(archive, _plan_night(archive, night), pool, progress=progress)
        if done is not None:
            write_manifests(archive.registry, archive.layout, night)
            return done
    raise ArchiveError(f"night {night} could not be consolidated: films of it came all the time; try again later")


# --- what is to be merged ----------------------------------------------------------------------------
def _plan_night(archive: Archive, night: str) -> Plan:
    """All files of a night that are current: of its exposures, and those merged earlier."""
    query = sa.select(tables.parts).where(_p.replaced.is_(None), _p.night == night).order_by(_p.exposure_id, _p.part_id)
    by_kind: dict[str, list[sa.RowMapping]] = defaultdict(list)
    for part in archive.registry.rows(query):
        by_kind[part["kind"]].append(part)
    merges: list[Merging] = []
    for kind in ("sources", *(k for k in PART_TABLES if k != "sources")):
        if any(part["exposure_id"] is not None for part in by_kind[kind]):
            merges += _merges(archive, kind, night, by_kind[kind])
    return Plan(night, tuple(merges))


def _plan_all(archive: Archive) -> list[Plan]:
    """Cells of which the night files have enough rows; each is a swap of its own."""
    query = (
        sa.select(tables.parts).where(_p.replaced.is_(None), _p.exposure_id.is_(None)).order_by(_p.night, _p.part_id)
    )
    by_place: dict[tuple[str, int | None], list[sa.RowMapping]] = defaultdict(list)
    for part in archive.registry.rows(query):
        by_place[part["kind"], part["cell"]].append(part)
    plans = []
    for (kind, cell), parts in by_place.items():
        old = sum(part["n_rows"] for part in parts if part["night"] is None)
        new = sum(part["n_rows"] for part in parts if part["night"] is not None)
        if len(parts) > 1 and new >= SHARE * old:
            merging = Merging(kind, None, cell, tuple(Input.of(archive.root, part) for part in parts))
            plans.append(Plan(None, (merging,)))
    return plans


def _merges(archive: Archive, kind: str, night: str, parts: Sequence[sa.RowMapping]) -> list[Merging]:
    inputs = {item.path: item for item in (Input.of(archive.root, part) for part in parts)}
    if not partitioned(kind):
        return [Merging(kind, night, None, tuple(inputs.values()))]
    cells = cells_of(list(inputs))
    return [Merging(kind, night, cell, tuple(inputs[p] for p in paths)) for cell, paths in cells.items()]


# --- the work ----------------------------------------------------------------------------------------
def _work(archive: Archive, plan: Plan, pool: Any, *, progress: bool) -> list[Merged] | None:
    """Merge, put in place, register; None if what was merged is current no more."""
    from tqdm.auto import tqdm

    swap = Swap.begin(archive.layout)
    done: list[Merged] = []
    new: list[Row] = []
    try:
        known = _Known.around(archive, plan) if plan.night else None
        todo = _tasks(plan, swap, known, getattr(pool, "n", 1))
        with tqdm(
            total=plan.n_rows, desc=plan.night or "all", unit="row", unit_scale=True, disable=not progress
        ) as bar:
            for merged, part in _each(pool, todo):
                bar.update(merged.rows)
                if part is not None:
                    done.append(merged)
                    new.append(part)
        _compare(plan, done)
        old = {item.part_id for merging in plan.merges for item in merging.inputs}
        still = known.is_current if known else None
        return done if swap.replace(archive.registry, new, old, still) else None
    finally:
        swap.end()


def _tasks(plan: Plan, swap: Swap, known: _Known | None, n_workers: int) -> list[Task]:
    """The plan's merges: neighbouring cells together, for films lie across their edges; some tasks a process."""
    tasks = []
    for _, found in groupby(plan.merges, key=lambda merging: merging.kind):
        merges = tuple(found)
        n = min(max(len(merges) // (_SHARES * n_workers), 1), _MOST_CELLS)
        for some in (merges[k : k + n] for k in range(0, len(merges), n)):
            cells = [merging.cell for merging in some if merging.cell is not None]
            tasks.append(Task(swap, some, known.between(cells[0], cells[-1]) if known and cells else None))
    return tasks


def _compare(plan: Plan, done: Sequence[Merged]) -> None:
    """Refuse to let files go whose rows are not all in those that are to take their place."""
    rows: Counter[str] = Counter()
    for merged in done:
        rows[merged.table] += merged.rows
    for kind, inputs in plan.inputs.items():
        expected = sum(item.n_rows for item in inputs.values())
        if rows[kind] != expected:
            raise ArchiveError(
                f"files of {kind} hold {rows[kind]:,} rows, expected {expected:,}: one is damaged; `tomoe doctor "
                "--deep` names it, and nothing was changed"
            )


def _each(pool: Any, todo: Sequence[Task]) -> Iterator[tuple[Merged, Row | None]]:
    """Results as they come, of the largest first: so all processes end at about the same time."""
    todo = sorted(todo, key=lambda task: -task.n_rows)
    if pool is None:
        yield from chain.from_iterable(map(merge_task, todo))
        return
    waiting = [pool.submit(merge_task, task) for task in todo]
    try:
        for future in as_completed(waiting):
            yield from future.result()
    except BrokenExecutor as error:
        raise WorkerDiedError(f"a process that merged files died ({error}); what was there before stays") from error
    finally:
        for future in waiting:
            future.cancel()


@dataclass(frozen=True)
class _Known:
    """Objects of a night's sources that have neither a reference star nor an object yet.

    They depend on what earlier nights' files know of these places: the files looked at must be current at the end.
    """

    objects: Objects
    cell: NDArray[np.int64]  # of each source
    cells: frozenset[int]  # that were looked at
    part_ids: frozenset[str]  # merged files of sources there

    @classmethod
    def around(cls, archive: Archive, plan: Plan) -> _Known:
        """Of the sources in a plan, as the archive is now."""
        paths = [item.path for item in plan.inputs["sources"].values()]
        columns = ["source_id", "object_id", "ref_id", "ra", "dec", "healpix_29"]
        rows = read_rows(paths, schema.TABLES["sources"].arrow, columns, Selection())
        rows = rows.filter(pc.and_(pc.is_null(rows["ref_id"]), pc.is_null(rows["object_id"])))
        rows = rows.sort_by("source_id")
        source_id, ra, dec, place = (rows[name].to_numpy() for name in ("source_id", "ra", "dec", "healpix_29"))
        cell = cell_of(place)
        cells = frozenset(with_neighbours(np.unique(cell)))
        with archive.registry.reading() as connection:
            parts = _merged_sources(connection, cells)
        earlier = read_rows([archive.root / path for path in parts.values()], rows.schema, ["object_id"], Selection())
        found = object_ids(source_id, ra, dec, np.unique(earlier["object_id"].drop_null().to_numpy()))
        return cls(Objects(source_id, found), cell, cells, frozenset(parts))

    def between(self, first: int, last: int) -> Objects:
        """Objects of the sources in some cells that follow each other."""
        return self.objects.where((self.cell >= first) & (self.cell <= last))

    def is_current(self, connection: sa.Connection) -> bool:
        """Whether no other night has been consolidated there meanwhile."""
        return self.part_ids == _merged_sources(connection, self.cells).keys()


def _merged_sources(connection: sa.Connection, cells: Collection[int]) -> dict[str, str]:
    """Paths of the current merged files of sources in some cells, by id."""
    query = sa.select(_p.part_id, _p.path, _p.cell).where(
        _p.kind == "sources", _p.replaced.is_(None), _p.exposure_id.is_(None)
    )
    return {part_id: path for part_id, path, cell in connection.execute(query.order_by(_p.part_id)) if cell in cells}
