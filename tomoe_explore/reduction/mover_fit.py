"""Step 14: each candidate fitted in the pixels: place, velocity, light, and the errors of all three."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tomoe_explore.camera import NX, NY, PIXEL_SCALE, ROW_TIME_S
from tomoe_explore.kernels.moffat import Psf, moffat
from tomoe_explore.kernels.track_fit import SLOW_PX, cut_track, fit_line, measure_frames, without_best_place
from tomoe_explore.kernels.track_joint import Stamps, joint_equations, misfit
from tomoe_explore.reduction.moving import CELL, FIT_BONUS, Candidates, Movers, ResidualFilm, to_pixels
from tomoe_explore.reduction.values import Bools, Doubles, Floats, FrameSeries, Prepared, Zeropoint

ROUNDS = 4  #: of the fit about a better track
HALF_FWHM, AWAY_FWHM = 1.7, 2.0  #: half a stamp, and the distance at which a mover's light has gone, over the FWHM
BLOCK = 18  #: frames that are each other's reference
#: Part of the signal to noise that must be left without the best pixel: one that flickers leaves half.
WITHOUT_PIXEL = 0.86
WITHOUT_STAR, LONG_FWHM = 0.45, 4.0  #: the same without a place as large as a star, of tracks longer than so many FWHM
WITHOUT_FRAMES = 0.6  #: the same without the two brightest frames: a flash and noise are no mover
SAME_FWHM = 2.0  #: fits that begin and end this near to a better one's are the same
FIT_SNR = 6.0  #: least signal to noise of the light in the pixels of `BLOCK` frames
FAR = 2.5  #: errors; a place farther from the track has less weight (Huber 1964, Ann. Math. Stat. 35, 73)
STEP_PX = 1.5  #: largest change of a place in one round
STILL = 1.45  #: chi-square of means over time above which something else stands still in a slow mover's pixels
MOST_ALIKE = 1e6  #: condition number of equations that still tell place from motion and light

Images = tuple[Floats, Floats, Floats, Floats, Bools, Bools]


@dataclass(frozen=True)
class _Scene:
    """What a fit needs of the film."""

    prepared: Prepared
    frames: FrameSeries
    images: Images
    sky: Floats
    psf: Psf
    fwhm_px: float
    noise: tuple[float, float]  # variance of a pixel of sky, ADU^2, and 1 / gain

    def on_film(self, track: Doubles, t: NDArray[np.floating], f: NDArray[np.int64]) -> tuple[Doubles, Doubles]:
        """Pixels at which frames show a track, their shift included."""
        x, y = track[0] + track[2] * t, track[1] + track[3] * t
        dx, dy = self.frames.shifts(y)
        own = np.arange(len(f))
        return x + dx[own, f], y + dy[own, f]


def fit_movers(
    prepared: Prepared,
    frames: FrameSeries,
    film: ResidualFilm,
    candidates: Candidates,
    zero: Zeropoint,
    *,
    sought: tuple[tuple[float, float], float],
) -> Movers:
    """Fit candidates in the pixels of all frames.

    Parameters
    ----------
    prepared, frames, film, zero
        As made by the steps before.
    candidates : Candidates
    sought : ((low, high), score)
        Rates, arcsec/s: what the fit finds slower or faster is left out, and so is what has a lower score.

    Returns
    -------
    Movers

    Notes
    -----
    In each frame the trailed star image gives flux and, from its slopes, the distance from the track; a straight line
    through the places, weighted by their errors and by how images wander from frame to frame, gives a better track:
    Gauss-Newton for a source of constant light. A frame's own pixels in other frames, when the mover is elsewhere, are
    its background. A row is exposed `ROW_TIME_S` after the one before, so with u the motion in pixels a frame the
    velocity is ``v = u / (TFRAME + ROW_TIME u_y)``.

    The score is the mean of that of the search and of the signal to noise in the pixels of `BLOCK` frames (at most the
    former and `FIT_BONUS`). The fit sees finer than the cells of the search: what is real gains, noise does not.
    """
    growth = zero.growth
    fwhm = 2 * growth.alpha * float(np.sqrt(2 ** (1 / growth.beta) - 1))
    images = (
        prepared.calibration.dark,
        prepared.calibration.flat,
        film.reference,
        prepared.stack.image,
        film.blocked,
        film.shining,
    )
    sky = np.median(frames.sky_offset, axis=(1, 2)).astype(np.float32)
    noise = prepared.stack.sky_variance * prepared.stack.n_frames, 1.0 / prepared.calibration.gain
    scene = _Scene(prepared, frames, images, sky, moffat(fwhm, growth.beta), fwhm, noise)
    fits = []
    for k in range(len(candidates)):
        x, y, ux, uy = candidates.tracks[k]
        track = np.array([to_pixels(x), to_pixels(y), CELL * ux, CELL * uy], float)
        fits.append(_fit(scene, track, float(candidates.middle[k])))
    movers = _movers(fits, candidates, prepared, SAME_FWHM * fwhm)
    (slowest, fastest), score = sought
    rate = np.hypot(*movers.velocity.T) * PIXEL_SCALE
    return movers[(rate >= slowest) & (rate <= fastest) & (movers.score >= score)]


@dataclass(frozen=True)
class _Cut:
    """Stamps about a track in frames ``f``, which of them see it, its trail in a frame, and their transparency."""

    stamps: Stamps
    f: NDArray[np.int64]
    seen: Bools
    trail: tuple[float, float]
    transparency: Doubles


@dataclass(frozen=True)
class _Fit:
    """One mover: its line ``t0, x0, y0, ux, uy`` (frames, pixels, pixels a frame), their errors, and its frames."""

    line: Doubles
    error: Doubles
    frame: NDArray[np.int64]
    values: Doubles  # (k, 6), as `measure_frames` gives them
    place: Doubles  # (k, 2), on the stack
    sturdy: bool  # whether it is something without the pixel that adds most to it, or the star
    still: float  # chi-square of what stands still in its pixels

    @property
    def flux(self) -> float:
        """Mean over the frames."""
        weight = self.values[:, 1] ** -2
        return float((weight * self.values[:, 0]).sum() / weight.sum())

    @property
    def snr(self) -> float:
        """Of the light in `BLOCK` frames: what shows in a part of a film shows in the others too."""
        weight = self.values[:, 1] ** -2
        return float(self.flux * np.sqrt(weight.sum() / max(len(self.frame) / BLOCK, 1.0)))

    @property
    def without_two(self) -> float:
        """Part of the signal to noise that is left without the two brightest frames."""
        light, weight = self.values[:, 0] * self.values[:, 1] ** -2, self.values[:, 1] ** -2
        rest = np.argsort(light / np.sqrt(weight))[:-2]
        whole = light.sum() / np.sqrt(weight.sum())
        return float(light[rest].sum() / np.sqrt(weight[rest].sum()) / whole) if len(rest) and whole > 0 else 0.0

    @property
    def is_real(self) -> bool:
        """Neither one pixel, star or flash alone, nor nothing at all."""
        return self.sturdy and self.snr > FIT_SNR and self.without_two > WITHOUT_FRAMES

    def score(self, searched: float) -> float:
        """Of the mover, with the search's."""
        return (searched + min(self.snr, searched + FIT_BONUS)) / 2


