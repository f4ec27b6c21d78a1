"""All reductions of a night, run again one by one and compared with what is stored."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from tomoe_explore.archive import Archive
from tomoe_explore.archive.compare import Difference
from tomoe_explore.archive.replay import Replay
from tomoe_explore.errors import NotFoundError, TomoeError
from tomoe_explore.operations.executors import each, open_executor

StrPath = str | os.PathLike[str]


@dataclass(frozen=True)
class _Work:
    """One reduction to replay, as a process can be given it."""

    archive: Archive
    reduction_id: int
    films: tuple[StrPath, ...]
    refcat: StrPath | None


def replay_night(
    archive: Archive, night: str, *, films: StrPath | Iterable[StrPath] = (), refcat: StrPath | None = None,
    executor: Any = None, progress: bool = True,
) -> Iterator[Replay]:  # fmt: skip
    """Replay the current reductions of a night, or of a range of nights; the archive is only read.

    Parameters
    ----------
    archive : Archive
    night : str
        ``"2020-08-14"`` or ``"2020-08-14:2020-08-20"``.
    films : path or iterable of paths
        Where else films may lie.
    refcat : path, optional
        Where the reference catalog lies now.
    executor : None, int or dask.distributed.Client, optional
        As in `reduce`.
    progress : bool
        Whether to show a progress bar.

    Yields
    ------
    Replay
        One a reduction, as they come. One that cannot be had again is among them, and says why.

    Raises
    ------
    NotFoundError
        If no reduction of the night is done.

    Examples
    --------
    >>> import tempfile
    >>> list(replay_night(Archive.create(tempfile.mkdtemp() + "/archive"), "1999-01-01"))
    Traceback (most recent call last):
    ...
    tomoe_explore.errors.NotFoundError: no finished reduction of 1999-01-01; `tomoe summary` says what there is
    """
    from tqdm.auto import tqdm

    rows = archive.table("reductions", night=night, columns=["reduction_id", "status"]).to_pylist()
    done = [row["reduction_id"] for row in rows if row["status"] == "done"]
    if not done:
        raise NotFoundError(f"no finished reduction of {night}; `tomoe summary` says what there is")
    places = (films,) if isinstance(films, (str, os.PathLike)) else tuple(films)
    work = deque(_Work(archive, reduction_id, places, refcat) for reduction_id in done)
    with (
        open_executor(executor) as pool,
        tqdm(total=len(work), desc="replay", unit="film", disable=not progress) as bar,
    ):
        n_odd = 0
        for result in each(pool, _replay, work, failed=_lost):
            bar.update()
            n_odd += not result.identical
            if n_odd:
                bar.set_postfix({"not identical": n_odd})
            yield result


def _replay(work: _Work) -> Replay:
    try:
        return work.archive.replay(work.reduction_id, films=work.films, refcat=work.refcat)
    except TomoeError as error:  # deleted or damaged meanwhile
        return Replay(work.reduction_id, gone=(f"{error.kind}: {error}",))
    except Exception as error:  # the others go on, as they would had its process died
        return _lost(work, error)


def _lost(work: _Work, error: BaseException) -> Replay:
    text = str(error) if isinstance(error, TomoeError) else f"unexpected: {type(error).__name__}: {error}"
    return Replay(work.reduction_id, differences=(Difference("recipe", text=text),))
