"""Sky to pixels and back: gnomonic about the telescope axis, refraction, the detector's place, and distortion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tomoe_explore.camera import NX, NY, PIXEL_SCALE, focal_plane_offset
from tomoe_explore.simulate.optics import PERFECT, distortion

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Projection:
    """Where one detector looks.

    Attributes
    ----------
    ra, dec : float
        Where the telescope truly points, deg; the tangent point of all detectors.
    xi, eta : float
        Centre of the detector in the tangent plane (towards +RA and +Dec), deg.
    rotation_deg : float
        Angle by which the detector is turned: +y points this much from north towards east.
    scale : float
        arcsec a pixel.
    refraction : float
        Relative shrinking of the field along the vertical by differential refraction.
    zenith : tuple of float
        Unit vector towards the zenith in the tangent plane (towards +RA and +Dec).
    distortion : tuple of two tuples
        As ``optics.distortion`` takes it.

    Notes
    -----
    With the gnomonic offsets of a star, shrunk by ``refraction`` along ``zenith``, ``(u, v)`` from ``(xi, eta)`` in
    pixels, and the rotation ``r``::

        x' = (NX - 1) / 2 - u cos r + v sin r
        y' = (NY - 1) / 2 + u sin r + v cos r

    and x, y are x', y' plus the distortion at x', y'.

    Examples
    --------
    >>> p = Projection(310.0, -12.0, 0.0, 0.0)
    >>> [float(v) for v in p.to_pixels(310.0, -12.0)]
    [999.5, 563.5]
    """

    ra: float
    dec: float
    xi: float
    eta: float
    rotation_deg: float = 0.0
    scale: float = PIXEL_SCALE
    refraction: float = 0.0
    zenith: tuple[float, float] = (0.0, 1.0)
    distortion: tuple[tuple[float, ...], tuple[float, ...]] = PERFECT.distortion

    @classmethod
    def nominal(cls, ra: float, dec: float, detector_id: int) -> Projection:
        """As ``camera.py`` has it, when the telescope points at ``ra, dec`` (deg)."""
        return cls(ra, dec, *focal_plane_offset(detector_id))

    def to_pixels(self, ra: ArrayLike, dec: ArrayLike) -> tuple[Array, Array]:
        """Columns and rows (0-based pixel centres of the trimmed frame) of positions in deg.

        Positions 90 deg or more from the axis come back as NaN.
        """
        a, d = np.radians(np.asarray(ra, float) - self.ra), np.radians(np.asarray(dec, float))
        d0 = np.radians(self.dec)
        along = np.sin(d0) * np.sin(d) + np.cos(d0) * np.cos(d) * np.cos(a)
        along = np.where(along > 0, along, np.nan)
        xi = np.degrees(np.cos(d) * np.sin(a) / along)
        eta = np.degrees((np.cos(d0) * np.sin(d) - np.sin(d0) * np.cos(d) * np.cos(a)) / along)
        sunk = -self.refraction * (xi * self.zenith[0] + eta * self.zenith[1])
        u = (xi + sunk * self.zenith[0] - self.xi) * 3600 / self.scale
        v = (eta + sunk * self.zenith[1] - self.eta) * 3600 / self.scale
        x, y = self._turned(u, v)
        dx, dy = distortion(self.distortion, x, y)
        return x + dx, y + dy

    def _turned(self, u: Array, v: Array) -> tuple[Array, Array]:
        cos, sin = np.cos(np.radians(self.rotation_deg)), np.sin(np.radians(self.rotation_deg))
        return (NX - 1) / 2 - u * cos + v * sin, (NY - 1) / 2 + u * sin + v * cos

    def direction(self, east: float, north: float) -> tuple[float, float]:
        """The shift in px of a shift in the tangent plane (arcsec towards +RA and +Dec), without distortion."""
        x, y = self._turned(np.asarray(east / self.scale), np.asarray(north / self.scale))
        return float(x) - (NX - 1) / 2, float(y) - (NY - 1) / 2

    def plane(self, x: ArrayLike, y: ArrayLike) -> tuple[Array, Array]:
        """Places of pixels in the tangent plane as the sensor sees them (xi, eta, deg), without distortion."""
        p, q = np.asarray(x, float) - (NX - 1) / 2, np.asarray(y, float) - (NY - 1) / 2
        cos, sin = np.cos(np.radians(self.rotation_deg)), np.sin(np.radians(self.rotation_deg))
        step = self.scale / 3600
        return (-p * cos + q * sin) * step + self.xi, (p * sin + q * cos) * step + self.eta

    def to_sky(self, x: ArrayLike, y: ArrayLike) -> tuple[Array, Array]:
        """Right ascensions and declinations (deg) of pixels; the inverse of `to_pixels`."""
        x, y = np.asarray(x, float), np.asarray(y, float)
        straight_x, straight_y = x, y
        for _ in range(8):  # each round gains two digits: the distortion changes by 1 px in a few hundred
            dx, dy = distortion(self.distortion, straight_x, straight_y)
            straight_x, straight_y = x - dx, y - dy
        xi, eta = (np.radians(c) for c in self.plane(straight_x, straight_y))
        raised = self.refraction / (1.0 - self.refraction) * (xi * self.zenith[0] + eta * self.zenith[1])
        xi, eta = xi + raised * self.zenith[0], eta + raised * self.zenith[1]
        d0 = np.radians(self.dec)
        down = np.cos(d0) - eta * np.sin(d0)
        a = np.arctan2(xi, down)
        d = np.arctan2((np.sin(d0) + eta * np.cos(d0)) * np.cos(a), down)
        return (self.ra + np.degrees(a)) % 360.0, np.degrees(d)


def pointing_for(ra: float, dec: float, detector_id: int) -> tuple[float, float]:
    """Where the telescope must point for a detector's centre to fall on ``ra, dec`` (deg), nominally.

    Examples
    --------
    >>> pointing = pointing_for(313.6, -12.0, 111)
    >>> [round(float(v), 6) for v in Projection.nominal(*pointing, 111).to_sky(999.5, 563.5)]
    [313.6, -12.0]
    """
    ra0, dec0 = ra, dec
    for _ in range(20):
        ra1, dec1 = Projection.nominal(ra0, dec0, detector_id).to_sky((NX - 1) / 2, (NY - 1) / 2)
        ra0 -= (float(ra1) - ra + 180.0) % 360.0 - 180.0
        dec0 = float(np.clip(dec0 - (float(dec1) - dec), -89.9, 89.9))
    return ra0 % 360.0, dec0
