"""Bokeh in a notebook without the internet: the script travels with the first view, from this machine's own copy.

``output_notebook()`` and ``hv.extension()`` point the browser at a content network by default, and on a machine
without internet the cell stays blank. Every view is a `View` instead.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import ipywidgets as widgets


@cache
def _script() -> str:
    """BokehJS, to be run only where the page has none of this version yet."""
    from bokeh import __version__
    from bokeh.resources import Resources

    code = "\n".join(Resources(mode="inline", components=["bokeh", "bokeh-api"]).js_raw)
    return f"if (window.Bokeh?.version !== {__version__!r}) {{\n{code}\n}}"


def load_bokeh() -> None:
    """Give the page BokehJS; outside a notebook nothing happens.

    It is sent whenever a view is displayed (1 MB over loopback): a kernel cannot know that its page was reloaded.

    Examples
    --------
    >>> from tomoe_explore.views.offline import load_bokeh
    >>> load_bokeh()
    """
    from IPython.core.getipython import get_ipython

    shell = get_ipython()
    if shell is not None and hasattr(shell, "kernel"):
        from IPython.display import publish_display_data

        # This type is run by jupyter_bokeh's extension of JupyterLab, as a script of the page.
        publish_display_data({"application/vnd.bokehjs_load.v0+json": _script(), "text/plain": ""})


class View(widgets.VBox):
    """Parent of all views: a box of widgets and Bokeh plots that shows what it holds *when it is displayed*."""

    def _repr_mimebundle_(self, **options: Any) -> Any:
        load_bokeh()
        for plot in _plots(self):
            # A plot is sent to the page as it was when it was made; changes since then would be lost.
            plot.render_bundle = plot._model_to_traits(plot._model)
        return super()._repr_mimebundle_(**options)


def _plots(widget: widgets.Widget) -> list[Any]:
    """All Bokeh plots inside a widget."""
    if hasattr(widget, "render_bundle"):
        return [widget]
    return [plot for child in getattr(widget, "children", ()) for plot in _plots(child)]
