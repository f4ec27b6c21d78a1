"""One film: what its detector sees in one exposure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tomoe_explore.camera import COLOR_PIVOT, NX, NY, PIXEL_SCALE, ROW_TIME_S
from tomoe_explore.simulate.atmosphere import Atmosphere
from tomoe_explore.simulate.draws import generator
from tomoe_explore.simulate.header import ExposureSetup
from tomoe_explore.simulate.motion import Motion, Tilt
from tomoe_explore.simulate.projection import Projection
from tomoe_explore.simulate.psf import mean_fwhm, shape_matrix
from tomoe_explore.simulate.sensor import Sensor

Array = NDArray[np.float64]

TWILIGHT_PART = (0.4, 0.65)  #: of the full well that the sky fills at the start of a film in ``twilight``
TWILIGHT_RISE = 0.01  #: relative rise of its sky in a second
DEFOCUS_ARCSEC = (12.0, 20.0)  #: outer diameter of star images in ``defocus``
OBSTRUCTION = 0.4  #: *assumed*: diameter of the hole in them over that


@dataclass(frozen=True)
class FilmSetup:
    """One detector in one exposure.

    Attributes
    ----------
    setup, air, sensor : ExposureSetup, Atmosphere, Sensor
    projection : Projection
        The true one.
    tilt : Tilt
    seed : int
    mistake : str or None
        One of ``conditions.MISTAKES``.
    """

    setup: ExposureSetup
    air: Atmosphere
    sensor: Sensor
    projection: Projection
    tilt: Tilt
    seed: int
    mistake: str | None = None

    @property
    def keys(self) -> dict[str, int]:
        """``exposure_id`` and ``detector_id``, as all tables have them."""
        return {"exposure_id": self.setup.exposure_id, "detector_id": self.sensor.detector_id}

    @property
    def closed(self) -> bool:
        """Whether the dome is shut."""
        return self.mistake == "dome"

    @property
    def start_s(self) -> Array:
        """Second at which row 0 of each frame starts to be exposed."""
        return np.asarray(np.arange(self.setup.n_frames) * self.setup.frame_interval_s, dtype=np.float64)

    # --- light --------------------------------------------------------------------------------------
    def passed(self, frame: ArrayLike, x: ArrayLike, y: ArrayLike) -> Array:
        """Transparency in frames at pixels (clouds, and what all detectors lose); they broadcast."""
        if self.closed:
            return np.zeros(np.broadcast(frame, x, y).shape)
        seconds = np.asarray(frame) * self.setup.frame_interval_s
        clouds = self.air.cloud.transparency(seconds, *self.projection.plane(x, y))
        return np.asarray(clouds * self.air.gray[np.asarray(frame)])

    @property
    def transparency(self) -> Array:
        """Transparency of each frame at the detector's centre."""
        return self.passed(np.arange(self.setup.n_frames), (NX - 1) / 2, (NY - 1) / 2)

    @property
    def clear(self) -> float:
        """Mean transparency of the frames that a stack uses (all but frame 0)."""
        return float(self.transparency[min(1, self.setup.n_frames - 1) :].mean())

    @property
    def sky_electrons(self) -> Array:
        """Sky electrons of a perfect pixel at the detector's centre, in each frame."""
        if self.closed:
            return np.zeros(self.setup.n_frames)
        if self.mistake == "twilight":
            rng = generator(self.seed, "twilight", self.setup.exposure_id)
            return self.sensor.full_well_e * rng.uniform(*TWILIGHT_PART) * np.exp(TWILIGHT_RISE * self.start_s)
        return np.full(self.setup.n_frames, sky_electrons(self.air, self.setup, self.sensor.zeropoint_e_s))

    def sky_at(self, frame: int, x: float, y: float) -> float:
        """Sky electrons of a perfect pixel anywhere."""
        slope = self.air.sky_slope[0] * (x - (NX - 1) / 2) / NX + self.air.sky_slope[1] * (y - (NY - 1) / 2) / NY
        return float(self.sky_electrons[frame]) * (1.0 + slope)

    @property
    def noise_electrons(self) -> float:
        """Noise of an empty pixel of median response in one frame."""
        sky = float(self.sky_electrons.mean())
        return float(np.sqrt(sky * self.sensor.median_response + self.sensor.read_noise_e**2))

    @property
    def zeropoint(self) -> float:
        """Gaia G (Vega) of 1 ADU a frame of a star of ``COLOR_PIVOT`` on flat-fielded frames (flat of median 1).

        In the film's mean transparency, at the detector's centre.
        """
        electrons = self.setup.exptime1_s * self.sensor.median_response * self.clear / self.sensor.gain
        return float(self.sensor.zeropoint_e_s - self.air.extinction_mag + 2.5 * np.log10(max(electrons, 1e-30)))

    def electrons_per_s(self, mag: ArrayLike, bp_rp: ArrayLike = COLOR_PIVOT) -> Array:
        """Of a star through the film's air at transparency 1, on a perfect pixel."""
        dimmed = np.asarray(mag, float) + self.sensor.color_term * (np.asarray(bp_rp, float) - COLOR_PIVOT)
        return np.asarray(10.0 ** (0.4 * (self.sensor.zeropoint_e_s - self.air.extinction_mag - dimmed)))

    def twinkle(self, thing: str, number: int, n: int = 1) -> Array:
        """Scintillation: factors of mean 1, ``(n_frames, n)``, of one thing on the film."""
        sigma = self.air.scintillation
        rng = generator(self.seed, "scintillation", thing, number, *self.keys.values())
        return np.exp(rng.normal(-(sigma**2) / 2, sigma, (self.setup.n_frames, n)))

    # --- images -------------------------------------------------------------------------------------
    def shape(self, frame: int, x: ArrayLike, y: ArrayLike, blur: Array | None = None) -> Array:
        """Matrices of star images at pixels, ``(..., 3)``, as `psf.shape_matrix` gives them."""
        width, one, two = self.sensor.optics.image(x, y)
        covariance = (0.0, 0.0, 0.0) if blur is None else (blur[0], blur[1], blur[2])
        return shape_matrix(self.air.fwhm_px[frame] * width, self.air.beta, (one, two), covariance)

    @property
    def fwhm_px(self) -> Array:
        """Geometric mean FWHM of each frame at the detector's centre, with the blur by shaking."""
        _, blur = self._moved(np.full(self.setup.n_frames, (NY - 1) / 2), self.start_s)
        center = [self.shape(n, (NX - 1) / 2, (NY - 1) / 2, blur[:, n]) for n in range(self.setup.n_frames)]
        fwhm = mean_fwhm(np.array(center), self.air.beta)
        return np.hypot(fwhm, self.defocus_px) if self.mistake == "defocus" else fwhm

    @property
    def color_shift(self) -> tuple[float, float]:
        """Shift (px) of a star 1 mag redder in BP - RP, by refraction."""
        return self.projection.direction(*self.air.color_refraction)

    @property
    def shifts(self) -> Array:
        """Shift of the images at the middle row of each frame, ``(2, n_frames)``, px, without the tilt."""
        mean, _ = self._moved(np.full(self.setup.n_frames, (NY - 1) / 2), self.start_s)
        return mean

    def moved(self, frame: int, x: Array, y: Array) -> tuple[Array, Array]:
        """Shift ``(2, n)`` and blur ``(3, n)`` of star images in a frame."""
        mean, blur = self._moved(y, self.start_s[frame])
        return mean + self.tilt.at(frame, x, y), blur

    def _moved(self, row: Array, start_s: ArrayLike) -> tuple[Array, Array]:
        return self.air.motion.exposed(np.asarray(start_s) + row * ROW_TIME_S, self.setup.exptime1_s)

    @property
    def defocus_px(self) -> float:
        """Outer diameter of star images that are out of focus."""
        size = generator(self.seed, "defocus", self.setup.exposure_id).uniform(*DEFOCUS_ARCSEC)
        return float(size / PIXEL_SCALE)

    @property
    def spread(self) -> NDArray[np.float32] | None:
        """What star images are convolved with by a mistake: a ring, or a trail."""
        if self.mistake == "defocus":
            return _ring(self.defocus_px)
        if self.mistake == "trailed":
            return _line(self.air.motion, self.setup.exptime1_s)
        return None


