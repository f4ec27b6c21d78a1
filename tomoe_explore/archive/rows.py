"""Which files hold the rows that are asked for, and those rows: the registry names files, footers row groups."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import sqlalchemy as sa
from numpy.typing import NDArray

from tomoe_explore import schema
from tomoe_explore.archive import registry as tables
from tomoe_explore.archive import row_groups, sky
from tomoe_explore.archive.partitions import CELL_SHIFT
from tomoe_explore.archive.registry import Registry
from tomoe_explore.archive.row_groups import Selection
from tomoe_explore.archive.search import Where, part_clauses, stack_rows
from tomoe_explore.errors import TooManyRowsError

_STREAK_ENDS = ("ra1", "dec1", "ra2", "dec2")

#: Of more films than this, rows are sought in all cells of their nights.
MOST_FILMS = 1000

#: A record of the registry: a mapping, though not by its type.
Row = Any

_r, _p = tables.reductions.c, tables.parts.c


@dataclass(frozen=True)
class Files:
    """Files to read, and which of their rows.

    Attributes
    ----------
    paths : tuple of Path
    selection : Selection
    """

    paths: tuple[Path, ...]
    selection: Selection


def refuse_above(limit: int | None, name: str, n_rows: int) -> None:
    """Refuse a read of too many rows.

    Raises
    ------
    TooManyRowsError
        If there are more than the limit; the message says what to do.
    """
    if limit is not None and n_rows > limit:
        raise TooManyRowsError(
            f"this read of {name!r} would give {n_rows:,} rows, more than the limit of {limit:,}; narrow it by night, "
            "exposure_id, detector_id, or position and radius, or ask for all with limit=None (tomoe table: --all)"
        )


def read_rows(
    registry: Registry, root: Path, name: str, where: Where, columns: Sequence[str], *,
    all_versions: bool = False, limit: int | None = None,
) -> pa.Table:  # fmt: skip
    """Rows of a table that is kept in files.

    Parameters
    ----------
    registry, root
        Of the archive.
    name : str
        Of the table, one of ``layout.PART_TABLES``.
    where : Where
        Which rows. Those with a position lie within the cone; others belong to a film that it reaches.
    columns : sequence of str
        Of ``schema.TABLES``; what else the cone needs is read and dropped.
    all_versions : bool
        Whether rows of superseded reductions are read too.
    limit : int, optional
        See `refuse_above`.

    Raises
    ------
    TooManyRowsError
        If more rows than the limit match.
    ArchiveError
        If a file cannot be read.
    """
    arrow, position = schema.TABLES[name].arrow, _position(name, where)
    needed = [field.name for field in arrow if field.name in {*columns, *position}]
    with registry.reading():  # all that is asked is of one state
        chosen = files(registry, root, name, where, all_versions=all_versions)
    if limit is not None and where.cone is not None:
        refuse_above(limit, name, _count(chosen, arrow, limit))
    found = [row_groups.read_rows(some.paths, arrow, needed, some.selection) for some in chosen]
    table = (
        pa.concat_tables(found) if found else pa.schema([arrow.field(n) for n in needed], arrow.metadata).empty_table()
    )
    if position:
        table = table.filter(pa.array(_inside(table, where, position)))
    refuse_above(limit, name, table.num_rows)
    return table.select([n for n in arrow.names if n in columns]).combine_chunks()


def _count(chosen: Sequence[Files], arrow: pa.Schema, limit: int) -> int:
    """Rows that are wanted or lie around the cone; without a look at them where their row groups hold few enough."""
    most = sum(row_groups.count_rows(some.paths, some.selection) for some in chosen)
    if most <= limit:
        return most
    return sum(
        row_groups.read_rows([path], arrow, some.selection.columns[:1], some.selection).num_rows
        for some in chosen
        for path in some.paths
    )


def files(registry: Registry, root: Path, name: str, where: Where, *, all_versions: bool = False) -> list[Files]:
    """The files that may hold wanted rows of a table, each with what to select from it."""
    selection = _selection(registry, name, where, all_versions=all_versions)
    query = sa.select(tables.parts).where(_p.kind == name, *part_clauses(where, all_versions=all_versions))
    query = query.order_by(_p.exposure_id, _p.cell, _p.generation, _p.part_id)
    current = registry.rows(query.where(_p.replaced.is_(None)))
    if any(part["exposure_id"] is None for part in current):
        if where.nights is not None and any(part["night"] is None for part in current):
            selection = replace(selection, exposure_id=_of_nights(registry, where))
        around = _around_films(registry, name, where, all_versions=all_versions)
        if around is not None:
            selection = replace(selection, healpix_29=around)
            reached = {
                cell for first, last in around for cell in range(first >> CELL_SHIFT, ((last - 1) >> CELL_SHIFT) + 1)
            }
            current = [part for part in current if part["cell"] is None or part["cell"] in reached]
    found = [Files(tuple(root / part["path"] for part in current), selection)] if current else []
    if all_versions:
        found += _superseded(registry, root, query, selection)
    return found


def _around_films(
    registry: Registry, name: str, where: Where, *, all_versions: bool
) -> tuple[tuple[int, int], ...] | None:  # fmt: skip
    """HEALPix ranges that hold all rows of the films asked for: merged files are in order of the sky, not of films.

    None where a cone asks already, the table has no positions, or the films are too many for it to be worth it.
    """
    some_films = where.exposure_ids is not None or where.detector_ids is not None or where.nights is not None
    if where.cone is not None or "healpix_29" not in schema.TABLES[name].names or not some_films:
        return None
    films = stack_rows(registry, where, all_versions=all_versions)
    if len(films) > MOST_FILMS or any(film["ra"] is None for film in films):
        return None
    cells = [sky.cone_cells(f["ra"], f["dec"], sky.DETECTOR_RADIUS_DEG, tables.CELL_ORDER + 2) for f in films]
    return tuple(sky.ranges(np.unique(np.concatenate(cells)), tables.CELL_ORDER + 2)) if cells else ()


def _superseded(registry: Registry, root: Path, query: sa.Select[Any], selection: Selection) -> Iterator[Files]:
    """Replaced files, of each only the reductions that no later file has."""
    old = (_r.exposure_id == _p.exposure_id) & (_r.generation == _p.generation) & _r.superseded_by.is_not(None)
    holding = registry.rows(
        query.join(tables.reductions, old).where(_p.replaced.is_not(None)).add_columns(_r.reduction_id)
    )
    by_path: dict[str, list[int]] = {}
    for row in holding:
        by_path.setdefault(row["path"], []).append(row["reduction_id"])
    for path, reductions in by_path.items():
        wanted = reductions if selection.reduction_id is None else set(reductions) & set(selection.reduction_id)
        yield Files((root / path,), replace(selection, reduction_id=tuple(sorted(wanted))))


def parts_of(registry: Registry, run: Row) -> list[sa.RowMapping]:
    """Files with rows of a done reduction, by table; merged ones may hold some."""
    of_run = (_p.exposure_id == run["exposure_id"]) & (_p.generation == run["generation"])
    if run["superseded_by"] is None:
        of_run = _p.replaced.is_(None) & ((_p.exposure_id == run["exposure_id"]) | _merged(run))
    found = registry.rows(sa.select(tables.parts).where(of_run).order_by(_p.kind, _p.part_id))
    return [part for part in found if run[f"n_{part['kind']}"]]


def merged_parts_of(registry: Registry, run: Row, kind: str) -> list[sa.RowMapping]:
    """Current merged files of a table that may hold rows of a current reduction."""
    query = sa.select(tables.parts).where(_p.kind == kind, _p.replaced.is_(None), _merged(run))
    return list(registry.rows(query.order_by(_p.part_id)))


def _merged(run: Row) -> sa.ColumnElement[bool]:
    """Merged files, of one night or all, around the place of a film."""
    found = _p.exposure_id.is_(None) & (_p.night.is_(None) | (_p.night == run["night"]))
    if run["ra"] is None:
        return found
    cells = sky.cone_cells(run["ra"], run["dec"], sky.DETECTOR_RADIUS_DEG, tables.PARTITION_ORDER).tolist()
    return found & (_p.cell.is_(None) | _p.cell.in_(cells))


def rows_of(registry: Registry, root: Path, name: str, run: Row, **ids: int | None) -> pa.Table:
    """A done reduction's rows of a table, or those with some ``source_id``, ``mover_id`` or ``streak_id``.

    Parameters
    ----------
    registry, root
        Of the archive.
    name : str
        Of the table.
    run : mapping
        Record of the reduction.
    **ids : int
        Ids of rows.

    Raises
    ------
    ArchiveError
        If a file cannot be read.
    """
    paths = [root / part["path"] for part in parts_of(registry, run) if part["kind"] == name]
    wanted: dict[str, Any] = {column: (value,) for column, value in ids.items() if value is not None}
    selection = Selection(reduction_id=(run["reduction_id"],), **wanted)
    return row_groups.read_rows(paths, schema.TABLES[name].arrow, schema.TABLES[name].names, selection)


def _selection(registry: Registry, name: str, where: Where, *, all_versions: bool) -> Selection:
    """The filter on rows, as far as it is no cone."""
    chosen = Selection(exposure_id=where.exposure_ids, detector_id=where.detector_ids)
    if where.cone is None:
        return chosen
    names = schema.TABLES[name].names
    if "healpix_29" in names:
        return replace(chosen, healpix_29=tuple(sky.cone_ranges(*where.cone)))
    if _position(name, where):
        return chosen
    reached = stack_rows(registry, where, all_versions=all_versions)
    return replace(chosen, reduction_id=tuple(row["reduction_id"] for row in reached))


def _of_nights(registry: Registry, where: Where) -> tuple[int, ...]:
    """Exposures of the nights that are asked for."""
    c = tables.exposures.c
    rows = registry.rows(sa.select(c.exposure_id).where(*Where(where.nights, where.exposure_ids).clauses(c)))
    return tuple(row["exposure_id"] for row in rows)


def _position(name: str, where: Where) -> tuple[str, ...]:
    """Columns that say where a row of the table lies, if a cone asks for it."""
    names = schema.TABLES[name].names
    if where.cone is None:
        return ()
    return ("ra", "dec") if "ra" in names else _STREAK_ENDS if "ra1" in names else ()


def _inside(table: pa.Table, where: Where, position: Sequence[str]) -> NDArray[np.bool_]:
    """Which rows lie within the cone."""
    assert where.cone is not None
    ra, dec, radius = where.cone
    values = [table[column].to_numpy() for column in position]
    distance = sky.separation_deg(ra, dec, *values) if len(values) == 2 else sky.streak_distance_deg(ra, dec, values)
    return np.asarray(distance <= radius)
