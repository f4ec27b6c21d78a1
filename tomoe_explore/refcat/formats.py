"""Star tables in any format: Parquet, CSV, ECSV, FITS, VOTable."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tomoe_explore.errors import RefcatError


def read_star_table(path: str | os.PathLike[str]) -> pa.Table:
    """Read a table of any of the formats of `import_refcat`; angles with another unit become degrees.

    Raises
    ------
    RefcatError
        If the file is absent, of an unknown format, or broken.

    Examples
    --------
    >>> read_star_table("stars.doc")
    Traceback (most recent call last):
    ...
    tomoe_explore.errors.RefcatError: cannot read stars.doc: expected .parquet, .csv, .ecsv, .fits, .vot or .xml
    """
    path = Path(path)
    ending = "".join(path.suffixes[-2:]).lower().removesuffix(".gz").split(".")[-1]
    formats = {"ecsv": "ascii.ecsv", "fits": "fits", "fit": "fits", "vot": "votable", "xml": "votable"}
    if ending not in {"parquet", "csv", *formats}:
        raise RefcatError(f"cannot read {path}: expected .parquet, .csv, .ecsv, .fits, .vot or .xml")
    try:
        if ending == "parquet":
            return pq.read_table(path)
        if ending == "csv":
            import pyarrow.csv

            return pyarrow.csv.read_csv(path)
        return _read_astropy(path, formats[ending])
    except (OSError, ValueError, TypeError, IndexError) as error:
        raise RefcatError(f"cannot read {path} as {ending}: {error}") from None


def _read_astropy(path: Path, form: str) -> pa.Table:
    """A FITS, ECSV or VOTable table as Arrow, angles in degrees, angular rates in mas/yr, masked values null."""
    import astropy.units as u
    from astropy.table import Table

    table = Table.read(path, format=form)
    arrays: dict[str, Any] = {}
    for name in table.colnames:
        column = table[name]
        if column.ndim > 1:
            continue
        mask = np.ma.getmaskarray(np.ma.asarray(column))
        values = np.asarray(np.ma.getdata(np.ma.asarray(column)))
        for unit in (u.deg, u.mas / u.yr):
            if column.unit is not None and column.unit.is_equivalent(unit) and column.unit != unit:
                values = values * column.unit.to(unit)
        if values.dtype.kind == "S":
            values = np.char.decode(values, "utf-8", "replace")
        native = values.astype(values.dtype.newbyteorder("=")) if values.dtype.kind in "fiu" else values
        arrays[name] = pa.array(native, mask=mask) if native.dtype.kind in "fiub" else pa.array(native.tolist())
    return pa.table(arrays)
