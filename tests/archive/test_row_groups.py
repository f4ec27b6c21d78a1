"""Pruned reads: what is chosen from footers is what a look at every row chooses, and no more is read than needed."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.archive.parts import film_tables, write_exposure
from tomoe_explore import schema
from tomoe_explore.archive import sky
from tomoe_explore.archive.row_groups import Selection, count_rows, footer, read_rows
from tomoe_explore.errors import ArchiveError, ParameterError

ARROW = schema.TABLES["photometry"].arrow

#: Where cones go wrong: RA zero, the poles, a corner of three base cells of HEALPix, the edge of a cell of order 5.
CENTERS = [(310.0, -12.0), (0.0, 5.0), (359.9999, 0.0), (17.0, 89.99), (200.0, -89.995), (45.0, 41.8103), (90.0, 0.0)]


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three exposures with a film about each of the centres: 300 stars within some arcminutes."""
    folder, rng, paths = tmp_path_factory.mktemp("parts"), np.random.default_rng(4), []
    for exposure_id in (357754, 357755, 357756):
        films = []
        for k, (ra, dec) in enumerate(CENTERS):
            distance, angle = np.radians(0.1 * np.sqrt(rng.random(300))), rng.uniform(0, 2 * np.pi, 300)
            ras, decs = _around(ra, dec, distance, angle)
            films.append(film_tables(exposure_id, ras, decs, detector_id=111 + k)["photometry"])
        paths.append(write_exposure(folder / f"photometry-{exposure_id}.parquet", "photometry", films, group_rows=90))
    return paths


