"""The job views and the magic without a browser: what the registry says is what is shown."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

import tomoe_explore as te
from tests.films import write_film
from tomoe_explore import views
from tomoe_explore.archive import Archive, jobs
from tomoe_explore.archive.owner import this_process
from tomoe_explore.archive.reserve import now
from tomoe_explore.errors import NotFoundError
from tomoe_explore.views import job_view
from tomoe_explore.views.job_view import POLL_S

OPTIONS = {"paths": ["a.fits"], "force": False}


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Archive:
    monkeypatch.delenv("TOMOE_DATABASE", raising=False)
    return Archive.create(tmp_path / "archive")


def add(archive: Archive, **values: object) -> int:
    """A job of this process."""
    job_id = jobs.add(archive.registry, "ada", OPTIONS, workers=1)
    jobs.adopt(archive.registry, job_id)
    if values:
        jobs.change(archive.registry, job_id, owner=this_process(), **values)
    return job_id


@pytest.fixture
def running(archive: Archive) -> int:
    failures = json.dumps([("a/cut.fits", "truncated", "the file <ends> early")])
    return add(archive, state="running", started=now(), total=40, done=10, failed=1, skipped=9, rate=0.5,
               step="films of the sky", film="a/last.fits", failures=failures)  # fmt: skip


def threads() -> int:
    return sum(thread.name == "tomoe-job-view" for thread in threading.enumerate())


def test_what_a_running_job_shows(archive: Archive, running: int) -> None:
    log = archive.layout.job(running) / "log"
    log.parent.mkdir(parents=True)
    log.write_text("".join(f"line {k} <b>\n" for k in range(100)))
    view = views.jobs(archive, running)
    try:
        assert ">running</span>" in view._head.value
        for text in ("<b>20</b> of 40 films", "9 done before", "1 failed", "0.50 films/s, real time for 4.5 detectors",
                     "about 40 s left", "films of the sky", "last film last.fits"):  # fmt: skip
            assert text in view._facts.value
        assert "aria-valuenow='20'" in view._bar.value
        assert "width:25.00%" in view._bar.value
        assert "cut.fits" in view._failures.value
        assert "the file &lt;ends&gt; early" in view._failures.value
        assert "line 99 &lt;b&gt;" in view._log.value
        assert "line 50" not in view._log.value
        view._show_log.value = False
        assert view._log.value == ""
        assert (view._cancel.disabled, view._resume.disabled) == (False, True)
    finally:
        view.close()


def test_it_follows_what_becomes_of_the_job(archive: Archive, running: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_view, "IDLE_S", POLL_S)
    view = views.jobs(archive, running)
    assert threads() == 1
    jobs.change(archive.registry, running, done=30)
    time.sleep(2 * POLL_S)
    assert "<b>40</b> of 40 films" in view._facts.value
    jobs.change(archive.registry, running, state="done", failed=0, finished=now())
    time.sleep(2 * POLL_S)
    assert ">done</span>" in view._head.value
    assert (view._cancel.disabled, view._resume.disabled) == (True, True)
    jobs.change(archive.registry, running, state="running")  # resumed in another notebook
    time.sleep(2.5 * POLL_S)
    assert ">running</span>" in view._head.value
    view.close()


def test_an_unexpected_error_does_not_freeze_it(archive: Archive, running: int) -> None:
    view = views.jobs(archive, running)
    log = archive.layout.job(running) / "log"
    log.mkdir(parents=True)  # as if its disk were away
    time.sleep(2 * POLL_S)
    assert "IsADirectoryError" in view._head.value
    log.rmdir()
    time.sleep(2 * POLL_S)
    assert ">running</span>" in view._head.value
    view.close()


def test_closing_ends_the_thread(archive: Archive, running: int) -> None:
    view, every = views.jobs(archive, running), views.jobs(archive)
    assert threads() == 3  # the list, the job, and the job in the list
    view.close()
    every.close()
    time.sleep(2 * POLL_S)
    assert threads() == 0


def test_cancel_button(archive: Archive, running: int) -> None:
    view = views.jobs(archive, running)
    view._cancel.click()
    assert jobs.record(archive.registry, running).cancel
    assert "after the films under way" in view._head.value
    assert view._cancel.disabled
    view.close()


def test_a_job_in_a_cell_shows_its_view(archive: Archive, running: int) -> None:
    bundle = te.job(archive, running)._repr_mimebundle_()
    data = bundle[0] if isinstance(bundle, tuple) else bundle
    assert "application/vnd.jupyter.widget-view+json" in data


def test_the_list_keeps_what_is_chosen(archive: Archive, running: int) -> None:
    second = add(archive)
    view = views.jobs(archive)
    try:
        assert view.view is not None
        assert view.view.job.job_id == second  # the newest
        view._list.value = running
        assert view.view.job.job_id == running
        third = add(archive)
        jobs.change(archive.registry, running, done=15)
        view.refresh()
        assert [job_id for _, job_id in view._list.options] == [third, second, running]
        assert view.view.job.job_id == running
        assert "25 of 40" in view._list.options[-1][0]
    finally:
        view.close()


def test_no_jobs_yet(archive: Archive) -> None:
    view = views.jobs(archive)
    assert "No jobs yet" in view._empty.value
    job_id = add(archive)
    view.refresh()
    assert view.view is not None
    assert view.view.job.job_id == job_id
    view.close()
    with pytest.raises(NotFoundError, match="no job 5"):
        views.jobs(archive, 5)


@pytest.fixture(scope="module")
def shell() -> InteractiveShell:
    shell = InteractiveShell(config=Config(HistoryManager={"enabled": False}))
    shell.run_line_magic("load_ext", "tomoe_explore")
    return shell


def test_the_magic(archive: Archive, shell: InteractiveShell, tmp_path: Path) -> None:
    import numpy as np

    adu = np.random.default_rng(1).integers(-5, 6, (6, 1128, 2156), dtype=np.int16)
    for k in range(2):
        adu[0, 0, 0] = k
        write_film(tmp_path / f"d{k}.fits", adu, EXP_ID=100 + k, DATA_TYP="DARK")
    shell.user_ns["where"] = str(tmp_path)
    job = shell.run_cell_magic("tomoe_reduce", f"--archive {archive.root} --force", "# darks\n{where}/d*.fits\n\n")
    assert shell.user_ns["job"] is job
    job.cancel()  # that jobs work is seen elsewhere
    assert job.wait(60) in ("cancelled", "done")
    assert job.record.options["force"] is True
    assert job.record.options["paths"] == [str(tmp_path / f"d{k}.fits") for k in range(2)]
    with pytest.raises(NotFoundError, match="no such file"):
        shell.run_cell_magic("tomoe_reduce", f"--archive {archive.root}", str(tmp_path / "none"))
