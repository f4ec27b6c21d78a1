"""The tables of the archive: which columns each has, checked wherever a table is written.

Examples
--------
>>> from tomoe_explore import schema
>>> schema.TABLES["photometry"].names[:3]
('source_id', 'object_id', 'refcat')
>>> schema.empty("movers").num_rows
0
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property

import numpy as np
import pyarrow as pa

from tomoe_explore.columns import COLUMNS
from tomoe_explore.errors import SchemaError


class Flag(IntEnum):
    """Bits of the ``flags`` columns.

    Plain integers, so that ``table["flags"] & Flag.SATURATED`` works on arrays and on columns of pandas alike (an
    ``IntFlag`` is iterable, which pandas takes for a list).

    Examples
    --------
    >>> Flag.SATURATED | Flag.EDGE
    3
    >>> flag_names(3)
    ['SATURATED', 'EDGE']
    """

    SATURATED = 1  #: a pixel of the aperture is saturated
    EDGE = 2  #: the aperture leaves the light-sensitive pixels
    HOT_PIXEL = 4  #: a hot, dead or unstable pixel lies in the aperture
    STREAK = 8  #: a streak crosses the aperture
    CLOUD = 16  #: the frame lost much light
    BAD_TIME = 32  #: the time stamp is corrupt (UTC-EXP not before UTC)
    BLENDED = 64  #: a neighbour gives more than a tenth of the light in the aperture
    NO_FLAT = 128  #: reduced without a master flat
    LOST_FRAME = 256  #: the frame was not recorded
    FEW_STARS = 512  #: the frame's registration or transparency rests on few stars
    TOO_MANY = 1024  #: more candidates than are kept; the best ones were
    GLINT = 2048  #: a point seen in one frame only
    NO_COLOR = 4096  #: a reference star whose colour the catalog lacks: its flux is that of a star of usual colour


def flag_names(value: int) -> list[str]:
    """Names of the bits that are set in a value of a ``flags`` column."""
    return [flag.name for flag in Flag if value & flag]


_TYPES = {
    "int8": pa.int8(), "int16": pa.int16(), "int32": pa.int32(), "int64": pa.int64(),
    "float32": pa.float32(), "float64": pa.float64(), "string": pa.string(), "bool": pa.bool_(),
}  # fmt: skip


@dataclass(frozen=True)
class Column:
    """One column: its Arrow type, whether it may be null, unit, UCD and meaning."""

    name: str
    type: pa.DataType
    nullable: bool
    unit: str
    ucd: str
    description: str

    @cached_property
    def field(self) -> pa.Field:
        """The Arrow field, with unit, UCD and description as metadata."""
        metadata = {"unit": self.unit, "ucd": self.ucd, "description": self.description}
        return pa.field(self.name, self.type, nullable=self.nullable, metadata=metadata)


_COLUMNS = {
    name: Column(name, _TYPES[kind.rstrip("?")], kind.endswith("?"), unit, ucd, text)
    for name, kind, unit, ucd, text in COLUMNS
}


@dataclass(frozen=True)
class Table:
    """One table: its name, what one row is, and its columns.

    Examples
    --------
    >>> TABLES["movers"].row
    'a moving-object candidate'
    """

    name: str
    row: str
    columns: tuple[Column, ...]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Column names in order."""
        return tuple(column.name for column in self.columns)

    @cached_property
    def arrow(self) -> pa.Schema:
        """The Arrow schema; its metadata says what one row is."""
        return pa.schema([c.field for c in self.columns], metadata={"table": self.name, "row": self.row})


def _table(name: str, row: str, columns: str) -> Table:
    return Table(name, row, tuple(_COLUMNS[c] for c in columns.split()))


