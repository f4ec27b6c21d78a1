import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from tomoe_explore.kernels.track_score import SOFT, best_track, distinct, erase, motion_snr, track_snr

N, NY, NX = 18, 160, 220
WIDTH = 1.1  #: of the smoothing, cells
SIGMA = 2.0
RHO = float(np.exp(-1 / 4 / WIDTH**2))
ALL = np.ones(N, bool)
STILL = np.zeros((N, NY // 32, 2), np.float32)
SHAKEN = np.random.default_rng(9).normal(0, 0.8, STILL.shape).astype(np.float32)
T = np.arange(N) - (N - 1) / 2


def noise_film(seed, n=N):
    """Smoothed noise as a film of residuals has it."""
    white = np.random.default_rng(seed).normal(size=(n, NY, NX))
    smooth = gaussian_filter(white, (0, WIDTH, WIDTH), mode="wrap") * 2 * np.sqrt(np.pi) * WIDTH
    return np.clip(np.rint(SIGMA * smooth), -127, 127).astype(np.int8)


def planted(track, height, shifts=STILL, film=None):
    """Images of a height (sigma) along a track, their width that of a star smoothed by its own image."""
    x, y, ux, uy = track
    film = np.zeros((N, NY, NX)) if film is None else film.astype(float)
    yy, xx = np.mgrid[:NY, :NX]
    for f in range(N):
        py = y + uy * T[f]
        dx, dy = shifts[f, int(np.clip(py // 32, 0, NY // 32 - 1))]
        r2 = (xx - x - ux * T[f] - dx) ** 2 + (yy - py - dy) ** 2
        film[f] += SIGMA * height * np.exp(-r2 / 4 / WIDTH**2)
    return np.rint(film).astype(np.int8)


def random_tracks(seed, n, speed):
    rng = np.random.default_rng(seed)
    angle = rng.uniform(0, 2 * np.pi, n)
    return list(
        zip(
            rng.uniform(60, NX - 60, n), rng.uniform(60, NY - 60, n), speed * np.cos(angle), speed * np.sin(angle),
            strict=True,
        )
    )  # fmt: skip


@pytest.mark.parametrize("speed", [0.2, 1.0, 2.5, 6.0])
def test_noise_along_a_track_has_unit_variance(speed):
    """Whatever the place between cells, and however many places a trail is made of."""
    values = []
    for seed in range(3):
        film = noise_film(seed)
        values += [track_snr(film, ALL, SHAKEN, t, (SIGMA, RHO)) for t in random_tracks(seed, 500, speed)]
    snr, seen = np.array(values).T
    whole = snr[seen == N] if speed < 5 else snr
    assert abs(whole.mean()) < 0.12
    assert whole.std() == pytest.approx(1, abs=0.08)


@pytest.mark.parametrize("shifts", [STILL, SHAKEN])
@pytest.mark.parametrize("place", [(80.0, 70.0), (80.5, 70.5), (80.3, 70.8)])
def test_the_light_along_a_track_is_what_was_planted(place, shifts):
    """Frames shifted band by band; between cells interpolation costs light and noise alike."""
    track = (*place, 0.7, -0.45)
    snr, n = track_snr(planted(track, 2.5, shifts), ALL, shifts, track, (SIGMA, RHO))
    assert n == N
    assert snr == pytest.approx(2.5 * np.sqrt(N), rel=0.06)
    aside = (place[0] + 9, *track[1:])
    assert abs(track_snr(planted(track, 2.5, shifts), ALL, shifts, aside, (SIGMA, RHO))[0]) < 0.3


def test_one_bright_frame_counts_little_and_frames_not_recorded_not_at_all():
    film = np.zeros((N, NY, NX), np.int8)
    film[4, 60:64, 60:64] = 100
    film[7] = 127
    used = np.arange(N) != 7
    snr, n = track_snr(film, used, STILL, (61.5, 61.5, 0.0, 0.0), (SIGMA, RHO))
    assert n == N - 1
    part = np.sqrt((1 - 0.5 * (1 - RHO)) ** 2)
    assert snr == pytest.approx((SOFT + 0.5 * np.log(1 + 50 / part - SOFT)) / np.sqrt(N - 1), rel=0.02)


def test_frames_that_a_track_has_left_do_not_count():
    film = noise_film(1)
    snr, n = track_snr(film, ALL, STILL, (NX - 10.0, 50.0, 2.0, 0.0), (SIGMA, RHO))
    assert n == sum(NX - 10 + 2 * t + 2 < NX - 1 for t in T)
    assert track_snr(film, ALL, STILL, (-900.0, 50.0, 1.0, 0.0), (SIGMA, RHO)) == (0.0, 0)
    assert np.isfinite(snr)


def test_the_best_track_is_found_from_nearby():
    true = (90.3, 71.6, 0.83, -0.41)
    film = planted(true, 3.0, SHAKEN, noise_film(4))
    start = (91.2, 70.9, 0.75, -0.34)
    snr, x, y, ux, uy = best_track(film, ALL, SHAKEN, start, (SIGMA, RHO, 1.0), (0.5, 3, False))
    assert snr == track_snr(film, ALL, SHAKEN, (x, y, ux, uy), (SIGMA, RHO))[0]
    assert snr >= track_snr(film, ALL, SHAKEN, true, (SIGMA, RHO))[0] - 0.2
    assert (x, y) == pytest.approx(true[:2], abs=0.35)
    assert (ux, uy) == pytest.approx(true[2:], abs=0.06)


def test_the_best_motion_is_found_where_the_mean_over_time_was_taken_off():
    """There the light is least where the motion is slow; a climb by the light alone goes astray."""
    true = (90.3, 71.6, 0.25, -0.1)
    film = planted(true, 4.0, SHAKEN, noise_film(6)).astype(float)
    film -= film.mean(axis=0)
    film = np.rint(film).astype(np.int8)
    start, noise = (91.1, 71.0, 0.31, -0.05), (SIGMA, RHO, WIDTH)
    soft, *track = best_track(film, ALL, SHAKEN, start, noise, (0.5, 3, True))
    assert soft == motion_snr(film, ALL, SHAKEN, tuple(track), noise)[1]
    assert soft > motion_snr(film, ALL, SHAKEN, true, noise)[1] - 0.2
    assert track == pytest.approx(true, abs=0.5)
    assert track[2:] == pytest.approx(true[2:], abs=0.06)


def test_a_source_that_stands_still_has_no_motion():
    """Not even along a slow track, where all its light lies; nor does one that varies evenly about its mean."""
    film = planted((100.4, 80.2, 0.0, 0.0), 3.0, SHAKEN)
    slow = (100.4, 80.2, 0.03, 0.02)
    assert track_snr(film, ALL, SHAKEN, slow, (SIGMA, RHO))[0] > 11
    for speed in (0.03, 0.1, 0.3):
        moved = (100.4, 80.2, speed, 0.0)
        assert np.abs(motion_snr(film, ALL, SHAKEN, moved, (SIGMA, RHO, WIDTH))).max() < 0.7


@pytest.mark.parametrize("speed", [0.15, 0.4, 1.2])
def test_the_motion_is_as_significant_as_its_frames_differ(speed):
    """``A sqrt(n - sum K / n)`` with K the overlap of the images of two frames."""
    track = (100.4, 80.2, speed, 0.0)
    overlap = np.exp(-((T[:, None] - T) ** 2) * speed**2 / 4 / WIDTH**2).sum()
    found, soft = motion_snr(planted(track, 3.0), ALL, STILL, track, (SIGMA, RHO, WIDTH))
    assert found == pytest.approx(3.0 * np.sqrt(N - overlap / N), rel=0.08)
    assert soft == pytest.approx(found, rel=0.01)  # no frame has more than is counted


@pytest.mark.parametrize("speed", [0.2, 1.0])
def test_noise_has_unit_variance_in_the_motion_too(speed):
    film = noise_film(11)
    values = [motion_snr(film, ALL, STILL, t, (SIGMA, RHO, WIDTH))[0] for t in random_tracks(3, 500, speed)]
    assert np.std(values) == pytest.approx(1, abs=0.12)
    assert abs(np.mean(values)) < 0.15


def test_three_bright_frames_make_little_motion():
    """They do in the plain sum, not where each frame is limited."""
    track, film = (90.3, 71.6, 2.0, 0.5), np.zeros((N, NY, NX), np.int8)
    film[[3, 8, 14]] = planted(track, 20.0)[[3, 8, 14]]
    plain, soft = motion_snr(film, ALL, STILL, track, (SIGMA, RHO, WIDTH))
    assert plain == pytest.approx(3 * 20 / np.sqrt(N), rel=0.15)
    assert soft < 0.35 * plain


def test_nothing_is_said_about_one_frame():
    film = noise_film(12)
    one = np.arange(N) == 3
    assert motion_snr(film, one, STILL, (90.0, 70.0, 0.5, 0.0), (SIGMA, RHO, WIDTH)) == (0.0, 0.0)


def test_a_track_that_is_erased_is_gone_and_nothing_else():
    film = np.full((N, NY, NX), 9, np.int8)
    track, used = (90.0, 70.0, 2.5, -1.0), np.arange(N) != 5
    erase(film, used, SHAKEN, track, 3.0)
    assert (film[5] == 9).all()
    snr, _ = track_snr(film, used, SHAKEN, track, (SIGMA, RHO))
    assert snr == 0.0
    yy, xx = np.mgrid[:NY, :NX]
    for f in np.flatnonzero(used):
        py = track[1] + track[3] * T[f]
        dx, dy = SHAKEN[f, int(py // 32)]
        gone = film[f] == 0
        distance = np.hypot(xx - track[0] - track[2] * T[f] - dx, yy - py - dy)
        assert gone[distance < 2.5].all()
        assert distance[gone].max() < 3.0 + 0.5 * np.hypot(2.5, 1.0) + 0.01


def test_a_track_at_the_edge_is_erased_without_harm():
    film = np.full((N, NY, NX), 9, np.int8)
    erase(film, ALL, STILL, (1.0, NY - 1.0, -2.0, 1.5), 4.0)
    assert 0 < (film == 0).sum() < 40 * N


def test_of_hits_of_one_object_the_best_is_chosen():
    rng = np.random.default_rng(7)
    hits = np.column_stack(
        [rng.integers(50, 120, 400), rng.integers(0, 60, (400, 2)), rng.integers(-9, 10, (400, 2))]
    ).astype(np.int32)
    order = np.argsort(-hits[:, 0], kind="stable")
    chosen = distinct(hits, order, 8.5, 3.0, 400)
    u = hits[:, 3:] / 9
    ends = np.column_stack([hits[:, 1:3] - 8.5 * u, hits[:, 1:3] + 8.5 * u])
    expected: list[int] = []
    for k in order:
        if all(np.abs(ends[k] - ends[j]).max() > 3.0 for j in expected):
            expected.append(k)
    assert chosen.tolist() == expected
    assert 10 < len(expected) < 400
    assert distinct(hits, order, 8.5, 3.0, 7).tolist() == expected[:7]
