"""From an id back to the raw film: the registry's records along the way."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from tomoe_explore.archive import registry as tables
from tomoe_explore.archive.provenance import Origin
from tomoe_explore.archive.registry import Registry
from tomoe_explore.errors import NotFoundError, ParameterError
from tomoe_explore.ids import Member, member_kind

#: Sources, movers and streaks have the reduction's id followed by this many digits (ids.member_ids).
_MEMBER = 100_000

#: The table with one row a thing, and the one with a row for each of its frames.
_TABLES: dict[Member, tuple[str, str | None]] = {
    "source": ("sources", "photometry"), "mover": ("movers", "mover_detections"), "streak": ("streaks", None),
}  # fmt: skip

_PRODUCT = ("product_id", "kind", "path", "checksum", "bytes", "n_rows")

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
    products, masters = tables.products, tables.masters
    found = registry.rows(sa.select(products).where(products.c.product_id == text))
    if found:
        return _of_reduction(registry, found[0]["reduction_id"], f"product {text}", product=_some(found[0], *_PRODUCT))
    if registry.rows(sa.select(masters.c.master_id).where(masters.c.master_id == text)):
        master = _master(registry, text)
        return Origin(f"master {text}", product=master, film=master["film"], dark=master["dark"])
    raise _not_found(text)


def _not_found(text: str) -> NotFoundError:
    return NotFoundError(
        f"nothing has the id {text!r}: expected a reduction (357754112001), a product ('stack-357754112001'), a master "
        "('dark-112-…'), or a source, mover or streak (reduction and five digits)"
    )


def _of_number(registry: Registry, root: Path, number: int, frame: int | None) -> Origin:
    """A reduction, else a row of one: sources, movers and streaks are numbered after their reduction."""
    if not 0 < number < 2**63:
        raise _not_found(str(number))
    reductions = tables.reductions.c
    for reduction_id in (number, number // _MEMBER):
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
    reduction_id, kind = number // _MEMBER, member_kind(number)
    table = _TABLES[kind][0 if frame is None else 1]
    if table is None:
        raise ParameterError(f"a {kind} has no row for each frame; ask for {number} without a frame")
    products = tables.products
    query = sa.select(products).where(products.c.reduction_id == reduction_id, products.c.kind == table)
    files = registry.rows(query)
    row = _row(root / files[0]["path"], table, {f"{kind}_id": number, "frame": frame}) if files else None
    if row is None:
        of_frame = "" if frame is None else f" with a row of frame {frame}"
        raise NotFoundError(f"reduction {reduction_id} has no {kind} {number}{of_frame}")
    asked = f"{kind} {number}" + ("" if frame is None else f", frame {frame}")
    return _of_reduction(registry, reduction_id, asked, product=_some(files[0], *_PRODUCT), row=row)


def _row(path: Path, table: str, key: Mapping[str, int | None]) -> Plain | None:
    """The row with a key, its flags by name; None if there is none."""
    import pyarrow.parquet as pq

    from tomoe_explore import schema
    from tomoe_explore.archive.tables import with_magnitudes
    from tomoe_explore.errors import ArchiveError

    try:
        rows = pq.read_table(path, filters=[(name, "=", value) for name, value in key.items() if value is not None])
    except OSError as error:
        raise ArchiveError(f"table {table!r} cannot be read: {error}; `tomoe doctor` names what is missing") from error
    if not rows.num_rows:
        return None
    values = (with_magnitudes(rows) if table == "photometry" else rows).slice(0, 1).to_pylist()[0]
    names = [str(flag.name) for flag in schema.Flag if values.get("flags", 0) & flag]
    return {"table": table, **values, "flag_names": names}


def _of_reduction(
    registry: Registry, reduction_id: int, asked: str, *, product: Mapping[str, Any] | None = None,
    row: Mapping[str, Any] | None = None,
) -> Origin:  # fmt: skip
    reductions, films, refcats, products = tables.reductions, tables.films, tables.refcats, tables.products
    run = registry.rows(sa.select(reductions).where(reductions.c.reduction_id == reduction_id))[0]
    film = registry.rows(sa.select(films).where(films.c.film_checksum == run["film_checksum"]))[0]
    refcat: Plain = {}
    if run["refcat"]:
        refcat = {"name": run["refcat"], "checksum": run["refcat_checksum"]}
        known = registry.rows(sa.select(refcats).where(refcats.c.checksum == run["refcat_checksum"]))
        refcat |= _some(known[0], "path", "n_stars", "epoch") if known else {}
    shown = _some(
        run, "reduction_id", "exposure_id", "detector_id", "night", "status", "error", "started", "finished",
        "code_version", "code_dirty", "superseded_by",
    )  # fmt: skip
    shown["code_dirty"] = bool(shown["code_dirty"])
    earlier, later = _chain(registry, reduction_id)
    shown |= {"earlier": earlier, "later": later}
    shown |= {name: json.loads(run[name]) for name in ("parameters", "environment")}
    chain = [*earlier, reduction_id, *later]
    query = sa.select(products).where(products.c.reduction_id.in_(chain)).order_by(products.c.kind)
    files = registry.rows(query.order_by(products.c.reduction_id))
    return Origin(
        asked, row or {}, product or {}, shown, _film(film), _master(registry, run["dark_id"]),
        _master(registry, run["flat_id"]), refcat,
        [_some(file, *_PRODUCT) for file in files if file["reduction_id"] == reduction_id], _revisions(files, chain),
    )  # fmt: skip


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


def _revisions(files: Any, chain: list[int]) -> list[Plain]:
    """Which files took the place of which, of the same kind, along a chain of reductions."""
    there = {(file["kind"], file["reduction_id"]): file["product_id"] for file in files}
    kinds = sorted({kind for kind, _ in there})
    steps = [(kind, old, new) for kind in kinds for old, new in pairwise(chain)]
    return [
        {"product_id": there[kind, new], "revision_of": there[kind, old]}
        for kind, old, new in steps
        if (kind, old) in there and (kind, new) in there
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
