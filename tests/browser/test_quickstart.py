"""The quickstart in JupyterLab: runs from top to bottom offline, and what one clicks happens in the kernel."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

pytestmark = [pytest.mark.browser, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def notebook(repository: Path) -> Path:
    return repository / "notebooks" / "00_quickstart.ipynb"


def test_quickstart(lab, notebook, demo):
    lab.open(notebook)
    lab.page.evaluate("window.jupyterapp.commands.execute('application:toggle-left-area')")
    lab.run_all()
    for name in ("light-curve", "sky", "movers"):
        canvases = lab.page.locator(f".jp-OutputArea .tomoe-{name} canvas")
        canvases.first.wait_for(state="attached")
        lab.page.locator(f".jp-OutputArea .tomoe-{name}").first.scroll_into_view_if_needed()
        lab.page.wait_for_timeout(500)
        lab.screenshot(f"quickstart-{name}", f".jp-OutputArea .tomoe-{name}")
    assert lab.page.locator(".jp-OutputArea .jp-RenderedImage img").count() == 2
    assert_period_is_the_truth(lab, demo)
    click_a_point(lab)
    click_a_peak(lab)
    zoom_and_click_a_star(lab)
    leaf_through_movers(lab)
    lab.check()


def assert_period_is_the_truth(lab, demo):
    truth = pd.read_parquet(demo / "raw" / "truth" / "variables.parquet").set_index("ref_id")
    period_s = truth.period[int(lab.python("star.ref_id"))] * 86400
    assert float(lab.python("view.period")) == pytest.approx(period_s, rel=0.01)


def click_a_point(lab):
    """A point is clicked: where it comes from is told below the plots."""
    x, y = (float(lab.python(f"view._data.data['{name}'][4]")) for name in ("t", "value"))
    lab.page.mouse.click(*lab.point("view._curve", x, y))
    lab.until("view.point", lambda value: value == "4")
    origin = lab.page.locator(".jp-OutputArea .tomoe-origin").first
    for word in (lab.python("f'frame {view.light_curve[\"frame\"][4]}'"), "← reduction", "← film", "dark-", "flat-"):
        origin.get_by_text(word).first.wait_for(timeout=10_000)
    lab.screenshot("light-curve-origin", ".jp-OutputArea .tomoe-light-curve")


def click_a_peak(lab):
    """Another frequency is clicked: the kernel's period follows, and so does the box that shows it."""
    best = float(lab.python("view.period"))
    other = (
        float(
            lab.python("next(p for p in view.periodogram.peaks[1:] if abs(p.period * 86400 - view.period) > 1).period")
        )
        * 86400
    )
    x, y = lab.point("view._spectrum_plot", 1 / other, 0.5)
    lab.page.mouse.click(x, y)
    lab.until("view.period", lambda value: abs(float(value) - other) < 0.2)
    box = lab.page.locator(".jp-OutputArea .tomoe-period input").first
    assert float(box.input_value()) == pytest.approx(float(lab.python("view.period")))
    lab.page.wait_for_timeout(300)
    lab.screenshot("light-curve-other-peak", ".jp-OutputArea .tomoe-light-curve")
    box.fill(str(best))
    box.press("Enter")
    lab.until("view.period", lambda value: abs(float(value) - best) < 1e-9)


def zoom_and_click_a_star(lab):
    """The wheel draws the sky anew from the sources; a click selects the star under it."""
    star = "sky._sources[sky._sources.source_id == star.source_id].iloc[0]"
    ra, dec = (float(lab.python(f"{star}.{axis}")) for axis in ("x", "dec"))
    before = int(lab.python("sky.pictures"))
    lab.page.mouse.move(*lab.point("sky.figure", ra, dec))
    for _ in range(4):
        lab.page.mouse.wheel(0, -300)
        lab.page.wait_for_timeout(100)
    lab.until("sky.pictures", lambda value: int(value) > before)
    drawn = "sky._ranges.x_range[1] - sky._ranges.x_range[0]"
    lab.until(drawn, lambda value: float(value) == pytest.approx(width_on_page(lab), rel=1e-6))
    assert width_on_page(lab) < 0.4
    lab.until("len(sky._dots.data['x'])", lambda value: int(value) > 0)
    lab.page.wait_for_timeout(800)
    lab.screenshot("sky-zoomed", ".jp-OutputArea .tomoe-sky")
    lab.page.mouse.click(*lab.point("sky.figure", ra, dec))
    ref_id = "sky._sources.set_index('source_id').ref_id.get(sky.selection)"
    lab.until(ref_id, lambda value: value == lab.python("star.ref_id"))
    lab.page.locator(".jp-OutputArea .tomoe-below canvas").first.wait_for(state="attached")
    lab.page.wait_for_timeout(500)
    lab.screenshot("sky-selected", ".jp-OutputArea .tomoe-sky")
    lab.page.locator(".jp-OutputArea .tomoe-layer button", has_text="variability").first.click()
    lab.until("sky._choice.value", lambda value: value == "variability")
    lab.page.wait_for_timeout(1000)
    lab.page.locator(".jp-OutputArea .tomoe-sky").first.evaluate("view => view.scrollIntoView({block: 'center'})")
    lab.screenshot("sky-variability")


def width_on_page(lab):
    """Degrees of right ascension that the page shows: what the kernel has drawn must become the same."""
    find = "id => { const r = window.Bokeh.index.find_one_by_id(id).model.x_range; return Math.abs(r.end - r.start) }"
    return lab.page.evaluate(find, lab.python("sky.figure.id"))


def leaf_through_movers(lab):
    first = lab.python("movers.mover_id")
    lab.page.locator(".jp-OutputArea .tomoe-mover-next").first.click()
    lab.until("movers.mover_id", lambda value: value != first)
    lab.page.locator(".jp-OutputArea .tomoe-mover-mode button", has_text="following").first.click()
    lab.page.locator(".jp-OutputArea .tomoe-mover-play button").first.click()
    lab.until("movers._frame.value", lambda value: int(value) >= 3)
    lab.screenshot("movers-following", ".jp-OutputArea .tomoe-movers")


def test_a_view_shows_what_was_chosen_before_it_was_displayed(lab, demo):
    """Changes between making a view and displaying it are not lost."""
    open_sky = "import tomoe_explore as te\nsky = te.views.sky(te.open_archive())"
    lab.open(
        lab.write("late", open_sky, "sky.select(int(sky._sources.source_id[0]))\nsky.light_curve.period = 3.0", "sky")
    )
    lab.run_all()
    lab.page.locator(".jp-OutputArea .tomoe-below canvas").first.wait_for(state="attached")
    shown = lab.page.evaluate(
        "id => window.Bokeh.index.find_one_by_id(id).model.location", lab.python("sky.light_curve._marker.id")
    )
    assert shown == pytest.approx(1 / 3.0)
    lab.check()
