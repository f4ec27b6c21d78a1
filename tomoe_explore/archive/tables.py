"""Rows of the archive's tables: from the registry, or from exactly those Parquet files that it lists."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from tomoe_explore import schema
from tomoe_explore.archive import registry as sql
from tomoe_explore.archive import sky
from tomoe_explore.archive.layout import PART_TABLES
from tomoe_explore.archive.registry import Registry
from tomoe_explore.archive.search import Where, product_rows
from tomoe_explore.errors import ArchiveError, ParameterError, QualityError, TooManyRowsError

_DERIVED = ("mag", "mag_err")  #: columns of photometry that are made while reading
_STREAK_ENDS = ("ra1", "dec1", "ra2", "dec2")


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
    return schema.TABLES[name].names + (_DERIVED if name == "photometry" else ())


def schema_of(name: str) -> pa.Schema:
    """Arrow schema of what a read of a table gives."""
    columns_of(name)
    arrow = schema.TABLES[name].arrow
    for column in _DERIVED if name == "photometry" else ():
        arrow = arrow.append(schema.TABLES["sources"].arrow.field(column))
    return arrow


def read(
    registry: Registry, root: Path, name: str, where: Where, *, columns: Sequence[str] | None = None,
    all_versions: bool = False, limit: int | None = None,
) -> pa.Table:  # fmt: skip
    """Rows of a table; see `Archive.table`."""
    valid = columns_of(name)
    wrong = [c for c in columns or () if c not in valid]
    if wrong:
        raise ParameterError(f"table {name!r} has no columns {', '.join(wrong)}; it has {', '.join(valid)}")
    if name in PART_TABLES:
        table = _read_parts(registry, root, name, where, columns, all_versions=all_versions, limit=limit)
    else:
        guard(registry, name, where, limit, all_versions=all_versions)
        table = _read_registry(registry, name, where, all_versions=all_versions)
        _refuse_above(limit, name, table.num_rows)
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
    source = _counted(name)
    if source is None:
        return
    table, rows = source
    query = sa.select(rows).where(*where.clauses(table.c))
    reductions = sql.reductions
    if name in (*PART_TABLES, "stacks"):
        query = query.where(table.c.kind == ("stack" if name == "stacks" else name))
        if not all_versions:
            query = query.join(reductions, reductions.c.reduction_id == table.c.reduction_id)
    if name not in ("exposures", "masters") and not all_versions:
        query = query.where(reductions.c.superseded_by.is_(None))
    with registry.reading() as connection:
        _refuse_above(limit, name, int(connection.execute(query).scalar() or 0))


def _counted(name: str) -> tuple[sa.Table, sa.ColumnElement[Any]] | None:
    """Where the rows of a table are counted, and how; None where nothing writes it yet."""
    if name in PART_TABLES:
        return sql.products, sa.func.sum(sql.products.c.n_rows)
    counted = {"stacks": sql.products, "reductions": sql.reductions, "exposures": sql.exposures, "masters": sql.masters}
    return (counted[name], sa.func.count()) if name in counted else None


def _refuse_above(limit: int | None, name: str, n_rows: int) -> None:
    if limit is not None and n_rows > limit:
        raise TooManyRowsError(
            f"this read of {name!r} would give {n_rows:,} rows, more than the limit of {limit:,}; narrow it by night, "
            "exposure_id, detector_id, or position and radius, or ask for all with limit=None (tomoe table: --all)"
        )


# --- tables in files -------------------------------------------------------------------------------
def parts(registry: Registry, root: Path, name: str, where: Where, *, all_versions: bool = False) -> list[Path]:
    """The files that hold a table's rows, as the registry lists them."""
    return [root / row["path"] for row in product_rows(registry, name, where, all_versions=all_versions)]


def _read_parts(
    registry: Registry, root: Path, name: str, where: Where, columns: Sequence[str] | None, *,
    all_versions: bool, limit: int | None,
) -> pa.Table:  # fmt: skip
    guard(registry, name, where, limit, all_versions=all_versions)
    rows = product_rows(registry, name, where, all_versions=all_versions)
    coarse, exact = cone_filter(name, where)
    if coarse is None and exact is None:  # a cone chose films, whose rows are all wanted
        _refuse_above(limit, name, sum(row["n_rows"] for row in rows))
    wanted = [c for c in schema.TABLES[name].names if columns is None or c in _needed(name, columns, where)]
    table = scan([root / row["path"] for row in rows], name, wanted, coarse, limit)
    if exact is not None:
        table = table.filter(pa.array(exact(table)))
    _refuse_above(limit, name, table.num_rows)
    return with_magnitudes(table) if name == "photometry" and {"flux", "flux_err"} <= set(wanted) else table


