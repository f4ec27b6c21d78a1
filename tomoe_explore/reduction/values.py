"""The values that pass from step to step and go no further."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tomoe_explore.camera import COLOR_PIVOT, NX, NY
from tomoe_explore.data import Film, Stack
from tomoe_explore.kernels.spill import overlaps
from tomoe_explore.magnitudes import flux_njy

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Calibration:
    """What turns stored values of one film into ADU above dark, and its noise.

    Attributes
    ----------
    dark, flat : ndarray of float32, (NY, NX)
        ADU a frame; relative response, median 1.
    bad : ndarray of bool, (NY, NX)
    gain : float
        e-/ADU: measured from the masters where they allow it, else the mode's nominal value.
    read_noise : float
        ADU rms of one frame, dark current's noise included.
    saturation : float
        ADU as stored (before dark) from which a pixel is saturated.
    flags : int
        Bits of ``schema.Flag`` for the whole film.
    """

    dark: Floats
    flat: Floats
    bad: NDArray[np.bool_]
    gain: float
    read_noise: float
    saturation: float
    flags: int


@dataclass(frozen=True)
class Detections:
    """Sources found on a stack, brightest first.

    Attributes
    ----------
    x, y : ndarray of float64, (m,)
        Windowed centroids, pixels.
    flux, flux_err : ndarray of float32, (m,)
        All light of a star by the matched filter, neighbours' taken off, and its error by the stack's variance, the
        star's own photons included; ADU a frame. Their ratio is the signal to noise; the flux itself is for ranking.
    fwhm_px : ndarray of float32, (m,)
        Of the star image (Moffat).
    ellipticity : ndarray of float32, (m,)
    saturated : ndarray of bool, (m,)
    star_mask : ndarray of bool, (NY, NX)
        Pixels that hold light of sources or are bad.
    background : ndarray of float32, (NY, NX)
        Smooth sky, ADU a frame.
    """

    x: Doubles
    y: Doubles
    flux: Floats
    flux_err: Floats
    fwhm_px: Floats
    ellipticity: Floats
    saturated: NDArray[np.bool_]
    star_mask: NDArray[np.bool_]
    background: Floats

    def __len__(self) -> int:
        return len(self.x)


@dataclass(frozen=True)
class Prepared:
    """A film and what was made of it before the sky is asked: what later steps work on.

    Attributes
    ----------
    film, calibration, stack, detections
        As made by the steps before; in place of frames that were not recorded ``film`` has their neighbours.
    recorded : ndarray of bool, (n,)
        Frames that were recorded.
    mean : ndarray of float32, (NY, NX)
        Mean of the frames used, as stored.
    """

    film: Film
    calibration: Calibration
    recorded: Bools
    stack: Stack
    mean: Floats
    detections: Detections

    @property
    def used(self) -> Bools:
        """Frames in the stack, ``(n,)``: those recorded, but the first."""
        return self.recorded & (np.arange(len(self.recorded)) > 0)


@dataclass(frozen=True)
class Solution:
    """The astrometric solution of a film.

    Attributes
    ----------
    wcs_header : dict
        TAN or TAN-SIP keywords.
    matched : ndarray of int, (k, 2)
        Index of the detection and of the reference star (in the catalog given) of each pair.
    rms : float
        arcsec, a coordinate, of the stars in the fit.
    floor : float
        arcsec, a coordinate: rms of the brightest quarter of them, which photons no longer limit.
    n_stars : int
        Stars in the fit.
    offset : tuple of float
        Pointing error found, arcsec towards RA and Dec; and the rotation, deg.
    """

    wcs_header: dict[str, object]
    matched: NDArray[np.int64]
    rms: float
    floor: float
    n_stars: int
    offset: tuple[float, float, float]


@dataclass(frozen=True)
class Targets:
    """Where photometry is forced: reference stars on the film and detections that are none, in HEALPix order.

    ``ref_id`` is -1 and ``ref_mag, bp_rp`` NaN for detections without a reference star; ``detection`` is -1 for stars
    that were not detected. ``healpix`` is the index at order 29.
    """

    ra: Doubles
    dec: Doubles
    x: Floats
    y: Floats
    ref_id: NDArray[np.int64]
    ref_mag: Floats
    bp_rp: Floats
    detection: NDArray[np.int64]
    healpix: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.x)


@dataclass(frozen=True)
class Pairs:
    """Targets near each other, ``(k,)`` each: index of a target, of its neighbour, and their distance in pixels."""

    target: NDArray[np.int64]
    neighbour: NDArray[np.int64]
    distance: Doubles

    @property
    def arrays(self) -> tuple[NDArray[np.int64], NDArray[np.int64], Doubles]:
        """All three, as kernels want them."""
        return self.target, self.neighbour, self.distance

    def of(self, some: NDArray[np.int64], n: int) -> Pairs:
        """Those of some of the ``n`` targets."""
        chosen = np.zeros(n, bool)
        chosen[some] = True
        here = np.flatnonzero(chosen[self.target])
        return Pairs(self.target[here], self.neighbour[here], self.distance[here])

    @property
    def reach(self) -> float:
        """Largest distance."""
        return float(self.distance.max(initial=0.0))


@dataclass(frozen=True)
class StackPhotometry:
    """What the stack says of each target, ``(m,)``.

    ``flux, variance`` are of the aperture, ADU, sky subtracted; ``sky`` is local, ADU a pixel;
    ``clean`` says that no saturated pixel is near; ``crowding`` is the light of all neighbours that are near
    over the target's own; ``flags`` has bits of ``schema.Flag``.
    """

    flux: Floats
    variance: Floats
    sky: Floats
    clean: Bools
    crowding: Doubles
    flags: NDArray[np.int32]


@dataclass(frozen=True)
class Growth:
    """Curve of growth of the star images: a Moffat profile.

    Attributes
    ----------
    alpha, beta : float
        ``I(r) ~ (1 + (r / alpha)^2)^-beta``, pixels.
    error : float
        Relative standard error of a correction.
    """

    alpha: float
    beta: float
    error: float

    def share(self, radius: ArrayLike) -> Doubles:
        """Share of all light within a radius."""
        return moffat_share(radius, self.alpha, self.beta)

    def overlap(self, radii: ArrayLike, reach: float) -> tuple[Doubles, float]:
        """Share of a star's light in soft-edged apertures, ``(k, n)``, at distances 0, step, 2 step …; and the step."""
        step = 0.5  # pixels
        n = int(np.ceil(reach / step)) + 2
        return overlaps(self.alpha, self.beta, np.atleast_1d(np.asarray(radii, float)), n, step), step


