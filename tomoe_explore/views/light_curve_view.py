"""A light curve, its periodogram, and the curve folded at the period one clicks."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

import astropy.units as u
import ipywidgets as widgets
import numpy as np
import traitlets
from bokeh.events import Tap
from bokeh.layouts import column, row
from bokeh.models import ColumnDataSource, HoverTool, Range1d, Scatter, Segment, Span, TapTool
from jupyter_bokeh import BokehModel

from tomoe_explore.analysis.periodogram import Periodogram, periodogram
from tomoe_explore.errors import TomoeError
from tomoe_explore.views.offline import View
from tomoe_explore.views.style import BLUE, GREY, INK, ORANGE, WIDE, WIDTH_PX, figure, legend

if TYPE_CHECKING:
    from tomoe_explore.archive import Archive

CLICK_PX = 10  #: a click takes the highest power within so many pixels
GAP = 1.5  #: times the usual interval: the line is not drawn across


class LightCurveView(View):
    """See `tomoe_explore.views.light_curve`.

    Attributes
    ----------
    light_curve : lightkurve.LightCurve
        What is shown.
    periodogram : Periodogram or None
        None where there are too few points for one.
    period : float
        Of the folded curve, s; NaN without a periodogram. Setting it folds anew.
    point : int
        Number of the point clicked, whose origin is told below the plots; -1 before.
    """

    period = traitlets.Float(float("nan"))
    point = traitlets.Int(-1)

    def __init__(self, light_curve: Any, archive: Archive | None = None) -> None:
        self.light_curve = light_curve
        self._archive = archive
        self._origin = widgets.HTML("Click a point to see where it comes from." if archive is not None else "")
        self._origin.add_class("tomoe-origin")
        self._points = _points(light_curve)
        self._data = ColumnDataSource()
        self._lines = ColumnDataSource()
        self._folded = ColumnDataSource()
        self._marker = Span(dimension="height", line_color=ORANGE, line_width=2, line_alpha=0.8)
        self.periodogram, reason = _periodogram(light_curve)
        self._quantity = widgets.ToggleButtons(options=["flux", "magnitude"], layout={"width": "auto"}, style=WIDE)
        self._quantity.add_class("tomoe-quantity")
        self._period_box = widgets.FloatText(description="Period (s)", step=0.01, layout={"width": "200px"})
        self._period_box.add_class("tomoe-period")
        self._peaks = widgets.Dropdown(
            description="Peaks", options=_peak_options(self.periodogram), layout={"width": "420px"}
        )
        self._peaks.add_class("tomoe-peaks")
        controls = [self._quantity]
        if self.periodogram is not None:
            controls += [self._peaks, self._period_box]
        if self.periodogram is not None:
            self.period = self.periodogram.best.period * 86400.0
        self._fill()
        plots = BokehModel(self._figures())
        caption = widgets.HTML(_caption(light_curve) + (f"<br>No periodogram: {reason}" if reason else ""))
        super().__init__([caption, widgets.HBox(controls), plots, self._origin])
        self.observe(lambda _: self._tell_origin(), "point")
        self.add_class("tomoe-light-curve")
        self._quantity.observe(lambda _: self._fill(), "value")
        if self.periodogram is not None:
            traitlets.link((self, "period"), (self._period_box, "value"))
            self._peaks.observe(self._peak_chosen, "value")
            self.observe(lambda _: self._fold(), "period")
            self.observe(lambda _: self._name_peak(), "period")

    def _fill(self) -> None:
        """Give the plots flux or magnitude, and the unit on their axes."""
        points = self._points
        if self._quantity.value == "flux":
            value, error, label = points["flux"], points["flux_err"], f"Flux ({points['unit']})"
        else:
            value, error, label = points["mag"], points["mag_err"], "Gaia G (mag, Vega)"
        colour = np.where(points["flagged"], GREY, BLUE)
        self._data.data = {
            "t": points["t"], "value": value, "low": value - error, "high": value + error, "colour": colour,
            "frame": points["frame"], "exposure": points["exposure"], "error": error,
        }  # fmt: skip
        t, broken = _broken(points["t"], value)
        self._lines.data = {"t": t, "value": broken}
        self._label = label
        if hasattr(self, "_curve"):
            self._relabel()
        self._fold()

    def _relabel(self) -> None:
        for plot in (self._curve, self._phase):
            plot.yaxis.axis_label = self._label
            plot.y_range.flipped = self._quantity.value == "magnitude"

    def _figures(self) -> Any:
        start = self.light_curve.time[0].utc.isot.replace("T", " ")
        self._curve = figure(x_label=f"Seconds after {start} UTC (mid-exposure)", y_label=self._label, height=260)
        self._curve.line("t", "value", source=self._lines, color=BLUE, alpha=0.35)
        dots = _dots(self._curve, "t", self._data)
        dots.selection_glyph = Scatter(x="t", y="value", size=11, fill_color=ORANGE, line_color=INK)
        self._curve.add_tools(TapTool(renderers=[dots]))
        self._data.selected.on_change("indices", self._point_clicked)
        names = [("frame", "@frame"), ("exposure", "@exposure"), ("time", "@t{0.000} s"), ("value", "@value ± @error")]
        self._curve.add_tools(HoverTool(renderers=[dots], tooltips=names))
        if self._points["flagged"].any():
            for colour, label in ((BLUE, "good"), (GREY, "flagged")):
                self._curve.scatter([np.nan], [np.nan], size=5, color=colour, legend_label=label)
            legend(self._curve)
        self._phase = figure(x_label="Phase", y_label=self._label, height=270, width=WIDTH_PX // 2)
        _dots(self._phase, "phase", self._folded)
        self._phase.x_range = Range1d(0, 2)
        if self.periodogram is None:
            return self._curve
        return column(self._curve, row(self._spectrum(self.periodogram), self._phase))

    def _spectrum(self, spectrum: Periodogram) -> Any:
        self._frequency = spectrum.frequency / 86400.0
        self._power = spectrum.power
        plot = figure(
            x_label="Frequency (Hz): click a peak to fold", y_label="Power", height=270, width=WIDTH_PX - WIDTH_PX // 2
        )
        plot.x_range = Range1d(0, float(self._frequency[-1]))
        plot.y_range = Range1d(0, 1.08 * float(self._power.max()))
        plot.line(self._frequency, self._power, color=INK, line_width=1)
        plot.add_layout(self._marker)
        plot.on_event(Tap, self._tapped)
        self._spectrum_plot, self._spectrum_peaks = plot, spectrum.peaks
        return plot

    def _tapped(self, event: Any) -> None:
        """Take the highest peak near the click, else the highest power."""
        span = self._spectrum_plot.x_range
        reach = CLICK_PX * abs(span.end - span.start) / self._spectrum_plot.width
        peaks = [peak for peak in self._spectrum_peaks if abs(peak.frequency / 86400.0 - event.x) <= reach]
        near = np.flatnonzero(np.abs(self._frequency - event.x) <= reach)
        if peaks:
            self.period = max(peaks, key=lambda peak: peak.power).period * 86400.0
        elif len(near):
            self.period = float(1.0 / self._frequency[near[np.argmax(self._power[near])]])

    def _point_clicked(self, _name: str, _old: Any, indices: list[int]) -> None:
        if indices:
            self.point = indices[0]

    def _tell_origin(self) -> None:
        """The chain of the point in short: number, table, reduction, film, calibrations."""
        if self._archive is None or self.point < 0:
            return
        self._data.selected.indices = [self.point]
        lc, i = self.light_curve, self.point
        source_id, frame = int(_plain(lc["source_id"])[i]), int(_plain(lc["frame"])[i])
        try:
            told = escape(self._archive.provenance(source_id, frame=frame).summary()).replace(" ← ", "<br>← ")
        except TomoeError as error:  # its reduction was deleted since
            told = escape(str(error))
        call = f"archive.provenance({source_id}, frame={frame})"
        self._origin.value = f"<div style='line-height:1.5'>{told}<br>All of it: <code>{call}</code></div>"

    def _peak_chosen(self, change: Any) -> None:
        if change["new"] is not None:
            self.period = change["new"]

    def _name_peak(self) -> None:
        """Let the list of peaks show the one that is folded at, or nothing."""
        periods = [period for _, period in self._peaks.options]
        self._peaks.index = periods.index(self.period) if self.period in periods else None

    def _fold(self) -> None:
        if not np.isfinite(self.period) or self.period <= 0:
            return
        phase = (self._points["t"] / self.period) % 1.0
        data = {name: np.concatenate([values, values]) for name, values in self._data.data.items()}
        self._folded.data = data | {"phase": np.concatenate([phase, phase + 1.0])}
        self._marker.location = 1.0 / self.period


def _points(light_curve: Any) -> dict[str, Any]:
    """Plain columns of a light curve; fluxes in the unit that reads best."""
    flux = light_curve.flux.to_value(u.nJy)
    scale, unit = (1e6, "mJy") if np.nanmedian(flux) > 2e6 else (1e3, "µJy")
    mjd = light_curve.time.utc.mjd
    return {
        "t": (mjd - mjd[0]) * 86400.0, "unit": unit,
        "flux": flux / scale, "flux_err": light_curve.flux_err.to_value(u.nJy) / scale,
        "mag": _plain(light_curve["mag"]), "mag_err": _plain(light_curve["mag_err"]),
        "flagged": _plain(light_curve["flags"]) != 0,
        "frame": _plain(light_curve["frame"]), "exposure": _plain(light_curve["exposure_id"]).astype(str),
    }  # fmt: skip


def _plain(values: Any) -> np.ndarray:
    return np.asarray(getattr(values, "value", values))


def _periodogram(light_curve: Any) -> tuple[Periodogram | None, str]:
    try:
        return periodogram(light_curve), ""
    except TomoeError as error:
        return None, str(error)


def _peak_options(spectrum: Periodogram | None) -> list[tuple[str, float]]:
    """Text and period (s) of each peak."""
    options = []
    for peak in spectrum.peaks if spectrum is not None else ():
        period = peak.period * 86400.0
        text = f"{period:.5g} s, false-alarm probability {peak.false_alarm:.1g}"
        options.append((f"{text}: {peak.relation}" if peak.relation else text, period))
    return options


def _broken(t: np.ndarray, value: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The curve with a NaN in every gap, where the line breaks."""
    steps = np.diff(t)
    gaps = np.flatnonzero(steps > GAP * np.median(steps)) + 1 if len(steps) else np.array([], int)
    return np.insert(t, gaps, np.nan), np.insert(value.astype(float), gaps, np.nan)


def _dots(plot: Any, x: str, source: ColumnDataSource) -> Any:
    bars = plot.add_glyph(source, Segment(x0=x, x1=x, y0="low", y1="high", line_color="colour", line_alpha=0.35))
    dots = plot.scatter(x, "value", source=source, size=5, color="colour", line_color=None)
    bars.nonselection_glyph = dots.nonselection_glyph = None  # a point that is clicked dims no others
    return dots


def _caption(light_curve: Any) -> str:
    meta = light_curve.meta
    films = len(np.unique(_plain(light_curve["exposure_id"])))
    text = f"<b>{meta.get('LABEL', 'Light curve')}</b>: {len(light_curve)} points in {films} films"
    if others := meta.get("NEIGHBOURS"):
        text += f"; {len(others)} more within {meta['RADIUS_ARCSEC']:g} arcsec, not mixed in"
    return text
