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
    >>> int(healpix_29([45.0], [40.0])[0]) >> 58
    0
    """
    return cells(ra, dec, 29)


def cells(ra: ArrayLike, dec: ArrayLike, order: int) -> NDArray[np.int64]:
    """HEALPix index (nested) of ICRS positions in deg."""
    from hpgeom import angle_to_pixel

    return np.atleast_1d(angle_to_pixel(1 << order, np.asarray(ra, float), np.asarray(dec, float)))


def cone_cells(ra: float, dec: float, radius_deg: float, order: int) -> NDArray[np.int64]:
    """Every HEALPix cell of one order that a cone touches, and perhaps a few more; ascending."""
    from hpgeom import pixel_ranges_to_pixels

    return np.asarray(pixel_ranges_to_pixels(_cone(ra, dec, radius_deg, order)))


def _cone(ra: float, dec: float, radius_deg: float, order: int) -> NDArray[np.int64]:
    """The cells of a cone as ranges ``first, last``, ascending, shape ``(n, 2)``."""
    from hpgeom import query_circle

    if radius_deg > 90.0:  # hpgeom loses some cells of so wide a cone
        return np.array([[0, 12 << 2 * order]])
    found = query_circle(1 << order, ra, dec, max(radius_deg, 1e-7), inclusive=True, return_pixel_ranges=True)
    return np.asarray(found)


def cell_centers(cells: ArrayLike, order: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Right ascensions and declinations (deg) of HEALPix cells' centres."""
    from hpgeom import pixel_to_angle

    ra, dec = pixel_to_angle(1 << order, np.atleast_1d(np.asarray(cells, np.int64)))
    return ra, dec


def cone_width_deg(dec: float, radius_deg: float) -> float:
    """How far (deg) in right ascension a cone reaches from its centre; 180 where it holds a pole.

    Examples
    --------
    >>> round(cone_width_deg(60.0, 1.0), 4), cone_width_deg(89.5, 1.0)
    (2.0003, 180.0)
    """
    if abs(dec) + radius_deg >= 90.0:
        return 180.0
    return float(np.degrees(np.arcsin(min(1.0, np.sin(np.radians(radius_deg)) / np.cos(np.radians(dec))))))


def cone_ranges(ra: float, dec: float, radius_deg: float) -> list[tuple[int, int]]:
    """Ranges ``first <= healpix_29 < last`` that hold every point of a cone.

    The cells are chosen about a quarter of the radius wide: few ranges, little outside the cone.
    """
    order = int(np.clip(np.floor(np.log2(58.6 / max(radius_deg, 1e-6))) + 2, 2, 24))
    found = _cone(ra, dec, radius_deg * 1.001 + 1e-8, order) << 2 * (29 - order)
    return [(first, last) for first, last in found.tolist()]


def ranges(index: NDArray[np.int64], order: int) -> list[tuple[int, int]]:
    """Ranges ``first <= healpix_29 < last`` of cells of one order, ascending.

    Examples
    --------
    >>> ranges(np.array([0, 1, 3]), 29)
    [(0, 2), (3, 4)]
    """
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
    """Angle (deg) between a tangent plane's origin and segments of its great circles, ``a`` to ``b``, ``(..., 2)``."""
    step = b - a
    length2 = np.maximum(np.sum(step**2, axis=-1), 1e-30)
    t = np.clip(-np.sum(a * step, axis=-1) / length2, 0.0, 1.0)
    return np.degrees(np.arctan(np.radians(np.linalg.norm(a + t[..., None] * step, axis=-1))))


def streak_distance_deg(ra0: float, dec0: float, ends: Sequence[ArrayLike]) -> NDArray[np.float64]:
    """Distance (deg) of a position from streaks given by ``ra1, dec1, ra2, dec2``; beyond 84 deg from their ends."""
    ra1, dec1, ra2, dec2 = ends
    distance = segment_distance(tangent_plane(ra0, dec0, ra1, dec1), tangent_plane(ra0, dec0, ra2, dec2))
    of_ends = np.minimum(separation_deg(ra0, dec0, ra1, dec1), separation_deg(ra0, dec0, ra2, dec2))
    return np.where(np.isfinite(distance), distance, of_ends)


def footprint(ra: Sequence[float], dec: Sequence[float]) -> str:
    """STC-S polygon of corners in deg, in the order given.

    Examples
    --------
    >>> footprint([1.0, 2.0, 2.0], [0.0, 0.0, 1.0])
    'Polygon ICRS 1.0000000 0.0000000 2.0000000 0.0000000 2.0000000 1.0000000'
    """
    return "Polygon ICRS " + " ".join(f"{a % 360.0:.7f} {d:.7f}" for a, d in zip(ra, dec, strict=True))


def footprint_distances_deg(ra: float, dec: float, outlines: Sequence[str]) -> NDArray[np.float64]:
    """Distance of a position from footprints, deg: 0 inside, from the corners beyond 84 deg, infinite if empty.

    Examples
    --------
    >>> outline = footprint([0.9, 1.1, 1.1, 0.9], [0.1, 0.1, -0.1, -0.1])
    >>> footprint_distances_deg(1.3, 0.0, [outline, ""]).round(3).tolist()
    [0.2, inf]
    """
    distinct = list(dict.fromkeys(outlines))  # the products of a reduction share theirs
    by_size: dict[int, list[str]] = {}
    for outline in distinct:
        by_size.setdefault(outline.count(" ") // 2, []).append(outline)
    distance = dict.fromkeys(distinct, float("inf"))
    for n_corners, alike in by_size.items():
        if n_corners >= 3:
            words = " ".join(outline.partition("ICRS ")[2] for outline in alike).split()
            corners = np.array(words, dtype=float).reshape(len(alike), n_corners, 2)
            distance.update(zip(alike, _polygon_distances(ra, dec, corners).tolist(), strict=True))
    return np.array([distance[outline] for outline in outlines], dtype=float)


def _polygon_distances(ra: float, dec: float, corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance (deg) of a position from convex polygons; ``corners`` in deg has shape ``(polygons, corners, 2)``."""
    plane = tangent_plane(ra, dec, corners[..., 0], corners[..., 1])
    following = np.roll(plane, -1, axis=1)
    turn = plane[..., 0] * following[..., 1] - plane[..., 1] * following[..., 0]
    inside = (turn >= 0).all(axis=1) | (turn <= 0).all(axis=1)
    distance = np.where(inside, 0.0, segment_distance(plane, following).min(axis=1))
    of_corners = separation_deg(ra, dec, corners[..., 0], corners[..., 1]).min(axis=1)
    return np.where(np.isfinite(plane).all(axis=(1, 2)), distance, of_corners)
