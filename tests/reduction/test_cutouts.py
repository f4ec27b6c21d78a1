"""What is kept of a film around movers: made-up films with a point that moves as the rolling shutter sees it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tests.reduction.field import Arrays
from tomoe_explore.camera import GAIN_MODES, NX, NY, PIXEL_SCALE
from tomoe_explore.data import Exposure, Film, MoverCutout, Stack
from tomoe_explore.reduction.cutouts import LARGEST_PX, MARGIN_PX, cut_movers
from tomoe_explore.reduction.values import Calibration, FrameSeries, Prepared
from tomoe_explore.wcs import TanSip

FRAMES, LOST = 6, 4
WCS = TanSip(
    (310.0, -12.0), ((NX - 1) / 2, (NY - 1) / 2), np.diag([-PIXEL_SCALE / 3600, PIXEL_SCALE / 3600]), (), ()
)  # north is up, east is left


@dataclass(frozen=True)
class Scene:
    """A film of sky with points that move; dark 7 ADU, flat 0.5 in the left half; frame `LOST` was not recorded."""

    prepared: Prepared
    frames: FrameSeries

    def cut(self, *movers: dict[str, Any]) -> list[MoverCutout]:
        """Cutouts of rows as in the table ``movers``."""
        return list(cut_movers(self.prepared, self.frames, WCS, pa.Table.from_pylist(list(movers))))


def mover(x: float, y: float, vx: float, vy: float, number: int = 0) -> dict[str, Any]:
    """A row of ``movers``: at (x, y) at the film's middle; pixels a second of the time at its row."""
    ra, dec = WCS.to_sky([x, x + vx], [y, y + vy])
    east, north = (ra[1] - ra[0]) * np.cos(np.radians(dec[0])) * 3600, (dec[1] - dec[0]) * 3600
    return {
        "mover_id": number, "x": x, "y": y, "ra": ra[0], "dec": dec[0], "mjd": 59075.5 + 1.5 / 86400,
        "rate": float(np.hypot(east, north)), "position_angle": float(np.degrees(np.arctan2(east, north)) % 360),
    }  # fmt: skip


def position(row: dict[str, Any], exposure: Exposure, velocity: tuple[float, float], frame: int) -> tuple[float, float]:
    """Where a mover is in a frame, by trial: until the row's time is that of the place."""
    x, y = row["x"], row["y"]
    for _ in range(50):
        seconds = float(exposure.mid_times(frame, y) - row["mjd"]) * 86400
        x, y = row["x"] + velocity[0] * seconds, row["y"] + velocity[1] * seconds
    return x, y


