"""Orbits whose objects' places are known: real ones of the Minor Planet Center, and made ones that pass the Earth.

The places were computed once with kete 3.3 (N-body, planets of DE440) and astropy (the telescope), not with this code.
"""

from __future__ import annotations

from pathlib import Path

#: MJD, UTC, of the places.
MJD = 59075.58

CERES = (
    "00001    3.4   0.15 K205V 162.68631   73.73161   80.28698   10.58862  0.0775571  0.21406009   2.7676569  0 "
    "MPO492748  6751 115 1801-2019 0.60 M-v 30h Williams   0000      (1) Ceres              20190915"
)
VESTA = (
    "00004    3.0   0.15 K205V 204.32771  150.87483  103.80908    7.14190  0.0885158  0.27150657   2.3620141  0 "
    "MPO525910  6941 102 1821-2019 0.60 M-p 18h Williams   0000      (4) Vesta              20191229"
)
#: At 0.02, 0.005 and 0.1 au.
NEAR = "K20X01A 22.00  0.15 K205V 338.83309  180.38514  142.26272   12.66187  0.5570143  0.27706195   2.3303338  0"
NEARER = "K20X02B 24.00  0.15 K205V  83.58717  173.23741  321.84539   21.97631  0.3145313  1.43952307   0.7768258  0"
FARTHER = "K20X03C 19.00  0.15 K205V 252.40484  111.03198  310.66039    6.56440  0.4096062  0.79092620   1.1580094  0"

LINES = (CERES, VESTA, NEAR, NEARER, FARTHER)

#: Name, right ascension and declination (deg), motion in both (arcsec/s), and how near the package comes, arcsec.
PLACES = (
    ("1", 346.000917, -22.305915, -0.00691, -0.00489, 0.02),
    ("4", 123.496246, 20.722305, 0.01808, -0.00307, 0.02),
    ("2020 XA1", 309.992969, -12.000455, 0.52547, -0.41363, 0.3),
    ("2020 XB2", 311.995501, -13.003733, -2.58556, 1.92956, 1.2),
    ("2020 XC3", 59.997658, 40.001084, 0.19486, 0.07209, 0.1),
)

HEADING = "MINOR PLANET CENTER ORBIT DATABASE (MPCORB)\n\nThis file has a heading\n" + "-" * 160 + "\n"


def write_orbits(path: Path, lines: tuple[str, ...] = LINES) -> Path:
    """A file as the Minor Planet Center's, with its heading and an empty line between its parts."""
    path.write_text(HEADING + "\n\n".join(lines) + "\n")
    return path
