"""Which periods are in a light curve: a generalised Lomb-Scargle periodogram with named peaks."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from tomoe_explore.analysis.peaks import Array, Peak, Sampled, amplitude, highest, refine
from tomoe_explore.analysis.window import Cadence, cadences, relation
from tomoe_explore.errors import ParameterError

if TYPE_CHECKING:
    from astropy.table import Table
    from astropy.units import Quantity
    from lightkurve import FoldedLightCurve, LightCurve
    from matplotlib.axes import Axes

#: Longest grid chosen by itself: about two seconds and 200 MB.
MAX_FREQUENCIES = 5_000_000

_SHORT_GRID = 5_000  # with fewer frequencies a curve looks like a polygon

#: Fewest points of a light curve that four parameters leave something to say about.
MIN_POINTS = 8


@dataclass(frozen=True, repr=False)
class Periodogram:
    """A periodogram; printing it shows its peaks.

    Attributes
    ----------
    frequency : ndarray of float64
        1/d.
    power : ndarray of float64
        Part of the variance explained by a sinusoid with a free mean, 0 to 1.
    peaks : tuple of Peak
        Highest first.
    cadences : tuple of Cadence
        Regularities of the sampling, by which aliases are named.
    light_curve : LightCurve
        The points that were used.
    unit : str
        Of the flux and the amplitudes.
    notes : tuple of str
        What one should know of the choice of frequencies.
    """

    frequency: Array
    power: Array
    peaks: tuple[Peak, ...]
    cadences: tuple[Cadence, ...]
    light_curve: LightCurve = field(compare=False)
    unit: str = ""
    notes: tuple[str, ...] = ()

    @property
    def best(self) -> Peak:
        """The highest peak."""
        return self.peaks[0]

    @property
    def period(self) -> Quantity:
        """Best period, days."""
        from astropy import units as u

        return self.best.period * u.d

    @property
    def period_err(self) -> Quantity:
        """Standard error of the best period, days; for white noise."""
        from astropy import units as u

        return self.best.period_err * u.d

    @property
    def n_points(self) -> int:
        """Number of points used."""
        return len(self.light_curve)

    def fold(self, period: Any = None) -> FoldedLightCurve:
        """The light curve folded.

        Parameters
        ----------
        period : Quantity or float (days), optional
            The best one where absent.
        """
        return self.light_curve.fold(period=self.period if period is None else period)

    def to_table(self) -> Table:
        """The peaks, one a row, with units."""
        from astropy import units as u
        from astropy.table import QTable

        columns = {
            "frequency": 1 / u.d, "frequency_err": 1 / u.d, "period": u.d, "period_err": u.d, "power": 1,
            "amplitude": u.Unit(self.unit), "false_alarm": 1,
        }  # fmt: skip
        table = QTable({name: [getattr(p, name) for p in self.peaks] * unit for name, unit in columns.items()})
        table["relation"] = [peak.relation for peak in self.peaks]
        return table

    def to_dict(self) -> dict[str, Any]:
        """Peaks and cadences as plain values, as JSON can hold them; frequencies in 1/d, periods in d."""
        names = ("frequency", "frequency_err", "period", "period_err", "power", "amplitude", "false_alarm", "relation")
        return {
            "peaks": [{name: getattr(peak, name) for name in names} for peak in self.peaks],
            "cadences": [{"name": c.name, "frequency": c.frequency, "power": c.power} for c in self.cadences],
            "n_points": self.n_points, "unit": self.unit, "notes": list(self.notes),
            "minimum_frequency": float(self.frequency[0]), "maximum_frequency": float(self.frequency[-1]),
        }  # fmt: skip

    def plot(self, ax: Axes | None = None) -> Axes:
        """Power over frequency, the peaks marked with their periods."""
        import matplotlib.pyplot as plt

        if ax is None:
            ax = plt.subplots(figsize=(9, 3.5), layout="constrained")[1]
        name, per_day = ("Hz", 86_400.0) if self.frequency[-1] > 5_000 else ("1/d", 1.0)
        ax.plot(self.frequency / per_day, self.power, lw=0.7, color="0.25", rasterized=len(self.power) > 50_000)
        for n, peak in enumerate(self.peaks):
            label = f"{_duration(peak.period, peak.period_err)}  {peak.relation}".strip()
            ax.plot(peak.frequency / per_day, peak.power, "o", ms=5, color=f"C{n}", label=label)
        ax.set(xlabel=f"Frequency ({name})", ylabel="Power", ylim=(0, None))
        ax.set_title(str(self.light_curve.meta.get("LABEL", "")), fontsize="medium")
        ax.legend(fontsize="small")
        return ax

    def __repr__(self) -> str:
        regular = ", ".join(f"{c.name} {_duration(1 / c.frequency)}" for c in self.cadences) or "none"
        lines = [
            f"Periodogram of {self.n_points} points, {len(self.frequency)} frequencies "
            f"{self.frequency[0]:.6g} to {self.frequency[-1]:.6g} 1/d; regular cadences: {regular}",
            f"  {'period':>28s}{'power':>8s}{f'amplitude {self.unit}':>20s}{'false alarm':>14s}",
        ]
        for p in self.peaks:
            period = _duration(p.period, p.period_err)
            lines.append(f"  {period:>28s}{p.power:8.3f}{p.amplitude:20.5g}{p.false_alarm:14.2g}  {p.relation}")
        return "\n".join([*lines, *(f"  note: {note}" for note in self.notes)])


def periodogram(
    lc: LightCurve, *, minimum_frequency: Any = None, maximum_frequency: Any = None, oversampling: float | None = None,
    n_peaks: int = 5,
) -> Periodogram:  # fmt: skip
    """Generalised Lomb-Scargle periodogram of a light curve.

    Parameters
    ----------
    lc : lightkurve.LightCurve
        With ``time``, ``flux`` and, where known, ``flux_err``; NaN and masked points are left out.
    minimum_frequency, maximum_frequency : Quantity or float (1/d), optional
        From one cycle over the whole light curve to half the sampling frequency where absent.
    oversampling : float, optional
        Points of the grid per width of a peak, at least 1. Five where absent, up to fifty where the grid is short.
    n_peaks : int
        How many peaks are refined and named.

    Returns
    -------
    Periodogram

    Raises
    ------
    ParameterError
        If there are too few points, or the frequencies make no sense.

    Notes
    -----
    Computed by nifty-ls on a grid that never meets a multiple of the Nyquist frequency. Peaks are refined between the
    points of the grid; false-alarm probabilities follow Baluev (2008, MNRAS 385, 1279). Times are taken as they are:
    apply a barycentric correction first where it matters.

    Examples
    --------
    >>> from lightkurve import LightCurve
    >>> t = np.random.default_rng(1).uniform(0, 30, 300)
    >>> pg = periodogram(LightCurve(time=t, flux=np.sin(2 * np.pi * t / 2.5)))
    >>> round(float(pg.period.to_value("d")), 4)
    2.5
    """
    used, data, unit = _prepare(lc)
    start, step, n, notes = _grid(data, _per_day(minimum_frequency), _per_day(maximum_frequency), oversampling)
    power = data.power(start, step, n)
    frequency: Array = start + step * np.arange(n, dtype=np.float64)
    known = cadences(data.time_d)
    chosen = highest(frequency, power, 1 / data.span_d, n_peaks)
    peaks = [_peak(data, frequency[index], step, frequency[-1]) for index in chosen]
    peaks.sort(key=lambda peak: -peak.power)
    best = peaks[0].frequency
    named = [
        replace(peak, relation="best" if k == 0 else relation(peak.frequency, best, known, 0.3 / data.span_d))
        for k, peak in enumerate(peaks)
    ]
    return Periodogram(frequency, power, tuple(named), known, used, unit, tuple(notes))


def _prepare(lc: LightCurve) -> tuple[LightCurve, Sampled, str]:
    """The finite points in order of time, as they are and as plain arrays, and the unit of the flux."""
    flux, error = _plain(lc.flux), _plain(lc.flux_err)
    good = np.flatnonzero(np.isfinite(flux))
    weighted = bool(np.all(np.isfinite(error[good]) & (error[good] > 0)))
    if not weighted and np.mean(np.isfinite(error[good]) & (error[good] > 0)) > 0.5:
        good = good[np.isfinite(error[good]) & (error[good] > 0)]  # most have errors: the others are broken
        weighted = True
    if len(good) < MIN_POINTS:
        raise ParameterError(f"a periodogram needs at least {MIN_POINTS} points, the light curve has {len(good)}")
    days = np.asarray((lc.time - lc.time.min()).to_value("d"), dtype=np.float64)
    order = good[np.argsort(days[good], kind="stable")]
    time_d = days[order] - days[order[0]]
    if not time_d[-1] > 0 or np.ptp(flux[order]) == 0:
        raise ParameterError(f"all {len(order)} points of the light curve have the same time or the same flux")
    unit = getattr(lc.flux, "unit", None)
    return lc[order], Sampled(time_d, flux[order], error[order] if weighted else None), str(unit or "")


def _plain(column: Any) -> Array:
    """A column as float64, NaN where masked."""
    values = getattr(column, "unmasked", column)
    mask = getattr(column, "mask", False)
    return np.where(mask, np.nan, np.asarray(getattr(values, "value", values), dtype=np.float64))


def _per_day(frequency: Any) -> float | None:
    return None if frequency is None else float(frequency.to_value("1/d") if hasattr(frequency, "unit") else frequency)


def _grid(
    data: Sampled, low: float | None, high: float | None, oversampling: float | None
) -> tuple[float, float, int, list[str]]:
    """First frequency, step, number of frequencies, and notes on the choice."""
    steps = np.diff(data.time_d)
    # not the median: of nights with few points each, it is the gap between nights
    interval = float(np.percentile(steps[steps > 0], 10))
    start = 1 / data.span_d if low is None else low
    stop = max(0.5 / interval, 2 * start) if high is None else high
    if oversampling is None:
        oversampling = float(np.clip(_SHORT_GRID / max((stop - start) * data.span_d, 1.0), 5, 50))
    step = 1 / (oversampling * data.span_d)
    notes = []
    if high is None and (stop - start) / step > MAX_FREQUENCIES:
        stop = start + step * MAX_FREQUENCIES
        notes.append(f"searched to {stop:.6g} 1/d only, of {0.5 / interval:.6g}: give maximum_frequency for more")
    if not (0 < start < stop < np.inf and oversampling >= 1):
        raise ParameterError(
            f"expected 0 < minimum_frequency < maximum_frequency (1/d) and oversampling >= 1, "
            f"got {start:g}, {stop:g}, {oversampling:g}"
        )
    n = max(int(np.ceil((stop - start) / step)), 3)
    # sines vanish at multiples of the Nyquist frequency of a regular sampling: keep the grid off them
    cycles = (0.5 / interval - start) / step
    if abs(cycles - round(cycles)) < 0.05:
        start += 0.3 * step
    return start, step, n, notes


def _peak(data: Sampled, frequency: float, step: float, maximum: float) -> Peak:
    from astropy.timeseries import LombScargle

    refined, error, power = refine(data, frequency, step)
    model = LombScargle(data.time_d, data.flux, data.error)
    false_alarm = float(model.false_alarm_probability(min(power, 1.0), method="baluev", maximum_frequency=maximum))
    return Peak(refined, error, power, amplitude(data, refined), false_alarm)


def _duration(days: float, error: float | None = None) -> str:
    """A time with its error in a unit that suits it."""
    unit, size = next(
        ((u, s) for u, s in (("d", 1.0), ("h", 1 / 24), ("min", 1 / 1440)) if days >= s), ("s", 1 / 86_400)
    )
    value = days / size
    if error is None or not np.isfinite(error):
        return f"{value:.6g} {unit}"
    digits = int(np.clip(1 - np.floor(np.log10(max(error / size, 1e-12))), 0, 12))
    return f"{value:.{digits}f} ± {error / size:.{digits}f} {unit}"
