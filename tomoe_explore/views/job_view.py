"""A job while it works: films done, rate against real time, failures, time left, log; buttons to cancel and resume."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import ipywidgets as widgets

from tomoe_explore.archive.jobs import ACTIVE, JobRecord
from tomoe_explore.errors import TomoeError
from tomoe_explore.operations.job import Job
from tomoe_explore.operations.job_progress import duration, elapsed_s, progress_of, told
from tomoe_explore.views.style import BLUE, GREEN, RED, SLATE, WIDTH_PX

if TYPE_CHECKING:
    from tomoe_explore.operations.job_list import Jobs

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00 ")
_DIRECTORIES = re.compile(r"/\S*/(?=[^/\s]+\.fits)")

POLL_S = 1.0  #: between two looks at the registry
IDLE_S = 5.0  #: the same where nothing happens; somebody else may resume the job
LOG_LINES = 12
_COLOR = {"queued": SLATE, "running": BLUE, "done": GREEN, "failed": RED, "cancelled": SLATE, "lost": RED}
_FAILURES = 10  # listed one by one
_WIDE = f"max-width:min(100%, {WIDTH_PX}px)"
# JupyterLab's own colours, which follow its theme
_TEXT, _PALE = "color:var(--jp-ui-font-color1, black)", "var(--jp-layout-color2, #eeeeee)"


class Polling(widgets.VBox):
    """A box whose content follows the registry until it is closed: often, or now and then where nothing happens."""

    def follow(self) -> None:
        """Look at the registry from now on, in a thread of its own."""
        self._wake, self._closed = threading.Event(), False
        threading.Thread(target=self._poll, name="tomoe-job-view", daemon=True).start()

    def _poll(self) -> None:
        alive = True
        while True:
            self._wake.wait(POLL_S if alive else IDLE_S)
            self._wake.clear()
            if self._closed:
                return
            try:
                alive = self.refresh()
            except Exception as error:  # such as a network disk that is away for a while
                self.complain(f"{type(error).__name__}: {error}")

    def refresh(self) -> bool:
        """Show what is the case now; whether something happens."""
        raise NotImplementedError

    def complain(self, text: str) -> None:
        """Show why nothing newer can be shown."""
        raise NotImplementedError

    def close(self) -> None:
        """Take the widget off the page and end its thread."""
        if hasattr(self, "_wake"):
            self._closed = True
            self._wake.set()
        super().close()


class JobView(Polling):
    """One job.

    Attributes
    ----------
    job : Job
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        self._head, self._bar, self._facts = widgets.HTML(), widgets.HTML(), widgets.HTML()
        self._failures, self._log = widgets.HTML(), widgets.HTML()
        self._cancel = widgets.Button(description="Cancel", icon="stop", tooltip="End after the films under way")
        self._resume = widgets.Button(description="Resume", icon="play", tooltip="Take up what is left")
        self._show_log = widgets.ToggleButton(description="Log", icon="list", value=True)
        self._cancel.on_click(lambda _: self._do(self.job.cancel))
        self._resume.on_click(lambda _: self._do(self.job.resume))
        self._show_log.observe(lambda _: self.refresh(), "value")
        buttons = widgets.HBox([self._cancel, self._resume, self._show_log])
        super().__init__([self._head, self._bar, self._facts, self._failures, buttons, self._log])
        for name, part in {
            "head": self._head, "bar": self._bar, "facts": self._facts, "failures": self._failures, "log": self._log,
            "cancel": self._cancel, "resume": self._resume, "show-log": self._show_log,
        }.items():  # fmt: skip
            part.add_class(f"tomoe-job-{name}")
        self.add_class("tomoe-job")
        self._problem = ""
        self.refresh()
        self.follow()

    def _do(self, action: Callable[[], object]) -> None:
        """What a button asks for; why it could not be done is shown."""
        try:
            action()
            self._problem = ""
        except TomoeError as error:
            self._problem = str(error)
        self.refresh()
        self._wake.set()

    def refresh(self) -> bool:
        """See `Polling`."""
        try:
            record = self.job.record
        except TomoeError as error:  # the registry may come back
            self.complain(str(error))
            return True
        alive = record.state in ACTIVE
        self._head.value = _head(record.job_id, record.state, self._problem or told(record))
        self._bar.value, self._facts.value = _bar(record), _facts(record)
        self._failures.value = _failures(record)
        self._cancel.disabled = not alive or record.cancel
        self._resume.disabled = alive or (record.state == "done" and not record.failed)
        self._log.value = _log(self.job.log(LOG_LINES)) if self._show_log.value else ""
        return alive

    def complain(self, text: str) -> None:
        """See `Polling`."""
        self._head.value = _head(self.job.job_id, "unknown", text)


