"""Reads that open only the row groups they need: what each group holds is remembered from the files' footers.

A file of a table never changes under its path. So the least and greatest value of each row group are looked up once,
kept as arrays, and a selection is tried on these before any file is opened.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tomoe_explore.errors import ArchiveError, ParameterError

Kept = TypeVar("Kept")
Ids = tuple[int, ...] | None

#: Row groups whose bounds are kept (some 100 bytes each), and whose whole footers are (15 kB each).
_BOUNDS_KEPT, _FOOTERS_KEPT = 1_000_000, 8_192

#: Row groups that a thread reads and filters at once, and from how many on there are threads at all.
_AT_ONCE = 16


class _Cache(Generic[Kept]):
    """What was made last of each file, bounded by row groups; a file made anew under its path is noticed."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._kept: OrderedDict[str, tuple[tuple[int, int, int], Kept, int]] = OrderedDict()
        self._groups = 0
        self._lock = threading.Lock()

    def get(self, path: Path, make: Callable[[Path], tuple[Kept, int]]) -> Kept:
        """What ``make`` gave for this file, with its number of row groups."""
        name, stat = os.fspath(path), os.stat(path)
        key = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
        with self._lock:
            found = self._kept.get(name)
            if found is not None and found[0] == key:
                self._kept.move_to_end(name)
                return found[1]
        made, groups = make(path)
        with self._lock:
            old = self._kept.pop(name, None)
            self._kept[name] = (key, made, groups)
            self._groups += groups - (old[2] if old else 0)
            while self._groups > self._limit and len(self._kept) > 1:
                self._groups -= self._kept.popitem(last=False)[1][2]
        return made


class Footer:
    """What the footer of a Parquet file says of its row groups.

    Attributes
    ----------
    n_rows : ndarray of int64
        Rows of each row group.
    """

    def __init__(self, path: Path) -> None:
        metadata = _metadata(path)
        self._path = path
        self._bounds: dict[str, tuple[NDArray[Any], NDArray[Any]]] = {}
        self._spans: dict[str, tuple[Any, Any]] = {}
        self.n_rows = np.array([metadata.row_group(g).num_rows for g in range(metadata.num_row_groups)], np.int64)

    def bounds(self, column: str) -> tuple[NDArray[Any], NDArray[Any]]:
        """Least and greatest value of a column in each row group; where that is not known, of its type.

        Raises
        ------
        ParameterError
            If the file has no such column.
        """
        if column not in self._bounds:
            self._bounds[column] = _read_bounds(_metadata(self._path), column)
        return self._bounds[column]

    def span(self, column: str) -> tuple[Any, Any]:
        """Least and greatest value of a column in the file; of one without rows, of a range that nothing lies in.

        Raises
        ------
        ParameterError
            If the file has no such column.
        """
        if column not in self._spans:
            low, high = self.bounds(column)
            self._spans[column] = (low.min(), high.max()) if len(low) else (np.int64(0), np.int64(-1))
        return self._spans[column]


def _read_bounds(metadata: pq.FileMetaData, column: str) -> tuple[NDArray[Any], NDArray[Any]]:
    names = metadata.schema.names
    if column not in names:
        raise ParameterError(f"no column {column!r} to filter by; the file has {', '.join(names)}")
    index = names.index(column)
    floating = metadata.schema.column(index).physical_type in ("DOUBLE", "FLOAT")
    dtype, low, high = (np.float64, -np.inf, np.inf) if floating else (np.int64, -(2**63), 2**63 - 1)
    found = [metadata.row_group(g).column(index).statistics for g in range(metadata.num_row_groups)]
    known = [s is not None and s.has_min_max for s in found]
    return (
        np.array([s.min if k else low for s, k in zip(found, known, strict=True)], dtype),
        np.array([s.max if k else high for s, k in zip(found, known, strict=True)], dtype),
    )


def _new_footer(path: Path) -> tuple[Footer, int]:
    made = Footer(path)
    return made, len(made.n_rows)


def _new_metadata(path: Path) -> tuple[pq.FileMetaData, int]:
    made = pq.read_metadata(path)
    return made, made.num_row_groups


_footers: _Cache[Footer] = _Cache(_BOUNDS_KEPT)
_whole_footers: _Cache[pq.FileMetaData] = _Cache(_FOOTERS_KEPT)


def _metadata(path: Path) -> pq.FileMetaData:
    return _whole_footers.get(path, _new_metadata)


