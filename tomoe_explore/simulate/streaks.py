"""Streaks and glints: what shines within one frame or two. Streaks are straight in the sky and cross detectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tomoe_explore.camera import APERTURE_M, DETECTOR_IDS, NX, NY, PIXEL_SCALE, ROW_TIME_S, focal_plane_offset
from tomoe_explore.simulate.draws import generator, log_uniform
from tomoe_explore.simulate.header import ExposureSetup
from tomoe_explore.simulate.projection import Projection
from tomoe_explore.simulate.psf import line_peak, moffat_alpha

RATE_ARCSEC_S = (300.0, 18_000.0)  #: *assumed*: rates of streaks; as many in each octave
SHINES_S = (0.1, 0.45)  #: *assumed*: how long a streak shines
PEAK_SNR = (3.0, 8.0)  #: *assumed*: signal over noise of a pixel on its ridge
GLINT_MAG = (11.0, 16.0)  #: of a star that gives as much light in the frame
METEOR_KM = 120.0  #: *assumed*: distance of meteors
METEOR_PARTS = 24  #: of a meteor's life, each of one brightness
GLINT_S = (0.02, 0.3)  #: *assumed*: how long a glint lasts


@dataclass(frozen=True)
class StreakTrack:
    """A source that moves straight over the detector, or stands, and shines for a short while.

    Attributes
    ----------
    streak_id : int
    x, y : float
        px, at second 0 (the start of the exposure of row 0 of frame 0).
    vx, vy : float
        px/s.
    on_s, off_s : float
        When it shines, seconds.
    mag : float
        Gaia G of the source while it shines.
    kind : str
        ``satellite``, ``meteor`` or ``glint``.

    Notes
    -----
    A meteor is brightest in the middle of its life, ``6 u (1 - u)`` of its mean where ``u`` goes from 0 to 1, and
    `METEOR_KM` away: out of focus.
    """

    streak_id: int
    x: float
    y: float
    vx: float
    vy: float
    on_s: float
    off_s: float
    mag: float
    kind: str = "satellite"

    @property
    def speed(self) -> float:
        """px/s."""
        return float(np.hypot(self.vx, self.vy))

    @property
    def parts(self) -> list[tuple[float, float, float]]:
        """When each part of its life begins and ends, s, and its brightness there over that of ``mag``."""
        if self.kind != "meteor":
            return [(self.on_s, self.off_s, 1.0)]
        edges = np.linspace(0.0, 1.0, METEOR_PARTS + 1)
        part = np.diff(3 * edges**2 - 2 * edges**3) * METEOR_PARTS
        at = self.on_s + edges * (self.off_s - self.on_s)
        return [(float(a), float(b), float(f)) for a, b, f in zip(at[:-1], at[1:], part, strict=True)]

    @property
    def blur_px2(self) -> float:
        """Variance, along each axis, of its image out of focus: an even disk's."""
        if self.kind != "meteor":
            return 0.0
        return float(np.degrees(APERTURE_M / (1e3 * METEOR_KM)) * 3600 / PIXEL_SCALE / 4) ** 2

    def at(self, seconds: float) -> tuple[float, float]:
        """Pixel at a time."""
        return self.x + self.vx * seconds, self.y + self.vy * seconds

    def peak(self, electrons_per_s: float, seconds: float, fwhm_px: float, beta: float) -> float:
        """Electrons of the brightest pixel, of a source that shines for so long."""
        if self.speed > 0:
            return electrons_per_s / self.speed * line_peak(fwhm_px, beta)
        alpha2 = moffat_alpha(fwhm_px, beta) ** 2
        return float(electrons_per_s * seconds * (1.0 - (1.0 + 1.0 / (np.pi * alpha2)) ** (1.0 - beta)))

    def seen(self, frame: int, frame_interval_s: float, exptime1_s: float) -> tuple[float, float] | None:
        """First and last second at which a frame sees the trail's ridge on the detector; None where it does not.

        Notes
        -----
        Row ``y`` of frame ``n`` is exposed from ``n TFRAME + y ROW_TIME`` for ``EXPTIME1``. On the trail
        ``y = y0 + vy t``, so the shutter is open while
        ``0 <= t (1 - vy ROW_TIME) - y0 ROW_TIME - n TFRAME <= EXPTIME1``. What moves faster than 2411 px/s along +y
        overtakes the shutter: the bracket is negative, and it meets the rows' ends of exposure first.
        """
        slope = 1.0 - self.vy * ROW_TIME_S
        start = frame * frame_interval_s + self.y * ROW_TIME_S
        first, last = self.on_s, self.off_s
        if slope != 0.0:
            opens, closes = sorted((start / slope, (start + exptime1_s) / slope))
            first, last = max(first, opens), min(last, closes)
        elif not -exptime1_s <= start <= 0.0:  # it keeps pace with a row that is closed
            return None
        for place, speed, size in ((self.x, self.vx, NX), (self.y, self.vy, NY)):
            if speed != 0:
                edges = sorted(((-0.5 - place) / speed, (size - 0.5 - place) / speed))
                first, last = max(first, edges[0]), min(last, edges[1])
            elif not -0.5 <= place <= size - 0.5:
                return None
        return (first, last) if last > first else None


