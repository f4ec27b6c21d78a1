"""One reduction against the truth of its film."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from astropy.wcs import WCS
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from parts.films import FilmTruth, Night
from parts.scores import (
    BRIGHT_MAG,
    EDGE_PX,
    FAINT_LIMIT,
    Array,
    Counts,
    Mask,
    contamination,
    count_detections,
    moffat_share,
    near_segments,
    photometry_scores,
    saturation_mag,
    scatter_model,
    stack_snr,
)
from tomoe_explore.camera import COLOR_PIVOT, NX, NY, ROW_TIME_S, SATURATION_ADU
from tomoe_explore.data import Reduction
from tomoe_explore.reduction.detect import detect
from tomoe_explore.reduction.recipe import Parameters
from tomoe_explore.schema import Flag

ISOLATED = 0.002  #: most light of neighbours, where fluxes are to be right to half a per cent


@dataclass(frozen=True)
class FilmScore:
    """What one film says; without a reduction all but the first four have no value.

    Attributes
    ----------
    field, where, error : str
        Kind of sky; night, detector and exposure; why the recipe failed.
    seeing : float
        What the night was planned with, arcsec.
    offset : float
        Median distance of the solution from the truth, arcsec.
    rms : tuple of float
        Of measured positions against the truth along RA and Dec, arcsec; unflagged stars to 16 mag.
    zeropoint : tuple of float
        Measured less true, and its stated error, mag.
    time_error_ms, fwhm_arcsec : float
        Largest of all rows; measured seeing.
    n_sources : int
    counts, counts_all : Counts
        Detection of isolated stars, and of all.
    stars : dict
        Columns of `scores.by_magnitude`, and ``above``: magnitudes fainter than the limit.
    """

    field: str
    where: str
    error: str = ""
    seeing: float = np.nan
    offset: float = np.nan
    rms: tuple[float, float] = (np.nan, np.nan)
    zeropoint: tuple[float, float] = (np.nan, np.nan)
    time_error_ms: float = np.nan
    fwhm_arcsec: float = np.nan
    n_sources: int = 0
    counts: Counts = field(default_factory=Counts)
    counts_all: Counts = field(default_factory=Counts)
    stars: dict[str, Array] = field(default_factory=dict)


@dataclass(frozen=True)
class Scene:
    """The truth of a film in the units that scores need.

    Attributes
    ----------
    stars : dict
        ``x, y, snr, flux`` (electrons a frame) and ``moving``, as `scores.count_detections` takes them.
    limit : float
        One magnitude below saturation.
    noise_e, scintillation : float
        Of an empty pixel in a frame; relative.
    fwhm_px, beta : float
        Of the star images on the stack.
    """

    stars: dict[str, Any]
    limit: float
    noise_e: float
    scintillation: float
    fwhm_px: float
    beta: float

    def expected(self, radius_px: float) -> Array:
        """Relative variance of each star in one frame, in an aperture, by `scores.NOISE`."""
        share = float(moffat_share(radius_px, self.fwhm_px, self.beta))
        return scatter_model(self.stars["flux"], self.noise_e, self.scintillation, (radius_px, share))


def scene(truth: FilmTruth, n_frames: int) -> Scene:
    """The scene of a film whose stack has so many frames."""
    h, stars, frames = truth.hidden, truth.stars, truth.frames
    color = np.nan_to_num(stars["bp_rp"], nan=COLOR_PIVOT) - COLOR_PIVOT
    electrons = 10 ** (-0.4 * (stars["phot_g_mean_mag"] + h["color_term"] * color - h["zeropoint"])) * h["gain"]
    fwhm_px = frames["fwhm"] / h["scale"]
    sky = float(frames["sky"].mean())
    noise_e = float(np.sqrt(sky * h["gain"] + h["read_noise_e"] ** 2))
    saturation_adu = min(h["full_well_e"] / h["gain"], SATURATION_ADU)
    limit = saturation_mag(h["zeropoint"], saturation_adu, sky, float(fwhm_px.min()), h["beta"]) + 1.0
    # a pixel widens the image, and so does the jitter of the frames that are stacked
    jitter = frames["dx"][-n_frames:].var() + frames["dy"][-n_frames:].var()
    fwhm = float(np.sqrt((fwhm_px**2).mean() + 2.3548**2 * (1 / 12 + jitter / 2)))
    snr = stack_snr(electrons, noise_e, (fwhm, h["beta"]), n_frames)
    seen = {"x": stars["x"], "y": stars["y"], "snr": snr, "flux": electrons, "moving": truth.moving}
    return Scene(seen, limit, noise_e, h["scintillation"], fwhm, h["beta"])


def score_film(reduction: Reduction, truth: FilmTruth, night: Night, where: str) -> FilmScore:
    """All scores of one film."""
    stack, radius, s = reduction.stack, reduction.stack.aperture_px, scene(truth, reduction.stack.n_frames)
    sources, rows = _columns(reduction.tables["sources"]), series(reduction)
    source, star = matched(sources, truth)
    wcs = WCS(stack.wcs_header)
    found = detections_of(reduction)
    flux, error, flags, mjd = (rows[name][source] for name in ("flux", "flux_err", "flags", "mjd"))
    good = good_stars(s, truth, radius)[star] & (flags == 0).all(axis=1)
    known = {"flux": truth.stars["flux"][star], "mag": truth.stars["phot_g_mean_mag"][star]}
    photometry = photometry_scores(flux, error, known, s.expected(radius)[:, star], good)
    photometry["above"] = photometry["mag"] - s.limit
    true_mjd = truth.frames["mjd"] + (truth.stars["y"][star, None] - (NY - 1) / 2) * ROW_TIME_S / 86_400
    return FilmScore(
        night.field, where, seeing=night.seeing,
        offset=_offset(wcs, truth),
        rms=_rms(reduction, wcs, truth, _unflagged(sources, source, star, truth), s.limit - 1.0),
        zeropoint=(stack.zeropoint - truth.hidden["zeropoint"], stack.zeropoint_err),
        time_error_ms=float(np.abs(mjd - true_mjd).max()) * 86_400e3,
        fwhm_arcsec=stack.fwhm_px * truth.hidden["scale"], n_sources=len(sources["x"]),
        counts=count_detections(found, s.stars, s.fwhm_px),
        counts_all=count_detections(found, s.stars, s.fwhm_px, isolated=False),
        stars=photometry,
    )  # fmt: skip


def detections_of(reduction: Reduction) -> tuple[Array, Array, Array]:
    """``x, y`` (px) and signal to noise of what was detected on the stack: only that has a shape in the table."""
    table = reduction.tables["sources"]
    x, y, fwhm, flux, error = (table[n].to_numpy().astype(float) for n in ("x", "y", "fwhm", "flux", "flux_err"))
    seen = np.isfinite(fwhm)
    return x[seen], y[seen], (flux / error)[seen]


def _columns(table: pa.Table) -> dict[str, NDArray[Any]]:
    """Columns as arrays; an id that is null becomes -1, for float64 would lose its last digits."""
    names = [n for n in table.column_names if not pa.types.is_string(table[n].type)]
    return {n: (table[n].fill_null(-1) if n.endswith("_id") else table[n]).to_numpy() for n in names}


def series(reduction: Reduction) -> dict[str, NDArray[Any]]:
    """Columns of the photometry as ``(source, frame)``, in the order of the sources."""
    columns = _columns(reduction.tables["photometry"])
    order = np.lexsort((columns["frame"], columns["source_id"]))
    n = reduction.exposure.n_frames
    return {name: columns[name][order].reshape(-1, n) for name in ("flux", "flux_err", "flags", "mjd")}


def matched(sources: dict[str, NDArray[Any]], truth: FilmTruth) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of sources and of true stars with the same reference star."""
    in_catalog = np.flatnonzero(truth.stars["ref_id"] >= 0)
    ids = truth.stars["ref_id"][in_catalog]
    _, source, star = np.intersect1d(sources["ref_id"], ids, return_indices=True)
    return source, in_catalog[star]


