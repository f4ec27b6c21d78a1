"""From an id back to the raw film: the registry's records along the way."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from tomoe_explore import schema
from tomoe_explore.archive import registry as tables
from tomoe_explore.archive.layout import collection_product_id, stack_product_id
from tomoe_explore.archive.provenance import Origin
from tomoe_explore.archive.registry import Registry
from tomoe_explore.archive.row_groups import Selection, read_rows
from tomoe_explore.archive.rows import parts_of
from tomoe_explore.archive.search import collection_row, stack_row
from tomoe_explore.errors import NotFoundError, ParameterError
from tomoe_explore.ids import MEMBERS, Member, member_kind

#: The table with one row a thing, and the one with a row for each of its frames.
_TABLES: dict[Member, tuple[str, str | None]] = {
    "source": ("sources", "photometry"), "mover": ("movers", "mover_detections"), "streak": ("streaks", None),
}  # fmt: skip

Plain = dict[str, Any]

_c = tables.reductions.c
_this: sa.BindParameter[int] = sa.bindparam("this")
_BEFORE = sa.select(_c.reduction_id).where(_c.superseded_by == _this, _c.reduction_id < _this).order_by(_c.reduction_id)
_AFTER = sa.select(_c.superseded_by).where(_c.reduction_id == _this, _c.superseded_by > _this)


def trace(registry: Registry, root: Path, id: int | str, frame: int | None = None) -> Origin:
    """Where something comes from; see `Archive.provenance`."""
    text = str(id).strip()
    if text.lstrip("+-").isdecimal():
        return _of_number(registry, root, int(text), frame)
    if frame is not None:
        raise ParameterError(f"frame {frame} goes with the id of a source or mover, got {text!r}")
    masters, parts = tables.masters, tables.parts
    if text.startswith("stack-") and text.removeprefix("stack-").isdecimal() and int(text[6:]) < 2**63:
        run = stack_row(registry, text)
        return _of_reduction(registry, run["reduction_id"], f"product {text}", product=_stack(run))
    if text.startswith("mover-") and text.removeprefix("mover-").isdecimal():
        run = collection_row(registry, text)
        return _of_reduction(registry, run["reduction_id"], f"product {text}", product=_collection(run))
    found = registry.rows(sa.select(parts).where(parts.c.part_id == text))
    if found:
        return _of_part(registry, root, found[0])
    if registry.rows(sa.select(masters.c.master_id).where(masters.c.master_id == text)):
        master = _master(registry, text)
        return Origin(f"master {text}", product=master, film=master["film"], dark=master["dark"])
    raise _not_found(text)


def _not_found(text: str) -> NotFoundError:
    return NotFoundError(
        f"nothing has the id {text!r}: expected a reduction (357754112001), a product ('stack-357754112001'), a master "
        "('dark-112-…'), or a source, mover or streak (reduction and five digits)"
    )


def _of_part(registry: Registry, root: Path, part: sa.RowMapping) -> Origin:
    """A file with rows of many reductions: which they are; each has a story of its own."""
    arrow = schema.TABLES[part["kind"]].arrow
    rows = read_rows([root / part["path"]], arrow, ["reduction_id"], Selection())
    runs = sorted(pc.unique(rows["reduction_id"]).to_pylist())
    asked, product = f"product {part['part_id']}", _part(part)
    if len(runs) == 1:
        return _of_reduction(registry, runs[0], asked, product=product)
    return Origin(asked, product=product | {"reductions": runs})


def _of_number(registry: Registry, root: Path, number: int, frame: int | None) -> Origin:
    """A reduction, else a row of one: sources, movers and streaks are numbered after their reduction."""
    if not 0 < number < 2**63:
        raise _not_found(str(number))
    reductions = tables.reductions.c
    for reduction_id in (number, number // MEMBERS):
        if registry.rows(sa.select(reductions.reduction_id).where(reductions.reduction_id == reduction_id)):
            break
    else:
        raise _not_found(str(number))
    if reduction_id != number:
        return _of_row(registry, root, number, frame)
    if frame is not None:
        raise ParameterError(f"frame {frame} goes with the id of a source or mover, {number} is a reduction")
    return _of_reduction(registry, number, f"reduction {number}")


def _of_row(registry: Registry, root: Path, number: int, frame: int | None) -> Origin:
    """A row of a table with one row a thing or, with a frame, of the one with a row a frame."""
    reduction_id, kind = number // MEMBERS, member_kind(number)
    table = _TABLES[kind][0 if frame is None else 1]
    if table is None:
        raise ParameterError(f"a {kind} has no row for each frame; ask for {number} without a frame")
    run = registry.rows(sa.select(tables.reductions).where(_c.reduction_id == reduction_id))[0]
    wanted: dict[str, Any] = {"reduction_id": (reduction_id,), f"{kind}_id": (number,)}
    arrow, this = schema.TABLES[table].arrow, Selection(**wanted)
    parts = parts_of(registry, run) if run["status"] == "done" else []
    for file in (part for part in parts if part["kind"] == table):  # several where merged files meet
        found = read_rows([root / file["path"]], arrow, arrow.names, this)
        found = found if frame is None else found.filter(pc.field("frame") == frame)
        if found.num_rows:
            asked = f"{kind} {number}" + ("" if frame is None else f", frame {frame}")
            return _of_reduction(registry, reduction_id, asked, product=_part(file), row=_row(found, table))
    of_frame = "" if frame is None else f" with a row of frame {frame}"
    raise NotFoundError(f"reduction {reduction_id} has no {kind} {number}{of_frame}")


def _row(rows: pa.Table, table: str) -> Plain:
    """The first of some rows, its flags by name."""
    from tomoe_explore.archive.tables import with_magnitudes

    values = (with_magnitudes(rows) if table == "photometry" else rows).slice(0, 1).to_pylist()[0]
    return {"table": table, **values, "flag_names": schema.flag_names(values.get("flags", 0))}


def _of_reduction(
    registry: Registry, reduction_id: int, asked: str, *, product: Mapping[str, Any] | None = None,
    row: Mapping[str, Any] | None = None,
) -> Origin:  # fmt: skip
    films, refcats, settings = tables.films, tables.refcats, tables.settings
    run = registry.rows(sa.select(tables.reductions).where(_c.reduction_id == reduction_id))[0]
    made = registry.rows(sa.select(settings).where(settings.c.checksum == run["settings"]))
    film = registry.rows(sa.select(films).where(films.c.film_checksum == run["film_checksum"]))[0]
    refcat: Plain = {}
    if run["refcat"]:
        refcat = {"name": run["refcat"], "checksum": run["refcat_checksum"]}
        known = registry.rows(sa.select(refcats).where(refcats.c.checksum == run["refcat_checksum"]))
        refcat |= _some(known[0], "path", "n_stars", "epoch") if known else {}
    shown = _some(
        run, "reduction_id", "exposure_id", "detector_id", "night", "status", "error", "started", "finished",
        "superseded_by",
    )  # fmt: skip
    earlier, later = _chain(registry, reduction_id)
    shown |= {"earlier": earlier, "later": later}
    shown |= {
        "code_version": made[0]["code_version"] if made else "",
        "code_dirty": bool(made and made[0]["code_dirty"]),
    }
    shown |= {name: json.loads(made[0][name]) if made else {} for name in ("parameters", "environment")}
    chain = [*earlier, reduction_id, *later]
    runs = registry.rows(sa.select(tables.reductions).where(_c.reduction_id.in_(chain), _c.status == "done"))
    files = {row["reduction_id"]: _files(registry, row) for row in runs}
    return Origin(
        asked, row or {}, product or {}, shown, _film(film), _master(registry, run["dark_id"]),
        _master(registry, run["flat_id"]), refcat, files.get(reduction_id, []), _revisions(files, chain),
    )  # fmt: skip


def _files(registry: Registry, run: sa.RowMapping) -> list[Plain]:
    """All files that hold something of a reduction."""
    parts = [
        # a merged file may hold some of the rows only
        _part(part) | ({} if part["exposure_id"] is None else {"n_rows_of_reduction": run[f"n_{part['kind']}"]})
        for part in parts_of(registry, run)
    ]
    movers = [_collection(run)] if run["collection_path"] else []
    return sorted([_stack(run), *movers, *parts], key=lambda file: str(file["kind"]))


def _stack(run: sa.RowMapping) -> Plain:
    stack = {"product_id": stack_product_id(run["reduction_id"]), "kind": "stack", "n_rows": None}
    return {**stack, **_some(run, "path", "checksum", "bytes")}


def _collection(run: sa.RowMapping) -> Plain:
    movers = {"product_id": collection_product_id(run["reduction_id"]), "kind": "mover", "n_rows": run["n_movers"]}
    return {**movers, **{name: run[f"collection_{name}"] for name in ("path", "checksum", "bytes")}}


def _part(part: sa.RowMapping) -> Plain:
    return {"product_id": part["part_id"], **_some(part, "kind", "path", "checksum", "bytes", "n_rows")}


def _chain(registry: Registry, reduction_id: int) -> tuple[list[int], list[int]]:
    """Reductions that came before and after one, each superseded by the next."""
    earlier: list[int] = []
    later: list[int] = []
    this = reduction_id
    # several at once where copies of one film were reduced: the newest of them is followed; a version only ever grows
    while before := registry.rows(_BEFORE, this=this):
        earlier = [row["reduction_id"] for row in before] + earlier
        this = earlier[len(before) - 1]
    this = reduction_id
    while after := registry.rows(_AFTER, this=this):
        this = after[0]["superseded_by"]
        later.append(this)
    return earlier, later


def _revisions(files: Mapping[int, list[Plain]], chain: list[int]) -> list[Plain]:
    """Which files took the place of which, of the same kind, along a chain of reductions."""
    return [
        {"product_id": successor["product_id"], "revision_of": file["product_id"]}
        for old, new in pairwise(chain)
        for file, successor in product(files.get(old, ()), files.get(new, ()))
        if file["kind"] == successor["kind"]
    ]


def _film(row: sa.RowMapping) -> Plain:
    return {"checksum": row["film_checksum"], **_some(row, "path", "size", "exposure_id", "detector_id", "night")}


def _master(registry: Registry, master_id: str | None) -> Plain:
    """A master with the film and the dark that it was made from."""
    if not master_id:
        return {}
    masters, films = tables.masters, tables.films
    found = registry.rows(sa.select(masters).where(masters.c.master_id == master_id))
    if not found:
        return {"master_id": master_id, "note": "no longer in the archive", "film": {}, "dark": {}}
    row = found[0]
    known = registry.rows(sa.select(films).where(films.c.film_checksum == row["film_checksum"]))
    film = _film(known[0]) if known else {"checksum": row["film_checksum"]}
    keys = ("master_id", "kind", "path", "checksum", "created", "code_version", "dark_id")
    return {**_some(row, *keys), "film": film, "dark": _master(registry, row["dark_id"])}


def _some(row: sa.RowMapping, *names: str) -> Plain:
    return {name: row[name] for name in names}
