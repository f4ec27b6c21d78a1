"""Step 13: trails fitted in the pixels of their frame: line, ends, width, brightness, with errors."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import ceil, floor

import numpy as np
from scipy.special import gamma

from tomoe_explore.camera import NX, NY
from tomoe_explore.kernels.strips import end_chi2, extent, normal_equations, profile_across, ridge, tabulated
from tomoe_explore.reduction.frame_pixels import FramePixels
from tomoe_explore.reduction.trails import FittedTrail, Trails
from tomoe_explore.reduction.values import Doubles, Floats, FrameSeries, Prepared, Zeropoint

FIT_SNR = 7.5  #: least of a trail in the pixels: what 10^4 frames of noise do not reach
CLEAR_SNR = 20.0  #: a trail that is brighter may be as uneven as it likes
UNEVEN_SNR = 2.5  #: by how much a quarter of a fainter one may exceed what an even trail has there
FAINT_SNR = 12.0  #: trails on the film of residuals below it may be noise
USUAL = 2  #: so many of them are usual in a frame; with more it was shaken, and each must be clearer by half a sigma
LEAST_PX = 45.0  #: least length
ACROSS_FWHM = 2.5  #: to either side of a trail: pixels that say something of its line and brightness
AHEAD_PX = 40.0  #: looked at beyond the ends of a trail
END_FACTOR, END_PX = 1.1, 0.35  #: errors of ends are larger than the noise says, and images move: of simulated streaks
CUT_PX = 5.0  #: an end this near to the detector's edge is no end; the outermost pixels are not used

_ENDS = np.arange(-24.0, 24.01, 0.25)  #: px about an end where it may be
_WIDTHS = np.geomspace(0.4, 8.0, 41)  #: of a trail over those of stars


@dataclass(frozen=True)
class _Image:
    """A trail across: the line through a Moffat image, ``(1 + (d / alpha)^2)^(1/2 - beta)``."""

    alpha: float
    beta: float

    @classmethod
    def of(cls, fwhm: float, beta: float) -> _Image:
        """That of a star's image of some width."""
        return cls(fwhm / 2 / np.sqrt(2 ** (1 / beta) - 1), beta)

    @property
    def fwhm(self) -> float:
        """Of the star's image."""
        return float(2 * self.alpha * np.sqrt(2 ** (1 / self.beta) - 1))

    @property
    def area(self) -> float:
        """Light of a pixel's length over that of the ridge."""
        return float(np.sqrt(np.pi) * gamma(self.beta - 1) / gamma(self.beta - 0.5) * self.alpha)


@dataclass(frozen=True)
class _Line:
    """A line by its middle and direction."""

    x: float
    y: float
    ux: float
    uy: float

    def at(self, along: float) -> tuple[float, float]:
        return self.x + along * self.ux, self.y + along * self.uy

    def moved(self, across: float, angle: float) -> _Line:
        """Shifted at its origin and turned about it."""
        ux, uy = self.ux - angle * self.uy, self.uy + angle * self.ux
        norm = float(np.hypot(ux, uy))
        return _Line(self.x - across * self.uy, self.y + across * self.ux, ux / norm, uy / norm)


def fit_trails(prepared: Prepared, frames: FrameSeries, zero: Zeropoint, trails: Trails) -> list[FittedTrail]:
    """Each trail in the pixels of its frame; those too faint or too short there are left out.

    Parameters
    ----------
    prepared, frames, zero
        As made by the steps before; the stack with its seeing.
    trails : Trails

    Returns
    -------
    list of FittedTrail
        The first end is the one with the smaller x (smaller y where both are alike).
    """
    fitted, shown = [], FramePixels(prepared, frames)
    faint = np.bincount(trails.frame[trails.snr < FAINT_SNR], minlength=prepared.film.n_frames)
    for k in range(len(trails)):
        x1, y1, x2, y2 = trails.x1[k], trails.y1[k], trails.x2[k], trails.y2[k]
        ends = (x1, y1, x2, y2) if (x1, y1) <= (x2, y2) else (x2, y2, x1, y1)
        least = FIT_SNR + 0.5 * max(int(faint[trails.frame[k]]) - USUAL, 0)
        wanted = int(trails.frame[k]), zero.growth.beta, least
        one = _fit(shown, wanted, ends, float(trails.half_width[k]))
        if one is not None:
            fitted.append(one)
    return fitted


