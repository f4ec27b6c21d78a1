"""What one check of the doctor found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "note", "fault"]

_SHOWN = 5


@dataclass(frozen=True)
class Check:
    """What one check found.

    Attributes
    ----------
    name : str
        What was looked at.
    status : str
        ``ok``; ``note``: worth knowing; ``fault``: something does not work.
    text : str
        What was found, and what to do.
    """

    name: str
    status: Status
    text: str


def first(texts: Sequence[str]) -> str:
    """The first of many findings.

    Examples
    --------
    >>> first(["a", "b", "c", "d", "e", "f", "g"])
    'a; b; c; d; e; and 2 more'
    """
    more = f"; and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
    return "; ".join(texts[:_SHOWN]) + more
