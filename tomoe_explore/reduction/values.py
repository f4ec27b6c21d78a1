"""The values that pass from step to step and go no further."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tomoe_explore.data import Film, Stack

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]


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
class Sums:
    """Mean, largest value and scatter of the frames used, in stored units, ``(NY, NX)``."""

    mean: Floats
    peak: Floats
    variance: Floats
    n_frames: int


@dataclass(frozen=True)
class Detections:
    """Sources found on a stack, brightest first.

    Attributes
    ----------
    x, y : ndarray of float64, (m,)
        Windowed centroids, pixels.
    flux, flux_err : ndarray of float32, (m,)
        Isophotal flux and its error from sky alone, ADU a frame; for ranking, not for science.
    fwhm_px : ndarray of float32, (m,)
        Of the Gaussian that fits best; NaN where the fit fails.
    ellipticity : ndarray of float32, (m,)
    saturated : ndarray of bool, (m,)
    star_mask : ndarray of bool, (NY, NX)
        Pixels that hold light of sources.
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
    """A film and what was made of it before the sky is asked: what later steps work on."""

    film: Film
    calibration: Calibration
    sums: Sums
    stack: Stack
    detections: Detections


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
    """Where photometry is forced: reference stars on the film, then detections that are none.

    ``ref_id`` is -1 and ``ref_mag, bp_rp`` NaN for detections without a reference star; ``detection`` is -1 for stars
    that were not detected.
    """

    ra: Doubles
    dec: Doubles
    x: Floats
    y: Floats
    ref_id: NDArray[np.int64]
    ref_mag: Floats
    bp_rp: Floats
    detection: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.x)


@dataclass(frozen=True)
class Zeropoint:
    """What ties ADU to magnitudes.

    Attributes
    ----------
    value, error : float
        Gaia G (Vega) of 1 ADU a frame in all of the star's image; standard error.
    growth : (radii, corrections)
        Curve of growth: aperture radii, pixels, and all light over the light within each.
    n_stars : int
    """

    value: float
    error: float
    growth: tuple[Doubles, Doubles]
    n_stars: int

    def aperture_correction(self, radius_px: float) -> float:
        """All light over the light within a radius."""
        return float(np.interp(radius_px, *self.growth))


@dataclass(frozen=True)
class FrameSeries:
    """What changes from frame to frame, ``(n,)`` each.

    Attributes
    ----------
    dx, dy : ndarray of float32
        Shift against the stack, pixels.
    transparency : ndarray of float32
        Flux of stars over their flux in the stack.
    sky_offset : ndarray of float32, (n, cells_y, cells_x)
        Sky above that of the stack, ADU, on a coarse grid.
    n_stars : int
        Stars it rests on.
    """

    dx: Floats
    dy: Floats
    transparency: Floats
    sky_offset: Floats
    n_stars: int


@dataclass(frozen=True)
class FilmPhotometry:
    """2 Hz photometry of all targets, ``(m, n)`` each, ADU in all of the star's image where not said otherwise.

    ``background`` is the local sky (ADU a pixel); ``flags`` has bits of ``schema.Flag``.
    """

    flux: Floats
    flux_err: Floats
    background: Floats
    flags: NDArray[np.int32]


@dataclass(frozen=True)
class Tracks:
    """Linked points, one entry a point, and the straight line through each link.

    Attributes
    ----------
    track, frame : ndarray of int, (k,)
        Number of the track, and frame.
    x, y : ndarray of float64, (k,)
        Pixels, shift of the frame taken out.
    t : ndarray of float64, (k,)
        Mid-exposure at the row, s after the film's start.
    x0, y0, t0, vx, vy : ndarray of float64, (n_tracks,)
        Line: position at time t0, velocity in pixels/s.
    position_err, velocity_err : ndarray of float64, (n_tracks,)
        Standard errors a coordinate, pixels and pixels/s.
    score : ndarray of float64, (n_tracks,)
        Square root of the sum of squared single-point significances.
    flux, flux_err : ndarray of float32, (k,)
        All of the image's light, ADU of a frame as transparent as the stack.
    """

    track: NDArray[np.int32]
    frame: NDArray[np.int16]
    x: Doubles
    y: Doubles
    t: Doubles
    x0: Doubles
    y0: Doubles
    t0: Doubles
    vx: Doubles
    vy: Doubles
    position_err: Doubles
    velocity_err: Doubles
    score: Doubles
    flux: Floats
    flux_err: Floats

    def __len__(self) -> int:
        return len(self.x0)
