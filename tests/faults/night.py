"""A night of two exposures with three detectors, made in a second from the small night of one detector.

To simulate three detectors would take half a minute. Here all three see the same: the films differ in their header and
frame order only, and the reference catalog has the stars of the one detector three times, where each detector looks.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from astropy.io import fits

from tomoe_explore import raw
from tomoe_explore.camera import focal_plane_offset

DETECTORS = (112, 114, 116)  #: parallel and apart
N_FRAMES = {"dark": 6, "flat": 6, "object": 6}  #: few
_MARGIN_DEG = (0.42, 0.28)  #: stars so far from a detector's centre are its own; half of it is 0.33 by 0.19


@dataclass(frozen=True)
class Night:
    """Films of the sky and of the calibrations, in two directories, and the reference catalog."""

    sky: Path
    calibrations: Path
    refcat: Path

    @classmethod
    def at(cls, home: Path) -> Night:
        """The night that is, or shall be, in a directory."""
        return cls(home / "sky", home / "calibrations", home / "refcat.parquet")

    @property
    def films(self) -> list[Path]:
        return raw.find_films(self.sky)

    @property
    def exposures(self) -> list[int]:
        return sorted({raw.read_exposure(path).exposure_id for path in self.films})


def make_night(small_night: Path, out: Path) -> Night:
    """Write the night; ``small_night`` has one dark, one flat and two exposures of detector 112."""
    night = Night.at(out)
    for folder in (night.sky, night.calibrations):
        folder.mkdir(parents=True)
    for path in raw.find_films(small_night):
        kind = raw.read_exposure(path).kind
        with fits.open(path, do_not_scale_image_data=True, memmap=False) as film:
            for k, detector in enumerate(DETECTORS):
                header = film[0].header.copy()
                header["DET_ID"], header["CMOS_ID"] = detector, f"CMOS{detector % 100}"
                frames = film[0].data[k % 2 :][: N_FRAMES[kind]]
                name = path.name.replace("12.fits", f"{detector % 100}.fits")
                folder = night.sky if kind == "object" else night.calibrations
                fits.PrimaryHDU(frames, header).writeto(folder / name)
    stars = pq.read_table(small_night / "refcat.parquet")
    pq.write_table(_thrice(stars, fits.getheader(night.films[0])), night.refcat)
    return night


def _thrice(stars: pa.Table, header: fits.Header) -> pa.Table:
    """The stars near the first detector, and the same about the centres of the others."""
    from astropy.coordinates import Angle

    at = Angle(header["RA"], "hourangle").rad, Angle(header["DEC"], "deg").rad
    xi, eta = _gnomonic(np.radians(stars["ra"].to_numpy()), np.radians(stars["dec"].to_numpy()), *at)
    here = np.radians(focal_plane_offset(DETECTORS[0]))
    near = (abs(xi - here[0]) < np.radians(_MARGIN_DEG[0])) & (abs(eta - here[1]) < np.radians(_MARGIN_DEG[1]))
    stars, xi, eta = stars.filter(pa.array(near)), xi[near] - here[0], eta[near] - here[1]
    copies = []
    for k, detector in enumerate(DETECTORS):
        there = np.radians(focal_plane_offset(detector))
        ra, dec = np.degrees(_on_sky(xi + there[0], eta + there[1], *at))
        ids = stars["source_id"].to_numpy() + k * 10**13
        copy = stars
        for name, values in (("source_id", ids), ("ra", ra % 360.0), ("dec", dec)):
            copy = copy.set_column(copy.column_names.index(name), stars.schema.field(name), pa.array(values))
        copies.append(copy)
    return pa.concat_tables(copies)


def _gnomonic(ra: np.ndarray, dec: np.ndarray, ra0: float, dec0: float) -> tuple[np.ndarray, np.ndarray]:
    depth = np.sin(dec0) * np.sin(dec) + np.cos(dec0) * np.cos(dec) * np.cos(ra - ra0)
    xi = np.cos(dec) * np.sin(ra - ra0) / depth
    return xi, (np.cos(dec0) * np.sin(dec) - np.sin(dec0) * np.cos(dec) * np.cos(ra - ra0)) / depth


def _on_sky(xi: np.ndarray, eta: np.ndarray, ra0: float, dec0: float) -> np.ndarray:
    depth = np.cos(dec0) - eta * np.sin(dec0)
    d_ra = np.arctan2(xi, depth)
    return np.array([ra0 + d_ra, np.arctan2((np.sin(dec0) + eta * np.cos(dec0)) * np.cos(d_ra), depth)])
