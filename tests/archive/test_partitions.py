"""Merged files: row for row the sorted concatenation of what was merged, however it is cut into portions."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.archive.parts import film_tables, write_exposure
from tomoe_explore import schema
from tomoe_explore.archive import partitions, sky
from tomoe_explore.archive.partitions import Objects, cells_of, merge, partitioned
from tomoe_explore.archive.row_groups import Selection, read_rows
from tomoe_explore.archive.table_file import ROW_GROUP_ROWS
from tomoe_explore.errors import ArchiveError

ARROW = schema.TABLES["photometry"].arrow

#: A corner where cells of order 5 meet, across RA zero.
CORNER = (0.0, 0.0)


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    """Parts of five exposures, of two films each, about a corner of cells; stars recur, some at the very same place."""
    folder, rng = tmp_path_factory.mktemp("parts"), np.random.default_rng(5)
    ra0, dec0 = CORNER[0] + rng.uniform(-0.3, 0.3, 400), CORNER[1] + rng.uniform(-0.2, 0.2, 400)
    made: dict[str, list[Path]] = {"photometry": [], "sources": [], "frames": []}
    for exposure_id in (357756, 357754, 357755, 357758, 357757):
        films = []
        for detector_id in (111, 112):
            moved = np.where(np.arange(400) % 2, rng.normal(0, 0.2 / 3600, 400), 0.0)
            films.append(film_tables(exposure_id, (ra0 + moved) % 360, dec0 + moved, detector_id=detector_id))
        for table, paths in made.items():
            path = folder / f"{table}-{exposure_id}.parquet"
            paths.append(write_exposure(path, table, [film[table] for film in films], group_rows=230))
    return made


@pytest.fixture(params=[700, 10**6], ids=["in portions", "at once"])
def _portions(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partitions, "_AT_ONCE", request.param)


def together(paths: list[Path], table: str) -> pd.DataFrame:
    return pa.concat_tables([pq.read_table(p, schema=schema.TABLES[table].arrow) for p in paths]).to_pandas()


def same(path: Path, expected: pd.DataFrame, table: str = "photometry") -> None:
    found = pq.read_table(path)
    assert found.schema.remove_metadata().equals(schema.TABLES[table].arrow.remove_metadata())
    wanted = pa.Table.from_pandas(expected, schema=schema.TABLES[table].arrow, preserve_index=False)
    assert found.num_rows == wanted.num_rows
    for name in found.column_names:
        assert found[name].combine_chunks().equals(wanted[name].combine_chunks()), name


@pytest.mark.usefixtures("_portions")
@pytest.mark.parametrize("table", ["photometry", "sources"])
def test_a_cell_is_the_sorted_concatenation(parts: dict[str, list[Path]], tmp_path: Path, table: str) -> None:
    rows, n = together(parts[table], table), 0
    cells = cells_of(parts[table])
    assert len({c for c in cells if (rows["healpix_29"] // 4**24 == c).any()}) >= 3
    for cell, inputs in cells.items():
        path = tmp_path / f"{cell}.parquet"
        written = merge(table, inputs, path, cell=cell)
        expected = rows[rows["healpix_29"] // 4**24 == cell]
        same(path, expected.sort_values(["healpix_29", "mjd"], kind="stable"), table)
        assert written == len(expected)
        n += written
    assert n == len(rows)


def test_many_visits_are_merged_by_steps(
    parts: dict[str, list[Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where more rows are of the same place than fit into memory: the same rows in the same order, no file left."""
    rows = together(parts["photometry"], "photometry")
    old = sorted(set(rows["reduction_id"]))[:1]
    monkeypatch.setattr(partitions, "_OPEN", 1000)
    monkeypatch.setattr(partitions, "_FILES", 2)
    for cell, inputs in cells_of(parts["photometry"]).items():
        merge("photometry", inputs, tmp_path / "cell", cell=cell, without=old)
        expected = rows[(rows["healpix_29"] // 4**24 == cell) & ~rows["reduction_id"].isin(old)]
        same(tmp_path / "cell", expected.sort_values(["healpix_29", "mjd"], kind="stable"))
    assert [path.name for path in tmp_path.iterdir()] == ["cell"]


@pytest.mark.usefixtures("_portions")
def test_nights_merge_into_all_nights(parts: dict[str, list[Path]], tmp_path: Path) -> None:
    """Merging what was merged gives what one merge of all gives."""
    cell, inputs = next(iter(cells_of(parts["photometry"]).items()))
    for name, chosen in (("a", inputs[:2]), ("b", inputs[2:]), ("all", inputs)):
        merge("photometry", chosen, tmp_path / name, cell=cell)
    merge("photometry", [tmp_path / "a", tmp_path / "b"], tmp_path / "ab", cell=cell)
    assert pq.read_table(tmp_path / "ab").equals(pq.read_table(tmp_path / "all"))


def test_cones_over_cells_lose_nothing(parts: dict[str, list[Path]], tmp_path: Path) -> None:
    rows = together(parts["photometry"], "photometry")
    files = []
    for cell, inputs in cells_of(parts["photometry"]).items():
        files.append(tmp_path / f"{cell}.parquet")
        merge("photometry", inputs, files[-1], cell=cell)
    rng = np.random.default_rng(3)
    for ra, dec in [CORNER, *zip(rng.uniform(-0.3, 0.3, 20) % 360, rng.uniform(-0.2, 0.2, 20), strict=True)]:
        selection = Selection(healpix_29=tuple(sky.cone_ranges(ra, dec, 0.03)))
        found = read_rows(files, ARROW, ["source_id", "frame", "ra", "dec"], selection).to_pandas()
        found = found[sky.separation_deg(ra, dec, found["ra"], found["dec"]) <= 0.03]
        expected = rows[sky.separation_deg(ra, dec, rows["ra"], rows["dec"]) <= 0.03]
        key = ["source_id", "frame"]
        assert found[key].sort_values(key).to_numpy().tolist() == expected[key].sort_values(key).to_numpy().tolist()
        assert len(expected)


def test_objects_are_filled_in_where_there_is_no_reference_star(parts: dict[str, list[Path]], tmp_path: Path) -> None:
    rows = together(parts["sources"], "sources")
    free = rows[rows["ref_id"].isna()].sort_values("source_id")
    objects = Objects(free["source_id"].to_numpy()[1:], free["source_id"].to_numpy()[1:] // 7)
    cell = next(iter(cells_of(parts["photometry"])))
    merge("photometry", parts["photometry"], tmp_path / "with", cell=cell, objects=objects)
    found = pq.read_table(tmp_path / "with").to_pandas()
    expected = (found["source_id"] // 7).astype("Int64")
    expected[found["ref_id"].notna() | (found["source_id"] == free["source_id"].iloc[0])] = pd.NA
    assert found["object_id"].astype("Int64").equals(expected)
    assert found["object_id"].notna().any()
    # what has an object keeps it
    merge("photometry", [tmp_path / "with"], tmp_path / "again", cell=cell,
          objects=Objects(objects.source_id, objects.object_id + 1))  # fmt: skip
    assert pq.read_table(tmp_path / "again").equals(pq.read_table(tmp_path / "with"))
    merge("photometry", [tmp_path / "with"], tmp_path / "none", cell=cell, objects=Objects(*np.zeros((2, 0), np.int64)))
    assert pq.read_table(tmp_path / "none").equals(pq.read_table(tmp_path / "with"))


def test_superseded_reductions_are_left_out(parts: dict[str, list[Path]], tmp_path: Path) -> None:
    rows = together(parts["photometry"], "photometry")
    old = sorted(set(rows["reduction_id"]))[:3]
    cell = next(iter(cells_of(parts["photometry"])))
    merge("photometry", parts["photometry"], tmp_path / "cell", cell=cell, without=old)
    expected = rows[(rows["healpix_29"] // 4**24 == cell) & ~rows["reduction_id"].isin(old)]
    same(tmp_path / "cell", expected.sort_values(["healpix_29", "mjd"], kind="stable"))


@pytest.mark.usefixtures("_portions")
def test_tables_without_cells_are_in_order_of_exposure(parts: dict[str, list[Path]], tmp_path: Path) -> None:
    assert merge("frames", parts["frames"], tmp_path / "frames") == 5 * 2 * 6
    rows = together(parts["frames"], "frames").sort_values(["exposure_id", "detector_id", "frame"], kind="stable")
    same(tmp_path / "frames", rows, "frames")


def test_two_sources_of_one_place_and_time_are_in_order(tmp_path: Path) -> None:
    """Films of two detectors at once that share a place: rows of the two alternate."""
    ra, dec = np.array([10.0, 10.0, 10.2]), np.array([5.0, 5.0, 5.0])
    films = [film_tables(357754, ra, dec, detector_id=d)["photometry"] for d in (111, 112)]
    path = write_exposure(tmp_path / "part.parquet", "photometry", films)
    cell = int(sky.cells(10.0, 5.0, 5)[0])
    assert merge("photometry", [path], tmp_path / "cell", cell=cell) == 36
    rows = together([path], "photometry")
    assert rows.groupby(["healpix_29", "mjd"]).size().max() > 1
    same(tmp_path / "cell", rows.sort_values(["healpix_29", "mjd"], kind="stable"))


def test_row_groups_are_full_and_in_order(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    ra, dec = 10 + rng.uniform(0, 0.5, 3000), 5 + rng.uniform(0, 0.5, 3000)
    path = write_exposure(tmp_path / "part.parquet", "photometry", [film_tables(357754, ra, dec)["photometry"]])
    counts, groups = [], []
    for cell in cells_of([path]):
        merge("photometry", [path], tmp_path / "cell", cell=cell)
        metadata = pq.read_metadata(tmp_path / "cell")
        groups += [metadata.row_group(g).num_rows for g in range(metadata.num_row_groups)][:-1]
        column = metadata.schema.names.index("healpix_29")
        statistics = [metadata.row_group(g).column(column).statistics for g in range(metadata.num_row_groups)]
        assert all(a.max <= b.min for a, b in pairwise(statistics))
        counts.append(metadata.num_rows)
    assert set(groups) <= {ROW_GROUP_ROWS}
    assert sum(counts) == 3000 * 6


def test_nothing_to_merge(parts: dict[str, list[Path]], tmp_path: Path) -> None:
    assert merge("photometry", parts["photometry"], tmp_path / "cell", cell=7) == 0
    assert merge("frames", [], tmp_path / "frames") == 0
    assert list(tmp_path.glob("*frames*")) == []
    with pytest.raises(ArchiveError, match="gone"):
        merge("frames", [tmp_path / "gone"], tmp_path / "frames")


def test_which_tables_have_cells() -> None:
    assert [name for name in schema.TABLES if partitioned(name)] == ["photometry", "sources"]
