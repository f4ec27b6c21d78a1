"""Files of orbits: what a line says, and what is said of a line that is damaged."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from tests.orbits.known_sky import CERES, FARTHER, LINES, NEAR, VESTA, write_orbits
from tomoe_explore.errors import OrbitsError
from tomoe_explore.orbits.mpcorb import epoch_mjd, read_orbits, unpack


def test_elements_are_what_the_line_says(tmp_path: Path) -> None:
    orbits = read_orbits(write_orbits(tmp_path / "MPCORB.DAT"))
    assert [orbits.name(k) for k in range(len(orbits))] == ["1", "4", "2020 XA1", "2020 XB2", "2020 XC3"]
    degrees = np.radians([162.68631, 73.73161, 80.28698, 10.58862])
    np.testing.assert_allclose(orbits.elements[0], [59000, *degrees, 0.0775571, 2.7676569], rtol=1e-14)
    assert orbits.damaged == ()
    assert "5 orbits of MPCORB.DAT" in repr(orbits)


def test_a_part_without_heading_and_a_packed_one_read_alike(tmp_path: Path) -> None:
    plain, packed = tmp_path / "NEA.txt", tmp_path / "MPCORB.DAT.gz"
    plain.write_text("\r\n".join(LINES))
    packed.write_bytes(gzip.compress(write_orbits(tmp_path / "x").read_bytes()))
    np.testing.assert_array_equal(read_orbits(plain).elements, read_orbits(packed).elements)


def test_damaged_lines_are_named_and_the_others_used(tmp_path: Path) -> None:
    broken = NEAR[:70] + "0.5x70143" + NEAR[79:]
    hyperbola = NEAR[:70] + "1.0500000" + NEAR[79:]
    lines = (CERES, broken, VESTA[:60], hyperbola, NEAR.replace("K205V", "K20ZZ"), FARTHER)
    orbits = read_orbits(write_orbits(tmp_path / "MPCORB.DAT", lines))
    assert [orbits.name(k) for k in range(len(orbits))] == ["1", "2020 XC3"]
    # four lines of heading, and an empty one after each orbit
    assert sorted(text.split(":")[0] for text in orbits.damaged) == ["11", "13", "7", "9"]
    assert "11: no ellipse" in orbits.damaged
    assert "damaged: 7: no number" in repr(orbits)


@pytest.mark.parametrize("content", ["", "not an orbit\n", "<html>404</html>\n" * 3])
def test_what_has_no_orbit_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "MPCORB.DAT"
    path.write_text(content)
    with pytest.raises(OrbitsError, match=r"no orbit in the format of MPCORB\.DAT"):
        read_orbits(path)


def test_a_truncated_gzip_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "MPCORB.DAT.gz"
    path.write_bytes(gzip.compress(("\n".join(LINES * 50)).encode())[:-200])
    with pytest.raises(OrbitsError, match="cannot read orbits"):
        read_orbits(path)


# https://minorplanetcenter.net/iau/info/PackedDes.html and PackedDates.html have these
@pytest.mark.parametrize(
    ("packed", "name"),
    [
        ("03202", "3202"), ("A0001", "100001"), ("a7659", "367659"), ("~0000", "620000"), ("~000z", "620061"),
        ("J95X00A", "1995 XA"), ("J95X01L", "1995 XL1"), ("J98SA8Q", "1998 SQ108"), ("K99AJ3Z", "2099 AZ193"),
        ("PLS2040", "2040 P-L"), ("T3S4101", "4101 T-3"), ("strange", "strange"),
    ],
)  # fmt: skip
def test_designations_unpack(packed: str, name: str) -> None:
    assert unpack(packed) == name


@pytest.mark.parametrize(
    ("packed", "mjd"), [("J9611", 50083.0), ("J961A", 50092.0), ("K01AM", 52204.0), ("K205V", 59000.0)]
)
def test_epochs_unpack(packed: str, mjd: float) -> None:
    assert epoch_mjd(packed) == mjd