@dataclass(frozen=True)
class SkyStreak:
    """A streak as all detectors see it: straight and even in the tangent plane of the telescope.

    Attributes
    ----------
    streak_id : int
        1000 times the detector in whose middle it shines, and a running number.
    xi, eta : float
        deg, in the middle of its life.
    v_xi, v_eta : float
        deg/s.
    middle_s, half_s : float
        Middle and half of the time for which it shines, seconds.
    mag : float
    """

    streak_id: int
    xi: float
    eta: float
    v_xi: float
    v_eta: float
    middle_s: float
    half_s: float
    mag: float

    def on_film(self, center: tuple[float, float], projection: Projection) -> StreakTrack | None:
        """The streak on a film, straight in its pixels; None where it stays far from the detector.

        Parameters
        ----------
        center : tuple of float
            Tangent point, deg.
        projection : Projection
            The film's true one.
        """
        away = projection.xi - self.xi, projection.eta - self.eta
        speed = np.hypot(self.v_xi, self.v_eta)
        nearest = (away[0] * self.v_xi + away[1] * self.v_eta) / speed**2  # seconds after the middle
        nearest = float(np.clip(nearest, -self.half_s, self.half_s))
        miss = np.hypot(away[0] - self.v_xi * nearest, away[1] - self.v_eta * nearest)
        if miss > 0.5:
            return None
        step = min(0.05 / speed, self.half_s)  # seconds: 0.05 deg on either side, well inside a detector
        times = nearest + np.array([-step, step])
        places = [
            Projection(*center, self.xi + self.v_xi * t, self.eta + self.v_eta * t).to_sky((NX - 1) / 2, (NY - 1) / 2)
            for t in times
        ]
        x, y = projection.to_pixels(*np.array(places).T)
        vx, vy = (x[1] - x[0]) / (2 * step), (y[1] - y[0]) / (2 * step)
        at = self.middle_s + times[0]
        return StreakTrack(
            self.streak_id, float(x[0] - vx * at), float(y[0] - vy * at), float(vx), float(vy),
            self.middle_s - self.half_s, self.middle_s + self.half_s, self.mag,
        )  # fmt: skip


def draw_streaks(seed: int, setup: ExposureSetup, ridge: float, n: int) -> list[SkyStreak]:
    """The streaks of one exposure: some that shine in the middle of each of the camera's detectors.

    Parameters
    ----------
    seed : int
    setup : ExposureSetup
    ridge : float
        Magnitude of a source that moves by 1 px/s and whose ridge is as bright as the noise of a pixel.
    n : int
        How many a detector.

    Examples
    --------
    >>> setup = ExposureSetup(357754, "object", "2020-08-14", 50_000_000_000, 18, 0.5, 310.0, -12.0, 290.0, 1)
    >>> len(draw_streaks(1, setup, 20.0, 1))
    84
    """
    return [s for d in DETECTOR_IDS for s in _draw_streaks(seed, setup, ridge, d, n)] if n else []


