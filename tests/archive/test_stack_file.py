"""Stacks as files: what they say, what quantisation costs, that FITS readers are content."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from tests.archive.reductions import make_exposure, make_film, make_reduction, make_stack
from tomoe_explore.archive import Archive
from tomoe_explore.archive.stack_file import read_stack, write_stack
from tomoe_explore.camera import NX, NY
from tomoe_explore.data import Provenance, Reduction, Stack


def _reduction(archive: Archive, directory: Path, stack: Stack) -> tuple[Reduction, Provenance]:
    exposure = make_exposure()
    reservation = archive.begin(exposure, make_film(directory, exposure))
    assert reservation is not None
    return make_reduction(reservation, stack=stack)


def _starry(seed: int = 5) -> tuple[Stack, np.ndarray]:
    """A whole detector with sky, 1000 stars, and Poisson-like noise that varies from pixel to pixel."""
    rng = np.random.default_rng(seed)
    image = np.full((NY, NX), 200.0)
    y, x = np.mgrid[-8:9, -8:9]
    for _ in range(1000):
        row, column = rng.integers(9, NY - 9), rng.integers(9, NX - 9)
        star = 10 ** rng.uniform(0.5, 4) * np.exp(-(x**2 + y**2) / (2 * 1.5**2))
        image[row - 8 : row + 9, column - 8 : column + 9] += star
    sigma = np.sqrt(image / 0.23 / 17 * (1 + 0.02 * rng.normal(size=image.shape)))
    noisy = (image + sigma * rng.normal(size=image.shape)).astype(np.float32)
    mask = (rng.random(image.shape) < 1e-3).astype(np.uint8)
    plain = make_stack()
    values = {**vars(plain), "image": noisy, "variance": (sigma**2).astype(np.float32), "mask": mask}
    return Stack(**values), sigma


def test_whole_stack(archive: Archive, tmp_path: Path, tool: Callable[[str], str]) -> None:
    stack, sigma = _starry()
    path = tmp_path / "stack.fits"
    write_stack(*_reduction(archive, tmp_path, stack), path)
    verified = subprocess.run([tool("fitsverify"), "-q", str(path)], capture_output=True, text=True, check=False)
    assert verified.stdout.startswith("verification OK"), verified.stdout
    assert path.stat().st_size < 2_600_000  # of 87.55 MB
    with fits.open(path, checksum=True) as hdus:  # a wrong checksum warns, and warnings are errors
        assert [hdu.name for hdu in hdus] == ["PRIMARY", "STACK", "SIGMA", "MASK"]
    with fits.open(path, disable_image_compression=True) as hdus:
        assert hdus[1].data["ZSCALE"].max() < 0.25 * np.median(sigma)  # finer than a quarter of the noise

    back = read_stack(path)
    error = (back.data - stack.image) / sigma
    assert abs(error.mean()) < 3e-4
    assert abs(error[stack.image > 1000].mean()) < 3e-3  # of 30,000 pixels: 2e-3 would be 3 sigma
    assert error.std() < 0.06
    assert np.abs(back.uncertainty.array / sigma - 1).max() < 0.03
    np.testing.assert_array_equal(back.mask, stack.mask != 0)


def test_header_says_where_it_comes_from(archive: Archive, tmp_path: Path) -> None:
    reduction, provenance = _reduction(archive, tmp_path, make_stack(310.0, -12.0))
    archive.commit(reduction, provenance)
    stack = archive.read_stack(f"stack-{reduction.reduction_id}")
    header = stack.meta
    assert header["FMTTYPE"] == "TOMOE-IMAGE-STACK"
    assert (header["EXP_ID"], header["DET_ID"], header["REDUCID"]) == (357754, 112, reduction.reduction_id)
    assert (header["DARKID"], header["FLATID"], header["REFCAT"]) == ("dark-1", "flat-1", "gaia")
    assert header["FILMSUM"] == provenance.film_checksum
    assert (header["MAGZP"], header["MAGZPERR"], header["BUNIT"]) == (24.1, 0.012, "adu")
    assert header["EXPTIME"] == pytest.approx(17 * 0.499904)
    assert header["COMBINE"] == "MEAN"
    assert header["MJD-OBS"] == pytest.approx(59075.5 + 0.5 / 86400, abs=1e-9)  # frame 0 is left out
    middle = 59075.5 + (9 * 0.5 + 563.5 * 0.00041475 + 0.499904 / 2) / 86400
    assert header["MJD-AVG"] == pytest.approx(middle, abs=1e-9)
    assert header["DATE-OBS"].startswith("2020-08-14T12:00:00.5")
    sky = stack.wcs.pixel_to_world((NX - 1) / 2, (NY - 1) / 2)
    assert (sky.ra.deg, sky.dec.deg) == pytest.approx((310.0, -12.0), abs=1e-6)
    assert stack.unit == "adu"
    row = archive.table("stacks").to_pylist()[0]
    assert row["mjd"] == pytest.approx(middle, abs=1e-9)
    assert Path(row["path"]).name == "sTMQ1202008140035775412.fits"


def test_unsolved_and_odd_stacks(archive: Archive, tmp_path: Path) -> None:
    """No WCS, no zero point, unknown noise, letters that FITS does not know: still a file, still readable."""
    plain = make_stack()
    image = plain.image.copy()
    image[3, 4] = np.nan
    variance = np.full_like(plain.variance, np.nan)
    stack = Stack(image=image, variance=variance, mask=plain.mask, n_frames=17)
    reduction, provenance = _reduction(archive, tmp_path, stack)
    exposure = type(reduction.exposure)(**{**vars(reduction.exposure), "object": "木曽"})
    archive.commit(type(reduction)(**{**vars(reduction), "exposure": exposure}), provenance)
    back = archive.read_stack(reduction.reduction_id)
    assert np.isnan(back.data[3, 4])
    assert back.wcs is None
    assert "MAGZP" not in back.meta
    assert len(archive.search("309.97 -12.0", product="stack")) == 1  # where the camera should have pointed
