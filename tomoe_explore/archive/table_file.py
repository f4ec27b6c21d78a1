"""One reduction's part of a table as a Parquet file: its order, its encodings, and the bytes that they save."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

#: Rows of a row group: a small cone reads one or two of them (see the design's figures on queries).
ROW_GROUP_ROWS = 16_384

_ORDER = ("healpix_29", "source_id", "mover_id", "streak_id", "frame")


def write_part(table: pa.Table, path: Path) -> None:
    """Write a table sorted by position, then source, then frame.

    Parameters
    ----------
    table : pyarrow.Table
        As ``schema.conform`` gives it; units, UCDs and descriptions go into the file's metadata.
    path : Path
        Where to; the file must not be visible to readers yet.

    Notes
    -----
    Numbers that are noise to their last bits are split into byte streams (``BYTE_STREAM_SPLIT``), so that zstd finds
    the quiet exponents; numbers that repeat over a source's frames become dictionaries, whose runs cost next to
    nothing; integers that grow or cycle are kept as differences.
    """
    keys = [(name, "ascending") for name in _ORDER if name in table.column_names]
    if keys and not _sorted(table, [name for name, _ in keys]):
        table = table.sort_by(keys)
    repeated = [f.name for f in table.schema if _repeats(f, table.schema)]
    encodings = {f.name: _encoding(f.type) for f in table.schema if f.name not in repeated and _encoding(f.type)}
    pq.write_table(
        table, path, compression="zstd", compression_level=3, row_group_size=ROW_GROUP_ROWS,
        use_dictionary=repeated, column_encoding=encodings, version="2.6", data_page_version="1.0",
        dictionary_pagesize_limit=4 * 1024 * 1024,
    )  # fmt: skip


def _sorted(table: pa.Table, keys: list[str]) -> bool:
    """Whether rows are in order already, as a reduction's are."""
    before = np.zeros(max(table.num_rows - 1, 0), bool)  # whether a row is before the next one by the keys so far
    for name in keys:
        column = table[name].to_numpy()
        if (~before & (column[1:] < column[:-1])).any():
            return False
        before |= column[1:] > column[:-1]
    return True


def _repeats(field: pa.Field, schema: pa.Schema) -> bool:
    """Whether values repeat from row to row: all text, and what photometry says of a source, not of a frame."""
    if pa.types.is_string(field.type):
        return True
    constant = ("ra", "dec", "x", "y", "healpix_29", "ref_id", "object_id", "source_id", "flags")
    per_frame = "source_id" in schema.names and "frame" in schema.names
    return field.name in ("exposure_id", "detector_id", "reduction_id") or (per_frame and field.name in constant)


def _encoding(type_: pa.DataType) -> str | None:
    if pa.types.is_floating(type_):
        return "BYTE_STREAM_SPLIT"
    return "DELTA_BINARY_PACKED" if type_ in (pa.int16(), pa.int32(), pa.int64()) else None
