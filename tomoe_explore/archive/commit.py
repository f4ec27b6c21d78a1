"""A reduction enters the archive: files staged, synced and renamed, then registered in one transaction."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import numpy as np
import sqlalchemy as sa

from tomoe_explore import camera, schema
from tomoe_explore.archive import registry as tables
from tomoe_explore.archive import sky
from tomoe_explore.archive.layout import PART_TABLES, Layout, ProductPlace, part_product_id, stack_product_id
from tomoe_explore.archive.registry import Registry
from tomoe_explore.archive.reserve import finite, nominal_center, now, release
from tomoe_explore.archive.stack_file import mid_mjd, write_stack
from tomoe_explore.archive.staging import StagedFile, discard, staged
from tomoe_explore.archive.table_file import write_part
from tomoe_explore.data import Provenance, Reduction
from tomoe_explore.errors import ArchiveError, SchemaError
from tomoe_explore.wcs import TanSip

Row = dict[str, Any]

_c = tables.reductions.c
_STATUS = sa.select(_c.status).where(_c.reduction_id == sa.bindparam("this"))
_FINISH = sa.update(tables.reductions).where(_c.reduction_id == sa.bindparam("this"), _c.status == "running")
# one current reduction a detector and exposure, whichever file it came from: a compressed copy doubles nothing
_SUPERSEDE = sa.update(tables.reductions).where(
    _c.exposure_id == sa.bindparam("exposure"), _c.detector_id == sa.bindparam("detector"),
    _c.reduction_id != sa.bindparam("this"), _c.status == "done", _c.superseded_by.is_(None),
)  # fmt: skip


def commit(registry: Registry, layout: Layout, reduction: Reduction, provenance: Provenance) -> None:
    """Store a reduction; see `Archive.commit`."""
    exposure = reduction.exposure
    place = ProductPlace(exposure.night, exposure.exposure_id, exposure.detector_id, reduction.reduction_id)
    _check(registry, reduction, provenance)
    center = _center(reduction)
    try:
        with staged(layout, reduction.reduction_id) as staging:
            products = []
            stack_writer = partial(write_stack, reduction, provenance)
            file = staging.write(layout.stack(place), stack_writer)
            products.append(_product(stack_product_id(place.reduction_id), "stack", file, None, place, center))
            for name, table in reduction.tables.items():
                if table.num_rows:
                    file = staging.write(layout.part(name, place), partial(write_part, table))
                    product_id = part_product_id(name, place.reduction_id)
                    products.append(_product(product_id, name, file, table.num_rows, place, center))
            staging.publish()
    except BaseException:
        discard(layout, place)  # nothing of it is registered yet
        raise
    with registry.writing() as connection:
        _register(connection, reduction, provenance, products)
    release(registry, reduction.reduction_id)


def _check(registry: Registry, reduction: Reduction, provenance: Provenance) -> None:
    unknown = set(reduction.tables) - set(PART_TABLES)
    if unknown:
        raise SchemaError(f"a reduction has the tables {', '.join(PART_TABLES)}; got also {', '.join(sorted(unknown))}")
    for name, table in reduction.tables.items():
        if table.schema != schema.TABLES[name].arrow:
            raise SchemaError(f"table {name!r} of reduction {reduction.reduction_id} is not as schema.conform gives it")
    if provenance.reduction_id != reduction.reduction_id:
        raise ArchiveError(f"reduction {reduction.reduction_id} came with provenance of {provenance.reduction_id}")
    rows = registry.rows(_STATUS, this=reduction.reduction_id)
    if not rows or rows[0]["status"] != "running":
        state = f"is {rows[0]['status']} already" if rows else "was never reserved (Archive.begin)"
        raise ArchiveError(f"reduction {reduction.reduction_id} cannot be committed: it {state}")


def _center(reduction: Reduction) -> Row:
    """Columns that all products of a reduction share: centre, cell, footprint, mid-time."""
    exposure, stack = reduction.exposure, reduction.stack
    mjd = mid_mjd(exposure, stack)
    if not stack.wcs_header:
        ra, dec, cell = nominal_center(exposure)
        return {"ra": ra, "dec": dec, "cell": cell, "footprint": "", "mjd": mjd}
    wcs = TanSip.from_header(stack.wcs_header)
    right, top = camera.NX - 0.5, camera.NY - 0.5
    x = np.array([(camera.NX - 1) / 2, -0.5, right, right, -0.5])
    y = np.array([(camera.NY - 1) / 2, -0.5, -0.5, top, top])
    at_ra, at_dec = wcs.to_sky(x, y)
    cell = int(sky.cells(at_ra[0], at_dec[0], tables.CELL_ORDER)[0])
    outline = sky.footprint(at_ra[1:].tolist(), at_dec[1:].tolist())
    return {"ra": float(at_ra[0]), "dec": float(at_dec[0]), "cell": cell, "footprint": outline, "mjd": mjd}


def _product(product_id: str, kind: str, file: StagedFile, n_rows: int | None, place: ProductPlace, center: Row) -> Row:
    return {
        "product_id": product_id, "kind": kind, "path": file.path.as_posix(), "checksum": file.checksum,
        "bytes": file.bytes, "n_rows": n_rows, "night": place.night, "exposure_id": place.exposure_id,
        "detector_id": place.detector_id, "reduction_id": place.reduction_id, **center,
    }  # fmt: skip


def _stack_row(reduction: Reduction) -> Row:
    stack = reduction.stack
    measures = {
        "zeropoint": stack.zeropoint, "zeropoint_err": stack.zeropoint_err, "sky": stack.sky, "depth": stack.depth,
        "fwhm": stack.fwhm_px * camera.PIXEL_SCALE, "astrometric_rms": stack.astrometric_rms,
        "exptime": stack.n_frames * reduction.exposure.exptime1_s,
    }  # fmt: skip
    values = {name: finite(value) for name, value in measures.items()}
    return {"product_id": stack_product_id(reduction.reduction_id), "n_stars": int(stack.n_stars), **values}


def _register(connection: sa.Connection, reduction: Reduction, provenance: Provenance, products: list[Row]) -> None:
    exposure, this = reduction.exposure, reduction.reduction_id
    done = {
        "this": this, "status": "done", "finished": now(), "error": None, "error_kind": None,
        "dark_id": provenance.dark_id, "flat_id": provenance.flat_id, "refcat": provenance.refcat,
        "refcat_checksum": provenance.refcat_checksum,
        "code_version": provenance.code_version, "code_dirty": bool(provenance.code_dirty),
        "parameters": _json(provenance.parameters), "environment": _json(provenance.environment),
    }  # fmt: skip
    if not connection.execute(_FINISH, done).rowcount:
        raise ArchiveError(f"reduction {this} was given up by another process while it ran")
    older = {"exposure": exposure.exposure_id, "detector": exposure.detector_id, "this": this}
    connection.execute(_SUPERSEDE, older | {"superseded_by": this})
    connection.execute(sa.insert(tables.products), products)
    connection.execute(sa.insert(tables.stacks), _stack_row(reduction))


def _json(values: object) -> str:
    return json.dumps(dict(values), sort_keys=True, default=str)  # type: ignore[call-overload]
