"""One reduction's part of a table as a Parquet file: its order, its encodings, and the bytes that they save."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

#: Rows of a row group: a small cone reads one or two of them (see the design's figures on queries).
ROW_GROUP_ROWS = 16_384

#: What is measured in each row of ``photometry``; all else repeats, from frame to frame or from source to source.
_MEASURED = ("flux", "flux_err", "background")

#: Columns that rows are sought by: statistics say which row groups can hold them.
_SOUGHT = (
    "source_id", "mover_id", "streak_id", "object_id", "ref_id", "exposure_id", "detector_id", "reduction_id", "frame",
    "ra", "dec", "mjd", "mag", "healpix_29",
)  # fmt: skip

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
    Numbers that differ from row to row are split into byte streams (``BYTE_STREAM_SPLIT``), whose quiet exponents LZ4
    packs; what repeats over a source's frames is found by zstd; times do both. No dictionaries: to make one costs more
    than all else. Columns that are measured have no statistics, for nobody seeks by them.
    """
    columns = table.column_names
    keys = [name for name in _ORDER if name in columns]
    if not _sorted(table, keys):
        table = table.sort_by([(name, "ascending") for name in keys])
    pq.write_table(table, path, **write_options(table.schema))


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
    """How `pyarrow.parquet.write_table` lays out the columns of a table."""
    names, per_frame = schema.names, {"source_id", "frame"} <= set(schema.names)
    repeats = [n for n in names if per_frame and n not in _MEASURED]
    split = {f.name for f in schema if pa.types.is_floating(f.type) and (f.name not in repeats or f.name == "mjd")}
    return {
        "column_encoding": {n: "BYTE_STREAM_SPLIT" if n in split else "PLAIN" for n in names},
        "compression": {n: "zstd" if n in repeats else "lz4" for n in names},
        "compression_level": dict.fromkeys(repeats, 1), "use_dictionary": False,
        "write_statistics": [n for n in names if n in _SOUGHT], "row_group_size": ROW_GROUP_ROWS,
        "write_batch_size": ROW_GROUP_ROWS, "version": "2.6", "data_page_version": "1.0",
    }  # fmt: skip