def good_stars(s: Scene, truth: FilmTruth, radius: float) -> Mask:
    """True stars whose fluxes are to be right: constant, isolated, from the limit to 17 mag."""
    x, y, mag = s.stars["x"], s.stars["y"], truth.stars["phot_g_mean_mag"]
    good = (mag >= s.limit) & (mag <= FAINT_LIMIT) & ~truth.stars["is_variable"].astype(bool)
    good &= (np.abs(x - (NX - 1) / 2) < NX / 2 - EDGE_PX) & (np.abs(y - (NY - 1) / 2) < NY / 2 - EDGE_PX)
    good &= ~near_segments(x, y, truth.moving, 8 * s.fwhm_px)
    chosen = tuple(s.stars[n][good] for n in ("x", "y", "flux"))
    everything = tuple(s.stars[n] for n in ("x", "y", "flux"))
    good[good] = contamination(chosen, everything, s.fwhm_px, radius) < ISOLATED
    return good


def _unflagged(sources: dict[str, NDArray[Any]], source: Any, star: Any, truth: FilmTruth) -> Mask:
    """True stars that the reduction calls neither saturated nor blended nor at the edge."""
    flags = np.full(len(truth.stars["x"]), int(Flag.EDGE))
    flags[star] = sources["flags"][source]
    return flags & int(Flag.SATURATED | Flag.EDGE | Flag.BLENDED) == 0