def footer(path: Path) -> Footer:
    """The footer of a file, read once.

    Raises
    ------
    ArchiveError
        If the file cannot be read, or is no Parquet file.
    """
    with _clear_errors(path):
        return _footers.get(path, _new_footer)


@contextmanager
def _clear_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, pa.ArrowInvalid) as error:
        text = str(error).strip()
        raise ArchiveError(f"table file {path} cannot be read: {text}; `tomoe doctor` names what is missing") from error


@dataclass(frozen=True)
class Selection:
    """Which rows are wanted; None does not filter, and an empty tuple wants nothing.

    Attributes
    ----------
    healpix_29 : tuple of (first, last)
        Ranges ``first <= healpix_29 < last``, as `sky.cone_ranges` gives them.
    exposure_id, detector_id, reduction_id, source_id, mover_id, streak_id : tuple of int
    without : tuple of int
        Reductions whose rows are not wanted.

    Examples
    --------
    >>> Selection(exposure_id=(357754,), healpix_29=((0, 1 << 58),)).columns
    ('healpix_29', 'exposure_id')
    """

    healpix_29: tuple[tuple[int, int], ...] | None = None
    exposure_id: Ids = None
    detector_id: Ids = None
    reduction_id: Ids = None
    source_id: Ids = None
    mover_id: Ids = None
    streak_id: Ids = None
    without: Ids = None

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Columns that are filtered by."""
        names = [field.name for field in fields(self) if getattr(self, field.name) is not None]
        return tuple(dict.fromkeys("reduction_id" if name == "without" else name for name in names))

    @cached_property
    def _ranges(self) -> dict[str, tuple[NDArray[Any], NDArray[Any]]]:
        """Of each column the ranges that are wanted: where each begins, ascending, and where all until it end."""
        found = {}
        for column in self.columns:
            wanted = getattr(self, column)
            if wanted is None:  # all but some
                continue
            if column != "healpix_29":
                wanted = [(this, this + 1) for this in wanted]
            ranges = np.array(sorted(wanted), np.int64).reshape(-1, 2)
            found[column] = ranges[:, 0], np.maximum.accumulate(ranges[:, 1])  # ranges may overlap each other
        return found

    def groups(self, footer: Footer) -> NDArray[np.intp]:
        """Row groups that may have wanted rows.

        Raises
        ------
        ParameterError
            If the file lacks a column that is filtered by.
        """
        if not all(self._may_hold(column, *footer.span(column)) for column in self.columns):
            return np.zeros(0, np.intp)
        maybe = footer.n_rows > 0
        for column in self.columns:
            maybe &= self._may_hold(column, *footer.bounds(column))
        return np.flatnonzero(maybe)

    def mask(self, table: pa.Table) -> NDArray[np.bool_]:
        """Which rows of a table are wanted."""
        wanted = np.ones(table.num_rows, bool)
        for column in self.columns:
            values = table[column].to_numpy()
            wanted &= self._may_hold(column, values, values)
        return wanted

    def _may_hold(self, column: str, low: Any, high: Any) -> Any:
        """Whether something wanted may lie between ``low`` and ``high`` (numbers or arrays), ends included."""
        maybe: Any = True
        if column in self._ranges:
            first, last = self._ranges[column]
            if not len(first):
                return low != low
            k = last.searchsorted(low, side="right")  # the first range that ends beyond ``low``
            maybe = (k < len(first)) & (first[np.minimum(k, len(first) - 1)] <= high)
        if column == "reduction_id" and self.without is not None:
            maybe = maybe & ~((low == high) & np.isin(low, np.array(self.without, np.int64)))
        return maybe


def count_rows(paths: Sequence[Path], selection: Selection) -> int:
    """Rows of the row groups that may have wanted ones: at least as many as `read_rows` gives.

    Raises
    ------
    ArchiveError
        If a file cannot be read.
    """
    return int(sum(f.n_rows[selection.groups(f)].sum() for f in map(footer, paths)))


def read_rows(paths: Sequence[Path], schema: pa.Schema, columns: Sequence[str], selection: Selection) -> pa.Table:
    """Wanted rows of some files of a table, file by file, in as many chunks as they were read in.

    Parameters
    ----------
    paths : sequence of Path
    schema : pyarrow.Schema
        Of the table, as in ``schema.TABLES``.
    columns : sequence of str
        Of which columns; they come in the schema's order.
    selection : Selection
        Of which rows.

    Raises
    ------
    ArchiveError
        If a file cannot be read.
    """
    target = pa.schema([field for field in schema if field.name in columns], metadata=schema.metadata)
    work = partial(_read, schema=target, selection=selection)
    pieces = list(_pieces(paths, selection))
    if len(pieces) < 2:
        found = [work(piece) for piece in pieces]
    else:
        with ThreadPoolExecutor(min(len(pieces), os.cpu_count() or 1)) as pool:
            found = list(pool.map(work, pieces))
    return pa.concat_tables(found) if found else target.empty_table()


def _pieces(paths: Sequence[Path], selection: Selection) -> Iterator[list[tuple[Path, list[int]]]]:
    """Row groups to read, a thread's share at a time: a part of a large file, or several small ones."""
    piece: list[tuple[Path, list[int]]] = []
    n = 0
    for path in paths:
        groups = selection.groups(footer(path)).tolist()
        for k in range(0, len(groups), _AT_ONCE):
            piece.append((path, groups[k : k + _AT_ONCE]))
            n += len(piece[-1][1])
            if n >= _AT_ONCE:
                yield piece
                piece, n = [], 0
    if piece:
        yield piece


