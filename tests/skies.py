"""Stacks of Moffat stars for tests: what stands where is known, and the noise is that of photons and read-out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tomoe_explore.data import Stack

Doubles = NDArray[np.float64]

GAIN, READ_NOISE, FRAMES, SKY = 0.22, 9.0, 17, 360.0  #: e-/ADU, ADU, -, ADU
NOISE = float(np.sqrt((SKY / GAIN + READ_NOISE**2) / FRAMES))  #: of a pixel of empty sky on the stack
SUB = np.arange(-0.4, 0.41, 0.2)  #: points in a pixel along an axis


@dataclass(frozen=True)
class Sky:
    """Stars of one sharpness; ``snr`` is the best possible against sky alone."""

    x: Doubles
    y: Doubles
    snr: Doubles
    fwhm: float
    beta: float = 3.5

    @property
    def flux(self) -> Doubles:
        """All light, ADU a frame: ``snr * noise * sqrt(1 / sum(P^2))``."""
        pixels = np.pi * self._alpha2 * (2 * self.beta - 1) / (self.beta - 1) ** 2
        return np.asarray(self.snr * NOISE * np.sqrt(pixels))

    @property
    def _alpha2(self) -> float:
        return self.fwhm**2 / 4 / (2 ** (1 / self.beta) - 1)

    def light(self, shape: tuple[int, int]) -> Doubles:
        """The stars without sky, each pixel integrated."""
        out = np.zeros(shape)
        for x, y, flux in zip(self.x, self.y, self.flux, strict=True):
            reach = int(np.ceil(min(self.fwhm * (4 + 0.6 * (flux / NOISE) ** (1 / self.beta)), 250)))
            top, left = max(int(y) - reach, 0), max(int(x) - reach, 0)
            view = out[top : int(y) + reach + 1, left : int(x) + reach + 1]
            v, u = (np.arange(n)[:, None] + SUB for n in view.shape)
            r2 = ((v + top - y) ** 2)[:, :, None, None] + ((u + left - x) ** 2)[None, None]
            view += flux * (self.beta - 1) / np.pi / self._alpha2 * ((1 + r2 / self._alpha2) ** -self.beta).mean((1, 3))
        return out


def observed(light: Doubles, rng: np.random.Generator, sky: float | Doubles = SKY) -> Stack:
    """The stack of `FRAMES` frames of some light on a sky."""
    electrons = rng.poisson((light + sky) * GAIN * FRAMES)
    image = electrons / GAIN / FRAMES + rng.normal(0, READ_NOISE / np.sqrt(FRAMES), light.shape)
    variance = (np.maximum(image, 0) / GAIN + READ_NOISE**2) / FRAMES
    return Stack(
        image.astype(np.float32), variance.astype(np.float32), np.zeros(light.shape, np.uint8), FRAMES
    )  # fmt: skip


def spread(rng: np.random.Generator, shape: tuple[int, int], n: int, apart: float) -> tuple[Doubles, Doubles]:
    """So many places, none near the edge or another."""
    places = np.empty((0, 2))
    while len(places) < n:
        new = rng.uniform(15, [shape[1] - 16, shape[0] - 16])
        if len(places) == 0 or np.hypot(*(places - new).T).min() > apart:
            places = np.vstack([places, new])
    return places[:, 0], places[:, 1]


def nearest(x: Doubles, y: Doubles, found_x: Doubles, found_y: Doubles) -> tuple[Doubles, NDArray[np.int64]]:
    """Distance of each place from the nearest found, and which that is."""
    distance = np.hypot(x[:, None] - found_x, y[:, None] - found_y)
    return distance.min(axis=1), distance.argmin(axis=1)
