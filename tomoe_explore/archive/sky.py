"""Cones on the sky: HEALPix cells to find candidates, plane geometry and great circles to be exact."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: A detector's centre lies at most this far from its corners, and a pointing may be this wrong; deg.
DETECTOR_RADIUS_DEG = 0.40


def healpix_29(ra: ArrayLike, dec: ArrayLike) -> NDArray[np.int64]:
    """HEALPix index (order 29, nested) of ICRS positions in deg.

    Examples
    --------
    >>> int(healpix_29([45.0], [0.0])[0]) >> 58
    0
    """
    return cells(ra, dec, 29)


def cells(ra: ArrayLike, dec: ArrayLike, order: int) -> NDArray[np.int64]:
    """HEALPix index (nested) of ICRS positions in deg."""
    from astropy.coordinates import Latitude, Longitude
    from cdshealpix.nested import lonlat_to_healpix

    lon, lat = Longitude(np.atleast_1d(ra), "deg"), Latitude(np.atleast_1d(dec), "deg")
    return np.asarray(lonlat_to_healpix(lon, lat, np.uint8(order))).astype(np.int64)


def cone_cells(ra: float, dec: float, radius_deg: float, order: int) -> NDArray[np.int64]:
    """Every HEALPix cell of one order that a cone touches, and perhaps a few more."""
    from astropy.coordinates import Latitude, Longitude
    from astropy.units import Quantity
    from cdshealpix.nested import cone_search

    lon, lat, radius = Longitude(ra, "deg"), Latitude(dec, "deg"), Quantity(max(radius_deg, 1e-7), "deg")
    return np.sort(np.asarray(cone_search(lon, lat, radius, order, flat=True)[0]).astype(np.int64))


def cone_ranges(ra: float, dec: float, radius_deg: float) -> list[tuple[int, int]]:
    """Ranges ``first <= healpix_29 < last`` that hold every point of a cone.

    The cells are chosen about a quarter of the radius wide: few ranges, little outside the cone.
    """
    order = int(np.clip(np.floor(np.log2(58.6 / max(radius_deg, 1e-6))) + 2, 2, 24))
    index = cone_cells(ra, dec, radius_deg * 1.001 + 1e-8, order)
    breaks = np.flatnonzero(np.diff(index) > 1)
    first = index[np.concatenate(([0], breaks + 1))]
    last = index[np.concatenate((breaks, [len(index) - 1]))] + 1
    shift = 2 * (29 - order)
    return [(int(a) << shift, int(b) << shift) for a, b in zip(first, last, strict=True)]


def separation_deg(ra0: float, dec0: float, ra: ArrayLike, dec: ArrayLike) -> NDArray[np.float64]:
    """Great-circle distance of positions from one; exact for small angles and at the poles; all deg.

    Examples
    --------
    >>> round(float(separation_deg(359.9, 0.0, 0.1, 0.0)), 6)
    0.2
    """
    ra_, dec_ = np.radians(np.asarray(ra, float)), np.radians(np.asarray(dec, float))
    ra0, dec0 = np.radians(ra0), np.radians(dec0)
    haversine = np.sin((dec_ - dec0) / 2) ** 2 + np.cos(dec0) * np.cos(dec_) * np.sin((ra_ - ra0) / 2) ** 2
    return np.degrees(2 * np.arcsin(np.sqrt(np.clip(haversine, 0.0, 1.0))))


def tangent_plane(ra0: float, dec0: float, ra: ArrayLike, dec: ArrayLike) -> NDArray[np.float64]:
    """Gnomonic offsets (towards +RA, +Dec) from a centre, deg, shape ``(..., 2)``; NaN on the far side of the sky."""
    d_ra, dec1 = np.radians(np.asarray(ra, float) - ra0), np.radians(np.asarray(dec, float))
    dec0 = np.radians(dec0)
    cos_c = np.sin(dec0) * np.sin(dec1) + np.cos(dec0) * np.cos(dec1) * np.cos(d_ra)
    x = np.cos(dec1) * np.sin(d_ra)
    y = np.cos(dec0) * np.sin(dec1) - np.sin(dec0) * np.cos(dec1) * np.cos(d_ra)
    plane = np.stack([x, y], axis=-1) / np.where(cos_c > 0.1, cos_c, np.nan)[..., None]
    return np.degrees(plane)


def segment_distance(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance of the plane's origin from the segments ``a`` to ``b``, both of shape ``(n, 2)``."""
    step = b - a
    length2 = np.maximum(np.sum(step**2, axis=-1), 1e-30)
    t = np.clip(-np.sum(a * step, axis=-1) / length2, 0.0, 1.0)
    return np.asarray(np.linalg.norm(a + t[..., None] * step, axis=-1))


def streak_distance_deg(ra0: float, dec0: float, ends: Sequence[ArrayLike]) -> NDArray[np.float64]:
    """Distance (deg) of a position from streaks given by ``ra1, dec1, ra2, dec2``; infinite on the sky's far side."""
    ra1, dec1, ra2, dec2 = ends
    distance = segment_distance(tangent_plane(ra0, dec0, ra1, dec1), tangent_plane(ra0, dec0, ra2, dec2))
    return np.where(np.isfinite(distance), distance, np.inf)


def footprint(ra: Sequence[float], dec: Sequence[float]) -> str:
    """STC-S polygon of corners in deg, in the order given.

    Examples
    --------
    >>> footprint([1.0, 2.0, 2.0], [0.0, 0.0, 1.0])
    'Polygon ICRS 1.0000000 0.0000000 2.0000000 0.0000000 2.0000000 1.0000000'
    """
    return "Polygon ICRS " + " ".join(f"{a % 360.0:.7f} {d:.7f}" for a, d in zip(ra, dec, strict=True))


def footprint_distance_deg(ra: float, dec: float, outline: str) -> float:
    """Distance of a position from a footprint, deg: 0 inside, infinite on the far side of the sky or if empty."""
    values = np.array(outline.split()[2:], dtype=float)
    if len(values) < 6:
        return float("inf")
    corners = tangent_plane(ra, dec, values[0::2], values[1::2])
    if not np.isfinite(corners).all():
        return float("inf")
    following = np.roll(corners, -1, axis=0)
    turn = corners[:, 0] * following[:, 1] - corners[:, 1] * following[:, 0]
    if (turn >= 0).all() or (turn <= 0).all():
        return 0.0
    return float(segment_distance(corners, following).min())
