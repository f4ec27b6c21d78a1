"""Step 13: moving objects: first what single frames show, linked; then what only their sum along a motion shows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tomoe_explore import memory
from tomoe_explore.camera import PIXEL_SCALE
from tomoe_explore.kernels.linking import frame_points, link
from tomoe_explore.kernels.still import take_off
from tomoe_explore.kernels.track_score import best_track, distinct, erase, motion_snr, quick_snr, track_snr
from tomoe_explore.kernels.tracks import FRAMES, PAD, clipped, search
from tomoe_explore.reduction.moving import CELL, FIT_BONUS, Candidates, ResidualFilm
from tomoe_explore.reduction.values import Bools, Doubles, Floats

POINT_SNR = 4.5  #: of a point in one frame
POINTS_A_FRAME = 200
SUM_SNR = 5.3  #: of a sum on the coarse grid of tracks, whose best ones are then followed exactly
SLOW_SNR = 5.0  #: the same of slow motions among what shines
SLOW = 0.7  #: cells a frame: motions that triples of frames do not show
STILL_TRIPLES = np.zeros((1, 2), np.int64)
STACK_RATE = 15.0  #: largest rate of the sums, arcsec/s; faster ones are linked only
DRIFTS = (0.1, 0.25)  #: speeds that sources of the stack are followed from, cells a frame
MAX_HITS = 60_000
SETTLE_SNR = 4.0  #: of what stands still, in all frames, that is taken off where a film has too many hits
MAX_TRACKS = 1000  #: of one search that are followed
MAX_CANDIDATES = 200
BRIGHT_FRAME = 10.0  #: signal to noise in a frame from which a mover's wings count
SAME_CELLS = 3.0  #: tracks that begin and end as near as this are one
STILL_BONUS = 2.0  #: a motion need not be as significant as the light: few things shine, and fewer of them move
MAY_SHINE, MAY_MOVE = 7.0, 0.8  #: of what is followed: its light; how much more it is than if it stood still
HOPE = 0.9  #: a climb adds no more to a score after its first steps
SURE = 8.0  #: scores from which it does not matter whether another track near has a little more
KEEP_SCORE = 7.1  #: of a mover that is kept: a film of high latitude has a tenth of a false one above it

Track = tuple[float, float, float, float]


@dataclass(frozen=True)
class _Search:
    """Some frames of the film in which tracks are sought."""

    cells: NDArray[np.int8]
    used: Bools
    shifts: Floats
    sigma: float
    correlation: float
    width: float
    shining: Bools  # cells of which the mean over time was taken off
    rates: tuple[float, float]  # cells a frame
    keep: float

    @property
    def n_frames(self) -> int:
        """Number of frames."""
        return len(self.cells)

    def follow(self, track: Track) -> tuple[float, Track]:
        """Score of the best track near one, and that track; the climb is given up where nothing is near."""
        noise = self.sigma, self.correlation, self.width
        film = self.cells, self.used, self.shifts
        light, *near = best_track(*film, track, noise, (0.5, 1, False))
        track = near[0], near[1], near[2], near[3]
        hopeless = light < self.keep - HOPE and not self.shines(track)
        if hopeless or self.score(track)[0] < self.keep - HOPE:
            return 0.0, track
        _, *near = best_track(*film, track, noise, (0.25, 2, False))
        one = near[0], near[1], near[2], near[3]
        score = self.score(one)[0]
        if score >= SURE or not self.shines(track):
            return score, one
        _, *near = best_track(*film, track, noise, (0.5, 3, True))
        other = near[0], near[1], near[2], near[3]
        return max((score, one), (self.score(other)[0], other))

    def moves(self, track: Track) -> bool:
        """Whether it is worth following: bright, or not as bright where it is all the time."""
        light, above = quick_snr(self.cells, self.used, self.shifts, track, (self.sigma, self.correlation))
        return bool(light > MAY_SHINE or above > MAY_MOVE)

    def shines(self, track: Track) -> bool:
        """Whether the mean over time was taken off about its middle, and some of its own light with it."""
        ny, nx = self.shining.shape
        return bool(self.shining[min(max(round(track[1]), 0), ny - 1), min(max(round(track[0]), 0), nx - 1)])

    def score(self, track: Track) -> tuple[float, float]:
        """The greater significance, of the light or of the motion, and `STILL_BONUS` above that of the motion at most.

        Besides the latter itself, however bright single frames are.
        """
        noise = self.sigma, self.correlation
        light, _ = track_snr(self.cells, self.used, self.shifts, track, noise)
        motion, soft = motion_snr(self.cells, self.used, self.shifts, track, (*noise, self.width))
        return float(min(max(light, soft), motion + STILL_BONUS)), float(motion)

    def allowed(self, track: Track) -> bool:
        """Whether its rate is sought."""
        return self.rates[0] <= float(np.hypot(track[2], track[3])) <= self.rates[1]

    def settle(self) -> None:
        """What stands still is gone, bright where the stack knew of no source: a ghost, hot pixels, shaken stars."""
        total = self.cells[self.used].sum(axis=0, dtype=np.int32)
        y, x = np.nonzero(total > SETTLE_SNR * self.sigma * np.sqrt(self.used.sum()))
        take_off(self.cells, self.used, x.astype(float), y.astype(float), np.full(len(x), 0.5))

    def erase(self, track: Track, snr: float) -> None:
        """Its light is gone, out to where it is faint: what shares it is no other object."""
        in_a_frame = snr / float(np.sqrt(self.used.sum()))
        wings = max(in_a_frame / BRIGHT_FRAME, 1.0) ** (1 / 3)
        erase(self.cells, self.used, self.shifts, track, (2.0 * self.width + 1.0) * wings)


def find_movers(
    film: ResidualFilm, frame_interval_s: float, *, rates: tuple[float, float], keep: float = KEEP_SCORE
) -> Candidates:
    """Tracks along which there is light that moves.

    Parameters
    ----------
    film : ResidualFilm
    frame_interval_s : float
    rates : (low, high)
        Sought, arcsec/s.
    keep : float
        Least score of movers in the end; candidates that no fit can bring there are left out.

    Returns
    -------
    Candidates
        Best first, each once, with the score of the search.

    Notes
    -----
    *Linking*: maxima of single frames above `POINT_SNR` that lie on a line at one speed. *Drift*: sources of the stack
    whose light wanders. *Shift and stack*: sums of eighteen frames along all motions up to `STACK_RATE`. Each track is
    then moved to where most light is, each frame between cells and its light clipped. The score is the greater of two
    significances, of the light and of its motion (an unknown still image being profiled out), but at most that of the
    motion and `STILL_BONUS`. The better candidate takes the light that it shares with another.
    """
    scale = frame_interval_s / PIXEL_SCALE / CELL
    low, high, least = rates[0] * scale, rates[1] * scale, keep - FIT_BONUS / 2
    shining: Bools = np.logical_or.reduce([film.shining[j::CELL, i::CELL] for j in range(CELL) for i in range(CELL)])
    found: list[tuple[float, int, Track]] = []
    too_many = False
    for start in range(0, len(film.cells), FRAMES):
        here = slice(start, min(start + FRAMES, len(film.cells)))
        if film.recorded[here].sum() < 4:
            continue
        part = _Search(
            _copy(film.cells[here]), film.recorded[here], film.shifts[here],
            film.sigma, film.correlation, film.width, shining, (low, high), least,
        )  # fmt: skip
        middle = start + (part.n_frames - 1) / 2 - (len(film.cells) - 1) / 2
        one = _linked(part, least)
        one += _drifting(part, film.drifting, middle, least)
        one += _summed(part, min(high, STACK_RATE * scale), least, max(MAX_CANDIDATES - len(one), 0))
        found += [(score, start, track) for score, track in one]
        too_many |= len(one) >= MAX_CANDIDATES
    found.sort(key=lambda candidate: -candidate[0])
    return _candidates(found, film, too_many=too_many)


def _linked(part: _Search, keep: float) -> list[tuple[float, Track]]:
    """What single frames show."""
    n = len(part.cells)
    frame, x, y, _ = frame_points(part.cells, int(POINT_SNR * part.sigma), POINTS_A_FRAME)
    links = link((frame, x, y), n, part.rates[1], max(5, n // 3), MAX_CANDIDATES)
    return _accepted(part, [(x, y, ux, uy) for _, x, y, ux, uy in links.tolist()], keep, MAX_CANDIDATES)


def _drifting(part: _Search, sources: Doubles, later: float, keep: float) -> list[tuple[float, Track]]:
    """What the stack shows and what wanders, in a part of the film whose middle is so many frames after the film's."""
    starts = [
        (x + ux * speed * later, y + uy * speed * later, ux * speed, uy * speed)
        for x, y, ux, uy in sources.tolist() for speed in DRIFTS
    ]  # fmt: skip
    return _accepted(part, starts, keep, MAX_CANDIDATES)


