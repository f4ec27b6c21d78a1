"""From what was found on films to the figures of ``movers.py``, whose docstring says what each of them is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

import numpy as np
from scipy.stats import chi2 as chi_square

from parts.figures import Number, median, worst
from parts.mover_films import CLASSES, LADDER, RATES
from parts.mover_match import Array, Judged
from parts.mover_work import Cost, FilmFound
from parts.tracee_peer import Setting, threshold

FILMS_A_NIGHT = 900 * 84
RATE_EDGES = (RATES[0], 1.0, 2.0, 5.0, RATES[1])
ALL_SNRS = tuple(sorted((*CLASSES, *LADDER)))
CURVE_POINTS = 9  #: quantiles of the scores of what is false, and of what is true
SEARCHES = {"ours": "loose", "tracee": "peer"}  #: whose curves are shown

#: Every figure that is promised, and what it ought to be.
FIGURES = {
    "completeness": ">= 0.99 0.98 0.90 0.50", "false_per_film_sparse": "<= 0.1", "false_per_film_dense": "<= 1",
    "false_review_per_night": "<= 100", "duplicates": "<= 0.01", "position_chi2": "0.8 to 1.2",
    "rate_error": "<= 0.02", "gain_over_tracee_mag": ">= 0.5", "core_seconds_per_film": "<= 0.08",
}  # fmt: skip

Share = dict[str, float | None]
Counts = tuple[int, int]


@dataclass(frozen=True)
class Measured:
    """All that a run gave.

    Attributes
    ----------
    films : list of FilmFound
        Without those for tuning.
    peer : list of Judged
        The peer's on the same films.
    setting : Setting or None
        The peer's, and the part of the movers that it found on the films for tuning.
    tuned : float
    costs : list of Cost
    """

    films: list[FilmFound] = field(default_factory=list)
    peer: list[Judged] = field(default_factory=list)
    setting: Setting | None = None
    tuned: float = float("nan")
    costs: list[Cost] = field(default_factory=list)

    def of(self, which: str, *fields: str, empty: bool = False) -> list[Judged]:
        """What ``kept``, ``loose`` or ``peer`` gave on films of some fields, with movers or without."""
        pairs = zip(self.films, self.peer, strict=True) if which == "peer" else ((f, f.kept) for f in self.films)
        chosen = [(f, j) for f, j in pairs if f.film.field in fields and (f.night.kind == "empty") == empty]
        return [f.loose if which == "loose" else j for f, j in chosen]

    @cached_property
    def fields(self) -> tuple[str, ...]:
        """Those that have films, high latitude (or the synthetic sky) first."""
        there = {f.film.field for f in self.films}
        return tuple(name for name in ("sparse", "synthetic", "dense") if name in there)

    @property
    def sparse(self) -> str:
        """The field of high latitude."""
        return self.fields[0] if self.fields else "sparse"


def figures_of(m: Measured) -> dict[str, object]:
    """The figures of the benchmark; None where nothing was measured."""
    figures: dict[str, object] = dict.fromkeys(FIGURES)
    kept = m.of("kept", *m.fields)
    figures["completeness"] = by_class(kept)
    for field_name, name in ((m.sparse, "sparse"), ("dense", "dense")):
        figures[f"false_per_film_{name}"] = false_a_film(m.of("kept", field_name, empty=True))
    figures |= _review(m.films) | _fits(kept) | _costs(m.costs)
    figures |= {f"completeness_{name}": by_class(m.of("kept", name)) for name in m.fields}
    figures |= {
        "completeness_by_rate": by_rate(kept), "completeness_curve": completeness_curve(m), **gain(m),
        "false_per_film_with_movers": false_a_film(kept),
        "false_alarm_curves": {name: {who: false_alarm_curve(m.of(which, name, empty=True), m.of(which, name))
                                      for who, which in SEARCHES.items()} for name in m.fields},
        "films_with_movers": len(kept), "films_without": len(m.of("kept", *m.fields, empty=True)),
        "movers_counted": {f"{s:g}": _counts(kept, s)[1] for s in ALL_SNRS},
    }  # fmt: skip
    return figures


# --- completeness --------------------------------------------------------------------------------
def _counts(films: Sequence[Judged], snr: float, limit: float = -np.inf, rates: tuple[float, float] = RATES) -> Counts:
    """Movers of a class found above a score, and all there are."""
    found = total = 0
    for j in films:
        own = (j.snr == snr) & (j.rate >= rates[0]) & (j.rate <= rates[1])
        found, total = found + int((j.score[own] > limit).sum()), total + int(own.sum())
    return found, total


def _share(counts: Counts) -> float | None:
    return counts[0] / counts[1] if counts[1] else None


def by_class(films: Sequence[Judged], limit: float = -np.inf) -> Share:
    """Part of the movers found, by signal over noise a frame."""
    return {f"{s:g}": _share(_counts(films, s, limit)) for s in CLASSES}


def by_rate(films: Sequence[Judged]) -> dict[str, Share]:
    """The same in bins of the rate, arcsec/s."""
    return {
        f"{a:g}-{b:g}": {f"{s:g}": _share(_counts(films, s, rates=(a, b))) for s in CLASSES}
        for a, b in pairwise(RATE_EDGES)
    }


def limits(m: Measured) -> dict[str, float]:
    """Scores above which either search has `tracee_peer.FALSE_A_FILM` false candidates a film, at high latitude.

    Minus infinity where a search has fewer with its loosest thresholds.
    """
    searches = ("loose", "peer") if m.peer else ("loose",)
    return {which: threshold(m.of(which, m.sparse, empty=True)) for which in searches}


def completeness_curve(m: Measured) -> dict[str, Share]:
    """Completeness against signal over noise at high latitude: as kept, and of both at equal false rate."""
    at = limits(m)
    curve = {"kept": {f"{s:g}": _share(_counts(m.of("kept", m.sparse), s)) for s in ALL_SNRS}}
    for which, name in (("loose", "equal_false_rate"), ("peer", "tracee")):
        if which in at:
            films = m.of(which, m.sparse)
            curve[name] = {f"{s:g}": _share(_counts(films, s, at[which])) for s in ALL_SNRS}
    return curve


def half_snr(share: Share) -> float:
    """Signal over noise at which half is found, between the steps of the ladder; NaN where the curve does not cross."""
    known = [(float(s), part) for s, part in share.items() if part is not None]
    if not known:
        return float("nan")
    snr, part = np.array(known).T
    part = np.maximum.accumulate(part)
    above = np.flatnonzero(part >= 0.5)
    if len(above) == 0 or above[0] == 0:
        return float("nan")
    k = above[0]
    step = (0.5 - part[k - 1]) / (part[k] - part[k - 1])
    return float(np.exp(np.log(snr[k - 1]) + step * np.log(snr[k] / snr[k - 1])))


def gain(m: Measured) -> dict[str, Number]:
    """Magnitudes between the points where either search finds half, at equal false rate."""
    curve = completeness_curve(m)
    ours, theirs = (half_snr(curve.get(name, {})) for name in ("equal_false_rate", "tracee"))
    difference = 2.5 * np.log10(theirs / ours)
    return {
        "gain_over_tracee_mag": float(difference) if np.isfinite(difference) else None,
        "half_found_snr": ours if np.isfinite(ours) else None,
        "half_found_snr_tracee": theirs if np.isfinite(theirs) else None,
    }  # fmt: skip


# --- false alarms --------------------------------------------------------------------------------
def false_a_film(films: Sequence[Judged], limit: float = -np.inf) -> Number:
    """False candidates above a score, a film."""
    return sum(int((j.false > limit).sum()) for j in films) / len(films) if films else None


def false_alarm_curve(empty: Sequence[Judged], films: Sequence[Judged]) -> list[dict[str, Number]]:
    """False candidates a film and the part of the movers of `CLASSES` found, against the threshold of the score."""
    scores = (_joined(j.false for j in empty), _joined(j.score[np.isfinite(j.score)] for j in films))
    grid = [np.quantile(s, np.linspace(0.0, 1.0, CURVE_POINTS)) for s in scores if len(s)]
    curve = []
    for limit in np.unique(_joined(grid)) - 1e-6:
        counts = np.array([_counts(films, s, limit) for s in CLASSES]).sum(axis=0)
        found = _share((int(counts[0]), int(counts[1])))
        curve.append({"score": float(limit), "false_per_film": false_a_film(empty, limit), "completeness": found})
    return curve


def _review(films: Sequence[FilmFound]) -> dict[str, Number]:
    """False candidates that people would be shown, and what part of the movers met in all exposures they would see."""
    if not films:
        return {}
    shown, n = sum(f.shown_false for f in films), len(films)
    same = [f for f in films if f.night.kind == "same"]
    seen = {f"review_completeness_{s:g}": _mean([f.shown[f.kept.snr == s] for f in same]) for s in CLASSES}
    most = chi_square.ppf(0.9, 2 * (shown + 1)) / 2  # a Poisson mean that gives more in nine cases of ten
    linked = sum(f.linked_false for f in films)
    false, loose = (sum(len(j.false) for j in some) for some in ([f.kept for f in films], [f.loose for f in films]))
    return {
        "false_review_per_night": shown / n * FILMS_A_NIGHT,
        "false_review_per_night_below": float(most) / n * FILMS_A_NIGHT,
        "false_linked_per_night_loose": linked / n * FILMS_A_NIGHT,
        "false_linked_per_night": linked / n * FILMS_A_NIGHT * (false / loose) ** 2 if loose else None,
        "review_films": float(n), **seen,
    }  # fmt: skip


# --- fits and costs ------------------------------------------------------------------------------
def _fits(films: Sequence[Judged]) -> dict[str, Number]:
    """Of the movers that were found."""
    found = [np.isfinite(j.score) for j in films]
    n = sum(int(f.sum()) for f in found)
    chi2 = [j.chi2[f & (j.snr >= 2.5)] for j, f in zip(films, found, strict=True)]
    rate = [np.abs(j.rate_error[f & (j.snr == 8.0)]) for j, f in zip(films, found, strict=True)]
    return {
        "duplicates": sum(j.repeats for j in films) / n if n else None,
        "position_chi2": _mean(chi2), "rate_error": median(_joined(rate)),
        "position_chi2_median": median(_joined(chi2)), "matched": float(n),
    }  # fmt: skip


def _joined(parts: Iterable[Array]) -> Array:
    return np.concatenate([*parts, np.empty(0)])


def _mean(parts: Iterable[Array]) -> Number:
    values = _joined(parts).astype(float)
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else None


def _costs(costs: Sequence[Cost]) -> dict[str, Number]:
    """Median of the rounds, and of the timed films the worst."""
    figures: dict[str, Number] = {"core_seconds_per_film": worst(float(np.median(c.seconds["empty"])) for c in costs)}
    for c in costs:
        for name, film in (("empty", "without"), ("movers", "with")):
            figures[f"core_seconds_{c.field}_{film}_movers"] = float(np.median(c.seconds[name]))
            figures[f"core_seconds_{c.field}_{film}_movers_least"] = float(c.seconds[name].min())
    return figures


def yardstick_of(costs: Sequence[Cost]) -> dict[str, Number]:
    """Reading a film's bytes."""
    seconds = median(float(np.median(c.seconds["readinto"])) for c in costs)
    return {"readinto_core_seconds": seconds, "film_bytes": median(float(c.n_bytes) for c in costs)}
