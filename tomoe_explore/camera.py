"""The camera: detectors, file names, focal plane, gain modes and row times of Tomo-e Gozen.

This is the one place for what is assumed about the instrument. Values marked *assumed* are not public;
the reduction solves position, rotation and distortion of every film from its stars, so they only need to be near.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tomoe_explore.errors import ParameterError

# --- site (Kiso observatory, 1.05 m Schmidt) -----------------------------------------------------
MPC_STATION = "381"
LATITUDE_DEG = 35.0 + 47.0 / 60 + 50.0 / 3600
LONGITUDE_DEG = 137.0 + 37.0 / 60 + 31.5 / 3600
ALTITUDE_M = 1132.0
APERTURE_M = 1.05

# --- pixels --------------------------------------------------------------------------------------
NX, NY = 2000, 1128  #: light-sensitive pixels along x and y
NX_RAW = 2156  #: x size of a RAW film: light-sensitive pixels, then reference columns
NX_READOUT, NY_READOUT = 2160, 1200  #: the whole readout, the size of an original film
X_FIRST_LIGHT, Y_FIRST_LIGHT = 0, 0  #: *assumed*: first light-sensitive pixel of RAW and original films
PIXEL_SCALE = 1.189  #: arcsec a pixel
SATURATION_ADU = 32_000.0  #: *assumed*: largest level above bias that the readout can give
SAFE_FRACTION = 0.9  #: *assumed*: full wells scatter from sensor to sensor; up to this part none is saturated
BAND_NM = (350.0, 700.0)
COLOR_PIVOT = 0.8  #: the band is not Gaia's: a zero point is that of a star of this BP - RP (about the Sun's), mag

# --- shutter -------------------------------------------------------------------------------------
ROW_TIME_S = 0.00041475  #: TRLSTEP1: row n+1 starts this much after row n (row 0 first: *assumed*)
ROW_GROUP_TIME_S = 0.001659  #: TRLSTEP: the same for four rows
EXPTIME1_S = {0.5: 0.499904, 1.0: 0.999904}  #: exposure of one frame by TFRAME
SURVEY_FILM_S = 9.0  #: a survey film of 18 frames: what keeps up with a detector reduces one in this time

QUADRANTS = (1, 2, 3, 4)
CHIPS = tuple(10 * row + k for row, n in ((1, 6), (2, 6), (3, 5), (4, 4)) for k in range(1, n + 1))
DETECTOR_IDS = tuple(100 * q + c for q in QUADRANTS for c in CHIPS)


@dataclass(frozen=True)
class GainMode:
    """One gain mode of the readout.

    Attributes
    ----------
    name : str
        ``high``, ``mid`` or ``low``.
    gain : float
        Electrons per ADU.
    read_noise_e : float
        Read noise of one frame, electrons rms.
    full_well_e : float
        Electrons at which a pixel saturates.

    Examples
    --------
    >>> GAIN_MODES["high"].saturation_adu
    26086.95652173913
    """

    name: str
    gain: float
    read_noise_e: float
    full_well_e: float

    @property
    def saturation_adu(self) -> float:
        """Level in ADU above dark at which a pixel saturates, at the nominal gain."""
        return min(self.full_well_e / self.gain, SATURATION_ADU)

    def safe_adu(self, gain: float) -> float:
        """Level in ADU above dark up to which a pixel is surely not saturated, at a measured gain (e-/ADU).

        Examples
        --------
        >>> round(GAIN_MODES["high"].safe_adu(0.24))
        22500
        """
        return SAFE_FRACTION * min(self.full_well_e / gain, SATURATION_ADU)


GAIN_MODES = {
    "high": GainMode("high", 0.23, 2.0, 6_000.0),
    "mid": GainMode("mid", 0.94, 4.1, 25_000.0),
    "low": GainMode("low", 2.4, 9.2, 52_000.0),
}


def gain_mode(gain: float | None) -> GainMode:
    """The gain mode nearest to a header's ``GAIN`` (e-/ADU); high gain where the header has none.

    Raises
    ------
    ParameterError
        If the gain is not positive.

    Examples
    --------
    >>> gain_mode(0.9).name
    'mid'
    """
    if gain is None:
        return GAIN_MODES["high"]
    if not gain > 0:
        raise ParameterError(f"gain must be positive (e-/ADU, one of 0.23, 0.94, 2.4), got {gain}")
    return min(GAIN_MODES.values(), key=lambda mode: abs(np.log(gain / mode.gain)))


def dark_current(temperature_k: ArrayLike) -> NDArray[np.float64]:
    """Dark current in e-/s/px at a sensor temperature in K.

    Log-linear through the published 0.1 (277 K), 0.5 (290 K) and 6.0 (305 K).

    Examples
    --------
    >>> float(dark_current(290.0).round(3))
    0.5
    """
    log_rate = np.interp(np.asarray(temperature_k, float), [277.0, 290.0, 305.0], np.log([0.1, 0.5, 6.0]))
    return np.exp(log_rate)


# --- times ---------------------------------------------------------------------------------------
def mid_times_mjd(
    mjd_start: float, frame: ArrayLike, row: ArrayLike, *, frame_interval_s: float, exptime1_s: float
) -> NDArray[np.float64]:
    """Mid-exposure times of rows of a rolling-shutter film.

    Parameters
    ----------
    mjd_start : float
        ``UTC`` of the header: start of the exposure of the first light-sensitive row of frame 0, MJD.
    frame, row : array_like
        Frame number and row (0-based, row centres are integers; fractions are allowed); broadcast together.
    frame_interval_s, exptime1_s : float
        ``TFRAME`` and ``EXPTIME1``, s.

    Returns
    -------
    ndarray of float64
        MJD, UTC.

    Notes
    -----
    ``UTC + frame * TFRAME + row * TRLSTEP1 + EXPTIME1 / 2``.

    Examples
    --------
    >>> t = mid_times_mjd(59000.0, 2, 1000, frame_interval_s=0.5, exptime1_s=0.499904)
    >>> round(float((t - 59000.0) * 86400), 4)
    1.6647
    """
    seconds = np.asarray(frame) * frame_interval_s + np.asarray(row) * ROW_TIME_S + exptime1_s / 2
    return mjd_start + seconds / 86_400.0


# --- focal plane ---------------------------------------------------------------------------------
#: *assumed* focal-plane model, deg: x is towards -RA, y towards +Dec; chip rc of quadrant 1 has its centre at
#: x = 1.2 + 0.7 (r - 1), y = 0.7 c; the other quadrants are its mirror images. It honours the one public anchor
#: (TMQ1 chip 14 near -1.2 deg in RA cos Dec and +2.8 deg in Dec) and fills a circle of about 9 deg.
ROW_FIRST_DEG, ROW_PITCH_DEG, CHIP_PITCH_DEG = 1.2, 0.7, 0.7
_QUADRANT_SIGNS = {1: (1, 1), 2: (1, -1), 3: (-1, -1), 4: (-1, 1)}


def check_detector(detector_id: int) -> int:
    """The detector id itself, if the camera has it.

    Raises
    ------
    ParameterError
        If there is no such detector.

    Examples
    --------
    >>> check_detector(112)
    112
    """
    if detector_id not in DETECTOR_IDS:
        raise ParameterError(
            f"no detector {detector_id}: ids are 100 * quadrant (1-4) + chip (11-16, 21-26, 31-35, 41-44)"
        )
    return int(detector_id)


def focal_plane_offset(detector_id: int) -> tuple[float, float]:
    """Nominal gnomonic offsets (xi towards +RA, eta towards +Dec) of a detector's centre, deg.

    Examples
    --------
    >>> tuple(round(v, 3) for v in focal_plane_offset(114))
    (-1.2, 2.8)
    """
    check_detector(detector_id)
    quadrant, chip = divmod(detector_id, 100)
    row, k = divmod(chip, 10)
    sign_x, sign_y = _QUADRANT_SIGNS[quadrant]
    x = sign_x * (ROW_FIRST_DEG + ROW_PITCH_DEG * (row - 1))
    y = sign_y * CHIP_PITCH_DEG * k
    return -x, y


def detector_center(ra: float, dec: float, detector_id: int) -> tuple[float, float]:
    """Nominal sky position of a detector's centre when the telescope points at ``ra, dec`` (deg).

    Examples
    --------
    >>> tuple(round(v, 2) for v in detector_center(312.0, -12.0, 114))
    (310.79, -9.2)
    """
    xi, eta = np.radians(focal_plane_offset(detector_id))
    dec0 = np.radians(dec)
    denominator = np.cos(dec0) - eta * np.sin(dec0)
    d_ra = np.arctan2(xi, denominator)
    dec1 = np.arctan2((np.sin(dec0) + eta * np.cos(dec0)) * np.cos(d_ra), denominator)
    return float((ra + np.degrees(d_ra)) % 360.0), float(np.degrees(dec1))


def north_angle(ra: float, dec: float, detector_id: int) -> float:
    """Angle (deg) from a detector's +y axis to north at its centre, counted towards -x.

    All detectors are parallel to north *on the axis*; off it, meridians converge.

    Examples
    --------
    >>> round(north_angle(8.8, 60.6, 111), 2)
    2.18
    """
    ra1, dec1 = np.radians(detector_center(ra, dec, detector_id))
    d_ra, dec0 = ra1 - np.radians(ra), np.radians(dec)
    sin1, cos1, sin0, cos0 = np.sin(dec1), np.cos(dec1), np.sin(dec0), np.cos(dec0)
    cos_c = sin0 * sin1 + cos0 * cos1 * np.cos(d_ra)
    d_cos = sin0 * cos1 - cos0 * sin1 * np.cos(d_ra)
    d_xi = (-sin1 * np.sin(d_ra) * cos_c - cos1 * np.sin(d_ra) * d_cos) / cos_c**2
    eta_top = cos0 * sin1 - sin0 * cos1 * np.cos(d_ra)
    d_eta = ((cos0 * cos1 + sin0 * sin1 * np.cos(d_ra)) * cos_c - eta_top * d_cos) / cos_c**2
    return float(np.degrees(np.arctan2(d_xi, d_eta)))


def vignetting(radius_deg: ArrayLike) -> NDArray[np.float64]:
    """Relative illumination at a distance (deg) from the field centre: 1 within 2 deg, 0.5 at 4.5 deg.

    Examples
    --------
    >>> vignetting([0.0, 4.5]).tolist()
    [1.0, 0.5]
    """
    return np.interp(np.asarray(radius_deg, float), [0.0, 2.0, 4.5], [1.0, 1.0, 0.5])


# --- atmosphere ----------------------------------------------------------------------------------
def airmass(ra: float, dec: float, mjd_utc: float) -> float:
    """Airmass of a position (deg, ICRS) seen from Kiso; at most 38, its value at the horizon.

    Notes
    -----
    Kasten & Young (1989); sidereal time to some arcseconds (Meeus, Astronomical Algorithms, 12.4), no refraction:
    ample for extinction and scintillation.

    Examples
    --------
    >>> round(airmass(312.0, -12.0, 59075.55), 2)
    1.53
    """
    sidereal_deg = 280.46061837 + 360.98564736629 * (mjd_utc - 51544.5) + LONGITUDE_DEG
    hour_angle, delta, phi = np.radians([sidereal_deg - ra, dec, LATITUDE_DEG])
    sin_altitude = np.sin(phi) * np.sin(delta) + np.cos(phi) * np.cos(delta) * np.cos(hour_angle)
    altitude_deg = max(float(np.degrees(np.arcsin(sin_altitude))), 0.0)
    return float(1.0 / (np.sin(np.radians(altitude_deg)) + 0.50572 * (altitude_deg + 6.07995) ** -1.6364))


def scintillation(airmass: float, exptime_s: float) -> float:
    """Relative rms of a star's flux from scintillation in a typical night.

    Notes
    -----
    ``sqrt(1e-5) C D^(-2/3) X^1.5 exp(-h / 8000 m) / sqrt(t)`` with D in m and C = 1.5, the median of many sites
    (Osborn et al. 2015, MNRAS 452, 1707; C = 1 is about the formula of Young 1967, AJ 72, 747).

    Examples
    --------
    >>> round(scintillation(1.0, 0.5), 4)
    0.0056
    """
    diameter = APERTURE_M ** (-2 / 3)
    return float(np.sqrt(1e-5) * 1.5 * diameter * airmass**1.5 * np.exp(-ALTITUDE_M / 8000.0) / np.sqrt(exptime_s))


# --- file names ----------------------------------------------------------------------------------
Prefix = Literal["r", "s", "n"]
_NAME = re.compile(r"^([a-z])TMQ([1-4])(\d{4})(\d{2})(\d{2})(\d{8})(\d{2})\.fits?(\.fz|\.gz)?$")


@dataclass(frozen=True)
class FilmName:
    """What a Tomo-e file name says. A name is no key: the same one can occur twice.

    Attributes
    ----------
    prefix : str
        ``r`` raw film, ``s`` stack, ``n`` movers.
    detector_id, exposure_id : int
        ``DET_ID`` and ``EXP_ID``.
    night : str
        Local observing date, ``YYYY-MM-DD``.
    """

    prefix: str
    detector_id: int
    night: str
    exposure_id: int

    def __str__(self) -> str:
        quadrant, chip = divmod(self.detector_id, 100)
        return f"{self.prefix}TMQ{quadrant}{self.night.replace('-', '')}{self.exposure_id:08d}{chip:02d}.fits"


def parse_name(name: str) -> FilmName:
    """Read a Tomo-e file name.

    Raises
    ------
    ParameterError
        If the name is not of the form, or names a detector or date that does not exist.

    Examples
    --------
    >>> parse_name("sTMQ1202008140035775411.fits")
    FilmName(prefix='s', detector_id=111, night='2020-08-14', exposure_id=357754)
    """
    match = _NAME.match(name)
    if match is None:
        raise ParameterError(
            f"not a Tomo-e file name: {name!r}; expected e.g. sTMQ1202008140035775411.fits "
            "(prefix, TMQ and quadrant, YYYYMMDD, 8-digit exposure, 2-digit chip)"
        )
    prefix, quadrant, year, month, day, exposure, chip, _ = match.groups()
    try:
        night = date(int(year), int(month), int(day)).isoformat()
    except ValueError as error:
        raise ParameterError(f"impossible date in file name {name!r}: {error}") from None
    return FilmName(prefix, check_detector(100 * int(quadrant) + int(chip)), night, int(exposure))


def film_name(prefix: Prefix, detector_id: int, night: str, exposure_id: int) -> str:
    """The Tomo-e file name of a film or product.

    Examples
    --------
    >>> film_name("r", 111, "2020-08-14", 357754)
    'rTMQ1202008140035775411.fits'
    """
    name = str(FilmName(prefix, check_detector(detector_id), night, exposure_id))
    parse_name(name)
    return name
