"""The value of a stored pixel: int16 has its bytes swapped, float32 is itself."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numba.extending import overload


def decode(value: Any) -> Any:
    """The number that a stored pixel means.

    Parameters
    ----------
    value : int16 or float32 scalar
        int16 holds the big-endian bytes of the film; float32 is native.

    Examples
    --------
    >>> int(decode(np.array([258], ">i2").view(np.int16)[0]))
    258
    """
    return np.int16(value).byteswap() if isinstance(value, np.int16) else value


@overload(decode, inline="always")
def _decode(value):  # type: ignore[no-untyped-def]  # numba compares signatures, annotations included
    if value == types.int16:

        def swap(value):  # type: ignore[no-untyped-def]
            unsigned = np.uint16(value)
            return np.int32(np.int16(np.uint16((unsigned << np.uint16(8)) | (unsigned >> np.uint16(8)))))

        return swap
    return lambda value: value
