"""Reference catalogs on disk: read and check one, write one, import one."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from tomoe_explore import schema
from tomoe_explore.data import Refcat
from tomoe_explore.errors import RefcatError
from tomoe_explore.refcat.formats import read_star_table
from tomoe_explore.refcat.standard import DEFAULT_EPOCH, standard_columns
from tomoe_explore.refcat.values import checked, filled, floats, identifiers


def read_refcat(path: str | os.PathLike[str]) -> Refcat:
    """Read and check a reference catalog.

    Parameters
    ----------
    path : str or path
        A Parquet file with at least ``source_id, ra, dec, phot_g_mean_mag``.

    Returns
    -------
    Refcat
        Sorted by declination; its name is the one kept in the file, else the file's stem.

    Raises
    ------
    RefcatError
        If the file is no Parquet table, lacks columns, or has values that are missing or out of range.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "two.parquet"
    >>> write_refcat(pa.table({"ra": [10.0, 11.0], "dec": [5.0, 4.0], "phot_g_mean_mag": [12.0, 13.0]}), path)
    >>> read_refcat(path).dec.tolist()
    [4.0, 5.0]
    """
    path = Path(path)
    try:
        content = path.read_bytes()
        table = pq.read_table(pa.BufferReader(content))
    except OSError as error:
        raise RefcatError(f"cannot read the reference catalog {path}: {error}") from None
    except pa.ArrowInvalid:
        raise RefcatError(
            f"{path} is not a Parquet file: make a reference catalog of it with `tomoe refcat import`"
        ) from None
    missing = [n for n in ("source_id", "ra", "dec", "phot_g_mean_mag") if n not in table.column_names]
    if missing:
        raise RefcatError(
            f"the reference catalog {path} lacks the columns {', '.join(missing)} (it has "
            f"{', '.join(table.column_names[:12])}): make one with `tomoe refcat import`"
        )
    values = checked(
        {name: floats(table, name) for name in table.column_names if name in schema.REFCAT.names[1:]}, path
    )
    order = np.argsort(values["dec"], kind="stable")
    return Refcat(
        name=(table.schema.metadata or {}).get(b"name", path.stem.encode()).decode(),
        checksum=f"xxh3:{xxhash.xxh3_128(content).hexdigest()}",
        source_id=identifiers(table, "source_id")[order],
        ra=values["ra"][order],
        dec=values["dec"][order],
        mag=values["phot_g_mean_mag"][order].astype(np.float32),
        pmra=filled(values, "pmra", 0.0)[order].astype(np.float32),
        pmdec=filled(values, "pmdec", 0.0)[order].astype(np.float32),
        epoch=filled(values, "ref_epoch", DEFAULT_EPOCH)[order],
        bp_rp=filled(values, "bp_rp", np.nan)[order].astype(np.float32),
    )


def write_refcat(table: pa.Table, path: str | os.PathLike[str], *, name: str = "") -> None:
    """Write a reference catalog (whole or not at all); columns are made standard first.

    Parameters
    ----------
    table : pyarrow.Table
        Anything that `standard_columns` understands.
    path : str or path
        Parquet file to write.
    name : str
        Name of the catalog, kept in the file; the file's stem where empty.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "one.parquet"
    >>> write_refcat(pa.table({"ra": [10.0], "dec": [5.0], "phot_g_mean_mag": [12.0]}), path, name="mine")
    >>> read_refcat(path).name
    'mine'
    """
    path = Path(path)
    standard = standard_columns(table)
    metadata = {**(standard.schema.metadata or {}), b"name": (name or path.stem).encode()}
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        pq.write_table(standard.replace_schema_metadata(metadata), partial, compression="zstd")
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def import_refcat(
    src: str | os.PathLike[str], dst: str | os.PathLike[str], *, epoch: float | None = None, name: str = ""
) -> Refcat:
    r"""Make a reference catalog of a star table in other columns, units or format.

    Parameters
    ----------
    src : str or path
        Parquet, CSV, ECSV, FITS or VOTable, told by its ending (``.parquet .csv .ecsv .fits .vot .xml``).
    dst : str or path
        Parquet file to write.
    epoch : float, optional
        Julian year of the positions where the table does not say it.
    name : str
        Name of the catalog; the stem of ``src`` where empty.

    Returns
    -------
    Refcat
        As `read_refcat` reads it back.

    Raises
    ------
    RefcatError
        If the file cannot be read, or `standard_columns` cannot understand it.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "stars.csv").write_text("RA_ICRS,DE_ICRS,Gmag\n10.0,5.0,12.0\n")
    >>> len(import_refcat(folder / "stars.csv", folder / "stars.parquet"))
    1
    """
    src = Path(src)
    stars = standard_columns(read_star_table(src), epoch)
    write_refcat(stars, dst, name=name or src.name.split(".")[0])
    return read_refcat(dst)