_OUTLINE = "x1 y1 x2 y2 length rate mag width snr class flags"
_ALL = (
    _table(
        "photometry", "a source in a frame",
        "source_id object_id refcat ref_id ra dec x y mjd flux flux_err background exposure_id detector_id frame"
        " flags reduction_id healpix_29",
    ),
    _table(
        "sources", "a source on a stack",
        "source_id object_id refcat ref_id ra dec ra_err dec_err d_ra d_dec x y mjd flux flux_err mag mag_err"
        " phot_g_mean_mag bp_rp fwhm ellipticity n_frames flux_rms chi2 von_neumann peak_snr"
        " exposure_id detector_id flags reduction_id healpix_29",
    ),
    _table(
        "frames", "a frame of a film",
        "exposure_id detector_id frame mjd dx dy fwhm sky transparency depth n_stars flags reduction_id",
    ),
    _table(
        "movers", "a moving-object candidate",
        "mover_id exposure_id detector_id reduction_id mjd ra dec ra_err dec_err ra_dec_corr x y rate rate_err"
        " position_angle position_angle_err mag mag_err snr n_frames score false_alarm known_as flags",
    ),
    _table(
        "mover_detections", "a mover in a frame",
        "mover_id exposure_id detector_id reduction_id frame mjd ra dec ra_err dec_err mag mag_err x y",
    ),
    _table(
        "mover_films", "a kept cutout film of a moving-object candidate",
        "mover_id product_id path extver exposure_id detector_id reduction_id mjd ra dec",
    ),
    _table(
        "streaks", "a streak in one frame or several",
        "streak_id exposure_id detector_id frame_first frame_last mjd_first mjd_last ra1 dec1 ra2 dec2 "
        + _OUTLINE + " object_id rate_err mag_err end_err across_err variability taper class_probability reduction_id",
    ),
    _table(
        "exposures", "an exposure of the camera",
        "exposure_id night mjd_start n_frames frame_interval ra dec object project observer quality flags",
    ),
    _table(
        "stacks", "a stack",
        "product_id path exposure_id detector_id mjd exptime ra dec footprint zeropoint zeropoint_err fwhm sky depth"
        " n_stars astrometric_rms reduction_id checksum",
    ),
    _table(
        "masters", "a master dark or flat",
        "master_id kind path detector_id night mjd n_frames exptime temperature gain level rms created code_version"
        " checksum",
    ),
    _table(
        "light_curves", "a light curve kept for a target",
        "light_curve_id name ra dec object_id n_points mjd_first mjd_last path checksum",
    ),
    _table(
        "reductions", "a run of the recipe on one film",
        "reduction_id exposure_id detector_id started finished status error dark_id flat_id refcat film_checksum"
        " code_version code_dirty parameters environment superseded_by",
    ),
    _table(
        "sky_map", "a cell of the sky in a time bin of a night",
        "night order cell time_bin n_points flux_mean flux_min flux_max depth",
    ),
)  # fmt: skip

#: The tables behind the Intake catalog, by name.
TABLES: dict[str, Table] = {table.name: table for table in _ALL}

_TRUTH = (
    _table("stars", "a star on a detector in an exposure",
           "star_id ref_id exposure_id detector_id ra dec pmra pmdec phot_g_mean_mag bp_rp x y flux is_variable"),
    _table("frames", "a frame of a film", "exposure_id detector_id frame mjd dx dy fwhm sky transparency"),
    _table("movers", "a moving object in an exposure",
           "mover_id exposure_id detector_id mjd ra dec x y rate position_angle mag"),
    _table("mover_positions", "a moving object in a frame",
           "mover_id exposure_id detector_id frame mjd ra dec x y mag"),
    _table("streaks", "a streak in a frame",
           "streak_id exposure_id detector_id frame_first frame_last mjd_first mjd_last ra1 dec1 ra2 dec2 " + _OUTLINE),
    _table("variables", "a variable star", "star_id ref_id kind ra dec phot_g_mean_mag period amplitude epoch"),
)  # fmt: skip

#: The truth tables of the simulator (``OUT/truth/*.parquet``), by name.
TRUTH: dict[str, Table] = {table.name: table for table in _TRUTH}

