"""A detector as it truly is: its gain, noise, sensitivity, dark current and place differ from the nominal ones."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tomoe_explore.camera import (
    GAIN_MODES,
    NX,
    NY,
    PIXEL_SCALE,
    SATURATION_ADU,
    check_detector,
    dark_current,
    focal_plane_offset,
    vignetting,
)
from tomoe_explore.simulate.defects import Telegraph, draw_dark, draw_read_noise, draw_telegraph, spoil
from tomoe_explore.simulate.draws import generator
from tomoe_explore.simulate.optics import Optics, draw_optics

Image = NDArray[np.float32]

#: Gaia G (Vega) that gives 1 e-/s at the zenith in clear air. Both statements on sensitivity follow from it:
#: the peak pixel of a star in 3.5" seeing reaches the 6,000 e- of high gain in 0.5 s near 12.2 mag, and with a sky of
#: 20 mag/arcsec2 (about 77 e- a pixel) a star of 18.4 mag has 5 sigma in 0.5 s in 3" seeing, one of
#: 18.5 mag in 2.7".
ZEROPOINT_E_S = 25.1

COLOR_TERM, COLOR_TERM_SCATTER = 0.05, 0.03  #: *assumed*: mag lost for each mag of BP - RP beyond ``COLOR_PIVOT``
NONLINEARITY = (0.01, 0.02)  #: *assumed*: part of the signal that is lost at the full well


@dataclass(frozen=True)
class Pixels:
    """What differs from pixel to pixel.

    Attributes
    ----------
    response : ndarray of float32
        ``(NY, NX)``: pixel flat times vignetting, 1 being a perfect pixel on the axis.
    dark : ndarray of float32
        ``(NY, NX)``: dark current relative to ``camera.dark_current``.
    read_noise : ndarray of float32
        ``(NY, NX_RAW)``: relative to the detector's; the mean of its square is 1.
    telegraph : Telegraph
    """

    response: Image
    dark: Image
    read_noise: Image
    telegraph: Telegraph


@dataclass(frozen=True)
class Sensor:
    """One detector with its hidden draws.

    Attributes
    ----------
    detector_id : int
    mode : str
        Gain mode.
    gain, read_noise_e, full_well_e : float
        Electrons per ADU; electrons, rms of all pixels; electrons.
    nonlinearity : float
        Part of the signal that a full pixel loses.
    zeropoint_e_s : float
        Gaia G (Vega) of 1 e-/s for a response of 1 and ``COLOR_PIVOT``, at the zenith in clear air.
    color_term : float
        Mag that a star loses for each mag of BP - RP beyond ``COLOR_PIVOT``.
    rotation_deg, scale : float
        Rotation (north towards east, deg) and arcsec a pixel.
    offset_arcsec : tuple of float
        Place in the tangent plane minus the nominal one, towards +RA and +Dec.
    optics : Optics
    pixels : Pixels
    """

    detector_id: int
    mode: str
    gain: float
    read_noise_e: float
    full_well_e: float
    nonlinearity: float
    zeropoint_e_s: float
    color_term: float
    rotation_deg: float
    scale: float
    offset_arcsec: tuple[float, float]
    optics: Optics
    pixels: Pixels

    @property
    def electronics(self) -> tuple[float, float, float, float]:
        """Gain, full well, nonlinearity and largest ADU, as `readout.read_out` takes them."""
        return self.gain, self.full_well_e, self.nonlinearity, SATURATION_ADU

    @cached_property
    def median_response(self) -> float:
        """What a flat of median 1 takes out of the zero point."""
        return float(np.median(self.pixels.response))

    def dark_electrons(self, temperature_k: float, exptime_s: float) -> Image:
        """Expected dark electrons of one frame, ``(NY, NX)``."""
        return self.pixels.dark * np.float32(float(dark_current(temperature_k)) * exptime_s)


def draw_sensor(seed: int, detector_id: int, mode: str = "high") -> Sensor:
    """The detector of a simulation: the same in every exposure of it, but for its gain mode.

    Examples
    --------
    >>> sensor = draw_sensor(1, 112)
    >>> sensor.gain != 0.23, abs(sensor.gain / 0.23 - 1) < 0.1
    (True, True)
    """
    rng = generator(seed, "sensor", check_detector(detector_id))
    nominal = GAIN_MODES[mode]
    return Sensor(
        detector_id=detector_id,
        mode=mode,
        gain=nominal.gain * rng.uniform(0.96, 1.04),
        read_noise_e=nominal.read_noise_e * rng.uniform(0.93, 1.10),
        full_well_e=nominal.full_well_e * rng.uniform(0.98, 1.04),
        nonlinearity=rng.uniform(*NONLINEARITY),
        zeropoint_e_s=ZEROPOINT_E_S + rng.normal(0.0, 0.05),
        color_term=rng.normal(COLOR_TERM, COLOR_TERM_SCATTER),
        rotation_deg=rng.uniform(-0.3, 0.3),
        scale=PIXEL_SCALE * (1.0 + rng.uniform(-3e-4, 3e-4)),
        offset_arcsec=(rng.uniform(-8.0, 8.0), rng.uniform(-8.0, 8.0)),
        optics=draw_optics(rng),
        pixels=_draw_pixels(rng, detector_id),
    )


def _draw_pixels(rng: np.random.Generator, detector_id: int) -> Pixels:
    response, dark = _draw_response(rng, detector_id), draw_dark(rng)
    spoil(rng, response, dark)
    return Pixels(response, dark, draw_read_noise(rng), draw_telegraph(rng))


def _draw_response(rng: np.random.Generator, detector_id: int) -> Image:
    """Pixel flat (1 %), a smooth tilt (2 %), and vignetting of the telescope."""
    xi, eta = focal_plane_offset(detector_id)
    step = PIXEL_SCALE / 3600
    x = (np.arange(NX) - (NX - 1) / 2)[None, :] * step
    y = (np.arange(NY) - (NY - 1) / 2)[:, None] * step
    light = vignetting(np.hypot(xi - x, eta + y))
    tilt = 1.0 + rng.normal(0.0, 0.02) * x / 0.33 + rng.normal(0.0, 0.02) * y / 0.19
    pixels = 1.0 + 0.01 * rng.standard_normal((NY, NX), dtype=np.float32)
    return (light * tilt * pixels).astype(np.float32)
