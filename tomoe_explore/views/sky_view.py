"""The sky of a night: every source through Datashader at every zoom, single stars once they can be told apart."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import holoviews as hv
import ipywidgets as widgets
import numpy as np
import pandas as pd
import traitlets
from bokeh.document import Document
from bokeh.events import Tap
from bokeh.models import ColumnDataSource, HoverTool, LinearColorMapper, LogColorMapper
from bokeh.palettes import Cividis256, Inferno256, Viridis256
from holoviews.operation.datashader import dynspread, rasterize
from holoviews.plotting import bokeh as _bokeh  # noqa: F401  (registers HoloViews' Bokeh plots)
from jupyter_bokeh import BokehModel

from tomoe_explore.archive.pandas_frame import to_pandas
from tomoe_explore.errors import NotFoundError, TomoeError
from tomoe_explore.views.light_curve_view import LightCurveView
from tomoe_explore.views.offline import View
from tomoe_explore.views.style import NIGHT_SKY, ORANGE, WIDE, dark_legend, polish

if TYPE_CHECKING:
    from tomoe_explore.archive import Archive

hv.Store.set_current_backend("bokeh")  # unlike hv.extension, this loads nothing into the page

FRAME_PX = (680, 420)  #: width and height of the picture without axes
SINGLE_STARS = 3000  #: at most so many sources in view are drawn one by one
CLICK_PX = 12  #: a click this near a star is on it
REDRAW_AFTER_S = 0.03  #: of rest: a turn of the wheel is one redraw, not twenty


@dataclass(frozen=True)
class Layer:
    """What the colour of the sky shows."""

    label: str
    column: str
    statistic: str
    log: bool
    palette: tuple[str, ...]
    spread: str


EMBERS = Inferno256[:30:-1]  #: bright is light; the faint end still stands out from the night sky
LAYERS = {
    "brightness": Layer("brightest G (mag)", "mag", "min", False, EMBERS, "min"),
    "variability": Layer("largest reduced χ² of the 2 Hz fluxes", "chi2", "max", True, Viridis256, "max"),
    "measurements": Layer("number of 2 Hz measurements", "n_frames", "sum", True, Cividis256, "add"),
}


class SkyView(View):
    """See `tomoe_explore.views.sky`.

    Attributes
    ----------
    selection : int or None
        ``source_id`` of the star clicked.
    light_curve : LightCurveView or None
        The view below the sky.
    pictures : int
        How many pictures have been drawn.
    figure : bokeh.plotting.figure
        The sky.
    """

    selection = traitlets.Int(None, allow_none=True)
    pictures = traitlets.Int(0)

    def __init__(self, archive: Archive, *, night: str | None = None) -> None:
        self._archive = archive
        self._sources, middle = _sources(archive, night)
        self._ranges = hv.streams.RangeXY(**_whole(self._sources))
        self._layer = hv.streams.Stream.define("Layer", layer="brightness")()
        self._redraw: asyncio.TimerHandle | None = None
        self.light_curve: LightCurveView | None = None
        self._choice = widgets.ToggleButtons(options=list(LAYERS), tooltips=_tooltips(),
                                             layout={"width": "auto"}, style=WIDE)  # fmt: skip
        self._choice.add_class("tomoe-layer")
        self._choice.observe(lambda change: self._show(change["new"]), "value")
        self._caption = widgets.HTML(_caption(self._sources, night))
        self._below = widgets.VBox([widgets.HTML("<i>Click a star to see its light curve.</i>")])
        self._below.add_class("tomoe-below")
        self._frame = widgets.VBox()
        choice = widgets.HBox([widgets.Label("Colour shows"), self._choice])
        super().__init__([self._caption, choice, self._frame, self._below])
        self.add_class("tomoe-sky")
        self._outlines = _outlines(archive, night, middle)
        movers = to_pandas(archive.table("movers", night=night, columns=["ra", "dec"]))
        self._movers = movers.assign(x=_along(movers.ra, middle))
        self._show("brightness")

    def _show(self, layer: str) -> None:
        """Draw with another colour; the part of the sky in view stays."""
        chosen = LAYERS[layer]
        low, high = _limits(self._sources, chosen)
        picture = _picture(self._sources, chosen, self._ranges, self._count)
        picture = picture.opts(cmap=list(chosen.palette), cnorm="log" if chosen.log else "linear", clim=(low, high),
                               clabel=chosen.label, colorbar=True)  # fmt: skip
        x_range, y_range = self._ranges.x_range, self._ranges.y_range
        overlay = (picture * _decoration(self._outlines, self._movers)).opts(
            xlim=x_range, ylim=y_range, invert_xaxis=True, show_legend=True, legend_position="top_left",
            xlabel="Right ascension (deg, ICRS)", ylabel="Declination (deg, ICRS)", show_grid=True,
            frame_width=FRAME_PX[0], frame_height=FRAME_PX[1], bgcolor=NIGHT_SKY, toolbar="above",
            default_tools=["pan", "wheel_zoom", "box_zoom", "reset", "save"], active_tools=["wheel_zoom"],
        )  # fmt: skip
        plot = hv.renderer("bokeh").instance(mode="server").get_plot(overlay, doc=Document())
        self.figure = figure = plot.state
        polish(figure)
        dark_legend(figure)
        figure.on_event(Tap, self._tapped)
        for axis in (figure.x_range, figure.y_range):
            # Not RangesUpdate: Bokeh sends that after a repaint, and the last one may never come.
            axis.on_change("start", self._moved)
            axis.on_change("end", self._moved)
        scale = (LogColorMapper if chosen.log else LinearColorMapper)(palette=list(chosen.palette), low=low, high=high)
        self._dots = _dots(figure, {"field": chosen.column, "transform": scale})
        self._dots.data = self._stars()
        # Not combine_events=True: jupyter_bokeh then drops the last turn of the wheel.
        self._frame.children = [BokehModel(figure)]

    def _count(self, element: Any) -> Any:
        self.pictures += 1
        return element

    def _stars(self) -> dict[str, Any]:
        """The single stars in view, if they are few enough."""
        table = self._sources
        inside = table[table.x.between(*self._ranges.x_range) & table.dec.between(*self._ranges.y_range)]
        if len(inside) > SINGLE_STARS:
            inside = inside[:0]
        columns = {name: inside[name].to_numpy() for name in ("x", "dec", "ra", "mag", "chi2", "n_frames")}
        size = np.clip(4.0 + 2.0 * (17.0 - np.nan_to_num(columns["mag"], nan=20.0)), 4, 18)
        # JavaScript's numbers are too short for an id.
        return columns | {"size": size, "source": [str(source) for source in inside.source_id]}

    def _moved(self, attr: str, old: float, new: float) -> None:
        """Zoom or pan: draw anew when the movement rests."""
        if self._redraw is not None:
            self._redraw.cancel()
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._draw()
        else:
            self._redraw = loop.call_later(REDRAW_AFTER_S, self._draw)

    def _draw(self) -> None:
        x, y = self.figure.x_range, self.figure.y_range
        self._ranges.event(x_range=tuple(sorted((x.start, x.end))), y_range=tuple(sorted((y.start, y.end))))
        self._dots.data = self._stars()

    def _tapped(self, event: Any) -> None:
        x_range, y_range = self._ranges.x_range, self._ranges.y_range
        px_x = (self._sources.x - event.x) * FRAME_PX[0] / abs(x_range[1] - x_range[0])
        px_y = (self._sources.dec - event.y) * FRAME_PX[1] / abs(y_range[1] - y_range[0])
        distance = np.hypot(px_x, px_y)
        if distance.min() <= CLICK_PX:
            self.select(int(self._sources.source_id[distance.idxmin()]))

    def select(self, source_id: int) -> None:
        """Choose a star, as a click does, and show its light curve.

        Raises
        ------
        NotFoundError
            If no source in view has this id.
        """
        rows = self._sources[self._sources.source_id == source_id]
        if rows.empty:
            raise NotFoundError(f"source {source_id} is not among the {len(self._sources)} sources of this view")
        star = rows.iloc[0]
        self.selection = source_id
        try:
            self.light_curve = LightCurveView(self._archive.light_curve((star.ra, star.dec)), self._archive)
            self._below.children = [self.light_curve]
        except TomoeError as error:
            self.light_curve = None
            self._below.children = [widgets.HTML(f"<b>Source {source_id}:</b> {error}")]


def _sources(archive: Archive, night: str | None) -> tuple[pd.DataFrame, float]:
    """Sources with a column ``x`` for the axis of right ascension, and the field's middle on it."""
    columns = ["source_id", "ra", "dec", "mag", "chi2", "n_frames", "refcat", "ref_id"]
    table = to_pandas(archive.table("sources", night=night, columns=columns))
    if table.empty:
        raise NotFoundError(f"no source {f'of night {night} ' if night else ''}in {archive.root}: reduce films first")
    angle = np.radians(table.ra)
    middle = float(np.degrees(np.arctan2(np.sin(angle).mean(), np.cos(angle).mean())) % 360.0)
    return table.assign(x=_along(table.ra, middle)), middle


