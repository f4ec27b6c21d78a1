"""Tracks on a stack in JupyterLab: another film is chosen in the list, and the page shows it."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]


def test_a_film_is_chosen(lab, demo):
    lab.open(lab.write("tracks", "import tomoe_explore as te\nview = te.views.tracks(te.open_archive())\nview"))
    lab.run_all()
    lab.page.locator(".jp-OutputArea .tomoe-tracks canvas").first.wait_for(state="attached")
    first = lab.python("view.product_id")
    lab.page.locator(".jp-OutputArea .tomoe-track-list select").select_option(index=2)
    lab.until("view.product_id", lambda value: value != first)
    lab.page.wait_for_function(
        "([id, text]) => window.Bokeh.index.find_one_by_id(id).model.renderers.some("
        "r => (r.data_source.data.text || []).includes(text))",
        arg=[lab.python("view.children[1]._model.id"), lab.python("view._names.data['text'][0]")],
    )
    lab.page.wait_for_timeout(1000)  # the picture is on its way
    lab.screenshot("tracks", ".jp-OutputArea .tomoe-tracks")
    lab.check()
