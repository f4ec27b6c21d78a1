"""Star tables in other columns and units become reference catalogs: Gaia exports, Tycho-2, usual column names."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tomoe_explore import schema
from tomoe_explore.errors import RefcatError
from tomoe_explore.refcat.values import checked, filled, floats, identifiers

DEFAULT_EPOCH = 2016.0  #: Julian year of positions whose epoch the table does not say (Gaia DR3)


#: G - VT of Tycho-2 stars without a colour: median of 1,453 of them with Gaia DR2 (RA 309-318, Dec -16 to -8).
#: The colour is unknown, so single stars scatter by 0.25 mag: good for finding a field, not for photometry.
TYCHO_G_MINUS_VT = -0.27


#: Other names of the columns, in order of preference; compared without regard to case.
_NAMES: dict[str, tuple[str, ...]] = {
    "source_id": ("source_id", "source", "gaia_id", "gaiadr3", "gaiaedr3", "gaiadr2", "id", "objid"),
    "ra": ("ra", "ra_icrs", "ra_deg", "radeg", "_ra", "_raj2000", "raj2000", "alpha"),
    "dec": ("dec", "de_icrs", "dec_icrs", "dec_deg", "dedeg", "_de", "_dej2000", "dej2000", "decj2000", "delta"),
    "phot_g_mean_mag": ("phot_g_mean_mag", "gmag", "g_mean_mag", "mag_g", "gaia_g"),
    "bp": ("phot_bp_mean_mag", "bpmag", "bp"),
    "rp": ("phot_rp_mean_mag", "rpmag", "rp"),
    "bp_rp": ("bp_rp", "bp-rp"),
    "pmra": ("pmra", "pm_ra_cosdec", "pmra_cosdec", "pmracosd", "pm_ra"),
    "pmdec": ("pmdec", "pmde", "pm_dec", "pm_de"),
    "ref_epoch": ("ref_epoch", "epoch"),
    "ra_udeg": ("ra_udeg",),
    "dec_udeg": ("dec_udeg",),
    "vt_mmag": ("vt_mmag",),
    "vt": ("vtmag", "vt_mag", "vt"),
}


def standard_columns(table: pa.Table, epoch: float | None = None) -> pa.Table:
    """Give a star table the columns of a reference catalog.

    Parameters
    ----------
    table : pyarrow.Table
        A Gaia DR2 or DR3 export, Tycho-2 (``ra_udeg, dec_udeg, vt_mmag``), or any table with right ascension and
        declination in degrees and a Gaia G magnitude under one of their usual names.
    epoch : float, optional
        Julian year of the positions where the table does not say it; else 2000 for Tycho-2, 2016 for all others.

    Returns
    -------
    pyarrow.Table
        As ``schema.REFCAT``, sorted by declination. A missing ``source_id`` becomes a running number from 1.

    Warns
    -----
    UserWarning
        If rows without position or magnitude are left out.

    Raises
    ------
    RefcatError
        If there are no positions or magnitudes, or values are out of range.

    Notes
    -----
    Tycho-2 has VT only: ``G = VT - 0.27``, good to 0.25 mag a star (measured against Gaia DR2).

    Examples
    --------
    >>> stars = pa.table({"ra_udeg": [305_000_000], "dec_udeg": [38_000_000], "vt_mmag": [10_270]})
    >>> standard_columns(stars).to_pylist()[0]["phot_g_mean_mag"]
    10.0
    """
    found = _find_columns(table)
    values = {name: floats(table, column) for name, column in found.items() if name != "source_id"}
    tycho = "vt_mmag" in found or "vt" in found
    if "bp_rp" not in values and {"bp", "rp"} <= set(values):
        values["bp_rp"] = values["bp"] - values["rp"]
    needed = {
        "ra": _position(values, "ra", table),
        "dec": _position(values, "dec", table),
        "phot_g_mean_mag": _magnitude(values, table),
    }
    good = np.logical_and.reduce([np.isfinite(column) for column in needed.values()])
    if not good.all():
        warnings.warn(
            f"{(~good).sum()} of {len(good)} stars lack a position or a magnitude and are left out", stacklevel=2
        )
    known = needed | {n: values[n] for n in ("bp_rp", "pmra", "pmdec", "ref_epoch") if n in values}
    kept = checked({name: column[good] for name, column in known.items()}, "the star table")
    default = epoch if epoch is not None else (2000.0 if tycho else DEFAULT_EPOCH)
    kept["ref_epoch"] = filled(kept, "ref_epoch", default)
    return _standard_table(kept, _source_ids(table, found.get("source_id"))[good])


def _find_columns(table: pa.Table) -> dict[str, str]:
    """Our name of each column that is understood → its name in the table."""
    lower = {name.strip().lower(): name for name in reversed(table.column_names)}
    found = {}
    for ours, variants in _NAMES.items():
        match = next((lower[v] for v in variants if v in lower), None)
        if match is not None:
            found[ours] = match
    return found


def _position(values: Mapping[str, NDArray[np.float64]], name: str, table: pa.Table) -> NDArray[np.float64]:
    """Degrees; right ascensions of -180 to 0 are wrapped."""
    if name in values:
        degrees = values[name]
    elif f"{name}_udeg" in values:
        degrees = values[f"{name}_udeg"] / 1e6
    else:
        raise RefcatError(
            f"no column for {name} (deg, ICRS): expected one of {', '.join(_NAMES[name])}, "
            f"got {', '.join(table.column_names[:12])}"
        )
    return np.where((degrees < 0) & (degrees >= -180), degrees + 360.0, degrees) if name == "ra" else degrees


def _magnitude(values: Mapping[str, NDArray[np.float64]], table: pa.Table) -> NDArray[np.float64]:
    """Gaia G, Vega; from VT where there is nothing better."""
    if "phot_g_mean_mag" in values:
        return values["phot_g_mean_mag"]
    if "vt_mmag" in values:
        return values["vt_mmag"] / 1e3 + TYCHO_G_MINUS_VT
    if "vt" in values:
        return values["vt"] + TYCHO_G_MINUS_VT
    raise RefcatError(
        f"no column of magnitudes: expected Gaia G as one of {', '.join(_NAMES['phot_g_mean_mag'])}, or Tycho's VT "
        f"as vt_mmag or VTmag; got {', '.join(table.column_names[:12])}"
    )


def _source_ids(table: pa.Table, column: str | None) -> NDArray[np.int64]:
    """Whole, present and unique numbers; else a running number from 1."""
    if column is not None and pa.types.is_integer(table[column].type) and not table[column].null_count:
        ids = identifiers(table, column)
        if len(np.unique(ids)) == len(ids):
            return ids
    return np.arange(1, table.num_rows + 1, dtype=np.int64)


def _standard_table(values: Mapping[str, NDArray[np.float64]], source_id: NDArray[np.int64]) -> pa.Table:
    order = np.argsort(values["dec"], kind="stable")
    arrays = []
    for column in schema.REFCAT.columns:
        if column.name == "source_id":
            arrays.append(pa.array(source_id[order]))
        elif column.name in values:
            ordered = values[column.name][order]
            arrays.append(pa.array(ordered, mask=np.isnan(ordered)).cast(column.type))
        else:
            arrays.append(pa.nulls(len(order), column.type))
    return pa.Table.from_arrays(arrays, schema=schema.REFCAT.arrow)