def moffat_share(radius: ArrayLike, alpha: ArrayLike, beta: ArrayLike) -> Doubles:
    """Share of a Moffat image's light within a radius, ``1 - (1 + (r / alpha)^2)^(1 - beta)``."""
    return np.asarray(1.0 - (1.0 + (np.asarray(radius, float) / alpha) ** 2) ** (1.0 - np.asarray(beta)))


@dataclass(frozen=True)
class Zeropoint:
    """What ties ADU to magnitudes.

    Attributes
    ----------
    value, error : float
        Gaia G (Vega) of 1 ADU a frame in all of the image of a star of colour ``camera.COLOR_PIVOT``, in the mean over
        the stars used; standard error.
    color_term : float
        Magnitudes by which the zero point rises for each magnitude of bp_rp.
    surface : (coefficients, center), ndarray of float64, (5,)
        Of `surface_terms`, mag: how the zero point of the aperture changes over the detector; terms at the mean star.
    growth : Growth
    aperture_correction : float
        All light over the light in the photometry's aperture.
    color : float
        Median bp_rp of the stars used: what is assumed of a source without colour.
    n_stars : int
    """

    value: float
    error: float
    color_term: float
    surface: tuple[Doubles, Doubles]
    growth: Growth
    aperture_correction: float
    color: float
    n_stars: int

    @property
    def njy(self) -> float:
        """Flux of 1 ADU a frame, nJy."""
        return float(flux_njy(self.value))

    def at(self, x: ArrayLike, y: ArrayLike, bp_rp: ArrayLike) -> Doubles:
        """Zero point at pixels, for a colour (NaN: the film's usual one)."""
        color = np.where(np.isfinite(bp_rp), bp_rp, self.color)
        coefficients, center = self.surface
        over_detector = (surface_terms(x, y) - center) @ coefficients
        return np.asarray(self.value + self.color_term * (color - COLOR_PIVOT) + over_detector)


