"""Step 4: where the film points, from its stars.

The header's position only has to be within some arcminutes: detections vote for an offset and a rotation, the winner is
refined to an affine map, then to a distortion of third order where there are stars enough.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tomoe_explore.camera import NX, NY, PIXEL_SCALE
from tomoe_explore.data import Refcat
from tomoe_explore.errors import AstrometryError, NoReferenceStarsError, PoorSolutionError
from tomoe_explore.kernels.matching import nearest, one_each, vote
from tomoe_explore.reduction.values import Detections, Doubles, Solution
from tomoe_explore.wcs import tangent, untangent

CRPIX = (NX / 2 + 0.5, NY / 2 + 0.5)  #: FITS reference pixel: the centre of the trimmed frame
MAX_RMS = 0.5  #: arcsec a coordinate; a scatter of bright stars beyond it is no solution
MIN_STARS = 6  #: fewest matched stars of a solution
BIN_PX = 6.0  #: of the vote
N_BRIGHT = 150  #: detections that vote
N_FIT = 1500  #: detections that make the solution
_LIKE_DENSITY = (
    (1.2, 2 * N_BRIGHT),
    (1.6, N_FIT),
)  #: stars a detection, and detections, of wide matches and of close ones
MAX_ORDER = 3  #: of the distortion


@dataclass(frozen=True)
class _Map:
    """Pixel offsets (u, v) to tangent-plane offsets (xi, eta), deg: coefficients of the monomials of `_terms`."""

    crval: tuple[float, float]
    order: int
    coefficients: Doubles  # (2, n_terms)


@dataclass(frozen=True)
class _Stars:
    """Reference stars that may be on the film, brightest first, in the plane that touches the sky at ``center``."""

    center: tuple[float, float]
    index: NDArray[np.int64]  # in the catalog
    plane: Doubles  # (n, 2), deg


def solve(
    detections: Detections,
    refcat: Refcat,
    center: tuple[float, float],
    *,
    north_deg: float = 0.0,
    pointing_error_arcmin: float = 6.0,
    rotation_error_deg: float = 1.2,
) -> Solution:
    """Match detections with reference stars and fit the WCS of the film.

    Parameters
    ----------
    detections : Detections
        Brightest first.
    refcat : Refcat
        At the epoch of the film; covering its field and the pointing error.
    center : (ra, dec)
        Where the centre of the detector ought to be, deg.
    north_deg : float
        Where north ought to be: angle from +y towards -x.
    pointing_error_arcmin, rotation_error_deg : float
        How far off centre and north may be.

    Returns
    -------
    Solution

    Raises
    ------
    NoReferenceStarsError
        If fewer than six reference stars or detections are there to match.
    AstrometryError
        If no offset stands out from chance, too few stars agree with it, or they scatter too much.

    Notes
    -----
    Distortion as SIP polynomials (Shupe et al. 2005, ASP Conf. 347, 491).
    """
    reach = 60 * pointing_error_arcmin / PIXEL_SCALE
    xi, eta = tangent(refcat.ra, refcat.dec, center)
    expected = -xi * 3600 / PIXEL_SCALE, eta * 3600 / PIXEL_SCALE
    on_field = (np.abs(expected[0]) < NX / 2 + reach) & (np.abs(expected[1]) < NY / 2 + reach)
    candidates = np.flatnonzero(on_field)
    candidates = candidates[np.argsort(refcat.mag[candidates], kind="stable")]
    if len(candidates) < MIN_STARS or len(detections) < MIN_STARS:
        raise NoReferenceStarsError(
            f"{len(candidates)} reference stars of {refcat.name!r} and {len(detections)} detections "
            f"near RA {center[0]:.4f}, Dec {center[1]:.4f}: at least {MIN_STARS} of each are needed"
        )
    u, v = detections.x - (NX - 1) / 2, detections.y - (NY - 1) / 2
    first = _vote(u, v, (expected[0][candidates], expected[1][candidates]), reach, (north_deg, rotation_error_deg))
    stars = _Stars(center, candidates, np.column_stack([xi[candidates], eta[candidates]]))
    coefficients, pairs = _refine(u, v, stars, first)
    fitted, residual = _recentred(u, v, stars, refcat, pairs, coefficients)
    pairs = np.column_stack([pairs[:, 0], stars.index[pairs[:, 1]]])
    rms = float(np.sqrt((residual**2).mean()))
    brightest = np.argsort(pairs[:, 0])[: max(len(pairs) // 4, MIN_STARS)]
    floor = float(np.sqrt((residual[:, brightest] ** 2).mean()))
    if floor > MAX_RMS:
        raise PoorSolutionError(
            f"the brightest of {len(pairs)} stars matched near RA {center[0]:.4f}, Dec {center[1]:.4f} scatter by "
            f"{floor:.2f} arcsec, at most {MAX_RMS} is a solution: wrong date, wrong catalog epoch, or a chance match?"
        )
    constant = fitted.coefficients[:, 0] * NX / 2
    ra0, dec0 = untangent(constant[:1], constant[1:], fitted.crval)
    angle = _rotation(fitted)
    offset = (
        float((ra0[0] - center[0]) * 3600 * np.cos(np.radians(dec0[0]))),
        float((dec0[0] - center[1]) * 3600),
        angle,
    )
    return Solution(_header(fitted), pairs, rms, floor, len(pairs), offset)


def _vote(u: Doubles, v: Doubles, expected: tuple[Doubles, Doubles], reach: float, rotation: tuple[float, float]):  # type: ignore[no-untyped-def]
    """Affine first guess (rotation, shift) by voting; detections and stars of like number density take part."""
    n = min(N_BRIGHT, len(u))
    density = n / (NX * NY)
    n_stars = int(np.ceil(1.2 * density * (NX + 2 * reach) * (NY + 2 * reach)))
    step = BIN_PX / np.hypot(NX / 2, NY / 2)
    north_deg, error_deg = rotation
    n_angles = int(np.ceil(np.radians(error_deg) / step))
    angles = np.radians(north_deg) + step * np.arange(-n_angles, n_angles + 1)
    stars = expected[0][:n_stars], expected[1][:n_stars]
    best, shift_x, shift_y, votes, background = vote((u[:n], v[:n]), stars, angles, reach, BIN_PX)
    chance = background + 6 * np.sqrt(background) + 3
    if votes < max(chance, MIN_STARS):
        raise AstrometryError(
            f"no match of {n} detections with {len(stars[0])} reference stars within "
            f"{reach * PIXEL_SCALE / 60:.1f}' and {error_deg:.1f} deg: best offset has {votes} pairs, "
            f"chance gives {background:.1f}"
        )
    return float(angles[best]), shift_x, shift_y


def _refine(u: Doubles, v: Doubles, stars: _Stars, first):  # type: ignore[no-untyped-def]
    """Match, fit, match closer, fit again; the order grows with the number of stars.

    The first, wide matches use bright stars only: in a dense field every faint one has a neighbour that near.
    """
    angle, shift_x, shift_y = first
    scale = PIXEL_SCALE / 3600
    cos, sin = np.cos(angle), np.sin(angle)
    # detected = R expected + shift, and xi = -scale * expected_x, eta = scale * expected_y
    linear = np.array([[-cos, -sin], [-sin, cos]]) * scale
    constant = -linear @ np.array([shift_x, shift_y])
    coefficients = np.column_stack([constant / (NX / 2), linear])
    terms = _terms(u[:N_FIT], v[:N_FIT], MAX_ORDER)
    reach = np.abs(stars.plane).max(axis=0)
    per_detection = 4 * reach[0] * reach[1] * (3600 / PIXEL_SCALE) ** 2 / (NX * NY)
    for tolerance, order in ((BIN_PX * 1.5, 1), (4.0, 1), (2.5, 2), (1.5, 3), (1.5, 3)):
        factor, n = _LIKE_DENSITY[0] if tolerance > 2.5 else _LIKE_DENSITY[1]
        n = min(n, len(terms))
        mapped = terms[:n, : coefficients.shape[1]] @ coefficients.T
        pairs = _match(mapped, stars.plane[: int(factor * n * per_detection)], tolerance)
        if len(pairs) < MIN_STARS:
            raise AstrometryError(
                f"only {len(pairs)} stars agree within {tolerance * PIXEL_SCALE:.1f} arcsec near RA "
                f"{stars.center[0]:.4f}, Dec {stars.center[1]:.4f}; at least {MIN_STARS} are needed"
            )
        order = min(order, 1 + (len(pairs) >= 25) + (len(pairs) >= 50))
        coefficients, pairs = _fit(terms[:, : len(_powers(order))], stars.plane, pairs)
    return coefficients, pairs


def _match(mapped: Doubles, stars: Doubles, tolerance: float) -> NDArray[np.int64]:
    """Each detection with its nearest star within a tolerance in pixels; a star takes the nearest one."""
    limit = tolerance * PIXEL_SCALE / 3600
    near, distance = nearest((stars[:, 0], stars[:, 1]), (mapped[:, 0], mapped[:, 1]), limit)
    chosen = one_each(near, distance, len(stars))
    return np.column_stack([chosen, near[chosen]])


def _fit(terms: Doubles, plane: Doubles, pairs: NDArray[np.int64]) -> tuple[Doubles, NDArray[np.int64]]:
    """Least squares in a tangent plane with three rounds of clipping: coefficients ``(2, k)`` and the pairs left."""
    some, target = terms[pairs[:, 0]], plane[pairs[:, 1]]
    for _ in range(3):
        coefficients = _least_squares(some, target)
        residual = np.sqrt(((some @ coefficients.T - target) ** 2).sum(axis=1))
        keep = residual < 4 * max(1.2 * float(np.median(residual)), 0.02 / 3600)
        if keep.all() or keep.sum() < max(MIN_STARS, terms.shape[1]):
            return coefficients, pairs
        pairs, some, target = pairs[keep], some[keep], target[keep]
    return _least_squares(some, target), pairs


def _least_squares(terms: Doubles, target: Doubles) -> Doubles:
    return np.asarray(np.linalg.solve(terms.T @ terms, terms.T @ target).T)


def _recentred(u: Doubles, v: Doubles, stars: _Stars, refcat: Refcat, pairs, coefficients):  # type: ignore[no-untyped-def]
    """The same fit in the plane that touches the sky where the frame's centre looks."""
    crval = stars.center
    chosen = refcat.ra[stars.index[pairs[:, 1]]], refcat.dec[stars.index[pairs[:, 1]]]
    order = round((np.sqrt(8 * coefficients.shape[1] + 1) - 3) / 2)
    terms = _terms(u[pairs[:, 0]], v[pairs[:, 0]], order)
    for _ in range(2):
        constant = coefficients[:, 0] * NX / 2
        ra0, dec0 = untangent(constant[:1], constant[1:], crval)
        crval = float(ra0[0]), float(dec0[0])
        target = np.column_stack(tangent(*chosen, crval))
        coefficients = _least_squares(terms, target)
    residual = (terms @ coefficients.T - target).T * 3600
    return _Map(crval, order, coefficients), residual


