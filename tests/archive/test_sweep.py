"""Rows of many files along a key: all of them, once, each row group decoded once, in portions of about equal size."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.archive.parts import film_tables, write_exposure
from tomoe_explore import schema
from tomoe_explore.archive import sweep as sweep_module
from tomoe_explore.archive.row_groups import Selection
from tomoe_explore.archive.sweep import Groups, sweep
from tomoe_explore.errors import ArchiveError

ARROW = schema.TABLES["photometry"].arrow
KEY = "healpix_29"
ALL = Selection()


@pytest.fixture(scope="module")
def visits(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Eight visits of one field, of 300 stars with 6 frames, in row groups of 230 rows."""
    folder, rng = tmp_path_factory.mktemp("visits"), np.random.default_rng(1)
    ra, dec = 10 + rng.uniform(0, 0.4, 300), 5 + rng.uniform(0, 0.3, 300)
    return [
        write_exposure(folder / f"{k}.parquet", "photometry", [film_tables(357754 + k, ra, dec)["photometry"]],
                       group_rows=230)
        for k in range(8)
    ]  # fmt: skip


def in_order(rows: pa.Table) -> pa.Table:
    return rows.take(pa.array(np.argsort(rows[KEY].to_numpy(), kind="stable")))


def test_each_row_comes_once_and_each_group_is_read_once(visits: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[tuple[Path, int]] = []
    real = sweep_module.read_group

    def watched(path: Path, schema: pa.Schema, group: int, selection: Selection) -> pa.Table:
        read.append((path, group))
        return real(path, schema, group, selection)

    monkeypatch.setattr(sweep_module, "read_group", watched)
    groups = Groups.of(visits, KEY, None, ALL)
    ranges = groups.ranges(1000, None)
    portions = list(sweep(groups, ranges, ARROW, ALL, KEY, in_order))
    assert sorted(read) == sorted(set(read))
    assert len(read) == 8 * 8
    for (first, last), rows in zip(ranges, portions, strict=True):
        place = rows[KEY].to_numpy()
        assert ((place >= first) & (place < last)).all()
    together = pa.concat_tables([pq.read_table(path, schema=ARROW) for path in visits])
    found = in_order(pa.concat_tables(portions))
    assert found.combine_chunks().equals(in_order(together).combine_chunks())
    sizes = [rows.num_rows for rows in portions]
    assert max(sizes) < 2 * 1000
    assert len(sizes) == -(-8 * 1800 // 1000)


def test_part_of_the_range_and_without_a_reduction(visits: list[Path]) -> None:
    rows = pq.read_table(visits[0], schema=ARROW)
    first, last = (int(v) for v in np.quantile(rows[KEY].to_numpy(), (0.3, 0.6)))
    gone = rows["reduction_id"][0].as_py()
    selection = Selection(without=(gone,))
    groups = Groups.of(visits, KEY, (first, last), selection)
    assert len(groups.n_rows) < 7 * 8
    found = pa.concat_tables(
        sweep(groups, groups.ranges(500, (first, last)), ARROW, selection, KEY, in_order)
    ).to_pandas()  # fmt: skip
    together = pa.concat_tables([pq.read_table(path, schema=ARROW) for path in visits]).to_pandas()
    wanted = together[together[KEY].between(first, last - 1) & (together["reduction_id"] != gone)]
    assert sorted(zip(found["source_id"], found["frame"], strict=True)) == sorted(
        zip(wanted["source_id"], wanted["frame"], strict=True)
    )


def test_a_group_out_of_order_is_put_in_order(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    rows = film_tables(357754, 10 + rng.uniform(0, 0.4, 50), 5 + rng.uniform(0, 0.3, 50))["photometry"]
    pq.write_table(rows.take(pa.array(rng.permutation(rows.num_rows))), tmp_path / "part")
    groups = Groups.of([tmp_path / "part"], KEY, None, ALL)
    found = partial(sweep, groups, groups.ranges(40, None), ARROW, ALL, KEY)
    places = np.concatenate([portion[KEY].to_numpy() for portion in found(in_order)])
    assert (np.diff(places) >= 0).all()
    assert len(places) == rows.num_rows


def test_rows_that_are_decoded_at_once(visits: list[Path]) -> None:
    groups = Groups.of(visits, KEY, None, ALL)
    assert 8 * 230 <= groups.most_open() <= 2 * 8 * 230  # a row group a visit, and those that begin where it ends
    assert Groups.of([], KEY, None, ALL).most_open() == 0
    assert Groups.of([], KEY, None, ALL).ranges(100, None) == []


def test_a_file_that_is_gone(visits: list[Path], tmp_path: Path) -> None:
    path = tmp_path / "part"
    path.write_bytes(visits[0].read_bytes())
    groups = Groups.of([path], KEY, None, ALL)
    path.unlink()
    with pytest.raises(ArchiveError, match="part cannot be read"):
        list(sweep(groups, groups.ranges(100, None), ARROW, ALL, KEY, in_order))
