"""Streaks: trails of satellites within one frame or two, straight on the detector."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tomoe_explore.camera import NX, NY, PIXEL_SCALE, ROW_TIME_S
from tomoe_explore.simulate.draws import generator
from tomoe_explore.simulate.psf import line_peak


@dataclass(frozen=True)
class StreakTrack:
    """A source that moves straight over the detector and shines for a short while.

    Attributes
    ----------
    streak_id : int
    x, y : float
        px, at second 0 (the start of the exposure of row 0 of frame 0).
    vx, vy : float
        px/s. ``vy`` must stay below one row in ``ROW_TIME_S`` (2411 px/s): faster ones overtake the shutter.
    on_s, off_s : float
        When it shines, seconds.
    peak_snr : float
        Signal over noise of a pixel on the ridge of the trail.
    """

    streak_id: int
    x: float
    y: float
    vx: float
    vy: float
    on_s: float
    off_s: float
    peak_snr: float

    @property
    def rate(self) -> float:
        """arcsec/s."""
        return float(np.hypot(self.vx, self.vy) * PIXEL_SCALE)

    def electrons_per_s(self, noise_e: float, fwhm_px: float, beta: float) -> float:
        """Brightness that gives ``peak_snr`` over a noise of ``noise_e`` electrons a pixel."""
        return self.peak_snr * noise_e * float(np.hypot(self.vx, self.vy)) / line_peak(fwhm_px, beta)

    def seen(self, frame: int, frame_interval_s: float, exptime1_s: float) -> tuple[float, float] | None:
        """First and last second at which a frame sees the trail's ridge on the detector; None where it does not.

        Notes
        -----
        Row ``y`` of frame ``n`` is exposed from ``n TFRAME + y ROW_TIME`` for ``EXPTIME1``. On the trail
        ``y = y0 + vy t``, so the shutter is open while
        ``0 <= t (1 - vy ROW_TIME) - y0 ROW_TIME - n TFRAME <= EXPTIME1``.
        """
        slope = 1.0 - self.vy * ROW_TIME_S
        opens = (frame * frame_interval_s + self.y * ROW_TIME_S) / slope
        first, last = max(self.on_s, opens), min(self.off_s, opens + exptime1_s / slope)
        for start, speed, size in ((self.x, self.vx, NX), (self.y, self.vy, NY)):
            if speed != 0:
                edges = sorted(((-0.5 - start) / speed, (size - 0.5 - start) / speed))
                first, last = max(first, edges[0]), min(last, edges[1])
            elif not -0.5 <= start <= size - 0.5:
                return None
        return (first, last) if last > first else None


def draw_streaks(
    seed: int, exposure_id: int, detector_id: int, timing: tuple[int, float, float], n: int
) -> list[StreakTrack]:
    """Streaks of one film: 300-1500 arcsec/s, shining 0.1-0.45 s, 3-8 sigma a pixel.

    Parameters
    ----------
    seed, exposure_id, detector_id : int
    timing : tuple
        Number of frames, ``TFRAME`` and ``EXPTIME1`` (s).
    n : int
        How many.

    Examples
    --------
    >>> streak, = draw_streaks(1, 357754, 112, (18, 0.5, 0.499904), 1)
    >>> 300 < streak.rate < 1500
    True
    """
    rng = generator(seed, "streaks", exposure_id, detector_id)
    n_frames, interval, exptime = timing
    streaks = []
    for k in range(n):
        x, y = rng.uniform(0.2, 0.8) * NX, rng.uniform(0.2, 0.8) * NY
        speed = np.exp(rng.uniform(np.log(300.0), np.log(1500.0))) / PIXEL_SCALE
        angle = rng.uniform(0.0, 2 * np.pi)
        vx, vy = speed * np.cos(angle), speed * np.sin(angle)
        frame = int(rng.integers(min(1, n_frames - 1), n_frames))
        middle = frame * interval + y * ROW_TIME_S + rng.uniform(0.2, 0.8) * exptime
        half = rng.uniform(0.05, 0.225)
        streaks.append(
            StreakTrack(
                k, x - vx * middle, y - vy * middle, vx, vy, middle - half, middle + half, rng.uniform(3.0, 8.0)
            )
        )
    return streaks