def _fit(scene: _Scene, track: Doubles, middle: float) -> _Fit | None:
    """Fit a track that is known about one frame; of a long film ever more frames, as the track gets better."""
    n = scene.prepared.film.n_frames
    reach = BLOCK / 2
    fit = None
    while True:
        first, last = max(int(middle - reach), 0), min(int(middle + reach) + 1, n)
        fit = _fit_some(scene, track, middle, (first, last))
        if fit is None or (first == 0 and last == n):
            return fit
        t0, x0, y0, ux, uy = fit.line
        track, middle = np.array([x0, y0, ux, uy]), float(t0)
        reach *= 2


def _fit_some(scene: _Scene, track: Doubles, middle: float, span: tuple[int, int]) -> _Fit | None:
    """Fit the frames of a span; where more than the source shows, again with any that stands still."""
    f = np.arange(*span)
    x, y = scene.on_film(track, f - middle, f)
    duty = scene.prepared.film.exposure.exptime1_s / scene.prepared.film.exposure.frame_interval_s
    trail = float(track[2] * duty), float(track[3] * duty)
    seen = scene.prepared.recorded[f] & (x > 1) & (y > 1) & (x < NX - 2) & (y < NY - 2)
    if seen.sum() < 4:
        return None
    reach = HALF_FWHM * scene.fwhm_px + float(np.hypot(*trail)) / 2
    extent = float(max(np.ptp(x[seen]), np.ptp(y[seen])))
    if extent < SLOW_PX:  # all frames see it in one place
        reach += extent / 2
    transparency = np.asarray(scene.frames.light_at(x, y)[np.arange(len(f)), f], np.float64)
    cut = _Cut(_stamps(scene, f, (x, y, seen), reach, scene.images), f, seen, trail, transparency)
    fit = _rounds(scene, cut, np.array([middle, *track]), extent)
    if fit is not None and fit.still > STILL:
        everywhere = *scene.images[:5], np.ones_like(scene.images[5])
        cut = replace(cut, stamps=_stamps(scene, f, (x, y, seen), reach, everywhere))
        fit = _rounds(scene, cut, fit.line, extent) or fit
    return fit if fit is None or not cut.stamps[3].any() else _jointly(scene, cut, fit)