def _powers(order: int) -> list[tuple[int, int]]:
    return [(p, q) for degree in range(order + 1) for p in range(degree, -1, -1) for q in [degree - p]]


def _terms(u: Doubles, v: Doubles, order: int) -> Doubles:
    """Monomials 1, u, v, u2, uv, v2 … scaled to the half width, so that the fit is well conditioned."""
    half = NX / 2
    powers = [(np.ones(len(u)), np.ones(len(u)))]
    for _ in range(order):
        powers.append((powers[-1][0] * u / half, powers[-1][1] * v / half))
    return np.column_stack([powers[p][0] * powers[q][1] * half for p, q in _powers(order)])


def _rotation(fitted: _Map) -> float:
    """Angle by which north is turned from the +y axis, deg."""
    cd = fitted.coefficients[:, 1:3]
    return float(np.degrees(np.arctan2(-cd[1, 0] - cd[0, 1], cd[1, 1] - cd[0, 0])))


def _header(fitted: _Map) -> dict[str, object]:
    """TAN, or TAN-SIP, keywords; the constant term is folded into CRVAL."""
    half = NX / 2
    coefficients = fitted.coefficients
    ra0, dec0 = untangent(coefficients[:1, 0] * half, coefficients[1:, 0] * half, fitted.crval)
    cd = coefficients[:, 1:3]
    sip = fitted.order > 1
    header: dict[str, object] = {
        "WCSAXES": 2, "CTYPE1": "RA---TAN-SIP" if sip else "RA---TAN", "CTYPE2": "DEC--TAN-SIP" if sip else "DEC--TAN",
        "CUNIT1": "deg", "CUNIT2": "deg", "RADESYS": "ICRS", "EQUINOX": 2000.0,
        "CRPIX1": CRPIX[0], "CRPIX2": CRPIX[1], "CRVAL1": float(ra0[0]), "CRVAL2": float(dec0[0]),
        "CD1_1": cd[0, 0], "CD1_2": cd[0, 1], "CD2_1": cd[1, 0], "CD2_2": cd[1, 1],
    }  # fmt: skip
    if sip:
        distortion = np.linalg.solve(cd, coefficients[:, 3:])
        header |= {"A_ORDER": fitted.order, "B_ORDER": fitted.order}
        for (p, q), a, b in zip(_powers(fitted.order)[3:], *distortion, strict=True):
            header |= {f"A_{p}_{q}": a / half ** (p + q - 1), f"B_{p}_{q}": b / half ** (p + q - 1)}
    return {k: float(x) if isinstance(x, np.floating) else x for k, x in header.items()}
