"""Ids that can be read: a reduction's holds its exposure and detector, a source's holds its reduction."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray


def make_reduction_id(exposure_id: int, detector_id: int, version: int) -> int:
    """Reduction id: exposure number, three digits of detector, three of version, read in decimal.

    Raises
    ------
    ValueError
        If a part does not fit: int64 holds exposures up to 92,233,719.

    Examples
    --------
    >>> make_reduction_id(357754, 112, 1)
    357754112001
    """
    if not (0 <= exposure_id < 92_233_720 and 111 <= detector_id <= 444 and 1 <= version <= 999):
        raise ValueError(
            f"no reduction id for exposure {exposure_id}, detector {detector_id}, version {version}: "
            "expected exposure < 92233720, detector 111-444, version 1-999"
        )
    return exposure_id * 1_000_000 + detector_id * 1_000 + version


Member = Literal["source", "mover", "streak"]

#: The id of what is in a reduction is the reduction's, times this, and its number.
MEMBERS = 100_000

#: First number of each kind within a reduction, and the one after the last: an id says what it is of.
MEMBER_NUMBERS: dict[Member, tuple[int, int]] = {
    "source": (0, 90_000),
    "mover": (90_000, 95_000),
    "streak": (95_000, MEMBERS),
}


def member_ids(reduction_id: int, n: int, kind: Member = "source") -> NDArray[np.int64]:
    """Ids of the ``n`` sources, movers or streaks of a reduction: its id followed by five digits.

    Raises
    ------
    ValueError
        If there are more than the five digits hold.

    Examples
    --------
    >>> member_ids(357754112001, 2).tolist()
    [35775411200100000, 35775411200100001]
    >>> member_ids(357754112001, 1, "mover").tolist()
    [35775411200190000]
    """
    first, stop = MEMBER_NUMBERS[kind]
    if first + n > stop:
        raise ValueError(f"a reduction holds at most {stop - first} {kind}s, got {n} (reduction {reduction_id})")
    return reduction_id * MEMBERS + np.arange(first, first + n, dtype=np.int64)


def member_number(member_id: int) -> int:
    """Which of its kind in the reduction an id is of, from 1.

    Examples
    --------
    >>> member_number(35775411200190000)
    1
    """
    return member_id % MEMBERS - MEMBER_NUMBERS[member_kind(member_id)][0] + 1


def member_kind(member_id: int) -> Member:
    """What an id is of.

    Examples
    --------
    >>> member_kind(35775411200190000)
    'mover'
    """
    number = member_id % MEMBERS
    return next(kind for kind, (first, stop) in MEMBER_NUMBERS.items() if first <= number < stop)
