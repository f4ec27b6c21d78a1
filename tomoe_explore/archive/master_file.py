"""Master darks and flats as FITS files, lossless."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tomoe_explore import camera
from tomoe_explore.archive.fits_file import write_reproducibly
from tomoe_explore.data import Exposure, Master
from tomoe_explore.errors import ArchiveError


def write_master(master: Master, path: Path, *, film_checksum: str, dark_id: str | None, code_version: str) -> None:
    """Write a master: its pixels (float32) and bad pixels (uint8), and the header of the film it was made from.

    No date is written, so that the same master gives the same bytes.
    """
    from astropy.io import fits

    exposure = master.exposure
    cards: list[tuple[str, Any, str]] = [
        ("FMTTYPE", f"TOMOE-IMAGE-{master.kind.upper()}", "kind of file"),
        ("MASTERID", master.master_id, "name of this master"),
        ("EXP_ID", exposure.exposure_id, "exposure"),
        ("DET_ID", exposure.detector_id, "detector: 100 * quadrant + chip"),
        ("DATA-TYP", master.kind.upper(), "kind of exposure"),
        ("NIGHT", exposure.night, "local observing date"),
        ("TIMESYS", "UTC", "time scale"),
        ("MJD-OBS", exposure.mjd_start, "[d] start of row 0 of frame 0, MJD"),
        ("EXPTIME1", exposure.exptime1_s, "[s] exposure of a frame"),
        ("TFRAME", exposure.frame_interval_s, "[s] from frame to frame"),
        ("NFRAMES", exposure.n_frames, "frames of the film"),
        ("GAIN", exposure.gain_mode.gain, "[e-/adu]"),
        ("LEVEL", float(master.level), "[adu] median before normalisation"),
        ("RMS", float(master.rms), "[adu] robust scatter"),
        ("FLAGS", exposure.flags, "bits of the whole film"),
        ("BUNIT", "adu" if master.kind == "dark" else "1", "a frame" if master.kind == "dark" else "median is 1"),
        ("FILMSUM", film_checksum, "checksum of the raw film"),
        ("DARKID", dark_id or "", "master dark taken off"),
        ("CODEVER", code_version, "version of tomoe_explore"),
    ]
    if np.isfinite(master.noise_variance):
        cards.append(("NOISEVAR", float(master.noise_variance), "[adu2] variance in time of a frame"))
    if np.isfinite(exposure.temperature_k):
        cards.append(("DETTEMP", exposure.temperature_k, "[K] sensor"))
    primary = fits.PrimaryHDU(np.asarray(master.pixels, np.float32), fits.Header(cards))
    bad = fits.ImageHDU(master.bad.astype(np.uint8), name="BAD")
    write_reproducibly(fits.HDUList([primary, bad]), path)


def read_master(path: Path) -> Master:
    """Read a master back.

    Raises
    ------
    ArchiveError
        If the file is gone or is no master.
    """
    from astropy.io import fits

    try:
        with fits.open(path, memmap=False) as hdus:
            header = hdus[0].header
            pixels = hdus[0].data.astype(np.float32)
            bad = hdus["BAD"].data.astype(bool)
            exposure = _exposure(header)
            return Master(
                header["MASTERID"], exposure.kind, pixels, exposure, header["LEVEL"], header["RMS"], bad,
                noise_variance=header.get("NOISEVAR", float("nan")),
            )  # fmt: skip
    except (OSError, KeyError, AttributeError) as error:
        raise ArchiveError(f"master {path} cannot be read: {error}") from None


def _exposure(header: Any) -> Exposure:
    return Exposure(
        exposure_id=header["EXP_ID"], detector_id=header["DET_ID"], kind=header["DATA-TYP"].lower(),
        night=header["NIGHT"], mjd_start=header["MJD-OBS"], n_frames=header["NFRAMES"],
        frame_interval_s=header["TFRAME"], exptime1_s=header["EXPTIME1"], ra=float("nan"), dec=float("nan"),
        gain_mode=camera.gain_mode(header["GAIN"]), temperature_k=header.get("DETTEMP", float("nan")),
        flags=header["FLAGS"],
    )  # fmt: skip
