"""Compiled functions of different processes get different symbols, so that their caches can stand side by side.

numba numbers the functions it compiles from 1 in each process and puts the number into their symbols. Two processes
that compile different things give the same number to different closures of one name (the sorts inside `numpy.argsort`,
for instance), and a third that loads both caches runs one in place of the other, and crashes
(https://github.com/numba/numba/issues/10486). Here the numbers of a process begin at a random place instead; packages
that compile functions import this file before they do.
"""

from __future__ import annotations

import itertools
import os
import secrets

from numba.core.bytecode import FunctionIdentity


def number_anew() -> None:
    """Begin this process's numbers at a place that no other has: 2^62 of them are there for at most some 10^5."""
    FunctionIdentity._unique_ids = itertools.count(secrets.randbits(62))


number_anew()
os.register_at_fork(after_in_child=number_anew)
