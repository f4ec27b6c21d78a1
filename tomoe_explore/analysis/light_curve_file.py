"""A light curve as a file: ECSV keeps units and where it comes from, Parquet and CSV are for other programs."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tomoe_explore.errors import ParameterError

if TYPE_CHECKING:
    from astropy.table import Table
    from lightkurve import LightCurve

FORMATS = (".ecsv", ".parquet", ".csv")


def plain_table(lc: LightCurve) -> Table:
    """A light curve as a plain astropy table: ``mjd`` (UTC, d) first, then its other columns with their units.

    Parameters
    ----------
    lc : lightkurve.LightCurve

    Returns
    -------
    astropy.table.Table
        ``meta`` holds plain values only.
    """
    from astropy.table import Table

    table = Table({"mjd": np.asarray(lc.time.utc.mjd, dtype=np.float64)}, units={"mjd": "d"})
    for name in lc.colnames:
        if name == "time":
            continue
        column = lc[name]
        values = np.ma.filled(getattr(column, "unmasked", column), np.nan) if name in ("flux", "flux_err") else column
        table[name] = np.asarray(getattr(values, "value", values))
        table[name].unit = getattr(column, "unit", None)
    table.meta = json.loads(json.dumps(dict(lc.meta), default=str))
    return table


def write_light_curve(lc: LightCurve, path: str | os.PathLike[str]) -> Path:
    """Write a light curve as ``.ecsv``, ``.parquet`` or ``.csv``, told by the name's ending.

    Parameters
    ----------
    lc : lightkurve.LightCurve
    path : path

    Returns
    -------
    pathlib.Path
        The file; ECSV and Parquet keep units and ``meta``, CSV holds columns only.

    Raises
    ------
    ParameterError
        If the ending is another, or the file cannot be written.
    """
    path = Path(path)
    if path.suffix not in FORMATS:
        raise ParameterError(f"light curves are written as {', '.join(FORMATS)}; got {path.name!r}")
    table = plain_table(lc)
    try:
        if path.suffix == ".parquet":
            _write_parquet(table, path)
        else:
            form = {".ecsv": "ascii.ecsv", ".csv": "ascii.csv"}[path.suffix]
            table.write(path, format=form, overwrite=True)
    except OSError as error:
        raise ParameterError(f"{path} cannot be written: {error.strerror or error}") from None
    return path


def _write_parquet(table: Table, path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    def field(name: str, values: Any) -> pa.Field:
        unit = table[name].unit
        return pa.field(name, values.type, metadata={"unit": str(unit)} if unit is not None else None)

    arrays = {name: pa.array(np.asarray(table[name])) for name in table.colnames}
    schema = pa.schema([field(n, a) for n, a in arrays.items()], metadata={"meta": json.dumps(dict(table.meta))})
    pq.write_table(pa.Table.from_arrays(list(arrays.values()), schema=schema), path, compression="zstd")
