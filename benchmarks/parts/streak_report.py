"""The figures of the streak benchmark, and its tables for people."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from parts.measure import table
from parts.streak_films import SNRS, StreakScore


def figures_of(scores: Sequence[StreakScore]) -> dict[str, object]:
    """See `benchmarks/streaks.py`."""
    found = [(f, s.deep) for s in scores for f in s.found]
    plain = [f for f, deep in found if not deep]
    by_snr = {f"{snr:g}": _part([f for f, deep in found if f[1] == snr and deep == (snr == SNRS[2])]) for snr in SNRS}
    rows = [f[4] for f in plain if f[4] > 0]
    ends = [e for s in scores if not s.deep for e in s.end_error]
    pulls = [p for s in scores for p in s.rate_pull]
    glints = [g for s in scores if not s.deep for g in s.glints]
    timed = [min(s.seconds) for s in scores if s.seconds]
    glints_timed = [min(s.glint_seconds) for s in scores if s.glint_seconds]
    return {
        "completeness": by_snr,
        "one_row": float(np.mean([r == 1 for r in rows])) if rows else None,
        "false_per_frame": _rate(scores, deep=False), "false_per_frame_deep": _rate(scores, deep=True),
        "glint_completeness": float(np.mean(glints)) if glints else None,
        "false_glints_per_frame": _glint_rates(scores),
        "end_error_px": _percentile([e for _, e in ends]),
        "end_error_px_snr1": _percentile([e for snr, e in ends if snr == SNRS[1]]),
        "rate_pull_rms": float(np.sqrt(np.mean(np.square(pulls)))) if pulls else None,
        "rates": len(pulls),
        "core_seconds_per_film": float(np.median(timed)) if timed else None,
        "glint_core_seconds_per_film": float(np.median(glints_timed)) if glints_timed else None,
        "completeness_by_seeing": {
            f"{seeing:g}": _part([f for f in plain if f[1] == SNRS[1] and f[2] == seeing])
            for seeing in sorted({f[2] for f in plain})
        },
    }  # fmt: skip


def _part(found: Sequence[tuple[str, float, float, float, int]]) -> float | None:
    return float(np.mean([f[4] > 0 for f in found])) if found else None


def _rate(scores: Sequence[StreakScore], *, deep: bool) -> float | None:
    frames = sum(s.frames for s in scores if s.deep == deep)
    return sum(len(s.false) for s in scores if s.deep == deep) / frames if frames else None


def _glint_rates(scores: Sequence[StreakScore]) -> dict[str, float]:
    fields = sorted({s.field for s in scores})
    of_field = {field: [s for s in scores if s.field == field] for field in fields}
    return {f: sum(len(s.false_glints) for s in some) / sum(s.frames for s in some) for f, some in of_field.items()}


def _percentile(errors: Sequence[float]) -> float | None:
    return float(np.percentile(errors, 68)) if len(errors) else None


def report(figures: dict[str, object], scores: Sequence[StreakScore]) -> str:
    """For people."""
    found = [(f, s.deep) for s in scores for f in s.found]
    parts = [table("figures", ["name", "value"], [[n, v] for n, v in figures.items() if not isinstance(v, dict)])]
    kinds: list[tuple[str, Callable[[tuple[str, float, float, float, int]], object]]] = [
        ("field", lambda f: f[0]), ("seeing", lambda f: f[2]),
        ("length", lambda f: "60-90" if f[3] < 90 else "90-300" if f[3] < 300 else "300-"),
    ]  # fmt: skip
    for name, key in kinds:
        groups = sorted({(key(f), f[1], deep) for f, deep in found}, key=str)
        rows = []
        for group, snr, deep in groups:
            some = [f for f, d in found if key(f) == group and f[1] == snr and d == deep]
            rows.append([group, snr, "deep" if deep else "", len(some), _part(some)])
        parts.append(table(f"completeness by {name}", [name, "snr", "mode", "streaks", "found"], rows))
    pairs = [pair for s in scores for pair in s.kinds]
    rows = [[*pair, pairs.count(pair)] for pair in sorted(set(pairs))]
    parts.append(table("class", ["true", "given", "streaks"], rows, words=2))
    parts.append("false\n" + "\n".join(f"  {line}" for s in scores for line in s.false))
    parts.append("false glints\n" + "\n".join(f"  {line}" for s in scores for line in s.false_glints))
    return "\n\n".join(parts)
