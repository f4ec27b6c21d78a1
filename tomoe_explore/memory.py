"""Big arrays whose memory goes from film to film: the first touch of fresh memory costs more than most steps."""

from __future__ import annotations

import mmap
import sys
import threading
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

POOL_BYTES = 512 << 20  #: memory kept at most
_HUGE_PAGE = 2 << 20

_pool: list[NDArray[np.uint8]] = []
_lock = threading.Lock()


def empty(shape: tuple[int, ...] | int, dtype: DTypeLike) -> NDArray[Any]:
    """An array with any content, in memory that nobody looks at any more where there is some.

    Parameters
    ----------
    shape : tuple of int or int
    dtype : dtype

    Returns
    -------
    ndarray
        C-contiguous. It and all views of it hold its memory; without them the memory is free for the next one.

    Examples
    --------
    >>> empty((2, 3), "f4").shape
    (2, 3)
    """
    dtype = np.dtype(dtype)
    n_bytes = int(np.prod(shape)) * dtype.itemsize
    return _taken(n_bytes)[:n_bytes].view(dtype).reshape(shape)


def _taken(n_bytes: int) -> NDArray[np.uint8]:
    with _lock:
        fitting = [k for k, buffer in enumerate(_pool) if n_bytes <= len(buffer) <= 1.25 * n_bytes + _HUGE_PAGE]
        for k in fitting:
            # held by the pool, and as the argument of getrefcount
            if sys.getrefcount(_pool[k]) <= 2:
                return _pool[k][:]
        fresh = _fresh(n_bytes)
        _pool.insert(0, fresh)
        while sum(map(len, _pool)) > POOL_BYTES and len(_pool) > 1:
            _pool.pop()
        return fresh[:]


def _fresh(n_bytes: int) -> NDArray[np.uint8]:
    """Anonymous memory in huge pages where the system has them: the fewer pages, the cheaper their first touch."""
    size = -(-max(n_bytes, 1) // _HUGE_PAGE) * _HUGE_PAGE
    # private: shared memory, the default, comes in small pages
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with suppress(OSError):  # a system without huge pages
            memory.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(memory, np.uint8)
