"""Step 15: glints: points that shine in one frame, or two neighbouring ones, and are as wide as stars."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tomoe_explore.camera import NX, NY
from tomoe_explore.data import SATURATED_PIXEL
from tomoe_explore.kernels.linking import frame_points
from tomoe_explore.kernels.lonely import lonely
from tomoe_explore.reduction.frame_pixels import FramePixels
from tomoe_explore.reduction.moving import Movers, ResidualFilm, to_pixels
from tomoe_explore.reduction.trails import FittedTrail, Streaks
from tomoe_explore.reduction.values import Bools, Doubles, FrameSeries, Prepared, Zeropoint
from tomoe_explore.schema import Flag

POINT_SNR = 6.0  #: of a cell
FIT_SNR = 6.5  #: in the pixels
POINTS_A_FRAME = 60
GLINTS_A_FRAME = 20  #: with more points its light or its stars jumped: none is taken for a glint
MAX_GLINTS = 100  #: a film
AGAIN_SNR = 3.0  #: light of a frame that is no neighbour: what shines again is no glint
AGAIN_PART = 0.1  #: of its own light: as much of a star there may be left by the reference
AGAIN_CELLS = 2.0  #: how near
RESTLESS = 4.0  #: times the scatter of the other frames a glint shines: variable stars leave residuals in all of them
WITHOUT_PIXEL = 0.5  #: part of the light that is left by a fit without the brightest pixel: a hit leaves nothing
WIDTHS = 0.6, 1.7  #: of a glint over those of stars
FLARE = 5.0  #: a mover is no brighter than so many times its median
MOVER_FWHM = 2.5  #: within so many FWHM of a mover's place it is the mover
MISFIT = 1.6  #: largest chi-square of a pixel beyond what light that varies by a fifth would leave
HEART_MISFIT = 2.2  #: the same where the image is bright, by its light: a particle's track is a row of bright pixels
OF_STAR = 0.5  #: least part of a star's light beneath that a glint has: images of bright stars are displaced by the air
LIGHT_ERROR = 0.2  #: of a star image's pixels: the air makes no two alike

_SCALES = np.geomspace(0.35, 3.0, 27)


@dataclass(frozen=True)
class _Shown:
    """What fits share: the star image of a frame (Moffat) and the film."""

    prepared: Prepared
    frames: FrameSeries
    beta: float

    def pixels(self, frame: int, x: float, y: float) -> Doubles:
        """Good pixels about a place: along x and y from it, light and weight."""
        reach = 1.5 * float(self.frames.fwhm_px[frame]) + 1.0
        shown = FramePixels(self.prepared, self.frames)
        return shown.about(frame, (x, y, 1.0, 0.0), (-reach, reach, reach)).astype(np.float64)

    def saturated(self, x: float, y: float) -> bool:
        """Whether pixels there were full in some frame."""
        j, i = max(round(y) - 2, 0), max(round(x) - 2, 0)
        return bool((self.prepared.stack.mask[j : j + 5, i : i + 5] & SATURATED_PIXEL).any())

    def starlight(self, frame: int, x: float, y: float) -> float:
        """Of the brightest pixel of a star about a place, ADU: what the stack has there beyond its sky."""
        reach = round(float(self.frames.fwhm_px[frame]))
        j, i = max(round(y) - reach, 0), max(round(x) - reach, 0)
        here = slice(j, round(y) + reach + 1), slice(i, round(x) + reach + 1)
        d = self.prepared.detections
        light = np.where(d.star_mask[here], self.prepared.stack.image[here] - d.background[here], 0.0)
        return float(light.max(initial=0.0))

    def alpha(self, frame: int) -> float:
        """Of the Moffat image, pixels."""
        return float(self.frames.fwhm_px[frame]) / 2 / float(np.sqrt(2 ** (1 / self.beta) - 1))


def find_glints(
    prepared: Prepared, frames: FrameSeries, film: ResidualFilm, movers: Movers, zero: Zeropoint
) -> Streaks:
    """Points of single frames.

    Parameters
    ----------
    prepared, frames, film, zero
        As made by the steps before; streaks are masked in the film.
    movers : Movers
        Their places are no glints.

    Returns
    -------
    Streaks
        Of the kind ``glint``, the most significant first: each one point, or two in neighbouring frames.
    """
    points = frame_points(film.cells, int(POINT_SNR * film.sigma), POINTS_A_FRAME)
    frame, x, y, value = points[0], to_pixels(points[1]), to_pixels(points[2]), points[3]
    alone = lonely(film.cells, film.recorded, points, (AGAIN_SNR * film.sigma, AGAIN_PART, AGAIN_CELLS, RESTLESS))
    alone &= _no_mover(movers, frame, x, y, prepared.stack.fwhm_px)
    alone &= np.bincount(frame[alone], minlength=len(film.cells))[frame] <= GLINTS_A_FRAME
    shown = _Shown(prepared, frames, zero.growth.beta)
    fitted = []
    best = np.flatnonzero(alone)[np.argsort(-value[alone], kind="stable")][: 2 * MAX_GLINTS]
    for k in np.sort(best):  # frame after frame
        one = _fit(shown, int(frame[k]), float(x[k]), float(y[k]))
        if one is not None:
            fitted.append(one)
    pairs = _paired(sorted(fitted, key=lambda p: -p.snr), prepared.stack.fwhm_px)
    n = min(len(pairs), MAX_GLINTS)
    flags = np.full(n, Flag.TOO_MANY if alone.sum() > MAX_GLINTS else 0, np.int32)
    nothing = np.full(n, np.nan)
    return Streaks(tuple(pairs[:n]), nothing, nothing, flags, ("glint",) * n, nothing)


def with_glints(streaks: Streaks, glints: Streaks) -> Streaks:
    """Both, the glints last."""
    both = {
        name: np.append(getattr(streaks, name), getattr(glints, name))
        for name in ("rate", "rate_err", "flags", "probability")
    }
    return replace(streaks, pieces=streaks.pieces + glints.pieces, kind=streaks.kind + glints.kind, **both)


def _no_mover(movers: Movers, frame: NDArray[np.int64], x: Doubles, y: Doubles, fwhm_px: float) -> Bools:
    """Whether a point is no mover in its frame: what is much brighter than the mover usually is, is none."""
    out = np.ones(len(frame), bool)
    trail = np.hypot(*movers.velocity.T) / 4  # half a frame's motion at 2 Hz
    for mover in range(len(movers)):
        mine = movers.mover == mover
        usual = FLARE * max(float(np.median(movers.frame_flux[mine])), 0.0)
        mine &= movers.frame_flux <= usual
        for n, place in zip(movers.frame[mine], movers.place[mine], strict=True):
            off = np.hypot(x - place[0], y - place[1])
            out &= (frame != n) | (off > MOVER_FWHM * fwhm_px + trail[mover])
    return out


def _fit(shown: _Shown, frame: int, x: float, y: float) -> FittedTrail | None:
    """A star image fitted to a point; None if it is none."""
    alpha, beta = shown.alpha(frame), shown.beta
    for _ in range(2):  # cells of bright ones are all as bright as cells can be: they say roughly where it is
        pixels = shown.pixels(frame, x, y)
        if pixels.shape[1] < 12 or not (2 < x < NX - 3 and 2 < y < NY - 3):
            return None
        light = np.maximum(pixels[2] - 3 / np.sqrt(pixels[3]), 0.0) + 1e-9
        x, y = x + float((light * pixels[0]).sum() / light.sum()), y + float((light * pixels[1]).sum() / light.sum())
    pixels = shown.pixels(frame, x, y)
    if pixels.shape[1] < 12:
        return None
    place, height, error = _placed(pixels, alpha, beta)
    image = _image(pixels, place, alpha, beta)
    if height < FIT_SNR * error or not _is_starlike(pixels, image, height, shown.saturated(x, y)):
        return None
    full = shown.prepared.film.exposure.gain_mode.saturation_adu
    if shown.starlight(frame, x, y) > min(height / OF_STAR, full / 2):  # a glint gives a stack a third of it at most
        return None
    factor, factor_err = _width(pixels, place, alpha, beta)
    if not WIDTHS[0] < factor < WIDTHS[1]:
        return None
    fwhm, light = float(shown.frames.fwhm_px[frame]), float(shown.frames.transparency[frame])
    area = np.pi * alpha**2 / (beta - 1) / light
    where_err = max(fwhm / 2.3548 * error / height, 0.02)
    at_x, at_y = x + place[0], y + place[1]
    return FittedTrail(
        frame, (at_x, at_x), (at_y, at_y), (where_err, where_err), where_err, (False, False), height * area,
        error * area, height / error, fwhm * factor, fwhm * factor_err, float("nan"), float("nan"), float("nan"),
    )  # fmt: skip


def _image(pixels: Doubles, place: tuple[float, float], alpha: float, beta: float) -> Doubles:
    """Of a star of height 1 there."""
    u2 = ((pixels[0] - place[0]) ** 2 + (pixels[1] - place[1]) ** 2) / alpha**2
    return np.asarray((1 + u2) ** -beta, np.float64)


def _placed(pixels: Doubles, alpha: float, beta: float) -> tuple[tuple[float, float], float, float]:
    """Place, height and its error, by Gauss-Newton from the middle."""
    place, height, error = (0.0, 0.0), 0.0, 1.0
    light, weight = pixels[2], pixels[3]
    for _ in range(4):
        dx, dy = pixels[0] - place[0], pixels[1] - place[1]
        u = 1 + (dx**2 + dy**2) / alpha**2
        image, slope = u**-beta, 2 * beta / alpha**2 * u ** (-beta - 1)
        terms = np.stack([image, slope * dx, slope * dy])
        normal = (terms * weight) @ terms.T
        solved = np.linalg.solve(normal + 1e-12 * np.eye(3), terms @ (weight * light))
        height, error = float(solved[0]), float(normal[0, 0] ** -0.5)
        step = np.clip(solved[1:] / max(height, 3 * error), -0.7, 0.7)
        place = float(np.clip(place[0] + step[0], -2, 2)), float(np.clip(place[1] + step[1], -2, 2))
    return place, height, error


def _is_starlike(pixels: Doubles, image: Doubles, height: float, saturated: bool) -> bool:
    """Whether the light is that of a star image and not of one pixel; of a saturated one only the wings tell."""
    light, weight = pixels[2], pixels[3]
    rest = np.arange(len(light)) != int(np.argmax(light * np.sqrt(weight)))
    left = float((image * weight * light)[rest].sum() / (image**2 * weight)[rest].sum())
    variance = 1 / weight + (LIGHT_ERROR * height * image) ** 2
    misfits = (light - height * image) ** 2 / variance
    heart = float(misfits @ image / image.sum())
    return left > WITHOUT_PIXEL * height and float(misfits.mean()) < MISFIT and heart < HEART_MISFIT


def _width(pixels: Doubles, place: tuple[float, float], alpha: float, beta: float) -> tuple[float, float]:
    """Width over that of stars, and its error, by the likelihood of some."""
    light, weight = pixels[2], pixels[3]
    images = np.stack([_image(pixels, place, alpha * s, beta) for s in _SCALES])
    gain = (images @ (weight * light)) ** 2 / (images**2 @ weight)
    likely = np.exp(0.5 * (gain - gain.max()))
    likely /= likely.sum()
    mean = float((likely * _SCALES).sum())
    return mean, float(np.sqrt((likely * (_SCALES - mean) ** 2).sum() + 0.03**2))


def _paired(points: list[FittedTrail], fwhm_px: float) -> list[tuple[FittedTrail, ...]]:
    """A glint that two neighbouring frames share is one, and so are two points at one place."""
    pairs: list[tuple[FittedTrail, ...]] = []
    for one in points:
        for k, other in enumerate(pairs):
            off = np.hypot(one.x[0] - other[0].x[0], one.y[0] - other[0].y[0])
            if off < fwhm_px and any(piece.frame == one.frame for piece in other):
                break  # a bright one has more maxima than one
            if len(other) == 1 and abs(one.frame - other[0].frame) == 1 and off < fwhm_px / 2:
                pairs[k] = tuple(sorted((one, other[0]), key=lambda p: p.frame))
                break
        else:
            pairs.append((one,))
    return pairs
