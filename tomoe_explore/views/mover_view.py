"""Moving-object candidates: their kept films at 2 Hz, fixed and following, sums along the track, magnitudes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ipywidgets as widgets
import numpy as np
import pandas as pd
import traitlets
from bokeh.layouts import column, row
from bokeh.models import ColumnDataSource, GlyphRenderer, LinearColorMapper, Range1d
from jupyter_bokeh import BokehModel

from tomoe_explore.archive.pandas_frame import to_pandas
from tomoe_explore.camera import PIXEL_SCALE
from tomoe_explore.errors import NotFoundError, ParameterError, TomoeError
from tomoe_explore.views.offline import View
from tomoe_explore.views.style import BLUE, ORANGE, WIDE, WIDTH_PX, figure

if TYPE_CHECKING:
    from tomoe_explore.archive import Archive
    from tomoe_explore.archive.mover_film import MoverFilm

HALF_PX = 16  #: of the width of a picture that follows the mover, px of the detector
COLUMNS = 9  #: frames in a row of the strip
INTERVAL_MS = 500  #: between frames when playing: 2 Hz


class MoverView(View):
    """See `tomoe_explore.views.movers`.

    Attributes
    ----------
    mover_id : int
        Candidate shown; setting it shows another.
    candidates : pandas.DataFrame
        All of them, best first.
    """

    mover_id = traitlets.Int()

    def __init__(self, archive: Archive, *, night: str | None = None) -> None:
        self._archive = archive
        table = to_pandas(archive.table("movers", night=night))
        if table.empty:
            raise NotFoundError(f"no mover {f'of night {night} ' if night else ''}in {archive.root}")
        self.candidates = table.sort_values("score", ascending=False, ignore_index=True)
        self._detections = to_pandas(archive.table("mover_detections", night=night))
        self._now, self._strip = ColumnDataSource(), ColumnDataSource()
        self._mean, self._track = ColumnDataSource(), ColumnDataSource()
        self._sum, self._magnitudes = ColumnDataSource(), ColumnDataSource()
        self._grey, self._sum_grey = (
            LinearColorMapper(palette="Greys256", low=0, high=1, nan_color="#bdd0ee") for _ in range(2)
        )
        self._make_controls()
        plots = self._figures()
        self.observe(lambda _: self._open(), "mover_id")
        self.mover_id = int(self.candidates.mover_id[0])
        buttons = widgets.HBox([self._back, self._next, self._mode, self._difference])
        player = widgets.HBox([self._play, self._frame])
        super().__init__([self._list, buttons, self._caption, player, BokehModel(plots)])
        self.add_class("tomoe-movers")

    def _make_controls(self) -> None:
        labels = [(_line(number, mover), int(mover.mover_id)) for number, mover in self.candidates.iterrows()]
        self._list = widgets.Select(options=labels, rows=min(6, len(labels) + 1), layout={"width": f"{WIDTH_PX}px"})
        self._list.observe(lambda change: setattr(self, "mover_id", change["new"]), "value")
        self._back = widgets.Button(description="Back", icon="arrow-left")
        self._next = widgets.Button(description="Next", icon="arrow-right")
        self._back.on_click(lambda _: self._step(-1))
        self._next.on_click(lambda _: self._step(+1))
        self._mode = widgets.ToggleButtons(options=["fixed", "following"], layout={"width": "auto"}, style=WIDE)
        self._difference = widgets.Checkbox(
            description="without stars (minus the film's median)", value=False, indent=False
        )
        self._play = widgets.Play(interval=INTERVAL_MS, repeat=True)
        self._frame = widgets.IntSlider(description="Frame", min=0, max=1)
        widgets.jslink((self._play, "value"), (self._frame, "value"))
        self._frame.observe(lambda _: self._draw_frame(), "value")
        self._mode.observe(lambda _: self._draw(), "value")
        self._difference.observe(lambda _: self._draw(), "value")
        self._caption = widgets.HTML()
        names = {"list": self._list, "back": self._back, "next": self._next, "mode": self._mode, "frame": self._frame,
                 "difference": self._difference, "play": self._play}  # fmt: skip
        for name, widget in names.items():
            widget.add_class(f"tomoe-mover-{name}")

    def _step(self, by: int) -> None:
        place = int(np.flatnonzero(self.candidates.mover_id == self.mover_id)[0]) + by
        self.mover_id = int(self.candidates.mover_id[place % len(self.candidates)])

    def _open(self) -> None:
        """Fetch the candidate's cutout film and show it."""
        self._list.value = self.mover_id
        mover = self.candidates[self.candidates.mover_id == self.mover_id].iloc[0]
        self._caption.value = _caption(mover)
        try:
            film = _kept(self._archive, self.mover_id)
        except TomoeError as error:
            self._caption.value += f"<br><b>No film:</b> {error}"
            side = 2 * HALF_PX + 1
            self._pixels: np.ndarray = np.full((1, side, side), np.nan, np.float32)
            self._at = np.full((1, 2), float(HALF_PX))
            self._sum.data = _image(self._pixels[0])
        else:
            if film.comoving:
                self._caption.value += "<br>Its track is so long that only the film that follows it is shown."
            self._pixels = film.frames
            self._at = np.stack([film.x, film.y], axis=1)
            added = film.comoving_sum(HALF_PX)
            self._sum.data = _image(added)
            _stretch(self._sum_grey, added)
        self._half_fixed = (max(self._pixels.shape[1:]) + 1) // 2
        self._frame.max = self._play.max = len(self._pixels) - 1
        self._draw_magnitudes()
        self._draw()

    def _draw(self) -> None:
        shown: np.ndarray = self._pixels
        if self._difference.value:
            shown = shown - _average(np.nanmedian, shown)
        self._shown = shown
        _stretch(self._grey, shown)
        mean = _average(np.nanmean, shown[1:] if len(shown) > 1 else shown)
        self._mean.data = _image(mean)
        self._track.data = {"x": self._at[:, 0] + 0.5, "y": self._at[:, 1] + 0.5}
        side = max(mean.shape)  # square, so that pixels are
        self._mean_plot.x_range.start, self._mean_plot.x_range.end = 0, side
        self._mean_plot.y_range.start, self._mean_plot.y_range.end = 0, side
        self._draw_strip()
        self._draw_frame()

    @property
    def _following(self) -> bool:
        return self._mode.value == "following"

    def _centre(self, frame: int) -> np.ndarray:
        height, width = self._shown.shape[1:]
        return self._at[frame] if self._following else np.array([width / 2, height / 2])

    def _crop(self, frame: int) -> np.ndarray:
        half = HALF_PX if self._following else self._half_fixed
        return _crop(self._shown[frame], self._centre(frame), half)

    def _draw_frame(self) -> None:
        frame = min(self._frame.value, len(self._shown) - 1)
        picture = self._crop(frame)
        self._now.data = _image(picture)
        for axis in (self._now_plot.x_range, self._now_plot.y_range):
            axis.start, axis.end = 0, len(picture)
        self._now_plot.title.text = f"Frame {frame} of {len(self._shown)}"

    def _draw_strip(self) -> None:
        """All frames at once, row after row."""
        side, gap = len(self._crop(0)), 2
        rows = -(-len(self._shown) // COLUMNS)
        strip = np.full((rows * (side + gap) - gap, COLUMNS * (side + gap) - gap), np.nan, np.float32)
        for frame in range(len(self._shown)):
            top, left = (rows - 1 - frame // COLUMNS) * (side + gap), frame % COLUMNS * (side + gap)
            strip[top : top + side, left : left + side] = self._crop(frame)
        self._strip.data = _image(strip)
        self._strip_plot.x_range.end, self._strip_plot.y_range.end = strip.shape[1], strip.shape[0]
        self._strip_plot.height = 30 + (WIDTH_PX - 20) * strip.shape[0] // strip.shape[1]

    def _draw_magnitudes(self) -> None:
        seen = self._detections[self._detections.mover_id == self.mover_id]
        known = seen[np.isfinite(seen.mag) & np.isfinite(seen.mag_err)].sort_values("frame")
        low, high = known.mag - known.mag_err, known.mag + known.mag_err
        self._magnitudes.data = {"frame": known.frame, "mag": known.mag, "low": low, "high": high}
        if len(known):
            span = max(float(high.max() - low.min()), 0.1)
            y_range = self._magnitude_plot.y_range  # bright is up
            y_range.start, y_range.end = float(high.max()) + 0.1 * span, float(low.min()) - 0.1 * span

    def _figures(self) -> Any:
        third, side = WIDTH_PX // 3, 2 * HALF_PX + 1
        self._now_plot = self._picture("Frame", self._now, third, third)
        self._mean_plot = self._picture("Mean of the film, and the track", self._mean, third, third)
        self._mean_plot.line("x", "y", source=self._track, color=ORANGE, line_width=1.5)
        self._mean_plot.scatter("x", "y", source=self._track, size=5, color=None, line_color=ORANGE)
        self._sum_plot = self._picture("Sum along the track", self._sum, third, third)
        self._sum_plot.select_one(GlyphRenderer).glyph.color_mapper = self._sum_grey
        self._sum_plot.x_range.end = self._sum_plot.y_range.end = side
        self._magnitude_plot = figure(x_label="Frame", y_label="G (mag)", height=200, tools="save", active_scroll=None)
        self._magnitude_plot.y_range = Range1d(1, 0)
        self._magnitude_plot.segment("frame", "low", "frame", "high", source=self._magnitudes, color=BLUE)
        self._magnitude_plot.scatter("frame", "mag", source=self._magnitudes, color=BLUE, size=6)
        self._strip_plot = self._picture("Every frame, from frame 0", self._strip, WIDTH_PX, 220)
        pictures = row(self._now_plot, self._mean_plot, self._sum_plot)
        return column(pictures, self._magnitude_plot, self._strip_plot)

    def _picture(self, title: str, source: ColumnDataSource, width: int, height: int) -> Any:
        plot = figure(x_label="", y_label="", width=width, height=height, title=title, tools="save", active_scroll=None)
        plot.axis.visible = plot.grid.visible = False
        plot.x_range, plot.y_range = Range1d(0, 2 * HALF_PX), Range1d(0, 2 * HALF_PX)
        plot.image("image", x=0, y=0, dw="dw", dh="dh", source=source, color_mapper=self._grey)
        return plot


def _line(number: Any, mover: pd.Series) -> str:
    return (
        f"{number + 1:3d}.  exposure {mover.exposure_id}, detector {mover.detector_id}:  {mover.rate:.2f} arcsec/s,  "
        f"G {mover.mag:.2f} mag,  S/N {mover.snr:.1f},  {mover.n_frames} frames"
    )


def _caption(mover: pd.Series) -> str:
    known = "not compared with known objects" if pd.isna(mover.known_as) else mover.known_as or "no known object"
    return (
        f"<b>Mover {mover.mover_id}</b>: RA {mover.ra:.5f}°, Dec {mover.dec:+.5f}°; {mover.rate:.2f} ± "
        f"{mover.rate_err:.2f} arcsec/s towards position angle {mover.position_angle:.0f}°; "
        f"G = {mover.mag:.2f} ± {mover.mag_err:.2f} mag; {known}. "
        f"A pixel is {PIXEL_SCALE} arcsec, the axes are the detector's; where it is blue there is no value."
    )


def _kept(archive: Archive, mover_id: int) -> MoverFilm:
    """A mover's film, fixed if that is not too large."""
    try:
        return archive.mover_film(mover_id)
    except ParameterError:
        return archive.mover_film(mover_id, comoving=True)


def _average(how: Any, frames: np.ndarray) -> np.ndarray:
    """Mean or median over frames; NaN where none has a value."""
    known = np.isfinite(frames).any(axis=0)
    return np.where(known, how(np.where(known, frames, 0.0), axis=0), np.nan).astype(np.float32)


def _stretch(grey: LinearColorMapper, pixels: np.ndarray) -> None:
    finite = pixels[np.isfinite(pixels)]
    low, high = np.percentile(finite, [5, 99.8]) if len(finite) else (0, 1)
    grey.low, grey.high = float(low), float(max(high, low + 1e-3))


def _crop(pixels: np.ndarray, centre: np.ndarray, half: int) -> np.ndarray:
    """The square of ``2 * half`` around a position, NaN outside the cutout."""
    padded = np.pad(pixels.astype(np.float32), 2 * half, constant_values=np.nan)
    limit = np.array(pixels.shape[::-1]) + 2 * half
    left, low = np.clip(np.rint(centre).astype(int) + half, 0, limit)
    return padded[low : low + 2 * half, left : left + 2 * half]


def _image(pixels: np.ndarray) -> dict[str, list[Any]]:
    return {"image": [pixels.astype(np.float32)], "dw": [pixels.shape[1]], "dh": [pixels.shape[0]]}
