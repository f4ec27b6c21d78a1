"""From the scores of films to the figures of ``reduction.py`` and its tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from parts.film_score import FilmScore
from parts.measure import table
from parts.scores import BRIGHT_MAG, Array, Counts, Magnitudes, by_magnitude

FIELDS = ("sparse", "dense", "synthetic")
LEAST_STARS = 20  #: a half magnitude with fewer says nothing
WRONG_ARCSEC = 1.0

#: Every figure, and what it ought to be.
FIGURES = {
    "core_seconds_per_film": "<= 0.214", "core_seconds_without_movers_streaks": "<= 0.11", "over_readinto": "",
    "faster_than_ccdproc_photutils": ">= 50", "faster_than_numpy_sep": ">= 14", "compression_core_seconds": "",
    "astrometric_rms_arcsec": "<= 0.10", "solved_fraction": ">= 0.99", "zeropoint_error_mag": "<= 0.01",
    "flux_bias_max": "<= 0.005", "chi2_min": ">= 0.9", "chi2_max": "<= 1.1", "bright_scatter_ratio": "<= 1.2",
    "completeness_sn7": ">= 0.95", "spurious_fraction": "<= 0.01", "time_error_ms": "<= 0.2",
    "archive_over_raw": "<= 0.1", "bytes_per_row": "<= 14",
}  # fmt: skip


@dataclass(frozen=True)
class Bytes:
    """What one film takes: its products over the raw film, and a row of its photometry in bytes."""

    field: str
    over_raw: float
    a_row: float


@dataclass(frozen=True)
class Speed:
    """CPU seconds on one film, medians of the rounds.

    Attributes
    ----------
    field : str
    readinto : float
        The yardstick.
    n_bytes : int
    whole : float
        From the file to the archive, compression of the stack apart.
    movers, compression : float
    common : float
        Of the stages that the peers do too.
    peers : dict
        Seconds of each peer.
    quality : dict
        Figures of ours and of each peer.
    """

    field: str
    readinto: float
    n_bytes: int
    whole: float
    movers: float
    compression: float
    common: float
    peers: dict[str, float]
    quality: dict[str, dict[str, float]]


def figures_of(
    scores: Sequence[FilmScore], sizes: Sequence[Bytes], speeds: Sequence[Speed]
) -> tuple[dict[str, float | None], dict[str, float | None]]:
    """The figures of the benchmark, None where nothing was measured, and the yardstick."""
    done = [s for s in scores if not s.error and s.offset < WRONG_ARCSEC]
    bins = [b for field in FIELDS for b in by_magnitude(gathered(done, field), LEAST_STARS)]
    bright = [bright_scatter(done, field) for field in FIELDS]
    counts = sum((s.counts for s in done if s.field != "dense"), Counts())
    figures = dict.fromkeys(FIGURES) | {
        "core_seconds_per_film": _median(s.whole for s in speeds),
        "core_seconds_without_movers_streaks": _median(s.whole - s.movers for s in speeds),
        "over_readinto": _median(s.whole / s.readinto for s in speeds),
        "faster_than_ccdproc_photutils": _median(s.peers["ccdproc_photutils"] / s.common for s in speeds),
        "faster_than_numpy_sep": _median(s.peers["numpy_sep"] / s.common for s in speeds),
        "compression_core_seconds": _median(s.compression for s in speeds),
        "astrometric_rms_arcsec": _worst(max(s.rms) for s in done),
        "solved_fraction": len(done) / len(scores) if scores else None,
        "zeropoint_error_mag": _worst(abs(s.zeropoint[0]) for s in done),
        "flux_bias_max": _worst(abs(b.bias) for b in bins),
        "chi2_min": _worst((b.chi2 for b in bins), min), "chi2_max": _worst(b.chi2 for b in bins),
        "bright_scatter_ratio": _worst(bright),
        "completeness_sn7": _finite(counts.completeness), "spurious_fraction": _finite(counts.spurious_fraction),
        "time_error_ms": _worst(s.time_error_ms for s in done),
        "archive_over_raw": _worst(b.over_raw for b in sizes), "bytes_per_row": _worst(b.a_row for b in sizes),
    }  # fmt: skip
    seconds = _median(s.readinto for s in speeds)
    n_bytes = _median(float(s.n_bytes) for s in speeds)
    speed = n_bytes / seconds / 1e9 if seconds and n_bytes else None
    return figures, {"readinto_core_seconds": seconds, "film_bytes": n_bytes, "readinto_gb_s": speed}


def gathered(scores: Sequence[FilmScore], field: str) -> dict[str, Array]:
    """Stars of all films of a field, column by column."""
    parts = [s.stars for s in scores if s.field == field and s.stars]
    names = ("mag", "ratio", "chi2", "variance_ratio", "above")
    return {n: np.concatenate([p[n] for p in parts]) if parts else np.empty(0) for n in names}


def bright_scatter(scores: Sequence[FilmScore], field: str) -> float:
    """Scatter over that expected, of stars in the brightest magnitude used; NaN of too few."""
    stars = gathered(scores, field)
    ratio = stars["variance_ratio"][stars["above"] < BRIGHT_MAG]
    return float(np.sqrt(ratio.mean())) if len(ratio) >= LEAST_STARS else float("nan")


def _median(values: Any) -> float | None:
    values = [v for v in values if np.isfinite(v)]
    return float(np.median(values)) if values else None


def _worst(values: Any, of: Callable[[Any], float] = max) -> float | None:
    values = [v for v in values if np.isfinite(v)]
    return float(of(values)) if values else None


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


# --- tables --------------------------------------------------------------------------------------
def report(
    figures: dict[str, float | None], scores: Sequence[FilmScore], sizes: Sequence[Bytes], speeds: Sequence[Speed]
) -> str:
    """All tables for people."""
    rows = [[name, figures[name], bar] for name, bar in FIGURES.items()]
    parts = [
        table(f"Figures ({len(scores)} films)", ("figure", "value", "ought to be"), rows),
        _fields(scores, sizes), _magnitudes(scores), _costs(speeds), _pipelines(speeds),
    ]  # fmt: skip
    failed = [[s.field, s.where, s.error or f"solved {s.offset:.1f} arcsec off"] for s in scores
              if s.error or not s.offset < WRONG_ARCSEC]  # fmt: skip
    if failed:
        parts.append(table("Not solved", ("field", "film", "why"), failed))
    return "\n\n".join(parts)


def _fields(scores: Sequence[FilmScore], sizes: Sequence[Bytes]) -> str:
    """Median and worst film of each field."""
    rows = []
    for field in FIELDS:
        films = [s for s in scores if s.field == field]
        good = [s for s in films if not s.error and s.offset < WRONG_ARCSEC]
        if not good:
            continue
        counts, every = (sum((getattr(s, n) for s in good), Counts()) for n in ("counts", "counts_all"))
        pull = float(np.sqrt(np.mean([(s.zeropoint[0] / s.zeropoint[1]) ** 2 for s in good])))
        of_field = [b for b in sizes if b.field == field]
        rows.append([
            field, f"{len(good)}/{len(films)}", _range(s.fwhm_arcsec for s in good),
            int(np.median([s.n_sources for s in good])),
            _two(max(s.rms) for s in good), _two(abs(s.zeropoint[0]) for s in good), pull, bright_scatter(good, field),
            f"{counts.completeness:.3f} ({counts.stars})", f"{every.completeness:.3f}",
            f"{counts.spurious_fraction:.4f} ({counts.detections})", f"{every.spurious_fraction:.4f}",
            _two(s.time_error_ms for s in good), _two(b.over_raw for b in of_field), _two(b.a_row for b in of_field),
        ])  # fmt: skip
    head = (
        "field", "solved", "seeing\"", "sources", "rms\"", "zp err", "zp pull", "bright scatter",
        "complete, S/N 7", "all", "spurious", "all", "time ms", "bytes/raw", "bytes/row",
    )  # fmt: skip
    return table("By field: median | worst film; isolated stars (how many), then all", head, rows)


def _two(values: Any) -> str:
    values = list(values)
    return f"{np.median(values):.3g} | {max(values):.3g}" if values else "-"


def _range(values: Any) -> str:
    values = list(values)
    return f"{min(values):.1f}-{max(values):.1f}"


def _magnitudes(scores: Sequence[FilmScore]) -> str:
    good = [s for s in scores if not s.error and s.offset < WRONG_ARCSEC]
    found: dict[str, dict[float, Magnitudes]] = {}
    for field in FIELDS:
        found[field] = {b.low: b for b in by_magnitude(gathered(good, field), LEAST_STARS)}
    rows = []
    for low in sorted({low for bins in found.values() for low in bins}):
        row: list[object] = [f"{low:.1f}"]
        for field in FIELDS:
            b = found[field].get(low)
            row += [b.n_stars, f"{100 * b.bias:+.2f}", f"{b.chi2:.2f}", f"{b.scatter_ratio:.2f}"] if b else [""] * 4
        rows.append(row)
    head = ["G from", *(f"{field[:6]} {what}" for field in FIELDS for what in ("n", "bias %", "chi2", "scatter"))]
    return table("2 Hz fluxes by half magnitude: isolated, unflagged, constant stars", head, rows)


def _costs(speeds: Sequence[Speed]) -> str:
    rows = [
        [s.field, s.readinto, s.whole, s.whole - s.movers, s.movers, s.compression, s.common, *s.peers.values(),
         *(seconds / s.common for seconds in s.peers.values())]
        for s in speeds
    ]  # fmt: skip
    names = list(speeds[0].peers) if speeds else []
    ours = ("readinto", "whole", "no movers", "movers", "compression", "common")
    head = ["film", *ours, *names, *(f"x {n}" for n in names)]
    return table("CPU seconds a film (common: the stages that all do)", head, rows)


def _pipelines(speeds: Sequence[Speed]) -> str:
    rows = [[s.field, name, *quality.values()] for s in speeds for name, quality in s.quality.items()]
    head = ("film", "pipeline", "completeness S/N 7", "spurious", "scatter/expected, bright", "at 15.5-16.5 mag")
    return table("On the films timed, isolated stars", head, rows)
