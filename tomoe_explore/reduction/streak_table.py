"""Step 16: streaks become a table, and flags of what they cross."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tomoe_explore import schema
from tomoe_explore.camera import PIXEL_SCALE
from tomoe_explore.data import Exposure
from tomoe_explore.ids import member_ids
from tomoe_explore.magnitudes import mag_err, mag_g
from tomoe_explore.reduction.trails import FittedTrail, Streaks
from tomoe_explore.reduction.values import Doubles, Floats
from tomoe_explore.schema import Flag
from tomoe_explore.wcs import TanSip

ACROSS_FWHM = 1.5  #: light of a streak this far from its line counts


def streaks_table(exposure: Exposure, reduction_id: int, wcs: TanSip, streaks: Streaks, njy: float) -> pa.Table:
    """The ``streaks`` table; ``njy`` is the flux of 1 ADU.

    ``mag`` is that of the source; where its rate is unknown, of a star that gives as much light in the frame.
    """
    first, last = [p[0] for p in streaks.pieces], [p[-1] for p in streaks.pieces]
    x1, y1 = (np.array([getattr(t, name)[0] for t in first], float) for name in ("x", "y"))
    x2, y2 = (np.array([getattr(t, name)[1] for t in last], float) for name in ("x", "y"))
    (ra1, dec1), (ra2, dec2) = wcs.to_sky(x1, y1), wcs.to_sky(x2, y2)
    flux, flux_err = _fluxes(streaks, exposure.exptime1_s, njy)
    frame1, frame2 = (np.array([t.frame for t in ends], np.int64) for ends in (first, last))
    known = np.isfinite(streaks.rate)
    best = [max(p, key=lambda t: t.snr) for p in streaks.pieces]
    length = _separation(ra1, dec1, ra2, dec2)
    scale = length / np.maximum(np.hypot(x2 - x1, y2 - y1), 1e-9)  # arcsec a pixel, there
    return schema.conform(
        "streaks",
        {
            "streak_id": member_ids(reduction_id, len(streaks), "streak"),
            "exposure_id": exposure.exposure_id, "detector_id": exposure.detector_id, "reduction_id": reduction_id,
            "frame_first": frame1, "frame_last": frame2,
            "mjd_first": exposure.mid_times(frame1, y1), "mjd_last": exposure.mid_times(frame2, y2),
            "ra1": ra1, "dec1": dec1, "ra2": ra2, "dec2": dec2, "x1": x1, "y1": y1, "x2": x2, "y2": y2,
            "length": length, "rate": pa.array(streaks.rate * scale, mask=~known), "rate_err": streaks.rate_err * scale,
            "mag": mag_g(flux), "mag_err": mag_err(flux, flux_err),
            "width": np.array([t.fwhm for t in best], float) * PIXEL_SCALE,
            "snr": np.array([np.sqrt(sum(t.snr**2 for t in p)) for p in streaks.pieces], float),
            "class": pa.array(streaks.kind, pa.string()), "class_probability": streaks.probability,
            "end_err": np.array([max(a.end_err[0], b.end_err[1]) for a, b in zip(first, last, strict=True)], float)
            * PIXEL_SCALE,
            "across_err": np.array([t.across_err for t in best], float) * PIXEL_SCALE,
            "variability": np.array([t.variability for t in best], float),
            "taper": np.array([t.taper for t in best], float),
            "flags": streaks.flags | np.int32(exposure.flags),
        },
    )  # fmt: skip


def _fluxes(streaks: Streaks, exptime_s: float, njy: float) -> tuple[Doubles, Doubles]:
    """nJy: light a pixel's length times the pixels of an exposure, or all light of the brightest piece."""
    out = np.zeros((2, len(streaks)))
    for k, pieces in enumerate(streaks.pieces):
        if np.isfinite(streaks.rate[k]):
            scale = streaks.rate[k] * exptime_s / sum(t.length for t in pieces)
            light = sum(t.flux for t in pieces), np.sqrt(sum(t.flux_err**2 for t in pieces))
            out[:, k] = scale * light[0], scale * np.hypot(light[1], light[0] * streaks.rate_err[k] / streaks.rate[k])
        else:
            best = max(pieces, key=lambda t: t.flux)
            out[:, k] = best.flux, best.flux_err
    return out[0] * njy, out[1] * njy


def _separation(ra1: Doubles, dec1: Doubles, ra2: Doubles, dec2: Doubles) -> Doubles:
    """Of places on the sky, arcsec."""
    d_ra, d1, d2 = np.radians(ra2 - ra1), np.radians(dec1), np.radians(dec2)
    haversine = np.sin((d2 - d1) / 2) ** 2 + np.cos(d1) * np.cos(d2) * np.sin(d_ra / 2) ** 2
    return np.asarray(np.degrees(2 * np.arcsin(np.sqrt(haversine))) * 3600)


def crossing_flags(streaks: Streaks, x: Floats, y: Floats, radius_px: float, n_frames: int) -> NDArray[np.int32]:
    """`Flag.STREAK` where a streak's light is in an aperture, `Flag.GLINT` where a glint's is, ``(m, n_frames)``."""
    flags = np.zeros((len(x), n_frames), np.int32)
    for kind, pieces in zip(streaks.kind, streaks.pieces, strict=True):
        for trail in pieces:
            near = distances(trail, x, y) < radius_px + ACROSS_FWHM * trail.fwhm
            flags[near, trail.frame] |= np.int32(Flag.GLINT if kind == "glint" else Flag.STREAK)
    return flags


def distances(trail: FittedTrail, x: Floats, y: Floats) -> Doubles:
    """From places to a trail, pixels.

    Examples
    --------
    >>> level = FittedTrail(0, (10.0, 20.0), (5.0, 5.0), (1, 1), 1, (False, False), 1, 1, 1, 2, 1, 0, 0, 1)
    >>> distances(level, np.array([15.0, 23.0]), np.array([7.0, 9.0])).tolist()
    [2.0, 5.0]
    """
    (x1, x2), (y1, y2) = trail.x, trail.y
    dx, dy = x2 - x1, y2 - y1
    along = np.clip(((x - x1) * dx + (y - y1) * dy) / max(dx * dx + dy * dy, 1e-12), 0.0, 1.0)
    return np.asarray(np.hypot(x - x1 - along * dx, y - y1 - along * dy), float)
