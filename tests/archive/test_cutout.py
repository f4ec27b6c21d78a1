"""Cutout films from the raw film while it lives."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from tests.archive.reductions import make_reduction, make_stack
from tests.films import NAME, pixels, write_film
from tomoe_explore import raw
from tomoe_explore.archive import Archive
from tomoe_explore.errors import NotFoundError, ParameterError


@pytest.fixture
def film(archive: Archive, tmp_path: Path) -> Path:
    """A reduced film of two frames with one bright pixel, x 1234 and y 567, in frame 1."""
    adu = pixels(2)
    adu[1, 567, 1234] = 5000
    path = write_film(tmp_path / NAME, adu)
    reservation = archive.begin(raw.read_exposure(path), path)
    assert reservation is not None
    archive.commit(*make_reduction(reservation, stack=make_stack(310.0, -12.0)))
    return path


def test_the_pixel_is_where_the_sky_says(archive: Archive, film: Path) -> None:
    stack = archive.read_stack(357754112001)
    target = stack.wcs.pixel_to_world(1234, 567)
    cutout = archive.film(target, 357754, size_px=20)
    assert cutout.frames.shape == (2, 20, 20)
    assert cutout.frames.dtype == np.float32
    frame, y, x = np.unravel_index(np.argmax(cutout.frames), cutout.frames.shape)
    assert (frame, cutout.x0 + x, cutout.y0 + y) == (1, 1234, 567)
    assert cutout.frames.max() == 5000
    assert cutout.wcs.pixel_to_world(x, y).separation(target).arcsec < 0.01
    seconds = (cutout.mjd - raw.read_exposure(film).mjd_start) * 86400
    assert seconds == pytest.approx([567 * 0.00041475 + 0.249952, 0.5 + 567 * 0.00041475 + 0.249952], abs=2e-5)
    assert "2 frames" in repr(cutout)


def test_beyond_the_edge_is_nan(archive: Archive, film: Path) -> None:
    corner = archive.read_stack(357754112001).wcs.pixel_to_world(1, 1)
    cutout = archive.film(corner, 357754, size_px=10)
    assert (cutout.x0, cutout.y0) == (-4, -4)
    assert np.isnan(cutout.frames[:, :4]).all()
    assert np.isnan(cutout.frames[:, :, :4]).all()
    assert np.isfinite(cutout.frames[:, 4:, 4:]).all()


def test_what_is_not_there(archive: Archive, film: Path) -> None:
    with pytest.raises(NotFoundError, match="no reduced film of exposure 1 covers"):
        archive.film((310.0, -12.0), 1)
    with pytest.raises(NotFoundError, match=r"archive.search\(position, product='stack'\)"):
        archive.film((20.0, -12.0), 357754)
    with pytest.raises(ParameterError, match="size_px"):
        archive.film((310.0, -12.0), 357754, size_px=0)
    for wrong in (10**30, "x"):
        with pytest.raises(ParameterError, match=f"exposure_id {wrong!r} is not understood; write a whole number"):
            archive.film((310.0, -12.0), wrong)
    for size in ("a", 10.5):
        with pytest.raises(ParameterError, match="size_px"):
            archive.film((310.0, -12.0), 357754, size_px=size)
    film.unlink()
    with pytest.raises(NotFoundError, match=f"is gone; it lay at {film}"):
        archive.film((310.0, -12.0), 357754)


def test_a_film_is_known_by_its_content(archive: Archive, film: Path) -> None:
    content, time = film.read_bytes(), film.stat().st_mtime_ns
    os.utime(film, ns=(time, time + 10**9))  # touched
    assert archive.film((310.0, -12.0), 357754, size_px=10).frames.shape == (2, 10, 10)
    film.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))  # another one of the same size
    with pytest.raises(NotFoundError, match="is gone, another film lies at its path now"):
        archive.film((310.0, -12.0), 357754, size_px=10)
