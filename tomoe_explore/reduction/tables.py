"""Step 12: what the steps found becomes the tables of ``schema.py``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import ArrayLike, NDArray

from tomoe_explore import schema
from tomoe_explore.camera import NY, PIXEL_SCALE
from tomoe_explore.data import Exposure, Stack
from tomoe_explore.ids import member_ids
from tomoe_explore.magnitudes import mag_err, mag_g
from tomoe_explore.reduction.values import Detections, Doubles, Floats, FrameSeries, Targets
from tomoe_explore.wcs import TanSip


@dataclass(frozen=True)
class Film2Hz:
    """Calibrated photometry of a film and what identifies it: the input of all tables.

    ``flux, flux_err`` are nJy, ``background`` ADU, ``(m, n)``; ``frame_flags`` has the flags of each frame, ``(n,)``.
    """

    exposure: Exposure
    reduction_id: int
    refcat: str
    targets: Targets
    frames: FrameSeries
    flux: Floats
    flux_err: Floats
    background: Floats
    flags: NDArray[np.int32]
    frame_flags: NDArray[np.int32]

    @property
    def recorded(self) -> NDArray[np.int64]:
        """Numbers of the frames that were recorded: nothing is measured in the others."""
        return np.flatnonzero(self.frame_flags & schema.Flag.LOST_FRAME == 0)

    @property
    def ids(self) -> dict[str, int]:
        """Exposure, detector and reduction, the same in every row."""
        e = self.exposure
        return {"exposure_id": e.exposure_id, "detector_id": e.detector_id, "reduction_id": self.reduction_id}


def _reference(targets: Targets, refcat: str, repeat: int = 1) -> dict[str, pa.Array]:
    ref_id = np.repeat(targets.ref_id, repeat)
    none = ref_id < 0
    return {
        "ref_id": pa.array(ref_id, mask=none),
        "refcat": pc.if_else(pa.array(none), pa.scalar(None, pa.string()), refcat),
    }


def _of_frames(values: Any, frames: NDArray[np.int64]) -> Any:
    """Columns of some frames, in order; a view where none between is left out, as in nearly every film."""
    first, last = int(frames[0]), int(frames[-1])
    return values[:, first : last + 1] if last - first + 1 == len(frames) else values[:, frames]


def photometry_table(film: Film2Hz) -> pa.Table:
    """The ``photometry`` table: every target in every frame that was recorded, targets in order, frames within."""
    t, frame = film.targets, film.recorded
    m, n = len(t), len(frame)
    measured = {"flux": film.flux, "flux_err": film.flux_err, "background": film.background, "flags": film.flags}
    return schema.conform(
        "photometry",
        {
            "source_id": np.repeat(member_ids(film.reduction_id, m), n),
            **_reference(t, film.refcat, n),
            **{name: np.repeat(getattr(t, name), n) for name in ("ra", "dec", "x", "y")},
            "mjd": film.exposure.mid_times(frame[None, :], t.y[:, None].astype(np.float64)).ravel(),
            **{name: _of_frames(values, frame).ravel() for name, values in measured.items()},
            "frame": np.tile(frame, m), "healpix_29": np.repeat(t.healpix, n), **film.ids,
        },
    )  # fmt: skip


def sources_table(film: Film2Hz, detections: Detections, wcs: TanSip, position_err: Doubles) -> pa.Table:
    """The ``sources`` table: one row a target, with means and variability over the film.

    Means are over the frames of the stack. ``position_err`` is arcsec a coordinate, ``(m,)``.
    """
    t, m = film.targets, len(film.targets)
    used = film.recorded[film.recorded > 0]
    flux, error = film.flux[:, used], film.flux_err[:, used]
    n = flux.shape[1]
    mean, mean_err = flux.mean(axis=1), np.sqrt((error**2).sum(axis=1)) / n
    flags = np.bitwise_or.reduce(_of_frames(film.flags, film.recorded), axis=1)
    shape = {}
    for name, values in (("fwhm", detections.fwhm_px * PIXEL_SCALE), ("ellipticity", detections.ellipticity)):
        padded = np.append(values, np.nan)  # detection -1 takes the last
        shape[name] = padded[t.detection].astype(np.float32)
    return schema.conform(
        "sources",
        {
            "source_id": member_ids(film.reduction_id, m), **_reference(t, film.refcat),
            "ra": t.ra, "dec": t.dec, "ra_err": position_err, "dec_err": position_err,
            **_residuals(t, detections, wcs), "x": t.x, "y": t.y,
            "mjd": film.exposure.mid_times(float(used.mean()), t.y.astype(np.float64)),
            "flux": mean, "flux_err": mean_err, "mag": mag_g(mean), "mag_err": mag_err(mean, mean_err),
            "phot_g_mean_mag": t.ref_mag, "bp_rp": t.bp_rp, **shape, "n_frames": n, **_variability(flux, error),
            "flags": flags, "healpix_29": t.healpix, **film.ids,
        },
    )  # fmt: skip


def _residuals(targets: Targets, detections: Detections, wcs: TanSip) -> dict[str, Doubles]:
    """Position on the stack minus that in the catalog, arcsec; NaN where there is none of either."""
    d_ra, d_dec = np.full(len(targets), np.nan), np.full(len(targets), np.nan)
    both = np.flatnonzero((targets.ref_id >= 0) & (targets.detection >= 0))
    seen = targets.detection[both]
    ra, dec = wcs.to_sky(detections.x[seen], detections.y[seen])
    wrapped = (ra - targets.ra[both] + 180) % 360 - 180
    d_ra[both] = wrapped * np.cos(np.radians(dec)) * 3600
    d_dec[both] = (dec - targets.dec[both]) * 3600
    return {"d_ra": d_ra, "d_dec": d_dec}


def _variability(flux: Floats, error: Floats) -> dict[str, Floats]:
    variances = error**2
    mean = (flux / variances).sum(axis=1) / (1 / variances).sum(axis=1)
    deviation = (flux - mean[:, None]) / error
    n = flux.shape[1]
    variance = flux.var(axis=1, ddof=1)
    successive = (np.diff(flux, axis=1) ** 2).sum(axis=1) / (n - 1)
    middle = [(n - 1) // 2, n // 2]
    ordered = np.sort(np.ascontiguousarray(flux), axis=1)  # np.median: the same, five times as long
    median = (flux - ordered[:, middle].mean(axis=1)[:, None]) / error
    peak = np.take_along_axis(median, np.abs(median).argmax(axis=1)[:, None], axis=1)[:, 0]
    return {
        "flux_rms": np.sqrt(variance),
        "chi2": (deviation**2).sum(axis=1) / (n - 1),
        "von_neumann": successive / np.maximum(variance, 1e-30),
        "peak_snr": peak,
    }


def frames_table(film: Film2Hz, stack: Stack) -> pa.Table:
    """The ``frames`` table; lost frames have NaN and their flag.

    ``depth`` is that of a point source five times above the noise of sky and read-out in the photometry's aperture.
    """
    series, n = film.frames, film.flux.shape[1]
    offset = np.median(series.sky_offset, axis=(1, 2))
    variance = np.maximum(stack.sky_variance * stack.n_frames + offset / stack.gain, 0.0)
    values = {
        "dx": series.dx, "dy": series.dy, "fwhm": series.fwhm_px * PIXEL_SCALE,
        "sky": stack.sky + offset, "transparency": series.transparency,
        "depth": depth(stack, variance) + 2.5 * np.log10(series.transparency),
    }  # fmt: skip
    lost = film.frame_flags & schema.Flag.LOST_FRAME > 0
    return schema.conform(
        "frames",
        {
            "frame": np.arange(n), "mjd": film.exposure.mid_times(np.arange(n), (NY - 1) / 2.0),
            **{name: np.where(lost, np.nan, value) for name, value in values.items()},
            "n_stars": np.where(lost, 0, series.n_stars), "flags": film.frame_flags, **film.ids,
        },
    )  # fmt: skip


def depth(stack: Stack, variance: ArrayLike) -> Doubles:
    """Gaia G of a point source at five times the noise in its aperture, for a variance a pixel, ADU^2.

    The soft edge of an aperture takes a sixth of its circumference off the sum of squared weights.
    """
    weights = np.pi * stack.aperture_px**2 - np.pi * stack.aperture_px / 3
    return stack.zeropoint - 2.5 * np.log10(5 * np.sqrt(weights * np.asarray(variance)) * stack.aperture_correction)