def _copy(cells: NDArray[np.int8]) -> NDArray[np.int8]:
    """The cells in memory of their own, to be written to."""
    own = memory.empty(cells.shape, np.int8)
    own[:] = cells
    return own


def _summed(part: _Search, fastest: float, keep: float, limit: int) -> list[tuple[float, Track]]:
    """What only the sum along a motion shows."""
    n, ny, nx = part.cells.shape
    room = memory.empty((FRAMES, ny, nx + 2 * PAD), np.int8)
    still = np.zeros((ny, nx), np.int8)
    clipped(part.cells, still, room)
    least = SUM_SNR * part.sigma * float(np.sqrt(part.used.sum()))
    hits = memory.empty((MAX_HITS, 5), np.int32)
    settled = False
    while (n_hits := search(room, _motions(fastest), fastest**2, int(least), hits)) == MAX_HITS:
        if settled:
            least *= 1.2
        else:  # a ghost in one place must not raise the threshold everywhere
            part.settle()
            clipped(part.cells, still, room)
            settled = True
    starts = _starts(hits[:n_hits], n)
    clipped(part.cells, part.shining.view(np.int8), room)  # where it shines sums are higher, by one a frame
    n_hits = search(room, STILL_TRIPLES, SLOW**2, int(least), hits)
    starts += _starts(_slow(part, hits[:n_hits]), n)
    return _accepted(part, [track for track in starts if part.moves(track)], keep, limit)