def _needed(name: str, columns: Sequence[str], where: Where) -> set[str]:
    """Columns to read so that filters and derived columns can be made."""
    needed = set(columns)
    if needed & set(_DERIVED) and name == "photometry":
        needed |= {"flux", "flux_err"}
    if where.cone is not None:
        needed |= {"ra", "dec", *_STREAK_ENDS}
    return needed


def scan(
    paths: Sequence[Path], name: str, columns: Sequence[str], coarse: pc.Expression | None, limit: int | None = None
) -> pa.Table:
    """Rows of some files that pass a filter on HEALPix ranges; row groups outside it are not read."""
    from pyarrow import dataset

    arrow = schema.TABLES[name].arrow
    if not paths:
        return pa.schema([arrow.field(c) for c in columns], metadata=arrow.metadata).empty_table()
    try:
        data = dataset.dataset([str(p) for p in paths], schema=arrow, format="parquet")
        if coarse is not None and limit is not None:
            _refuse_above(limit, name, data.count_rows(filter=coarse))
        table = data.to_table(columns=list(columns), filter=coarse)
    except (OSError, pa.ArrowInvalid) as error:
        raise ArchiveError(f"table {name!r} cannot be read: {error}; `tomoe doctor` names what is missing") from error
    return table.combine_chunks()


def cone_filter(name: str, where: Where) -> tuple[pc.Expression | None, Callable[[pa.Table], Any] | None]:
    """A filter that Parquet's statistics can use, and the exact one for what it lets through."""
    names = schema.TABLES[name].names
    if where.cone is None or not ("ra" in names or "ra1" in names):
        return None, None
    ra, dec, radius = where.cone
    if "ra1" in names:
        return None, lambda t: sky.streak_distance_deg(ra, dec, [t[c].to_numpy() for c in _STREAK_ENDS]) <= radius

    def exact(table: pa.Table) -> Any:
        return sky.separation_deg(ra, dec, table["ra"].to_numpy(), table["dec"].to_numpy()) <= radius

    if "healpix_29" not in names:
        return None, exact
    index = pc.field("healpix_29")
    coarse = None
    for first, last in sky.cone_ranges(ra, dec, radius):
        one = (index >= first) & (index < last)
        coarse = one if coarse is None else coarse | one
    return coarse, exact


def with_magnitudes(table: pa.Table) -> pa.Table:
    """Photometry with ``mag`` and ``mag_err`` (Gaia G, Vega) of its fluxes."""
    from tomoe_explore.magnitudes import mag_err, mag_g

    flux, flux_err = table["flux"].to_numpy(), table["flux_err"].to_numpy()
    values = {"mag": mag_g(flux), "mag_err": mag_err(flux, flux_err)}
    for name, value in values.items():
        table = table.append_column(schema_of("photometry").field(name), pa.array(value.astype(np.float32)))
    return table


# --- tables in the registry ------------------------------------------------------------------------
def _read_registry(registry: Registry, name: str, where: Where, *, all_versions: bool) -> pa.Table:
    if name == "stacks":
        rows = _stacks(registry, where, all_versions=all_versions)
    elif name == "reductions":
        rows = _reductions(registry, where, all_versions=all_versions)
    elif name == "exposures":
        rows = _exposures(registry, where)
    elif name == "masters":
        rows = _masters(registry, where)
    else:  # sky_map and light_curves: nothing writes them yet
        rows = []
    return _to_arrow(name, rows)


def _stacks(registry: Registry, where: Where, *, all_versions: bool) -> list[dict[str, Any]]:
    products = {row["product_id"]: row for row in product_rows(registry, "stack", where, all_versions=all_versions)}
    if not products:
        return []
    clauses = Where(where.nights, where.exposure_ids, where.detector_ids).clauses(sql.products.c)
    query = sa.select(sql.stacks).join(sql.products, sql.products.c.product_id == sql.stacks.c.product_id)
    measures = {row["product_id"]: row for row in registry.rows(query.where(*clauses))}
    return [{**row, **measures[product_id]} for product_id, row in products.items() if product_id in measures]


def _reductions(registry: Registry, where: Where, *, all_versions: bool) -> list[dict[str, Any]]:
    """All states are shown; superseded ones only when asked for. A cone finds those whose film reaches into it."""
    reductions, films = sql.reductions, sql.films
    query = (
        sa.select(reductions, films.c.ra, films.c.dec, films.c.cell)
        .join(films, films.c.film_checksum == reductions.c.film_checksum)
        .where(films.c.kind == "object", *where.clauses(reductions.c), *Where(cone=where.cone).clauses(films.c))
        .order_by(reductions.c.reduction_id)
    )
    if not all_versions:
        query = query.where(reductions.c.superseded_by.is_(None))
    return [dict(row) for row in where.reached(registry.rows(query))]


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
