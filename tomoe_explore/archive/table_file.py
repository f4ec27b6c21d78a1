"""Parts of tables as Parquet files: their order, their encodings, and the bytes that they save."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

#: Rows of a row group: a small cone reads one or two of them (see the design's figures on queries).
ROW_GROUP_ROWS = 16_384

#: Films of fewer rows share a row group.
SMALL_ROWS = 4_096

#: What is measured in each row of ``photometry``; all else repeats, from frame to frame or from source to source.
_MEASURED = ("flux", "flux_err", "background")

#: What is the same in all rows of a film, or counts its frames.
_OF_FILM = ("refcat", "exposure_id", "detector_id", "frame", "reduction_id")

#: Columns that rows are sought by: statistics say which row groups can hold them.
_SOUGHT = (
    "source_id", "mover_id", "streak_id", "object_id", "ref_id", "exposure_id", "detector_id", "reduction_id", "frame",
    "ra", "dec", "mjd", "mag", "healpix_29",
)  # fmt: skip

_ORDER = ("healpix_29", "source_id", "mover_id", "streak_id", "frame")


def write_staged(tables: Mapping[str, pa.Table], path: Path) -> dict[str, int]:
    """Write one film's tables, sorted by position, then source, then frame, for `read_staged` to read soon.

    Parameters
    ----------
    tables : mapping of str to pyarrow.Table
        As ``schema.conform`` gives them.
    path : Path
        Where to, as Arrow's IPC streams one after the other: it costs no more than to copy the bytes, and a film
        brings one file, not one a table.

    Returns
    -------
    dict
        Where in the file each table that has rows begins.
    """
    begins = {}
    with pa.OSFile(str(path), "wb") as file:
        for name, table in tables.items():
            if table.num_rows:
                begins[name] = file.tell()
                with pa.ipc.new_stream(file, table.schema) as writer:
                    writer.write_table(_in_order(table))
    return begins


def _in_order(table: pa.Table) -> pa.Table:
    names = table.column_names  # each time it is asked for, a list of all is made
    keys = [name for name in _ORDER if name in names]
    return table if _sorted(table, keys) else table.sort_by([(name, "ascending") for name in keys])


def read_staged(path: Path, begin: int) -> pa.Table:
    """A table that `write_staged` wrote; its columns are the file's bytes, mapped."""
    with pa.memory_map(str(path)) as file:
        file.seek(begin)
        return pa.ipc.open_stream(file).read_all()


def write_part(films: Iterable[pa.Table], schema: pa.Schema, path: Path) -> None:
    """Write films' rows of a table to one Parquet file, in the order they come.

    A row group holds rows of one film, unless films are so small that several make one.

    Parameters
    ----------
    films : iterable of pyarrow.Table
        Sorted, as `read_staged` gives them.
    schema : pyarrow.Schema
        Of the table; units, UCDs and descriptions go into the file's metadata.
    path : Path
        Where to; the file must not be visible to readers yet.

    Notes
    -----
    Numbers that differ from row to row are split into byte streams (``BYTE_STREAM_SPLIT``), whose quiet exponents LZ4
    packs, as it does a film's constants; what repeats over a source's frames is found by zstd; times do both. No
    dictionaries: to make one costs more than all else. Columns that are measured have no statistics, for nobody seeks
    by them.
    """
    with pq.ParquetWriter(path, schema, **write_options(schema)) as writer:
        waiting: list[pa.Table] = []
        for film in films:
            waiting.append(film)
            if sum(table.num_rows for table in waiting) >= SMALL_ROWS:
                _write_rows(writer, waiting)
                waiting = []
        if waiting:
            _write_rows(writer, waiting)


def _write_rows(writer: pq.ParquetWriter, films: Sequence[pa.Table]) -> None:
    """In as few row groups as their size allows, all alike."""
    table = films[0] if len(films) == 1 else pa.concat_tables(films)
    n_groups = -(-table.num_rows // ROW_GROUP_ROWS)
    writer.write_table(table, row_group_size=-(-table.num_rows // max(n_groups, 1)))


def _sorted(table: pa.Table, keys: list[str]) -> bool:
    """Whether rows are in order already, as a reduction's are."""
    before = np.zeros(max(table.num_rows - 1, 0), bool)  # whether a row is before the next one by the keys so far
    for name in keys:
        column = table[name].to_numpy()
        if (~before & (column[1:] < column[:-1])).any():
            return False
        before |= column[1:] > column[:-1]
    return True


@cache
def write_options(schema: pa.Schema) -> dict[str, Any]:
    """How `pyarrow.parquet.ParquetWriter` lays out the columns of a table."""
    names, per_frame = schema.names, {"source_id", "frame"} <= set(schema.names)
    repeats = [n for n in names if per_frame and n not in _MEASURED]
    dense = [n for n in repeats if n not in _OF_FILM]
    split = {f.name for f in schema if pa.types.is_floating(f.type) and (f.name not in repeats or f.name == "mjd")}
    return {
        "column_encoding": {n: "BYTE_STREAM_SPLIT" if n in split else "PLAIN" for n in names},
        "compression": {n: "zstd" if n in dense else "lz4" for n in names},
        "compression_level": dict.fromkeys(dense, 1), "use_dictionary": False,
        "write_statistics": [n for n in names if n in _SOUGHT],
        "write_batch_size": ROW_GROUP_ROWS, "version": "2.6", "data_page_version": "1.0",
    }  # fmt: skip
