"""The queue of jobs: whose turn it is, on a real registry; all jobs belong to this process."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tomoe_explore.archive import Archive, jobs
from tomoe_explore.archive.jobs import GONE, STARTED
from tomoe_explore.archive.owner import Owner, this_process
from tomoe_explore.errors import NotFoundError

NewArchive = Callable[[Path], Archive]
OPTIONS = {"paths": ["a.fits"], "force": False}


def add(archive: Archive, user: str, workers: int = 1) -> int:
    job_id = jobs.add(archive.registry, user, OPTIONS, workers=workers)
    jobs.adopt(archive.registry, job_id)
    return job_id


def turn(archive: Archive, job_id: int, slots: int | str = 2) -> str:
    return jobs.take_turn(archive.registry, job_id, lambda: slots)


def end(archive: Archive, job_id: int) -> None:
    assert jobs.change(archive.registry, job_id, owner=this_process(), state="done")


def test_first_come_first_served(archive: Archive) -> None:
    first, second, third = (add(archive, "ada") for _ in range(3))
    assert turn(archive, third) == "waits in the queue behind 2 jobs"
    assert turn(archive, first) == STARTED
    assert turn(archive, first) == GONE  # it runs
    assert turn(archive, third) == "waits in the queue behind 1 job"
    assert turn(archive, second) == STARTED
    assert turn(archive, third) == "waits for 1 of 2 workers, 0 free; running: job 1 (ada), 2 (ada)"
    end(archive, first)
    assert turn(archive, third) == STARTED


def test_a_user_with_nothing_running_goes_first(archive: Archive) -> None:
    running, waiting, other = add(archive, "ada"), add(archive, "ada"), add(archive, "ben")
    assert turn(archive, running) == STARTED
    assert turn(archive, waiting) == "waits in the queue behind 1 job"
    assert turn(archive, other) == STARTED
    assert jobs.record(archive.registry, waiting).state == "queued"


def test_a_running_job_is_asked_to_give_way_only_to_who_has_less(archive: Archive) -> None:
    running = add(archive, "ada")
    assert turn(archive, running, 1) == STARTED
    add(archive, "ada")
    assert not jobs.is_waited_for(archive.registry, running)
    add(archive, "ben")
    assert jobs.is_waited_for(archive.registry, running)


def test_a_big_job_is_not_overtaken_for_ever(archive: Archive) -> None:
    small, big, later = add(archive, "ada"), add(archive, "ben", workers=2), add(archive, "cyd")
    assert turn(archive, small) == STARTED
    assert turn(archive, big) == "waits for 2 of 2 workers, 1 free; running: job 1 (ada)"
    assert turn(archive, later) == "waits in the queue behind 1 job"
    end(archive, small)
    assert turn(archive, big) == STARTED


def test_a_job_larger_than_the_limit_takes_what_there_is(archive: Archive) -> None:
    """The limits were lowered after it was submitted."""
    small, large = add(archive, "ada"), add(archive, "ada", workers=4)
    assert turn(archive, small, 2) == STARTED
    assert turn(archive, large, 2) == "waits for 2 of 2 workers, 1 free; running: job 1 (ada)"
    end(archive, small)
    assert turn(archive, large, 2) == STARTED
    assert jobs.record(archive.registry, large).workers == 2


@pytest.mark.both_databases
def test_giving_way(archive: Archive) -> None:
    first, asked = add(archive, "ada"), add(archive, "ada")
    for job_id in (first, asked):
        assert turn(archive, job_id) == STARTED
    jobs.ask_cancel(archive.registry, asked)  # while it gives way
    for job_id in (first, asked):
        jobs.give_way(archive.registry, job_id, this_process(), message="has given way", done=3)
    record, ended = (jobs.record(archive.registry, job_id) for job_id in (first, asked))
    assert (record.state, record.finished, record.message, record.done) == ("queued", None, "has given way", 3)
    assert (ended.state, ended.message, ended.done) == ("cancelled", "", 3)
    assert ended.finished is not None
    assert turn(archive, asked) == GONE
    assert turn(archive, first) == STARTED


def test_no_slots_says_why(archive: Archive) -> None:
    assert turn(archive, add(archive, "ada"), "no room") == "no room"


def test_a_dead_job_holds_no_slot_and_is_lost(archive: Archive) -> None:
    dead, next_ = add(archive, "ada"), add(archive, "ben")
    assert turn(archive, dead, 1) == STARTED
    jobs.change(archive.registry, dead, owner_started="another boot")
    assert jobs.record(archive.registry, dead).state == "lost"
    assert turn(archive, next_, 1) == STARTED
    assert jobs.revive(archive.registry, dead)
    assert not jobs.revive(archive.registry, dead), "two at once"
    assert jobs.record(archive.registry, dead).state == "queued"


def test_silence_of_another_machine(archive: Archive) -> None:
    job_id = jobs.add(archive.registry, "ada", OPTIONS, workers=1)
    jobs.adopt(archive.registry, job_id, Owner("elsewhere", 1, "then"))
    assert jobs.record(archive.registry, job_id).state == "queued"
    assert turn(archive, add(archive, "ben"), 1) == STARTED, "each machine has its own queue"
    long_ago = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    jobs.change(archive.registry, job_id, heartbeat=long_ago)
    assert jobs.record(archive.registry, job_id).state == "lost"


@pytest.mark.parametrize("age_s", [0, 3600])
def test_a_job_whose_process_never_came(archive: Archive, age_s: int) -> None:
    job_id = jobs.add(archive.registry, "ada", OPTIONS, workers=1)
    then = (datetime.now(UTC) - timedelta(seconds=age_s)).isoformat()
    jobs.change(archive.registry, job_id, heartbeat=then)
    assert jobs.record(archive.registry, job_id).state == ("lost" if age_s else "queued")
    assert jobs.record(archive.registry, job_id).owner.host == socket.gethostname()


def test_cancel(archive: Archive) -> None:
    waiting, running = add(archive, "ada"), add(archive, "ada")
    jobs.ask_cancel(archive.registry, waiting)
    assert jobs.record(archive.registry, waiting).state == "cancelled"
    assert turn(archive, waiting) == GONE
    assert turn(archive, running) == STARTED
    jobs.ask_cancel(archive.registry, running)
    record = jobs.record(archive.registry, running)
    assert (record.state, record.cancel) == ("running", True)


def test_only_its_process_may_report(archive: Archive) -> None:
    job_id = add(archive, "ada")
    other = Owner(socket.gethostname(), os.getpid(), "another start")
    assert not jobs.change(archive.registry, job_id, owner=other, done=5)
    assert jobs.change(archive.registry, job_id, owner=this_process(), done=6)
    assert jobs.record(archive.registry, job_id).done == 6


@pytest.mark.both_databases
def test_numbers_go_on_after_a_backup_was_restored(archive: Archive, new_archive: NewArchive, tmp_path: Path) -> None:
    assert [add(archive, "ada"), add(archive, "ben")] == [1, 2]
    copy = new_archive(tmp_path / "copy")
    copy.restore(archive.backup(tmp_path / "registry.zip").path)
    assert add(copy, "cyd") == 3
    assert [record.user_name for record in jobs.records(copy.registry)] == ["cyd", "ben", "ada"]


def test_no_such_job(archive: Archive) -> None:
    with pytest.raises(NotFoundError, match="no job 3"):
        jobs.record(archive.registry, 3)
    assert jobs.records(archive.registry) == []
