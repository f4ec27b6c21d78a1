"""The tables of ``reduction.py`` for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby

import numpy as np

from parts.costs import PEERS, Speed
from parts.figures import FIELDS, FIGURES, WRONG_ARCSEC, Group, Number, by_field, by_seeing, worst
from parts.film_score import FilmScore
from parts.measure import table
from parts.scores import Magnitudes
from parts.work import Bytes, Rate, Results

SUMMARY = (
    "films", "solved", "seeing \"", "rms \"", "wcs \"", "zp err mmag", "stated", "pull", "bias %", "chi2", "bright",
    "S/N 7 found", "of", "spurious", "of",
)  # fmt: skip
WORST_FILMS = 3  #: of each kind that are named


def report(figures: Mapping[str, Number], results: Results) -> str:
    """All tables."""
    scores = results.scores
    parts = [
        _figures(figures, len(scores)), _fields(scores), _seeings(scores), _cloudy(results.cloudy),
        _worst_films([*scores, *results.cloudy]), _magnitudes(scores), _noise(scores), _detection(scores),
        _sizes(scores, results.sizes), _costs(results.speeds), _pipelines(results.speeds), _rates(results.rates),
        _not_solved([*scores, *results.cloudy]),
    ]  # fmt: skip
    return "\n\n".join(part for part in parts if part)


def _figures(figures: Mapping[str, Number], n_films: int) -> str:
    rows: list[list[object]] = [[n, figures[n], figures.get(f"{n}_worst", ""), bar] for n, bar in FIGURES.items()]
    rows += [[n, v, "", ""] for n, v in figures.items() if n not in FIGURES and not n.endswith("_worst")]
    head = ("figure", "value", "worst", "ought to be")
    return table(f"Figures ({n_films} clear films; the script's docstring says what each is)", head, rows)


def _summary(group: Group) -> list[object]:
    """Columns of `SUMMARY`: of films median and worst, of stars the worst half magnitude."""
    good, counts = group.good, group.counts
    stated = float(np.median([1000 * s.zeropoint[1] for s in good])) if good else float("nan")
    bias, chi2 = worst((b.bias for b in group.bins), _largest), [b.chi2 for b in group.bins]
    return [
        len(group.films), len(good), _range(s.fwhm_arcsec for s in good), _two(group.rms), _two(s.offset for s in good),
        _two(1000 * z for z in group.zeropoint), stated, group.pull, "-" if bias is None else f"{100 * bias:+.2f}",
        f"{min(chi2):.2f}..{max(chi2):.2f}" if chi2 else "-", group.bright_scatter,
        counts.completeness, counts.stars, counts.spurious_fraction, counts.detections,
    ]  # fmt: skip


def _fields(scores: Sequence[FilmScore]) -> str:
    rows = [[field, *_summary(group)] for field, group in by_field(scores).items()]
    title = "By field: median | worst film; worst half magnitude (12 to 17 mag); isolated stars and detections"
    return table(title, ("field", *SUMMARY), rows)


def _seeings(scores: Sequence[FilmScore]) -> str:
    rows = [
        ["dense" if dense else "others", f"{seeing:.1f}", *_summary(group)]
        for dense in (False, True) for seeing, group in by_seeing(scores, dense=dense).items()
    ]  # fmt: skip
    return table("By the seeing that was asked for (arcsec)", ("fields", "seeing", *SUMMARY), rows)


def _cloudy(scores: Sequence[FilmScore]) -> str:
    rows = [[field, *_summary(group)] for field, group in by_field(scores).items()]
    title = "Cloudy nights (0.3 mag typically), in none of the figures but those named cloudy"
    return table(title, ("field", *SUMMARY), rows) if rows else ""


def _worst_films(scores: Sequence[FilmScore]) -> str:
    good = Group(scores).good
    kinds = {"rms \"": lambda s: max(s.rms), "zp err mag": lambda s: abs(s.zeropoint[0]),
             "zp pull": lambda s: abs(s.zeropoint[0] / s.zeropoint[1])}  # fmt: skip
    rows = []
    for kind, value in kinds.items():
        for s in sorted((s for s in good if np.isfinite(value(s))), key=value, reverse=True)[:WORST_FILMS]:
            rows.append([kind, s.where, f"{s.seeing:.1f}", value(s)])
    return table("Worst films, the cloudy ones too", ("what", "film", "seeing", "value"), rows, words=2)


def _magnitudes(scores: Sequence[FilmScore]) -> str:
    found: dict[str, dict[float, Magnitudes]] = {
        field: {b.low: b for b in group.bins} for field, group in by_field(scores).items()
    }
    rows = []
    for low in sorted({low for bins in found.values() for low in bins}):
        row: list[object] = [f"{low:.1f}"]
        for bins in found.values():
            b = bins.get(low)
            row += [b.n_stars, f"{100 * b.bias:+.2f}", f"{b.chi2:.2f}", f"{b.scatter_ratio:.2f}"] if b else [""] * 4
        rows.append(row)
    head = ["G from", *(f"{field[:6]} {what}" for field in found for what in ("n", "bias %", "chi2", "scatter"))]
    return table("2 Hz fluxes by half magnitude: isolated, unflagged, constant stars; scatter over that expected",
                 head, rows)  # fmt: skip


def _noise(scores: Sequence[FilmScore]) -> str:
    rows = [
        [f"{b.low:.1f}", b.n_stars, f"{100 * b.expected:.2f}", *(f"{100 * share:.0f}" for share in b.shares)]
        for b in Group(scores).bins
    ]
    head = ("G from", "stars", "scatter expected %", "photons %", "sky and read-out %", "scintillation %")
    return table("What limits a 2 Hz flux: median scatter expected, and the shares of its variance", head, rows)


def _detection(scores: Sequence[FilmScore]) -> str:
    rows = []
    for field, group in by_field(scores).items():
        for name, c in (("isolated", group.counts), ("all", group.counts_all)):
            rows.append([field, name, c.completeness, c.stars, c.spurious_fraction, c.detections])
    head = ("field", "stars", "S/N 7 found", "of", "spurious", "of")
    return table("Detection on stacks, and how much crowding costs", head, rows, words=2)


def _sizes(scores: Sequence[FilmScore], sizes: Sequence[Bytes]) -> str:
    rows = []
    for field in FIELDS:
        of_field, good = [b for b in sizes if b.field == field], Group([s for s in scores if s.field == field]).good
        if of_field and good:
            rows.append([
                field, int(np.median([s.n_sources for s in good])), _two(b.over_raw for b in of_field),
                _two(b.a_row for b in of_field), _two(s.time_error_ms for s in good),
            ])  # fmt: skip
    head = ("field", "sources", "archive/raw", "bytes a row", "mid-time error ms")
    return table("Bytes and times: median | worst film", head, rows)


def _costs(speeds: Sequence[Speed]) -> str:
    names = ("readinto", "whole", "no movers", "movers", "compression", "recipe", "common", *PEERS)
    rows: list[list[object]] = []
    for s in speeds:
        for word, of in (("median", np.median), ("least", np.min)):
            seconds = {n: float(of(s.seconds[n])) for n in names}
            ratios = [f"{seconds[peer] / seconds['common']:.1f}" for peer in PEERS]
            rows.append([s.field, f"{s.seeing:.1f}", word, *(f"{v:.3f}" for v in seconds.values()), *ratios])
    title = ("CPU seconds a film, of the rounds (whole: file to archive; no movers: without them; recipe: of that from "
             "the open film to tables; common: of the recipe what all do)")  # fmt: skip
    head = ("field", "seeing", "of rounds", *names, *(f"x {peer}" for peer in PEERS))
    return table(title, head, rows, words=3) if rows else ""


def _pipelines(speeds: Sequence[Speed]) -> str:
    rows = [
        [s.field, f"{s.seeing:.1f}", name, *(f"{v:.4f}" for v in quality.values())]
        for s in speeds for name, quality in s.quality.items()
    ]  # fmt: skip
    head = ("field", "seeing", "pipeline", "S/N 7 found", "spurious", "scatter/expected, bright", "at 15.5-16.5 mag")
    return table("How well, on the films timed: isolated stars", head, rows, words=3) if rows else ""


def _rates(rates: Sequence[Rate]) -> str:
    rows = []
    for field, group in groupby(sorted(rates, key=lambda r: r.field), key=lambda r: r.field):
        nights = list(group)
        films, seconds = sum(r.films for r in nights), sum(r.seconds for r in nights)
        rows.append([field, len(nights), films, f"{seconds:.0f}", f"{60 * films / seconds:.1f}"])
    head = ("field", "nights", "films, dark, flat", "seconds", "a minute")
    return table("Simulated by two processes (wall seconds, their start included)", head, rows) if rows else ""


def _not_solved(scores: Sequence[FilmScore]) -> str:
    rows = [[s.where, f"{s.seeing:.1f}", s.error or f"solved {s.offset:.1f} arcsec off"] for s in scores
            if s.error or not s.offset < WRONG_ARCSEC]  # fmt: skip
    return table("Not solved", ("film", "seeing", "why"), rows, words=3) if rows else ""


def _two(values: Iterable[float]) -> str:
    known = [v for v in values if np.isfinite(v)]
    return f"{np.median(known):.3g} | {max(known):.3g}" if known else "-"


def _range(values: Iterable[float]) -> str:
    known = list(values)
    return f"{min(known):.1f}-{max(known):.1f}" if known else "-"


def _largest(values: list[float]) -> float:
    return max(values, key=abs)
