"""Two tables, or two FITS files, value for value: what differs, in how many rows, and by how much."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

#: Columns that name a row; a table has those of them that are among its columns.
_KEYS = ("source_id", "mover_id", "streak_id", "frame")

#: Columns that are filled after the reduction.
_LATER = ("object_id",)

_SHOWN_CARDS = 3  #: of a header that differ

#: Header cards that say how the file is laid out or repeat its content.
_LAYOUT_CARDS = {"CHECKSUM", "DATASUM", "ZDATASUM", "ZHECKSUM", "PCOUNT", "NAXIS1", "NAXIS2", "COMMENT", "HISTORY", ""}


@dataclass(frozen=True, repr=False)
class Difference:
    """One thing that differs.

    Attributes
    ----------
    product : str
        Table, ``stack``, ``mover`` (the collection), ``record`` (what the registry says of the stack) or ``recipe``.
    column : str
        Column of a table, or unit or header of a file; empty where the whole is meant.
    n_different, n_compared : int
        Rows or pixels.
    largest : float or None
        Largest absolute difference, in the column's unit; None where it is no number.
    text : str
        What else is to be said.

    Examples
    --------
    >>> Difference("photometry", "flux", 3, 720, 12.5)
    photometry, flux: 3 of 720 differ, by at most 12.5
    """

    product: str
    column: str = ""
    n_different: int = 0
    n_compared: int = 0
    largest: float | None = None
    text: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON can hold them."""
        return asdict(self)

    def __repr__(self) -> str:
        where = f"{self.product}, {self.column}" if self.column else self.product
        parts = [f"{self.n_different:,} of {self.n_compared:,} differ"] if self.n_compared else []
        parts += [f"by at most {self.largest:.6g}"] if self.largest is not None else []
        return f"{where}: {', '.join([*parts, *([self.text] if self.text else [])])}"


def compare_tables(name: str, stored: pa.Table, again: pa.Table) -> tuple[list[Difference], int]:
    """Compare a stored table with one made anew, row by row of the same key.

    Parameters
    ----------
    name : str
        Of the table.
    stored : pyarrow.Table
        What the archive has.
    again : pyarrow.Table
        In any order.

    Returns
    -------
    list of Difference
    int
        How many values were compared.
    """
    names = [column for column in again.column_names if column in stored.column_names and column not in _LATER]
    lacking = sorted(set(again.column_names) ^ set(stored.column_names))
    differences = [Difference(name, column, text="only in one of them") for column in lacking]
    keys = [key for key in _KEYS if key in names]
    one, two, n_unmatched = _matched(stored, again, keys)
    if n_unmatched:
        counts = f"{stored.num_rows:,} rows stored, {again.num_rows:,} now"
        differences.append(Difference(name, text=f"{counts}, {n_unmatched:,} of them in one only"))
    for column in names:
        types = one[column].type, two[column].type
        if types[0] != types[1]:
            differences.append(Difference(name, column, text=f"{types[0]} stored, {types[1]} now"))
            continue
        found = _compare_columns(one[column], two[column])
        if found is not None:
            differences.append(Difference(name, column, found[0], one.num_rows, found[1]))
    return differences, one.num_rows * len(names)


def _matched(one: pa.Table, two: pa.Table, keys: list[str]) -> tuple[pa.Table, pa.Table, int]:
    """Rows with the same key, in the same order, and how many have no partner."""
    order = [(key, "ascending") for key in keys]
    one, two = one.sort_by(order), two.sort_by(order)
    if one.num_rows == two.num_rows and all(one[key].equals(two[key]) for key in keys):
        return one, two, 0
    a, b = (t.select(keys).append_column("row", pa.array(np.arange(t.num_rows))) for t in (one, two))
    both = a.join(b, keys=keys, join_type="inner", right_suffix="_two").sort_by(order)
    matched = one.take(both["row"].combine_chunks()), two.take(both["row_two"].combine_chunks())
    return *matched, one.num_rows + two.num_rows - 2 * both.num_rows


