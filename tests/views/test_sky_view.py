"""The sky view without a browser: events are handed to it as the browser would."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from tomoe_explore import views
from tomoe_explore.errors import NotFoundError


def click(view, ra, dec):
    view._tapped(SimpleNamespace(x=ra, y=dec))


def show(view, x_range, y_range):
    """Zoom as the browser does: right ascension runs to the left."""
    view.figure.x_range.update(start=x_range[1], end=x_range[0])
    view.figure.y_range.update(start=y_range[0], end=y_range[1])


def test_click_on_a_star_selects_it_and_shows_its_light_curve(stand_in):
    view = views.sky(stand_in)
    click(view, stand_in.ra[3] + 1e-4, stand_in.dec[3])
    assert view.selection == stand_in.source_id[3]
    assert view._below.children == (view.light_curve,)
    assert len(view.light_curve.light_curve) == 180


def test_click_on_empty_sky_selects_nothing(stand_in):
    view = views.sky(stand_in)
    click(view, 310.0, -11.5)
    assert view.selection is None


def test_zoom_draws_anew_from_the_sources(stand_in):
    view = views.sky(stand_in)
    before = view.pictures
    ra, dec = stand_in.ra[3], stand_in.dec[3]
    show(view, (ra - 0.02, ra + 0.02), (dec - 0.02, dec + 0.02))
    assert view.pictures > before
    assert view._ranges.x_range == (ra - 0.02, ra + 0.02)
    inside = (abs(stand_in.ra - ra) < 0.02) & (abs(stand_in.dec - dec) < 0.02)
    assert sorted(view._dots.data["source"]) == sorted(stand_in.source_id[inside].astype(str))


def test_every_source_is_in_the_first_picture(stand_in):
    view = views.sky(stand_in)
    (x0, x1), (y0, y1) = view._ranges.x_range, view._ranges.y_range
    assert x0 < stand_in.ra.min() and stand_in.ra.max() < x1
    assert y0 < stand_in.dec.min() and stand_in.dec.max() < y1
    assert (x1 - x0) * np.cos(np.radians(-12)) / 680 == pytest.approx((y1 - y0) / 420, rel=1e-3)


def test_field_across_zero_hours_is_one_field(stand_in_at_zero_hours):
    view = views.sky(stand_in_at_zero_hours)
    x0, x1 = view._ranges.x_range
    assert x1 - x0 < 1.5
    for outline in view._outlines:
        assert np.ptp(outline[:, 0]) == pytest.approx(0.66, abs=0.01)


def test_other_colours_keep_the_part_in_view(stand_in):
    view = views.sky(stand_in)
    show(view, (310.0, 310.1), (-12.1, -12.0))
    for layer in ("variability", "measurements", "brightness"):
        view._choice.value = layer
        assert view._ranges.x_range == (310.0, 310.1)


def test_empty_night_says_what_to_do(stand_in):
    with pytest.raises(NotFoundError, match=r"no source of night 1999-01-01 .*reduce films first"):
        views.sky(stand_in, night="1999-01-01")


def test_unknown_source_is_an_error(stand_in):
    with pytest.raises(NotFoundError, match="source 5 is not among the 40 sources"):
        views.sky(stand_in).select(5)
