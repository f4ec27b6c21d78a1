"""Reductions are taken out of merged files when others take their place: what is current there stays all that is there.

A night that is consolidated has no files of single exposures any more. When a film of it is done again, the merged
files that hold its old rows are written anew without them. The old rows become a file of their exposure, replaced from
the start, and a generation of their own. So which superseded rows a replaced file has never changes: one without any
can go, whenever that is asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa

from tomoe_explore import schema
from tomoe_explore.archive.layout import PART_TABLES, Layout, exposure_part_id
from tomoe_explore.archive.partitions import merge
from tomoe_explore.archive.registry import Registry
from tomoe_explore.archive.reserve import now
from tomoe_explore.archive.row_groups import Selection, read_rows
from tomoe_explore.archive.rows import merged_parts_of
from tomoe_explore.archive.swap import Swap
from tomoe_explore.archive.table_file import write_part

Row = dict[str, Any]


def take_out(
    registry: Registry, layout: Layout, swap: Swap, runs: Sequence[Row], generation: int
) -> tuple[list[Row], list[str]]:
    """Write merged files anew without the rows of some reductions of one exposure.

    Parameters
    ----------
    registry, layout
        Of the archive.
    swap : Swap
        Where files are written.
    runs : sequence of dict
        Records of current reductions whose rows lie in merged files.
    generation : int
        Of the exposure, for these rows alone.

    Returns
    -------
    new : list of dict
        Records of the files written: merged ones, and those of the exposure, which are replaced already.
    old : list of str
        Ids of the merged files that they stand for.
    """
    new: list[Row] = []
    old: list[str] = []
    for kind in PART_TABLES:
        holding = _holding(registry, layout, kind, [run for run in runs if run[f"n_{kind}"]])
        for part, gone in holding:
            old.append(part["part_id"])
            part_id = swap.part_id(kind, part["night"], part["cell"])
            ids = [run["reduction_id"] for run in gone]
            n_rows = merge(kind, [layout.root / part["path"]], swap.staged(part_id), cell=part["cell"], without=ids)
            if n_rows:
                new.append(swap.finish({**part, "part_id": part_id, "n_rows": n_rows, "replaced": None}))
        if holding:
            new.append(_put_aside(layout, swap, kind, holding, generation))
    return new, old


def _holding(
    registry: Registry, layout: Layout, kind: str, runs: Sequence[Row]
) -> list[tuple[sa.RowMapping, list[Row]]]:
    """Merged files with rows of some reductions, and of which."""
    parts = {part["part_id"]: part for run in runs for part in merged_parts_of(registry, run, kind)}
    found = []
    for part in parts.values():
        selection = Selection(reduction_id=tuple(run["reduction_id"] for run in runs))
        ids = set(_read(layout, kind, [part], ["reduction_id"], selection)["reduction_id"].to_pylist())
        if ids:
            found.append((part, [run for run in runs if run["reduction_id"] in ids]))
    return found


def _put_aside(
    layout: Layout, swap: Swap, kind: str, holding: Sequence[tuple[sa.RowMapping, list[Row]]], generation: int
) -> Row:
    """A file of the exposure with the rows that are taken out."""
    arrow, parts = schema.TABLES[kind].arrow, [part for part, _ in holding]
    runs = {run["reduction_id"]: run for _, gone in holding for run in gone}
    run = next(iter(runs.values()))
    part_id = exposure_part_id(kind, run["exposure_id"], generation)
    films = [_read(layout, kind, parts, arrow.names, Selection(reduction_id=(this,))) for this in sorted(runs)]
    write_part(films, arrow, swap.staged(part_id))
    return swap.finish({
        "part_id": part_id, "kind": kind, "night": run["night"], "exposure_id": run["exposure_id"], "cell": None,
        "generation": generation, "n_rows": sum(film.num_rows for film in films), "replaced": now(),
    })  # fmt: skip


def _read(layout: Layout, kind: str, parts: Iterable[sa.RowMapping], columns: list[str], selection: Selection) -> Any:
    return read_rows([layout.root / part["path"] for part in parts], schema.TABLES[kind].arrow, columns, selection)
