"""From the scores of films to the figures of ``reduction.py``, whose docstring says what each of them is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from parts.costs import PEERS, Speed
from parts.film_score import FilmScore
from parts.scores import BRIGHT_MAG, NOISE, Array, Counts, Magnitudes, by_magnitude
from parts.work import Results

FIELDS = ("sparse", "dense", "synthetic")
LEAST_STARS = 50  #: with fewer, at 18 frames, the chi-square of a half magnitude is not known to 5 %
LEAST_BRIGHT = 20  #: with fewer the scatter of the brightest is not known to 4 %
WRONG_ARCSEC = 1.0

#: Every figure that is promised, and what it ought to be.
FIGURES = {
    "core_seconds_per_film": "<= 0.214", "core_seconds_without_movers_streaks": "<= 0.11", "over_readinto": "",
    "faster_than_ccdproc_photutils": ">= 50", "faster_than_numpy_sep": ">= 14", "compression_core_seconds": "",
    "astrometric_rms_arcsec": "<= 0.10", "solved_fraction": ">= 0.99", "zeropoint_error_mag": "<= 0.01",
    "flux_bias_max": "<= 0.005", "chi2_min": ">= 0.9", "chi2_max": "<= 1.1", "bright_scatter_ratio": "<= 1.2",
    "completeness_sn7": ">= 0.95", "spurious_fraction": "<= 0.01", "time_error_ms": "<= 0.2",
    "archive_over_raw": "<= 0.1", "bytes_per_row": "<= 14",
}  # fmt: skip

Number = float | None


@dataclass(frozen=True)
class Group:
    """Films that are judged together, and what they say; what is not known is None or NaN."""

    films: Sequence[FilmScore]

    @cached_property
    def good(self) -> list[FilmScore]:
        """Films that were solved, and rightly."""
        return [s for s in self.films if not s.error and s.offset < WRONG_ARCSEC]

    @cached_property
    def bins(self) -> list[Magnitudes]:
        """Half magnitudes of all stars."""
        return by_magnitude(self._stars, LEAST_STARS)

    @cached_property
    def _stars(self) -> dict[str, Array]:
        parts = [s.stars for s in self.good if s.stars]
        names = ("mag", "ratio", "chi2", "variance_ratio", "above", *NOISE)
        return {n: np.concatenate([p[n] for p in parts]) if parts else np.empty(0) for n in names}

    @property
    def bright_scatter(self) -> float:
        """Scatter over that expected, of stars in the brightest magnitude used."""
        ratio = self._stars["variance_ratio"][self._stars["above"] < BRIGHT_MAG]
        return float(np.sqrt(ratio.mean())) if len(ratio) >= LEAST_BRIGHT else float("nan")

    @property
    def counts(self) -> Counts:
        """Detection of isolated stars."""
        return sum((s.counts for s in self.good), Counts())

    @property
    def counts_all(self) -> Counts:
        """Detection of all stars."""
        return sum((s.counts_all for s in self.good), Counts())

    @property
    def rms(self) -> list[float]:
        """Of the worse coordinate of each film, arcsec."""
        return [max(s.rms) for s in self.good]

    @property
    def zeropoint(self) -> list[float]:
        """Size of each film's error, mag."""
        return [abs(s.zeropoint[0]) for s in self.good]

    @property
    def pull(self) -> float:
        """Rms of the zero points' errors over those stated."""
        pulls = np.array([s.zeropoint[0] / s.zeropoint[1] for s in self.good])
        return float(np.sqrt((pulls**2).mean())) if len(pulls) else float("nan")


def by_field(films: Iterable[FilmScore]) -> dict[str, Group]:
    """Films of each field that has some."""
    groups = {field: Group([s for s in films if s.field == field]) for field in FIELDS}
    return {field: group for field, group in groups.items() if group.films}


def by_seeing(films: Iterable[FilmScore], *, dense: bool) -> dict[float, Group]:
    """Films of each seeing, either of the dense field or of the others."""
    chosen = [s for s in films if (s.field == "dense") == dense]
    return {seeing: Group([s for s in chosen if s.seeing == seeing]) for seeing in sorted({s.seeing for s in chosen})}


def figures_of(results: Results) -> tuple[dict[str, Number], dict[str, Number]]:
    """The figures of the benchmark, None where nothing was measured, and the yardstick."""
    figures: dict[str, Number] = dict.fromkeys(FIGURES)
    figures |= _costs(results.speeds) | _films(results) | _stars(results.scores)
    seconds = median(s.median("readinto") for s in results.speeds)
    n_bytes = median(float(s.n_bytes) for s in results.speeds)
    speed = n_bytes / seconds / 1e9 if seconds and n_bytes else None
    return figures, {"readinto_core_seconds": seconds, "film_bytes": n_bytes, "readinto_gb_s": speed}


