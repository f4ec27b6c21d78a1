"""The truth tables (``schema.TRUTH``): gathered film by film, written at the end."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tomoe_explore import schema


class TruthTables:
    """Rows of all truth tables, and the hidden draws of each film.

    Examples
    --------
    >>> truth = TruthTables()
    >>> truth.add("variables", star_id=[1], ref_id=[None], kind="pulsation", ra=[1.0], dec=[2.0],
    ...           phot_g_mean_mag=[14.0], period=[0.1], amplitude=[0.3], epoch=[59000.0])
    >>> truth.table("variables").num_rows
    1
    """

    def __init__(self) -> None:
        self._parts: dict[str, list[pa.Table]] = defaultdict(list)
        self.hidden: list[dict[str, Any]] = []

    def add(self, table: str, **columns: object) -> None:
        """Add rows; scalars are repeated."""
        arrays = {name: np.asarray(c) if isinstance(c, np.ndarray) else c for name, c in columns.items()}
        self._parts[table].append(schema.conform(table, arrays, truth=True))

    def extend(self, other: TruthTables) -> None:
        """Add the rows of another."""
        for name, parts in other._parts.items():
            self._parts[name] += parts
        self.hidden += other.hidden

    def table(self, name: str) -> pa.Table:
        """One table, with its schema even where it has no rows."""
        empty = schema.TRUTH[name].arrow.empty_table()
        return pa.concat_tables([empty, *self._parts[name]]).combine_chunks()

    def write(self, folder: Path) -> Mapping[str, Path]:
        """Write all tables and ``hidden.json``; returns where each table is."""
        folder.mkdir(parents=True, exist_ok=True)
        paths = {name: folder / f"{name}.parquet" for name in schema.TRUTH}
        for name, path in paths.items():
            partial = path.with_suffix(".part")
            pq.write_table(self.table(name), partial, compression="zstd")
            os.replace(partial, path)
        partial = folder / "hidden.part"
        partial.write_text(json.dumps(self.hidden, indent=1) + "\n")
        os.replace(partial, folder / "hidden.json")
        return paths