def scene(*points: tuple[dict[str, Any], tuple[float, float]], shift: float = 0.0) -> Scene:
    """Each point is one pixel of 5,000 ADU in each frame; ``shift`` px along x and twice that along y a frame."""
    exposure = Exposure(357754, 112, "object", "2020-08-14", 59075.5, FRAMES, 0.5, 0.499904, 310.0, -12.0,
                        GAIN_MODES["high"])  # fmt: skip
    stored = np.full((FRAMES, NY + 2, NX + 6), 200, ">i2")  # x0 = 6, y0 = 2: reference pixels come first
    for row, velocity in points:
        for frame in range(FRAMES):
            x, y = position(row, exposure, velocity, frame)
            column, line = round(x + shift * frame), round(y + 2 * shift * frame)
            if 0 <= column < NX and 0 <= line < NY:
                stored[frame, 2 + line, 6 + column] = 5000
    film = Film(exposure, Arrays(stored.view(np.int16)), x0=6, y0=2, bscale=0.5, bzero=10.0)
    flat = np.ones((NY, NX), np.float32)
    flat[:, : NX // 2] = 0.5
    bad = np.zeros((NY, NX), bool)
    bad[500, 1000] = True
    calibration = Calibration(np.full((NY, NX), 7, np.float32), flat, bad, 0.23, 8.7, 26000.0, 0)
    image = np.full((NY, NX), 100, np.float32)
    stack = Stack(image, np.full((NY, NX), 20, np.float32), np.zeros((NY, NX), np.uint8), FRAMES - 1)
    motion = np.zeros((2, FRAMES, 3), np.float32)
    motion[:, :, 0] = shift * np.arange(FRAMES) * np.array([[1], [2]])
    none = np.zeros((FRAMES, 1, 1), np.float32)
    series = FrameSeries(motion, np.full(FRAMES, 3, np.float32), np.ones((FRAMES, 3), np.float32), none, 50)
    recorded = np.arange(FRAMES) != LOST
    return Scene(Prepared(film, calibration, recorded, stack, image, None), series)  # type: ignore[arg-type]


def brightest(cutout: MoverCutout, frame: int) -> tuple[int, int]:
    """Column and row of the detector of the brightest pixel of a frame."""
    y, x = np.unravel_index(np.nanargmax(cutout.frames[frame]), cutout.frames.shape[1:])
    return int(cutout.x0[frame] + x), int(cutout.y0[frame] + y)


@pytest.mark.parametrize(
    ("start", "velocity"),
    [((1200.0, 400.0), (3.0, -2.0)), ((700.0, 900.0), (0.0, 30.0)), ((1500.0, 300.0), (-50.0, 10.0))],
    ids=["slow", "along the columns", "fast"],
)
def test_the_mover_is_where_the_cutout_says(start: tuple[float, float], velocity: tuple[float, float]) -> None:
    row = mover(*start, *velocity)
    made = scene((row, velocity))
    (cutout,) = made.cut(row)
    exposure = made.prepared.film.exposure
    for frame in range(FRAMES):
        expected = position(row, exposure, velocity, frame)
        assert (cutout.x[frame], cutout.y[frame]) == pytest.approx(expected, abs=2e-3)
        assert cutout.mjd[frame] == pytest.approx(float(exposure.mid_times(frame, expected[1])), abs=1e-10)
        if frame != LOST:
            assert brightest(cutout, frame) == (round(expected[0]), round(expected[1]))
    assert np.isnan(cutout.frames[LOST]).all()
    assert len(set(cutout.x0.tolist())) == len(set(cutout.y0.tolist())) == 1
    height, width = cutout.frames.shape[1:]
    for at, first, size, speed in (
        (cutout.x, cutout.x0[0], width, velocity[0]),
        (cutout.y, cutout.y0[0], height, velocity[1]),
    ):
        trail = abs(speed) * exposure.exptime1_s / 2
        assert MARGIN_PX <= at.min() - trail - first <= MARGIN_PX + 1
        assert MARGIN_PX <= first + size - 1 - (at.max() + trail) <= MARGIN_PX + 1


def test_a_long_track_is_followed() -> None:
    row, velocity = mover(1000.0, 560.0, 70.0, 60.0), (70.0, 60.0)
    (cutout,) = scene((row, velocity)).cut(row)
    assert len(set(cutout.x0.tolist())) == FRAMES
    assert cutout.frames.size < LARGEST_PX
    half = 16 + np.ceil(0.5 * 0.499904 * np.array([60, 70]))  # the trail in a frame is covered
    assert cutout.frames.shape[1:] == tuple((2 * half + 1).astype(int))
    for frame in set(range(FRAMES)) - {LOST}:
        assert brightest(cutout, frame) == (round(cutout.x[frame]), round(cutout.y[frame]))
        assert np.abs(cutout.x[frame] - cutout.x0[frame] - half[1]) <= 0.5


def test_shifts_of_the_frames_are_followed() -> None:
    row, velocity = mover(1200.0, 400.0, 3.0, -2.0), (3.0, -2.0)
    (cutout,) = scene((row, velocity), shift=1.0).cut(row)
    for frame in set(range(FRAMES)) - {LOST}:
        assert brightest(cutout, frame) == pytest.approx((cutout.x[frame], cutout.y[frame]), abs=0.6)


def test_pixels_are_calibrated_and_bad_ones_blank() -> None:
    row = mover(1000.0, 500.0, 1.0, 0.0)
    (cutout,) = scene().cut(row)
    left, bad = 1000 - int(cutout.x0[0]), 500 - int(cutout.y0[0])
    sky = 200 * 0.5 + 10 - 7
    assert (cutout.frames[0, 0, :left] == sky / 0.5).all()
    assert (cutout.frames[0, 0, left:] == sky).all()
    assert np.isnan(cutout.frames[0, bad, left])
    assert np.isnan(cutout.frames[0]).sum() == 1
    assert cutout.noise == pytest.approx(np.sqrt(20 * 5))


def test_at_the_edge_there_is_less() -> None:
    slow, fast = mover(3.0, 1120.0, 1.0, 0.0, 1), mover(300.0, 1000.0, 130.0, 70.0, 2)
    at_corner, followed = scene((slow, (1.0, 0.0)), (fast, (130.0, 70.0))).cut(slow, fast)
    assert (at_corner.x0[0], at_corner.y0[0] + at_corner.frames.shape[1]) == (0, NY)
    assert np.isfinite(at_corner.frames[0]).all()
    outside = followed.y0[-1] + followed.frames.shape[1] - NY
    assert 0 < outside < followed.frames.shape[1]
    assert np.isnan(followed.frames[-1, -outside:]).all()
    assert np.isfinite(followed.frames[-1, : len(followed.frames[-1]) - outside]).all()
    beyond = scene().cut(mover(-4.0, 1130.0, 0.5, 0.5))[0]  # a fit may end there
    assert np.isfinite(beyond.frames[0]).all()
    assert beyond.noise == pytest.approx(10.0)


def test_no_movers_no_cutouts() -> None:
    made = scene()
    gone = replace(made.prepared, film=replace(made.prepared.film, source=None))  # type: ignore[arg-type]
    rows = pa.Table.from_pylist([mover(1.0, 1.0, 1.0, 1.0)])[:0]
    assert cut_movers(gone, made.frames, WCS, rows) == ()  # the film is not even read