def sky_electrons(air: Atmosphere, setup: ExposureSetup, zeropoint_e_s: float) -> float:
    """Sky electrons a perfect pixel of nominal size and frame."""
    mag = air.sky_mag - 2.5 * np.log10(PIXEL_SCALE**2)
    return float(10.0 ** (0.4 * (zeropoint_e_s - mag)) * setup.exptime1_s)


def _ring(diameter_px: float) -> NDArray[np.float32]:
    half = int(np.ceil(diameter_px / 2)) + 1
    fine = (np.arange((2 * half + 1) * 8) + 0.5) / 8 - half - 0.5
    r = np.hypot(fine[None, :], fine[:, None])
    ring = ((r <= diameter_px / 2) & (r >= OBSTRUCTION * diameter_px / 2)).astype(np.float32)
    ring = ring.reshape(2 * half + 1, 8, 2 * half + 1, 8).mean(axis=(1, 3))
    return np.asarray(ring / ring.sum(), dtype=np.float32)


def _line(motion: Motion, exptime_s: float) -> NDArray[np.float32]:
    dx, dy = (d * exptime_s for d in motion.drift)
    half = int(np.ceil(np.hypot(dx, dy) / 2)) + 1
    line = np.zeros((2 * half + 1, 2 * half + 1), dtype=np.float32)
    for along in np.linspace(-0.5, 0.5, 400):
        x, y = half + along * dx, half + along * dy
        i, j = int(x), int(y)
        u, v = x - i, y - j
        line[j : j + 2, i : i + 2] += np.outer([1 - v, v], [1 - u, u])
    return line / line.sum()