def _along(ra: Any, middle: float) -> Any:
    """Right ascension that runs on past 0 h and 360 deg, so that neighbours stay neighbours."""
    return (ra - middle + 180.0) % 360.0 - 180.0 + middle


def _whole(sources: pd.DataFrame) -> dict[str, tuple[float, float]]:
    """Ranges that hold all sources, with equal angles along both axes."""
    x, y = sources.x, sources.dec
    x_mid, y_mid = (x.min() + x.max()) / 2, (y.min() + y.max()) / 2
    stretch = max(np.cos(np.radians(y_mid)), 0.01)
    scale = 1.12 * max((x.max() - x.min()) * stretch / FRAME_PX[0], (y.max() - y.min()) / FRAME_PX[1], 1e-5)
    dx, dy = scale * FRAME_PX[0] / stretch / 2, scale * FRAME_PX[1] / 2
    return {"x_range": (x_mid - dx, x_mid + dx), "y_range": (y_mid - dy, y_mid + dy)}


def _picture(sources: pd.DataFrame, layer: Layer, ranges: Any, count: Callable[[Any], Any]) -> Any:
    import datashader

    aggregator = getattr(datashader, layer.statistic)(layer.column)
    points = hv.Points(sources, ["x", "dec"], [layer.column])
    picture = rasterize(points, aggregator=aggregator, streams=[ranges], width=FRAME_PX[0], height=FRAME_PX[1])
    return dynspread(picture.apply(count), max_px=2, threshold=0.7, how=layer.spread)