def _offset(wcs: WCS, truth: FilmTruth) -> float:
    ra, dec = wcs.all_pix2world(truth.stars["x"], truth.stars["y"], 0)
    return float(np.median(np.hypot(*_residual(ra, dec, truth, slice(None)))))


def _residual(ra: Array, dec: Array, truth: FilmTruth, star: Any) -> tuple[Array, Array]:
    """Measured less true along RA and Dec, arcsec."""
    true_ra, true_dec = truth.stars["ra"][star], truth.stars["dec"][star]
    d_ra = (ra - true_ra + 180) % 360 - 180
    return d_ra * np.cos(np.radians(true_dec)) * 3600, (dec - true_dec) * 3600


def _rms(reduction: Reduction, wcs: WCS, truth: FilmTruth, usable: Mask, saturated: float) -> tuple[float, float]:
    """Measured centroids through the solution against the truth; the tables hold catalog positions of known stars."""
    mag = truth.stars["phot_g_mean_mag"]
    stars = np.flatnonzero(usable & (mag > saturated) & (mag <= 16.0))
    detections = detect(reduction.stack, snr=Parameters().detection_snr)
    tree = cKDTree(np.column_stack([detections.x, detections.y]))
    distance, nearest = tree.query(np.column_stack([truth.stars["x"][stars], truth.stars["y"][stars]]))
    stars, nearest = stars[distance < 2.0], nearest[distance < 2.0]
    if len(stars) == 0:
        return np.nan, np.nan
    ra, dec = wcs.all_pix2world(detections.x[nearest], detections.y[nearest], 0)
    d_ra, d_dec = _residual(ra, dec, truth, stars)
    return float(np.sqrt((d_ra**2).mean())), float(np.sqrt((d_dec**2).mean()))


def scatter_against_model(
    flux: Array, reduction: Reduction, truth: FilmTruth, brightness: tuple[float, float] | None = None
) -> float:
    """Scatter of fluxes ``(source, frame)`` over that expected, for the sources of a reduction, whoever measured them.

    Each frame is scaled by its median star, so that transparency does not count. ``brightness`` are magnitudes; without
    it, the brightest magnitude that is used.
    """
    s, radius = scene(truth, reduction.stack.n_frames), reduction.stack.aperture_px
    sources = _columns(reduction.tables["sources"])
    source, star = matched(sources, truth)
    mag = truth.stars["phot_g_mean_mag"][star]
    low, high = brightness or (s.limit, s.limit + BRIGHT_MAG)
    usable = good_stars(s, truth, radius)[star] & (series(reduction)["flags"][source] == 0).all(axis=1)
    flux = flux[source].astype(float)
    bright = usable & (mag < 16)
    ratio = np.median(flux[bright] / flux[bright].mean(axis=1, keepdims=True), axis=0)
    known = {"flux": truth.stars["flux"][star], "mag": mag}
    good = usable & (mag >= low) & (mag < high)
    columns = photometry_scores(flux / ratio, None, known, s.expected(radius)[:, star], good)
    return float(np.sqrt(columns["variance_ratio"].mean())) if len(columns["mag"]) else float("nan")
