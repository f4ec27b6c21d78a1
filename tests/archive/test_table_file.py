"""Parts of tables as Parquet files: their bytes, their order, and readers that know nothing of this package."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from tests.archive.reductions import make_exposure, make_tables
from tomoe_explore.archive.table_file import ROW_GROUP_ROWS, read_staged, write_part, write_staged
from tomoe_explore.camera import ROW_TIME_S


def _noisy(path: Path) -> int:
    """2,000 sources with noise in every bit of flux, error and sky; the number of rows."""
    rng = np.random.default_rng(6)
    exposure, n = make_exposure(), 2000
    ids = rng.integers(2**60, 2**62, n)
    made = make_tables(357754112001, exposure, 310 + 0.6 * rng.random(n), -12 + 0.3 * rng.random(n), ref_id=ids)
    table = made["photometry"]
    rows = table.num_rows
    y = np.repeat(rng.uniform(0, 1128, n), exposure.n_frames)
    noisy = {
        "flux": rng.normal(1e6, 3e5, rows), "flux_err": rng.normal(1e4, 3e2, rows),
        "background": rng.normal(200, 3, rows), "x": np.repeat(rng.uniform(0, 2000, n), exposure.n_frames), "y": y,
    }  # fmt: skip
    for name, values in noisy.items():
        index = table.schema.get_field_index(name)
        table = table.set_column(index, table.schema.field(index), [values.astype(np.float32)])
    mjd = 59075.5 + (table["frame"].to_numpy() * 0.5 + y * ROW_TIME_S) / 86400
    index = table.schema.get_field_index("mjd")
    table = table.set_column(index, table.schema.field(index), [mjd])
    begins = write_staged({"before": table.slice(0, 3), "table": table}, path.with_suffix(".arrow"))
    write_part([read_staged(path.with_suffix(".arrow"), begins["table"])], table.schema, path)
    return rows


def test_photometry_is_small_and_in_order(tmp_path: Path) -> None:
    path = tmp_path / "photometry.parquet"
    rows = _noisy(path)
    assert path.stat().st_size / rows <= 14.0
    metadata = pq.read_metadata(path)
    sizes = [metadata.row_group(g).num_rows for g in range(metadata.num_row_groups)]
    assert len(sizes) == -(-rows // ROW_GROUP_ROWS)
    assert max(sizes) <= ROW_GROUP_ROWS
    assert max(sizes) - min(sizes) < len(sizes)
    index = metadata.schema.names.index("healpix_29")
    groups = [metadata.row_group(g).column(index).statistics for g in range(metadata.num_row_groups)]
    assert all(a.max <= b.min for a, b in pairwise(groups))


def test_other_readers(tmp_path: Path) -> None:
    path = tmp_path / "photometry.parquet"
    rows = _noisy(path)
    frame = pd.read_parquet(path)
    mean, count = duckdb.sql(f"select avg(flux), count(distinct source_id) from '{path}'").fetchall()[0]
    assert len(frame) == rows
    assert count == 2000
    np.testing.assert_allclose(mean, frame["flux"].mean(), rtol=1e-5)
    described = pq.read_schema(path).field("flux").metadata
    assert described[b"ucd"] == b"phot.flux.density;em.opt.V"
    assert b"Flux density" in described[b"description"]
