"""What readers find: by night, exposure, detector and position; nothing where there is nothing; not too much."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from astropy.coordinates import SkyCoord

from tests.archive.reductions import (
    make_exposure,
    make_film,
    make_master,
    make_reduction,
    make_stack,
    reduce_film,
    wcs_header,
)
from tests.databases import Databases, session_databases
from tomoe_explore import schema
from tomoe_explore.archive import Archive, open_archive
from tomoe_explore.errors import ArchiveError, NotFoundError, ParameterError, TooManyRowsError
from tomoe_explore.ids import member_ids


def add(archive: Archive, directory: Path, exposure_id: int = 357754, detector_id: int = 112, **made: object) -> int:
    exposure = make_exposure(exposure_id, detector_id, night=made.pop("night", "2020-08-14"))
    done = reduce_film(archive, make_film(directory, exposure), exposure, **made)
    assert done is not None
    return done


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Archive:
    """Two exposures of detector 112 and one of 113 on the next night, elsewhere."""
    directory = tmp_path_factory.mktemp("three")
    with session_databases(request).apart():
        archive = Archive.create(directory / "archive")
    add(archive, directory, 357754, 112)
    add(archive, directory, 357755, 112)
    add(archive, directory, 357999, 113, night="2020-08-15", ra=(20.0, 20.01), dec=(30.0, 30.0), ref_id=(7, 8))
    return archive


@pytest.fixture
def three(tmp_path: Path, template: Archive, databases: Databases) -> Archive:
    """A copy of the template."""
    return databases.copy(template, tmp_path / "three")


def test_an_empty_archive_gives_empty_tables(archive: Archive) -> None:
    for name in schema.TABLES:
        for filters in ({}, {"night": "2020-08-14"}, {"exposure_id": 1}, {"detector_id": 112}):
            assert archive.table(name, **filters).num_rows == 0
        derived = {"photometry": ["mag", "mag_err"], "movers": ["known"]}
        expected = [*schema.TABLES[name].names, *derived.get(name, [])]
        assert archive.table(name).column_names == expected
    assert len(archive.search()) == 0
    assert len(archive.search("310 -12", radius="1 deg")) == 0
    with pytest.raises(NotFoundError, match="no reduced film covers"):
        archive.light_curve("310 -12")
    assert "reductions" in repr(archive)
    assert "<table" in archive._repr_html_()


def test_filters(three: Archive) -> None:
    assert three.table("photometry").num_rows == 3 * 36
    assert three.table("photometry", night="2020-08-14").num_rows == 72
    assert three.table("photometry", night="2020-08-14:2020-08-15").num_rows == 108
    assert three.table("photometry", exposure_id=357755).num_rows == 36
    assert three.table("photometry", exposure_id=[357755, 357999]).num_rows == 72
    assert three.table("photometry", detector_id=113).num_rows == 36
    assert three.table("photometry", position="20.01 30", radius="3 arcsec").num_rows == 18
    assert three.table("photometry", position="20.01 30").num_rows == 18
    assert three.table("photometry", position="20.005 30", radius="30 arcsec", night="2020-08-14").num_rows == 0
    assert three.table("exposures", detector_id=113)["exposure_id"].to_pylist() == [357999]
    assert three.table("stacks", position="20 30").num_rows == 1
    assert three.table("frames", position="20 30").num_rows == 18
    assert three.table("reductions", night="2020-08-15")["status"].to_pylist() == ["done"]
    assert len(three.search("310.005 -12.005", product="stacks")) == 2
    assert len(three.search("310.005 -12.005", product="movers,film", night="2020-08-14")) == 2
    assert "3 done" in repr(three)


def test_every_kind_of_table_takes_every_filter(three: Archive) -> None:
    for name in schema.TABLES:
        filters = {"night": "2020-08-14", "exposure_id": 357754, "detector_id": 112}
        if name != "masters":
            filters |= {"position": "310 -12", "radius": "1 arcmin"}
        three.table(name, **filters)
    with pytest.raises(ParameterError, match="masters have no position"):
        three.table("masters", position="310 -12")


def test_columns(three: Archive) -> None:
    assert three.table("photometry", columns=["mag", "ra"]).column_names == ["mag", "ra"]
    cone = three.table("photometry", columns=["flux"], position="310 -12", radius="3 arcsec")
    assert (cone.column_names, cone.num_rows) == (["flux"], 36)
    assert three.table("stacks", columns=["fwhm"])["fwhm"].to_pylist() == pytest.approx([3.0 * 1.189] * 3)
    assert three.table("frames", columns="mjd").column_names == ["mjd"]
    for name in ("photometry", "frames", "stacks", "exposures", "reductions", "masters"):
        assert three.table(name, exposure_id=[]).num_rows == 0
    assert three.search(detector_id=[]).empty
    mag = three.table("photometry", columns=["mag", "mag_err", "flux", "flux_err"])
    expected = 31.4 - 2.5 * np.log10(mag["flux"].to_numpy().astype(float)) - 0.114
    np.testing.assert_allclose(mag["mag"].to_numpy(), expected, atol=2e-3)
    np.testing.assert_allclose(
        mag["mag_err"].to_numpy(), 1.0857 * mag["flux_err"].to_numpy() / mag["flux"].to_numpy(), rtol=1e-3
    )


def test_wrong_questions_name_the_right_ones(three: Archive) -> None:
    with pytest.raises(ParameterError, match="no table 'photometri'; there are photometry, sources"):
        three.table("photometri")
    with pytest.raises(ParameterError, match="no columns mg; it has source_id"):
        three.table("photometry", columns=["mg"])
    with pytest.raises(ParameterError, match="radius '3 arcsec' needs a position"):
        three.table("photometry", radius="3 arcsec")
    with pytest.raises(ParameterError, match="no product 'stak'; there are stack"):
        three.search(product="stak")
    with pytest.raises(NotFoundError, match=r"archive.search\(product='stack'\)"):
        three.read_stack("stack-1")


def test_too_many_rows(three: Archive) -> None:
    with pytest.raises(TooManyRowsError, match=r"108 rows.*night, exposure_id"):
        three.table("photometry", limit=107)
    with pytest.raises(TooManyRowsError, match="36 rows"):
        three.table("photometry", limit=35, position="310 -12", radius="3 arcsec")
    assert three.table("photometry", limit=35, position="20 30", radius="3 arcsec").num_rows == 18
    assert three.table("photometry", limit=None).num_rows == 108
    with pytest.raises(TooManyRowsError):
        three.table("exposures", limit=2)


@pytest.mark.parametrize(("ra0", "dec0"), [(0.0, 0.0), (310.0, -12.0), (100.0, 89.95), (100.0, -90.0)])
def test_cones_equal_brute_force(archive: Archive, tmp_path: Path, ra0: float, dec0: float) -> None:
    rng = np.random.default_rng(3)
    center = SkyCoord(ra0, dec0, unit="deg")
    n = 3000
    stars = center.directional_offset_by(rng.uniform(0, 360, n) * _deg(), 0.18 * np.sqrt(rng.random(n)) * _deg())
    add(archive, tmp_path, ra=stars.ra.deg, dec=stars.dec.deg, ref_id=np.arange(n), stack=make_stack(ra0, dec0))
    for arcsec in (1.0, 30.0, 200.0):
        for target in stars[:4]:
            found = archive.table("sources", position=target, radius=f"{arcsec} arcsec")["ref_id"].to_pylist()
            assert sorted(found) == np.flatnonzero(stars.separation(target).arcsec <= arcsec).tolist()


def _deg() -> object:
    from astropy import units

    return units.deg


@pytest.mark.parametrize(("ra0", "dec0"), [(0.01, 5.0), (200.0, 89.9)])
def test_search_by_position_equals_brute_force(archive: Archive, tmp_path: Path, ra0: float, dec0: float) -> None:
    from astropy.wcs import WCS

    from tomoe_explore.camera import NX, NY

    rng = np.random.default_rng(4)
    centers = SkyCoord(ra0, dec0, unit="deg").directional_offset_by(
        rng.uniform(0, 360, 7) * _deg(), 0.5 * rng.random(7) * _deg()
    )
    for n, center in enumerate(centers):
        add(
            archive,
            tmp_path,
            400000 + n,
            ra=center.ra.deg,
            dec=center.dec.deg,
            ref_id=1,
            stack=make_stack(center.ra.deg, center.dec.deg),
        )
    for target in centers[:5]:
        covering = []
        for n, center in enumerate(centers):
            x, y = WCS(wcs_header(center.ra.deg, center.dec.deg)).all_world2pix(target.ra.deg, target.dec.deg, 0)
            if -0.5 <= x <= NX - 0.5 and -0.5 <= y <= NY - 0.5:
                covering.append(400000 + n)
        found = archive.search(target, product="stack")["exposure_id"].tolist()
        assert found == covering


# --- light curves -----------------------------------------------------------------------------------
def test_light_curve_of_one_star(archive: Archive, tmp_path: Path) -> None:
    """One star over three films in any order; its neighbour 2 arcsec away is reported, never mixed in."""
    near = 2.0 / 3600
    for exposure_id in (357756, 357754, 357755):
        moved = (exposure_id - 357754) * 0.4 / 3600  # proper motion
        add(archive, tmp_path, exposure_id, ra=(310.0, 310.0), dec=(-12.0 + moved, -12.0 - near), ref_id=(11, 12))
    lc = archive.light_curve("20 40 00 -12 00 00", radius="3 arcsec")
    assert len(lc) == 3 * 18
    assert np.all(np.diff(lc.time.mjd) > 0)
    assert (lc.time.scale, str(lc.flux.unit)) == ("utc", "nJy")
    assert lc.meta["REF_ID"] == 11
    assert lc.meta["REDUCTION_IDS"] == [357754112001, 357755112001, 357756112001]
    assert len(lc.meta["SOURCE_IDS"]) == 3
    (neighbour,) = lc.meta["NEIGHBOURS"]
    assert neighbour["ref_id"] == 12
    assert neighbour["distance_arcsec"] == pytest.approx(2.0, abs=0.01)
    rows = archive.table("photometry", exposure_id=357754).to_pandas().query("ref_id == 11").sort_values("frame")
    np.testing.assert_array_equal(np.asarray(lc.flux.value)[:18], rows["flux"].to_numpy().astype(float))
    np.testing.assert_allclose(lc.time.mjd[:18], rows["mjd"], atol=1e-9)
    np.testing.assert_allclose(np.asarray(lc["zeropoint_err"].value, float), 0.012)
    assert {"mag", "mag_err", "exposure_id", "detector_id", "frame", "flags", "background"} <= set(lc.colnames)
    other = archive.light_curve((310.0, -12.0 - near), radius="0.5 arcsec")
    assert other.meta["REF_ID"] == 12
    assert other.meta["NEIGHBOURS"] == []


def test_light_curve_without_a_reference_star(archive: Archive, tmp_path: Path) -> None:
    jitter = np.array([0.0, 0.3, -0.3]) / 3600
    for n, shift in enumerate(jitter):
        add(archive, tmp_path, 357754 + n, ra=(310.0, 310.0), dec=(-12.0 + shift, -12.0 + 4 / 3600), ref_id=None)
    lc = archive.light_curve((310.0, -12.0), radius="5 arcsec")
    assert len(lc) == 3 * 18
    assert lc.meta["REF_ID"] is None
    assert [n["n_points"] for n in lc.meta["NEIGHBOURS"]] == [54]


def test_light_curve_on_some_nights(three: Archive) -> None:
    assert len(three.light_curve((310.0, -12.0), night="2020-08-14")) == 36
    with pytest.raises(NotFoundError, match="on 2020-08-15"):
        three.light_curve((310.0, -12.0), night="2020-08-15")


def test_nothing_there_says_what_to_do(three: Archive) -> None:
    with pytest.raises(NotFoundError, match=r"the nearest lies 20\.. arcsec away"):
        three.light_curve((310.0, -12.0 + 20.0 / 3600))
    with pytest.raises(NotFoundError, match="though 2 stacks cover it"):
        three.light_curve((310.2, -12.0))
    with pytest.raises(NotFoundError, match="no reduced film covers"):
        three.light_curve((120.0, 50.0))
    with pytest.raises(ParameterError, match="Names of objects are not looked up"):
        three.light_curve("Barnard's star")


# --- provenance ------------------------------------------------------------------------------------
def test_provenance_by_any_id(archive: Archive, tmp_path: Path) -> None:
    film = make_film(tmp_path, make_exposure())
    dark_film, flat_film = tmp_path / "dark.fits", tmp_path / "flat.fits"
    for path in (dark_film, flat_film):
        path.write_text(path.name)
    dark, flat = make_master("dark", name="dark-1"), make_master("flat", name="flat-1")
    archive.add_master(dark, film_checksum="xxh3:dark", film_path=dark_film, code_version="0.1.0")
    archive.add_master(flat, film_checksum="xxh3:flat", film_path=flat_film, dark_id="dark-1", code_version="0.1.0")
    first = reduce_film(archive, film, make_exposure())
    second = reduce_film(archive, film, make_exposure(), force=True)
    source = archive.table("sources")["source_id"].to_pylist()[1]
    for asked in (
        second,
        str(second),
        f"stack-{second}",
        "photometry-00357754-g002",
        source,
        str(source),
        np.int64(source),
    ):
        origin = archive.provenance(asked)
        assert origin.reduction["reduction_id"] == second
        assert origin.film["path"] == str(film)
        assert origin.dark["film"]["path"] == str(dark_film)
        assert origin.flat["dark_id"] == "dark-1"
        assert origin.refcat == {"name": "gaia", "checksum": "xxh3:refcat"}
        assert origin.reduction["parameters"] == {"aperture_px": 4.0}
        assert origin.reduction["code_version"] == "0.1.0"
        assert json.loads(json.dumps(origin.to_dict())) == origin.to_dict()
        assert str(film) in str(origin)
    assert archive.provenance(first).reduction["superseded_by"] == second
    assert archive.provenance("flat-1").film["checksum"] == "xxh3:flat"
    for wrong in (1, second + 1, source + 1000, "stack-1", "", "no such thing", -5, 10**30):
        with pytest.raises(NotFoundError):
            archive.provenance(wrong)


# --- opening ---------------------------------------------------------------------------------------
def test_opening(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ArchiveError, match="tomoe init"):
        open_archive(tmp_path / "none")
    made = Archive.create(tmp_path / "some")
    assert Archive.create(tmp_path / "some").root == made.root
    monkeypatch.setenv("TOMOE_ARCHIVE", str(made.root))
    assert open_archive().root == made.root
    with pytest.raises(ArchiveError, match="is not empty and is no archive"):
        Archive.create(tmp_path)
    made.layout.marker.write_text('{"layout": 99}')
    with pytest.raises(ArchiveError, match="layout 99"):
        open_archive(made.root)


@pytest.mark.sqlite_only
def test_the_registry_may_lie_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOMOE_DATABASE", f"sqlite:///{tmp_path / 'elsewhere.sqlite'}")
    archive = Archive.create(tmp_path / "archive")
    add(archive, tmp_path)
    assert not archive.layout.registry.exists()
    assert open_archive(archive.root).table("photometry").num_rows == 36
    monkeypatch.setenv("TOMOE_DATABASE", "nonsense")
    with pytest.raises(ArchiveError, match="no SQLAlchemy URL"):
        open_archive(archive.root).search()


@pytest.mark.sqlite_only
def test_a_registry_that_is_gone_is_not_made_anew_by_reading(archive: Archive) -> None:
    archive.layout.registry.unlink()
    with pytest.raises(ArchiveError, match=r"registry .*registry.sqlite is gone"):
        open_archive(archive.root).table("photometry")
    assert not archive.layout.registry.exists()
    assert Archive.create(archive.root).table("photometry").num_rows == 0


def test_frames_for_people(three: Archive) -> None:
    found = three.search()
    assert isinstance(found, pd.DataFrame)
    assert found["reduction_id"].dtype == "Int64"
    assert found["path"].map(lambda p: Path(p).is_absolute()).all()


def test_a_missing_file_is_named(three: Archive) -> None:
    path = Path(three.search(product="sources")["path"][0])
    path.unlink()
    with pytest.raises(ArchiveError, match="tomoe doctor"):
        three.table("sources")


def test_streaks_and_movers_by_position(archive: Archive, tmp_path: Path) -> None:
    exposure = make_exposure()
    reservation = archive.begin(exposure, make_film(tmp_path, exposure))
    this = {"reduction_id": reservation.reduction_id}
    fill = dict.fromkeys(schema.TABLES["streaks"].names, 1.0) | this
    ends = {"ra1": [309.9], "dec1": [-12.0], "ra2": [310.1], "dec2": [-12.0], "class": "unknown"}
    streaks = schema.conform(
        "streaks", {**fill, **ends, "streak_id": member_ids(reservation.reduction_id, 1, "streak")}
    )
    fill = {n: 1.0 for n in schema.TABLES["movers"].names if n != "known_as"} | this
    movers = schema.conform(
        "movers",
        {**fill, "ra": [310.0], "dec": [-12.0], "mover_id": member_ids(reservation.reduction_id, 78, "mover")[77:]},
    )
    archive.commit(*make_reduction(reservation, streaks=streaks, movers=movers))
    assert archive.table("streaks", position="310.05 -12.0005", radius="5 arcsec").num_rows == 1
    assert archive.table("streaks", position="310.05 -12.0005", radius="1 arcsec").num_rows == 0
    assert archive.table("movers", position="310 -12").num_rows == 1
    for number, kind in ((0, "source"), (90_077, "mover"), (95_000, "streak")):
        assert archive.provenance(reservation.reduction_id * 100_000 + number).asked.startswith(kind)
    with pytest.raises(NotFoundError, match="no mover"):
        archive.provenance(reservation.reduction_id * 100_000 + 90_000)