def _costs(speeds: Sequence[Speed]) -> dict[str, Number]:
    named = {"core_seconds_per_film": "whole", "core_seconds_without_movers_streaks": "no movers",
             "compression_core_seconds": "compression"}  # fmt: skip
    figures: dict[str, Number] = {}
    for figure, name in named.items():
        figures[figure] = median(s.median(name) for s in speeds)
        figures[f"{figure}_worst"] = worst(s.median(name) for s in speeds)
        figures[f"{figure}_least"] = median(float(s.seconds[name].min()) for s in speeds)
    for figure, name in (("over_readinto", "whole"), ("without_movers_streaks_over_readinto", "no movers")):
        figures[figure] = median(s.median(name) / s.median("readinto") for s in speeds)
    for peer in PEERS:
        for figure, ours in ((f"faster_than_{peer}", "common"), (f"recipe_faster_than_{peer}", "recipe")):
            ratios = [s.median(peer) / s.median(ours) for s in speeds]
            figures[figure], figures[f"{figure}_worst"] = median(ratios), worst(ratios, min)
    return figures


def _films(results: Results) -> dict[str, Number]:
    """Figures that each film has."""
    all_films, cloudy = Group(results.scores), Group(results.cloudy)
    good, n = all_films.good, len(results.scores)
    wrong = [s for s in [*results.scores, *results.cloudy] if not s.error and not s.offset < WRONG_ARCSEC]
    return {
        "astrometric_rms_arcsec": median(all_films.rms), "astrometric_rms_arcsec_worst": worst(all_films.rms),
        "solved_fraction": len(good) / n if n else None, "solved_wrongly": len(wrong) if n else None,
        "zeropoint_error_mag": median(all_films.zeropoint), "zeropoint_error_mag_worst": worst(all_films.zeropoint),
        "zeropoint_pull_rms": finite(all_films.pull),
        "time_error_ms": worst(s.time_error_ms for s in good),
        "archive_over_raw": worst(b.over_raw for b in results.sizes),
        "bytes_per_row": worst(b.a_row for b in results.sizes),
        "cloudy_solved_fraction": len(cloudy.good) / len(cloudy.films) if cloudy.films else None,
        "simulated_films_per_minute": worst((r.a_minute for r in results.rates), min),
    }  # fmt: skip


def _stars(films: Sequence[FilmScore]) -> dict[str, Number]:
    """Figures of many stars: of all films of a field, and of those of one seeing in a field."""
    fields = list(by_field(films).values())
    parts = [
        Group([s for s in g.films if s.seeing == seeing]) for g in fields for seeing in {s.seeing for s in g.films}
    ]
    figures: dict[str, Number] = {}
    for groups, end in ((fields, ""), (fields + parts, "_worst")):
        bins = [b for group in groups for b in group.bins]
        figures[f"flux_bias_max{end}"] = worst(abs(b.bias) for b in bins)
        figures[f"chi2_min{end}"] = worst((b.chi2 for b in bins), min)
        figures[f"chi2_max{end}"] = worst(b.chi2 for b in bins)
        figures[f"bright_scatter_ratio{end}"] = worst(group.bright_scatter for group in groups)
    dense, others = (Group([s for s in films if (s.field == "dense") == is_dense]) for is_dense in (True, False))
    for group, end in ((others, ""), (dense, "_dense")):
        figures[f"completeness_sn7{end}"] = finite(group.counts.completeness)
        figures[f"spurious_fraction{end}"] = finite(group.counts.spurious_fraction)
    clear = [group.counts for group in by_seeing(films, dense=False).values()]
    figures["completeness_sn7_worst"] = worst((c.completeness for c in clear), min)
    figures["spurious_fraction_worst"] = worst(c.spurious_fraction for c in clear)
    return figures


def median(values: Iterable[float]) -> Number:
    """Median of what is finite."""
    known = [v for v in values if np.isfinite(v)]
    return float(np.median(known)) if known else None


def worst(values: Iterable[float], of: Callable[[list[float]], float] = max) -> Number:
    """Largest (or ``of``) of what is finite."""
    known = [v for v in values if np.isfinite(v)]
    return float(of(known)) if known else None


def finite(value: float) -> Number:
    """None where it is not known."""
    return value if np.isfinite(value) else None
