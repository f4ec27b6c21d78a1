"""What a consolidation is made of: which files are merged into which, the task that a process does, what came of it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
import sqlalchemy as sa

from tomoe_explore import schema
from tomoe_explore.archive import Archive
from tomoe_explore.archive import registry as tables
from tomoe_explore.archive.layout import exposure_part_id
from tomoe_explore.archive.partitions import Objects, merge
from tomoe_explore.archive.reserve import now
from tomoe_explore.archive.row_groups import Selection, read_rows
from tomoe_explore.archive.swap import Swap
from tomoe_explore.archive.table_file import ROW_GROUP_ROWS, write_options

Row = dict[str, Any]


@dataclass(frozen=True)
class Input:
    """A file that is merged into another: of one exposure, or merged before (``exposure_id`` is None)."""

    part_id: str
    path: Path
    exposure_id: int | None
    n_rows: int
    bytes: int

    @classmethod
    def of(cls, root: Path, part: sa.RowMapping) -> Input:
        """From its record."""
        return cls(part["part_id"], root / part["path"], part["exposure_id"], part["n_rows"], part["bytes"])


@dataclass(frozen=True)
class Merging:
    """Files of a table that are to become one: of a night (None: of all) and a cell, if the table has cells."""

    kind: str
    night: str | None
    cell: int | None
    inputs: tuple[Input, ...]

    @property
    def n_rows(self) -> int:
        """Rows of the inputs; those of exposures may lie in several cells."""
        return sum(item.n_rows for item in self.inputs)


@dataclass(frozen=True)
class Merged:
    """What came of a merge; of one that is planned, a line a table with rows and bytes of the inputs.

    Attributes
    ----------
    table : str
    night : str or None
        None for all nights.
    cell : int or None
        HEALPix cell of order 5, nested; None for tables without cells.
    files : int
        Files that were merged.
    rows, bytes : int
        Of the new file.
    """

    table: str
    night: str | None
    cell: int | None
    files: int
    rows: int
    bytes: int


@dataclass(frozen=True)
class Plan:
    """Merges that take effect together, and the reductions whose rows are left out."""

    night: str | None
    merges: tuple[Merging, ...]
    superseded: tuple[int, ...]

    @property
    def inputs(self) -> dict[str, dict[str, Input]]:
        """Files that are merged: by table and part id."""
        found: dict[str, dict[str, Input]] = defaultdict(dict)
        for merging in self.merges:
            found[merging.kind] |= {item.part_id: item for item in merging.inputs}
        return found

    @property
    def n_rows(self) -> int:
        """Rows of all inputs."""
        return sum(item.n_rows for inputs in self.inputs.values() for item in inputs.values())

    def expected(self) -> list[Merged]:
        """What will come of it, table by table, as far as it is known before."""
        return [
            Merged(kind, self.night, None, len(i), sum(x.n_rows for x in i.values()), sum(x.bytes for x in i.values()))
            for kind, i in self.inputs.items()
        ]


@dataclass(frozen=True, repr=False)
class Consolidation:
    """What was merged; printing it says so in a line a night and table.

    Attributes
    ----------
    merged : tuple of Merged
    removed : int
        Files that were replaced longer ago and are removed.
    seconds : float
        Wall time.
    dry_run : bool
        Whether this is only what would be done.
    """

    merged: tuple[Merged, ...]
    removed: int = 0
    seconds: float = 0.0
    dry_run: bool = False

    @property
    def rows(self) -> int:
        """Rows of all new files."""
        return sum(item.rows for item in self.merged)

    def to_dict(self) -> Row:
        """Plain values, as JSON can hold them."""
        return {
            "dry_run": self.dry_run, "rows": self.rows, "removed": self.removed, "seconds": round(self.seconds, 3),
            "merged": [asdict(item) for item in self.merged],
        }  # fmt: skip

    def __repr__(self) -> str:
        would = "would be " if self.dry_run else ""
        gone = [f"{self.removed} files that were replaced {would or 'are '}removed"] if self.removed else []
        if not self.merged:
            return "\n".join(["nothing to consolidate", *gone])
        by_table: dict[tuple[str, str], list[Merged]] = defaultdict(list)
        for item in self.merged:
            by_table[item.night or "all nights", item.table].append(item)
        rate = f" in {self.seconds:.1f} s" if self.seconds else ""
        lines = [f"{self.rows:,} rows {would}merged into {len(self.merged)} files{rate}"]
        for (night, table), items in by_table.items():
            rows, size = sum(item.rows for item in items), sum(item.bytes for item in items)
            lines.append(f"  {night}  {table}: {rows:,} rows, {size:,} bytes in {len(items)} files")
        return "\n".join(lines + gone)


@dataclass(frozen=True)
class Task:
    """A merge as a process gets it: with the objects of the cell's sources, and the reductions that are left out."""

    swap: Swap
    merging: Merging
    objects: Objects | None
    superseded: tuple[int, ...]


