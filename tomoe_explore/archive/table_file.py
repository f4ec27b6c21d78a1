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
    Numbers are split into byte streams (``BYTE_STREAM_SPLIT``), so that zstd finds the quiet exponents of noise and the
    runs of what repeats over a source's frames; integers are kept as differences. Both cost less time and fewer bytes
    than dictionaries.
    """
    keys = [(name, "ascending") for name in _ORDER if name in table.column_names]
    if keys and not _sorted(table, [name for name, _ in keys]):
        table = table.sort_by(keys)
    encodings = {f.name: encoding for f in table.schema if (encoding := _encoding(f))}
    few = [f.name for f in table.schema if f.name not in encodings]
    pq.write_table(
        table, path, compression="zstd", compression_level=1, row_group_size=ROW_GROUP_ROWS,
        use_dictionary=few, column_encoding=encodings, version="2.6", data_page_version="1.0",
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


def _encoding(field: pa.Field) -> str | None:
    """How a column's numbers are laid out; None: a dictionary, for text and for flags, which take few values."""
    if field.name == "flags":
        return None
    if pa.types.is_floating(field.type):
        return "BYTE_STREAM_SPLIT"
    return "DELTA_BINARY_PACKED" if field.type in (pa.int16(), pa.int32(), pa.int64()) else None
