"""Rows of many files in the order of a key, portion by portion: each row group is decoded once, whatever it overlaps.

A film's row groups are short ranges of the sky, and those of another visit of the same field are the same ranges. The
footers say where each begins: it is decoded when the sweep comes to it, gives each portion its rows of that range, and
is let go at its end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tomoe_explore.archive.row_groups import Selection, footer, read_group


@dataclass(frozen=True)
class Groups:
    """Row groups of some files, file by file.

    Attributes
    ----------
    paths : tuple of Path
    file : ndarray of int
        Which of the files each row group is in.
    index : ndarray of int
        Its number there.
    low, high : ndarray of int64
        Least and greatest value of the key.
    n_rows : ndarray of int64
    """

    paths: tuple[Path, ...]
    file: NDArray[np.intp]
    index: NDArray[np.intp]
    low: NDArray[np.int64]
    high: NDArray[np.int64]
    n_rows: NDArray[np.int64]

    @classmethod
    def of(cls, paths: Sequence[Path], key: str, within: tuple[int, int] | None, selection: Selection) -> Groups:
        """Those that may hold wanted rows, with keys in a range ``first <= key < last`` (None: all).

        Raises
        ------
        ArchiveError
            If a file cannot be read.
        """
        found: list[tuple[NDArray[np.int64], ...]] = [tuple(np.zeros((5, 0), np.int64))]
        for k, path in enumerate(paths):
            known = footer(path)
            low, high = known.bounds(key)
            chosen = selection.groups(known)
            if within is not None:
                chosen = chosen[(high[chosen] >= within[0]) & (low[chosen] < within[1])]
            found.append((np.full(len(chosen), k), chosen, low[chosen], high[chosen], known.n_rows[chosen]))
        return cls(tuple(paths), *(np.concatenate(values) for values in zip(*found, strict=True)))

    def most_open(self) -> int:
        """Rows of the row groups that are decoded at once, at the most: of those that hold the same key.

        Examples
        --------
        >>> few = np.array([0, 10, 10]), np.array([10, 19, 19])
        >>> Groups((), few[0], few[0], *few, np.array([100, 100, 100])).most_open()
        300
        """
        at = np.concatenate((self.low, self.high))
        change = np.concatenate((self.n_rows, -self.n_rows))
        order = np.lexsort((-change, at))  # what ends where another begins is still there
        return int(np.cumsum(change[order]).max(initial=0))

    def ranges(self, n_rows: int, within: tuple[int, int] | None) -> list[tuple[int, int]]:
        """Ranges of the key with about so many rows, as if they lay evenly between the bounds of their row groups."""
        low, high = self.low, self.high
        if not len(low):
            return []
        begin, end = (int(low.min()), int(high.max()) + 1) if within is None else within
        density = self.n_rows / (high - low + 1.0)
        # differences from here on: a float64 does not hold the index itself
        at, k = np.unique(np.concatenate((low, high + 1)) - begin, return_inverse=True)
        step = np.bincount(k, np.concatenate((density, -density)))
        rows = np.concatenate(([0.0], np.maximum.accumulate(np.cumsum(np.cumsum(step)[:-1] * np.diff(at)))))
        low_rows, high_rows = np.interp([0.0, float(end - begin)], at, rows)
        n_parts = max(1, int(np.ceil((high_rows - low_rows) / n_rows)))
        rows, k = np.unique(rows, return_index=True)
        shares = low_rows + (high_rows - low_rows) * np.arange(1, n_parts) / n_parts
        cuts = {int(cut) for cut in np.interp(shares, rows, at[k])}
        edges = sorted({begin, end, *(begin + cut for cut in cuts if 0 < cut < end - begin)})
        return list(pairwise(edges))


@dataclass
class _Open:
    """A decoded row group in order of the key, and its rows from the next one that was not given yet."""

    rows: pa.Table
    key: NDArray[np.int64]
    given: int

    def take(self, last: int) -> pa.Table:
        """Rows with keys before ``last`` that were not given yet."""
        first, self.given = self.given, int(np.searchsorted(self.key, last))
        return self.rows.slice(first, self.given - first)


def sweep(
    groups: Groups, ranges: Sequence[tuple[int, int]], arrow: pa.Schema, selection: Selection, key: str,
    in_order: Callable[[pa.Table], pa.Table],
) -> Iterator[pa.Table]:  # fmt: skip
    """Wanted rows of each range; of a range, in the order of files and row groups.

    Parameters
    ----------
    groups, ranges
        Of the same files; the ranges adjoin.
    arrow : pyarrow.Schema
        Of the table.
    selection : Selection
        Which rows are wanted.
    key : str
        The column that the sweep goes along.
    in_order : callable
        Puts rows in order of the key; it is asked only where a row group is not.

    Raises
    ------
    ArchiveError
        If a file cannot be read.
    """
    coming = np.argsort(groups.low, kind="stable").tolist()
    opened: dict[int, _Open] = {}
    next_one = 0
    for first, last in ranges:
        while next_one < len(coming) and groups.low[coming[next_one]] < last:
            k = coming[next_one]
            rows = read_group(groups.paths[groups.file[k]], arrow, int(groups.index[k]), selection)
            values = rows[key].to_numpy()
            if (values[1:] < values[:-1]).any():
                rows = in_order(rows)
                values = rows[key].to_numpy()
            opened[k] = _Open(rows, values, int(np.searchsorted(values, first)))
            next_one += 1
        yield pa.concat_tables([arrow.empty_table(), *(opened[k].take(last) for k in sorted(opened))])
        opened = {k: group for k, group in opened.items() if group.given < len(group.key)}
