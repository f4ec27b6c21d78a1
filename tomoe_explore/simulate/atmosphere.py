"""What the air and the telescope do to an exposure: the same for all detectors, new in every frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tomoe_explore.camera import ALTITUDE_M, APERTURE_M, LATITUDE_DEG, LONGITUDE_DEG, PIXEL_SCALE
from tomoe_explore.simulate.draws import generator

SKY_MAG = 20.0  #: *assumed*: dark sky at Kiso in Gaia G, mag/arcsec2 (moonless; it gives the published depth)
EXTINCTION = 0.15  #: *assumed*: mag an airmass in the camera's band
AIRMASS_MAX = 5.0


@dataclass(frozen=True)
class Atmosphere:
    """One exposure's air.

    Attributes
    ----------
    airmass : float
    beta : float
        Wings of the star images (Moffat).
    sky_mag : float
        mag/arcsec2.
    fwhm_px, dx_px, dy_px, transparency : ndarray
        Of each frame; shifts have no mean over the frames that a stack uses (all but frame 0).
    scintillation : float
        Standard deviation of a star's relative flux in one frame.
    """

    airmass: float
    beta: float
    sky_mag: float
    fwhm_px: NDArray[np.float64]
    dx_px: NDArray[np.float64]
    dy_px: NDArray[np.float64]
    transparency: NDArray[np.float64]
    scintillation: float

    @property
    def extinction_mag(self) -> float:
        """Loss against the zenith."""
        return EXTINCTION * (self.airmass - 1.0)


def draw_atmosphere(seed: int, exposure_id: int, n_frames: int, *, airmass: float, exptime_s: float) -> Atmosphere:
    """The air of one exposure: 3-4 arcsec seeing, 0.2 px jitter, 1 % transparency from frame to frame.

    Examples
    --------
    >>> air = draw_atmosphere(1, 357754, 18, airmass=1.0, exptime_s=0.5)
    >>> air.fwhm_px.shape, round(air.scintillation, 4)
    ((18,), 0.0035)
    """
    rng = generator(seed, "atmosphere", exposure_id)
    fwhm = rng.uniform(3.0, 4.0) / PIXEL_SCALE * (1.0 + 0.02 * rng.standard_normal(n_frames))
    shifts = 0.2 * rng.standard_normal((2, n_frames))
    used = shifts[:, 1:] if n_frames > 1 else shifts
    dx, dy = shifts - used.mean(axis=1, keepdims=True)
    return Atmosphere(
        airmass=airmass,
        beta=rng.uniform(3.0, 4.5),
        sky_mag=SKY_MAG + rng.normal(0.0, 0.05),
        fwhm_px=fwhm,
        dx_px=dx,
        dy_px=dy,
        transparency=rng.uniform(0.95, 1.0) * (1.0 + 0.01 * rng.standard_normal(n_frames)),
        scintillation=scintillation(airmass, exptime_s),
    )


def scintillation(airmass: float, exptime_s: float) -> float:
    """Standard deviation of a star's relative flux by scintillation.

    Notes
    -----
    ``0.09 D^(-2/3) X^1.75 (2 t)^(-1/2) exp(-h / 8000 m)`` with the aperture ``D`` in cm
    (Young 1967, AJ 72, 747; Dravins et al. 1998, PASP 110, 610). White from frame to frame, apart for every star.

    Examples
    --------
    >>> round(scintillation(1.0, 0.5), 5)
    0.00351
    """
    aperture = (100.0 * APERTURE_M) ** (-2.0 / 3.0)
    return float(0.09 * aperture * airmass**1.75 / np.sqrt(2.0 * exptime_s) * np.exp(-ALTITUDE_M / 8000.0))


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
    days = mjd - 51544.5
    sidereal_deg = 280.46061837 + 360.98564736629 * days + LONGITUDE_DEG
    hour_angle = np.radians(sidereal_deg - ra)
    lat, d = np.radians(LATITUDE_DEG), np.radians(dec)
    return float(np.sin(lat) * np.sin(d) + np.cos(lat) * np.cos(d) * np.cos(hour_angle))


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
