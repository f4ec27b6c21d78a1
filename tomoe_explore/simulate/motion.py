"""How images wander: a path in time that all stars share, and a tilt that differs over arcminutes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tomoe_explore.camera import PIXEL_SCALE
from tomoe_explore.simulate.draws import generator, log_uniform

Array = NDArray[np.float64]

JITTER_PX = 0.2  #: *assumed*: rms of the slow wandering, along each axis
JITTER_HZ = (0.05, 1.0)  #: *assumed*: its frequencies
SHAKE_PX = (0.05, 0.3)  #: *assumed*: rms of the shaking by wind, along each axis, from calm to windy
SHAKE_HZ = (3.0, 12.0)  #: *assumed*: its frequencies
DRIFT_PX_S = 0.02  #: *assumed*: rms of the drift of the tracking, along each axis
TRAILED_PX_S = (13.0, 18.0)  #: speed of the mistake ``trailed``: more than 6 px in half a second
TILT_ARCSEC = 0.1  #: *assumed*: rms of the tilt in one frame, along each axis
TILT_ARCMIN = 3.0  #: *assumed*: distance at which its correlation is ``exp(-1/2)``
STEP_S = 0.002
_WAVES = 24
_MARGIN_S = 1.0


@dataclass(frozen=True)
class Motion:
    """The path of the images during an exposure, common to all detectors.

    Attributes
    ----------
    path : ndarray, (2, n)
        x and y, px, every ``STEP_S`` from one second before row 0 of frame 0 is exposed; without the drift.
    drift : tuple of float
        px/s, along x and y; counted from ``middle_s``.
    middle_s : float
        Second at which the drift is zero.

    Examples
    --------
    >>> still = Motion(np.zeros((2, 4000)), (0.5, 0.0), 1.0)
    >>> mean, covariance = still.exposed(1.0, 0.5)
    >>> mean.tolist(), covariance.tolist()
    ([0.125, 0.0], [0.0, 0.0, 0.0])
    """

    path: Array
    drift: tuple[float, float]
    middle_s: float

    @cached_property
    def _integrals(self) -> Array:
        """Running integrals of ``x, y, xx, xy, yy``."""
        x, y = self.path
        moments = np.array([x, y, x * x, x * y, y * y])
        steps = (moments[:, 1:] + moments[:, :-1]) * STEP_S / 2
        return np.concatenate([np.zeros((5, 1)), np.cumsum(steps, axis=1)], axis=1)

    def exposed(self, start_s: ArrayLike, exptime_s: float) -> tuple[Array, Array]:
        """Mean shift ``(2, ...)`` in px, and covariance ``xx, xy, yy`` ``(3, ...)`` in px2, of exposures.

        The drift shifts; what it blurs (0.01 px) is left out.
        """
        start = np.asarray(start_s, float)
        grid = np.arange(self.path.shape[1]) * STEP_S - _MARGIN_S
        first, last = (np.array([np.interp(t, grid, c) for c in self._integrals]) for t in (start, start + exptime_s))
        x, y, xx, xy, yy = (last - first) / exptime_s
        ahead = start + exptime_s / 2 - self.middle_s
        mean = np.array([x + self.drift[0] * ahead, y + self.drift[1] * ahead])
        return mean, np.array([xx - x * x, xy - x * y, yy - y * y])

    @property
    def first_s(self) -> float:
        """Second of the first point of `table`."""
        return -_MARGIN_S


def draw_motion(rng: np.random.Generator, mid_times_s: Array, exptime_s: float, *, trailed: bool = False) -> Motion:
    """The motion of one exposure; without mean over given times.

    Parameters
    ----------
    rng : Generator
    mid_times_s : ndarray
        Mid-exposures of the middle row in the frames that a stack uses, s.
    exptime_s : float
    trailed : bool
        Whether the telescope does not follow the sky.
    """
    n = int((mid_times_s.max() + exptime_s + 2 * _MARGIN_S + 1.0) / STEP_S)
    seconds = np.asarray(np.arange(n) * STEP_S - _MARGIN_S, dtype=np.float64)
    shake = rng.uniform(*SHAKE_PX)
    path = JITTER_PX * _waves(rng, seconds, JITTER_HZ) + shake * _waves(rng, seconds, SHAKE_HZ)
    drift = DRIFT_PX_S * rng.standard_normal(2)
    if trailed:
        angle = rng.uniform(0.0, 2 * np.pi)
        drift = rng.uniform(*TRAILED_PX_S) * np.array([np.cos(angle), np.sin(angle)])
    motion = Motion(path, (float(drift[0]), float(drift[1])), float(mid_times_s.mean()))
    mean, _ = motion.exposed(mid_times_s - exptime_s / 2, exptime_s)
    return Motion(path - mean.mean(axis=1)[:, None], motion.drift, motion.middle_s)


def _waves(rng: np.random.Generator, seconds: Array, band_hz: tuple[float, float]) -> Array:
    """Two random functions of time of unit variance: sums of waves with frequencies spread over a band."""
    frequency = log_uniform(rng, band_hz, (2, _WAVES, 1))
    phase = rng.uniform(0.0, 2 * np.pi, (2, _WAVES, 1))
    return np.asarray(np.sqrt(2.0 / _WAVES) * np.cos(2 * np.pi * frequency * seconds + phase).sum(axis=1))


@dataclass(frozen=True)
class Tilt:
    """A smooth random shift over one detector, new in every frame.

    Attributes
    ----------
    rms_px : float
    waves : ndarray, (n_frames, 2, m, 3)
        Of each frame and axis: wave numbers along x and y (1/px) and phases.

    Notes
    -----
    A sum of m cosines with normal wave numbers has the covariance ``rms^2 exp(-r^2 / (2 L^2))``
    (random Fourier features: Rahimi & Recht 2007, NIPS 20).
    """

    rms_px: float
    waves: Array

    def at(self, frame: int, x: ArrayLike, y: ArrayLike) -> Array:
        """Shifts ``(2, ...)`` at pixels."""
        x, y = np.asarray(x, float)[..., None], np.asarray(y, float)[..., None]
        size = self.rms_px * np.sqrt(2.0 / self.waves.shape[2])
        return np.array([size * np.cos(x * w[:, 0] + y * w[:, 1] + w[:, 2]).sum(axis=-1) for w in self.waves[frame]])


def draw_tilt(seed: int, exposure_id: int, detector_id: int, n_frames: int) -> Tilt:
    """The tilt of one film.

    Examples
    --------
    >>> tilt = draw_tilt(1, 357754, 112, 2)
    >>> near, far = tilt.at(0, [1000.0, 1001.0], [500.0, 500.0])
    >>> bool(abs(near[1] - near[0]) < 0.01)
    True
    """
    rng = generator(seed, "tilt", exposure_id, detector_id)
    waves = rng.standard_normal((n_frames, 2, _WAVES, 3)) * PIXEL_SCALE / (60.0 * TILT_ARCMIN)
    waves[..., 2] = rng.uniform(0.0, 2 * np.pi, waves.shape[:3])
    return Tilt(TILT_ARCSEC / PIXEL_SCALE, waves)