def merge_task(task: Task) -> tuple[Merged, Row | None]:
    """Merge files in the staging directory; what came of it, and the record of the new file if it has rows."""
    merging = task.merging
    part_id = task.swap.part_id(merging.kind, merging.night, merging.cell)
    path = task.swap.staged(part_id)
    paths = [item.path for item in merging.inputs]
    n_rows = merge(merging.kind, paths, path, cell=merging.cell, objects=task.objects, without=task.superseded)
    if not n_rows:
        return Merged(merging.kind, merging.night, merging.cell, len(paths), 0, 0), None
    part = {
        "part_id": part_id, "kind": merging.kind, "night": merging.night, "exposure_id": None, "cell": merging.cell,
        "generation": 1, "n_rows": n_rows, "replaced": None,
    }  # fmt: skip
    record = task.swap.finish(part)
    return Merged(merging.kind, merging.night, merging.cell, len(paths), n_rows, record["bytes"]), record


def rescue(archive: Archive, swap: Swap, plan: Plan) -> list[Row]:
    """Keep those rows of superseded reductions that lie in merged files only, for they are about to go.

    Returns
    -------
    list of dict
        Records of new files, written: parts of their exposures, of the reductions' generation, replaced from the start.
    """
    kept: list[Row] = []
    for kind, inputs in plan.inputs.items() if plan.superseded else ():
        paths = [item.path for item in inputs.values() if item.exposure_id is None]
        for (night, exposure_id, generation), ids in _homeless(archive, kind, plan).items() if paths else ():
            arrow = schema.TABLES[kind].arrow
            rows = read_rows(paths, arrow, arrow.names, Selection(reduction_id=tuple(ids)))
            if rows.num_rows:
                part = {
                    "part_id": exposure_part_id(kind, exposure_id, generation), "kind": kind, "night": night,
                    "exposure_id": exposure_id, "cell": None, "generation": generation, "n_rows": rows.num_rows,
                    "replaced": now(),
                }  # fmt: skip
                with pq.ParquetWriter(swap.staged(part["part_id"]), arrow, **write_options(arrow)) as writer:
                    for this in ids:
                        writer.write_table(rows.filter(pc.equal(rows["reduction_id"], this)), ROW_GROUP_ROWS)
                kept.append(swap.finish(part))
    return kept


def _homeless(archive: Archive, kind: str, plan: Plan) -> dict[tuple[str, int, int], list[int]]:
    """Superseded reductions of which the exposure's part is gone, by night, exposure and generation."""
    r, p = tables.reductions.c, tables.parts.c
    part = sa.exists().where(p.kind == kind, p.exposure_id == r.exposure_id, p.generation == r.generation)
    query = sa.select(r.night, r.exposure_id, r.generation, r.reduction_id)
    query = query.where(r.status == "done", r.superseded_by.is_not(None), ~part)
    found: dict[tuple[str, int, int], list[int]] = defaultdict(list)
    for row in archive.registry.rows(query.order_by(r.reduction_id)):
        if row["reduction_id"] in plan.superseded:
            found[row["night"], row["exposure_id"], row["generation"]].append(row["reduction_id"])
    return found