class JobsView(Polling):
    """See `tomoe_explore.views.jobs`.

    Attributes
    ----------
    jobs : Jobs
        All jobs of the archive.
    view : JobView or None
        Of the job that is chosen.
    """

    def __init__(self, jobs: Jobs) -> None:
        self.jobs = jobs
        self.view: JobView | None = None
        self._list = widgets.Select(rows=5, layout={"width": "auto", "max_width": f"{WIDTH_PX}px"})
        self._list.add_class("tomoe-jobs-list")
        self._empty = widgets.HTML()
        super().__init__([self._list, self._empty])
        self.add_class("tomoe-jobs")
        self._list.observe(lambda _: self._open(), "value")
        self._listing = False
        self.refresh()
        self.follow()

    def _open(self) -> None:
        job_id = self._list.value
        if self._listing or (self.view is not None and self.view.job.job_id == job_id):
            return
        old, self.view = self.view, None if job_id is None else JobView(Job(self.jobs.archive, job_id))
        self.children = [self._list, self._empty, *([self.view] if self.view else [])]
        if old is not None:
            old.close()

    def refresh(self) -> bool:
        """See `Polling`."""
        try:
            records = self.jobs.records()
        except TomoeError as error:
            self.complain(str(error))
            return True
        labels = [(_line(record), record.job_id) for record in records]
        if labels != list(self._list.options):
            chosen = self._list.value
            self._listing = True  # to set the options chooses the first for a moment
            with self._list.hold_sync():
                self._list.options = labels
                self._list.value = chosen if chosen is not None else (labels[0][1] if labels else None)
            self._listing = False
            self._open()
        self._empty.value = "" if labels else f"No jobs yet in {escape(str(self.jobs.archive.root))}."
        return True

    def complain(self, text: str) -> None:
        """See `Polling`."""
        self._empty.value = escape(text)

    def close(self) -> None:
        """See `Polling`."""
        if self.view is not None:
            self.view.close()
        super().close()


def _line(record: JobRecord) -> str:
    progress = progress_of(record)
    failed = f", {record.failed} failed" if record.failed else ""
    films = f"{progress.ended} of {record.total} films{failed}" if record.total else "films not counted yet"
    when = record.submitted[:16].replace("T", " ")
    return f"{record.job_id:3d}.  {record.state}:  {films};  {record.user_name}, {when} UTC"


def _head(job_id: int, state: str, text: str) -> str:
    chip = f"background:{_COLOR.get(state, SLATE)};color:white;border-radius:3px;padding:1px 8px"
    label = f"<b>Job {job_id}</b> &nbsp;<span class='tomoe-job-state' style='{chip}'>{state}</span>"
    return f"<div style='{_TEXT};{_WIDE};line-height:1.6'>{label} &nbsp;{escape(text)}</div>"


def _bar(record: JobRecord) -> str:
    """Parts done, done before and failed; the rest is still to come."""
    total = max(record.total, 1)
    parts = [(record.done, BLUE), (record.skipped, "#9ec9e2"), (record.failed, RED)]
    inner = "".join(f"<div style='width:{100 * n / total:.2f}%;background:{color}'></div>" for n, color in parts if n)
    box = f"display:flex;{_WIDE};height:16px;background:{_PALE};border-radius:3px;overflow:hidden"
    ended = progress_of(record).ended
    values = f"role='progressbar' aria-valuemin='0' aria-valuemax='{record.total}' aria-valuenow='{ended}'"
    return f"<div {values} style='{box}'>{inner}</div>"


def _facts(record: JobRecord) -> str:
    progress = progress_of(record)
    counts = [f"<b>{progress.ended:,}</b> of {record.total:,} films" if record.total else "films not counted yet"]
    counts += [f"{n:,} {word}" for n, word in ((record.skipped, "done before"), (record.failed, "failed")) if n]
    pace = []
    if progress.rate:
        pace.append(f"{progress.rate:.2f} films/s, real time for {progress.detectors:.1f} detectors")
    if record.state == "running":
        pace.append(f"running for {duration(elapsed_s(record))}")
        if progress.seconds_left is not None:
            pace.append(f"about {duration(progress.seconds_left)} left")
    now = [progress.step] if progress.step else []
    now += [f"last film {escape(Path(record.film).name)}"] if record.film else []
    lines = [" · ".join(line) for line in (counts, pace, now) if line]
    return f"<div style='{_TEXT};{_WIDE};line-height:1.5'>{'<br>'.join(lines)}</div>"


def _failures(record: JobRecord) -> str:
    if not record.failures:
        return ""
    look = "text-align:left;padding:1px 12px 1px 0;vertical-align:top"
    cell, word = f"style='{look}'", f"style='{look};white-space:nowrap'"
    rows = "".join(
        f"<tr><td {word}>{escape(Path(film).name)}</td><td {word}>{escape(kind)}</td><td {cell}>{escape(why)}</td></tr>"
        for film, kind, why in record.failures[:_FAILURES]
    )
    more = record.failed - len(record.failures[:_FAILURES])
    rest = f"<div style='{_TEXT}'>and {more} more: <code>job.run.failed</code></div>" if more > 0 else ""
    heads = "".join(f"<th {cell}>{head}</th>" for head in ("failed film", "kind", "why"))
    return f"<table style='{_TEXT};{_WIDE};line-height:1.4'><tr>{heads}</tr>{rows}</table>{rest}"


def _log(text: str) -> str:
    """The log's last lines, in short: times of day, and names of films without their directories."""
    lines = [_DIRECTORIES.sub("", line[11:19] + line[29:] if _TIME.match(line) else line) for line in text.splitlines()]
    look = f"{_TEXT};{_WIDE};font-size:11px;line-height:1.35;background:{_PALE};margin:0;padding:6px"
    wrapped = "box-sizing:border-box;white-space:pre-wrap;overflow-wrap:anywhere;word-break:normal"
    shown = escape("\n".join(lines)) or "nothing yet"
    return f"<pre style='{look};{wrapped}'>{shown}</pre>"
