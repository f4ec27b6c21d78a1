"""Films of movers from what is kept of them, fixed and following; the file is found and looked after like any."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from tests.archive.movers import LIGHT, NOISE, SKY, commit_movers, make_movers
from tests.archive.reductions import files, make_exposure, make_film, make_reduction
from tests.films import NAME, pixels, write_film
from tomoe_explore import raw
from tomoe_explore.archive import Archive
from tomoe_explore.archive import registry as tables
from tomoe_explore.data import Reduction
from tomoe_explore.errors import ArchiveError, NotFoundError, ParameterError
from tomoe_explore.operations.inventory import orphans, wrong_files


@pytest.fixture
def made(archive: Archive, tmp_path: Path) -> Reduction:
    """Two movers of a film that is gone: the first cutout is fixed, the second follows."""
    exposure = make_exposure()
    film = make_film(tmp_path, exposure)
    reduction = commit_movers(archive, archive.begin(exposure, film))
    film.unlink()
    return reduction


@pytest.mark.parametrize("k", [0, 1], ids=["kept fixed", "kept following"])
def test_both_films_of_either(archive: Archive, made: Reduction, k: int) -> None:
    cutout = made.cutouts[k]
    fixed, following = (archive.mover_film(cutout.mover_id, comoving=comoving) for comoving in (False, True))
    stack = archive.read_stack(made.reduction_id)
    for film in (fixed, following):
        assert (film.mover_id, film.exposure_id, film.detector_id) == (cutout.mover_id, 357754, 112)
        assert (film.source, len(film.frames)) == ("kept", 18)
        np.testing.assert_array_equal(film.mjd, cutout.mjd)
        assert np.isnan(film.frames[5]).all()
        for frame in (0, 9, 17):
            y, x = np.unravel_index(np.nanargmax(film.frames[frame]), film.frames.shape[1:])
            assert (x, y) == pytest.approx((film.x[frame], film.y[frame]), abs=0.5)
            assert film.frames[frame, y, x] == pytest.approx(SKY + LIGHT, abs=NOISE / 4)
        there = stack.wcs.pixel_to_world(cutout.x[9], cutout.y[9])
        assert film.wcs.pixel_to_world(film.x[9], film.y[9]).separation(there).arcsec < 1e-6
        added = film.comoving_sum(6)
        assert added.shape == (13, 13)
        assert added[6, 6] == pytest.approx(17 * LIGHT, rel=0.02)
        assert np.nanstd(added[:5]) == pytest.approx(NOISE * np.sqrt(17), rel=0.3)
    np.testing.assert_allclose(fixed.x + fixed.x0, cutout.x)
    assert np.ptp(following.x) <= 1  # in the middle, to the nearest pixel
    assert fixed.frames.shape[2] > following.frames.shape[2] + 10
    assert "MoverFilm of 18 frames, " in repr(fixed)


def test_a_film_from_what_is_kept(archive: Archive, tmp_path: Path) -> None:
    """The same pixels as from the raw film, where there are any."""
    adu = pixels(18)
    path = write_film(tmp_path / NAME, adu)
    reservation = archive.begin(raw.read_exposure(path), path)
    assert reservation is not None
    reduction, provenance = make_movers(reservation)
    seen = []
    for cutout in reduction.cutouts:
        height, width = cutout.frames.shape[1:]
        frames = np.stack([adu[n, y : y + height, x : x + width]
                           for n, (x, y) in enumerate(zip(cutout.x0, cutout.y0, strict=True))])  # fmt: skip
        mjd = reduction.exposure.mid_times(np.arange(18), cutout.y)
        seen.append(replace(cutout, frames=frames.astype(np.float32), mjd=mjd))
    archive.commit(replace(reduction, cutouts=tuple(seen)), provenance)
    stack = archive.read_stack(reduction.reduction_id)
    where = [stack.wcs.pixel_to_world(*at) for at in ((cutout.x[3], cutout.y[3]) for cutout in seen)]
    before = [archive.film(position, 357754, size_px=50) for position in where]
    assert [film.source for film in before] == ["raw", "raw"]
    path.unlink()
    for position, whole in zip(where, before, strict=True):
        film = archive.film(position, 357754, size_px=50)
        assert (film.source, film.x0, film.y0) == ("kept", whole.x0, whole.y0)
        there = np.isfinite(film.frames)
        assert 0.2 < there.mean() < 0.9
        np.testing.assert_allclose(film.frames[there], whole.frames[there], atol=NOISE / 4)
        np.testing.assert_allclose(film.mjd, whole.mjd, rtol=0, atol=1e-9)
    with pytest.raises(NotFoundError, match=r"is gone; .* and no cutout of a mover that was kept of it shows"):
        archive.film(stack.wcs.pixel_to_world(1500, 900), 357754, size_px=50)


def test_found_and_traced_like_any_product(archive: Archive, made: Reduction) -> None:
    (found,) = archive.search(product="mover").to_dict("records")
    assert found["product_id"] == f"mover-{made.reduction_id}"
    assert Path(found["path"]).name == "nTMQ1202008140035775412.fits"
    assert (found["n_rows"], found["bytes"]) == (2, Path(found["path"]).stat().st_size)
    assert found["checksum"] == raw.checksum(Path(found["path"]))
    assert set(archive.search(product="movers")["product"]) == {"movers"}  # the table, as ever
    assert len(archive.search("310.005 -12.005", product="mover", night="2020-08-14")) == 1
    assert archive.search("20 -12", product="mover").empty
    assert set(archive.search()["product"]) >= {"stack", "mover", "movers"}
    origin = archive.provenance(found["product_id"])
    assert origin.product["kind"] == "mover"
    assert origin.reduction["reduction_id"] == made.reduction_id
    assert found["product_id"] in {p["product_id"] for p in archive.provenance(made.cutouts[0].mover_id).products}
    assert found["product_id"] in str(origin.to_prov())
    with pytest.raises(NotFoundError, match="no collection 'mover-357754112002'"):
        archive.provenance("mover-357754112002")


def test_table_of_kept_films(archive: Archive, made: Reduction, tmp_path: Path) -> None:
    rows = archive.catalog["mover_films"].read(night="2020-08-14")
    assert rows["mover_id"].tolist() == [cutout.mover_id for cutout in made.cutouts]
    assert rows["extver"].tolist() == [1, 2]
    assert (archive.root / rows["path"][0]).is_file()
    assert archive.table("mover_films", position="310 -12").num_rows == 2
    assert archive.table("mover_films", position="310 -13").num_rows == 0
    assert archive.table("mover_films", detector_id=113).num_rows == 0
    exposure = make_exposure()
    again = commit_movers(archive, archive.begin(exposure, make_film(tmp_path, exposure), force=True), n=1)
    assert archive.table("mover_films")["reduction_id"].to_pylist() == [again.reduction_id]
    assert archive.table("mover_films", all_versions=True).num_rows == 3
    assert archive.mover_film(made.cutouts[0].mover_id).reduction_id == made.reduction_id  # superseded, not lost
    assert len(archive.search(product="mover")) == 1


def test_what_is_not_there(archive: Archive, made: Reduction, tmp_path: Path) -> None:
    this = made.cutouts[0].mover_id
    with pytest.raises(NotFoundError, match=f"has no mover {this + 7}"):
        archive.mover_film(this + 7)
    for no_mover in (made.reduction_id, this - 90_000, -1, 10**30):
        with pytest.raises((NotFoundError, ParameterError), match="mover"):
            archive.mover_film(no_mover)
    with pytest.raises(NotFoundError, match="there is no reduction 999999112001"):
        archive.mover_film(99999911200190000)
    with pytest.raises(ParameterError, match="mover_id 'x' is not understood"):
        archive.mover_film("x")  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match="half_px must be 0 or more, got -1"):
        archive.mover_film(this).comoving_sum(-1)
    exposure = make_exposure(357755)
    reservation = archive.begin(exposure, make_film(tmp_path, exposure))
    assert reservation is not None
    archive.commit(*make_reduction(reservation))
    with pytest.raises(NotFoundError, match=r"reduction 357755112001 keeps no cutout films: .* --force"):
        archive.mover_film(35775511200190000)


def test_a_lost_or_damaged_file_is_named(archive: Archive, made: Reduction) -> None:
    this, path = made.cutouts[0].mover_id, Path(archive.search(product="mover")["path"].iloc[0])
    assert wrong_files(archive, deep=True)[1] == []
    path.write_bytes(path.read_bytes()[:4000])
    with pytest.raises(ArchiveError, match=r"nTMQ1202008140035775412\.fits cannot be read"):
        archive.mover_film(this)
    with pytest.raises(ArchiveError, match="cannot be read"):
        archive.film("310 -12", 357754)
    path.unlink()
    with pytest.raises(ArchiveError, match=r"nTMQ1202008140035775412\.fits cannot be read"):
        archive.mover_film(this)
    (fault,) = wrong_files(archive, deep=False)[1]
    assert "nTMQ1202008140035775412.fits is missing" in fault


def test_a_track_across_the_detector_has_no_fixed_film(archive: Archive, tmp_path: Path) -> None:
    exposure = make_exposure()
    reservation = archive.begin(exposure, make_film(tmp_path, exposure))
    assert reservation is not None
    reduction, provenance = make_movers(reservation)
    frame = np.arange(18, dtype=np.int32)
    fast = replace(reduction.cutouts[1], x0=frame * 60, y0=frame * 50)
    archive.commit(replace(reduction, cutouts=(reduction.cutouts[0], fast)), provenance)
    assert archive.mover_film(fast.mover_id).frames.shape == (18, 17 * 50 + 31, 17 * 60 + 41)
    wide = replace(fast, x0=frame * 110, y0=frame * 90)
    film = make_film(tmp_path, make_exposure(357755))
    reservation = archive.begin(make_exposure(357755), film)
    assert reservation is not None
    reduction, provenance = make_movers(reservation, n=1)
    archive.commit(replace(reduction, cutouts=(replace(wide, mover_id=35775511200190000),)), provenance)
    with pytest.raises(ParameterError, match="take comoving=True"):
        archive.mover_film(35775511200190000)
    assert archive.mover_film(35775511200190000, comoving=True).frames.shape == (18, 31, 41)


def test_a_reduction_that_fails_or_is_given_up_leaves_none(archive: Archive, tmp_path: Path) -> None:
    exposure = make_exposure()
    reservation = archive.begin(exposure, make_film(tmp_path, exposure))
    assert reservation is not None
    staged = archive.stage(*make_movers(reservation))
    assert any("movers.fits" in name for name in files(archive))
    archive.fail(staged, ArchiveError("for a test"))
    assert files(archive) == []
    reduction = commit_movers(archive, archive.begin(exposure, make_film(tmp_path, exposure), force=True))
    assert orphans(archive) == []
    with archive.registry.writing() as connection:  # as if it had been killed between renaming and registering
        left = sa.update(tables.reductions).where(tables.reductions.c.reduction_id == reduction.reduction_id)
        connection.execute(left.values(status="failed"))
    assert {path.name[:4] for path in orphans(archive)} == {"sTMQ", "nTMQ"}
