"""Many files of a table merged into few: the rows of a cell of the sky in order of place and time, or of a whole night.

A cell is a HEALPix cell of order 5, 1.8 deg wide. It is worked through by ranges of place that fit into memory; see
``sweep.py``.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tomoe_explore import schema
from tomoe_explore.archive.registry import PARTITION_ORDER
from tomoe_explore.archive.row_groups import Selection, footer, values
from tomoe_explore.archive.sweep import Groups, sweep
from tomoe_explore.archive.table_file import ROW_GROUP_ROWS, write_options

#: A cell of the sky; None in tables without.
Cell = int | None

#: ``healpix_29`` has so many bits more than the number of its cell.
CELL_SHIFT = 2 * (29 - PARTITION_ORDER)

#: Rows that are sorted at once, some 120 bytes each: more would touch more fresh memory, which costs more than to sort.
_AT_ONCE = 200_000

#: Rows of decoded row groups, and files: where many more visits of one field make more, so many files at a time are
#: merged first.
_OPEN, _FILES = 3_000_000, 64

#: The order of tables that have no cells, as far as they have these columns.
_SEQUENCE = ("exposure_id", "detector_id", "mover_id", "streak_id", "frame")


@dataclass(frozen=True)
class Objects:
    """Which source is of which object.

    Attributes
    ----------
    source_id : ndarray of int64
        Ascending.
    object_id : ndarray of int64
    """

    source_id: NDArray[np.int64]
    object_id: NDArray[np.int64]

    def where(self, wanted: NDArray[np.bool_]) -> Objects:
        """Those of some sources."""
        return Objects(self.source_id[wanted], self.object_id[wanted])


def partitioned(table: str) -> bool:
    """Whether a table is partitioned by cells.

    Examples
    --------
    >>> partitioned("photometry"), partitioned("frames")
    (True, False)
    """
    return "healpix_29" in schema.TABLES[table].names


def cell_of(healpix_29: NDArray[np.int64]) -> NDArray[np.int64]:
    """The cell of each place.

    Examples
    --------
    >>> int(cell_of(np.array([7 << 48]))[0])
    7
    """
    return healpix_29 >> CELL_SHIFT


def cells_of(paths: Sequence[Path]) -> dict[int, list[Path]]:
    """Cells that some files have rows of, each with those files.

    Raises
    ------
    ArchiveError
        If a file cannot be read.
    """
    found: dict[int, list[Path]] = {}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for path, cells in zip(paths, pool.map(_cells, paths), strict=True):
            for cell in cells:
                found.setdefault(cell, []).append(path)
    return dict(sorted(found.items()))


def _cells(path: Path) -> list[int]:
    low, high = (bound >> CELL_SHIFT for bound in footer(path).bounds("healpix_29"))
    # neighbours on the sky may be far apart in number: who wants to know what a group holds in between must look
    wide = np.flatnonzero(low != high)
    inside = values(path, "healpix_29", wide.tolist()) >> CELL_SHIFT if len(wide) else low[:0]
    return [int(cell) for cell in np.unique(np.concatenate((low, high, inside)))]


def with_neighbours(cells: NDArray[np.int64]) -> set[int]:
    """Cells of the partitions, and those that touch them.

    Examples
    --------
    >>> len(with_neighbours(np.array([100])))
    9
    """
    from hpgeom import neighbors

    around = neighbors(1 << PARTITION_ORDER, cells) if len(cells) else cells
    return {*cells.tolist(), *around.ravel().tolist()} - {-1}  # -1: where only three cells meet


def merge(
    table: str, inputs: Sequence[Path], output: Path, *, cell: Cell = None, objects: Objects | None = None,
    without: Sequence[int] = (),
) -> int:  # fmt: skip
    """Merge files of a table into one.

    Parameters
    ----------
    table : str
    inputs : sequence of Path
        Files of the table, in any order within; rows that are equal in order stay in that of the files.
    output : Path
        The file to be made; without rows there will be none.
    cell : int, optional
        Only rows of this cell, by ``healpix_29`` then ``mjd``. Without, all rows, by exposure, detector and frame.
    objects : Objects, optional
        ``object_id`` of sources without reference star.
    without : sequence of int
        Reductions that are left out.

    Returns
    -------
    int
        Rows written.

    Raises
    ------
    ArchiveError
        If an input cannot be read.
    """
    return merge_cells(table, inputs, {cell: output}, objects=objects, without=without)[cell]


def merge_cells(
    table: str, inputs: Sequence[Path], outputs: Mapping[Cell, Path], *, objects: Objects | None = None,
    without: Sequence[int] = (),
) -> dict[Cell, int]:  # fmt: skip
    """Merge files of a table into one a cell, as `merge` does; what lies in several of the cells is decoded once.

    Parameters
    ----------
    table, inputs, objects, without
        As for `merge`.
    outputs : mapping
        The file to be made of each cell, ascending; the inputs have no rows of others in between.

    Returns
    -------
    dict
        Rows written, by cell.

    Raises
    ------
    ArchiveError
        If an input cannot be read.
    """
    cells = list(outputs)
    key, within = ("exposure_id", None) if cells[0] is None else ("healpix_29", _range(cells[0], cells[-1]))
    arrow, selection = schema.TABLES[table].arrow, Selection(without=tuple(without) or None)
    groups = Groups.of(inputs, key, within, selection)
    if groups.most_open() > _OPEN and len(inputs) > _FILES:
        by_one = _merge_by_steps if len(cells) == 1 else merge
        return {c: by_one(table, inputs, outputs[c], cell=c, objects=objects, without=without) for c in cells}
    ranges = _cut(groups.ranges(_AT_ONCE, within), cells)
    order = partial(_sorted, by_place=within is not None)
    n_rows: dict[Cell, int] = dict.fromkeys(cells, 0)
    swept = zip(ranges, sweep(groups, ranges, arrow, selection, key, order), strict=True)
    for cell, portions in groupby(swept, key=lambda portion: _cell_at(portion[0], cells)):
        n_rows[cell] = _write(outputs[cell], (rows for _, rows in portions), arrow, order, objects)
    return n_rows


def _range(first: int, last: Cell) -> tuple[int, int]:
    """Where some cells lie along HEALPix."""
    return first << CELL_SHIFT, ((first if last is None else last) + 1) << CELL_SHIFT


def _cut(ranges: list[tuple[int, int]], cells: Sequence[Cell]) -> list[tuple[int, int]]:
    """Ranges that adjoin, cut where a cell begins."""
    if not ranges:
        return []
    begin, end = ranges[0][0], ranges[-1][1]
    starts = [start for cell in cells if cell is not None and begin < (start := cell << CELL_SHIFT) < end]
    return list(pairwise(sorted({*starts, *(first for first, _ in ranges), end})))


def _cell_at(place: tuple[int, int], cells: Sequence[Cell]) -> Cell:
    """The cell that a range lies in; behind it there may be cells without rows."""
    known = [cell for cell in cells if cell is not None]
    return known[bisect_right(known, place[0] >> CELL_SHIFT) - 1] if known else None


def _write(
    path: Path, portions: Iterable[pa.Table], arrow: pa.Schema, order: Callable[[pa.Table], pa.Table],
    objects: Objects | None,
) -> int:  # fmt: skip
    """Write rows to a file, in order within each portion; how many."""
    left, n_rows = arrow.empty_table(), 0
    with pq.ParquetWriter(path, arrow, **write_options(arrow)) as writer:
        for rows in portions:
            if objects is not None:
                rows = _with_objects(rows, objects)
            rows = pa.concat_tables([left, order(rows)])
            whole = rows.num_rows // ROW_GROUP_ROWS * ROW_GROUP_ROWS
            if whole:  # an empty table would become an empty row group
                writer.write_table(rows.slice(0, whole), row_group_size=ROW_GROUP_ROWS)
            left = rows.slice(whole).take(pa.array(np.arange(rows.num_rows - whole)))  # a copy: the rest may go
            n_rows += whole
        if left.num_rows:
            writer.write_table(left)
    return n_rows + left.num_rows


def _merge_by_steps(
    table: str, inputs: Sequence[Path], output: Path, *, cell: Cell, objects: Objects | None, without: Sequence[int]
) -> int:
    """Merge into some files first, then these: of all inputs more rows are of the same place than fit into memory."""
    made: list[Path] = []
    try:
        for k in range(0, len(inputs), _FILES):
            path = output.with_name(f"{output.name}-{k}-of-{len(inputs)}")
            if merge(table, inputs[k : k + _FILES], path, cell=cell, objects=objects, without=without):
                made.append(path)
        return merge(table, made, output, cell=cell)
    finally:
        for path in made:
            path.unlink(missing_ok=True)


def _sorted(rows: pa.Table, *, by_place: bool) -> pa.Table:
    if by_place:
        index = _by_place(rows)
    else:
        keys = [rows[name].to_numpy() for name in _SEQUENCE if name in rows.column_names]
        index = np.lexsort(keys[::-1])
    return rows.combine_chunks().take(pa.array(index))


def _by_place(rows: pa.Table) -> NDArray[Any]:
    """Index that puts rows in order of place, then time: a source's rows are moved together."""
    place, mjd = rows["healpix_29"].to_numpy(), rows["mjd"].to_numpy()
    first = _starts(rows, place)
    order = np.lexsort((mjd[first], place[first]))
    length = np.diff(np.append(first, len(place)))[order]
    # each block's rows follow each other: a running number, less what it is at the block's beginning
    index = np.arange(len(place)) + np.repeat(first[order] - np.cumsum(length) + length, length)
    p, t = place[index], mjd[index]
    if ((p[1:] == p[:-1]) & (t[1:] < t[:-1])).any():  # two sources of one place at the same time
        return np.lexsort((mjd, place))
    return index


