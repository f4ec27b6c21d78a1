"""The search for movers on simulated films against their truth, and on films that are not as they should be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tests.reduction.mover_film import DOWN, LEAVING, ON_A_STAR, PLACED, SLOW_AND_BRIGHT, UP, USUAL, MovingField
from tomoe_explore.camera import NX, NY
from tomoe_explore.data import Reduction
from tomoe_explore.reduction.movers import KEEP_SCORE, MAX_CANDIDATES, find_movers
from tomoe_explore.reduction.moving import ResidualFilm, to_cells

ALL = set(range(1, len(PLACED) + 1))
SNR = np.array([snr for *_, snr in PLACED])
PULLS = ["pull_ra", "pull_dec", "pull_rate", "pull_angle"]


@pytest.fixture(scope="module")
def usual(moving) -> Reduction:
    return moving.field.reduce(moving.field.edited())


@pytest.fixture(scope="module")
def long(moving) -> Reduction:
    return moving.field.reduce(moving.field.film)


def found_once(moving: MovingField, reduction: Reduction) -> pd.DataFrame:
    """Candidates; none is the same mover as another."""
    matched = moving.matched(reduction)
    true = matched["truth"][matched["truth"] > 0]
    assert true.is_unique, matched
    return matched


def test_every_mover_is_found_once_and_nothing_else(moving, usual):
    matched = found_once(moving, usual)
    assert set(matched["truth"]) == ALL
    assert (matched["score"] >= KEEP_SCORE).all()
    assert (matched["score"].diff().dropna() <= 0).all()  # the best first
    assert (matched["flags"] == 0).all()


def test_an_object_of_a_long_film_is_one_row_over_all_its_frames(moving, long):
    """36 frames are searched in two parts."""
    matched = found_once(moving, long)
    assert set(matched["truth"]) == ALL
    assert (matched.loc[matched["truth"] != LEAVING, "n_frames"] >= 34).all()


@pytest.mark.parametrize(("n", "least"), [(12, 10.0), (6, 11.0)])
def test_short_films_have_what_their_photons_show(moving, n, least):
    reduction = moving.field.reduce(moving.field.edited(lambda adu: adu[:n]))
    matched = found_once(moving, reduction)
    assert set(matched["truth"]) >= set(np.flatnonzero(SNR * np.sqrt(n) > least) + 1) - {SLOW_AND_BRIGHT, 2, 3}
    assert (matched["truth"] > 0).all()
    assert (matched["n_frames"] <= n).all()


def test_places_and_velocities_are_right_within_their_errors(moving, usual, long):
    pulls = np.concatenate([_usual_ones(moving.matched(r))[PULLS].to_numpy(float).ravel() for r in (usual, long)])
    assert len(pulls) > 120
    assert np.sqrt(np.mean(np.clip(pulls, -4, 4) ** 2)) == pytest.approx(1.1, abs=0.25)
    assert (np.abs(pulls) > 3).mean() < 0.03


def test_places_in_frames_are_right_within_their_errors(moving, usual):
    rows = moving.in_frames(usual)
    assert len(rows) > 300
    east = (rows["ra"] - rows["ra_t"]) * np.cos(np.radians(rows["dec"])) * 3600 / rows["ra_err"]
    north = (rows["dec"] - rows["dec_t"]) * 3600 / rows["dec_err"]
    for pull in (east, north):
        assert np.sqrt((pull**2).mean()) == pytest.approx(1.05, abs=0.15)
        assert abs(pull.mean()) < 0.3
    assert np.abs(rows["mjd"] - rows["mjd_t"]).max() * 86400e3 < 1.5  # ms: a row more or less
    assert np.median(np.abs(rows["mag"] - rows["mag_t"]) / rows["mag_err"]) == pytest.approx(0.67, abs=0.25)


def _usual_ones(matched: pd.DataFrame) -> pd.DataFrame:
    """Without the slow and bright one, of which the reference has too much, and one that lies on a star."""
    return matched[~matched["truth"].isin([0, SLOW_AND_BRIGHT, ON_A_STAR])]


def test_magnitudes_are_right(moving, usual):
    matched = _usual_ones(moving.matched(usual))
    assert (np.abs(matched["off_mag"]) < 0.05 + 3 * matched["mag_err"]).all()
    assert abs(matched["off_mag"].median()) < 0.04


def test_the_rows_times_are_taken_out_of_the_motion(moving, usual, long):
    """One along the rows' sequence and one against it: without, they would be 1.4 per cent slower and faster."""
    for reduction in (usual, long):
        matched = moving.matched(reduction).set_index("truth")
        for number in (UP, DOWN):
            one = matched.loc[number]
            assert one["rate"] == pytest.approx(one["true_rate"], abs=float(4 * one["rate_err"]))
            assert one["rate_err"] < 0.0025 * one["true_rate"]


