"""Pixels that are not like the others: dead, hot, noisy, flickering, and columns that are bad from some row on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tomoe_explore.camera import NX, NX_RAW, NY
from tomoe_explore.simulate.draws import log_uniform

Image = NDArray[np.float32]

HOT_FRACTION = 3e-4  #: *assumed*: share of hot pixels
HOT_DARK = (40.0, 8000.0)  #: *assumed*: their dark current over that of a usual pixel: 20 to 4000 e-/s at 290 K
DEAD_FRACTION = 2e-5  #: *assumed*: share of pixels that see less than 30 % of their light
DARK_SCATTER = 0.1  #: *assumed*: relative scatter of the dark current of the other pixels
NOISE_SCATTER = 0.15  #: *assumed*: scatter of the logarithm of the read noise from pixel to pixel
NOISY_FRACTION = 0.005  #: *assumed*: share of pixels whose read noise is 2 to 4 times the others'
TELEGRAPH_FRACTION = 2e-4  #: *assumed*: share of pixels with random telegraph noise
TELEGRAPH_E = (20.0, 200.0)  #: *assumed*: distance of its two levels, electrons; as many in each octave
TELEGRAPH_RATE = (0.05, 0.5)  #: *assumed*: chance that such a pixel changes its level from frame to frame
BAD_COLUMNS = 3.0  #: *assumed*: bad columns of a detector, on average
COLUMN_DARK = (60.0, 600.0)  #: *assumed*: dark current of a bright column over that of a usual pixel


@dataclass(frozen=True)
class Telegraph:
    """Pixels that jump between two levels.

    Attributes
    ----------
    pixels : ndarray of int64
        Index in a raw frame, flattened.
    levels_e : ndarray of float32
        Distance of the levels, electrons.
    rates : ndarray of float32
        Chance of a change from frame to frame.
    """

    pixels: NDArray[np.int64]
    levels_e: Image
    rates: Image

    def electrons(self, rng: np.random.Generator, n_frames: int) -> Image:
        """Electrons above the lower level, ``(n_frames, n_pixels)``."""
        jumps = rng.random((n_frames, self.pixels.size), dtype=np.float32) < self.rates
        jumps[0] = rng.random(self.pixels.size) < 0.5
        return (np.cumsum(jumps, axis=0) % 2) * self.levels_e


def draw_telegraph(rng: np.random.Generator) -> Telegraph:
    """Flickering pixels of one detector.

    Examples
    --------
    >>> flicker = draw_telegraph(np.random.default_rng(1))
    >>> flicker.pixels.size, flicker.electrons(np.random.default_rng(2), 4).shape
    (451, (4, 451))
    """
    n = int(TELEGRAPH_FRACTION * NX * NY)
    row, column = np.divmod(np.sort(rng.choice(NX * NY, size=n, replace=False)), NX)
    levels = log_uniform(rng, TELEGRAPH_E, n).astype(np.float32)
    rates = log_uniform(rng, TELEGRAPH_RATE, n).astype(np.float32)
    return Telegraph(row * NX_RAW + column, levels, rates)


def draw_dark(rng: np.random.Generator) -> Image:
    """Dark current relative to ``camera.dark_current``, ``(NY, NX)``: scatter, and hot pixels alike in each octave."""
    shape = 1.0 + DARK_SCATTER * rng.standard_normal((NY, NX), dtype=np.float32)
    hot = rng.choice(NX * NY, size=int(HOT_FRACTION * NX * NY), replace=False)
    shape.flat[hot] = log_uniform(rng, HOT_DARK, hot.size)
    return np.maximum(shape, 0.0)


def draw_read_noise(rng: np.random.Generator) -> Image:
    """Read noise of each pixel over that of the detector, ``(NY, NX_RAW)``; the mean of its square is 1."""
    noise = np.exp(NOISE_SCATTER * rng.standard_normal((NY, NX_RAW), dtype=np.float32))
    noisy = rng.choice(noise.size, size=int(NOISY_FRACTION * noise.size), replace=False)
    noise.flat[noisy] *= rng.uniform(2.0, 4.0, noisy.size).astype(np.float32)
    return noise / np.float32(np.sqrt((noise.astype(np.float64) ** 2).mean()))


def spoil(rng: np.random.Generator, response: Image, dark: Image) -> None:
    """Put dead pixels and bad columns into the sensitivity and the dark current, in place.

    Half of the bad columns see little light, the others are bright; each from some row to the upper or lower edge.
    """
    dead = rng.choice(NX * NY, size=int(DEAD_FRACTION * NX * NY), replace=False)
    response.flat[dead] *= rng.uniform(0.0, 0.3, dead.size).astype(np.float32)
    for _ in range(rng.poisson(BAD_COLUMNS)):
        column, row = int(rng.integers(NX)), int(rng.integers(NY))
        rows = slice(row, NY) if rng.random() < 0.5 else slice(0, row)
        if rng.random() < 0.5:
            response[rows, column] *= np.float32(rng.uniform(0.0, 0.5))
        else:
            dark[rows, column] += np.float32(log_uniform(rng, COLUMN_DARK))
