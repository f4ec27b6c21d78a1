"""What of the archive matches: by night, exposure, detector and position, from the registry alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import sqlalchemy as sa

from tomoe_explore.archive import registry as tables
from tomoe_explore.archive import sky
from tomoe_explore.archive.layout import PART_TABLES, collection_product_id, stack_product_id
from tomoe_explore.archive.position import parse_ids, parse_nights, parse_position, parse_radius
from tomoe_explore.archive.registry import CELL_ORDER, PARTITION_ORDER, Registry
from tomoe_explore.errors import NotFoundError, ParameterError

if TYPE_CHECKING:
    import pandas as pd

PRODUCTS = ("stack", "mover", *PART_TABLES, "film", "dark", "flat")

#: Columns of what `find` returns.
_COLUMNS = (
    "product_id", "product", "night", "exposure_id", "detector_id", "mjd", "ra", "dec", "n_rows", "bytes", "checksum",
    "path", "reduction_id",
)  # fmt: skip


@dataclass(frozen=True)
class Where:
    """A filter: nights, exposures, detectors, and a cone on the sky (deg). None does not filter.

    Examples
    --------
    >>> Where.of(position="310 -12", radius="36 arcsec").cone
    (310.0, -12.0, 0.01)
    """

    nights: tuple[str, str] | None = None
    exposure_ids: tuple[int, ...] | None = None
    detector_ids: tuple[int, ...] | None = None
    cone: tuple[float, float, float] | None = None

    @classmethod
    def of(
        cls, *, night: Any = None, exposure_id: Any = None, detector_id: Any = None, position: Any = None,
        radius: Any = None, default_radius: str = "0 deg",
    ) -> Where:  # fmt: skip
        """A filter from what a user wrote; empty strings count as not given.

        Raises
        ------
        ParameterError
            If something is not understood.
        """
        given = {"night": night, "exposure_id": exposure_id, "detector_id": detector_id, "position": position,
                 "radius": radius}  # fmt: skip
        night, exposure_id, detector_id, position, radius = (None if _blank(v) else v for v in given.values())
        if radius is not None and position is None:
            raise ParameterError(f"radius {radius!r} needs a position")
        cone = None
        if position is not None:
            cone = (*parse_position(position), parse_radius(default_radius if radius is None else radius))
        return cls(
            None if night is None else parse_nights(night),
            None if exposure_id is None else tuple(parse_ids("exposure_id", exposure_id)),
            None if detector_id is None else tuple(parse_ids("detector_id", detector_id)),
            cone,
        )

    def clauses(self, columns: Any) -> list[Any]:
        """SQL conditions on a table's columns; of the cone only its surroundings, for `near` to finish."""
        found: list[Any] = []
        if self.nights is not None:
            first, last = self.nights
            found.append(columns.night == first if first == last else columns.night.between(first, last))
        for name, ids in (("exposure_id", self.exposure_ids), ("detector_id", self.detector_ids)):
            if ids is not None and name in columns:
                found.append(columns[name].in_(ids))
        if self.cone is not None and "cell" in columns:
            ra, dec, radius = self.cone
            reach = radius + sky.DETECTOR_RADIUS_DEG
            if reach < 20.0:  # beyond, the list of cells is longer than it is worth
                found.append(columns.cell.in_(sky.cone_cells(ra, dec, reach, CELL_ORDER).tolist()))
            found.append(columns.dec.between(dec - reach, dec + reach))
            found += _right_ascensions(columns.ra, ra, sky.cone_width_deg(dec, reach))
        return found

    def near(self, ra: Sequence[float | None], dec: Sequence[float | None], footprint: Sequence[str] = ()) -> Any:
        """Which of some products or films reach into the cone: a bool each.

        Parameters
        ----------
        ra, dec : sequences of float or None
            Their centres, deg.
        footprint : sequence of str
            Their outlines, STC-S; without, or where one is empty, the centre's distance decides.
        """
        if self.cone is None:
            return np.ones(len(ra), bool)
        at_ra, at_dec, radius = self.cone
        distance = sky.separation_deg(at_ra, at_dec, np.array(ra, float), np.array(dec, float))
        near = distance <= radius + sky.DETECTOR_RADIUS_DEG
        index = np.flatnonzero(near)
        if len(footprint) and len(index):
            outlines = [footprint[k] for k in index.tolist()]
            known = np.array([bool(outline) for outline in outlines])
            inside = sky.footprint_distances_deg(at_ra, at_dec, outlines) <= radius
            near[index] = inside | ~known
        return near

    def reached(self, rows: Sequence[sa.RowMapping]) -> list[sa.RowMapping]:
        """Those of some records (with ``ra, dec`` and perhaps ``footprint``) that reach into the cone."""
        if self.cone is None or not rows:
            return list(rows)
        outlines = [row["footprint"] for row in rows] if "footprint" in rows[0] else []
        near = self.near([row["ra"] for row in rows], [row["dec"] for row in rows], outlines)
        return [rows[k] for k in np.flatnonzero(near).tolist()]


