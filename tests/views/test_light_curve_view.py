"""The light-curve view without a browser."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from tests.views.conftest import PERIOD_S
from tomoe_explore import views
from tomoe_explore.archive import open_archive
from tomoe_explore.views.light_curve_view import LightCurveView


@pytest.fixture
def view(stand_in) -> LightCurveView:
    return views.light_curve(stand_in, (stand_in.ra[0], stand_in.dec[0]))


def test_opens_at_the_best_period(view):
    assert view.period == pytest.approx(PERIOD_S, rel=2e-3)
    assert view._marker.location == pytest.approx(1 / PERIOD_S, rel=2e-3)


def test_click_on_the_periodogram_takes_the_peak_beside_it(view):
    view.period = 7.0
    view._tapped(SimpleNamespace(x=1 / PERIOD_S + 0.004))
    assert view.period == pytest.approx(PERIOD_S, rel=2e-3)


def test_folded_curve_is_the_curve_at_its_phase_twice(view):
    view.period = 2.0
    t = view._data.data["t"]
    phase = view._folded.data["phase"]
    assert np.allclose(phase[: len(t)], (t / 2.0) % 1.0)
    assert np.allclose(phase[len(t) :], phase[: len(t)] + 1.0)


def test_box_and_list_of_peaks_move_the_period(view):
    view._period_box.value = 5.5
    assert view.period == 5.5
    view._peaks.index = 0
    view._peaks.value = view._peaks.options[1][1]
    assert view.period == view._peaks.options[1][1]


def test_magnitudes_run_downwards_and_units_are_named(view):
    assert view._curve.yaxis[0].axis_label == "Flux (µJy)"
    assert np.nanmedian(view._data.data["value"]) == pytest.approx(1000, rel=0.05)
    view._quantity.value = "magnitude"
    assert view._curve.yaxis[0].axis_label == "Gaia G (mag, Vega)"
    assert view._curve.y_range.flipped
    assert np.allclose(view._data.data["value"], view.light_curve["mag"])


def test_line_breaks_between_films(view):
    assert np.isnan(view._lines.data["t"]).sum() == 9


def test_flagged_points_have_another_colour(view):
    colours = view._data.data["colour"]
    assert list(colours).count(colours[5]) == 1


def test_too_few_points_are_shown_without_a_periodogram(stand_in):
    curve = stand_in.light_curve((stand_in.ra[0], stand_in.dec[0]))[:2]
    view = LightCurveView(curve)
    assert view.periodogram is None
    assert "No periodogram" in view.children[0].value


def test_click_on_a_point_tells_where_it_comes_from(stand_in):
    class Knows:
        def provenance(self, source_id: int, *, frame: int) -> SimpleNamespace:
            return SimpleNamespace(summary=lambda: f"source {source_id}, frame {frame} ← film <r>.fits")

    curve = stand_in.light_curve((stand_in.ra[0], stand_in.dec[0]))
    view = LightCurveView(curve, Knows())
    told = view.children[-1]
    assert "Click a point" in told.value
    view._data.selected.indices = [23]
    assert view.point == 23
    assert f"source {stand_in.source_id[0]}, frame 5<br>← film &lt;r&gt;.fits" in told.value
    assert LightCurveView(curve).children[-1].value == ""


def test_click_on_a_point_of_a_real_archive(demo):
    archive = open_archive(demo / "archive")
    star = archive.table("sources", columns=["ra", "dec"]).to_pylist()[0]
    view = views.light_curve(archive, (star["ra"], star["dec"]))
    view.point = 4
    told = view.children[-1].value
    assert f"frame {view.light_curve['frame'][4]}" in told
    assert "dark-111-20200814" in told
    assert "rTMQ1" in told
