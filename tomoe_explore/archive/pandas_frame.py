"""Arrow tables as pandas frames, the same in pandas 2 and 3."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    import pandas as pd

_WHOLE = {pa.int8(): "Int8", pa.int16(): "Int16", pa.int32(): "Int32", pa.int64(): "Int64"}


def to_pandas(table: pa.Table) -> pd.DataFrame:
    """A table as a frame: whole numbers stay whole where some are null, text is Arrow-backed.

    Parameters
    ----------
    table : pyarrow.Table

    Returns
    -------
    pandas.DataFrame
        Nullable whole numbers as ``Int64`` and the like, text as ``string[pyarrow]``, all else as NumPy has it.

    Examples
    --------
    >>> from tomoe_explore import schema
    >>> str(to_pandas(schema.empty("photometry"))["ref_id"].dtype)
    'Int64'
    """
    import pandas as pd

    frame = table.to_pandas(types_mapper={pa.string(): pd.StringDtype("pyarrow")}.get)
    nullable = {f.name: _WHOLE[f.type] for f in table.schema if f.nullable and f.type in _WHOLE}
    if not nullable:
        return frame
    exact = {
        name: pd.array(table[name].to_numpy(zero_copy_only=False), dtype=dtype)
        if not table[name].null_count
        else pd.array(table[name].to_pylist(), dtype=dtype)
        for name, dtype in nullable.items()
    }  # by way of floats, ids beyond 2**53 would lose their last digits
    return frame.assign(**exact)
