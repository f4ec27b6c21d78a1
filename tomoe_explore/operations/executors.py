"""Where the work is done: in this process, in some processes of this machine, or on a Dask cluster."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    wait,
)
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any, TypeVar

from tomoe_explore.errors import ParameterError, WorkerDiedError

Item = TypeVar("Item")
Result = TypeVar("Result")

#: Films that wait in an executor's queue: enough to keep a cluster busy, few enough to keep memory flat.
_QUEUE = 64


@contextmanager
def open_executor(executor: Any) -> Iterator[Executor | None]:
    """An executor to submit to, or None to work in this process.

    Parameters
    ----------
    executor : None, int, concurrent.futures.Executor or dask.distributed.Client
        None works in this process, a number in so many fresh processes of this machine; others are used as they are.

    Raises
    ------
    ParameterError
        If it is something else.
    """
    if executor is None:
        yield None
    elif isinstance(executor, int) and not isinstance(executor, bool) and executor > 0:
        with Workers(executor) as workers:
            try:
                yield workers
            except BaseException:
                workers.shutdown(wait=True, cancel_futures=True)
                raise
    elif isinstance(executor, Executor):
        yield executor
    elif hasattr(executor, "get_executor"):
        with executor.get_executor(pure=False) as cluster:
            yield cluster
    else:
        raise ParameterError(
            f"executor must be None, a positive number of processes or a dask Client, got {executor!r}"
        )


class Workers(ThreadPoolExecutor):
    """Fresh processes of this machine, one item each at a time; they end when this one does, however it ends.

    A process that dies (of memory, or a library) costs the item that it was at, which gets a `WorkerDiedError`; a fresh
    one takes its place. Of `concurrent.futures.ProcessPoolExecutor` nothing would be left.

    Parameters
    ----------
    n : int
        How many processes.

    Examples
    --------
    >>> with Workers(1) as workers:
    ...     workers.submit(abs, -3).result()
    3
    """

    def __init__(self, n: int) -> None:
        super().__init__(n, thread_name_prefix="tomoe-worker")  # a thread waits for each process
        self.n = n
        self._idle: SimpleQueue[ProcessPoolExecutor] = SimpleQueue()
        for _ in range(n):
            self._idle.put(_process())

    def submit(self, work: Callable[..., Result], /, *items: Any, **named: Any) -> Future[Result]:
        """See `concurrent.futures.Executor.submit`."""
        return super().submit(self._run, work, items, named)

    def prepare(self, work: Callable[..., Any]) -> None:
        """Let the processes start, and load what ``work`` needs, while its items are thought of."""
        for _ in range(self.n):
            self.submit(_load, work)

    def _run(self, work: Callable[..., Result], items: tuple[Any, ...], named: dict[str, Any]) -> Result:
        process = self._idle.get()
        try:
            try:
                future = process.submit(work, *items, **named)
            except BrokenExecutor:  # it died while it had nothing to do
                process = _process()
                future = process.submit(work, *items, **named)
            return future.result()
        except BrokenExecutor:
            process.shutdown(wait=False)
            process = _process()
            raise WorkerDiedError("its process died: of too little memory, or in a library") from None
        finally:
            self._idle.put(process)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """See `concurrent.futures.Executor.shutdown`."""
        super().shutdown(wait=wait, cancel_futures=cancel_futures)
        if wait:
            while not self._idle.empty():
                self._idle.get().shutdown()


def _load(_work: Callable[..., Any]) -> None:
    """Nothing is to be done: a function that comes from another process brings its modules."""


def _process() -> ProcessPoolExecutor:
    """A process that starts when it is given its first item."""
    # spawned, not forked: a fork would copy the locks of threads that do not exist in the child
    return ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"), initializer=_start_worker)


def _start_worker() -> None:
    # Ctrl-C reaches the whole process group; the parent stops handing out films, and each worker ends its own
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for its next film for ever, and hold the one it is at."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def each(
    executor: Executor | None,
    work: Callable[[Item], Result],
    items: deque[Item],
    *,
    failed: Callable[[Item, BaseException], Result],
    stopped: Callable[[], object] = lambda: False,
) -> Generator[Result]:
    """Results of ``work`` on each item, as they come; ``failed`` says what stands for an item whose worker died.

    ``items`` are taken from the left; who takes the results may add some. Once it has ``stopped``, the results of the
    work under way come still; items that were not begun stay in, or come back to, ``items``.
    """
    if executor is None:
        while items and not stopped():
            yield work(items.popleft())
        return
    # on one machine two each: what comes later but is to be done first, such as publishing, does not wait long
    most = 2 * executor.n if isinstance(executor, Workers) else _QUEUE
    waiting: dict[Future[Result], Item] = {}
    try:
        while waiting or (items and not stopped()):
            while items and len(waiting) < most and not stopped():
                item = items.popleft()
                try:
                    waiting[executor.submit(work, item)] = item
                except RuntimeError as error:  # the executor is broken or shut down
                    yield failed(item, error)
            if stopped():
                items.extendleft([waiting.pop(future) for future in list(waiting) if future.cancel()])
            if not waiting:
                continue
            for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                item = waiting.pop(future)
                lost = future.exception()
                yield future.result() if lost is None else failed(item, lost)
    finally:
        for future in waiting:
            future.cancel()