def _right_ascensions(column: Any, ra: float, width: float) -> list[Any]:
    """Right ascensions (deg, 0 to 360) within ``width`` of one, across zero too."""
    if width >= 180.0:
        return []
    first, last = ra % 360.0 - width, ra % 360.0 + width
    if first < 0.0:
        return [(column >= first + 360.0) | (column <= last)]
    if last > 360.0:
        return [(column >= first) | (column <= last - 360.0)]
    return [column.between(first, last)]


def _blank(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def stack_rows(registry: Registry, where: Where, *, all_versions: bool = False) -> list[sa.RowMapping]:
    """Records of done reductions, current ones unless told otherwise, oldest exposure first."""
    r = tables.reductions.c
    wanted = (r.status == "done") if all_versions else tables.CURRENT
    query = sa.select(tables.reductions).where(wanted, *where.clauses(r))
    return where.reached(registry.rows(query.order_by(r.exposure_id, r.detector_id, r.reduction_id)))


def find(registry: Registry, root: Path, where: Where, product: str | Sequence[str] | None) -> pd.DataFrame:
    """Products, films and masters that match; see `Archive.search`."""
    import pandas as pd

    kinds = _kinds(product)
    found = []
    with registry.reading():  # all is of one state
        if "stack" in kinds:
            found.append(_stacks(registry, root, where))
        if "mover" in kinds:
            found.append(_collections(registry, root, where))
        if of_tables := [kind for kind in kinds if kind in PART_TABLES]:
            found.append(_parts(registry, root, of_tables, where))
        if "film" in kinds:
            found.append(_films(registry, where))
        if calibrations := [kind for kind in kinds if kind in ("dark", "flat")]:
            found.append(_masters(registry, root, calibrations, where))
    whole = [columns for columns in found if len(columns["path"])]
    values = {name: list(chain.from_iterable(columns[name] for columns in whole)) for name in _COLUMNS}
    ranks = {kind: k for k, kind in enumerate(kinds)}
    rank = [ranks[kind] for kind in values["product"]]
    numbers: dict[str, Any] = {"bytes": np.array(values.pop("bytes"), np.int64)}
    numbers |= {name: np.array(values.pop(name), float) for name in ("mjd", "ra", "dec")}
    numbers |= {name: _integers(values.pop(name)) for name in ("n_rows", "reduction_id", "exposure_id")}
    numbers["detector_id"] = _integers(values.pop("detector_id"), np.int16)
    keys = [numbers[name].to_numpy(np.int64, na_value=-1) for name in ("detector_id", "exposure_id")]
    frame = pd.DataFrame({**values, **numbers}, columns=list(_COLUMNS))
    return frame.iloc[np.lexsort((*keys, rank))].reset_index(drop=True)


def _integers(values: Sequence[int | None], dtype: type[np.integer[Any]] = np.int64) -> Any:
    """As ``pandas.array``, which takes ten times as long to find out what the values are."""
    import pandas as pd

    null = np.array([value is None for value in values], bool)
    return pd.arrays.IntegerArray(np.array([0 if value is None else value for value in values], dtype), null)


def _paths(root: Path, paths: Sequence[str]) -> list[str]:
    """Paths in the archive, as text."""
    folder = str(root)
    return [f"{folder}/{path}" for path in paths]


def _stacks(registry: Registry, root: Path, where: Where) -> dict[str, Sequence[Any]]:
    """Stacks of current reductions, by column."""
    r = tables.reductions.c
    names = ("night", "exposure_id", "detector_id", "mjd", "ra", "dec", "bytes", "checksum", "path", "reduction_id")
    wanted = [r[name] for name in (*names, "footprint") if name != "footprint" or where.cone is not None]
    found = registry.columns(sa.select(*wanted).where(tables.CURRENT, *where.clauses(r)))
    found = _reached(where, found)
    ids = found["reduction_id"]
    return {
        **found, "path": _paths(root, found["path"]), "product": ["stack"] * len(ids),
        "product_id": [stack_product_id(this) for this in ids], "n_rows": [None] * len(ids),
    }  # fmt: skip


def _collections(registry: Registry, root: Path, where: Where) -> dict[str, Sequence[Any]]:
    """Collections of movers of current reductions, by column; they cover what the film does."""
    r = tables.reductions.c
    own = [r[f"collection_{name}"].label(name) for name in ("bytes", "checksum", "path")]
    shared = [
        r[name] for name in ("night", "exposure_id", "detector_id", "mjd", "ra", "dec", "reduction_id", "footprint")
    ]
    query = sa.select(*shared, *own, r.n_movers.label("n_rows"), sa.literal("mover").label("product"))
    found = registry.columns(query.where(tables.CURRENT, r.collection_path.is_not(None), *where.clauses(r)))
    found = _reached(where, found)
    ids = [collection_product_id(this) for this in found["reduction_id"]]
    return {**found, "path": _paths(root, found["path"]), "product_id": ids}


def _parts(registry: Registry, root: Path, kinds: Sequence[str], where: Where) -> dict[str, Sequence[Any]]:
    """Files with rows of tables, by column; a file of several exposures has none, one of several detectors neither."""
    p, exposures = tables.parts.c, tables.exposures
    query = (
        sa.select(p.part_id.label("product_id"), p.kind.label("product"), p.night, p.exposure_id, p.n_rows, p.bytes,
                  p.checksum, p.path, p.cell, exposures.c.mjd_start.label("mjd"), exposures.c.ra, exposures.c.dec,
                  sa.null().label("detector_id"), sa.null().label("reduction_id"))
        .outerjoin(exposures, exposures.c.exposure_id == p.exposure_id)
        .where(p.kind.in_(kinds), p.replaced.is_(None), *part_clauses(where))
    )  # fmt: skip
    found = registry.columns(query)
    if where.cone is not None:
        reached = stack_rows(registry, where)
        exposures_, nights = {row["exposure_id"] for row in reached}, {row["night"] for row in reached} | {None}
        near = [
            exposure_id in exposures_ if exposure_id is not None else cell is not None or night in nights
            for exposure_id, cell, night in zip(found["exposure_id"], found["cell"], found["night"], strict=True)
        ]
        found = {name: [v for v, k in zip(values, near, strict=True) if k] for name, values in found.items()}
    found = {**found, "path": _paths(root, found["path"])}
    cells = [k for k, cell in enumerate(found["cell"]) if cell is not None]
    if cells:
        ra, dec = sky.cell_centers([found["cell"][k] for k in cells], PARTITION_ORDER)
        for name, values in (("ra", ra), ("dec", dec)):
            filled = list(found[name])
            for k, value in zip(cells, values.tolist(), strict=True):
                filled[k] = value
            found[name] = filled
    return found


def part_clauses(where: Where, *, all_versions: bool = False) -> list[Any]:
    """SQL conditions on ``parts``: files that may hold rows of what matches."""
    p, r = tables.parts.c, tables.reductions.c
    found: list[Any] = []
    if where.nights is not None:
        found.append(p.night.is_(None) | p.night.between(*where.nights))
    if where.exposure_ids is not None:
        found.append(p.exposure_id.is_(None) | p.exposure_id.in_(where.exposure_ids))
    if where.detector_ids is not None or where.cone is not None:
        wanted = (r.status == "done") if all_versions else tables.CURRENT
        holding = sa.select(r.exposure_id).where(wanted, *where.clauses(r))
        found.append(p.exposure_id.is_(None) | p.exposure_id.in_(holding))
    if where.cone is not None:
        found.append(p.cell.is_(None) | p.cell.in_(sky.cone_cells(*where.cone, PARTITION_ORDER).tolist()))
    return found


def _reached(where: Where, found: dict[str, Sequence[Any]]) -> dict[str, Sequence[Any]]:
    """Those of some records, by column, that reach into the cone."""
    if where.cone is None:
        return found
    index = np.flatnonzero(where.near(found["ra"], found["dec"], found.get("footprint", ()))).tolist()
    return {name: [values[k] for k in index] for name, values in found.items()}


def _kinds(product: str | Sequence[str] | None) -> list[str]:
    """Kinds of product from names in the singular or plural."""
    if product is None or not product:
        return list(PRODUCTS)
    names = product.split(",") if isinstance(product, str) else product
    if not isinstance(names, Sequence) or not all(isinstance(name, str) for name in names):
        raise ParameterError(f"product must be a kind or a list of kinds, got {product!r}")
    kinds = []
    for name in (n.strip() for n in names):
        # "mover" is a collection of cutouts, "movers" a table: what is said exactly is meant exactly
        forms = [name] if name in PRODUCTS else [
            kind for kind in PRODUCTS if name in (kind, f"{kind}s", kind.removesuffix("s"))
        ]  # fmt: skip
        if not forms:
            raise ParameterError(f"no product {name!r}; there are {', '.join(PRODUCTS)}")
        kinds += forms
    return kinds


def _films(registry: Registry, where: Where) -> dict[str, Sequence[Any]]:
    """Films of the sky, each with its current reduction, by column."""
    films, exposures, reductions = tables.films, tables.exposures, tables.reductions
    c = films.c
    # a film's night is its reduction's: said so, a server need not go through the reductions of all nights
    of_film = (reductions.c.film_checksum == c.film_checksum) & (reductions.c.night == c.night)
    query = (
        sa.select(c.film_checksum.label("product_id"), c.film_checksum.label("checksum"), c.night, c.exposure_id,
                  c.detector_id, c.ra, c.dec, c.path, c.size.label("bytes"), exposures.c.mjd_start.label("mjd"),
                  reductions.c.reduction_id, sa.literal("film").label("product"), sa.null().label("n_rows"))
        .join(exposures, exposures.c.exposure_id == c.exposure_id)
        .outerjoin(reductions, of_film & tables.CURRENT)
        .where(c.kind == "object", *where.clauses(c))
    )  # fmt: skip
    return _reached(where, registry.columns(query))


def _masters(registry: Registry, root: Path, kinds: Sequence[str], where: Where) -> dict[str, Sequence[Any]]:
    """Masters, by column; they have no position, so a cone finds none."""
    if where.cone is not None:
        return {"path": []}
    c = tables.masters.c
    query = (
        sa.select(c.master_id.label("product_id"), c.kind.label("product"), c.night, c.exposure_id, c.detector_id,
                  c.mjd, c.bytes, c.checksum, c.path,
                  *(sa.null().label(name) for name in ("ra", "dec", "n_rows", "reduction_id")))
        .where(c.kind.in_(kinds), *where.clauses(c))
    )  # fmt: skip
    found = registry.columns(query.order_by(c.master_id))
    return {**found, "path": _paths(root, found["path"])}


def stack_row(registry: Registry, product_id: str | int) -> sa.RowMapping:
    """The record of one stack, by its id or its reduction's.

    Raises
    ------
    NotFoundError
        If there is none.
    """
    number = str(product_id).removeprefix("stack-")
    r = tables.reductions.c
    rows = (
        number.isdecimal()
        and int(number) < 2**63
        and registry.rows(sa.select(tables.reductions).where(r.reduction_id == int(number), r.status == "done"))
    )
    if not rows:
        raise NotFoundError(f"no stack {product_id!r} in the archive; archive.search(product='stack') lists them")
    return rows[0]


def collection_row(registry: Registry, product_id: str) -> sa.RowMapping:
    """The record of the reduction whose collection of movers has an id.

    Raises
    ------
    NotFoundError
        If there is none.
    """
    number, r = product_id.removeprefix("mover-"), tables.reductions.c
    query = sa.select(tables.reductions).where(r.status == "done", r.collection_path.is_not(None))
    rows = int(number) < 2**63 and registry.rows(query.where(r.reduction_id == int(number)))
    if not rows:
        raise NotFoundError(f"no collection {product_id!r} in the archive; archive.search(product='mover') lists them")
    return rows[0]
