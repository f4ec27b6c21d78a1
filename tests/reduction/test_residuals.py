"""The film of residuals: noise of one sigma, no stars, and every mover with the light that it has."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from scipy.ndimage import maximum_filter

from tests.reduction.mover_film import LEAVING, ON_A_STAR, PLACED, SLOW_AND_BRIGHT, MovingField
from tomoe_explore.kernels.track_score import track_snr
from tomoe_explore.reduction import recipe
from tomoe_explore.reduction.moving import ResidualFilm, to_cells
from tomoe_explore.reduction.values import FrameSeries


@dataclass(frozen=True)
class Seen:
    film: ResidualFilm
    frames: FrameSeries


@pytest.fixture(scope="module")
def seen(moving: MovingField) -> Seen:
    """The residuals as `reduce_film` makes them."""
    p, field = recipe.Parameters(), moving.field
    prepared = recipe._prepare(field.edited(), field.masters, p)
    stars, solution = recipe._astrometry(prepared, field.refcat, p)
    prepared = recipe.replace(prepared, stack=recipe._solved(prepared, solution, p))
    measured, stack, zero = recipe._measure(prepared, stars, solution, p, 1)
    prepared = recipe.replace(prepared, stack=stack)
    return Seen(recipe.residuals(prepared, measured.frames, stars, zero), measured.frames)


def test_cells_without_stars_have_the_noise_that_is_told(seen):
    free = ~(seen.film.shining | seen.film.blocked)
    free = free[::2, ::2] & free[1::2, ::2] & free[::2, 1::2] & free[1::2, 1::2]
    values = seen.film.cells[:, free].astype(np.float32)
    assert free.mean() > 0.7
    assert seen.film.sigma == pytest.approx(2.0, rel=0.08)
    low, high = np.percentile(values, [15.87, 84.13])
    assert (high - low) / 2 == pytest.approx(seen.film.sigma, rel=0.25)  # whole numbers
    assert abs(values.mean()) < 0.1
    # no frame is brighter than another
    assert np.abs(values.mean(axis=1)).max() < 0.3


def test_neighbouring_cells_share_the_noise_that_is_told(seen):
    free = ~(seen.film.shining | seen.film.blocked)[::2, ::2]
    both = free[:, 1:] & free[:, :-1]
    a, b = (np.clip(seen.film.cells[3][:, s].astype(float), -7, 7)[both] for s in (slice(1, None), slice(None, -1)))
    assert np.corrcoef(a, b)[0, 1] == pytest.approx(seen.film.correlation, abs=0.08)


def test_pixels_without_weight_are_zero(seen):
    """Far enough inside them that nothing is smoothed in; the edges are among them."""
    blocked = seen.film.blocked
    assert blocked[:4].all() and blocked[-4:].all() and blocked[:, :4].all() and blocked[:, -4:].all()
    weight = ~blocked
    cells = weight[::2, ::2] | weight[1::2, ::2] | weight[::2, 1::2] | weight[1::2, 1::2]
    far = ~maximum_filter(cells, size=9)
    assert not seen.film.cells[:, far].any()


def test_stars_are_gone(seen):
    """Their mean over time is that of noise, out to the fifth percentile: no star of the catalog shines through."""
    mean = seen.film.cells.mean(axis=0) / seen.film.sigma * np.sqrt(len(seen.film.cells))
    assert (np.abs(mean) > 5).mean() < 0.002
    shining = seen.film.shining[::2, ::2]
    assert 0.03 < shining.mean() < 0.4
    assert seen.film.cells[:, shining].std() < 1.5 * seen.film.sigma


def test_movers_have_their_light(moving, seen):
    """As much signal to noise along the true track as was put in, or nearly: slow ones are not subtracted."""
    film, n = seen.film, len(seen.film.cells)
    noise = film.sigma, film.correlation
    table = moving.positions.set_index(["mover_id", "frame"])
    for number in moving.movers["mover_id"]:
        if number in (SLOW_AND_BRIGHT, ON_A_STAR, LEAVING):
            continue
        places = table.loc[number].iloc[:n]
        x, y = to_cells(places["x"].to_numpy()), to_cells(places["y"].to_numpy())
        frames = np.arange(n) - (n - 1) / 2
        (ux, x0), (uy, y0) = np.polyfit(frames, x, 1), np.polyfit(frames, y, 1)
        found = [
            track_snr(film.cells, film.recorded, film.shifts, (x0 + a, y0 + b, ux, uy), noise)[0]
            for a in np.arange(-1, 1.1, 0.5) for b in np.arange(-1, 1.1, 0.5)
        ]  # fmt: skip
        limited = min(PLACED[number - 1][4], 3.5)
        assert max(found) > 0.75 * limited * np.sqrt(n), (number, max(found))
