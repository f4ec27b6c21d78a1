"""Step 3: sources on the stack.

The sky on a mesh, the star image from bright stars, a filter matched to it, its maxima; then light, place and shape of
each star, its neighbours taken off.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from tomoe_explore import memory
from tomoe_explore.data import BAD_PIXEL, SATURATED_PIXEL, Floats, Stack
from tomoe_explore.errors import TomoeError
from tomoe_explore.kernels.background import cell_means, filled, first_levels, median_of_nine, mesh_at, upsample
from tomoe_explore.kernels.blobs import blob_centers, blobs, nearest_blob, paint
from tomoe_explore.kernels.measure import HELD, HELD_FLUX, measure
from tomoe_explore.kernels.moffat import Psf, moffat, reaches, through_gaussian
from tomoe_explore.kernels.moments import filter_errors, lone_widths, wing_fluxes
from tomoe_explore.kernels.neighbours import neighbour_lists
from tomoe_explore.kernels.peaks import local_maxima, ring_levels, standing_out, vertices
from tomoe_explore.kernels.pixels import Rows, bad_and_saturated, listed
from tomoe_explore.kernels.smooth import gaussian, smooth
from tomoe_explore.reduction.values import Detections

CELL = 64  #: pixels; of the mesh of the sky
MAX_SOURCES = 50_000  #: beyond this the threshold is raised
FWHM, BETA = 3.0, 3.5  #: of the star image where no star tells
BETAS = np.array([2.0, 2.25, 2.5, 2.75, 3.0, 3.25, 3.5, 4.0, 4.5, 5.0, 6.0, 8.0, 12.0])
BRIGHT = (40.0, 15.0, 8.0)  #: sigma of a pixel; of the stars that tell the image, tried in turn
FADE = 0.1  #: of a pixel's noise: where a star's light is held to end
SHARP = 0.5  #: width of the filter that tells close stars apart, over that of the matched one
RISE, DIP = 3.0, 0.03  #: sigma, and part of the light there, by which a peak must rise above the way to a brighter one
MODEL_ERROR = 0.05  #: of the neighbours' light that was taken off
SWEEPS = 3
RING, HALO = 2.5, 1.5  #: radius in FWHM; sigma of the matched filter from which a ring's lower quartile is a halo
QUARTILE = 0.67  #: sigma that the lower quartile of noise lies below its mean
THIN = 0.3  #: variance across a track over that of a star
MAX_BRIGHT = 120
FREE = 0.1  #: share of a cell that must be free of stars to tell its sky


@dataclass(frozen=True)
class _StarImage:
    """The image of a star on a stack.

    Attributes
    ----------
    sigma : float
        Of the Gaussian that fits best, pixels: window and filter.
    width : float
        FWHM of the image over that of the Gaussian.
    share : float
        Light under the Gaussian over all light.
    fwhm : float
        Pixels.
    psf : Psf
        The Moffat image.
    """

    sigma: float
    width: float
    share: float
    fwhm: float
    psf: Psf

    @property
    def amplitude(self) -> float:
        """All light of a star whose Gaussian has the peak 1."""
        return float(np.pi * self.sigma**2 / self.share)

    def light(self, radius: float) -> float:
        """Light a pixel at a distance (pixels) from a star of light 1."""
        _, _, peak, alpha2, beta = self.psf
        return float(peak * (1 + radius**2 / alpha2) ** -beta)


@dataclass(frozen=True)
class _View:
    """The stack as the search sees it.

    Attributes
    ----------
    image, variance : ndarray of float32, (ny, nx)
    bad_rows : Rows
        Bad pixels.
    sky : (level, sigma)
        First guess on the mesh.
    filtered : ndarray of float32, (ny, nx)
        Written over by each filter, at last by the sky: fresh memory costs more than filtering.
    """

    image: Floats
    variance: Floats
    bad_rows: Rows
    sky: tuple[Floats, Floats]
    filtered: Floats

    @property
    def noise(self) -> float:
        """Typical noise of a pixel of the sky."""
        return float(np.median(self.sky[1]))


@dataclass(frozen=True)
class _Candidates:
    """Peaks of the filtered image, in the order of y for the memory's sake; pixels, ADU a frame.

    ``held`` tells what of a saturated star is given and not to be measured again: see `kernels.measure`.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    flux: NDArray[np.float64]
    flux_err: NDArray[np.float64]
    held: NDArray[np.uint8]
    sharp: NDArray[np.bool_]

    def __getitem__(self, which: NDArray[np.bool_] | NDArray[np.int64]) -> _Candidates:
        return _Candidates(**{name: column[which] for name, column in vars(self).items()})

    @property
    def pixels(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows and columns of the nearest pixels."""
        return np.rint(self.y).astype(np.int64), np.rint(self.x).astype(np.int64)


def detect(stack: Stack, *, snr: float = 5.0) -> Detections:
    """Find sources on a stack.

    Parameters
    ----------
    stack : Stack
    snr : float
        Least signal to noise of a source's light in the matched filter.

    Returns
    -------
    Detections
        Brightest first.

    Raises
    ------
    TomoeError
        If there are more than `MAX_SOURCES` even at ten times the threshold.

    Notes
    -----
    The filter is the Gaussian that fits the stack's own star images best (adaptive moments: Bernstein & Jarvis 2002,
    AJ 123, 583), bad pixels without weight. A peak counts if it rises `RISE` sigma and `DIP` of the light above the way
    to any brighter one; if its light reaches the threshold when that of its neighbours (Moffat images) is taken off,
    whose error is `MODEL_ERROR` of it; if no few pixels alone are more significant than the whole would be of a star.
    Stars closer than a filter can tell are told apart by one half as wide, where they are bright enough for it.

    The sky is the mean, not the mode, of the pixels where no star puts more than `FADE` of the noise: a mode is biased
    low where noise is skewed, as that of few photons is. Stars too faint to be found are in it.
    """
    image = np.ascontiguousarray(stack.image, np.float32)
    bad_rows, full_rows = bad_and_saturated(image, stack.mask, (BAD_PIXEL, SATURATED_PIXEL))
    sky = _first_sky(image, stack)
    star = _star_image(image, stack.mask, sky)
    view = _View(image, stack.variance, bad_rows, sky, memory.empty(image.shape, np.float32))
    close = _sharp_peaks(view, star, snr)
    found = _candidates(view, star, close, snr)
    found = _saturated(found, full_rows, image, stack.mask, sky[0], star)
    star_mask, mesh = _sky(view, found, full_rows, star)
    found, level = _clear(found, view, star, mesh, snr)
    neighbours = neighbour_lists(found.x, found.y, _reach(found.flux, star, view.noise), image.shape)
    x, y, flux = found.x.copy(), found.y.copy(), found.flux.copy()
    stars = x, y, flux, found.held, level
    moments = measure((image, stack.variance), bad_rows, stars, neighbours, (star.sigma, star.share, star.psf), SWEEPS)
    error = np.hypot(moments[:, 0], MODEL_ERROR * moments[:, 4])
    real = (flux >= snr * error) & (_is_star(moments, flux / error, star) | (found.held > 0))
    order = np.flatnonzero(real)[np.argsort(-flux[real], kind="stable")]
    fwhm, ellipticity = _shapes(moments[order, 1:4], star)
    return Detections(
        x[order], y[order], flux[order].astype(np.float32), error[order].astype(np.float32), fwhm, ellipticity,
        found.held[order] > 0, star_mask, upsample(mesh, view.filtered),
    )  # fmt: skip


def seeing(detections: Detections) -> float:
    """Median FWHM (pixels) of unsaturated bright round sources; NaN if there are fewer than three.

    The brightest are left out: they are few and may be galaxies or nearly saturated.
    """
    snr = detections.flux / detections.flux_err
    good = (snr > 20) & ~detections.saturated & np.isfinite(detections.fwhm_px) & (detections.ellipticity < 0.3)
    if good.sum() < 3:
        return float("nan")
    return float(np.median(detections.fwhm_px[good][:300]))


def _first_sky(image: Floats, stack: Stack) -> tuple[Floats, Floats]:
    """Level and noise of the sky on the mesh, cells that stand out replaced by the median of those about them."""
    ny, nx = image.shape
    cells = max(round(ny / CELL), 1), max(round(nx / CELL), 1)
    level, sigma = first_levels(image, stack.variance, stack.mask, cells)
    known = np.isfinite(level)
    return median_of_nine(filled(level, known)), median_of_nine(filled(sigma, known))


@lru_cache(maxsize=1)
def _growths() -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    width, share, growth = np.array([through_gaussian(beta) for beta in BETAS]).T
    return width, share, growth


def _star_image(image: Floats, mask: NDArray[np.uint8], sky: tuple[Floats, Floats]) -> _StarImage:
    """Width and wings of the star images: medians over bright stars that stand alone."""
    widths, shares, growths = _growths()
    sigma, beta = float(FWHM / np.interp(BETA, BETAS, widths) / 2.3548), BETA
    for bright in BRIGHT:
        peaks = local_maxima(image, sky[0] + np.float32(bright) * sky[1], MAX_SOURCES)
        whole = np.flatnonzero(mask[peaks] == 0)
        brightest = whole[np.argsort(-image[peaks][whole])]
        peaks = peaks[0][brightest], peaks[1][brightest]
        at = [mesh_at(mesh, peaks[1], peaks[0], image.shape) for mesh in sky]
        measured, growth = lone_widths(image, mask, (at[0], at[1]), peaks, MAX_BRIGHT)
        if len(measured) >= 5:
            usual = np.abs(measured / np.median(measured) - 1) < 0.25
            sigma = float(np.median(measured[usual]))
            beta = float(np.interp(-np.median(growth[usual]), -growths, BETAS))
            break
    width, share = float(np.interp(beta, BETAS, widths)), float(np.interp(beta, BETAS, shares))
    fwhm = 2.3548 * sigma * width
    return _StarImage(sigma, width, share, fwhm, moffat(fwhm, beta))


def _peaks(view: _View, sigma: float, least: float) -> _Candidates:
    """Maxima of the image filtered by a Gaussian, of so many sigma at least; fluxes are the filter's amplitudes."""
    kernel = gaussian(sigma)
    smooth(view.image, view.bad_rows, view.sky[0], kernel, view.filtered)
    root = 1 + 2 * (kernel[1:] ** 2).sum()  # of the two-dimensional kernel's sum of squares
    for factor in (1.0, 3.0, 10.0):
        peaks = local_maxima(view.filtered, view.sky[1] * np.float32(factor * least / root), 2 * MAX_SOURCES)
        if len(peaks[0]) <= MAX_SOURCES:
            break
    else:
        raise TomoeError(
            f"more than {MAX_SOURCES} sources on the stack even at {10 * least:.0f} sigma: no stellar field?"
        )
    error = filter_errors(view.variance, sigma, peaks)
    x, y, top = vertices(view.filtered, peaks)
    keep = np.flatnonzero(top > factor * least * error)
    nothing = np.zeros(len(x), np.uint8)
    return _Candidates(x, y, top, error, nothing, nothing > 0)[keep]


