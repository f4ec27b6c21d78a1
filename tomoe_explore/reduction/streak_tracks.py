"""Step 14: trails of single frames become streaks, one for each thing that flew; their rates."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np

from tomoe_explore.camera import ROW_TIME_S
from tomoe_explore.data import Exposure
from tomoe_explore.reduction.trails import FittedTrail, Streaks
from tomoe_explore.reduction.values import Bools

ASIDE_PX = 2.0  #: from line to line, beyond three standard errors: images wander with the air and the tracking
ASIDE_RADIANS = 0.05  #: largest angle between the lines of one streak, beyond three standard errors
ABUT_PX = 6.0  #: from where a trail ends to where it goes on in the next frame, beyond three standard errors
END_PX = 0.2  #: error that both ends at such a place share: the images' motion
GAP = 1.0  #: a gap within a streak is at most so many times as long as the longer piece beside it


def track_streaks(trails: list[FittedTrail], exposure: Exposure, recorded: Bools) -> Streaks:
    """Join the pieces of each streak, within frames and from frame to frame, and find its rate.

    Parameters
    ----------
    trails : list of FittedTrail
    exposure : Exposure
    recorded : ndarray of bool, (n,)

    Returns
    -------
    Streaks
        The most significant first; not yet classified.

    Notes
    -----
    A row of frame ``n`` is exposed from ``n TFRAME + row ROW_TIME`` on; there the trail of frame n - 1 ends and that of
    frame n begins. Two such places and their times give the rate. What began and ended within an exposure, or shows one
    such place only, has none.
    """
    pieces = [piece for frame in sorted({t.frame for t in trails}) for piece in _joined(trails, frame)]
    chains = _chains(pieces, recorded)
    chains.sort(key=lambda chain: -sum(t.snr**2 for t in chain))
    rates = np.array([_rate(chain, exposure) for chain in chains]).reshape(len(chains), 2)
    n = len(chains)
    return Streaks(
        tuple(tuple(chain) for chain in chains), rates[:, 0], rates[:, 1], np.zeros(n, np.int32),
        ("unknown",) * n, np.full(n, np.nan),
    )  # fmt: skip


def _joined(trails: list[FittedTrail], frame: int) -> list[FittedTrail]:
    """The trails of a frame: what shines beside a brighter one is part of it, and so is what lies ahead on its line."""
    kept: list[FittedTrail] = []
    for one in sorted((t for t in trails if t.frame == frame), key=lambda t: -t.snr):
        for k, other in enumerate(kept):
            gap = _gap(one, other)
            if gap < 0 and _beside(one, other) < 1.5 * max(one.fwhm, other.fwhm) + ASIDE_PX:
                break
            if gap <= GAP * max(one.length, other.length) and _on_one_line(one, other):
                kept[k] = _sum(other, one) if gap > 0 else other
                break
        else:
            kept.append(one)
    return kept


def _along(trail: FittedTrail, line: FittedTrail) -> tuple[tuple[float, float], tuple[float, float]]:
    """Both ends of a trail along a line, from its first end, and across it; pixels."""
    ux, uy = (line.x[1] - line.x[0]) / line.length, (line.y[1] - line.y[0]) / line.length
    dx, dy = [x - line.x[0] for x in trail.x], [y - line.y[0] for y in trail.y]
    along = tuple(a * ux + b * uy for a, b in zip(dx, dy, strict=True))
    across = tuple(b * ux - a * uy for a, b in zip(dx, dy, strict=True))
    return (along[0], along[1]), (across[0], across[1])


def _gap(one: FittedTrail, other: FittedTrail) -> float:
    """Distance of two trails along the longer; negative where they overlap."""
    short, line = (one, other) if one.length < other.length else (other, one)
    along, _ = _along(short, line)
    return max(min(along) - line.length, -max(along))


def _beside(one: FittedTrail, other: FittedTrail) -> float:
    """The farther end's distance from the brighter trail's line."""
    return max(abs(v) for v in _along(one, other)[1])


def _on_one_line(one: FittedTrail, other: FittedTrail) -> bool:
    """Whether the shorter trail lies on the line of the longer, which is known as well as its ends are."""
    short, line = (one, other) if one.length < other.length else (other, one)
    along, across = _along(short, line)
    lever = [1.0 + 2.0 * max(-t, t - line.length, 0.0) / line.length for t in along]
    error = [np.hypot(line.across_err * lv, short.across_err) for lv in lever]
    close = all(abs(a) < ASIDE_PX * np.sqrt(lv) + 3 * e for a, lv, e in zip(across, lever, error, strict=True))
    angle = abs(across[1] - across[0]) / short.length
    turned = 2 * np.hypot(short.across_err / short.length, line.across_err / line.length)
    return bool(close and angle < ASIDE_RADIANS + 3 * turned)


def _sum(one: FittedTrail, other: FittedTrail) -> FittedTrail:
    """Two pieces of a trail as one, with the shape of the brighter, ``one``."""
    along, _ = _along(other, one)
    points = [(0.0, 0, one), (one.length, 1, one), (along[0], 0, other), (along[1], 1, other)]
    first, last = min(points, key=lambda p: p[0]), max(points, key=lambda p: p[0])
    pick = [(end, piece) for _, end, piece in (first, last)]
    x, y, end_err, cut = (
        tuple(getattr(piece, name)[end] for end, piece in pick) for name in ("x", "y", "end_err", "cut")
    )
    return replace(
        one, x=x, y=y, end_err=end_err, cut=cut, flux=one.flux + other.flux,
        flux_err=float(np.hypot(one.flux_err, other.flux_err)), snr=float(np.hypot(one.snr, other.snr)),
        variability=max(one.variability, other.variability),
    )  # fmt: skip


def _chains(pieces: list[FittedTrail], recorded: Bools) -> list[list[FittedTrail]]:
    """Pieces of successive frames in the order of time; each piece's ends in the order of motion where it is known."""
    chains: list[list[FittedTrail]] = []
    for piece in pieces:
        best, best_gap = None, np.inf
        for chain in chains:
            last = chain[-1]
            between = recorded[last.frame + 1 : piece.frame]
            if last.frame == piece.frame or between.any() or not _goes_on(chain, piece):
                continue
            gap = abs(_gap(last, piece))
            if gap < best_gap:
                best, best_gap = chain, gap
        if best is None:
            chains.append([piece])
        elif len(best) == 1:
            best[:] = _in_order(best[0], piece)
        else:
            best.append(_towards(best[-1], piece))
    return chains