def _draw_streaks(seed: int, setup: ExposureSetup, ridge: float, detector_id: int, n: int) -> list[SkyStreak]:
    rng = generator(seed, "streaks", setup.exposure_id, detector_id)
    xi, eta = focal_plane_offset(detector_id)
    streaks = []
    for k in range(n):
        x, y = rng.uniform(-0.3, 0.3) * NX, rng.uniform(-0.3, 0.3) * NY
        rate = float(log_uniform(rng, RATE_ARCSEC_S))
        angle = rng.uniform(0.0, 2 * np.pi)
        frame = int(rng.integers(min(1, setup.n_frames - 1), setup.n_frames))
        middle = frame * setup.frame_interval_s + (y + (NY - 1) / 2) * ROW_TIME_S
        middle += rng.uniform(0.2, 0.8) * setup.exptime1_s
        half = rng.uniform(*SHINES_S) / 2
        mag = ridge - 2.5 * np.log10(rng.uniform(*PEAK_SNR) * rate / PIXEL_SCALE)
        streaks.append(
            SkyStreak(
                1000 * detector_id + k, xi - x * PIXEL_SCALE / 3600, eta + y * PIXEL_SCALE / 3600,
                float(-rate * np.cos(angle) / 3600), float(rate * np.sin(angle) / 3600), middle, half, float(mag),
            )
        )  # fmt: skip
    return streaks


def draw_glints(seed: int, setup: ExposureSetup, detector_id: int, n: int) -> Sequence[StreakTrack]:
    """Glints of one film: points that flash within the exposure of one frame.

    Examples
    --------
    >>> setup = ExposureSetup(357754, "object", "2020-08-14", 50_000_000_000, 18, 0.5, 310.0, -12.0, 290.0, 1)
    >>> glint, = draw_glints(1, setup, 112, 1)
    >>> glint.speed, 0.02 < glint.off_s - glint.on_s < 0.3
    (0.0, True)
    """
    rng = generator(seed, "glints", setup.exposure_id, detector_id)
    glints = []
    for k in range(n):
        x, y = rng.uniform(0.05, 0.95) * NX, rng.uniform(0.05, 0.95) * NY
        lasts = float(log_uniform(rng, GLINT_S))
        on = rng.integers(setup.n_frames) * setup.frame_interval_s + y * ROW_TIME_S
        on += rng.uniform(0.05, 0.95) * (setup.exptime1_s - lasts)
        mag = rng.uniform(*GLINT_MAG) + 2.5 * np.log10(lasts / setup.exptime1_s)
        glints.append(
            StreakTrack(1000 * detector_id + 500 + k, x, y, 0.0, 0.0, float(on), float(on + lasts), mag, "glint")
        )
    return glints


@dataclass(frozen=True)
class PlacedStreak:
    """A streak that a benchmark or a test puts on one film.

    Attributes
    ----------
    detector_id : int
    exposure : int
        Number of the exposure of the sky, from 0.
    x, y : float
        px, where it is in the middle of its life.
    rate : float
        arcsec/s.
    angle : float
        deg, of its motion, from +x towards +y.
    middle_s, lasts_s : float
        Middle of its life after the start of row 0 of frame 0, and how long it shines, s.
    snr : float
        Of a pixel on its ridge in the median response; in the mean over a meteor's life.
    kind : str
        ``satellite`` or ``meteor``.
    """

    detector_id: int
    exposure: int
    x: float
    y: float
    rate: float
    angle: float
    middle_s: float
    lasts_s: float
    snr: float
    kind: str = "satellite"

    def track(self, streak_id: int, ridge: float) -> StreakTrack:
        """On its film; ``ridge`` as in `draw_streaks`."""
        speed = self.rate / PIXEL_SCALE
        vx, vy = speed * np.cos(np.radians(self.angle)), speed * np.sin(np.radians(self.angle))
        mag = ridge - 2.5 * np.log10(self.snr * speed)
        on = self.middle_s - self.lasts_s / 2
        return StreakTrack(
            streak_id, float(self.x - vx * self.middle_s), float(self.y - vy * self.middle_s), float(vx), float(vy),
            on, on + self.lasts_s, float(mag), self.kind,
        )  # fmt: skip
