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
from tomoe_explore.archive.layout import PART_TABLES, stack_product_id
from tomoe_explore.archive.position import parse_ids, parse_nights, parse_position, parse_radius
from tomoe_explore.archive.registry import CELL_ORDER, Registry
from tomoe_explore.errors import NotFoundError, ParameterError

if TYPE_CHECKING:
    import pandas as pd

PRODUCTS = ("stack", *PART_TABLES, "film", "dark", "flat")

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


def product_rows(registry: Registry, kind: str, where: Where, *, all_versions: bool = False) -> list[sa.RowMapping]:
    """Registered products of one kind, of current reductions unless told otherwise, oldest exposure first."""
    products, reductions = tables.products, tables.reductions
    query = sa.select(products).where(products.c.kind == kind, *where.clauses(products.c))
    if not all_versions:
        query = query.join(reductions, reductions.c.reduction_id == products.c.reduction_id)
        query = query.where(reductions.c.superseded_by.is_(None))
    query = query.order_by(products.c.exposure_id, products.c.detector_id, products.c.reduction_id)
    return where.reached(registry.rows(query))


def find(registry: Registry, root: Path, where: Where, product: str | Sequence[str] | None) -> pd.DataFrame:
    """Products, films and masters that match; see `Archive.search`."""
    import pandas as pd

    kinds = _kinds(product)
    found = []
    if of_reductions := [kind for kind in kinds if kind not in ("film", "dark", "flat")]:
        found.append(_products(registry, root, of_reductions, where))
    if "film" in kinds:
        found.append(_films(registry, where))
    if calibrations := [kind for kind in kinds if kind in ("dark", "flat")]:
        found.append(_masters(registry, root, calibrations, where))
    whole = [columns for columns in found if len(columns["path"])]
    values = {name: list(chain.from_iterable(columns[name] for columns in whole)) for name in _COLUMNS}
    rank = [kinds.index(kind) for kind in values["product"]]
    numbers: dict[str, Any] = {name: np.array(values.pop(name), np.int64) for name in ("exposure_id", "bytes")}
    numbers["detector_id"] = np.array(values.pop("detector_id"), np.int16)
    numbers |= {name: np.array(values.pop(name), float) for name in ("mjd", "ra", "dec")}
    numbers |= {name: pd.array(values.pop(name), dtype="Int64") for name in ("n_rows", "reduction_id")}
    frame = pd.DataFrame({**values, **numbers}, columns=list(_COLUMNS))
    order = np.lexsort((numbers["detector_id"], numbers["exposure_id"], rank))
    return frame.iloc[order].reset_index(drop=True)


def _products(registry: Registry, root: Path, kinds: Sequence[str], where: Where) -> dict[str, Sequence[Any]]:
    """Products of current reductions, by column."""
    c, reductions = tables.products.c, tables.reductions
    wanted = [c[name] for name in _COLUMNS if name != "product"] + [c.kind.label("product")]
    if where.cone is not None:
        wanted.append(c.footprint)
    query = (
        sa.select(*wanted)
        .join(reductions, reductions.c.reduction_id == c.reduction_id)
        .where(c.kind.in_(kinds), *where.clauses(c), reductions.c.superseded_by.is_(None))
    )
    found = _reached(where, registry.columns(query))
    return {**found, "path": [f"{root}/{path}" for path in found["path"]]}


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
    names = product.split(",") if isinstance(product, str) else list(product)
    kinds = []
    for name in (n.strip() for n in names):
        forms = [kind for kind in PRODUCTS if name in (kind, f"{kind}s", kind.removesuffix("s"))]
        if not forms:
            raise ParameterError(f"no product {name!r}; there are {', '.join(PRODUCTS)}")
        kinds += forms
    return kinds


def _films(registry: Registry, where: Where) -> dict[str, Sequence[Any]]:
    """Films of the sky, each with its current reduction, by column."""
    films, exposures, reductions = tables.films, tables.exposures, tables.reductions
    c = films.c
    current = (reductions.c.status == "done") & reductions.c.superseded_by.is_(None)
    query = (
        sa.select(c.film_checksum.label("product_id"), c.film_checksum.label("checksum"), c.night, c.exposure_id,
                  c.detector_id, c.ra, c.dec, c.path, c.size.label("bytes"), exposures.c.mjd_start.label("mjd"),
                  reductions.c.reduction_id, sa.literal("film").label("product"), sa.null().label("n_rows"))
        .join(exposures, exposures.c.exposure_id == c.exposure_id)
        .outerjoin(reductions, (reductions.c.film_checksum == c.film_checksum) & current)
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
    return {**found, "path": [f"{root}/{path}" for path in found["path"]]}


def product_row(registry: Registry, product_id: str | int, kind: str) -> sa.RowMapping:
    """The record of one product, by its id or its reduction's.

    Raises
    ------
    NotFoundError
        If there is none.
    """
    text = str(product_id)
    name = stack_product_id(int(text)) if kind == "stack" and text.isdecimal() else text
    products = tables.products
    rows = registry.rows(sa.select(products).where(products.c.product_id == name, products.c.kind == kind))
    if not rows:
        raise NotFoundError(f"no {kind} {product_id!r} in the archive; archive.search(product={kind!r}) lists them")
    return rows[0]
