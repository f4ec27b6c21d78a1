"""The peer: `tracee`, the observatory's linking of single-frame detections (Ohsawa 2021, arXiv:2109.09064).

It gets our single-frame points and links them: a graph of nearest neighbours in (x, y, t), whose edges are grouped into
collinear segments. A line through the members by least squares gives position and velocity, which is better than the
ends that it reports. All that may be chosen is chosen for its best, on other films: see `tune`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from parts.mover_films import MoverTruth
from parts.mover_match import Array, Candidates, Judged, judge
from parts.mover_search import Points
from tomoe_explore.camera import PIXEL_SCALE
from tomoe_explore.wcs import TanSip

FALSE_A_FILM = 0.1  #: at which the peer is tuned, and both are compared
SLOWEST_ARCSEC_S = 0.3  #: what stands is no mover, in the peer's list either
FEWEST_POINTS = 20  #: its graph of neighbours needs some
MOST_EDGES = (
    4500  #: of the graph: with more only the most significant points are taken, for its time grows as the square
)
LEAST_EDGES = 3  #: of a segment; what is too short to be true is ranked low


@dataclass(frozen=True)
class Setting:
    """What may be chosen; the values here are its own defaults, with points above 5 sigma.

    Attributes
    ----------
    snr : float
        Threshold of the points.
    neighbours : int
        Of each point in the graph.
    frame_px : float
        What a frame counts in the distances of the graph, px.
    distance_px, angle_deg, gap : float
        How far from a segment, at what angle to it, and how far from its end an edge may be to join it.
    fastest_px : float
        Largest motion from frame to frame, px.
    by : str
        What ranks its tracklets: ``members`` or ``light`` (root of the sum of squares of the members' S/N).
    """

    snr: float = 5.0
    neighbours: int = 3
    frame_px: float = 1.0
    distance_px: float = 1.0
    angle_deg: float = 3.0
    gap: float = 3.0
    fastest_px: float = 42.0
    by: str = "members"


#: What is tried for each in turn, from the defaults on.
CHOICES: dict[str, tuple[object, ...]] = {
    "snr": (3.5, 3.75, 4.0, 4.5, 5.0),
    "frame_px": (0.5, 1.0, 2.0, 4.0),
    "neighbours": (3, 6, 10),
    "distance_px": (0.7, 1.0, 1.5, 2.0),
    "angle_deg": (3.0, 6.0, 12.0, 20.0),
    "gap": (3.0, 6.0, 12.0),
    "fastest_px": (6.0, 12.0, 42.0),
    "by": ("members", "light"),
}


@dataclass(frozen=True)
class PointFilm:
    """One film as the peer gets it: ``wcs_header`` of the stack, MJD of the start, and the truth to judge by."""

    field: str
    points: Points
    wcs_header: Mapping[str, object]
    mjd_start: float
    truth: MoverTruth

    @cached_property
    def wcs(self) -> TanSip:
        """Pixels of the stack to the sky."""
        return TanSip.from_header(dict(self.wcs_header))


def tracklets(film: PointFilm, setting: Setting) -> Candidates:
    """What tracee makes of the points of one film."""
    import tracee  # there are no wheels of its parts for every machine, and much of the benchmark needs no peer

    p = film.points
    chosen = np.flatnonzero(p.snr >= setting.snr)
    most = MOST_EDGES // setting.neighbours
    chosen = np.sort(chosen[np.argsort(-p.snr[chosen], kind="stable")[:most]])
    lines: list[tuple[float, ...]] = []
    if len(chosen) >= FEWEST_POINTS:
        vertices = np.column_stack([p.x[chosen], p.y[chosen], p.frame[chosen] * setting.frame_px]).astype(float)
        number = {tuple(v): k for v, k in zip(vertices.tolist(), chosen, strict=True)}
        speed = setting.fastest_px / setting.frame_px
        for found in tracee.extract(vertices, n_neighbor=setting.neighbours, max_velocity=speed, param=_param(setting)):
            members = np.array([number[tuple(v)] for v in found.members.tolist()])
            lines.append(_line(p, members, setting.by))
    return _on_the_sky(film, np.array(lines).reshape(-1, 6))


def _param(setting: Setting) -> object:
    import tracee

    param, angle = tracee.default_parameters(), float(np.radians(setting.angle_deg))
    param.limit = LEAST_EDGES
    for step in (param.insert, param.update, param.merge):
        step.argument_limit_base = step.argument_limit_element = angle
        step.distance_limit, step.gap_limit = setting.distance_px, setting.gap
    return param


def _line(p: Points, members: np.ndarray, by: str) -> tuple[float, ...]:
    """``t0, x0, y0, vx, vy`` and score of a straight line through points."""
    t, x, y = p.t[members], p.x[members], p.y[members]
    t0 = t.mean()
    spread = max(float(((t - t0) ** 2).sum()), 1e-9)
    vx, vy = (float(((t - t0) * v).sum() / spread) for v in (x, y))
    frames = np.unique(p.frame[members])
    light = float(np.sqrt(sum(p.snr[members[p.frame[members] == f]].max() ** 2 for f in frames)))
    score = light if by == "light" else len(frames) + light / 1000.0  # of equally many members the brighter
    return float(t0), float(x.mean()), float(y.mean()), vx, vy, score


def _on_the_sky(film: PointFilm, lines: Array) -> Candidates:
    t0, x, y, vx, vy, score = lines[np.hypot(lines[:, 3], lines[:, 4]) * PIXEL_SCALE >= SLOWEST_ARCSEC_S].T
    ra, dec = film.wcs.to_sky(x, y)
    ra2, dec2 = film.wcs.to_sky(x + vx, y + vy)
    east, north = ((ra2 - ra + 180.0) % 360.0 - 180.0) * np.cos(np.radians(dec)) * 3600, (dec2 - dec) * 3600
    unsaid = np.full(len(ra), np.nan)
    return Candidates(
        film.mjd_start + t0 / 86_400.0, ra, dec, np.hypot(east, north), np.degrees(np.arctan2(east, north)) % 360.0,
        score, np.full((len(ra), 2, 2), np.nan), unsaid,
    )  # fmt: skip


# --- its best ------------------------------------------------------------------------------------
def judged(film: PointFilm, setting: Setting) -> Judged:
    """What the peer finds on a film."""
    return judge(tracklets(film, setting), film.truth)


def threshold(empty: Iterable[Judged], rate: float = FALSE_A_FILM) -> float:
    """The lowest score above which films without movers give no more false candidates than ``rate`` a film."""
    films = list(empty)
    scores = np.sort(np.concatenate([j.false for j in films] or [np.empty(0)]))[::-1]
    allowed = int(rate * len(films))
    return float(scores[allowed]) if len(scores) > allowed else -np.inf


def tune(films: list[PointFilm], run: Callable[[Setting], list[Judged]], rounds: int = 2) -> tuple[Setting, float]:
    """The setting with which the peer finds most at `FALSE_A_FILM`, one choice after the other, and what part it finds.

    Parameters
    ----------
    films : list of PointFilm
        With and without movers; in no figure.
    run : callable
        Judges all of them with a setting.
    rounds : int
        Through all choices.
    """
    with_movers = np.array([len(f.truth.movers) > 0 for f in films])

    def found(setting: Setting) -> float:
        all_films = run(setting)
        limit = threshold(j for j, m in zip(all_films, with_movers, strict=True) if not m)
        scores = np.concatenate([j.score for j, m in zip(all_films, with_movers, strict=True) if m])
        return float((scores > limit).mean())

    best = Setting()
    most = found(best)
    for _ in range(rounds):
        before = best
        for name, values in CHOICES.items():
            for value in values:
                if value == getattr(best, name):
                    continue
                other = replace(best, **{name: value})
                part = found(other)
                if part > most:
                    best, most = other, part
        if best == before:
            break
    return best, most
