"""What of the archive matches: by night, exposure, detector and position, from the registry alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
        """SQL conditions on a table's columns; of the cone only the cells, for `near` to finish."""
        found: list[Any] = []
        if self.nights is not None:
            found.append(columns.night.between(*self.nights))
        for name, ids in (("exposure_id", self.exposure_ids), ("detector_id", self.detector_ids)):
            if ids is not None and name in columns:
                found.append(columns[name].in_(ids))
        if self.cone is not None and "cell" in columns:
            ra, dec, radius = self.cone
            reach = radius + sky.DETECTOR_RADIUS_DEG
            if reach < 20.0:  # beyond, the list of cells is longer than it is worth
                found.append(columns.cell.in_(sky.cone_cells(ra, dec, reach, CELL_ORDER).tolist()))
        return found

    def near(self, row: sa.RowMapping) -> bool:
        """Whether a product or film with ``ra, dec`` and perhaps ``footprint`` reaches into the cone."""
        if self.cone is None:
            return True
        ra, dec, radius = self.cone
        if row.get("footprint"):
            return sky.footprint_distance_deg(ra, dec, row["footprint"]) <= radius
        if row["ra"] is None:
            return False
        return bool(sky.separation_deg(ra, dec, row["ra"], row["dec"]) <= radius + sky.DETECTOR_RADIUS_DEG)


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
    return [row for row in registry.rows(query) if where.near(row)]


def find(registry: Registry, root: Path, where: Where, product: str | Sequence[str] | None) -> pd.DataFrame:
    """Products, films and masters that match; see `Archive.search`."""
    import pandas as pd

    found: list[dict[str, Any]] = []
    for kind in _kinds(product):
        if kind == "film":
            found += _films(registry, where)
        elif kind in ("dark", "flat"):
            found += _masters(registry, root, kind, where)
        else:
            rows = product_rows(registry, kind, where)
            found += [{**row, "product": kind, "path": str(root / row["path"])} for row in rows]
    frame = pd.DataFrame(found, columns=list(_COLUMNS))
    whole = {
        "n_rows": "Int64",
        "reduction_id": "Int64",
        "exposure_id": "int64",
        "detector_id": "int16",
        "bytes": "int64",
    }
    return frame.astype({**whole, "mjd": "float64", "ra": "float64", "dec": "float64"})


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


def _films(registry: Registry, where: Where) -> list[dict[str, Any]]:
    films, exposures, reductions = tables.films, tables.exposures, tables.reductions
    current = (reductions.c.status == "done") & reductions.c.superseded_by.is_(None)
    query = (
        sa.select(films, films.c.size.label("bytes"), films.c.film_checksum.label("checksum"),
                  exposures.c.mjd_start.label("mjd"), reductions.c.reduction_id)
        .join(exposures, exposures.c.exposure_id == films.c.exposure_id)
        .outerjoin(reductions, (reductions.c.film_checksum == films.c.film_checksum) & current)
        .where(films.c.kind == "object", *where.clauses(films.c))
        .order_by(films.c.exposure_id, films.c.detector_id)
    )  # fmt: skip
    rows = [row for row in registry.rows(query) if where.near(row)]
    return [{**row, "product": "film", "product_id": row["film_checksum"]} for row in rows]


def _masters(registry: Registry, root: Path, kind: str, where: Where) -> list[dict[str, Any]]:
    """Masters; they have no position, so a cone finds none."""
    if where.cone is not None:
        return []
    table = tables.masters
    query = sa.select(table).where(table.c.kind == kind, *where.clauses(table.c)).order_by(table.c.master_id)
    return [
        {**row, "product": kind, "product_id": row["master_id"], "path": str(root / row["path"])}
        for row in registry.rows(query)
    ]


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
