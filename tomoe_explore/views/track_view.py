"""What moved on a film, drawn on its stack: tracks of movers, and streaks with class and rate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ipywidgets as widgets
import numpy as np
import pandas as pd
import traitlets
from bokeh.models import ColumnDataSource, HoverTool, LinearColorMapper, Range1d
from jupyter_bokeh import BokehModel

from tomoe_explore.archive.pandas_frame import to_pandas
from tomoe_explore.camera import NX, NY
from tomoe_explore.errors import NotFoundError
from tomoe_explore.views.offline import View
from tomoe_explore.views.style import GREEN, GREY, NIGHT_SKY, ORANGE, PALE_BLUE, RED, WIDTH_PX, dark_legend, figure

if TYPE_CHECKING:
    from tomoe_explore.archive import Archive

CLASSES = {"satellite": PALE_BLUE, "meteor": GREEN, "glint": RED, "unknown": GREY}  #: colours of streaks
SOFT = 3.0  #: noise of the sky below which the picture is linear; above it follows the logarithm
BESIDE_PX = 9.0  #: of a streak's lines from its ridge, so that it can be seen between them
RING_PX = 28.0  #: about the middle of a mover's track

_FILM = ["exposure_id", "detector_id"]
_MOVER = [
    ("mover", "@mover_id"), ("G", "@mag{0.00} ± @mag_err{0.00}"), ("rate", "@rate{0.00} ± @rate_err{0.00} ″/s"),
    ("position angle", "@position_angle{0.0}°"), ("score", "@score{0.0}"), ("known object", "@known"),
]  # fmt: skip
_STREAK = [
    ("streak", "@streak_id"), ("class", "@kind @class_probability{0.00}"), ("rate", "@speed"),
    ("G", "@mag{0.00}"), ("frames", "@frame_first to @frame_last"), ("length", "@length{0} ″"),
]  # fmt: skip


class TrackView(View):
    """See `tomoe_explore.views.tracks`.

    Attributes
    ----------
    product_id : str
        Stack shown; setting it shows another.
    movers, streaks : pandas.DataFrame
        What is drawn on it.
    """

    product_id = traitlets.Unicode()

    def __init__(self, archive: Archive, *, night: str | None = None) -> None:
        self._archive = archive
        self._stacks = to_pandas(archive.table("stacks", night=night)).sort_values(_FILM, ignore_index=True)
        if self._stacks.empty:
            raise NotFoundError(f"no stack {f'of night {night} ' if night else ''}in {archive.root}")
        labels = _labels(archive, self._stacks, night)
        self._list = widgets.Dropdown(description="Film", options=labels, layout={"width": "480px"})
        self._list.add_class("tomoe-track-list")
        self._list.observe(lambda change: setattr(self, "product_id", change["new"]), "value")
        self._pixels, self._tracks, self._rings = ColumnDataSource(), ColumnDataSource(), ColumnDataSource()
        self._rails, self._glints, self._names = ColumnDataSource(), ColumnDataSource(), ColumnDataSource()
        plot = self._figure()
        self.observe(lambda _: self._open(), "product_id")
        self.product_id = labels[0][1]
        super().__init__([self._list, BokehModel(plot)])
        self.add_class("tomoe-tracks")

    def _open(self) -> None:
        """Fetch a stack and what moved on it."""
        found = self._stacks[self._stacks["product_id"] == self.product_id]
        if found.empty:
            raise NotFoundError(f"no stack {self.product_id!r} in this view: its list names them")
        self._list.value = self.product_id
        film: dict[str, Any] = {name: int(found[name].iloc[0]) for name in _FILM}
        self._pixels.data = {"image": [_stretched(self._archive.read_stack(self.product_id).data)]}
        names = "movers", "streaks", "mover_detections"
        movers, streaks, detections = (self._archive.table(name, **film) for name in names)
        self.movers, self.streaks = to_pandas(movers), to_pandas(streaks)
        self._draw_movers(movers.to_pylist(), to_pandas(detections))
        self._draw_streaks(streaks.to_pylist())
        self._draw_names(movers.to_pylist(), streaks.to_pylist())

    def _draw_names(self, movers: list[dict[str, Any]], streaks: list[dict[str, Any]]) -> None:
        """What each thing is, to the right of it."""
        labels = [(m["x"] + 1.3 * RING_PX, m["y"], f"{m['rate']:.2f}″/s", ORANGE) for m in movers]
        for streak in streaks:
            x, y = ((streak[f"{axis}1"] + streak[f"{axis}2"]) / 2 for axis in "xy")
            dx, dy = _beside(streak["x2"] - streak["x1"], streak["y2"] - streak["y1"])
            away = 2.5 if dx >= 0 else -2.5
            text = ", ".join(filter(None, _said(streak)))
            labels.append((x + away * dx, y + away * dy, text, _colour(streak)))
        self._names.data = _columns(labels, "x y text colour")

    def _draw_movers(self, movers: list[dict[str, Any]], detections: pd.DataFrame) -> None:
        tracks = [part.sort_values("frame") for _, part in detections.groupby("mover_id")]
        self._tracks.data = {name: [part[name].to_numpy() + 0.5 for part in tracks] for name in ("x", "y")}
        shown = "mag mag_err rate rate_err position_angle score"
        rows = [
            (
                m["x"] + 0.5,
                m["y"] + 0.5,
                str(m["mover_id"]),
                m["known_as"] or m["known"],
                *(m[n] for n in shown.split()),
            )
            for m in movers
        ]
        self._rings.data = _columns(rows, f"x y mover_id known {shown}")

    def _draw_streaks(self, streaks: list[dict[str, Any]]) -> None:
        """A line on either side of each streak; a glint, which is a point, gets a mark."""
        names = "class_probability mag frame_first frame_last length"
        rails, glints = [], []
        for s in streaks:
            told = (str(s["streak_id"]), *_said(s), _colour(s), *(s[name] for name in names.split()))
            x, y = (np.array([s[f"{axis}1"], s[f"{axis}2"]]) + 0.5 for axis in "xy")
            if s["class"] == "glint":
                glints.append((float(x.mean()), float(y.mean()), *told))
                continue
            dx, dy = _beside(x[1] - x[0], y[1] - y[0])
            rails += [(x + side * dx, y + side * dy, *told) for side in (-1, 1)]
        names = f"x y streak_id kind speed colour {names}"
        self._rails.data, self._glints.data = _columns(rails, names), _columns(glints, names)

    def _figure(self) -> Any:
        plot = figure(x_label="x (px)", y_label="y (px)", height=40 + (WIDTH_PX - 60) * NY // NX, match_aspect=True)
        plot.x_range, plot.y_range = Range1d(0, NX), Range1d(0, NY)
        plot.background_fill_color, plot.grid.visible = NIGHT_SKY, False
        grey = LinearColorMapper(palette="Greys256", low=0, high=255)
        plot.image("image", x=0, y=0, dw=NX, dh=NY, source=self._pixels, color_mapper=grey)
        plot.multi_line("x", "y", source=self._tracks, color=ORANGE, line_width=1.5)
        ring = plot.circle("x", "y", radius=RING_PX, source=self._rings, fill_alpha=0.0, line_color=ORANGE,
                           line_width=1.5, legend_label="mover")  # fmt: skip
        rails = plot.multi_line("x", "y", source=self._rails, color="colour", line_width=1.5)
        glints = plot.scatter("x", "y", source=self._glints, marker="square", size=14, fill_color=None,
                              line_color="colour", line_width=1.5)  # fmt: skip
        plot.text("x", "y", "text", source=self._names, color="colour", text_font_size="12px", text_baseline="middle",
                  background_fill_color=NIGHT_SKY, background_fill_alpha=0.6)  # fmt: skip
        for name, colour in CLASSES.items():
            plot.line([np.nan], [np.nan], color=colour, line_width=3, legend_label=name)
        plot.add_tools(HoverTool(renderers=[ring], tooltips=_MOVER))
        plot.add_tools(HoverTool(renderers=[rails, glints], tooltips=_STREAK))
        dark_legend(plot)
        plot.legend.orientation, plot.legend.location = "horizontal", "top_left"
        return plot


def _labels(archive: Archive, stacks: pd.DataFrame, night: str | None) -> list[tuple[str, str]]:
    """What the list says of each stack, and its product."""
    counts = {
        name: to_pandas(archive.table(name, night=night, columns=_FILM)).groupby(_FILM).size()
        for name in ("movers", "streaks")
    }
    labels = []
    for exposure_id, detector_id, product_id in stacks[[*_FILM, "product_id"]].itertuples(index=False):
        n = {name: int(count.get((exposure_id, detector_id), 0)) for name, count in counts.items()}
        said = ", ".join(f"{k} {name if k != 1 else name[:-1]}" for name, k in n.items())
        labels.append((f"exposure {exposure_id}, detector {detector_id}: {said}", str(product_id)))
    return labels


def _beside(dx: float, dy: float) -> tuple[float, float]:
    """`BESIDE_PX` across a direction."""
    size = max(float(np.hypot(dx, dy)), 1e-3)
    return -BESIDE_PX * dy / size, BESIDE_PX * dx / size


def _said(streak: dict[str, Any]) -> tuple[str, str]:
    """Class and rate of a streak in words."""
    if streak["class"] == "glint":  # a point has no rate
        return "glint", ""
    rate = streak["rate"]
    return streak["class"], "rate undetermined" if rate is None else f"{rate:.0f}″/s"


def _colour(streak: dict[str, Any]) -> str:
    return CLASSES.get(streak["class"], GREY)


def _columns(rows: list[tuple[Any, ...]], names: str) -> dict[str, list[Any]]:
    """Columns of a plot from rows."""
    return {name: [row[k] for row in rows] for k, name in enumerate(names.split())}


def _stretched(image: np.ndarray) -> np.ndarray:
    """A picture of 256 greys, ``asinh((pixel - sky) / SOFT noise)``; black where there is no pixel."""
    sampled = image[::8, ::8]
    low, sky, high = np.nanpercentile(sampled, [16, 50, 99.9])
    soft = SOFT * max(float(sky - low), 1e-6)
    top = np.arcsinh(max(float(high - sky) / soft, 1.0))
    grey = (np.arcsinh((image - (sky - soft)) / soft)) / (top + np.arcsinh(1.0))
    return (255 * np.clip(np.nan_to_num(grey), 0, 1)).astype(np.uint8)
