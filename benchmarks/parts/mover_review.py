"""Which candidates a person would be shown: as `tomoe_explore.analysis.review` says."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tomoe_explore.analysis.review import REVIEW_SCORE, to_review


def reviewed(exposures: Sequence[pa.Table], *, score: float = REVIEW_SCORE) -> list[NDArray[np.bool_]]:
    """Which rows of the table ``movers`` of each exposure are shown.

    Parameters
    ----------
    exposures : sequence of pyarrow.Table
        Of one detector and field, one after the other.
    score : float
        From which one is shown that was seen in one exposure only.
    """
    if not exposures:
        return []
    together = pa.concat_tables(exposures)
    # a key that tells rows apart whatever their order, for linking may change it
    table = together.to_pandas().assign(row=np.arange(together.num_rows))
    shown = to_review(table, score=score).set_index("row")["review"].sort_index().to_numpy(bool)
    return np.split(shown, np.cumsum([t.num_rows for t in exposures])[:-1])