def test_a_slow_bright_mover_is_no_star(moving, usual, long):
    for reduction in (usual, long):
        one = moving.matched(reduction).set_index("truth").loc[SLOW_AND_BRIGHT]
        assert one["rate"] == pytest.approx(one["true_rate"], rel=0.1)
        assert abs(one["off_mag"]) < 0.15


def test_a_mover_that_leaves_is_measured_while_it_is_there(moving, usual, long):
    for reduction in (usual, long):
        one = moving.matched(reduction).set_index("truth").loc[LEAVING]
        places = moving.positions[moving.positions["mover_id"] == LEAVING]
        there = places["x"].between(1, NX - 3).sum()
        assert abs(one["n_frames"] - there) <= 1
        rows = reduction.tables["mover_detections"].to_pandas().query("mover_id == @one.mover_id")
        assert rows["x"].max() < NX
        assert np.abs(one[PULLS].astype(float)).max() < 4


# --- films that are not as they should be --------------------------------------------------------
def lost_frame(adu: np.ndarray) -> np.ndarray:
    adu[7] = 0
    return adu


def flash(adu: np.ndarray) -> np.ndarray:
    adu[9] += 500 + np.random.default_rng(1).normal(0, 45, adu[9].shape)
    return adu


def shaken(adu: np.ndarray) -> np.ndarray:
    shifts = np.random.default_rng(1).integers(-2, 3, (len(adu), 2))
    return np.stack([np.roll(frame, (dy, dx), (0, 1)) for frame, (dx, dy) in zip(adu, shifts, strict=True)])


def ghost(adu: np.ndarray) -> np.ndarray:
    yy, xx = np.mgrid[:NY, :NX]
    light = 60 * np.exp(-((xx - 1000) ** 2 + (yy - 560) ** 2) / 2 / 50**2)
    return adu + light + np.random.default_rng(3).normal(size=adu.shape) * np.sqrt(light / 0.23)


def flickering(adu: np.ndarray) -> np.ndarray:
    rng = np.random.default_rng(4)
    y, x = rng.integers(10, NY - 10, 300), rng.integers(10, NX - 10, 300)
    jumps = rng.random((len(adu), 300)) < rng.uniform(0.05, 0.5, 300)
    adu[:, y, x] += (np.cumsum(jumps, axis=0) + rng.integers(0, 2, 300)) % 2 * np.exp(rng.uniform(4.6, 6.8, 300))
    return adu


def hot(adu: np.ndarray) -> np.ndarray:
    rng = np.random.default_rng(5)
    adu[:, rng.integers(10, NY - 10, 500), rng.integers(10, NX - 10, 500)] += rng.exponential(800, 500)
    return adu


#: The fault; movers of how many sigma in a frame are found all the same; how many candidates may be false.
FAULTS = [
    (lost_frame, 3.0, 2), (flash, 3.5, 2), (flickering, 3.0, 1), (shaken, 20.0, 18), (ghost, 3.0, 2), (hot, 6.0, 2),
]  # fmt: skip


@pytest.mark.parametrize(("fault", "seen", "false"), FAULTS)
def test_a_bad_film_has_its_movers_and_no_flood(
    moving: MovingField, fault: Callable[[np.ndarray], np.ndarray], seen: float, false: int
) -> None:
    matched = found_once(moving, moving.field.reduce(moving.field.edited(fault)))
    assert set(matched["truth"]) >= set(np.flatnonzero(seen <= SNR) + 1) - {SLOW_AND_BRIGHT, LEAVING}
    assert (matched["truth"] == 0).sum() <= false, matched


def test_a_film_without_movers_has_no_good_candidate(night):
    """Three films, each with one bright mover and a streak: nothing else has a score above 8."""
    others = [r.tables["movers"]["score"].to_numpy()[1:] for r in night.reductions]
    assert np.concatenate(others).max(initial=0) < 8