def _fit(
    shown: FramePixels,
    wanted: tuple[int, float, float],
    ends: tuple[float, float, float, float],
    half_width: float,
) -> FittedTrail | None:
    frame, beta, least = wanted
    x1, y1, x2, y2 = ends
    length = float(np.hypot(x2 - x1, y2 - y1))
    line = _Line((x1 + x2) / 2, (y1 + y2) / 2, (x2 - x1) / length, (y2 - y1) / length)
    image = _Image.of(float(shown.frames.fwhm_px[frame]), beta)
    reach = max(3 * image.fwhm + 2, 2 * half_width + image.fwhm)
    limits = -length / 2 - AHEAD_PX, length / 2 + AHEAD_PX
    pixels = shown.about(frame, (line.x, line.y, line.ux, line.uy), (*limits, reach))
    if pixels.shape[1] < 50:
        return None
    first, last, off = -length / 2, length / 2, (0.0, 0.0)
    covariance = np.eye(2)
    table, solved = tabulated(image.alpha, image.beta, ACROSS_FWHM * image.fwhm), np.zeros(3)
    for turn in range(2):
        for _ in range(2 - turn):
            off, covariance, solved = _aligned(pixels, (first, last), off, table, solved)
        if turn == 0 and half_width > 2 * image.fwhm:  # the line is known well enough for a look across
            wide, wide_err = _width(pixels, (first, last), off, image)
            if wide > 1.3 * image.fwhm and wide - image.fwhm > 4 * wide_err:
                image = _Image.of(wide, image.beta)
                table = tabulated(image.alpha, image.beta, ACROSS_FWHM * image.fwhm)
        light, weight = ridge(pixels, limits, off, table[0])
        profile = _Profile(limits[0] + np.arange(len(light), dtype=np.float64), light, weight)
        first, last = extent(profile.along, light, weight, (first, last))
        height, height_err = profile.between(first, last).mean
        if last - first < LEAST_PX / 2 or height < 0.7 * least * height_err:
            return None
    if not _whole(profile, (first, last), least):
        return None
    return _measured(pixels, (frame, line, off, image), profile, (first, last, covariance), shown.frames)


def _aligned(
    pixels: Floats,
    span: tuple[float, float],
    off: tuple[float, float],
    table: tuple[Doubles, Doubles],
    solved: Doubles,
) -> tuple[tuple[float, float], Doubles, Doubles]:
    """A better line (shift at the strip's origin, angle); covariance of shift at the middle and angle; solution.

    Pixels far off the earlier solution are left out.
    """
    normal, right = normal_equations(pixels, span, off, table, solved)
    inverse = np.asarray(np.linalg.inv(normal + 1e-12 * np.eye(3)), np.float64)
    solved = inverse @ right
    height = max(float(solved[0]), 0.3 * float(np.sqrt(inverse[0, 0])))
    shift, tilt = (min(max(float(v) / height, -1.5), 1.5) for v in solved[1:])
    middle, length = 0.5 * (span[0] + span[1]), span[1] - span[0]
    scale = np.array([1.0, 1.0 / length])
    better = off[0] + shift - tilt / length * middle, off[1] + tilt / length
    covariance = inverse[1:, 1:] / height**2 * np.outer(scale, scale)
    return better, covariance, np.array([height, 0.0, 0.0])


def _width(pixels: Floats, span: tuple[float, float], off: tuple[float, float], image: _Image) -> tuple[float, float]:
    """FWHM of the image across and its error, from the likelihood of some widths."""
    d, s, w = profile_across(pixels, span, off, float(np.abs(pixels[1]).max()))
    shapes = (1 + (d / (image.alpha * _WIDTHS[:, None])) ** 2) ** (0.5 - image.beta)
    ww, ws, wss = w.sum(), shapes @ w, shapes**2 @ w  # of an image and a level: two equations for each width
    light, of_image = float(w @ s), shapes @ (w * s)
    bent = np.maximum(wss - ws**2 / ww, 1e-30)
    chi2 = -((of_image - ws * light / ww) ** 2) / bent
    best = int(np.clip(np.argmin(chi2), 1, len(_WIDTHS) - 2))
    step = np.log(_WIDTHS[1] / _WIDTHS[0])
    a, b, c = chi2[best - 1 : best + 2]
    bend = max(a - 2 * b + c, 1e-9)
    factor = _WIDTHS[best] * np.exp(np.clip(0.5 * (a - c) / bend, -1, 1) * step)
    return float(image.fwhm * factor), float(image.fwhm * factor * min(np.sqrt(2 / bend) * step, 2.0))


@dataclass(frozen=True)
class _Profile:
    """Brightness of the ridge at each pixel along, and its weight: by the matched filter across."""

    along: Doubles
    light: Doubles
    weight: Doubles

    def between(self, first: float, last: float) -> _Profile:
        if not len(self.along):
            return self
        origin = float(self.along[0])
        begin = max(ceil(first - origin - 1e-9), 0)
        some = slice(begin, max(floor(last - origin + 1e-9) + 1, begin))
        return _Profile(self.along[some], self.light[some], self.weight[some])

    def quarters(self, first: float, last: float) -> list[tuple[float, float]]:
        """Mean and error in each quarter of a trail."""
        edges = np.linspace(first, last, 5)
        return [self.between(a, b).mean for a, b in pairwise(edges.tolist())]

    def without_peaks(self) -> _Profile:
        """What is much brighter than most of the trail, and than its noise, cut down: stars, hits."""
        level = max(float(np.median(self.light[self.weight > 0])), 0.0) if (self.weight > 0).any() else 0.0
        most = 2 * level + 3 / np.sqrt(np.maximum(self.weight, 1e-30))
        return _Profile(self.along, np.minimum(self.light, most), self.weight)

    @property
    def mean(self) -> tuple[float, float]:
        """Mean and its error."""
        total = max(float(self.weight.sum()), 1e-30)
        return float(self.light @ self.weight) / total, total**-0.5