#: A reference catalog as it is kept: the columns of FACE.md, proper motions and colour where known.
REFCAT = _table(
    "refcat", "a star of the reference catalog",
    "source_id ra dec phot_g_mean_mag pmra pmdec ref_epoch bp_rp",
)  # fmt: skip


#: What readers add to movers: which known objects they are is said in the registry, for it changes; see ``known_as``.
KNOWN = _table("known", "a mover compared with known objects", "mover_id known_as known")


def empty(name: str) -> pa.Table:
    """An empty table of the archive.

    Examples
    --------
    >>> empty("streaks").column_names[0]
    'streak_id'
    """
    return TABLES[name].arrow.empty_table()


def conform(name: str, data: pa.Table | dict[str, object], *, truth: bool = False) -> pa.Table:
    """Order, cast and check columns so that they are exactly what the schema promises.

    Parameters
    ----------
    name : str
        Name of the table.
    data : pyarrow.Table or dict of arrays
        At least the columns of the table; nullable ones may be left out.
    truth : bool
        Whether the table is one of the simulator's truth tables.

    Returns
    -------
    pyarrow.Table

    Raises
    ------
    SchemaError
        If a column is missing, unknown, null where it must not be, or cannot be cast.

    Examples
    --------
    >>> t = conform("frames", {"frame": [1]})
    Traceback (most recent call last):
    ...
    tomoe_explore.errors.SchemaError: table 'frames' lacks the columns exposure_id, detector_id, mjd, dx, dy, ...
    """
    table = (TRUTH if truth else TABLES)[name]
    given = data if isinstance(data, dict) else {n: data[n] for n in data.column_names}
    unknown = [n for n in given if n not in table.names]
    missing = [c.name for c in table.columns if c.name not in given and not c.nullable]
    if unknown:
        raise SchemaError(f"table {name!r} has no columns {', '.join(unknown)}; it has {', '.join(table.names)}")
    if missing:
        raise SchemaError(f"table {name!r} lacks the columns {', '.join(missing[:5])}{', ...' * (len(missing) > 5)}")
    n_rows = max((_length(v) for v in given.values()), default=0)
    arrays = [_column(table.name, column, given.get(column.name), n_rows) for column in table.columns]
    return pa.Table.from_arrays(arrays, schema=table.arrow)


def _length(values: object) -> int:
    return len(values) if hasattr(values, "__len__") and not isinstance(values, str) else 0


def _repeated(value: pa.Scalar, n_rows: int) -> pa.Array:
    if value.is_valid and not pa.types.is_string(value.type):
        return pa.array(np.full(n_rows, value.as_py(), value.type.to_pandas_dtype()), value.type)  # 10 x pa.repeat
    return pa.repeat(value, n_rows)


def _column(table: str, column: Column, values: object, n_rows: int) -> pa.Array | pa.ChunkedArray:
    """One column cast to its type; a scalar is repeated, ``None`` is all null."""
    where = f"column {column.name!r} of table {table!r}"
    try:
        if values is None:
            array: pa.Array | pa.ChunkedArray = pa.nulls(n_rows, column.type)
        elif isinstance(values, (pa.Array, pa.ChunkedArray)):
            array = values.cast(column.type)
        elif isinstance(values, str) or not hasattr(values, "__len__"):
            array = _repeated(pa.scalar(values, column.type), n_rows)
        elif isinstance(values, np.ndarray) and values.dtype.kind == "f" and pa.types.is_floating(column.type):
            array = pa.array(values.astype(column.type.to_pandas_dtype(), copy=False))  # a third of a cast's cost
        else:
            array = pa.array(values).cast(column.type)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise SchemaError(f"{where} cannot be cast to {column.type}: {error}") from None
    if len(array) != n_rows:
        raise SchemaError(f"{where} has {len(array)} rows, the others {n_rows}")
    if array.null_count and not column.nullable:
        raise SchemaError(f"{where} has {array.null_count} nulls; it must have none")
    return array
