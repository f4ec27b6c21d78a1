"""How right a reduction is: plain functions of what was measured and what was put in.

*Isolated* is a star in whose aperture all other stars together put little light, and no mover, streak or glint comes
near: a property of the truth, not of what a pipeline thinks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

BETA = 3.0  #: wings (Moffat) assumed for the light of neighbours: as wide as the simulator's widest
EDGE_PX = 25.0  #: stars outside the frame throw light in, and the truth does not list them
BRIGHT_MAG = 1.0  #: bright stars are within this of the limit
HALF_MAG = np.arange(9.0, 17.01, 0.5)
FAINT_LIMIT = 17.0
NOISE = ("photons", "sky", "scintillation")  #: parts of `scatter_model`


def moffat_share(radius: float | Array, fwhm: float, beta: float) -> float | Array:
    """Share of the light of a Moffat profile within a radius (same unit as ``fwhm``).

    Notes
    -----
    ``1 - (1 + r^2 / alpha^2)^(1 - beta)``.

    Examples
    --------
    >>> round(float(moffat_share(1.0, 1.0, 3.5)), 3)
    0.793
    """
    alpha = fwhm / (2 * np.sqrt(2 ** (1 / beta) - 1))
    return 1 - (1 + (np.asarray(radius) / alpha) ** 2) ** (1 - beta)


def saturation_mag(zeropoint: float, saturation_adu: float, sky_adu: float, fwhm_px: float, beta: float) -> float:
    """Magnitude at which a star centred on a pixel saturates it; the pixel taken as a circle of its area.

    Examples
    --------
    >>> round(saturation_mag(25.7, 26000.0, 300.0, 2.9, 3.5), 1)
    11.9
    """
    peak = float(moffat_share(1 / np.sqrt(np.pi), fwhm_px, beta))
    return float(zeropoint - 2.5 * np.log10((saturation_adu - sky_adu) / peak))


def contamination(
    targets: tuple[Array, Array, Array],
    stars: tuple[Array, Array, Array],
    fwhm: float,
    radius: float,
    *,
    own: float = 1e-3,
) -> Array:
    """Light of other stars in the aperture of each target over the target's own light.

    Parameters
    ----------
    targets, stars : tuple of ndarray
        ``x, y`` (px) and flux (any unit, the same).
    fwhm, radius : float
        Seeing and aperture radius, px.
    own : float
        A star this near (px) is the target itself.

    Notes
    -----
    A neighbour at distance d gives its surface brightness at ``d - radius`` over the whole aperture: rather too much.
    """
    x, y, flux = targets
    sx, sy, sflux = stars
    alpha = fwhm / (2 * np.sqrt(2 ** (1 / BETA) - 1))
    total = np.zeros(len(x))

    def add(rows: NDArray[np.int64], others: NDArray[np.int64], reach: tuple[float, float]) -> None:
        distance = np.hypot(x[rows] - sx[others], y[rows] - sy[others])
        from_edge = np.maximum(distance - radius, 0)
        share = (BETA - 1) * (radius / alpha) ** 2 * (1 + (from_edge / alpha) ** 2) ** -BETA
        share = np.minimum(share, 1) * ((distance > reach[0]) & (distance <= reach[1]))
        np.add.at(total, rows, share * sflux[others])

    pairs = cKDTree(np.column_stack([x, y])).sparse_distance_matrix(
        cKDTree(np.column_stack([sx, sy])), 40.0, output_type="coo_matrix"
    )
    add(pairs.row.astype(np.int64), pairs.col.astype(np.int64), (own, 40.0))
    for k in np.argsort(-sflux)[:200]:
        add(np.arange(len(x)), np.full(len(x), k), (40.0, np.inf))
    return total / np.maximum(flux, 1e-9)


def near_segments(x: Array, y: Array, segments: Array, reach: float) -> Mask:
    """Whether points lie within a distance of any of the segments ``x1, y1, x2, y2``.

    Examples
    --------
    >>> near_segments(np.array([5.0, 5.0]), np.array([1.0, 9.0]), np.array([[0.0, 0.0, 10.0, 0.0]]), 2.0).tolist()
    [True, False]
    """
    near = np.zeros(len(x), dtype=bool)
    for x1, y1, x2, y2 in segments:
        length2 = max((x2 - x1) ** 2 + (y2 - y1) ** 2, 1e-9)
        along = np.clip(((x - x1) * (x2 - x1) + (y - y1) * (y2 - y1)) / length2, 0, 1)
        near |= np.hypot(x - x1 - along * (x2 - x1), y - y1 - along * (y2 - y1)) < reach
    return near


def stack_snr(electrons: Array, noise_e: float, profile: tuple[float, float], n_frames: int) -> Array:
    """Best possible signal to noise of stars on a stack: pixels weighted by the star's image.

    Parameters
    ----------
    electrons : ndarray
        Of the star in a frame.
    noise_e : float
        Of an empty pixel in a frame.
    profile : tuple of float
        FWHM (px) and beta of a Moffat profile.
    n_frames : int

    Notes
    -----
    ``sqrt(n) F / sqrt(F + N noise^2)`` with ``N = 1 / sum(P^2) = pi alpha^2 (2 beta - 1) / (beta - 1)^2`` pixels.

    Examples
    --------
    >>> stack_snr(np.array([100.0]), 8.0, (2.9, 3.5), 17).round(1).tolist()
    [9.3]
    """
    fwhm, beta = profile
    alpha = fwhm / (2 * np.sqrt(2 ** (1 / beta) - 1))
    pixels = np.pi * alpha**2 * (2 * beta - 1) / (beta - 1) ** 2
    return np.sqrt(n_frames) * electrons / np.sqrt(electrons + pixels * noise_e**2)


def scatter_model(electrons: Array, noise_e: float, scintillation: float, aperture: tuple[float, float]) -> Array:
    """Relative variance of the flux in one frame: that of its photons, of sky and read-out, and of scintillation.

    Parameters
    ----------
    electrons : ndarray
        Of the whole star in a frame.
    noise_e : float
        Of an empty pixel in a frame.
    scintillation : float
        Relative rms.
    aperture : tuple of float
        Radius in px, and the share of the star's light in it.

    Returns
    -------
    ndarray
        ``(3, n)``; the scatter is the root of the sum.

    Examples
    --------
    >>> scatter_model(np.array([1e4]), 10.0, 0.005, (3.0, 0.8)).round(6).T.tolist()
    [[0.000125, 4.4e-05, 2.5e-05]]
    """
    radius, share = aperture
    light = electrons * share
    return np.stack([1 / light, np.pi * (radius * noise_e / light) ** 2, np.full(len(light), scintillation**2)])


def fitted_ratio(flux: Array, error: Array, truth: Array) -> float:
    """Weighted mean of flux over truth: a film's own zero point, as a factor. Rows are stars, columns frames."""
    weight = (truth[:, None] / error) ** 2
    return float((weight * flux / truth[:, None]).sum() / weight.sum())


