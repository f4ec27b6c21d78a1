"""One look for all views: colours that colour-blind readers can tell apart, and plain Bokeh figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bokeh.plotting import figure as Figure

# Okabe & Ito's colours, which differ in lightness too.
BLUE, ORANGE, GREEN, RED, GREY = "#0072b2", "#e69f00", "#009e73", "#d55e00", "#8a8f98"
PALE_BLUE = "#56b4e9"  #: theirs too, for the night sky
INK, SLATE, NIGHT_SKY = "#22262e", "#5b6470", "#0b0e1a"
WIDE = {"button_width": "125px"}  #: of toggle buttons
WIDTH_PX = 860  #: of a view; a cell of JupyterLab on a laptop's screen holds it


def figure(*, x_label: str, y_label: str, height: int, width: int = WIDTH_PX, **options: Any) -> Figure:
    """A Bokeh figure in the house's look.

    Parameters
    ----------
    x_label, y_label : str
        With units.
    height, width : int
        Pixels.
    **options
        Of `bokeh.plotting.figure`.

    Examples
    --------
    >>> figure(x_label="Time (s)", y_label="Flux (µJy)", height=200).xaxis.axis_label
    'Time (s)'
    """
    from bokeh.plotting import figure as bokeh_figure

    options = {"tools": "pan,wheel_zoom,box_zoom,reset,save", "active_scroll": "wheel_zoom"} | options
    plot = bokeh_figure(width=width, height=height, x_axis_label=x_label, y_axis_label=y_label, **options)
    polish(plot)
    return plot


def polish(plot: Figure) -> None:
    """Give a figure, also one that HoloViews made, the house's look."""
    from bokeh.models import ColorBar

    plot.toolbar.logo = None
    plot.outline_line_color = None
    plot.min_border_right = 20
    for axis in [*plot.xaxis, *plot.yaxis]:
        axis.axis_label_text_font_style = "normal"
        axis.axis_label_text_font_size = "13px"
        axis.major_label_text_font_size = "12px"
        axis.axis_label_text_color = axis.major_label_text_color = INK
        axis.axis_line_color = axis.major_tick_line_color = GREY
        axis.minor_tick_line_color = None
    for bar in plot.select(type=ColorBar):
        bar.title_text_font_style, bar.title_text_font_size = "normal", "12px"
        bar.bar_line_color = bar.major_tick_line_color = None
    for grid in [*plot.xgrid, *plot.ygrid]:
        grid.grid_line_color, grid.grid_line_alpha = GREY, 0.2


def legend(plot: Figure, location: str = "top_right") -> None:
    """Put the legend where it belongs, in the house's look."""
    plot.legend.location = location
    plot.legend.orientation = "horizontal"
    plot.legend.label_text_font_size = "12px"
    plot.legend.background_fill_alpha = 0.8
    plot.legend.border_line_color = None
    plot.legend.padding = plot.legend.margin = 4


def dark_legend(plot: Figure) -> None:
    """Make the legend readable on the night sky."""
    plot.legend.background_fill_color = NIGHT_SKY
    plot.legend.background_fill_alpha = 0.7
    plot.legend.border_line_color = None
    plot.legend.label_text_color = "white"
    plot.legend.label_text_font_size = "12px"
