"""What came of a job's films, a line of JSON each: a job that is resumed reads what it need not do again."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict

from tomoe_explore.archive import Archive
from tomoe_explore.operations.run import Outcome

_NAME = "outcomes.jsonl"


def append_outcome(archive: Archive, job_id: int, outcome: Outcome) -> None:
    """Add a line; the line break comes first, so that a line cut off by a crash spoils no other."""
    with (archive.layout.job(job_id) / _NAME).open("a") as file:
        file.write("\n" + json.dumps(asdict(outcome)))


def is_through(outcome: Outcome) -> bool:
    """Whether a film needs no more work: done now or before. One that another process holds may need some."""
    return outcome.status == "done" or (outcome.status == "skipped" and not outcome.error_kind)


def read_outcomes(archive: Archive, job_id: int) -> dict[str, Outcome]:
    """The last outcome of each film, by its path."""
    found: dict[str, Outcome] = {}
    with suppress(FileNotFoundError), (archive.layout.job(job_id) / _NAME).open() as file:
        for line in file:
            with suppress(ValueError):  # empty, or cut off
                outcome = Outcome(**json.loads(line))
                found[outcome.film] = outcome
    return found
