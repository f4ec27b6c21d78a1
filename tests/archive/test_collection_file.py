"""Collections of movers as files: what they hold and what that costs, that FITS readers are content."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from tests.archive.movers import NOISE, make_movers
from tests.archive.reductions import make_exposure, make_film
from tomoe_explore.archive import Archive
from tomoe_explore.archive.collection_file import read_cutouts, write_collection
from tomoe_explore.data import Provenance, Reduction
from tomoe_explore.errors import ArchiveError, NotFoundError

Made = tuple[Reduction, Provenance]


@pytest.fixture
def made(archive: Archive, tmp_path: Path) -> Made:
    """A reduction with three movers; the second one's cutout follows it."""
    exposure = make_exposure(object="J2044 \u00b1 'x'")
    reservation = archive.begin(exposure, make_film(tmp_path, exposure))
    assert reservation is not None
    return make_movers(reservation, n=3)


@pytest.fixture
def path(made: Made, tmp_path: Path) -> Path:
    write_collection(*made, tmp_path / "movers.fits")
    return tmp_path / "movers.fits"


def test_fits_readers_are_content(path: Path, tool: Callable[[str], str]) -> None:
    verified = subprocess.run([tool("fitsverify"), "-q", str(path)], capture_output=True, text=True, check=False)
    assert verified.stdout.startswith("verification OK"), verified.stdout
    with fits.open(path) as hdus:
        hdus.verify("exception")
        kinds = [hdu.header["FMTTYPE"] for hdu in hdus]
    pair = ["TOMOE-IMAGE-NEO-CUTOUT", "TOMOE-TABLE-NEO"]
    assert kinds == ["TOMOE-COLLECTION-NEO", *pair, *pair, *pair, "TOMOE-TABLE-NEO-FEATURE"]


def test_the_same_reduction_gives_the_same_bytes(made: Made, path: Path, tmp_path: Path) -> None:
    reduction, provenance = made
    backwards = replace(
        reduction, cutouts=reduction.cutouts[::-1],
        tables={name: table[::-1] if "mover" in name else table for name, table in reduction.tables.items()},
    )  # fmt: skip
    write_collection(backwards, provenance, tmp_path / "again.fits")
    assert (tmp_path / "again.fits").read_bytes() == path.read_bytes()


def test_pixels_come_back_within_a_quarter_of_the_noise(made: Made, path: Path) -> None:
    for cutout, (back, _) in zip(made[0].cutouts, read_cutouts(path), strict=True):
        np.testing.assert_array_equal(np.isnan(back.frames), np.isnan(cutout.frames))
        error = (back.frames - cutout.frames) / NOISE
        assert np.nanmax(np.abs(error)) <= 0.5 / 6 * 1.001
        assert abs(np.nanmean(error)) < 1e-3
        assert np.nanstd(error) < 0.05
        for name in ("mover_id", "noise", "x0", "y0", "x", "y", "mjd"):
            np.testing.assert_array_equal(getattr(back, name), getattr(cutout, name))
    raw = sum(cutout.frames.size for cutout in made[0].cutouts) * 2
    with fits.open(path, disable_image_compression=True) as hdus:
        stored = sum(hdus[k].header["PCOUNT"] for k in (1, 3, 5))
    assert stored < 0.33 * raw


def test_saturated_and_empty_cutouts(made: Made, tmp_path: Path) -> None:
    reduction, provenance = made
    bright, empty, steps = reduction.cutouts
    even = np.where(np.isfinite(bright.frames), np.float32(30_000), bright.frames)
    bright = replace(bright, frames=even, noise=1.0)
    bright.frames[0, 0] = 10.0
    bright.frames[0, 1] = -3000.0
    empty = replace(empty, frames=np.full_like(empty.frames, np.nan), noise=np.nan)
    write_collection(replace(reduction, cutouts=(bright, empty, steps)), provenance, tmp_path / "movers.fits")
    backs = [back for back, _ in read_cutouts(tmp_path / "movers.fits")]
    assert np.isnan(backs[1].frames).all()
    np.testing.assert_allclose(backs[0].frames[1:], bright.frames[1:], atol=0.1)
    dim = replace(steps, frames=np.where(steps.frames > 900, 30_000, steps.frames), noise=4.0)
    write_collection(replace(reduction, cutouts=(dim,)), provenance, tmp_path / "movers.fits")
    ((back, _),) = read_cutouts(tmp_path / "movers.fits")
    assert np.nanmax(np.abs(back.frames - dim.frames)) < 0.25 * 4


def test_headers_say_what_and_where_from(made: Made, path: Path) -> None:
    reduction, provenance = made
    with fits.open(path) as hdus:
        header = hdus[0].header
        assert (header["EXP_ID"], header["DET_ID"], header["NMOVERS"]) == (357754, 112, 3)
        assert (header["REDUCID"], header["FILMSUM"]) == (reduction.reduction_id, provenance.film_checksum)
        assert (header["DARKID"], header["REFCAT"], header["MAGZP"]) == ("dark-1", "gaia", 24.1)
        assert (header["OBJECT"], header["CODEDRTY"]) == ("J2044 ? 'x'", False)
        motions = [hdus["CUTOUT", k].header["MOTION"] for k in (1, 2, 3)]
        assert motions == ["FIXED", "FOLLOWING", "FIXED"]
        whole = WCS(reduction.stack.wcs_header)
        for k, cutout in enumerate(reduction.cutouts, 1):
            image = hdus["CUTOUT", k].header
            assert image["MOVERID"] == cutout.mover_id
            ours = WCS(image, naxis=2).pixel_to_world(7, 9)
            there = whole.pixel_to_world(7 + cutout.x0[9], 9 + cutout.y0[9])  # of the middle frame
            assert ours.separation(there).arcsec < 1e-6


def test_tables_say_when_and_how_bright(made: Made, path: Path) -> None:
    reduction = made[0]
    with fits.open(path) as hdus:
        rows, cutout = hdus["MOVER", 3].data, reduction.cutouts[2]
        assert rows["frame"].tolist() == list(range(18))
        np.testing.assert_array_equal(rows["mjd"], cutout.mjd)
        assert np.isnan(rows["mag"][:2]).all()
        np.testing.assert_allclose(rows["mag"][2:], 15.0 + 0.1 * np.arange(2, 18), rtol=1e-6)
        assert hdus["MOVER", 3].columns["x"].unit == "pixel"
        features = hdus["FEATURES"]
        assert features.data["mover_id"].tolist() == [cutout.mover_id for cutout in reduction.cutouts]
        assert features.columns["rate"].unit == "arcsec.s**-1"
        assert np.isnan(features.data["false_alarm"]).all()
        assert "known_as" not in features.columns.names


def test_what_cannot_be_read_is_named(made: Made, path: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"movers\.fits has no mover 12"):
        read_cutouts(path, 12)
    content = path.read_bytes()
    for damaged in (b"", b"no FITS", content[:2880], content[:9000], content[: len(content) // 2]):
        path.write_bytes(damaged)
        with pytest.raises(ArchiveError, match=r"collection of movers .*movers\.fits cannot be read"):
            read_cutouts(path)
    with pytest.raises(ArchiveError, match=r"gone\.fits cannot be read"):
        read_cutouts(tmp_path / "gone.fits")
    fits.PrimaryHDU().writeto(tmp_path / "other.fits")
    with pytest.raises(ArchiveError, match="is no collection of movers"):
        read_cutouts(tmp_path / "other.fits")
