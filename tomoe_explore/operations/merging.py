"""What a consolidation is made of: which files are merged into which, the task that a process does, what came of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from tomoe_explore.archive.partitions import Objects, merge_cells
from tomoe_explore.archive.staging import clear_errors
from tomoe_explore.archive.swap import Swap

Row = dict[str, Any]


@dataclass(frozen=True)
class Input:
    """A file that is merged into another: of one exposure, or merged before (``exposure_id`` is None)."""

    part_id: str
    path: Path
    night: str | None
    exposure_id: int | None
    n_rows: int
    bytes: int

    @classmethod
    def of(cls, root: Path, part: sa.RowMapping) -> Input:
        """From its record."""
        return cls(
            part["part_id"], root / part["path"], part["night"], part["exposure_id"], part["n_rows"], part["bytes"]
        )


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
    """Merges that take effect together."""

    night: str | None
    merges: tuple[Merging, ...]

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
    """Merges as a process gets them: of one table and night, in cells that follow each other; objects of sources."""

    swap: Swap
    merges: tuple[Merging, ...]
    objects: Objects | None

    @property
    def n_rows(self) -> int:
        """Rows of the inputs, those that lie in several of the cells as often."""
        return sum(merging.n_rows for merging in self.merges)


def merge_task(task: Task) -> list[tuple[Merged, Row | None]]:
    """Merge files in the staging directory; what came of it, and the records of the new files that have rows."""
    first = task.merges[0]
    part_ids = {m.cell: task.swap.part_id(m.kind, m.night, m.cell) for m in task.merges}
    outputs = {cell: task.swap.staged(part_id) for cell, part_id in part_ids.items()}
    inputs = sorted({item.path for merging in task.merges for item in merging.inputs})
    with clear_errors(task.swap.layout.root):
        with _reused_memory():
            n_rows = merge_cells(first.kind, inputs, outputs, objects=task.objects)
        return [_merged(task.swap, merging, part_ids[merging.cell], n_rows[merging.cell]) for merging in task.merges]


def _merged(swap: Swap, merging: Merging, part_id: str, n_rows: int) -> tuple[Merged, Row | None]:
    n_files = len(merging.inputs)
    if not n_rows:
        return Merged(merging.kind, merging.night, merging.cell, n_files, 0, 0), None
    part = {
        "part_id": part_id, "kind": merging.kind, "night": merging.night, "exposure_id": None, "cell": merging.cell,
        "generation": 1, "n_rows": n_rows, "replaced": None,
    }  # fmt: skip
    record = swap.finish(part)
    return Merged(merging.kind, merging.night, merging.cell, n_files, n_rows, record["bytes"]), record


@contextmanager
def _reused_memory() -> Iterator[None]:
    """Arrow's memory from the C library: Arrow's own pool gives pages back between steps, and to fault them is dear."""
    before = pa.default_memory_pool()
    pa.set_memory_pool(pa.system_memory_pool())
    try:
        yield
    finally:
        pa.set_memory_pool(before)
