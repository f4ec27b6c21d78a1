import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, map_coordinates

from tomoe_explore.kernels.still import SHIFT_ROWS, drift_snr, take_off

N, NY, NX = 18, 128, 200
WIDTH, SIGMA = 1.1, 2.0
ALL = np.ones(N, bool)
USED = np.arange(N) != 6
T = np.arange(N) - (N - 1) / 2
SHIFTS = np.random.default_rng(3).normal(0, 0.5, (N, NY // SHIFT_ROWS, 2)).astype(np.float32)
NOISE = SIGMA, WIDTH


def noise_film(seed):
    white = np.random.default_rng(seed).normal(size=(N, NY, NX))
    smooth = gaussian_filter(white, (0, WIDTH, WIDTH), mode="wrap") * 2 * np.sqrt(np.pi) * WIDTH
    return np.rint(SIGMA * smooth).astype(np.int8)


def source(x, y, ux, uy, height):
    yy, xx = np.mgrid[:NY, :NX]
    film = np.zeros((N, NY, NX))
    for f in range(N):
        dx, dy = SHIFTS[f, int(y) // SHIFT_ROWS]
        r2 = (xx - x - ux * T[f] - dx) ** 2 + (yy - y - uy * T[f] - dy) ** 2
        film[f] = SIGMA * height * np.exp(-r2 / 4 / WIDTH**2)
    return np.rint(film).astype(np.int8)


def slow_drift(film, used, x, y):
    """The same, sample by sample, by scipy."""
    times = np.flatnonzero(used)
    t = times - times.mean()
    out = []
    for px, py in zip(x, y, strict=True):
        slopes = []
        for f in times:
            dx, dy = SHIFTS[f, min(int(py) // SHIFT_ROWS, NY // SHIFT_ROWS - 1)].astype(float)
            at = [[py + dy, py + dy, py + dy + 1, py + dy - 1], [px + dx + 1, px + dx - 1, px + dx, px + dx]]
            right, left, up, down = map_coordinates(film[f].astype(float), at, order=1)
            slopes.append((right - left, up - down))
        scale = SIGMA * np.sqrt(2 * (1 - np.exp(-1 / WIDTH**2)) * (t**2).sum())
        out.append(t @ np.array(slopes) / scale)
    return np.array(out)


@pytest.mark.parametrize("used", [ALL, USED])
def test_the_drift_is_that_of_plain_numpy(used):
    rng = np.random.default_rng(1)
    x, y = rng.uniform(6, NX - 7, 50), rng.uniform(6, NY - 7, 50)
    film = noise_film(2)
    film[~used] = 127
    np.testing.assert_allclose(drift_snr(film, used, SHIFTS, x, y, NOISE), slow_drift(film, used, x, y), atol=1e-9)


def test_noise_and_stars_that_stand_still_do_not_drift():
    """In units of the noise; frames shifted, of which the source knows."""
    rng = np.random.default_rng(4)
    x, y = rng.uniform(6, NX - 7, 800), rng.uniform(6, NY - 7, 800)
    found = drift_snr(noise_film(5), ALL, SHIFTS, x, y, NOISE)
    assert found.std() == pytest.approx(0.93, abs=0.08)  # interpolation leaves less of the noise
    assert abs(found.mean()) < 0.1
    star = drift_snr(source(80.4, 60.3, 0, 0, 8.0), ALL, SHIFTS, np.array([80.4]), np.array([60.3]), NOISE)
    assert np.abs(star).max() < 0.4


@pytest.mark.parametrize(("ux", "uy"), [(0.1, 0.0), (-0.06, 0.08), (0.0, -0.12)])
def test_a_slow_mover_drifts_along_its_motion(ux, uy):
    (found,) = drift_snr(source(80.4, 60.3, ux, uy, 4.0), ALL, SHIFTS, np.array([80.4]), np.array([60.3]), NOISE)
    size = np.hypot(*found)
    assert size > 4
    assert found / size == pytest.approx(np.array([ux, uy]) / np.hypot(ux, uy), abs=0.1)


def test_sources_at_the_edge_have_no_drift():
    x, y = np.array([1.0, NX - 2.0, 50.0, 50.0]), np.array([60.0, 60.0, 0.5, NY - 1.0])
    assert not drift_snr(noise_film(6), ALL, SHIFTS, x, y, NOISE).any()


@pytest.mark.parametrize("used", [ALL, USED])
def test_what_is_taken_off_sums_to_zero_and_nothing_else_changes(used):
    """Also where two sources overlap, and at the edges; to the last count, for which bytes are shared out."""
    film = noise_film(7) + source(80.4, 60.3, 0, 0, 6.0)
    before = film.copy()
    x, y, reach = np.array([80.4, 84.0, 0.0, NX + 1.0]), np.array([60.3, 61.0, 0.0, 40.0]), np.array([5.0, 4, 3, 3])
    take_off(film, used, x, y, reach)
    yy, xx = np.mgrid[:NY, :NX]
    near = np.zeros((NY, NX), bool)
    for px, py, r in zip(x, y, reach, strict=True):
        near |= (xx - px) ** 2 + (yy - py) ** 2 <= r * r
    assert not film[used].astype(int).sum(axis=0)[near].any()
    np.testing.assert_array_equal(film[:, ~near], before[:, ~near])
    np.testing.assert_array_equal(film[~used], before[~used])
    change = film[used].astype(int) - before[used]
    assert (change.max(axis=0) - change.min(axis=0)).max() <= 1  # the mean over time, rounded up or down
    assert near.sum() > 100