def _read(piece: Sequence[tuple[Path, list[int]]], schema: pa.Schema, selection: Selection) -> pa.Table:
    """Rows of some row groups: first what is filtered by, then the rest where something is wanted."""
    found = [schema.empty_table()]
    for path, groups in piece:
        with _clear_errors(path), pq.ParquetFile(path, metadata=_metadata(path), pre_buffer=False) as file:
            if selection.columns:
                keys = file.read_row_groups(groups, columns=list(selection.columns), use_threads=False)
                wanted, groups = _without_empty(selection.mask(keys), groups, footer(path).n_rows)
            else:
                wanted = np.ones(0, bool)
            if groups:
                table = _as_table(file.read_row_groups(groups, columns=schema.names, use_threads=False), schema, path)
                found.append(_only(table, wanted) if selection.columns else table)
    return pa.concat_tables(found)


def _as_table(read: pa.Table, schema: pa.Schema, path: Path) -> pa.Table:
    """What was read with the columns in the table's order, and with its metadata."""
    names = read.column_names
    if missing := set(schema.names).difference(names):
        raise pa.ArrowInvalid(f"{path} has no columns {', '.join(sorted(missing))}")
    columns = read.columns if names == schema.names else [read[name] for name in schema.names]
    return pa.Table.from_arrays(columns, schema=schema)


def read_group(path: Path, schema: pa.Schema, group: int, selection: Selection) -> pa.Table:
    """Wanted rows of one row group of a file, with all columns of the table.

    Raises
    ------
    ArchiveError
        If the file cannot be read.
    """
    with _clear_errors(path), pq.ParquetFile(path, metadata=_metadata(path), pre_buffer=False) as file:
        table = _as_table(file.read_row_group(group, use_threads=False), schema, path)
    return _only(table, selection.mask(table)) if selection.columns else table


def values(path: Path, column: str, groups: Sequence[int]) -> NDArray[Any]:
    """Values of a column in some row groups of a file.

    Raises
    ------
    ArchiveError
        If the file cannot be read.
    """
    with _clear_errors(path), pq.ParquetFile(path, metadata=_metadata(path), pre_buffer=False) as file:
        return file.read_row_groups(list(groups), columns=[column], use_threads=False)[column].to_numpy()


def _without_empty(
    wanted: NDArray[np.bool_], groups: list[int], n_rows: NDArray[np.int64]
) -> tuple[NDArray[np.bool_], list[int]]:
    """The mask and the list of row groups without those of which no row is wanted."""
    length = n_rows[groups]
    some = np.add.reduceat(wanted, np.cumsum(length) - length) > 0
    return wanted[np.repeat(some, length)], [g for g, kept in zip(groups, some.tolist(), strict=True) if kept]


def _only(table: pa.Table, wanted: NDArray[np.bool_]) -> pa.Table:
    """The wanted rows; where they adjoin, as in a file in order they do, without a copy."""
    edges = np.flatnonzero(np.diff(wanted, prepend=False, append=False))
    n = int(np.count_nonzero(wanted))
    if 2 * n < len(wanted) or 8 * len(edges) > n:  # a copy lets the rest go
        return table.take(pa.array(np.flatnonzero(wanted)))
    runs = edges.reshape(-1, 2).tolist()
    return pa.concat_tables([table.slice(first, last - first) for first, last in runs] or [table.slice(0, 0)])
