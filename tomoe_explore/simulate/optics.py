"""What the optics do at the place of a detector: distortion, and how star images change over the field."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tomoe_explore.camera import NX, NY

Array = NDArray[np.float64]

DISTORTION_PX = (0.7, 1.5)  #: *assumed*: largest shift on a detector by quadratic and cubic distortion
WIDTH_CHANGE = (0.03, 0.06)  #: *assumed*: largest relative change of the FWHM from the detector's centre
SHEAR = (0.05, 0.128)  #: *assumed*: largest logarithm of the axis ratio of star images (0.128: ellipticity 0.12)
_QUADRATIC = ((1, 0), (0, 1), (2, 0), (1, 1), (0, 2))
_CUBIC = ((2, 0), (1, 1), (0, 2), (3, 0), (2, 1), (1, 2), (0, 3))


@dataclass(frozen=True)
class Optics:
    """Low-order polynomials in ``u, v``, which run from -1 to 1 over a detector.

    Attributes
    ----------
    distortion : tuple of two tuples
        Shift (px) along x and y: coefficients of ``u^2, uv, v^2, u^3, u^2 v, u v^2, v^3``.
    width : tuple
        Relative change of the FWHM: coefficients of ``u, v, u^2, uv, v^2``.
    shear : tuple of two tuples
        Constant, then as ``width``: ``ln(a / b)`` times cosine and sine of twice the angle from +x to the major axis.
    """

    distortion: tuple[tuple[float, ...], tuple[float, ...]]
    width: tuple[float, ...]
    shear: tuple[tuple[float, ...], tuple[float, ...]]

    def image(self, x: ArrayLike, y: ArrayLike) -> tuple[Array, Array, Array]:
        """Relative FWHM and the two components of the shear at pixels."""
        width = 1.0 + _sum(self.width, _QUADRATIC, x, y)
        one, two = (c[0] + _sum(c[1:], _QUADRATIC, x, y) for c in self.shear)
        return width, one, two


#: Undistorted, with round images that are the same everywhere.
PERFECT = Optics(((0.0,) * 7, (0.0,) * 7), (0.0,) * 5, ((0.0,) * 6, (0.0,) * 6))


def distortion(coefficients: tuple[tuple[float, ...], ...], x: ArrayLike, y: ArrayLike) -> tuple[Array, Array]:
    """Shift (px) along x and y of what would fall on a pixel without distortion.

    Examples
    --------
    >>> dx, dy = distortion(((1.0, 0, 0, 0, 0, 0, 0), (0.0,) * 7), 1999.5, 563.5)
    >>> float(dx), float(dy)
    (1.0, 0.0)
    """
    along_x, along_y = (_sum(c, _CUBIC, x, y) for c in coefficients)
    return along_x, along_y


def draw_optics(rng: np.random.Generator) -> Optics:
    """Optics of one detector.

    Examples
    --------
    >>> optics = draw_optics(np.random.default_rng(1))
    >>> abs(float(optics.image(1999.0, 1127.0)[0]) - 1) <= WIDTH_CHANGE[1]
    True
    """
    y, x = np.mgrid[0 : NY - 1 : 9j, 0 : NX - 1 : 13j]
    shifts = rng.standard_normal((2, 7))
    size = np.hypot(*(_sum(c, _CUBIC, x, y) for c in shifts)).max()
    shifts *= rng.uniform(*DISTORTION_PX) / size
    width = rng.standard_normal(5)
    width *= rng.uniform(*WIDTH_CHANGE) / np.abs(_sum(width, _QUADRATIC, x, y)).max()
    shear = rng.standard_normal((2, 6))
    size = np.hypot(*(c[0] + _sum(c[1:], _QUADRATIC, x, y) for c in shear)).max()
    shear *= rng.uniform(*SHEAR) / size
    return Optics(_floats(shifts), tuple(width.tolist()), _floats(shear))


def _floats(rows: Array) -> tuple[tuple[float, ...], tuple[float, ...]]:
    one, two = rows.tolist()
    return tuple(one), tuple(two)


def _sum(coefficients: ArrayLike, powers: tuple[tuple[int, int], ...], x: ArrayLike, y: ArrayLike) -> Array:
    # far outside, where polynomials run away, it stays as it is a little beyond the edge
    u = np.clip((np.asarray(x, float) - (NX - 1) / 2) / (NX / 2), -1.3, 1.3)
    v = np.clip((np.asarray(y, float) - (NY - 1) / 2) / (NY / 2), -1.3, 1.3)
    terms = (c * u**p * v**q for c, (p, q) in zip(np.asarray(coefficients), powers, strict=True))
    return np.asarray(sum(terms))
