"""The mover view without a browser."""

from __future__ import annotations

import numpy as np
import pytest

from tomoe_explore import views
from tomoe_explore.errors import NotFoundError, ParameterError


def brightest(image: np.ndarray) -> tuple[int, int]:
    return np.unravel_index(np.nanargmax(image), image.shape)


def test_following_keeps_the_mover_in_the_middle(stand_in):
    view = views.movers(stand_in)
    view._difference.value = True
    view._mode.value = "following"
    for frame in (0, 9, 17):
        view._frame.value = frame
        y, x = brightest(view._now.data["image"][0])
        assert abs(x - 16) <= 1 and abs(y - 16) <= 1
    view._mode.value = "fixed"
    view._frame.value = 0
    assert view._half_fixed == 33
    assert brightest(view._now.data["image"][0])[1] == pytest.approx(33 - 1.2 * 8.5, abs=1.5)


def test_track_lies_on_the_mover(stand_in):
    view = views.movers(stand_in)
    view._difference.value = True
    track = view._track.data
    for frame in (2, 15):
        y, x = brightest(view._shown[frame])
        assert (track["x"][frame] - 0.5, track["y"][frame] - 0.5) == pytest.approx((x, y), abs=1)


def test_next_and_back_go_round(stand_in):
    view = views.movers(stand_in)
    first, second = view.candidates.mover_id
    view._next.click()
    assert view.mover_id == second == view._list.value
    view._next.click()
    assert view.mover_id == first
    view._back.click()
    assert view.mover_id == second


def test_strip_holds_every_frame(stand_in):
    view = views.movers(stand_in)
    strip = view._strip.data["image"][0]
    side = 2 * view._half_fixed
    assert strip.shape == (2 * (side + 2) - 2, 9 * (side + 2) - 2)
    assert np.isfinite(strip).sum() == 17 * 41 * 65  # one frame was lost


def test_sum_along_the_track_shows_the_mover_in_the_middle(stand_in):
    view = views.movers(stand_in)
    added = view._sum.data["image"][0]
    y, x = brightest(added)
    assert (added.shape, abs(x - 16) <= 1, abs(y - 16) <= 1) == ((33, 33), True, True)
    assert added[16, 16] == pytest.approx(17 * 100, rel=0.1)  # what the recorded frames have


def test_magnitudes_have_errors_and_bright_is_up(stand_in):
    view = views.movers(stand_in)
    shown = view._magnitudes.data
    assert len(shown["frame"]) == 18
    np.testing.assert_allclose(shown["high"] - shown["low"], 2.0)  # of 1 mag each
    assert view._magnitude_plot.y_range.start > view._magnitude_plot.y_range.end
    view._next.click()
    assert len(view._magnitudes.data["frame"]) == 0


def test_a_track_that_is_too_long_shows_the_film_that_follows(stand_in, monkeypatch):
    whole = stand_in.mover_film

    def only_following(mover_id: int, *, comoving: bool = False) -> object:
        if not comoving:
            raise ParameterError("take comoving=True")
        return whole(mover_id, comoving=True)

    monkeypatch.setattr(stand_in, "mover_film", only_following)
    view = views.movers(stand_in)
    assert "only the film that follows it" in view._caption.value
    assert len(view._shown) == 18


def test_film_that_is_gone_is_said_and_the_list_stays(stand_in, monkeypatch):
    def gone(*_: object, **__: object) -> None:
        raise NotFoundError("keeps no cutout films")

    monkeypatch.setattr(stand_in, "mover_film", gone)
    view = views.movers(stand_in)
    assert "keeps no cutout films" in view._caption.value
    assert len(view.candidates) == 2


def test_no_mover_is_an_error(stand_in_at_zero_hours):
    with pytest.raises(NotFoundError, match="no mover"):
        views.movers(stand_in_at_zero_hours)