@dataclass(frozen=True)
class Magnitudes:
    """What the stars of one half magnitude say, one entry a star, over any number of films.

    Attributes
    ----------
    low : float
        Bright end of the half magnitude.
    bias : float
        Median of mean flux over truth, less 1.
    chi2 : float
        Reduced chi-square of all 2 Hz fluxes about each film's fitted zero point.
    scatter_ratio : float
        Scatter of a star about its mean over that expected.
    expected : float
        Relative scatter expected of the median star.
    shares : tuple of float
        Shares of the expected variance: photons of the star, sky and read-out, scintillation.
    n_stars : int
    """

    low: float
    bias: float
    chi2: float
    scatter_ratio: float
    expected: float
    shares: tuple[float, float, float]
    n_stars: int


def by_magnitude(stars: dict[str, Array], least: int) -> list[Magnitudes]:
    """Bins of half a magnitude with at least so many stars.

    Parameters
    ----------
    stars : dict
        ``mag``, ``ratio`` (mean flux over truth), ``chi2`` (reduced, of the star), ``variance_ratio`` (observed over
        expected), ``photons, sky, scintillation`` (relative variance expected); ``(n,)`` each.
    least : int
    """
    bins = []
    for low in HALF_MAG[:-1]:
        inside = (stars["mag"] >= low) & (stars["mag"] < low + 0.5)
        if inside.sum() >= least:
            ratio, chi2, variance = (stars[name][inside] for name in ("ratio", "chi2", "variance_ratio"))
            bias, scatter = float(np.median(ratio)) - 1, float(np.sqrt(variance.mean()))
            parts = np.array([np.median(stars[name][inside]) for name in NOISE])
            bins.append(
                Magnitudes(
                    float(low), bias, float(chi2.mean()), scatter, float(np.sqrt(parts.sum())),
                    tuple((parts / parts.sum()).tolist()), int(inside.sum()),
                )
            )  # fmt: skip
    return bins


