"""The jobs of an archive, under way and past, and any of them found again."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import asdict
from html import escape
from typing import TYPE_CHECKING

from tomoe_explore.archive import Archive, open_archive
from tomoe_explore.archive import jobs as queue
from tomoe_explore.archive.jobs import JobRecord
from tomoe_explore.operations.job import Job
from tomoe_explore.operations.job_progress import progress_of, told

if TYPE_CHECKING:
    import pandas as pd

StrPath = str | os.PathLike[str]

_NOTE = 70  #: letters of a table's last column; the job itself says all


def jobs(archive: Archive | StrPath | None = None) -> Jobs:
    """The jobs of an archive, newest first, also those submitted elsewhere.

    Examples
    --------
    >>> import tempfile
    >>> jobs(Archive.create(tempfile.mkdtemp() + "/archive"))
    no jobs in /...archive
    """
    return Jobs(archive if isinstance(archive, Archive) else open_archive(archive))


def job(archive: Archive | StrPath | None, job_id: int) -> Job:
    """One job, found again: from another kernel, another notebook, another day.

    Raises
    ------
    NotFoundError
        If there is none with this number.

    Examples
    --------
    >>> import tempfile
    >>> job(Archive.create(tempfile.mkdtemp() + "/archive"), 7)
    Traceback (most recent call last):
    ...
    tomoe_explore.errors.NotFoundError: no job 7: ...
    """
    return jobs(archive)[job_id]


class Jobs:
    """The jobs of an archive, newest first; ``jobs[3]`` is the job with the number 3."""

    def __init__(self, archive: Archive) -> None:
        self.archive = archive

    def __getitem__(self, job_id: int) -> Job:
        queue.record(self.archive.registry, job_id)
        return Job(self.archive, job_id)

    def __iter__(self) -> Iterator[Job]:
        return (Job(self.archive, record.job_id) for record in self.records())

    def __len__(self) -> int:
        return len(self.records())

    def records(self) -> list[JobRecord]:
        """What the registry knows of each."""
        return queue.records(self.archive.registry)

    def to_pandas(self) -> pd.DataFrame:
        """One row a job."""
        import pandas as pd

        return pd.DataFrame([asdict(record) for record in self.records()], columns=list(JobRecord.__dataclass_fields__))

    def rows(self) -> tuple[list[str], list[list[str]]]:
        """Headings and cells of a table for people."""
        rows = []
        for r in self.records():
            progress = progress_of(r)
            films = f"{progress.ended} of {r.total}" if r.total else "not counted"
            note = told(r) or progress.step
            note = note if len(note) <= _NOTE else note[: _NOTE - 1] + "…"
            rows.append(
                [str(r.job_id), r.state, films, str(r.failed), r.user_name, r.submitted[:19].replace("T", " "), note]
            )
        return ["job", "state", "films", "failed", "user", "submitted (UTC)", ""], rows

    def __repr__(self) -> str:
        heads, rows = self.rows()
        if not rows:
            return f"no jobs in {self.archive.root}"
        widths = [max(len(row[k]) for row in [heads, *rows]) for k in range(len(heads))]
        return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in [heads, *rows])

    def _repr_html_(self) -> str:
        heads, rows = self.rows()
        if not rows:
            return escape(repr(self))
        look = "style='text-align:left'"
        head = "".join(f"<th {look}>{h}</th>" for h in heads)
        body = "".join(f"<tr>{''.join(f'<td {look}>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
        return f"<table class='tomoe-job-table'><tr>{head}</tr>{body}</table>"
