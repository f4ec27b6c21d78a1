from __future__ import annotations

from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.table import MaskedColumn, Table

from tomoe_explore.errors import RefcatError
from tomoe_explore.refcat import import_refcat, read_star_table


def _table() -> Table:
    table = Table({"source_id": [5, 6], "ra": [150.0, 151.0] * u.deg, "dec": [2.0, 1.0] * u.deg})
    table["phot_g_mean_mag"] = [12.5, 13.5] * u.mag
    table["pmra"] = MaskedColumn([4.0, 0.0], mask=[False, True], unit="mas / yr")
    return table


@pytest.mark.parametrize("name", ["s.csv", "s.ecsv", "s.fits", "s.vot", "s.fits.gz"])
def test_same_stars_from_every_format(tmp_path: Path, name: str) -> None:
    form = {"csv": "ascii.csv", "ecsv": "ascii.ecsv", "vot": "votable"}.get(name.split(".")[1], "fits")
    _table().write(tmp_path / name, format=form)
    stars = import_refcat(tmp_path / name, tmp_path / "out.parquet")
    assert stars.name == "s"
    assert stars.source_id.tolist() == [6, 5]
    assert stars.ra.tolist() == [151.0, 150.0]
    assert stars.mag.tolist() == [13.5, 12.5]
    assert stars.pmra.tolist() == [0.0, 4.0]


def test_other_units_are_converted(tmp_path: Path) -> None:
    table = _table()
    table["ra"] = (table["ra"].quantity).to(u.rad)
    table["dec"] = (table["dec"].quantity).to(u.arcsec)
    table["pmra"] = [0.004, 0.001] * u.arcsec / u.yr
    table.write(tmp_path / "s.ecsv")
    stars = import_refcat(tmp_path / "s.ecsv", tmp_path / "out.parquet")
    assert np.allclose(stars.ra, [151.0, 150.0], atol=1e-9)
    assert np.allclose(stars.dec, [1.0, 2.0], atol=1e-9)
    assert np.allclose(stars.pmra, [1.0, 4.0])


def test_broken_and_absent_files_are_named(tmp_path: Path) -> None:
    for name in ("a.fits", "a.ecsv", "a.vot", "a.parquet", "a.csv"):
        with pytest.raises(RefcatError, match=f"cannot read .*{name}"):
            read_star_table(tmp_path / name)
        (tmp_path / name).write_bytes(b"\x00nonsense")
    for name in ("a.fits", "a.ecsv", "a.vot", "a.parquet"):
        with pytest.raises(RefcatError, match=f"cannot read .*{name}"):
            read_star_table(tmp_path / name)