def surface_terms(x: ArrayLike, y: ArrayLike) -> Doubles:
    """``(n, 5)``: u, v, u^2, uv, v^2 of pixels scaled to -1…1."""
    u, v = 2 * (np.asarray(x, float) + 0.5) / NX - 1, 2 * (np.asarray(y, float) + 0.5) / NY - 1
    return np.stack([u, v, u**2, u * v, v**2], axis=-1)


@dataclass(frozen=True)
class FrameSeries:
    """What changes from frame to frame.

    Attributes
    ----------
    motion : ndarray of float32, (2, n, 3)
        Shift along x and y against the stack: coefficients of 1, v, v^2 with v the row scaled to -1…1, pixels.
    fwhm_px : ndarray of float32, (n,)
        Seeing.
    light : ndarray of float32, (n, 3)
        Flux of stars over their flux in the stack: coefficients of 1, u, v with u, v scaled to -1…1.
    sky_offset : ndarray of float32, (n, cells_y, cells_x)
        Sky above that of the stack, ADU, on a coarse grid.
    n_stars : int
        Stars it rests on.
    wander_px : float
        How far a bright star strays from the others' shift in a frame, rms along x or y.
    """

    motion: Floats
    fwhm_px: Floats
    light: Floats
    sky_offset: Floats
    n_stars: int
    wander_px: float = 0.0

    @property
    def dx(self) -> Floats:
        """Shift along x at the middle row, ``(n,)``."""
        return self.motion[0, :, 0]

    @property
    def dy(self) -> Floats:
        """Shift along y at the middle row, ``(n,)``."""
        return self.motion[1, :, 0]

    @property
    def transparency(self) -> Floats:
        """Mean over the detector, ``(n,)``."""
        return self.light[:, 0]

    def shifts(self, y: ArrayLike) -> tuple[Floats, Floats]:
        """Shifts along x and y at rows, ``(m, n)`` each."""
        v = 2 * (np.asarray(y, np.float32) + np.float32(0.5)) / np.float32(NY) - 1
        powers = np.stack([np.ones_like(v), v, v * v], axis=1)
        return powers @ self.motion[0].T, powers @ self.motion[1].T

    @staticmethod
    def plane(x: ArrayLike, y: ArrayLike) -> Floats:
        """Terms 1, u, v of ``light``, ``(m, 3)``."""
        u = 2 * (np.asarray(x, np.float32) + np.float32(0.5)) / np.float32(NX) - 1
        v = 2 * (np.asarray(y, np.float32) + np.float32(0.5)) / np.float32(NY) - 1
        return np.stack([np.ones_like(u), u, v], axis=1)

    def light_at(self, x: ArrayLike, y: ArrayLike) -> Floats:
        """Relative light at pixels, ``(m, n)``; never less than a hundredth, where the plane is lost in noise."""
        return np.maximum(self.plane(x, y) @ self.light.T, np.float32(0.01))


@dataclass(frozen=True)
class FilmPhotometry:
    """2 Hz photometry of all targets, ``(m, n)`` each, aperture fluxes in ADU, sky subtracted.

    ``variance`` ``(m,)`` is that of photons and read-out in one frame; ``background`` is the local sky (ADU a pixel);
    ``flags`` has bits of ``schema.Flag``.
    """

    flux: Floats
    variance: Floats
    background: Floats
    flags: NDArray[np.int32]