def _around(ra: float, dec: float, distance: np.ndarray, angle: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positions (deg) at a distance and position angle (rad) from one."""
    d = np.radians(dec)
    sin_dec = np.sin(d) * np.cos(distance) + np.cos(d) * np.sin(distance) * np.cos(angle)
    y, x = np.sin(angle) * np.sin(distance) * np.cos(d), np.cos(distance) - np.sin(d) * sin_dec
    return (ra + np.degrees(np.arctan2(y, x))) % 360, np.degrees(np.arcsin(sin_dec))


def everything(paths: list[Path]) -> pa.Table:
    return _everything(tuple(paths))


@cache
def _everything(paths: tuple[Path, ...]) -> pa.Table:
    return pa.concat_tables([pq.read_table(path, schema=ARROW) for path in paths]).combine_chunks()


@cache
def _present(paths: tuple[Path, ...], name: str) -> list[int]:
    """Some of the values of a column."""
    values = np.unique(_everything(paths)[name]).tolist()
    return values[:: 1 + len(values) // 30]


@pytest.mark.parametrize("center", CENTERS)
@pytest.mark.parametrize("radius", [0.5 / 3600, 30 / 3600, 0.05, 0.2])
def test_a_cone_loses_nothing(parts: list[Path], center: tuple[float, float], radius: float) -> None:
    rows = everything(parts)
    inside = sky.separation_deg(*center, rows["ra"].to_numpy(), rows["dec"].to_numpy()) <= radius
    found = read_rows(parts, ARROW, ARROW.names, Selection(healpix_29=tuple(sky.cone_ranges(*center, radius))))
    exact = sky.separation_deg(*center, found["ra"].to_numpy(), found["dec"].to_numpy()) <= radius
    assert found.filter(pa.array(exact)).equals(rows.filter(pa.array(inside)))
    assert radius < 0.01 or inside.any()


@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_any_selection_is_that_of_every_row(parts: list[Path], data: st.DataObject) -> None:
    rows = everything(parts)
    chosen: dict[str, tuple] = {}
    for name in ("exposure_id", "detector_id", "reduction_id", "source_id", "without"):
        present = _present(tuple(parts), "reduction_id" if name == "without" else name)
        ids = st.lists(st.one_of(st.sampled_from(present), st.integers(0, 2**62)), max_size=4)
        if (given_ids := data.draw(st.none() | ids)) is not None:
            chosen[name] = tuple(given_ids)
    ends = _present(tuple(parts), "healpix_29")
    pair = st.tuples(st.sampled_from(ends), st.sampled_from(ends)).map(lambda p: (min(p), max(p)))
    if (ranges := data.draw(st.none() | st.lists(pair, max_size=4))) is not None:
        chosen["healpix_29"] = tuple(ranges)
    keep = np.ones(rows.num_rows, bool)
    for name, values in chosen.items():
        column = rows["reduction_id" if name == "without" else name].to_numpy()
        if name == "without":
            keep &= ~np.isin(column, np.array(values, np.int64))
        elif name == "healpix_29":
            keep &= np.any([np.zeros(len(column), bool)] + [(column >= a) & (column < b) for a, b in values], axis=0)
        else:
            keep &= np.isin(column, np.array(values, np.int64))
    selection = Selection(**chosen)
    found = read_rows(parts, ARROW, ["frame", "flux", "source_id"], selection)
    assert found.column_names == ["source_id", "flux", "frame"]
    assert found.equals(rows.select(found.column_names).filter(pa.array(keep)))
    assert found.num_rows <= count_rows(parts, selection) <= rows.num_rows


def test_only_row_groups_that_are_needed_are_read(parts: list[Path]) -> None:
    """The rest of the file is overwritten with rubbish: whoever read it would fail."""
    selection = Selection(detector_id=(113,), exposure_id=(357755,))
    assert [len(selection.groups(footer(path))) for path in parts] == [0, 20, 0]
    assert count_rows(parts, selection) == 300 * 6
    spoilt = parts[1].with_name("spoilt.parquet")
    content = bytearray(parts[1].read_bytes())
    metadata = pq.read_metadata(parts[1])
    for g in set(range(metadata.num_row_groups)) - set(selection.groups(footer(parts[1])).tolist()):
        for c in range(metadata.num_columns):
            chunk = metadata.row_group(g).column(c)
            first = chunk.data_page_offset
            content[first : first + chunk.total_compressed_size] = b"\xff" * chunk.total_compressed_size
    spoilt.write_bytes(content)
    found = read_rows([spoilt], ARROW, ARROW.names, selection)
    assert found.num_rows == 300 * 6
    assert found.equals(everything(parts).filter(pa.array(selection.mask(everything(parts)))))
    with pytest.raises(ArchiveError, match=r"(?s)table file .*spoilt.parquet cannot be read.*tomoe doctor"):
        read_rows([spoilt], ARROW, ARROW.names, Selection(detector_id=(114,)))


def test_without_a_filter_all_is_read_and_without_a_file_nothing(parts: list[Path]) -> None:
    assert read_rows(parts, ARROW, ARROW.names, Selection()).equals(everything(parts))
    assert count_rows(parts, Selection()) == everything(parts).num_rows
    empty = read_rows([], ARROW, ["ra", "mjd"], Selection(exposure_id=(1,)))
    assert empty.schema.equals(pa.schema([ARROW.field("ra"), ARROW.field("mjd")]))
    assert read_rows(parts, ARROW, ["ra"], Selection(exposure_id=())).num_rows == 0


def test_a_file_made_anew_under_its_path_is_noticed(parts: list[Path], tmp_path: Path) -> None:
    path = tmp_path / "part.parquet"
    for source in (parts[0], parts[1]):
        (tmp_path / "new").write_bytes(source.read_bytes())
        os.replace(tmp_path / "new", path)
        (exposure_id,) = set(read_rows([path], ARROW, ["exposure_id"], Selection())["exposure_id"].to_pylist())
        assert read_rows([path], ARROW, ["mjd"], Selection(exposure_id=(exposure_id,))).num_rows == 7 * 300 * 6
    assert exposure_id == 357755


def test_what_cannot_be_read_is_named(parts: list[Path], tmp_path: Path) -> None:
    for path, content in ((tmp_path / "gone", None), (tmp_path / "rubbish", b"PAR1 no parquet")):
        if content is not None:
            path.write_bytes(content)
        for read in (lambda p=path: read_rows([p], ARROW, ["ra"], Selection()),
                     lambda p=path: count_rows([p], Selection())):  # fmt: skip
            with pytest.raises(ArchiveError, match=f"(?s)table file {path} cannot be read.*tomoe doctor"):
                read()
    with pytest.raises(ParameterError, match="no column 'mover_id' to filter by; the file has source_id"):
        read_rows(parts, ARROW, ["ra"], Selection(mover_id=(1,)))
