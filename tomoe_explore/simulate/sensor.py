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
from tomoe_explore.simulate.draws import generator

#: Gaia G (Vega) that gives 1 e-/s at the zenith in clear air. Both statements on sensitivity follow from it:
#: the peak pixel of a star in 3.5" seeing reaches the 6,000 e- of high gain in 0.5 s near 12.2 mag, and with a sky of
#: 20 mag/arcsec2 (about 77 e- a pixel) a star of 18.4 mag has 5 sigma in 0.5 s in 3" seeing, one of
#: 18.5 mag in 2.7".
ZEROPOINT_E_S = 25.1

HOT_FRACTION = 3e-4  #: *assumed*: share of pixels whose dark current is 20 to 4000 e-/s at 290 K
DEAD_FRACTION = 2e-5  #: *assumed*: share of pixels that see less than 30 % of their light


@dataclass(frozen=True)
class Sensor:
    """One detector with its hidden draws.

    Attributes
    ----------
    detector_id : int
    gain, read_noise_e, full_well_e : float
        Electrons per ADU; electrons.
    zeropoint_e_s : float
        Gaia G (Vega) of 1 e-/s for a response of 1, at the zenith in clear air.
    rotation_deg, scale : float
        Rotation (north towards east, deg) and arcsec a pixel.
    offset_arcsec : tuple of float
        Place in the tangent plane minus the nominal one, towards +RA and +Dec.
    response : ndarray of float32
        ``(NY, NX)``: pixel flat times vignetting, 1 being a perfect pixel on the axis.
    dark_shape : ndarray of float32
        ``(NY, NX)``: dark current of each pixel relative to ``camera.dark_current``.
    """

    detector_id: int
    gain: float
    read_noise_e: float
    full_well_e: float
    zeropoint_e_s: float
    rotation_deg: float
    scale: float
    offset_arcsec: tuple[float, float]
    response: NDArray[np.float32]
    dark_shape: NDArray[np.float32]

    @property
    def electronics(self) -> tuple[float, float, float, float]:
        """Gain, read noise, full well and largest ADU, as `readout.read_out` takes them."""
        return self.gain, self.read_noise_e, self.full_well_e, SATURATION_ADU

    @cached_property
    def median_response(self) -> float:
        """What a flat of median 1 takes out of the zero point."""
        return float(np.median(self.response))

    def dark_electrons(self, temperature_k: float, exptime_s: float) -> NDArray[np.float32]:
        """Expected dark electrons of one frame, ``(NY, NX)``."""
        return self.dark_shape * np.float32(float(dark_current(temperature_k)) * exptime_s)


def draw_sensor(seed: int, detector_id: int) -> Sensor:
    """The detector of a simulation: the same in every exposure of it.

    Examples
    --------
    >>> sensor = draw_sensor(1, 112)
    >>> sensor.gain != 0.23, abs(sensor.gain / 0.23 - 1) < 0.1
    (True, True)
    """
    rng = generator(seed, "sensor", check_detector(detector_id))
    mode = GAIN_MODES["high"]
    return Sensor(
        detector_id=detector_id,
        gain=mode.gain * rng.uniform(0.96, 1.04),
        read_noise_e=mode.read_noise_e * rng.uniform(0.93, 1.10),
        full_well_e=mode.full_well_e * rng.uniform(0.98, 1.04),
        zeropoint_e_s=ZEROPOINT_E_S + rng.normal(0.0, 0.05),
        rotation_deg=rng.uniform(-0.3, 0.3),
        scale=PIXEL_SCALE * (1.0 + rng.uniform(-3e-4, 3e-4)),
        offset_arcsec=(rng.uniform(-8.0, 8.0), rng.uniform(-8.0, 8.0)),
        response=_draw_response(rng, detector_id),
        dark_shape=_draw_dark(rng),
    )


def _draw_response(rng: np.random.Generator, detector_id: int) -> NDArray[np.float32]:
    """Pixel flat (1 %), a smooth tilt (1 %), vignetting of the telescope, and a few dead pixels."""
    xi, eta = focal_plane_offset(detector_id)
    step = PIXEL_SCALE / 3600
    x = (np.arange(NX) - (NX - 1) / 2)[None, :] * step
    y = (np.arange(NY) - (NY - 1) / 2)[:, None] * step
    light = vignetting(np.hypot(xi - x, eta + y))
    tilt = 1.0 + rng.normal(0.0, 0.02) * x / 0.33 + rng.normal(0.0, 0.02) * y / 0.19
    pixels = 1.0 + 0.01 * rng.standard_normal((NY, NX), dtype=np.float32)
    response = (light * tilt * pixels).astype(np.float32)
    dead = rng.choice(NX * NY, size=int(DEAD_FRACTION * NX * NY), replace=False)
    response.flat[dead] *= rng.uniform(0.0, 0.3, dead.size).astype(np.float32)
    return response


def _draw_dark(rng: np.random.Generator) -> NDArray[np.float32]:
    """Relative dark current: 10 % from pixel to pixel, and hot pixels with as many in each octave."""
    shape = 1.0 + 0.1 * rng.standard_normal((NY, NX), dtype=np.float32)
    hot = rng.choice(NX * NY, size=int(HOT_FRACTION * NX * NY), replace=False)
    shape.flat[hot] = np.exp(rng.uniform(np.log(40.0), np.log(8000.0), hot.size))
    return np.maximum(shape, 0.0)
