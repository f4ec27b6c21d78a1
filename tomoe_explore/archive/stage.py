"""A reduction's files under way: written when its film is done, published when its exposure is; see ``publish.py``."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa

from tomoe_explore import camera, raw, schema
from tomoe_explore.archive import registry as tables
from tomoe_explore.archive import sky
from tomoe_explore.archive.collection_file import write_collection
from tomoe_explore.archive.layout import PART_TABLES, Layout, ProductPlace
from tomoe_explore.archive.registry import Registry
from tomoe_explore.archive.reserve import finite, held_here, nominal_center
from tomoe_explore.archive.stack_file import mid_mjd, write_stack
from tomoe_explore.archive.staging import clear_errors
from tomoe_explore.archive.table_file import write_staged
from tomoe_explore.data import Provenance, Reduction
from tomoe_explore.errors import ArchiveError, SchemaError
from tomoe_explore.wcs import TanSip

Row = dict[str, Any]

_c = tables.reductions.c
_RESERVED = sa.select(_c.status, _c.started).where(_c.reduction_id == sa.bindparam("this"))

#: Names of a stack, a collection of movers, and all rows, while they are staged.
STACK_FILE, COLLECTION_FILE, ROWS_FILE = "stack.fits", "movers.fits", "rows.arrow"


@dataclass(frozen=True)
class Staged:
    """A reduction that is ready to be published: what the registry will say of it. It may go to another process.

    Attributes
    ----------
    place : ProductPlace
        Night, exposure, detector and reduction.
    started : str
        When its film was reserved; otherwise by now if another process has taken it over.
    record : dict
        Columns of its record in the registry's ``reductions``.
    settings : dict
        Its row of the registry's ``settings``.
    begins : mapping of str to int
        Where in the file of rows each table begins.
    """

    place: ProductPlace
    started: str
    record: Row
    settings: Row
    begins: Mapping[str, int]

    def file(self, layout: Layout, name: str) -> Path:
        """One of its files in the staging directory."""
        return layout.staging(self.place.reduction_id) / name


def stage(registry: Registry, layout: Layout, reduction: Reduction, provenance: Provenance) -> Staged:
    """Write the files of a reserved reduction into its staging directory, where no reader looks.

    They are not synced yet: what a crash leaves there is done again.

    Raises
    ------
    ArchiveError
        If it was not reserved, or the archive cannot be written.
    SchemaError
        If a table is not what ``schema.conform`` gives.
    """
    exposure = reduction.exposure
    place = ProductPlace(exposure.night, exposure.exposure_id, exposure.detector_id, reduction.reduction_id)
    started = _check(registry, reduction, provenance)
    directory = layout.staging(reduction.reduction_id)
    with clear_errors(layout.root):
        try:
            shutil.rmtree(directory, ignore_errors=True)
            directory.mkdir(parents=True)
            stack = directory / STACK_FILE
            write_stack(reduction, provenance, stack)
            begins = write_staged(reduction.tables, directory / ROWS_FILE)
            written: Row = {"checksum": raw.checksum(stack), "bytes": stack.stat().st_size}
            if reduction.cutouts:
                collection = directory / COLLECTION_FILE
                write_collection(reduction, provenance, collection)
                size, checksum = collection.stat().st_size, raw.checksum(collection)
                written |= {"collection_checksum": checksum, "collection_bytes": size}
                written["collection_path"] = layout.collection(place).as_posix()
        except BaseException:
            shutil.rmtree(directory, ignore_errors=True)
            raise
    settings = _settings(provenance)
    record = {
        "dark_id": provenance.dark_id, "flat_id": provenance.flat_id, "refcat": provenance.refcat,
        "refcat_checksum": provenance.refcat_checksum, "settings": settings["checksum"],
        "path": layout.stack(place).as_posix(), **written, **of_stack(reduction),
        **{f"n_{name}": reduction.tables[name].num_rows if name in reduction.tables else 0 for name in PART_TABLES},
    }  # fmt: skip
    return Staged(place, started, record, settings, begins)


def _check(registry: Registry, reduction: Reduction, provenance: Provenance) -> str:
    """When the reduction was reserved; an error if it was not, or is not what can be kept."""
    unknown = set(reduction.tables) - set(PART_TABLES)
    if unknown:
        raise SchemaError(f"a reduction has the tables {', '.join(PART_TABLES)}; got also {', '.join(sorted(unknown))}")
    for name, table in reduction.tables.items():
        if table.schema != schema.TABLES[name].arrow:
            raise SchemaError(f"table {name!r} of reduction {reduction.reduction_id} is not as schema.conform gives it")
    if provenance.reduction_id != reduction.reduction_id:
        raise ArchiveError(f"reduction {reduction.reduction_id} came with provenance of {provenance.reduction_id}")
    if mine := held_here(registry, reduction.reduction_id):
        return mine.started
    rows = registry.rows(_RESERVED, this=reduction.reduction_id)
    if not rows or rows[0]["status"] != "running":
        state = f"is {rows[0]['status']} already" if rows else "was never reserved (Archive.begin)"
        raise ArchiveError(f"reduction {reduction.reduction_id} cannot be committed: it {state}")
    return str(rows[0]["started"])


def _settings(provenance: Provenance) -> Row:
    """What reductions have in common, and its checksum."""
    values = {
        "code_version": provenance.code_version, "code_dirty": bool(provenance.code_dirty),
        "parameters": _json(provenance.parameters), "environment": _json(provenance.environment),
    }  # fmt: skip
    return {"checksum": hashlib.blake2b(_json(values).encode(), digest_size=8).hexdigest(), **values}


def _json(values: Mapping[str, object]) -> str:
    return json.dumps(dict(values), sort_keys=True, default=str)


def of_stack(reduction: Reduction) -> Row:
    """What the registry says of a reduction's stack: centre, outline, time, and what was measured."""
    return {**_center(reduction), **_measures(reduction)}


def _center(reduction: Reduction) -> Row:
    """Centre, cell, footprint and mid-time."""
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


def _measures(reduction: Reduction) -> Row:
    """What is said of the stack."""
    stack = reduction.stack
    values = {
        "zeropoint": stack.zeropoint, "zeropoint_err": stack.zeropoint_err, "sky": stack.sky, "depth": stack.depth,
        "fwhm": stack.fwhm_px * camera.PIXEL_SCALE, "astrometric_rms": stack.astrometric_rms,
        "exptime": stack.n_frames * reduction.exposure.exptime1_s,
    }  # fmt: skip
    return {"n_stars": int(stack.n_stars), **{name: finite(value) for name, value in values.items()}}