def photometry_scores(
    flux: Array, error: Array | None, truth: dict[str, Array], expected: Array, good: Mask
) -> dict[str, Array]:
    """Columns of `by_magnitude` for the stars of one film.

    Parameters
    ----------
    flux, error : ndarray, (m, n)
        Of stars in frames, any one unit; without errors ``chi2`` is NaN.
    truth : dict
        ``flux`` and ``mag`` of the stars, ``(m,)``; the flux in the unit of ``flux``.
    expected : ndarray, (3, m)
        Relative variance expected in a frame, as `scatter_model` gives it.
    good : ndarray of bool, (m,)
        Stars to use.
    """
    flux, true, mag, expected = flux[good].astype(float), truth["flux"][good], truth["mag"][good], expected[:, good]
    mean = flux.mean(axis=1)
    chi2 = np.full(len(flux), np.nan)
    if error is not None and len(flux):
        error = error[good].astype(float)
        zero = fitted_ratio(flux, error, true)
        chi2 = (((flux - zero * true[:, None]) / error) ** 2).mean(axis=1)
    variance_ratio = flux.var(axis=1, ddof=1) / (expected.sum(axis=0) * mean**2)
    columns = {"mag": mag, "ratio": mean / true, "chi2": chi2, "variance_ratio": variance_ratio}
    return columns | dict(zip(NOISE, expected, strict=True))


@dataclass(frozen=True)
class Counts:
    """How many were there and how many were found; sums over films by ``+``."""

    stars: int = 0
    found: int = 0
    detections: int = 0
    spurious: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, n) + getattr(other, n) for n in self.__dataclass_fields__))

    @property
    def completeness(self) -> float:
        """Share of the stars that were found."""
        return self.found / self.stars if self.stars else float("nan")

    @property
    def spurious_fraction(self) -> float:
        """Share of the detections that are nothing."""
        return self.spurious / self.detections if self.detections else float("nan")


def count_detections(
    found: tuple[Array, Array, Array], scene: dict[str, Any], fwhm_px: float, *, isolated: bool = True
) -> Counts:
    """Completeness at S/N 7 (6.5 to 7.5) and spurious detections above 7.

    Parameters
    ----------
    found : tuple of ndarray
        ``x, y`` (px) and stated signal to noise of detections on the stack.
    scene : dict
        ``x, y, snr, flux`` of all stars (``snr`` the best possible) and ``moving`` segments.
    fwhm_px : float
    isolated : bool
        Whether to leave out stars and detections in which other stars put more than a tenth of their own light.

    Notes
    -----
    A detection is real if a star of at least S/N 2 lies within the larger of 2 px and a FWHM.
    """
    match = max(2.0, fwhm_px)
    x, y, snr = found
    keep = _inside(x, y) & (snr >= 7) & ~near_segments(x, y, scene["moving"], 5 * fwhm_px)
    x, y, snr = x[keep], y[keep], snr[keep]
    stars = scene["x"], scene["y"], scene["flux"]
    sn7 = _inside(*stars[:2]) & (np.abs(scene["snr"] - 7) < 0.5)
    sn7 &= ~near_segments(*stars[:2], scene["moving"], 5 * fwhm_px)
    if isolated:
        sn7[sn7] = contamination(tuple(s[sn7] for s in stars), stars, fwhm_px, fwhm_px) < 0.1
        per_snr = np.median(scene["flux"] / scene["snr"])
        alone = contamination((x, y, snr * per_snr), stars, fwhm_px, fwhm_px, own=match) < 0.1
        x, y = x[alone], y[alone]
    everything = cKDTree(np.column_stack([*found[:2]]))
    distance, _ = everything.query(np.column_stack([scene["x"][sn7], scene["y"][sn7]]))
    real = scene["snr"] > 2
    off, _ = cKDTree(np.column_stack([scene["x"][real], scene["y"][real]])).query(np.column_stack([x, y]))
    return Counts(int(sn7.sum()), int((distance < match).sum()), len(x), int((off > match).sum()))


def _inside(x: Array, y: Array) -> Mask:
    return (np.abs(x - 999.5) < 1000 - EDGE_PX) & (np.abs(y - 563.5) < 564 - EDGE_PX)
