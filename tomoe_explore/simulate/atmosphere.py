"""What the air and the telescope do to an exposure: the same for all detectors, new in every frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tomoe_explore.camera import ALTITUDE_M, APERTURE_M, LATITUDE_DEG, LONGITUDE_DEG, NY, PIXEL_SCALE
from tomoe_explore.simulate.cloud import Cloud, draw_cloud
from tomoe_explore.simulate.conditions import Conditions
from tomoe_explore.simulate.draws import generator
from tomoe_explore.simulate.header import ExposureSetup
from tomoe_explore.simulate.motion import Motion, draw_motion

SKY_MAG = 20.0  #: *assumed*: dark sky at Kiso in Gaia G, mag/arcsec2 (moonless; it gives the published depth)
MOON_SKY_MAG = 3.0  #: *assumed*: by how much the brightest moonlight raises it
MOON_SLOPE = (0.1, 0.3)  #: *assumed*: relative change of the sky across a detector in the brightest moonlight
EXTINCTION = 0.15  #: *assumed*: mag an airmass in the camera's band
AIRMASS_MAX = 5.0
SEEING_ARCSEC = (2.5, 4.5)  #: *assumed*: full width at half maximum of star images, where it is not given
OSBORN_MEDIAN, OSBORN_SCATTER = 1.5, 0.1  #: scintillation over the standard formula; relative change between nights
REFRACTION = 2.8e-4  #: refraction at 45 deg, rad
COLOR_REFRACTION_ARCSEC = 0.03  #: *assumed*: shift towards the zenith for 1 mag of BP - RP less, times tan z


@dataclass(frozen=True)
class Atmosphere:
    """One exposure's air, and the telescope's motion in the wind.

    Attributes
    ----------
    airmass : float
    zenith : tuple of float
        Unit vector towards the zenith in the tangent plane (towards +RA and +Dec).
    beta : float
        Wings of the star images (Moffat).
    sky_mag : float
        mag/arcsec2.
    sky_slope : tuple of float
        Relative change of the sky from the left to the right and from the lower to the upper edge of a detector.
    fwhm_px : ndarray
        Seeing in each frame.
    gray : ndarray
        Transparency of each frame without clouds.
    cloud : Cloud
    motion : Motion
    scintillation : float
        Standard deviation of a star's relative flux in one frame.
    """

    airmass: float
    zenith: tuple[float, float]
    beta: float
    sky_mag: float
    sky_slope: tuple[float, float]
    fwhm_px: NDArray[np.float64]
    gray: NDArray[np.float64]
    cloud: Cloud
    motion: Motion
    scintillation: float

    @property
    def extinction_mag(self) -> float:
        """Loss against the zenith."""
        return EXTINCTION * (self.airmass - 1.0)

    @property
    def refraction(self) -> float:
        """Relative shrinking of the field along the vertical, ``REFRACTION / cos(z)^2``."""
        return REFRACTION * self.airmass**2

    @property
    def color_refraction(self) -> tuple[float, float]:
        """Shift (arcsec, towards +RA and +Dec) of a star 1 mag redder in BP - RP."""
        size = -COLOR_REFRACTION_ARCSEC * float(np.sqrt(self.airmass**2 - 1.0))
        return size * self.zenith[0], size * self.zenith[1]


def draw_atmosphere(seed: int, setup: ExposureSetup, center: tuple[float, float], conditions: Conditions) -> Atmosphere:
    """The air of one exposure.

    Parameters
    ----------
    seed : int
    setup : ExposureSetup
    center : tuple of float
        Where the telescope looks, deg.
    conditions : Conditions

    Examples
    --------
    >>> setup = ExposureSetup(357754, "object", "2020-08-14", 50_000_000_000, 18, 0.5, 310.0, -12.0, 290.0, 1)
    >>> air = draw_atmosphere(1, setup, (310.0, -12.0), Conditions(seeing=3.0))
    >>> air.fwhm_px.shape, round(float(air.fwhm_px.mean()), 1)
    ((18,), 2.5)
    """
    rng = generator(seed, "atmosphere", setup.exposure_id)
    n, exptime = setup.n_frames, setup.exptime1_s
    high = airmass(setup.mjd_start, *center)
    seeing = rng.uniform(*SEEING_ARCSEC)
    flicker = 1.0 + 0.02 * rng.standard_normal(n)
    fwhm = (conditions.seeing or seeing) / PIXEL_SCALE * flicker / flicker.mean()
    mid_times = (setup.mid_times(np.arange(min(1, n - 1), n), (NY - 1) / 2) - setup.mjd_start) * 86_400.0
    angle, slope = rng.uniform(0.0, 2 * np.pi), conditions.moon * rng.uniform(*MOON_SLOPE)
    strength = generator(seed, "scintillation", setup.night).normal(1.0, OSBORN_SCATTER) * OSBORN_MEDIAN
    return Atmosphere(
        airmass=high,
        zenith=zenith_direction(setup.mjd_start, *center),
        beta=rng.uniform(3.0, 4.5),
        sky_mag=SKY_MAG + rng.normal(0.0, 0.05) - MOON_SKY_MAG * conditions.moon,
        sky_slope=(float(slope * np.cos(angle)), float(slope * np.sin(angle))),
        fwhm_px=fwhm,
        gray=rng.uniform(0.95, 1.0) * (1.0 + 0.01 * rng.standard_normal(n)),
        cloud=draw_cloud(rng, conditions.cloud_mag),
        motion=draw_motion(rng, mid_times, exptime, trailed=conditions.mistake == "trailed"),
        scintillation=scintillation(high, exptime, strength),
    )


def scintillation(airmass: float, exptime_s: float, strength: float = OSBORN_MEDIAN) -> float:
    """Standard deviation of a star's relative flux by scintillation.

    Notes
    -----
    ``sqrt(1e-5) C D^(-2/3) t^(-1/2) X^1.5 exp(-h / 8000 m)`` with the aperture ``D`` in m and the site's strength ``C``
    of the turbulence: Young's (1967, AJ 72, 747) formula as corrected by Osborn et al. (2015, MNRAS 452, 1707),
    who measured 1.3 to 1.7 at ten sites; Kiso is not among them. White from frame to frame, apart for every star.

    Examples
    --------
    >>> round(scintillation(1.0, 0.5, 1.0), 5), round(scintillation(1.0, 0.5), 5)
    (0.00376, 0.00564)
    """
    aperture = APERTURE_M ** (-2.0 / 3.0)
    height = float(np.exp(-ALTITUDE_M / 8000.0))
    return float(np.sqrt(1e-5 / exptime_s) * strength * aperture * airmass**1.5 * height)


def zenith_direction(mjd: float, ra: float, dec: float) -> tuple[float, float]:
    """Unit vector towards the zenith in the tangent plane at a position (towards +RA and +Dec).

    Examples
    --------
    >>> east, north = zenith_direction(59075.58, 312.0, -12.0)
    >>> bool(east < 0.2), bool(north > 0.9)
    (True, True)
    """
    hour_angle, lat, d = _hour_angle(mjd, ra), np.radians(LATITUDE_DEG), np.radians(dec)
    east = np.cos(lat) * np.sin(hour_angle)
    north = np.sin(lat) * np.cos(d) - np.cos(lat) * np.sin(d) * np.cos(hour_angle)
    size = max(float(np.hypot(east, north)), 1e-9)
    return float(east) / size, float(north) / size


def airmass(mjd: float, ra: float, dec: float) -> float:
    """``1 / sin(altitude)`` over Kiso, at most 5; also 5 for what is below the horizon.

    Examples
    --------
    >>> round(airmass(59075.58, 312.0, -12.0), 1)
    1.5
    """
    sin_altitude = _sin_altitude(mjd, ra, dec)
    return float(min(1.0 / max(sin_altitude, 1.0 / AIRMASS_MAX), AIRMASS_MAX))


def _sin_altitude(mjd: float, ra: float, dec: float) -> float:
    lat, d = np.radians(LATITUDE_DEG), np.radians(dec)
    return float(np.sin(lat) * np.sin(d) + np.cos(lat) * np.cos(d) * np.cos(_hour_angle(mjd, ra)))


def _hour_angle(mjd: float, ra: float) -> float:
    sidereal_deg = 280.46061837 + 360.98564736629 * (mjd - 51544.5) + LONGITUDE_DEG
    return float(np.radians(sidereal_deg - ra))


def best_start(mjd_night: float, ra: float, dec: float) -> float:
    """MJD between 11 and 19 h UTC of a night (``mjd_night`` is its 0 h UTC) at which a field stands highest.

    Examples
    --------
    >>> round((best_start(59075.0, 312.0, -12.0) - 59075.0) * 24)
    14
    """
    hours = np.arange(11.0, 19.0, 1.0 / 12)
    heights = [_sin_altitude(mjd_night + h / 24, ra, dec) for h in hours]
    return float(mjd_night + hours[int(np.argmax(heights))] / 24)