def _starts(hits: NDArray[np.int32], n_frames: int) -> list[Track]:
    """Tracks of hits, each once; the search has its middle in that of eighteen frames."""
    best = distinct(hits, np.argsort(-hits[:, 0], kind="stable"), (FRAMES - 1) / 2, SAME_CELLS, MAX_TRACKS)
    early = (n_frames - FRAMES) / 2
    return [(x + ux / 9 * early, y + uy / 9 * early, ux / 9, uy / 9) for _, x, y, ux, uy in hits[best].tolist()]


def _slow(part: _Search, hits: NDArray[np.int32]) -> NDArray[np.int32]:
    """Hits in a lifted film that are motions: of a slow mover the mean over time took much light, of the noise too."""
    hits = hits[part.shining[hits[:, 2], hits[:, 1]]]
    n, t = int(part.used.sum()), np.flatnonzero(part.used)
    speed = np.hypot(hits[:, 3], hits[:, 4]) / 9
    steps = np.linspace(0, speed.max(initial=0.1), 50)
    apart = (t[:, None] - t).ravel() * steps[:, None]
    left = 1 - np.exp(-(apart**2) / (4 * part.width**2)).mean(axis=1)
    noise = part.sigma * np.sqrt(n * np.interp(speed, steps, left))
    return hits[(speed > 0) & (hits[:, 0] - n > SLOW_SNR * noise)]


def _motions(fastest: float) -> NDArray[np.int64]:
    """Motions of the triples, whole cells a frame."""
    reach = int(np.ceil(fastest))
    along = np.arange(-reach, reach + 1)
    x, y = (a.ravel() for a in np.meshgrid(along, along))
    return np.stack([x, y], axis=1)[np.hypot(x, y) <= fastest + 0.5]


def _accepted(part: _Search, starts: list[Track], keep: float, limit: int) -> list[tuple[float, Track]]:
    """Those above the threshold, best first, each with light of its own."""
    followed = sorted(map(part.follow, starts), key=lambda candidate: -candidate[0])
    accepted: list[tuple[float, Track]] = []
    for score, track in followed:
        if score < keep or len(accepted) == limit:
            break
        left, snr = part.score(track)
        if left >= keep:
            if part.allowed(track):
                accepted.append((score, track))
            part.erase(track, snr)  # also what is not sought: its wings would be found at another rate
    return accepted


def _candidates(found: list[tuple[float, int, Track]], film: ResidualFilm, *, too_many: bool) -> Candidates:
    """Tracks of parts of the film as tracks of the film, each object once, the best `MAX_CANDIDATES`."""
    n = len(film.cells)
    score, start = (np.array([c[k] for c in found], float) for k in (0, 1))
    tracks: Doubles = np.array([c[2] for c in found], float).reshape(-1, 4)
    middle = start + (np.minimum(FRAMES, n - start) - 1) / 2
    alone = np.ones(len(found), bool)
    for k in range(len(found)):
        better = np.flatnonzero(alone[:k] & (start[:k] != start[k]))
        later = (middle[k] - middle[better])[:, None]
        off = np.abs(tracks[better, :2] + tracks[better, 2:] * later - tracks[k, :2])
        slip = np.abs(tracks[better, 2:] - tracks[k, 2:]) * FRAMES
        same = (off <= SAME_CELLS + 0.1 * np.abs(later)).all(axis=1) & (slip <= 3 * SAME_CELLS).all(axis=1)
        alone[k] = not same.any()
    best = np.flatnonzero(alone)[:MAX_CANDIDATES]
    too_many |= int(alone.sum()) >= MAX_CANDIDATES
    return Candidates(tracks[best], middle[best], score[best], too_many)
