"""Where something in the archive comes from, told from its id alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from tomoe_explore.archive import registry as tables
from tomoe_explore.archive.registry import Registry
from tomoe_explore.errors import NotFoundError
from tomoe_explore.ids import member_kind

#: Sources, movers and streaks have the reduction's id followed by this many digits (ids.member_ids).
_MEMBER = 100_000


@dataclass(frozen=True)
class Origin:
    """Where a product, source or reduction comes from. Printing it tells the story; `to_dict` gives plain values.

    Attributes
    ----------
    asked : str
        The id that was asked for, and what it is.
    reduction : mapping
        The run: ids, times, status, error, parameters, code, environment, successor. Empty for a master.
    film : mapping
        Raw film: path, checksum, exposure, detector.
    dark, flat : mapping
        Masters, each with its own film and code; empty where there is none.
    refcat : mapping
        Reference catalog: name, checksum, path.
    product : mapping
        The file, where a file was asked for.
    """

    asked: str
    reduction: Mapping[str, Any]
    film: Mapping[str, Any]
    dark: Mapping[str, Any]
    flat: Mapping[str, Any]
    refcat: Mapping[str, Any]
    product: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON can hold them."""
        parts = ("reduction", "film", "dark", "flat", "refcat", "product")
        return {"asked": self.asked, **{name: dict(getattr(self, name)) for name in parts}}

    def __str__(self) -> str:
        lines = [self.asked]
        for name, values in self.to_dict().items():
            if name == "asked" or not values:
                continue
            lines.append(f"  {name}")
            lines += [f"    {key:16s}{_shown(value)}" for key, value in values.items() if value not in (None, "", {})]
        return "\n".join(lines)

    __repr__ = __str__


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k}={_shown(v)}" for k, v in value.items())
    return str(value)


def origin(registry: Registry, root: Path, id: int | str) -> Origin:
    """Where something comes from; see `Archive.provenance`."""
    text = str(id).strip()
    if text.lstrip("+-").isdecimal():
        return _of_number(registry, root, int(text))
    products, masters = tables.products, tables.masters
    found = registry.rows(sa.select(products).where(products.c.product_id == text))
    if found:
        product = _plain(found[0], "product_id", "kind", "path", "checksum", "bytes", "n_rows")
        return _of_reduction(registry, found[0]["reduction_id"], f"product {text}", product)
    if registry.rows(sa.select(masters.c.master_id).where(masters.c.master_id == text)):
        master = _master(registry, text)
        return Origin(f"master {text}", {}, master["film"], {}, {}, {}, master)
    raise _not_found(text)


def _not_found(text: str) -> NotFoundError:
    return NotFoundError(
        f"nothing has the id {text!r}: expected a reduction (357754112001), a product ('stack-357754112001'), a master "
        "('dark-112-…'), or a source, mover or streak (reduction and five digits)"
    )


def _of_number(registry: Registry, root: Path, number: int) -> Origin:
    """A reduction, else a row of one: sources, movers and streaks are numbered after their reduction."""
    if not 0 < number < 2**63:
        raise _not_found(str(number))
    reductions, products = tables.reductions.c, tables.products
    for reduction_id in (number, number // _MEMBER):
        if registry.rows(sa.select(reductions.reduction_id).where(reductions.reduction_id == reduction_id)):
            break
    else:
        raise _not_found(str(number))
    if reduction_id == number:
        return _of_reduction(registry, number, f"reduction {number}", {})
    rows = registry.rows(sa.select(products).where(products.c.reduction_id == reduction_id))
    files = {row["kind"]: root / row["path"] for row in rows}
    kind = member_kind(number)
    if f"{kind}s" not in files or not _has(files[f"{kind}s"], f"{kind}_id", number):
        raise NotFoundError(f"reduction {reduction_id} has no {kind} {number}")
    return _of_reduction(registry, reduction_id, f"{kind} {number}", {})


def _has(path: Path, column: str, number: int) -> bool:
    import pyarrow.parquet as pq

    return bool(pq.read_table(path, columns=[column], filters=[(column, "=", number)]).num_rows)


def _of_reduction(registry: Registry, reduction_id: int, asked: str, product: Mapping[str, Any]) -> Origin:
    reductions, films, refcats = tables.reductions, tables.films, tables.refcats
    run = registry.rows(sa.select(reductions).where(reductions.c.reduction_id == reduction_id))[0]
    film = registry.rows(sa.select(films).where(films.c.film_checksum == run["film_checksum"]))[0]
    refcat: dict[str, Any] = {}
    if run["refcat"]:
        refcat = {"name": run["refcat"], "checksum": run["refcat_checksum"]}
        known = registry.rows(sa.select(refcats).where(refcats.c.checksum == run["refcat_checksum"]))
        refcat |= _plain(known[0], "path", "n_stars", "epoch") if known else {}
    shown = _plain(
        run, "reduction_id", "exposure_id", "detector_id", "night", "status", "error", "started", "finished",
        "code_version", "code_dirty", "superseded_by",
    )  # fmt: skip
    shown |= {name: json.loads(run[name]) for name in ("parameters", "environment")}
    return Origin(
        asked, shown, _film(film), _master(registry, run["dark_id"]), _master(registry, run["flat_id"]), refcat, product
    )


def _film(row: sa.RowMapping) -> dict[str, Any]:
    return {"checksum": row["film_checksum"], **_plain(row, "path", "size", "exposure_id", "detector_id", "night")}


def _master(registry: Registry, master_id: str | None) -> dict[str, Any]:
    """A master with the film and the dark that it was made from."""
    if not master_id:
        return {}
    masters, films = tables.masters, tables.films
    found = registry.rows(sa.select(masters).where(masters.c.master_id == master_id))
    if not found:
        return {"master_id": master_id, "note": "no longer in the archive"}
    row = found[0]
    known = registry.rows(sa.select(films).where(films.c.film_checksum == row["film_checksum"]))
    film = _film(known[0]) if known else {"checksum": row["film_checksum"]}
    keys = ("master_id", "path", "checksum", "created", "code_version", "dark_id")
    return {**_plain(row, *keys), "film": film}


def _plain(row: sa.RowMapping, *names: str) -> dict[str, Any]:
    return {name: row[name] for name in names}
