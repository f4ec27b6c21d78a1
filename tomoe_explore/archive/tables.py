"""Rows of the archive's tables: from the registry, or from exactly those Parquet files that it lists."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import sqlalchemy as sa

from tomoe_explore import schema
from tomoe_explore.archive import registry as sql
from tomoe_explore.archive.known_objects import with_known
from tomoe_explore.archive.layout import PART_TABLES, collection_product_id, stack_product_id
from tomoe_explore.archive.registry import Registry
from tomoe_explore.archive.rows import read_rows, refuse_above
from tomoe_explore.archive.search import Where, stack_rows
from tomoe_explore.errors import ParameterError, QualityError
from tomoe_explore.ids import member_number

#: Columns that are made while reading, by table.
_DERIVED = {"photometry": ("mag", "mag_err"), "movers": ("known",)}

_SETTINGS = ("code_version", "code_dirty", "parameters", "environment")

#: What a reduction that is not done says of them.
_NO_SETTINGS = {"code_version": "", "code_dirty": False, "parameters": "{}", "environment": "{}"}


def columns_of(name: str) -> tuple[str, ...]:
    """Columns that a read of a table gives.

    Raises
    ------
    ParameterError
        If there is no such table.

    Examples
    --------
    >>> columns_of("photometry")[-2:]
    ('mag', 'mag_err')
    """
    if name not in schema.TABLES:
        raise ParameterError(f"no table {name!r}; there are {', '.join(schema.TABLES)}")
    return schema.TABLES[name].names + _DERIVED.get(name, ())


def schema_of(name: str) -> pa.Schema:
    """Arrow schema of what a read of a table gives."""
    columns_of(name)
    arrow = schema.TABLES[name].arrow
    for column in _DERIVED.get(name, ()):
        has_it = schema.TABLES["sources"] if name == "photometry" else schema.KNOWN
        arrow = arrow.append(has_it.arrow.field(column))
    return arrow


def read(
    registry: Registry, root: Path, name: str, where: Where, *, columns: str | Sequence[str] | None = None,
    all_versions: bool = False, limit: int | None = None,
) -> pa.Table:  # fmt: skip
    """Rows of a table; see `Archive.table`."""
    valid = columns_of(name)
    columns = [columns] if isinstance(columns, str) else columns
    wrong = [c for c in columns or () if c not in valid]
    if wrong:
        raise ParameterError(f"table {name!r} has no columns {', '.join(wrong)}; it has {', '.join(valid)}")
    if name in PART_TABLES:
        guard(registry, name, where, limit, all_versions=all_versions)
        wanted = [c for c in schema.TABLES[name].names if columns is None or c in _needed(name, columns)]
        table = read_rows(registry, root, name, where, wanted, all_versions=all_versions, limit=limit)
        if name == "photometry" and {"flux", "flux_err"} <= set(wanted):
            table = with_magnitudes(table)
        if name == "movers" and {"mover_id", "known_as"} <= set(wanted):
            table = with_known(registry, table)
    else:
        guard(registry, name, where, limit, all_versions=all_versions)
        table = _read_registry(registry, root, name, where, all_versions=all_versions)
        refuse_above(limit, name, table.num_rows)
    return table.select(list(columns)) if columns is not None else table


def guard(registry: Registry, name: str, where: Where, limit: int | None, *, all_versions: bool = False) -> None:
    """Refuse a read of too many rows before anything is read: the registry counts, where there is no cone.

    Raises
    ------
    TooManyRowsError
        If more than ``limit`` rows match; the message says how many, and what to do.
    """
    if limit is None or where.cone is not None:
        return
    counted, rows = _counted(name)
    if counted is None:
        return
    query = sa.select(rows).select_from(counted).where(*where.clauses(counted.c))
    if counted is sql.reductions and not all_versions:
        query = query.where(counted.c.superseded_by.is_(None))
    if counted is sql.reductions and name != "reductions":
        query = query.where(counted.c.status == "done")
    with registry.reading() as connection:
        refuse_above(limit, name, int(connection.execute(query).scalar() or 0))


def _counted(name: str) -> tuple[sa.Table | None, sa.ColumnElement[Any]]:
    """Where the rows of a table are counted, and how; None where nothing writes it yet."""
    if name in PART_TABLES:
        return sql.reductions, sa.func.sum(sql.reductions.c[f"n_{name}"])
    counted = {"stacks": sql.reductions, "reductions": sql.reductions, "exposures": sql.exposures,
               "masters": sql.masters}  # fmt: skip
    return counted.get(name), sa.func.count()


def _needed(name: str, columns: Sequence[str]) -> set[str]:
    """Columns to read so that derived ones can be made."""
    asked = set(columns)
    if name == "photometry" and asked & {"mag", "mag_err"}:
        return {*columns, "flux", "flux_err"}
    if name == "movers" and asked & {"known", "known_as"}:
        return {*columns, "mover_id", "exposure_id", "known_as"}
    return asked


def with_magnitudes(table: pa.Table) -> pa.Table:
    """Photometry with ``mag`` and ``mag_err`` (Gaia G, Vega) of its fluxes."""
    from tomoe_explore.magnitudes import mag_err, mag_g

    flux, flux_err = table["flux"].to_numpy(), table["flux_err"].to_numpy()
    values = {"mag": mag_g(flux), "mag_err": mag_err(flux, flux_err)}
    for name, value in values.items():
        table = table.append_column(schema_of("photometry").field(name), pa.array(value.astype(np.float32)))
    return table


# --- tables in the registry ------------------------------------------------------------------------
def _read_registry(registry: Registry, root: Path, name: str, where: Where, *, all_versions: bool) -> pa.Table:
    with registry.reading():  # all is of one state
        if name == "stacks":
            rows = _stacks(registry, where, all_versions=all_versions)
        elif name == "reductions":
            rows = _reductions(registry, where, all_versions=all_versions)
        elif name == "exposures":
            rows = _exposures(registry, where)
        elif name == "masters":
            rows = _masters(registry, where)
        elif name == "mover_films":
            rows = _mover_films(registry, root, where, all_versions=all_versions)
        else:  # sky_map and light_curves: nothing writes them yet
            rows = []
    return _to_arrow(name, rows)


def _stacks(registry: Registry, where: Where, *, all_versions: bool) -> list[dict[str, Any]]:
    rows = stack_rows(registry, where, all_versions=all_versions)
    return [{**row, "product_id": stack_product_id(row["reduction_id"])} for row in rows]


def _reductions(registry: Registry, where: Where, *, all_versions: bool) -> list[dict[str, Any]]:
    """All states are shown; superseded ones only when asked for. A cone finds those whose film reaches into it."""
    reductions, films, settings = sql.reductions, sql.films, sql.settings
    own = [c.name for c in schema.TABLES["reductions"].columns if c.name not in _SETTINGS]
    query = (
        sa.select(*(reductions.c[name] for name in own), *(settings.c[name] for name in _SETTINGS),
                  films.c.ra, films.c.dec)
        .join(films, films.c.film_checksum == reductions.c.film_checksum)
        .outerjoin(settings, settings.c.checksum == reductions.c.settings)
        .where(films.c.kind == "object", *where.clauses(reductions.c), *Where(cone=where.cone).clauses(films.c))
        .order_by(reductions.c.reduction_id)
    )  # fmt: skip
    if not all_versions:
        query = query.where(reductions.c.superseded_by.is_(None))
    rows = [dict(row) for row in where.reached(registry.rows(query))]
    return [row | _NO_SETTINGS if row["code_version"] is None else row for row in rows]


def _exposures(registry: Registry, where: Where) -> list[dict[str, Any]]:
    """A detector or a cone finds exposures with a film there."""
    exposures, films = sql.exposures, sql.films
    query = sa.select(exposures).where(*Where(where.nights, where.exposure_ids).clauses(exposures.c))
    rows = [dict(row) for row in registry.rows(query.order_by(exposures.c.exposure_id))]
    reasons = _reasons(registry, where)
    for row in rows:
        row["quality"] = reasons.get(row["exposure_id"], "good") if row["quality"] == "good" else row["quality"]
    if where.cone is None and where.detector_ids is None:
        return rows
    of_sky = () if where.cone is None else (films.c.kind == "object",)
    seen = registry.rows(sa.select(films).where(*of_sky, *where.clauses(films.c)))
    inside = {row["exposure_id"] for row in where.reached(seen)}
    return [row for row in rows if row["exposure_id"] in inside]


def _reasons(registry: Registry, where: Where) -> dict[int, str]:
    """Why exposures are no good: the ``kind`` of the `QualityError` that most of their films failed with.

    ``quality`` of an exposure is ``bad time`` where its time stamp is corrupt; one of ``dome``, ``twilight``,
    ``cloud``, ``defocus``, ``trailed``, ``pointing``, ``saturated`` where more than half of its films were refused,
    mostly for that; and else ``good``. The last reduction of a film counts.
    """
    c = sql.reductions.c
    query = sa.select(c.exposure_id, c.detector_id, c.error_kind).where(
        c.status.in_(("done", "failed")), *Where(where.nights, where.exposure_ids).clauses(c)
    )
    last: dict[int, dict[int, str | None]] = {}
    for row in registry.rows(query.order_by(c.reduction_id)):
        last.setdefault(row["exposure_id"], {})[row["detector_id"]] = row["error_kind"]
    words = {error.kind for error in QualityError.__subclasses__()}
    reasons = {}
    for exposure_id, films in last.items():
        refused = Counter(kind for kind in films.values() if kind in words)
        if refused.total() > len(films) / 2:
            reasons[exposure_id] = str(refused.most_common(1)[0][0])
    return reasons


def _masters(registry: Registry, where: Where) -> list[dict[str, Any]]:
    if where.cone is not None:
        raise ParameterError("masters have no position on the sky; filter them by night, exposure_id or detector_id")
    table = sql.masters
    query = sa.select(table).where(*where.clauses(table.c)).order_by(table.c.master_id)
    return [dict(row) for row in registry.rows(query)]


def _mover_films(registry: Registry, root: Path, where: Where, *, all_versions: bool) -> list[dict[str, Any]]:
    """Rows of ``movers`` whose film is kept, and where."""
    columns = ["mover_id", "exposure_id", "detector_id", "reduction_id", "mjd", "ra", "dec"]
    movers = read_rows(registry, root, "movers", where, columns, all_versions=all_versions)
    paths = {
        run["reduction_id"]: run["collection_path"] for run in stack_rows(registry, where, all_versions=all_versions)
    }
    return [
        {
            **row,
            "product_id": collection_product_id(this),
            "path": paths[this],
            "extver": member_number(row["mover_id"]),
        }
        for row in movers.to_pylist()
        if paths.get(this := row["reduction_id"])
    ]


def _to_arrow(name: str, rows: list[dict[str, Any]]) -> pa.Table:
    """Records as a table of the schema; null becomes NaN where a number must be."""
    if not rows:
        return schema.empty(name)
    columns: dict[str, object] = {}
    for column in schema.TABLES[name].columns:
        values = [row[column.name] for row in rows]
        if pa.types.is_floating(column.type) and not column.nullable:
            values = [np.nan if value is None else value for value in values]
        columns[column.name] = pa.array(values, column.type)
    return schema.conform(name, columns)