def _goes_on(chain: list[FittedTrail], piece: FittedTrail) -> bool:
    last = chain[-1]
    slack = ABUT_PX + 3 * max(*last.end_err, *piece.end_err)
    gap = _gap(last, piece)
    if gap < -slack or gap > GAP * max(last.length, piece.length) + slack or not _on_one_line(last, piece):
        return False
    if len(chain) == 1:
        return True
    along, _ = _along(piece, last)
    return sum(along) / 2 > last.length / 2  # ahead of where it went


def _in_order(one: FittedTrail, other: FittedTrail) -> list[FittedTrail]:
    """The first two pieces, each with the end first that comes first."""
    along, _ = _along(other, one)
    ahead = sum(along) / 2 > one.length / 2
    one = one if ahead else one.turned()
    return [one, _towards(one, other)]


def _towards(last: FittedTrail, piece: FittedTrail) -> FittedTrail:
    along, _ = _along(piece, last)
    return piece if along[1] > along[0] else piece.turned()


def _rate(chain: list[FittedTrail], exposure: Exposure) -> tuple[float, float]:
    """Pixels/s and its error by least squares through the places where frames meet; NaN with fewer than two."""
    places, times, errors = [], [], []
    origin = chain[0]
    for one, other in pairwise(chain):
        end, begin = (one.x[1], one.y[1]), (other.x[0], other.y[0])
        error = np.hypot(one.end_err[1], other.end_err[0])
        apart = np.hypot(end[0] - begin[0], end[1] - begin[1])
        if one.cut[1] or other.cut[0] or other.frame != one.frame + 1 or apart > ABUT_PX + 3 * error:
            continue
        row = (end[1] + begin[1]) / 2
        middle = replace(one, x=(end[0], begin[0]), y=(end[1], begin[1]))
        places.append(sum(_along(middle, origin)[0]) / 2)
        times.append(other.frame * exposure.frame_interval_s + row * ROW_TIME_S)
        errors.append(np.hypot(error / 2, END_PX))
    if len(places) < 2:
        return np.nan, np.nan
    weight = 1 / np.square(errors)
    t = np.array(times) - np.average(times, weights=weight)
    spread = float((weight * t**2).sum())
    speed = float((weight * t * np.array(places)).sum()) / spread
    return abs(speed), spread**-0.5