# --- made-up residuals ---------------------------------------------------------------------------
def made_up(tracks: np.ndarray, snr: np.ndarray, *, n: int = USUAL, seed: int = 1) -> ResidualFilm:
    """Noise and the images of movers: x and y at the middle, motion, in cells; signal over noise a frame."""
    rng = np.random.default_rng(seed)
    width, shape = 1.0, (NY // 2, NX // 2)
    cells = np.empty((n, *shape), np.int8)
    reach = np.arange(-6, 7)
    for f in range(n):
        image = 2 * _smoothed(rng, shape, width)
        for (x, y, ux, uy), height in zip(tracks, snr, strict=True):
            px, py = x + ux * (f - (n - 1) / 2), y + uy * (f - (n - 1) / 2)
            i, j = round(px) + reach, round(py) + reach
            i, j = i[(i >= 0) & (i < shape[1])], j[(j >= 0) & (j < shape[0])]
            image[np.ix_(j, i)] += 2 * height * np.exp(-((j[:, None] - py) ** 2 + (i - px) ** 2) / 4 / width**2)
        cells[f] = np.clip(np.rint(image), -127, 127)
    nothing = np.zeros((NY, NX), bool)
    shifts = np.zeros((n, (shape[0] + 31) // 32, 2), np.float32)
    return ResidualFilm(cells, np.ones(n, bool), 2.0, width, shifts, np.zeros((NY, NX), np.float32), nothing, nothing)


def _smoothed(rng: np.random.Generator, shape: tuple[int, int], width: float) -> np.ndarray:
    half = np.exp(-0.5 * (np.arange(-4, 5) / width) ** 2)
    half /= np.sqrt((half**2).sum())
    white = rng.standard_normal(shape, np.float32)
    for axis in (0, 1):
        white = sum(np.roll(white, k, axis) * np.float32(v) for k, v in zip(range(-4, 5), half, strict=True))
    return white


def grid_of_tracks(n: int, seed: int) -> np.ndarray:
    """So many tracks 30 cells apart, of all directions and 0.2 to 1.2 cells a frame."""
    rng = np.random.default_rng(seed)
    x, y = (a.ravel() for a in np.meshgrid(np.arange(30, 970, 38.0), np.arange(30, 530, 38.0)))
    chosen = rng.permutation(len(x))[:n]
    speed, angle = rng.uniform(0.2, 1.2, n), rng.uniform(0, 2 * np.pi, n)
    return np.column_stack([x[chosen], y[chosen], speed * np.cos(angle), speed * np.sin(angle)])


def test_of_more_than_two_hundred_the_best_are_kept_and_it_is_said():
    tracks = grid_of_tracks(260, 2)
    snr = np.where(np.arange(260) < 60, 12.0, 3.5)
    found = find_movers(made_up(tracks, snr), 0.5, rates=(0.3, 100.0))
    assert len(found) == MAX_CANDIDATES and found.too_many
    assert (np.diff(found.score) <= 0).all()
    away = np.hypot(found.tracks[:, 0, None] - tracks[:60, 0], found.tracks[:, 1, None] - tracks[:60, 1])
    assert (away.min(axis=0) < 1.5).all()


def test_fewer_are_all_kept_and_nothing_is_said():
    tracks = grid_of_tracks(60, 3)
    found = find_movers(made_up(tracks, np.full(60, 3.5)), 0.5, rates=(0.3, 100.0))
    away = np.hypot(found.tracks[:, 0, None] - tracks[:, 0], found.tracks[:, 1, None] - tracks[:, 1])
    assert not found.too_many
    assert (away.min(axis=0) < 1.5).mean() > 0.96
    assert (away.min(axis=1) < 1.5).all()


def test_noise_alone_has_hardly_a_candidate_and_lost_frames_have_none():
    film = made_up(np.zeros((0, 4)), np.zeros(0), seed=4)
    found = find_movers(film, 0.5, rates=(0.3, 100.0))  # the fit would not bring them to the threshold
    assert len(found) < 5 and (found.score < KEEP_SCORE - 0.5).all()
    lost = replace(film, recorded=np.arange(USUAL) < 3)
    lost.cells[3:] = 0
    assert len(find_movers(lost, 0.5, rates=(0.3, 100.0))) == 0


def test_only_rates_that_are_sought_are_found():
    x, y = to_cells(np.array([600.0, 1200.0])), to_cells(np.array([500.0, 500.0]))
    cells_a_frame = np.array([1.0, 6.0]) * 0.5 / 1.189 / 2  # arcsec/s
    tracks = np.column_stack([x, y, cells_a_frame, np.zeros(2)])
    film = made_up(tracks, np.full(2, 8.0))
    for rates, expected in (((0.3, 100.0), 2), ((2.0, 100.0), 1), ((0.3, 3.0), 1), ((2.0, 3.0), 0)):
        found = find_movers(film, 0.5, rates=rates)
        assert len(found) == expected, rates


def test_slow_movers_are_found_where_the_mean_over_time_was_taken_off():
    """It took two thirds of their own light; no sum comes above the threshold, but the motions are significant."""
    tracks = grid_of_tracks(40, 5)
    tracks[:, 2:] *= 0.2 / np.hypot(tracks[:, 2], tracks[:, 3])[:, None]
    film = made_up(tracks, np.full(40, 3.4))
    still = np.rint(film.cells.mean(axis=0)).astype(np.int8)
    film = replace(film, cells=film.cells - still, shining=np.ones((NY, NX), bool))
    found = find_movers(film, 0.5, rates=(0.3, 100.0))
    away = np.hypot(found.tracks[:, 0, None] - tracks[:, 0], found.tracks[:, 1, None] - tracks[:, 1])
    assert (away.min(axis=0) < 1.5).mean() > 0.9
    assert (away.min(axis=1) < 2.0).all()
