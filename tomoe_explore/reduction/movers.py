"""Step 11: moving objects, by linking points of single frames at constant velocity."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter, minimum_filter, uniform_filter

from tomoe_explore.camera import PIXEL_SCALE
from tomoe_explore.data import Floats
from tomoe_explore.kernels.apertures import film_apertures
from tomoe_explore.kernels.linking import link
from tomoe_explore.kernels.residuals import residual_peaks
from tomoe_explore.kernels.stack_apertures import image_apertures
from tomoe_explore.reduction.values import Doubles, FrameSeries, Prepared, Tracks, Zeropoint

PEAKS_A_FRAME = 200  #: at most; a frame with more is wind shake, a flash or cloud
POINTS_A_FILM = 400  #: the most significant go into the linking
MAX_LINKS = 20
TOLERANCE_PX = 1.5


def find_movers(
    prepared: Prepared,
    frames: FrameSeries,
    *,
    snr: float = 5.0,
    speeds_arcsec_s: tuple[float, float] = (0.5, 100.0),
) -> Tracks:
    """Link points that the mean frame does not have.

    Parameters
    ----------
    prepared, frames
        As made by the steps before.
    snr : float
        Threshold of a point in one frame, in the noise of nine pixels.
    speeds_arcsec_s : (low, high)

    Returns
    -------
    Tracks
        Longest first; a track has points in at least a third of the frames, and never fewer than five.
    """
    film, mean = prepared.film, prepared.mean
    threshold = _threshold(prepared, frames, snr) / np.float32(film.bscale)
    parts = []
    for start, block in film.blocks():
        offsets = np.median(frames.sky_offset[start : start + len(block)], axis=(1, 2)).astype(np.float32) / film.bscale
        f, x, y, ratio = residual_peaks(block, film.packing[:2], mean, threshold, offsets, PEAKS_A_FRAME)
        parts.append((f + start, x, y, ratio))
    frame, x, y, ratio = (np.concatenate(p) for p in zip(*parts, strict=True))
    own = np.flatnonzero(prepared.recorded[frame])  # what stands in for a lost frame is another one's
    best = np.sort(own[np.argsort(-ratio[own], kind="stable")[:POINTS_A_FILM]])
    frame, ratio = frame[best], ratio[best]
    row = y[best].astype(np.float64)
    x_ref, y_ref = x[best] - frames.dx[frame].astype(float), row - frames.dy[frame]
    t = (film.exposure.mid_times(frame, row) - film.exposure.mjd_start) * 86_400.0
    low, high = speeds_arcsec_s[0] / PIXEL_SCALE, speeds_arcsec_s[1] / PIXEL_SCALE
    min_points = max(5, int(np.ceil(film.n_frames / 3)))
    label, sizes = link((frame, t, x_ref, y_ref), (low, high), TOLERANCE_PX, min_points, MAX_LINKS)
    return _fit(_Points(label, frame, x_ref, y_ref, t, np.float64(snr) * ratio), len(sizes))


def _threshold(prepared: Prepared, frames: FrameSeries, snr: float) -> Floats:
    """For the 3 x 3 sum of (frame - mean), ADU not flat-fielded.

    Noise of nine pixels, and what the frames' shifts and scintillation do to stars: a star moves by the shift times
    its gradient, and brightens by some per cent.
    """
    stack, calibration = prepared.stack, prepared.calibration
    light = np.maximum(stack.image * calibration.flat, 0.0)
    noise = light / np.float32(calibration.gain) + np.float32(calibration.read_noise**2)
    box_noise = np.sqrt(9 * uniform_filter(noise, 3, mode="nearest"))
    box = 9 * uniform_filter(light, 3, mode="nearest")
    gradient = 0.5 * (maximum_filter(box, 3) - minimum_filter(box, 3))
    jitter = float(np.hypot(np.std(frames.dx), np.std(frames.dy))) + 0.05
    star = np.maximum(box - 9 * np.float32(np.median(light[::8, ::8])), 0.0)
    threshold = snr * (box_noise + np.float32(jitter) * gradient + np.float32(0.02) * star)
    blocked = maximum_filter(stack.mask, 5) > 0
    return np.where(blocked, np.float32(np.inf), threshold).astype(np.float32)


@dataclass(frozen=True)
class _Points:
    """Points of single frames, ``(k,)`` each, with the link that holds each (-1: none)."""

    label: NDArray[np.int32]
    frame: NDArray[np.int16]
    x: Doubles
    y: Doubles
    t: Doubles
    significance: Doubles


def _fit(points: _Points, n_tracks: int) -> Tracks:
    """Straight lines by least squares; errors from the scatter about them."""
    linked = np.flatnonzero(points.label >= 0)
    order = linked[np.lexsort((points.frame[linked], points.label[linked]))]
    p = _Points(**{name: getattr(points, name)[order] for name in points.__dataclass_fields__})
    lines = np.zeros((n_tracks, 7))
    score = np.zeros(n_tracks)
    for k in range(n_tracks):  # a handful of tracks
        one = p.label == k
        lines[k] = _line(p.t[one], p.x[one], p.y[one])
        score[k] = np.sqrt((p.significance[one] ** 2).sum())
    x0, y0, t0, vx, vy, position_err, velocity_err = lines.T
    none = np.zeros(len(order), np.float32)
    return Tracks(
        track=p.label, frame=p.frame, x=p.x, y=p.y, t=p.t, x0=x0, y0=y0, t0=t0, vx=vx, vy=vy,
        position_err=position_err, velocity_err=velocity_err, score=score, flux=none, flux_err=none,
    )  # fmt: skip


def _line(t: Doubles, x: Doubles, y: Doubles) -> tuple[float, ...]:
    t0 = t.mean()
    dt = t - t0
    spread = float((dt**2).sum())
    vx, vy = float((dt * x).sum() / spread), float((dt * y).sum() / spread)
    residual = np.concatenate([x - x.mean() - vx * dt, y - y.mean() - vy * dt])
    sigma = float(np.sqrt((residual**2).sum() / max(2 * len(t) - 4, 1)))
    return float(x.mean()), float(y.mean()), float(t0), vx, vy, sigma / np.sqrt(len(t)), sigma / np.sqrt(spread)


def measure_movers(
    prepared: Prepared, frames: FrameSeries, tracks: Tracks, zero: Zeropoint, *, radius_px: float
) -> Tracks:
    """Aperture flux of each mover in each frame that shows it, less what the other frames have at that place.

    Parameters
    ----------
    prepared, frames, tracks, zero
        As made by the steps before.
    radius_px : float
        Aperture of the photometry; half the trail's length is added.

    Returns
    -------
    Tracks
        With ``flux`` and ``flux_err``.

    Notes
    -----
    The place of each point is measured in all frames, and the mean over those in which the mover is elsewhere is
    subtracted: stars and sky go, and no light of the mover itself. Of a mover too slow to leave its aperture the three
    farthest frames are taken.
    """
    flux, error = np.zeros(len(tracks.x), np.float32), np.zeros(len(tracks.x), np.float32)
    for k in range(len(tracks)):
        points = np.flatnonzero(tracks.track == k)
        flux[points], error[points] = _measure_track(prepared, frames, tracks, k, radius_px)
        f = tracks.frame[points]
        speed = float(np.hypot(tracks.vx[k], tracks.vy[k]))
        radius = radius_px + 0.5 * speed * prepared.film.exposure.exptime1_s
        scale = (1.0 / zero.growth.share(radius) / frames.transparency[f]).astype(np.float32)
        flux[points] *= scale
        error[points] *= scale
    return replace(tracks, flux=flux, flux_err=error)


def _measure_track(
    prepared: Prepared, frames: FrameSeries, tracks: Tracks, k: int, radius_px: float
) -> tuple[Floats, Floats]:
    """Aperture fluxes of a track's points and their errors, ADU."""
    film, stack, calibration, used = prepared.film, prepared.stack, prepared.calibration, prepared.used
    points = np.flatnonzero(tracks.track == k)
    speed = float(np.hypot(tracks.vx[k], tracks.vy[k]))
    radius = radius_px + 0.5 * speed * film.exposure.exptime1_s
    dt = tracks.t[points] - tracks.t0[k]
    x = (tracks.x0[k] + tracks.vx[k] * dt).astype(np.float32)
    y = (tracks.y0[k] + tracks.vy[k] * dt).astype(np.float32)
    dx, dy = frames.shifts(y)
    at = np.ascontiguousarray(x[:, None] + dx), np.ascontiguousarray(y[:, None] + dy)
    images = calibration.dark, calibration.flat, calibration.bad
    careful, parts = np.zeros(len(points), np.bool_), []
    for start, block in film.blocks():
        here = slice(start, start + len(block))
        spot = np.ascontiguousarray(at[0][:, here]), np.ascontiguousarray(at[1][:, here]), careful
        total, area, _ = film_apertures(block, film.packing, images, spot, (radius, calibration.saturation))
        parts.append(total - np.median(frames.sky_offset[here], axis=(1, 2)) * area)
    light = np.hstack(parts)
    own = tracks.frame[points]
    distance = speed * film.exposure.frame_interval_s * np.abs(np.arange(film.n_frames)[None, :] - own[:, None])
    distance = np.where(used, distance, -1.0)
    limit = np.minimum(radius + 1.5 * stack.fwhm_px, np.sort(distance, axis=1)[:, -3])[:, None]
    away = distance >= limit
    n_away = away.sum(axis=1)
    rest = (light * away).sum(axis=1) / n_away
    _, variance, _, _ = image_apertures(
        stack.image, stack.variance * np.float32(stack.n_frames), stack.mask, (x, y), radius
    )
    return light[np.arange(len(points)), own] - rest, np.sqrt(variance * (1 + 1 / n_away))
