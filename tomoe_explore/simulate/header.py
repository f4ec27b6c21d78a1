"""The FITS header of a raw film, as the camera writes it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

from tomoe_explore.camera import EXPTIME1_S, GAIN_MODES, NX_RAW, NY, ROW_GROUP_TIME_S, ROW_TIME_S
from tomoe_explore.data import Kind

if TYPE_CHECKING:
    from astropy.io.fits import Header

_LEAD_S = 5.0  #: ``UTC-EXP``, when the exposure was asked for, precedes ``UTC`` by this
_CALIBRATION_DEC = "+119:00:00.0"  #: darks and flats are taken with the telescope parked


@dataclass(frozen=True)
class ExposureSetup:
    """What an observer sets for an exposure of the whole camera.

    Attributes
    ----------
    exposure_id : int
    kind : str
        ``object``, ``dark`` or ``flat``.
    night : str
        ``YYYY-MM-DD``.
    start_us : int
        Start of the exposure of row 0 of frame 0: microseconds after 0 h UTC of ``night``.
    n_frames : int
    frame_interval_s : float
        0.5 or 1.0.
    ra, dec : float
        Where the telescope is told to point, deg.
    temperature_k : float
        Of the sensors.
    number : int
        Running number among the night's exposures of its kind, from 1.
    """

    exposure_id: int
    kind: Kind
    night: str
    start_us: int
    n_frames: int
    frame_interval_s: float
    ra: float
    dec: float
    temperature_k: float
    number: int

    @property
    def mjd_start(self) -> float:
        """MJD, UTC, of ``start_us``."""
        return night_mjd(self.night) + self.start_us / 86_400e6

    @property
    def exptime1_s(self) -> float:
        """Exposure of one frame."""
        return EXPTIME1_S[self.frame_interval_s]

    def mid_times(self, frame: object, row: object) -> np.ndarray:
        """Mid-exposure (MJD, UTC) of rows; written out here, so that the truth leans on no other code."""
        rolled = np.asarray(frame) * self.frame_interval_s + np.asarray(row) * ROW_TIME_S
        return np.asarray(self.mjd_start + (rolled + self.exptime1_s / 2) / 86_400.0)


def night_mjd(night: str) -> float:
    """MJD of 0 h UTC of a date ``YYYY-MM-DD``.

    Examples
    --------
    >>> night_mjd("2020-08-14")
    59075.0
    """
    return float(date.fromisoformat(night).toordinal() - date(1858, 11, 17).toordinal())


def raw_header(setup: ExposureSetup, detector_id: int, gain: str = "high") -> Header:
    """The header of one detector's film in a gain mode.

    Pixels are signed 16-bit without offset (``BZERO`` absent, that is 0): the readout has subtracted the bias already,
    so values scatter about 0, and 32,000 ADU, the largest level, still fits.
    """
    from astropy.io.fits import Header

    start = datetime.fromisoformat(setup.night) + timedelta(microseconds=setup.start_us)
    end = start + timedelta(seconds=setup.frame_interval_s * setup.n_frames)
    asked = start - timedelta(seconds=_LEAD_S)
    quadrant, chip = divmod(detector_id, 100)
    hertz, sky = 1.0 / setup.frame_interval_s, setup.kind == "object"
    cards = [
        ("SIMPLE", True), ("BITPIX", 16), ("NAXIS", 3), ("NAXIS1", NX_RAW), ("NAXIS2", NY), ("NAXIS3", setup.n_frames),
        ("FMTTYPE", "TOMOE-IMAGE-RAW", "kind of file"), ("EXP_ID", setup.exposure_id, "exposure"),
        ("QUAD_ID", quadrant, "quadrant"), ("DET_ID", detector_id, "detector: 100 * quadrant + chip"),
        ("CMOS_ID", f"CMOS{chip:02d}", "chip"), ("FRAME_ID", f"{setup.exposure_id:08d}{detector_id}", "film"),
        ("OBJECT", _object_name(setup), "name of the field"), ("PROJECT", f"Tomo-e Simulation {hertz:g}Hz"),
        ("OBSERVER", "SIMULATOR"), ("PIPELINE", "wcs,stack,neo"), ("DATA-TYP", setup.kind.upper()),
        ("OBS-MOD", "Imaging"), ("DATA-FPS", hertz, "[Hz] frames a second"),
        ("EXPTIME", round(setup.exptime1_s * setup.n_frames, 6), "[s] total exposure"),
        ("EXPTIME1", setup.exptime1_s, "[s] exposure of a frame"),
        ("TELAPSE", setup.frame_interval_s * setup.n_frames, "[s] duration"),
        ("TFRAME", setup.frame_interval_s, "[s] from frame to frame"),
        ("TRLSTEP", ROW_GROUP_TIME_S, "[s] rolling shutter, four rows"),
        ("TRLSTEP1", ROW_TIME_S, "[s] rolling shutter, one row"),
        ("DATE", start.isoformat(timespec="seconds"), "when the file was made"),
        ("DATE-OBS", start.date().isoformat()), ("TIME-OBS", start.time().isoformat(timespec="microseconds")),
        ("UTC", start.isoformat(timespec="microseconds"), "start of the first row, frame 0"),
        ("UTC-EXP", asked.isoformat(timespec="microseconds"), "exposure asked for"),
        ("GPS-UP", asked.isoformat(timespec="microseconds")),
        ("GPS-DOWN", end.isoformat(timespec="microseconds")),
        ("TIMESYS", "UTC"), ("FILTER", "BLANK"),
        ("RA", _sexagesimal(setup.ra / 15.0, 2) if sky else "00:00:00.00", "[h] telescope"),
        ("DEC", _sexagesimal(setup.dec, 1, sign=True) if sky else _CALIBRATION_DEC, "[deg] telescope"),
        ("RADESYS", "ICRS"), ("EQUINOX", 2000.0),
        ("GAIN", GAIN_MODES[gain].gain, "[e-/ADU] nominal gain"),
        ("DETTEMP", round(setup.temperature_k, 2), "[K] sensor"),
        ("ORIGIN", "tomoe_explore.simulate", "not an observation"),
    ]  # fmt: skip
    return Header(cards)


def _object_name(setup: ExposureSetup) -> str:
    if setup.kind != "object":
        return setup.kind.upper()
    hours, degrees = setup.ra / 15.0, abs(setup.dec)
    sign = "-" if setup.dec < 0 else "+"
    field = f"J{int(hours):02d}{int(hours % 1 * 60):02d}{sign}{int(degrees):02d}{int(degrees % 1 * 60):02d}"
    return f"{field}_dith{setup.number}"


def _sexagesimal(value: float, digits: int, *, sign: bool = False) -> str:
    """``hh:mm:ss.ss`` or ``+dd:mm:ss.s``; rounded as a whole, so that no 60 appears."""
    units = round(abs(value) * 3600 * 10**digits)
    minutes, rest = divmod(units, 60 * 10**digits)
    whole, minutes = divmod(minutes, 60)
    prefix = ("-" if value < 0 else "+") if sign else ""
    return f"{prefix}{whole:02d}:{minutes:02d}:{rest / 10**digits:0{digits + 3}.{digits}f}"