def _rounds(scene: _Scene, cut: _Cut, line: Doubles, extent: float) -> _Fit | None:
    """A line through the places in all frames, again and again about the line before."""
    f, seen, flux = cut.f, cut.seen, 0.0
    x, y = scene.on_film(line[1:], f - line[0], f)
    for k in range(ROUNDS):
        values = measure_frames(cut.stamps, (x, y), scene.psf, cut.trail, (cut.transparency, flux or 1.0), scene.noise)
        weight = np.where(seen, values[:, 1] ** -2.0, 0.0)
        if weight.sum() == 0:
            return None
        flux = float((weight * values[:, 0]).sum() / weight.sum())
        if flux <= 0:
            return None
        if k == 0:  # slopes are known once the flux is
            continue
        step = np.clip(values[:, 2:4], -STEP_PX, STEP_PX)
        error = np.where(seen[:, None], np.hypot(values[:, 4:6], scene.frames.wander_px), np.inf)
        error *= np.sqrt(np.maximum(np.abs(step) / (FAR * error), 1.0))  # a frame that is far off counts little
        here = np.stack([line[1] + line[3] * (f - line[0]), line[2] + line[4] * (f - line[0])], axis=1)
        place = here + step
        t0, x0, ux, ex, eux = fit_line(f.astype(float), place[:, 0], error[:, 0])
        t1, y0, uy, ey, euy = fit_line(f.astype(float), place[:, 1], error[:, 1])
        scatter = _scatter(f - t0, place, error, np.array([[x0, ux], [y0 + uy * (t0 - t1), uy]]))
        line = np.array([t0, x0, y0 + uy * (t0 - t1), ux, uy])
        x, y = scene.on_film(line[1:], f - t0, f)
    if not np.isfinite(line).all():
        return None
    keep = np.flatnonzero(seen & np.isfinite(error).all(axis=1))
    halves = np.array([0, round(scene.fwhm_px)])
    pixel, star = without_best_place(cut.stamps, (x, y), scene.psf, cut.trail, cut.transparency, halves)
    long = extent > LONG_FWHM * scene.fwhm_px
    sturdy = bool(pixel > WITHOUT_PIXEL and (star > WITHOUT_STAR or not long))
    near = *scene.noise, scene.fwhm_px
    each, still = misfit(cut.stamps, (x, y), scene.psf, cut.trail, (cut.transparency, flux), near)
    errors = scatter * float(np.sqrt(max(each, 1.0))) * np.array([ex, ey, eux, euy])
    return _Fit(line, errors, f[keep], values[keep], place[keep], sturdy, still)


def _jointly(scene: _Scene, cut: _Cut, fit: _Fit) -> _Fit:
    """The line that fits the pixels of all frames, what stands still in them being any."""
    line, flux = fit.line.copy(), fit.flux
    t = cut.f - line[0]
    for _ in range(ROUNDS):
        places = scene.on_film(line[1:], t, cut.f)
        source = cut.transparency, flux, *scene.noise
        matrix, right = joint_equations(cut.stamps, places, t, scene.psf, cut.trail, source)
        if not np.linalg.cond(matrix * np.outer(*2 * [np.diag(matrix) ** -0.5])) < MOST_ALIKE:
            return fit
        step = np.linalg.solve(matrix, right)
        step[1:] *= min(STEP_PX / float(np.hypot(step[1], step[2])), 1.0)
        line[1:] += step[1:]
        flux = max(flux + float(step[0]), 0.1 * flux)
    variance = np.diag(np.linalg.inv(matrix))[1:]
    wander = scene.frames.wander_px**2 / np.array([len(t), len(t), (t**2).sum(), (t**2).sum()])
    apart = np.abs(line - fit.line)[1:] / 2  # of both lines; where they differ by much neither is sure
    return replace(fit, line=line, error=np.maximum.reduce([np.sqrt(variance + wander), fit.error, apart]))


