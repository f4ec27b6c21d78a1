"""Columns of a reference catalog as arrays: read as numbers, filled, and checked against their ranges."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tomoe_explore.errors import RefcatError


def floats(table: pa.Table, column: str) -> NDArray[np.float64]:
    """A column as float64 with NaN for null; text such as a name cannot be one."""
    try:
        return np.array(table[column].cast(pa.float64()).to_numpy(), dtype=np.float64)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise RefcatError(
            f"column {column!r} must be numbers (degrees, magnitudes, mas/yr), but is {table[column].type}"
        ) from None


def identifiers(table: pa.Table, column: str) -> NDArray[np.int64]:
    """Whole numbers without nulls, or a `RefcatError`."""
    if not pa.types.is_integer(table[column].type) or table[column].null_count:
        raise RefcatError(f"column {column!r} must be whole numbers without nulls, but is {table[column].type}")
    return np.array(table[column].cast(pa.int64()).to_numpy(), dtype=np.int64)


def filled(values: Mapping[str, NDArray[np.float64]], name: str, default: float) -> NDArray[np.float64]:
    """A column with a default where it is unknown; it need not be there."""
    column = values.get(name)
    if column is None:
        return np.full(len(values["ra"]), default)
    return np.where(np.isfinite(column), column, default)


_RANGES = {"ra": (0.0, 360.0), "dec": (-90.0, 90.0), "phot_g_mean_mag": (-30.0, 35.0), "ref_epoch": (1800.0, 2200.0)}


def checked(values: dict[str, NDArray[np.float64]], where: object) -> dict[str, NDArray[np.float64]]:
    """The same values, if none that is needed is missing or out of range."""
    if len(values["ra"]) == 0:
        raise RefcatError(f"{where} has no stars")
    for name, (low, high) in _RANGES.items():
        column = values.get(name)
        if column is None:
            continue
        missing = int(np.isnan(column).sum())
        if missing and name != "ref_epoch":
            raise RefcatError(
                f"column {name!r} of {where} has {missing} missing values among {len(column)}; it must have none"
            )
        wrong = (column < low) | (column > high)
        if wrong.any():
            unit = "deg" if name in ("ra", "dec") else "mag" if name != "ref_epoch" else "Julian years"
            raise RefcatError(
                f"column {name!r} of {where} must lie in {low:g} to {high:g} {unit}; {int(wrong.sum())} "
                f"of {len(column)} values do not, the first is {column[wrong][0]:g}"
            )
    return values
