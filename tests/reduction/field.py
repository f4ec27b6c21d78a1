"""A film of the small night in memory, its masters and catalog, and what may go wrong with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tomoe_explore.camera import NX, NY
from tomoe_explore.data import Film, Masters, Reduction, Refcat
from tomoe_explore.reduction.recipe import reduce_film


@dataclass(frozen=True)
class Arrays:
    """A source of frames in memory; ``(n, y, x)``, int16 with the bytes of the file, or float32."""

    frames: np.ndarray

    def read(self, start: int, stop: int) -> np.ndarray:
        return self.frames[start:stop]


@dataclass(frozen=True)
class Endless:
    """A film of any length: an image, and noise from a pool that each frame enters elsewhere."""

    image: np.ndarray
    noise: np.ndarray

    def read(self, start: int, stop: int) -> np.ndarray:
        size = self.image.size
        entries = [np.random.default_rng(n).integers(0, len(self.noise) - size) for n in range(start, stop)]
        frames = np.empty((len(entries), *self.image.shape), np.int16)
        for frame, k in zip(frames, entries, strict=True):
            np.add(self.image, self.noise[k : k + size].reshape(self.image.shape), out=frame)
        return frames.byteswap(inplace=True)


def in_memory(film: Film, adu: np.ndarray, **changed: Any) -> Film:
    """The film with other pixels, rounded to integers as the camera does, and other header entries."""
    exposure = replace(film.exposure, n_frames=len(adu), **changed)
    stored = np.clip(np.rint(adu), -32768, 32767).astype(">i2").view(np.int16)
    return replace(film, exposure=exposure, source=Arrays(stored), x0=0, y0=0, checksum="", path="")


@dataclass(frozen=True)
class Field:
    film: Film
    masters: Masters
    refcat: Refcat
    adu: np.ndarray  # (n, NY, NX), light-sensitive pixels
    dark_adu: np.ndarray

    @property
    def gain(self) -> float:
        return self.film.exposure.gain_mode.gain

    def edited(self, edit: Callable[[np.ndarray], np.ndarray] = lambda adu: adu, **changed: Any) -> Film:
        return in_memory(self.film, edit(self.adu.copy()), **changed)

    def reduce(self, film: Film, refcat: Refcat | None = None) -> Reduction:
        return reduce_film(film, self.masters, refcat or self.refcat, reduction_id=357_754_112_001)

    def lit(self, adu: np.ndarray, light: float) -> np.ndarray:
        """With an even light (ADU a frame) and its photon noise."""
        rng = np.random.default_rng(7)
        noise = np.float32(np.sqrt(abs(light) / self.gain)) * rng.standard_normal(adu.shape, np.float32)
        return np.minimum(adu + light + noise, self.film.exposure.gain_mode.saturation_adu)

    def dimmed(self, adu: np.ndarray, mag: float) -> np.ndarray:
        """Stars behind a cloud that leaves the sky as it is; noise is made up."""
        part = 10 ** (-0.4 * mag)
        sky = np.median(adu[:, ::8, ::8])
        noise = np.random.default_rng(8).standard_normal(adu.shape, np.float32)
        return sky + np.float32(part) * (adu - sky) + np.float32(np.sqrt((1 - part**2) * sky / self.gain)) * noise


def trimmed(film: Film, n_frames: int) -> np.ndarray:
    """The first frames in ADU, ``(n, NY, NX)``."""
    frames = film.adu(0, n_frames)
    assert frames.shape == (n_frames, NY, NX)
    return frames
