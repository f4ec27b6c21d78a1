"""The Intake catalog: all entries in pandas and Dask, relocatable, and errors that name what is right."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import duckdb
import intake
import numpy as np
import pytest

from tests.archive.reductions import make_exposure, make_film, reduce_film
from tomoe_explore import schema
from tomoe_explore.archive import Archive, open_archive
from tomoe_explore.errors import ArchiveError, ParameterError, TooManyRowsError

ENTRIES = {
    "exposures", "frames", "photometry", "sources", "stacks", "movers", "mover_detections", "mover_films", "streaks",
    "light_curves", "masters", "reductions", "sky_map",
}  # fmt: skip


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither the environment nor the working directory names an archive."""
    monkeypatch.delenv("TOMOE_ARCHIVE", raising=False)
    monkeypatch.delenv("TOMOE_DATABASE", raising=False)
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three exposures, one of them reduced twice."""
    directory = tmp_path_factory.mktemp("catalog")
    archive = Archive.create(directory / "archive")
    for exposure_id in (357754, 357755, 357756):
        exposure = make_exposure(exposure_id)
        reduce_film(archive, make_film(directory, exposure), exposure)
    reduce_film(archive, directory / "357754-112.fits", make_exposure(), force=True)
    return archive.root


@pytest.fixture
def archive(tmp_path: Path, template: Path) -> Archive:
    """A copy of the template: an archive may be moved."""
    return open_archive(shutil.copytree(template, tmp_path / "some" / "archive"))


@pytest.fixture
def yaml(repository: Path) -> Path:
    return repository / "catalogs" / "tomoe.yaml"


def test_both_files_are_one(repository: Path, yaml: Path) -> None:
    assert yaml.read_bytes() == (repository / "tomoe_explore" / "tomoe.yaml").read_bytes()


def test_entries(archive: Archive, yaml: Path) -> None:
    for cat in (archive.catalog, intake.open_catalog(str(yaml))):
        assert set(cat) == ENTRIES == set(schema.TABLES)
        assert {"night", "exposure_id", "detector_id", "position", "radius"} <= set(cat.user_parameters)
        assert all(cat[name].metadata["description"] for name in cat)
        assert "photometry" in repr(cat["photometry"])


def test_every_entry_in_pandas_and_dask(archive: Archive) -> None:
    cat = archive.catalog
    for name in ENTRIES:
        frame, lazy = cat[name].read(), cat[name].to_dask()
        computed = lazy.compute()
        assert list(frame.columns) == list(archive.table(name).column_names)
        assert frame.dtypes.equals(lazy.dtypes)
        assert computed.reset_index(drop=True).equals(frame.reset_index(drop=True)), name
        assert cat[name].discover().dtypes.equals(frame.dtypes)
    assert len(cat["photometry"].read()) == 3 * 36
    assert cat["stacks"].read()["product_id"].str.startswith("stack-").all()


def test_an_empty_archive_is_no_error(tmp_path: Path) -> None:
    cat = Archive.create(tmp_path / "empty").catalog
    for name in ENTRIES:
        assert len(cat[name].read(night="2020-08-14")) == 0
        assert len(cat[name].to_dask().compute()) == 0


@pytest.mark.parametrize(
    ("filters", "rows"),
    [
        ({"night": "2020-08-14"}, 108), ({"night": "2020-08-15"}, 0), ({"exposure_id": 357755}, 36),
        ({"detector_id": 113}, 0), ({"position": "310.01 -12.01", "radius": "1 arcsec"}, 54),
        ({"position": (310.01, -12.01), "exposure_id": [357754, 357755]}, 36), ({"all_versions": True}, 144),
        ({"columns": ["flux", "mag"]}, 108),
    ],
)  # fmt: skip
def test_filters_by_any_way(archive: Archive, filters: dict[str, Any], rows: int) -> None:
    cat = archive.catalog
    readers = [cat["photometry"](**filters), cat(**filters)["photometry"], cat.photometry(**filters)]
    frames = [cat["photometry"].read(**filters), *(reader.read() for reader in readers)]
    frames += [reader.to_dask().compute() for reader in readers] + [cat["photometry"].to_dask(**filters).compute()]
    assert [len(frame) for frame in frames] == [rows] * 8
    assert all(frame.dtypes.equals(frames[0].dtypes) for frame in frames)


def test_only_current_reductions(archive: Archive) -> None:
    current = archive.catalog["reductions"].read()
    assert current["reduction_id"].tolist() == [357754112002, 357755112001, 357756112001]
    everything = archive.catalog["reductions"].read(all_versions=True)
    assert everything["superseded_by"].tolist()[0] == 357754112002
    assert everything["superseded_by"].dtype == "Int64"


@pytest.mark.parametrize(
    "ask",
    [
        lambda cat: cat["photometry"].read(nigth="2020-08-14"),
        lambda cat: cat(nigth="2020-08-14")["photometry"],
        lambda cat: cat["photometry"](nigth="2020-08-14"),
        lambda cat: cat["photometry"].to_dask(nigth="2020-08-14"),
    ],
)
def test_a_wrong_name_is_told_the_right_ones(archive: Archive, ask: Any) -> None:
    with pytest.raises(ParameterError, match="no parameter 'nigth': filters are night, exposure_id, detector_id"):
        ask(archive.catalog)


def test_wrong_values_and_attributes(archive: Archive) -> None:
    cat = archive.catalog
    with pytest.raises(ParameterError, match="write '2020-08-14'"):
        cat["photometry"].read(night="14.8.2020")
    with pytest.raises(ParameterError, match="write an angle with its unit"):
        cat(position="310 -12", radius=3)["sources"].read()
    with pytest.raises(AttributeError, match="it has read, to_dask and discover"):
        cat["photometry"].raed()
    with pytest.raises(KeyError):
        cat["photometri"]
    with pytest.raises(ArchiveError, match="tomoe init"):
        cat(archive="/nowhere")["photometry"].read()


def test_too_many_rows(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TooManyRowsError, match=r"108 rows.*limit=None"):
        archive.catalog["photometry"].read(limit=100)
    monkeypatch.setattr("tomoe_explore.catalog.ROW_LIMIT", 100)
    with pytest.raises(TooManyRowsError):
        archive.catalog["photometry"].read()
    assert len(archive.catalog["photometry"].read(limit=None)) == 108
    with pytest.raises(TooManyRowsError, match=r"108 rows.*limit=None"):
        archive.catalog["photometry"].to_dask()
    assert len(archive.catalog["photometry"].to_dask(limit=None).compute()) == 108
    assert len(archive.catalog["photometry"].to_dask(exposure_id=357755).compute()) == 36


def test_where_the_archive_is(archive: Archive, yaml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def rows(file: Path, **parameters: Any) -> int:
        return len(intake.open_catalog(str(file))(**parameters)["sources"].read())

    assert rows(yaml, archive=str(archive.root)) == 6
    inside = Path(shutil.copy(yaml, archive.root))
    assert rows(inside) == 6  # in the archive
    catalogs = archive.root.parent / "catalogs"
    catalogs.mkdir()
    beside = Path(shutil.copy(yaml, catalogs))
    assert rows(beside) == 6  # beside it, as in a clone
    shutil.copytree(archive.root.parent, tmp_path / "moved")
    shutil.rmtree(archive.root.parent)
    assert rows(tmp_path / "moved" / "archive" / "tomoe.yaml") == 6
    assert rows(tmp_path / "moved" / "catalogs" / "tomoe.yaml") == 6
    monkeypatch.setenv("TOMOE_ARCHIVE", str(tmp_path / "moved" / "archive"))
    assert rows(Path(shutil.copy(yaml, tmp_path))) == 6


def test_partitions_hold_whole_exposures(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tomoe_explore.catalog.PARTITION_ROWS", 50)
    lazy = archive.catalog["photometry"].to_dask()
    assert lazy.npartitions == 2
    assert lazy.map_partitions(lambda part: part["exposure_id"].nunique()).compute().tolist() == [2, 1]


def test_duckdb_reads_the_listed_files(archive: Archive) -> None:
    paths = archive.search(product="photometry")["path"].tolist()
    flux, rows = duckdb.sql(f"select sum(flux), count(*) from read_parquet({paths!r})").fetchall()[0]
    frame = archive.catalog["photometry"].read()
    assert rows == len(frame)
    np.testing.assert_allclose(flux, frame["flux"].astype(float).sum(), rtol=1e-6)