def _scatter(t: NDArray[np.floating], place: Doubles, error: Doubles, lines: Doubles) -> float:
    """Scatter of places about their line in units of their errors, but at least 1: errors are not too small."""
    seen = np.isfinite(error).all(axis=1)
    off = (place - lines[:, 0] - t[:, None] * lines[:, 1])[seen] / error[seen]
    return float(np.sqrt(max((off**2).sum() / max(2 * seen.sum() - 4, 1), 1.0)))


def _stamps(
    scene: _Scene, f: NDArray[np.int64], places: tuple[Doubles, Doubles, Bools], reach: float, images: Images
) -> Stamps:
    film = scene.prepared.film
    away = AWAY_FWHM * scene.fwhm_px + reach - HALF_FWHM * scene.fwhm_px
    parts = []
    for start in range(int(f[0]), int(f[-1]) + 1, BLOCK):
        block = film.source.read(start, min(start + BLOCK, int(f[-1]) + 1))
        here = slice(start - int(f[0]), start - int(f[0]) + len(block))
        sky = np.ascontiguousarray(scene.sky[f[here]])
        some = places[0][here].copy(), places[1][here].copy(), places[2][here].copy(), sky
        parts.append(cut_track(block, film.packing, images, some, (int(np.ceil(reach)), away), scene.noise))
    light, weight, corner = (np.concatenate([part[k] for part in parts]) for k in range(3))
    return light, weight, corner, parts[0][3]


def _distinct(fits: list[tuple[float, _Fit]], same_px: float) -> list[tuple[float, _Fit]]:
    """Fits, best first, that are not the same as a better one: what a bright mover leaves may lead back to it."""
    chosen: list[tuple[float, _Fit]] = []
    ends: list[Doubles] = []
    for score, fit in fits:
        t0, x0, y0, ux, uy = fit.line
        t = np.array([fit.frame[0], fit.frame[-1]]) - t0
        end = np.stack([x0 + ux * t, y0 + uy * t])
        if all(np.abs(end - other).max() > same_px for other in ends):
            chosen.append((score, fit))
            ends.append(end)
    return chosen


def _movers(fits: list[_Fit | None], candidates: Candidates, prepared: Prepared, same_px: float) -> Movers:
    """Fits in pixels a frame as movers in pixels a second."""
    exposure = prepared.film.exposure
    scored = [(f.score(s), f) for f, s in zip(fits, candidates.score.tolist(), strict=True) if f and f.is_real]
    chosen = _distinct(sorted(scored, key=lambda one: -one[0]), same_px)
    scores, some = np.array([score for score, _ in chosen], float), [fit for _, fit in chosen]
    lines = np.array([fit.line for fit in some]).reshape(-1, 5)
    errors = np.array([fit.error for fit in some]).reshape(-1, 4)
    t0, x0, y0, ux, uy = lines.T
    seconds = exposure.frame_interval_s + ROW_TIME_S * uy  # between the exposures of the rows where it is
    counts = np.array([len(fit.frame) for fit in some], np.int64)
    mover = np.repeat(np.arange(len(some)), counts)
    frame = np.concatenate([fit.frame for fit in some]) if some else np.zeros(0, np.int64)
    values = np.concatenate([fit.values for fit in some]) if some else np.zeros((0, 6))
    place = np.concatenate([fit.place for fit in some]) if some else np.zeros((0, 2))
    weight = 1.0 / values[:, 1] ** 2
    total = np.bincount(mover, weight, len(some))
    return Movers(
        x=x0, y=y0, mjd=exposure.mid_times(t0, y0), velocity=np.stack([ux, uy], axis=1) / seconds[:, None],
        position_err=errors[:, :2], velocity_err=errors[:, 2:] / seconds[:, None],
        flux=np.bincount(mover, weight * values[:, 0], len(some)) / total, flux_err=1.0 / np.sqrt(total),
        score=scores, too_many=candidates.too_many,
        mover=mover, frame=frame, place=place, place_err=np.hypot(values[:, 4:6], 0.0),
        frame_flux=values[:, 0], frame_flux_err=values[:, 1],
    )  # fmt: skip
