"""Work handed to executors: every item has an outcome, also those of a worker that dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tomoe_explore.archive.owner import process_start
from tomoe_explore.errors import ParameterError
from tomoe_explore.operations.executors import _QUEUE, each, open_executor


def square(n: int) -> int:
    return n * n


def die(n: int) -> int:
    os._exit(1)


def lost(item: int, error: BaseException) -> int:
    return -1


@pytest.mark.parametrize("executor", [None, 1])
def test_each_item_has_a_result(executor: int | None) -> None:
    with open_executor(executor) as pool:
        assert sorted(each(pool, square, deque(range(200)), failed=lost)) == [n * n for n in range(200)]


@pytest.mark.parametrize("executor", [None, 1])
def test_more_items_may_come(executor: int | None) -> None:
    items, found = deque([3]), []
    with open_executor(executor) as pool:
        for result in each(pool, square, items, failed=lost):
            found.append(result)
            if result < 100:
                items.append(result)
    assert found == [9, 81, 6561]


def die_of_three(n: int) -> int:
    return die(n) if n == 3 else n


def test_a_dead_worker_costs_its_item_only() -> None:
    with open_executor(2) as pool:
        assert sorted(each(pool, die_of_three, deque(range(7)), failed=lost)) == [-1, 0, 1, 2, 4, 5, 6]


def test_a_worker_that_dies_between_two_items_costs_none() -> None:
    with open_executor(1) as pool:
        assert pool is not None
        worker = pool.submit(os.getpid).result()
        os.kill(worker, signal.SIGKILL)
        time.sleep(0.3)
        assert pool.submit(square, 3).result() == 9


def test_workers_end_with_a_parent_that_is_killed() -> None:
    """Otherwise each would wait for its next item for ever."""
    code = (
        "import os, time\n"
        "from tomoe_explore.operations.executors import open_executor\n"
        "if __name__ == '__main__':\n"
        "    with open_executor(2) as pool:\n"
        "        print(*{pool.submit(os.getpid).result() for _ in range(20)}, flush=True)\n"
        "        time.sleep(100)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        workers = list(map(int, parent.stdout.readline().split()))
        assert all(map(process_start, workers))
        parent.kill()
    deadline = time.monotonic() + 10
    while any(map(process_start, workers)):
        assert time.monotonic() < deadline, "a worker lives on"
        time.sleep(0.05)


@pytest.mark.parametrize("processes", [None, 1])
def test_what_was_not_begun_is_left_when_it_is_stopped(processes: int | None) -> None:
    items, results = deque(range(200)), []
    with open_executor(processes) as pool:
        for result in each(pool, square, items, failed=lost, stopped=lambda: len(results) >= 3):
            results.append(result)
    assert 3 <= len(results) <= 4
    assert sorted(results) + sorted(n * n for n in items) == [n * n for n in range(200)]


def test_the_queue_stays_short() -> None:
    waiting: list[Future[int]] = []

    class Counting(ThreadPoolExecutor):
        most = 0

        def submit(self, *args, **kwargs):  # type: ignore[no-untyped-def]
            future = super().submit(*args, **kwargs)
            waiting.append(future)
            Counting.most = max(Counting.most, sum(not f.done() for f in waiting))
            return future

    with Counting(1) as pool:
        assert len(list(each(pool, square, deque(range(1000)), failed=lost))) == 1000
    assert Counting.most <= _QUEUE


@pytest.mark.parametrize("executor", [0, -1, True, "two", 1.5])
def test_wrong_executors(executor: object) -> None:
    with pytest.raises(ParameterError, match="executor must be"), open_executor(executor):
        pass