def _end(profile: _Profile, at: float, inner: float, image: _Image) -> tuple[float, float]:
    """Mean and scatter of where the trail ends (towards smaller ``along``), by the likelihood of a step blurred."""
    reach = max(20.0, 0.15 * (inner - at))
    width = image.fwhm / 2.3548
    for _ in range(2):
        level = max(profile.between(at + image.fwhm, min(at + image.fwhm + reach, inner)).mean[0], 1e-9)
        near = profile.between(at - 50, min(at + 50, inner))
        if len(near.along) < 5:
            return at, float("inf")
        grid = at + _ENDS
        chi2 = end_chi2(near.along, near.light, near.weight, grid, (level, width))
        likely = np.exp(-0.5 * (chi2 - chi2.min()))
        likely /= likely.sum()
        at = float((likely * grid).sum())
    return at, float(np.sqrt(END_FACTOR**2 * (likely * (grid - at) ** 2).sum() + END_PX**2))


def _measured(
    pixels: Floats,
    found: tuple[int, _Line, tuple[float, float], _Image],
    profile: _Profile,
    ends: tuple[float, float, Doubles],
    frames: FrameSeries,
) -> FittedTrail | None:
    frame, line, off, image = found
    first, last, covariance = ends
    middle = 0.5 * (first + last)
    first, first_err = _end(profile, first, middle, image)
    last, last_err = _end(
        _Profile(-profile.along[::-1], profile.light[::-1], profile.weight[::-1]), -last, -middle, image
    )
    line, last = line.moved(*off), -last
    (first, cut_first), (last, cut_last) = (_cut(line, t, s) for t, s in ((first, -1.0), (last, 1.0)))
    inside = profile.between(first, last)
    if last - first < LEAST_PX or len(inside.along) < LEAST_PX / 2:
        return None
    height, height_err = inside.mean
    if height < FIT_SNR * height_err:
        return None
    fwhm, fwhm_err = _width(pixels, (first, last), off, image)
    (x1, y1), (x2, y2) = line.at(first), line.at(last)
    across = float(np.sqrt(covariance[0, 0] + covariance[1, 1] * (0.5 * (last - first)) ** 2))
    scale = image.area * (last - first) / float(frames.transparency[frame])
    variability, taper, taper_err = _light_curve(inside, inside.quarters(first, last), height)
    return FittedTrail(
        frame, (x1, x2), (y1, y2), (0.0 if cut_first else first_err, 0.0 if cut_last else last_err), across,
        (cut_first, cut_last), height * scale, height_err * scale, height / height_err, fwhm, fwhm_err,
        variability, taper, taper_err,
    )  # fmt: skip


def _whole(profile: _Profile, ends: tuple[float, float], least: float) -> bool:
    """Whether a trail shines in all its length: two stars are bright at its ends only, one in one place."""
    sure = profile.between(*ends).without_peaks()
    snr = np.sort([value / error for value, error in sure.quarters(*ends)])
    total, three, two = snr.sum() / 2, snr[:3].sum() / np.sqrt(3), snr[:2].sum() / np.sqrt(2)
    even = total > CLEAR_SNR or snr[3] < total / 2 + UNEVEN_SNR
    return bool(total > least and three > 0.75 * least and two > 0.45 * least and even)


def _cut(line: _Line, along: float, way: float) -> tuple[float, bool]:
    """An end moved to the detector's edge where it is so near that it is no end."""
    edges = []
    for at, u, size in ((line.x, line.ux, NX), (line.y, line.uy, NY)):
        if abs(u) > 1e-9:
            edges.append(((size - 0.5 if u * way > 0 else -0.5) - at) / u)
    edge = min(edges) if way > 0 else max(edges)
    near = way * (edge - along) < CUT_PX / max(abs(line.ux), abs(line.uy)) + CUT_PX
    return (float(edge), True) if near else (along, False)


def _light_curve(inside: _Profile, quarters: list[tuple[float, float]], height: float) -> tuple[float, float, float]:
    """Variability and taper, with the taper's error."""
    n = max(min(len(inside.along) // 8, 40), 4)  # parts of 8 px and more
    starts = np.linspace(0, len(inside.along), n, endpoint=False).astype(np.int64)
    weight = np.add.reduceat(inside.weight, starts)
    good = weight > 0
    parts = np.add.reduceat(inside.weight * inside.light, starts)[good] / weight[good]
    excess = float(np.var(parts) - np.mean(1 / weight[good])) if good.sum() > 2 else 0.0
    (a, ea), (b, eb), (c, ec), (d, ed) = quarters
    inner, inner_err = (b + c) / 2, np.hypot(eb, ec) / 2
    outer, outer_err = (a + d) / 2, np.hypot(ea, ed) / 2
    inner = max(inner, 1e-9)
    error = np.hypot(outer_err / inner, outer / inner * inner_err / inner)
    return float(np.sqrt(max(excess, 0.0)) / max(height, 1e-9)), float(1 - outer / inner), float(min(error, 9.0))
