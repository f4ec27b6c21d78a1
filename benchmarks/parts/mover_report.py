"""The tables of ``movers.py`` for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from parts.measure import table
from parts.mover_figures import ALL_SNRS, FIGURES, Measured, limits
from parts.mover_films import CLASSES
from parts.mover_work import Alarms

CLASS_HEAD = tuple(f"S/N {s:g}" for s in CLASSES)
ORDERS = ("as taken", "swapped", "shuffled")


def report(figures: Mapping[str, Any], m: Measured) -> str:
    """All tables."""
    parts = [_figures(figures), _completeness(figures), _curve(figures), _alarms(figures), _peer(m), _cost(m)]
    return "\n\n".join(part for part in parts if part)


def _figures(figures: Mapping[str, Any]) -> str:
    def shown(value: object) -> object:
        if not isinstance(value, Mapping):
            return value
        return " ".join("-" if part is None else f"{part:.3f}" for part in value.values())

    rows = [[name, shown(figures[name]), bar] for name, bar in FIGURES.items()]
    rows += [[n, v, ""] for n, v in figures.items() if n not in FIGURES and not isinstance(v, (Mapping, list))]
    return table("Figures (the script's docstring says what each is)", ("figure", "value", "ought to be"), rows)


def _completeness(figures: Mapping[str, Any]) -> str:
    rows = [["all", *figures["completeness"].values()]] if figures["completeness"] else []
    for name in ("sparse", "synthetic", "dense"):
        if f"completeness_{name}" in figures:
            rows.append([name, *figures[f"completeness_{name}"].values()])
    rows += [[f'{rate}"/s', *shares.values()] for rate, shares in figures["completeness_by_rate"].items()]
    return table("Completeness as kept, by field and rate", ("movers", *CLASS_HEAD), rows)


def _curve(figures: Mapping[str, Any]) -> str:
    curve = figures["completeness_curve"]
    rows = [[f"{s:g}", *(curve.get(n, {}).get(f"{s:g}") for n in ("kept", "equal_false_rate", "tracee"))]
            for s in ALL_SNRS]  # fmt: skip
    title = "Completeness at high latitude against S/N a frame: as kept; both at 0.1 false a film without movers"
    return table(title, ("S/N", "kept", "ours", "tracee"), rows)


def _alarms(figures: Mapping[str, Any]) -> str:
    rows = [
        [name, who, point["score"], point["false_per_film"], point["completeness"]]
        for name, curves in figures["false_alarm_curves"].items() for who, curve in curves.items() for point in curve
    ]  # fmt: skip
    title = "False alarms: candidates a film without movers above a score, and movers of S/N 2 to 8 found above it"
    return table(title, ("field", "search", "score", "false a film", "found"), rows, words=2)


def _peer(m: Measured) -> str:
    if m.setting is None:
        return ""
    at = limits(m)
    rows = [[name, value] for name, value in asdict(m.setting).items()]
    rows += [["found on the films for tuning", m.tuned]]
    rows += [[f"score for 0.1 false a film, {n}", at[w]] for n, w in (("ours", "loose"), ("tracee", "peer")) if w in at]
    return table("tracee, tuned on other films", ("choice", "value"), rows)


def _cost(m: Measured) -> str:
    rows = [
        [c.field, name, float(np.median(seconds)), float(seconds.min()), len(seconds)]
        for c in m.costs for name, seconds in c.seconds.items()
    ]  # fmt: skip
    title = "CPU seconds of the search in the recipe on a film, without and with 40 movers"
    return table(title, ("field", "film", "median", "least", "rounds"), rows, words=2) if rows else ""


def calibration(alarms: Sequence[Alarms], points: int = 40) -> tuple[dict[str, Any], str]:
    """False candidates a film above scores, of films as they are and with frames in other orders: figures and table."""
    fields = sorted({a.field for a in alarms})
    found = {(f, o): [s for a in alarms if a.field == f for s in a.scores[o]] for f in fields for o in ORDERS}
    everything = np.concatenate([s for runs in found.values() for s in runs] or [np.empty(0)])
    grid = np.linspace(everything.min(), everything.max(), points) if len(everything) else np.empty(0)
    figures = {
        field: {"runs": {o: len(found[field, o]) for o in ORDERS}, "score": grid.tolist()}
        | {o: [_above(found[field, o], s) for s in grid] for o in ORDERS}
        for field in fields
    }
    rows = [[field, float(s), *(figures[field][o][k] for o in ORDERS)] for field in fields for k, s in enumerate(grid)]
    rows += [[field, "runs", *figures[field]["runs"].values()] for field in fields]
    title = "Candidates a film of at least a score, none of them a mover"
    return {"calibration": figures}, table(title, ("field", "score", *ORDERS), rows)


def _above(runs: Sequence[np.ndarray], score: float) -> float:
    return sum(int((scores >= score).sum()) for scores in runs) / len(runs) if runs else float("nan")
