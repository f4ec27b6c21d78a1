"""Tables for other programs: FITS, VOTable, ECSV, CSV or Parquet, with units, UCDs and descriptions where they fit.

Debian's STILTS and TOPCAT read no Parquet, hence the others.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from tomoe_explore.errors import ParameterError

if TYPE_CHECKING:
    from astropy.table import Table

#: Formats by the end of the file's name.
FORMATS = {".fits": "fits", ".vot": "votable", ".xml": "votable", ".ecsv": "ascii.ecsv", ".csv": "csv", ".parquet": ""}


def write_table(table: pa.Table, path: str | os.PathLike[str]) -> None:
    """Write a table of the archive in the format that the file's name asks for.

    Parameters
    ----------
    table : pyarrow.Table
        As `Archive.table` gives it.
    path : path
        Ends in ``.fits``, ``.vot``, ``.xml``, ``.ecsv``, ``.csv`` or ``.parquet``; a file that is there is replaced.

    Raises
    ------
    ParameterError
        If the name ends otherwise, or the file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from tomoe_explore import schema
    >>> write_table(schema.empty("streaks"), tempfile.mkdtemp() + "/streaks.fits")
    """
    path = Path(path)
    if path.suffix not in FORMATS:
        raise ParameterError(f"no table format for {path.name!r}: its name may end in {', '.join(FORMATS)}")
    try:
        _write(table, path)
    except OSError as error:
        raise ParameterError(f"{path} cannot be written: {error.strerror or error}") from None


def _write(table: pa.Table, path: Path) -> None:
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        pq.write_table(table, path, compression="zstd")
        return
    options = {"table_id": "table"} if FORMATS[path.suffix] == "votable" else {}
    to_astropy(table).write(path, format=FORMATS[path.suffix], overwrite=True, **options)


def to_astropy(table: pa.Table) -> Table:
    """A table as `astropy.table.Table`, nulls masked, with units, descriptions and UCDs.

    Parameters
    ----------
    table : pyarrow.Table
        As `Archive.table` gives it.

    Examples
    --------
    >>> from tomoe_explore import schema
    >>> to_astropy(schema.empty("photometry"))["flux"].unit
    Unit("nJy")
    """
    import numpy as np
    from astropy.table import Column, MaskedColumn, Table
    from astropy.units import Unit

    columns = []
    for field, values in zip(table.schema, table.columns, strict=True):
        described = {key.decode(): text.decode() for key, text in (field.metadata or {}).items()}
        values = values.cast(pa.int16()) if field.type == pa.int8() else values  # neither FITS nor VOTable has int8
        blank = "" if pa.types.is_string(field.type) else 0
        filled = values.fill_null(blank) if values.null_count else values
        data = np.asarray(filled.to_pylist(), dtype=str) if blank == "" else filled.to_numpy()
        options = {
            "name": field.name,
            "unit": Unit(described["unit"], format="fits") if described.get("unit") else None,
            "description": described.get("description"),
            "meta": {"ucd": described["ucd"]} if described.get("ucd") else {},
        }
        if values.null_count:
            mask = values.is_null().to_numpy()
            columns.append(MaskedColumn(data, mask=mask, fill_value=blank or None, **options))
        else:
            columns.append(Column(data, **options))
    return Table(columns, copy=False)
