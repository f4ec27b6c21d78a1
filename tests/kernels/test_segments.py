"""Segments against sums of the same cells one by one; trails against lines drawn into noise."""

from __future__ import annotations

import numpy as np
import pytest

from tomoe_explore.kernels.segments import find_segments, lags, offsets, turn
from tomoe_explore.kernels.traces import erase, trace

NOISE = np.full(17, 2.0)  # white cells of noise 2


def noise(seed: int = 1, shape: tuple[int, int] = (564, 1000)) -> np.ndarray:
    return np.clip(np.rint(np.random.default_rng(seed).normal(0, 2, shape)), -127, 127).astype(np.int8)


def turned_of(cells: np.ndarray) -> np.ndarray:
    """Memory for the frame turned."""
    ny, nx = cells.shape
    return np.empty((nx // 2, (ny + 7) // 8 * 8), np.int8)


def drawn(cells: np.ndarray, ends: tuple[float, float, float, float], level: float, width: float = 1.0) -> np.ndarray:
    """A Gaussian ridge added."""
    x1, y1, x2, y2 = ends
    y, x = np.mgrid[: cells.shape[0], : cells.shape[1]]
    length = np.hypot(x2 - x1, y2 - y1)
    ux, uy = (x2 - x1) / length, (y2 - y1) / length
    along, across = (x - x1) * ux + (y - y1) * uy, (y - y1) * ux - (x - x1) * uy
    ridge = level * np.exp(-0.5 * (across / width) ** 2) * ((along >= 0) & (along <= length))
    return np.clip(np.rint(cells + ridge), -127, 127).astype(np.int8)


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("coarse", [False, True])
def test_a_segment_is_the_sum_of_its_cells(deep: bool, coarse: bool) -> None:
    """The value noted is the sum along the digital line, less the threshold; of cells and halves clipped as said."""
    cells = noise()
    length = 64 if deep else 32
    threshold = np.full(length // 2 + 1, 18 if deep or coarse else 40, np.int64)
    found = np.empty((20_000, 5), np.int16)
    n = find_segments(cells, turned_of(cells), threshold, (deep, coarse), found)
    assert 50 < n < len(found)
    clipped = np.clip(cells, -7, 7).astype(int)
    checked = 0
    for x1, y1, x2, y2, over in found[:n:7].astype(int):
        if x2 - x1 == abs(y2 - y1):
            continue  # along either axis
        turned = x2 - x1 == length - 1
        moved, main, sign = (y2 - y1, x1, np.sign(y2 - y1)) if turned else (x2 - x1, y1, np.sign(x2 - x1))
        slope = (abs(moved) + 1) // 2
        start = y1 if turned else x1
        at = start + sign * offsets(slope, length)
        size = 564 if turned else 1000
        if at.min() < 0 or at.max() >= size or main + length > (1000 if turned else 564):
            continue
        values = clipped[at, main + np.arange(length)] if turned else clipped[main + np.arange(length), at]
        pairs = values.reshape(-1, 2).sum(axis=1)
        pairs = (pairs + 1) >> 1 if coarse else pairs
        halves = np.maximum(pairs.reshape(-1, 8).sum(axis=1), -8)
        total = sum(np.minimum((halves[k : k + 2] >> 1).sum(), 63) for k in (0, 2)) if deep else halves.sum()
        assert total - threshold[0] == over
        checked += 1
    assert checked > 20


def test_lags_count_the_variance_of_a_sum() -> None:
    near, _ = lags()
    smooth = (noise(2).astype(float) + np.roll(noise(2), 1, 0) + np.roll(noise(2), 1, 1)) / 3
    y, x = np.arange(3), np.arange(-3, 4)
    covariance = np.array([[np.mean(smooth * np.roll(smooth, (-j, -i), (0, 1))) for i in x] for j in y])
    for slope in (0, 6, 16):
        across = offsets(slope, 32)
        total = sum(smooth[r : r + 500, across[r] : across[r] + 900] for r in range(32))
        assert np.var(total) == pytest.approx((near[slope] * covariance).sum(), rel=0.05)


@pytest.mark.parametrize("angle", [0.0, 20.0, 45.0, 70.0, 90.0, 115.0, 160.0])
def test_a_trail_is_traced_once_from_end_to_end(angle: float) -> None:
    u, v = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    ends = (500 - 150 * u, 280 - 150 * v, 500 + 150 * u, 280 + 150 * v)
    cells = drawn(noise(3), ends, 6.0)
    found = np.empty((2000, 5), np.int16)
    n = find_segments(cells, turned_of(cells), np.full(17, 60, np.int64), (False, False), found)
    trails, more = trace(cells, np.empty_like(cells), found[:n], (NOISE, 6.0, 20))
    assert not more
    assert len(trails) == 1
    got = trails[0, :4]
    away = min(np.abs(got - ends).max(), np.abs(got[[2, 3, 0, 1]] - ends).max())
    assert away < 3.0


def test_crossing_and_parallel_trails_stay_apart() -> None:
    lines = [(200.0, 100.0, 600.0, 300.0), (300.0, 320.0, 500.0, 80.0), (200.0, 112.0, 600.0, 312.0)]
    cells = noise(4)
    for line in lines:
        cells = drawn(cells, line, 8.0)
    found = np.empty((4000, 5), np.int16)
    n = find_segments(cells, turned_of(cells), np.full(17, 60, np.int64), (False, False), found)
    trails, _ = trace(cells, np.empty_like(cells), found[:n], (NOISE, 6.0, 20))
    for line in lines:
        away = [min(np.abs(t[:4] - line).max(), np.abs(t[[2, 3, 0, 1]] - line).max()) for t in trails]
        assert min(away) < 5.0


def test_noise_and_stars_are_no_trails() -> None:
    cells = noise(5)
    rng = np.random.default_rng(6)
    y, x = np.mgrid[-3:4, -3:4]
    star = 60 * np.exp(-0.5 * (x**2 + y**2))
    for i, j in zip(rng.integers(5, 990, 80), rng.integers(5, 550, 80), strict=True):
        box = cells[j - 3 : j + 4, i - 3 : i + 4]
        box[:] = np.clip(box + star, -127, 127)
    found = np.empty((4000, 5), np.int16)
    n = find_segments(cells, turned_of(cells), np.full(17, 62, np.int64), (False, False), found)
    trails, _ = trace(cells, np.empty_like(cells), found[:n], (NOISE, 7.0, 20))
    assert len(trails) <= 1


def test_more_trails_than_the_limit_are_told() -> None:
    cells = noise(7)
    for k in range(8):
        cells = drawn(cells, (100.0, 40.0 + 60 * k, 700.0, 60.0 + 60 * k), 8.0)
    found = np.empty((4000, 5), np.int16)
    n = find_segments(cells, turned_of(cells), np.full(17, 60, np.int64), (False, False), found)
    trails, more = trace(cells, np.empty_like(cells), found[:n], (NOISE, 6.0, 3))
    assert (len(trails), more) == (3, True)


def test_what_is_erased_is_a_band_about_the_line() -> None:
    cells = np.ones((60, 90), np.int8)
    erase(cells, (20.0, 10.0, 60.0, 40.0), 4.0)
    y, x = np.nonzero(cells == 0)
    across = ((y - 10) * 40 - (x - 20) * 30) / 50
    along = ((x - 20) * 40 + (y - 10) * 30) / 50
    assert np.abs(across).max() <= 4.0
    assert -4.0 <= along.min() < -2.0
    assert 52.0 < along.max() <= 54.0
    assert len(x) == pytest.approx(8 * 58, rel=0.05)


@pytest.mark.parametrize("shape", [(564, 1000), (8, 8), (13, 24), (30, 21)])
def test_a_frame_is_turned(shape: tuple[int, int]) -> None:
    cells = noise(shape=shape)
    turned = turned_of(cells)
    turn(cells, turned)
    clipped = np.clip(cells[:, : shape[1] // 2 * 2], -7, 7).T
    assert (turned[:, : shape[0]] == clipped[::2] + clipped[1::2]).all()
    assert not turned[:, shape[0] :].any()