def _sharp_peaks(view: _View, star: _StarImage, snr: float) -> _Candidates:
    """Stars that a filter half as wide as the star image tells apart: some, faint ones, it does not see."""
    sigma = max(SHARP * star.sigma, 0.4)
    found = _peaks(view, sigma, snr)
    seen = 2 * star.sigma**2 / (star.sigma**2 + sigma**2)  # amplitude of a star whose own is 1
    reach = _reach(found.flux / seen * star.amplitude, star, view.noise)
    return found[_stands(found, view, reach)]


def _stands(found: _Candidates, view: _View, reach: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether peaks rise above the way to brighter ones in whose light they lie."""
    lists = neighbour_lists(found.x, found.y, reach, view.image.shape)
    tops = view.filtered[found.pixels]
    rise = standing_out(view.filtered, (found.x, found.y), tops, lists)
    return np.asarray(rise > RISE * found.flux_err + DIP * (tops - rise))


def _candidates(view: _View, star: _StarImage, close: _Candidates, snr: float) -> _Candidates:
    """Peaks of the matched filter, 1.5 sigma below the threshold and above, for the sky may yet change.

    Where sharper peaks stand near, those take their place.
    """
    found = _peaks(view, star.sigma, max(snr - 1.5, 0.7 * snr))
    x, y = np.append(found.x, close.x), np.append(found.y, close.y)
    reach = np.append(np.zeros(len(found.x)), np.full(len(close.x), 0.75 * star.fwhm))
    near = np.diff(neighbour_lists(x, y, reach, view.image.shape)[0]) > 0
    found = found[~near[: len(found.x)]]
    x, y = np.append(found.x, close.x), np.append(found.y, close.y)
    flux: NDArray[np.float64] = np.concatenate([found.flux, view.filtered[close.pixels].astype(np.float64)])
    error = np.concatenate([found.flux_err, filter_errors(view.variance, star.sigma, close.pixels)])
    held, sharp = np.zeros(len(x), np.uint8), np.arange(len(x)) >= len(found.x)
    order = np.argsort(y)
    return _Candidates(x, y, flux * star.amplitude, error * star.amplitude, held, sharp)[order]


def _reach(flux: NDArray[np.float64], star: _StarImage, sigma: float) -> NDArray[np.float64]:
    """Distance at which stars fade into the noise, pixels, but at least a FWHM."""
    return np.maximum(reaches(star.psf, flux, FADE * sigma), star.fwhm)


def _saturated(
    found: _Candidates,
    rows: Rows,
    image: Floats,
    mask: NDArray[np.uint8],
    level: Floats,
    star: _StarImage,
) -> _Candidates:
    """All peaks about one region of saturated pixels become one star, whose light its unsaturated pixels tell."""
    if len(rows[1]) == 0 or len(found.x) == 0:
        return found
    number = blobs(rows, image.shape[1])
    reach = int(np.ceil(star.fwhm))
    region = nearest_blob(rows, number, found.pixels, reach)
    brightest = np.argsort(-found.flux, kind="stable")
    _, first = np.unique(region[brightest], return_index=True)
    one = brightest[first]
    one = one[region[one] >= 0]  # brightest peak of each region
    keep = region < 0
    keep[one] = True
    x, y, width, height = (column[region[one]] for column in blob_centers(image, rows, number, reach))
    bleeds = (height > width + 2 * star.fwhm) | (width > 2 * star.fwhm)
    found = replace(found, x=found.x.copy(), y=found.y.copy(), flux=found.flux.copy(), held=found.held.copy())
    found.x[one], found.y[one] = np.where(bleeds, x, found.x[one]), np.where(bleeds, y, found.y[one])
    found.held[one] = np.where(bleeds, HELD, HELD_FLUX)
    radius = 2 * star.fwhm + np.maximum(width, 1) / 2
    stars = found[one]
    sky = mesh_at(level, stars.x, stars.y, image.shape)
    found.flux[one] = wing_fluxes(image, mask, sky, (stars.x, stars.y, radius), star.psf)
    return found[keep]


def _sky(view: _View, found: _Candidates, full: Rows, star: _StarImage) -> tuple[NDArray[np.bool_], Floats]:
    """Pixels that hold light of stars or are bad, and the sky of the others on the mesh."""
    star_mask = memory.empty(view.image.shape, np.bool_)
    star_mask[:] = False
    star_mask[listed(view.bad_rows)] = True
    paint(star_mask, found.x, found.y, _reach(found.flux, star, view.noise))
    y, x = listed(full)
    paint(star_mask, x.astype(np.float64), y.astype(np.float64), np.full(len(y), star.fwhm))
    mean, free = cell_means(view.image, view.bad_rows, star_mask, view.sky)
    change = filled(mean - view.sky[0], free > FREE)
    return star_mask, np.asarray(view.sky[0] + change)


def _clear(found: _Candidates, view: _View, star: _StarImage, mesh: Floats, snr: float) -> tuple[_Candidates, Floats]:
    """Candidates without those that the better sky does not leave or that are but ripples on a brighter star's light.

    Also the sky at each. Where the mesh is too coarse, as in a very bright star's halo, it is higher: what the filtered
    image has on a ring about the candidate, if that is more than noise.
    """
    level, first = (mesh_at(m, found.x, found.y, view.image.shape) for m in (mesh, view.sky[0]))
    excess = 2 * (level - first)  # an even light of 1 has the amplitude 2 in the filter
    error = found.flux_err / star.amplitude
    own = 2 * found.flux * star.light(RING * star.fwhm)
    ring = ring_levels(view.filtered, found.pixels, RING * star.fwhm) - excess - own
    halo = np.where(ring > HALO * error + own, ring + QUARTILE * error, 0.0)
    flux = np.where(found.held > 0, found.flux, found.flux - (excess + halo) * star.amplitude)
    found = replace(found, flux=flux)
    stands = _stands(replace(found, flux_err=error), view, _reach(flux, star, view.noise)) | found.sharp
    keep = (stands & (flux > (snr - 1) * found.flux_err)) | (found.held > 0)
    return found[keep], np.asarray(level + halo / 2, np.float32)[keep]


def _is_star(moments: NDArray[np.float64], snr: NDArray[np.float64], star: _StarImage) -> NDArray[np.bool_]:
    """Neither sharper than a star nor, as the track of a particle, thinner: the narrow axis of its light says so."""
    xx, yy, xy = moments[:, 1:4].T
    thin = 2 / star.sigma**2 * ((xx + yy) / 2 - np.sqrt((xx - yy) ** 2 / 4 + xy**2))  # 1 for a star
    return np.asarray((moments[:, 5] < 1) & (thin > np.minimum(THIN, 1 - 6 / np.maximum(snr, 1.0))))


def _shapes(moments: NDArray[np.float64], star: _StarImage) -> tuple[Floats, Floats]:
    """FWHM (pixels) and ellipticity from the variances in the window: the window is divided out as among Gaussians."""
    xx, yy, xy = moments.T
    root = np.sqrt((xx - yy) ** 2 / 4 + xy**2)
    own = []
    for seen in ((xx + yy) / 2 + root, (xx + yy) / 2 - root):
        inverse = 1 / np.maximum(seen, 0.05 * star.sigma**2) - 1 / star.sigma**2
        own.append(1 / np.maximum(inverse, 0.1 / star.sigma**2))
    fwhm = 2.3548 * star.width * (own[0] * own[1]) ** 0.25
    return fwhm.astype(np.float32), (1 - np.sqrt(own[1] / own[0])).astype(np.float32)
