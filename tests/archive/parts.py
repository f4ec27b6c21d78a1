"""Parts of photometry as an archive has them: films of some exposures, with and without reference stars."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.archive.reductions import make_exposure, make_tables
from tomoe_explore import schema
from tomoe_explore.archive.table_file import write_options
from tomoe_explore.ids import make_reduction_id


def film_tables(
    exposure_id: int, ra: np.ndarray, dec: np.ndarray, *, detector_id: int = 112, frames: int = 6, version: int = 1
) -> dict[str, pa.Table]:
    """Tables of one film; every second source is a reference star."""
    reduction_id = make_reduction_id(exposure_id, detector_id, version)
    refs = [None if k % 2 else 10**6 + k for k in range(len(ra))]
    return make_tables(reduction_id, make_exposure(exposure_id, detector_id, n_frames=frames), ra, dec, ref_id=refs)


def write_exposure(path: Path, table: str, films: Sequence[pa.Table], *, group_rows: int = 50) -> Path:
    """One exposure's part: film after film, each in order, row groups that never mix films."""
    arrow = schema.TABLES[table].arrow
    options = {name: value for name, value in write_options(arrow).items() if name != "row_group_size"}
    keys = [name for name in ("healpix_29", "source_id", "mover_id", "streak_id", "frame") if name in arrow.names]
    with pq.ParquetWriter(path, arrow, **options) as writer:
        for film in films:
            rows = film.sort_by([(name, "ascending") for name in keys])
            writer.write_table(rows, row_group_size=group_rows)
    return path
