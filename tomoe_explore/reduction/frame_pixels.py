"""Pixels of single frames beyond stars and sky, as the fits of trails and glints need them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tomoe_explore.kernels.strips import strip
from tomoe_explore.reduction.values import Floats, FrameSeries, Prepared

STAR_ERROR = 0.6  #: of a star's light in a pixel, by its motion and scintillation: stars say little


@dataclass(frozen=True)
class FramePixels:
    """Strips of frames; one frame after the other is the quickest, as some films can only be read that way.

    Attributes
    ----------
    prepared : Prepared
        The stack with its seeing.
    frames : FrameSeries
    """

    prepared: Prepared
    frames: FrameSeries

    def about(self, frame: int, line: tuple[float, float, float, float], limits: tuple[float, float, float]) -> Floats:
        """Good pixels about a line.

        Parameters
        ----------
        frame : int
        line : (x, y, ux, uy)
            A place on it, pixels, and its direction, a unit vector.
        limits : (first, last, reach)
            Along the line from that place, and to either side, pixels.

        Returns
        -------
        ndarray of float32, (4, k)
            Along and across the line, px; ADU; weight, 1 / ADU^2. See `tomoe_explore.kernels.strips.strip`.
        """
        raw = self.prepared.film.source.read(frame, frame + 1)[0]
        film, c, detections = self.prepared.film, self.prepared.calibration, self.prepared.detections
        images = c.dark, c.flat, detections.background, self.prepared.stack.image, detections.star_mask
        sky, light = float(np.median(self.frames.sky_offset[frame])), float(self.frames.transparency[frame])
        numbers = 1.0 / c.gain, c.read_noise**2, STAR_ERROR, sky, light
        return strip(raw, film.packing, (*images, self.prepared.stack.mask), numbers, line, limits)