def _limits(sources: pd.DataFrame, layer: Layer) -> tuple[float, float]:
    """Ends of a colour scale that stays the same at every zoom."""
    low, high = np.nanpercentile(sources[layer.column], [1, 99])
    if layer.statistic == "sum":
        high *= sources.groupby("ref_id").size().max()  # one pixel holds all films of a star
    return float(low), float(max(high, low * 1.01))


def _dots(figure: Any, colour: dict[str, Any]) -> ColumnDataSource:
    """Draw single stars on a figure; what is put into the source returned appears."""
    source = ColumnDataSource()
    dots = figure.scatter(
        "x", "dec", size="size", fill_color=colour, line_color="white", line_alpha=0.6, source=source
    )  # fmt: skip
    position = "@ra{0.00000}, @dec{0.00000} deg"
    tooltips = [("source", "@source"), ("G", "@mag{0.00} mag"), ("χ²", "@chi2{0.00}"), ("RA, Dec", position)]
    figure.add_tools(HoverTool(renderers=[dots], tooltips=tooltips))
    return source


def _decoration(outlines: list[np.ndarray], movers: pd.DataFrame) -> Any:
    paths = hv.Path(outlines, label="detector").opts(color="#5b6f99", line_width=1)
    marks = hv.Points((movers.x, movers.dec), label="mover").opts(
        marker="triangle", size=13, fill_alpha=0, line_color=ORANGE, line_width=2
    )
    return paths * marks


def _outlines(archive: Archive, night: str | None, middle: float) -> list[np.ndarray]:
    """Corners of the stacks, closed, from their STC-S outlines."""
    footprints = archive.table("stacks", night=night, columns=["footprint"])["footprint"].to_pylist()
    outlines = []
    for footprint in footprints:
        numbers = [float(word) for word in footprint.split() if word.replace(".", "").lstrip("+-").isdigit()]
        corners = np.array(numbers).reshape(-1, 2)
        corners[:, 0] = _along(corners[:, 0], middle)
        outlines.append(np.vstack([corners, corners[:1]]))
    return outlines


def _caption(sources: pd.DataFrame, night: str | None) -> str:
    return f"<b>{'Night ' + night if night else 'All nights'}</b>: {len(sources):,} sources"


def _tooltips() -> list[str]:
    return [layer.label for layer in LAYERS.values()]