def _starts(rows: pa.Table, place: NDArray[np.int64]) -> NDArray[np.intp]:
    """Where the next source begins, or the place changes."""
    source = rows["source_id"].to_numpy()
    change = (source[1:] != source[:-1]) | (place[1:] != place[:-1])
    return np.concatenate(([0], np.flatnonzero(change) + 1))[: len(place)]


def _with_objects(rows: pa.Table, objects: Objects) -> pa.Table:
    """Rows with ``object_id`` where there is no reference star and none is known yet."""
    first = _starts(rows, rows["healpix_29"].to_numpy())
    source = rows["source_id"].to_numpy()[first]
    k = np.minimum(np.searchsorted(objects.source_id, source), max(len(objects.source_id) - 1, 0))
    known = objects.source_id[k] == source if len(objects.source_id) else np.zeros(len(source), bool)
    ids = np.where(known, objects.object_id[k] if len(objects.object_id) else 0, 0)
    length = np.diff(np.append(first, rows.num_rows))
    found = pa.array(np.repeat(ids, length), mask=np.repeat(~known, length))
    wanted = pc.and_(pc.is_null(rows["ref_id"]), pc.is_null(rows["object_id"]))
    column = pc.if_else(wanted, found, rows["object_id"])
    at = rows.schema.get_field_index("object_id")
    return rows.set_column(at, rows.schema.field(at), column)