def _compare_columns(one: pa.ChunkedArray, two: pa.ChunkedArray) -> tuple[int, float | None] | None:
    """How many values differ and by how much at most; None if none does. NaN equals NaN, null equals null."""
    if not (pa.types.is_floating(one.type) or pa.types.is_integer(one.type)):
        same = pc.fill_null(pc.equal(one, two), False).to_numpy() | (_null(one) & _null(two))
        return (int((~same).sum()), None) if not same.all() else None
    a, b = (pc.fill_null(values, 0).to_numpy() for values in (one, two))
    return compare_arrays(a, b, _null(one) != _null(two))


def _null(values: pa.ChunkedArray) -> NDArray[np.bool_]:
    return np.asarray(pc.is_null(values).to_numpy())


def compare_arrays(a: NDArray[Any], b: NDArray[Any], other: Any = False) -> tuple[int, float | None] | None:
    """How many numbers differ and by how much at most; None if none does.

    Parameters
    ----------
    a, b : ndarray
        Numbers of one shape; NaN equals NaN.
    other : ndarray of bool, optional
        What differs for another reason.

    Examples
    --------
    >>> compare_arrays(np.array([1.0, np.nan, 3.0]), np.array([1.0, np.nan, 3.5]))
    (1, 0.5)
    >>> compare_arrays(np.array([np.nan]), np.array([2.0]))
    (1, None)
    """
    different = ((a != b) & ~((a != a) & (b != b))) | other
    if not different.any():
        return None
    # integers may be too large for a float: their difference is taken first
    gaps = [abs(float(p - q) if a.dtype.kind == "f" else int(p) - int(q))
            for p, q in zip(a[different].tolist(), b[different].tolist(), strict=True)]  # fmt: skip
    finite = [float(gap) for gap in gaps if gap == gap]
    return int(different.sum()), max(finite) if finite else None


def compare_files(product: str, stored: Path | None, again: Path) -> tuple[list[Difference], int]:
    """Compare two FITS files: every image, pixel for pixel, every table, and every card of their headers."""
    from astropy.io import fits

    if stored is None or not stored.is_file():
        return [Difference(product, text="the stored file is missing")], 0
    differences: list[Difference] = []
    n_values = 0
    try:
        with fits.open(stored) as one, fits.open(again) as two:
            ones, twos = ({(hdu.name, hdu.ver): hdu for hdu in hdus} for hdus in (one, two))
            for key in sorted(ones.keys() | twos.keys()):
                name = key[0] if key[1] == 1 else f"{key[0]} {key[1]}"
                if key not in ones or key not in twos:
                    differences.append(Difference(product, name, text="only in one of them"))
                    continue
                differences += _compare_headers(product, name, ones[key].header, twos[key].header)
                for column, a, b in _arrays(name, ones[key].data, twos[key].data):
                    n_values += a.size
                    found = compare_arrays(a, b) if a.shape == b.shape else (a.size, None)
                    if found is not None:
                        differences.append(Difference(product, column, found[0], a.size, found[1]))
    except (OSError, ValueError, TypeError) as error:
        return [Difference(product, text=f"the stored file cannot be read: {error}")], 0
    return differences, n_values


def _arrays(name: str, one: Any, two: Any) -> list[tuple[str, NDArray[Any], NDArray[Any]]]:
    """The numbers of two units, with what they are: one image, or the columns that both tables have."""
    if one is None or two is None:
        return []
    if one.dtype.names is None or two.dtype.names is None:
        return [(f"plane {name}", one, two)]
    return [(f"{name}, {n}", one[n], two[n]) for n in one.dtype.names if n in two.dtype.names]


def _compare_headers(product: str, unit: str, one: Any, two: Any) -> list[Difference]:
    """One difference for all cards of a header; the first of them are shown."""
    names = sorted((set(one) | set(two)) - _LAYOUT_CARDS)
    other = [(n, one.get(n), two.get(n)) for n in names if one.get(n) != two.get(n)]
    if not other:
        return []
    shown = [f"{name} {before!r} stored, {now!r} now" for name, before, now in other[:_SHOWN_CARDS]]
    more = "; …" if len(other) > len(shown) else ""
    return [Difference(product, f"header {unit}", len(other), len(names), text="; ".join(shown) + more)]
