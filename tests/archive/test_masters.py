"""Masters: kept exactly and once; only those that fit a film are given."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.archive.reductions import make_exposure, make_master
from tomoe_explore import raw
from tomoe_explore.archive import Archive
from tomoe_explore.data import Master
from tomoe_explore.errors import NoMastersError


def test_masters_fit_or_are_not_given(archive: Archive) -> None:
    exposure = make_exposure()
    with pytest.raises(NoMastersError, match="the archive has none of this detector"):
        archive.find_masters(exposure)
    wrong = [
        make_master("dark", 113, name="other-detector"),
        make_master("dark", exptime1_s=0.999904, name="other-exposure"),
        make_master("dark", gain_mode=exposure.gain_mode.__class__("low", 2.4, 9.2, 52_000.0), name="other-gain"),
    ]
    for master in wrong:
        archive.add_master(master, film_checksum=f"xxh3:{master.master_id}")
    with pytest.raises(
        NoMastersError, match=r"expected detector 112, high gain, 0\.499904 s a frame .*; the archive has of"
    ):
        archive.find_masters(exposure)
    archive.add_master(make_master("dark", name="far", mjd_start=59070.0), film_checksum="xxh3:far")
    assert archive.find_masters(exposure).dark.master_id == "far"
    assert archive.find_masters(exposure).flat is None
    archive.add_master(make_master("dark", name="near"), film_checksum="xxh3:near")
    archive.add_master(make_master("dark", name="warm", temperature_k=300.0), film_checksum="xxh3:warm")
    archive.add_master(make_master("flat", name="flat", exptime1_s=0.999904), film_checksum="xxh3:flat")
    found = archive.find_masters(make_exposure(temperature_k=291.0))
    assert (found.dark.master_id, found.flat.master_id) == ("near", "flat")
    assert archive.find_masters(make_exposure(temperature_k=299.0)).dark.master_id == "warm"
    assert archive.table("masters").num_rows == 7


def test_masters_are_kept_exactly_and_once(archive: Archive, tmp_path: Path, tool: Callable[[str], str]) -> None:
    film = tmp_path / "dark.fits"
    film.write_text("dark")
    master = make_master("dark")
    assert archive.master_of(film) is None
    for _ in range(2):
        archive.add_master(master, film_checksum="xxh3:" + "0" * 32, film_path=film)
    assert archive.master_of(film) == master.master_id
    back = archive.find_masters(make_exposure()).dark
    np.testing.assert_array_equal(back.pixels, master.pixels)
    np.testing.assert_array_equal(back.bad, master.bad)
    assert (back.level, back.rms, back.noise_variance) == (master.level, master.rms, master.noise_variance)
    assert back.exposure.mjd_start == master.exposure.mjd_start
    (path,) = archive.search(product="dark")["path"]
    verified = subprocess.run([tool("fitsverify"), "-q", path], capture_output=True, text=True, check=False)
    assert verified.stdout.startswith("verification OK"), verified.stdout


@pytest.mark.both_databases
@pytest.mark.parametrize("other", ["0.1.0", "0.2.0"])
def test_two_that_master_one_film_at_once(archive: Archive, monkeypatch: pytest.MonkeyPatch, other: str) -> None:
    from tomoe_explore.archive import masters

    master, real = make_master("dark"), masters.write_master

    def overtaken(master: Master, path: Path, **about: Any) -> None:
        """While one writes, another one comes and goes."""
        monkeypatch.setattr(masters, "write_master", real)
        real(master, path, **about)
        archive.add_master(master, film_checksum="xxh3:1", code_version=other)

    monkeypatch.setattr(masters, "write_master", overtaken)
    assert archive.add_master(master, film_checksum="xxh3:1", code_version="0.1.0") == master.master_id
    (found,) = archive.search(product="dark").to_dict("records")
    assert raw.checksum(found["path"]) == found["checksum"]
    assert archive.table("masters")["code_version"].to_pylist() == [other]
    np.testing.assert_array_equal(archive.find_masters(make_exposure()).dark.pixels, master.pixels)
    assert not list(archive.layout.staging("").iterdir())
