"""Pipelines from general packages, as their documentation teaches: what astronomers would do without ours.

They do the stages that ours does too and no more: read, calibrate, stack, detect, match with the reference stars, zero
point, forced aperture photometry with local sky in every frame. They get the master dark and flat, the nominal WCS
(within 1 arcmin), and the targets and aperture of our reduction. None of the packages matches stars: all share
`match_stars`, which is cheap. Frames are not registered, movers and streaks not sought, tables not written. photutils
would spend 1.6 s (sparse) to 16 s (dense) on deblending, which is spared; sep deblends as it extracts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import astropy.units as u
import numpy as np
import sep
from astropy.convolution import convolve
from astropy.io import fits
from astropy.nddata import CCDData
from astropy.stats import gaussian_sigma_to_fwhm, sigma_clipped_stats
from astropy.wcs import WCS
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from tomoe_explore.camera import NX, NY, PIXEL_SCALE

Array = NDArray[np.float64]
Image = NDArray[np.float32]
ANNULUS_FWHM = (2.0, 3.0)  #: local sky
SNR = 5.0  #: of detection


@dataclass(frozen=True)
class Job:
    """What a pipeline is given.

    Attributes
    ----------
    path : Path
        Raw film.
    dark, flat : ndarray of float32, (NY, NX)
    center : tuple of float
        Nominal sky position of the frame's middle, deg.
    ref_ra, ref_dec, ref_mag : ndarray
        Reference stars, deg, at the epoch of the film; Gaia G.
    x, y : ndarray of float64
        Targets of the forced photometry, px.
    fwhm_px, radius_px : float
        Seeing and aperture radius.
    """

    path: Path
    dark: Image
    flat: Image
    center: tuple[float, float]
    ref_ra: Array
    ref_dec: Array
    ref_mag: Array
    x: Array
    y: Array
    fwhm_px: float
    radius_px: float

    @property
    def annulus_px(self) -> tuple[float, float]:
        """Radii of the local sky."""
        return ANNULUS_FWHM[0] * self.fwhm_px, ANNULUS_FWHM[1] * self.fwhm_px


@dataclass(frozen=True)
class Measured:
    """What a pipeline gives.

    Attributes
    ----------
    x, y, snr : ndarray, (k,)
        Detections on the stack, px; signal to noise in the aperture.
    flux : ndarray, (m, n)
        Of the targets in all frames, ADU in the aperture.
    zeropoint : float
        Gaia G of 1 ADU in the aperture.
    """

    x: Array
    y: Array
    snr: Array
    flux: NDArray[np.float32]
    zeropoint: float


# --- numpy + sep ---------------------------------------------------------------------------------
def numpy_sep(job: Job) -> Measured:
    """The film as a float32 cube, sep for background, detection and apertures; the least work that will do.

    The local sky of an annulus is the only one taken off a frame, and its fluxes have no errors.
    """

    def of_frame(frame: Image) -> Array:
        return np.asarray(sep.sum_circle(frame, job.x, job.y, job.radius_px, bkgann=job.annulus_px)[0])

    return _with_sep(job, of_frame)


def numpy_sep_tutorial(job: Job) -> Measured:
    """The same, but frame by frame what the tutorial of sep shows: background, its noise, fluxes with errors."""

    def of_frame(frame: Image) -> Array:
        sky = sep.Background(frame)
        return np.asarray(sep.sum_circle(frame - sky, job.x, job.y, job.radius_px, err=sky.globalrms)[0])

    return _with_sep(job, of_frame)


def _with_sep(job: Job, of_frame: Callable[[Image], Array]) -> Measured:
    with fits.open(job.path) as hdus:
        cube = hdus[0].data[:, :NY, :NX].astype(np.float32)
    cube -= job.dark
    cube /= job.flat
    stack = cube[1:].mean(axis=0)
    background = sep.Background(stack)
    signal = stack - background
    kernel = _gaussian_kernel(job.fwhm_px)
    threshold = SNR * float(np.sqrt((kernel**2).sum()) / kernel.sum())
    noise = background.globalrms
    objects = sep.extract(signal, threshold, err=noise, minarea=3, filter_kernel=kernel, filter_type="conv")
    x, y = objects["x"], objects["y"]
    flux, flux_err, _ = sep.sum_circle(signal, x, y, job.radius_px, err=noise, bkgann=job.annulus_px)
    zeropoint = _zeropoint(job, x, y, flux)
    fluxes = [of_frame(frame) for frame in cube]
    return Measured(x, y, flux / flux_err, np.column_stack(fluxes).astype(np.float32), zeropoint)


def _gaussian_kernel(fwhm_px: float) -> Image:
    half = np.arange(-3, 4)
    kernel = np.exp(-0.5 * (half[:, None] ** 2 + half**2) * (gaussian_sigma_to_fwhm / fwhm_px) ** 2)
    return kernel.astype(np.float32)


# --- ccdproc + photutils -------------------------------------------------------------------------
def ccdproc_photutils(job: Job) -> Measured:
    """Frames as CCDData through ccdproc, photutils for background, detection and apertures."""
    import ccdproc
    from photutils.aperture import CircularAnnulus, CircularAperture, aperture_photometry
    from photutils.background import Background2D, MedianBackground
    from photutils.segmentation import SourceCatalog, detect_sources, make_2dgaussian_kernel

    dark, flat = CCDData(job.dark, unit="adu"), CCDData(job.flat, unit="")
    one = 1.0 * u.s  # dark and film have the same exposure
    frames = []
    with fits.open(job.path) as hdus:
        for data in hdus[0].data:
            frame = CCDData(data[:NY, :NX].astype(np.float32), unit="adu")
            frame = ccdproc.subtract_dark(frame, dark, dark_exposure=one, data_exposure=one)
            frames.append(ccdproc.flat_correct(frame, flat))
    stack = ccdproc.Combiner(frames[1:], dtype=np.float32).average_combine().data
    background = Background2D(stack, (64, 64), filter_size=(3, 3), bkg_estimator=MedianBackground())
    signal = stack - background.background
    _, _, noise = sigma_clipped_stats(signal[::4, ::4], sigma=3.0)
    kernel = make_2dgaussian_kernel(job.fwhm_px, size=7)
    smooth = convolve(signal, kernel)
    segments = detect_sources(smooth, SNR * noise * float(np.sqrt((kernel.array**2).sum())), n_pixels=3)
    found = SourceCatalog(signal, segments, convolved_data=smooth)
    x, y = found.x_centroid, found.y_centroid

    def fluxes(image: Image, positions: Array) -> Array:
        aperture, annulus = CircularAperture(positions, job.radius_px), CircularAnnulus(positions, *job.annulus_px)
        sums = aperture_photometry(image, [aperture, annulus])
        return np.asarray(sums["aperture_sum_0"] - sums["aperture_sum_1"] * (aperture.area / annulus.area))

    flux = fluxes(signal, np.column_stack([x, y]))
    snr = flux / (noise * job.radius_px * np.sqrt(np.pi))
    zeropoint = _zeropoint(job, x, y, flux)
    targets = np.column_stack([job.x, job.y])
    series = np.column_stack([fluxes(frame.data, targets) for frame in frames])
    return Measured(x, y, snr, series.astype(np.float32), zeropoint)


# --- what neither package has --------------------------------------------------------------------
def match_stars(job: Job, x: Array, y: Array, flux: Array) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs of detections and reference stars: a vote for the shift, then an affine fit on closer and closer pairs."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval = ["RA---TAN", "DEC--TAN"], job.center
    wcs.wcs.crpix, wcs.wcs.cdelt = [(NX + 1) / 2, (NY + 1) / 2], [-PIXEL_SCALE / 3600, PIXEL_SCALE / 3600]
    expected = np.column_stack(wcs.all_world2pix(job.ref_ra, job.ref_dec, 0))
    found = np.column_stack([x, y])
    bright, known = np.argsort(-flux)[:150], np.argsort(job.ref_mag)[:250]
    offsets = (found[bright][:, None] - expected[known][None]).reshape(-1, 2)
    votes, edges_x, edges_y = np.histogram2d(*offsets.T, bins=60, range=[[-90, 90], [-90, 90]])
    best = np.unravel_index(np.argmax(votes), votes.shape)
    fit = np.array([[edges_x[best[0]] + 1.5, edges_y[best[1]] + 1.5], [1.0, 0.0], [0.0, 1.0]])
    tree, design = cKDTree(found), np.column_stack([np.ones(len(expected)), expected])
    for tolerance, stars in ((8.0, known), (4.0, known), (2.0, np.arange(len(expected)))):
        distance, nearest = tree.query(design[stars] @ fit, distance_upper_bound=tolerance)
        good = np.isfinite(distance)
        detections, references = nearest[good], stars[good]
        fit = np.linalg.lstsq(design[references], found[detections], rcond=None)[0]
    return detections, references


def _zeropoint(job: Job, x: Array, y: Array, flux: Array) -> float:
    """Median of catalog minus instrumental magnitude of stars of 13.5 to 16.5 mag."""
    detections, references = match_stars(job, x, y, flux)
    mag, light = job.ref_mag[references], flux[detections]
    good = (mag > 13.5) & (mag < 16.5) & (light > 0)
    return float(np.median(mag[good] + 2.5 * np.log10(light[good])))
