"""Which movers of a night should a person look at: linked across exposures, or too clear to be false."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tomoe_explore.analysis.link import link
from tomoe_explore.schema import Flag

if TYPE_CHECKING:
    import pandas as pd

    from tomoe_explore.archive import Archive

#: A mover seen in one exposure only is reviewed from this ``score`` on: fewer than 0.001 such a film are false.
REVIEW_SCORE = 15.0


def review_candidates(archive: Archive, *, night: str, score: float = REVIEW_SCORE) -> pd.DataFrame:
    """The current movers of a night, linked across its exposures and detectors, and whether they deserve a look.

    Parameters
    ----------
    archive : Archive
    night : str
        Local observing date, or a range of them; each is linked for itself.
    score : float
        From which ``score`` on a mover is reviewed that was seen in one exposure only.

    Returns
    -------
    pandas.DataFrame
        The rows of ``movers``, with ``night``, ``tracklet_id`` (null: alone; counted anew each night), ``n_exposures``
        and ``review``: true if it was seen in two exposures or more with one motion, or its ``score`` is so high; never
        if it is flagged ``GLINT``, nor if it is one of too many of its film (``TOO_MANY``) and alone. Those to be
        reviewed come first, the objects with the most exposures and the highest scores before the others.

    Examples
    --------
    >>> import tempfile
    >>> from tomoe_explore.archive import Archive
    >>> archive = Archive.create(tempfile.mkdtemp() + "/archive")
    >>> review_candidates(archive, night="2020-08-14")[["mover_id", "n_exposures", "review"]].empty
    True
    """
    import pandas as pd

    from tomoe_explore.archive.pandas_frame import to_pandas

    movers = to_pandas(archive.table("movers", night=night, limit=None))
    exposures = archive.table("exposures", night=night, columns=["exposure_id", "night"]).to_pandas()
    movers["night"] = movers["exposure_id"].map(exposures.set_index("exposure_id")["night"]).astype("string")
    found = [to_review(one, score=score) for _, one in movers.groupby("night", sort=True)]
    table = pd.concat(found or [to_review(movers, score=score)], ignore_index=True)
    order = ["review", "n_exposures", "score"]
    return table.sort_values(order, ascending=False, kind="stable", ignore_index=True)


def to_review(movers: pd.DataFrame, *, score: float = REVIEW_SCORE) -> pd.DataFrame:
    """Rows of ``movers`` of one night with ``tracklet_id``, ``n_exposures`` and ``review``: see `review_candidates`.

    Examples
    --------
    >>> from tomoe_explore import schema
    >>> to_review(schema.empty("movers").to_pandas())["review"].tolist()
    []
    """
    table = link(movers).detections
    if not len(table):
        return table.assign(n_exposures=np.zeros(0, np.int64), review=np.zeros(0, bool))
    together = table.groupby("tracklet_id")["exposure_id"].nunique()
    n_exposures = table["tracklet_id"].map(together).astype("Int64").fillna(1).to_numpy(np.int64)
    flags = table["flags"].to_numpy()
    alone = (table["score"].to_numpy() >= score) & (flags & Flag.TOO_MANY == 0)
    return table.assign(n_exposures=n_exposures, review=((n_exposures > 1) | alone) & (flags & Flag.GLINT == 0))
