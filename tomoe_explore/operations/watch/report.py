"""To whom it is told: the log, the health file, the metrics, the webhook. None of them stops a reduction."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tomoe_explore.data import Exposure
from tomoe_explore.operations.run import Outcome
from tomoe_explore.operations.watch.alerts import WINDOW_S, Alerts
from tomoe_explore.operations.watch.health import EVERY_S, write_health
from tomoe_explore.operations.watch.log import Log, utc
from tomoe_explore.operations.watch.metrics import Metrics
from tomoe_explore.operations.watch.tally import Tally
from tomoe_explore.operations.watch.webhook import Webhook

_NAMED = 3  # incomplete films that a summary names


class Report:
    """Tells what happens, and counts it.

    Parameters
    ----------
    log : Log, optional
        By default to standard error.
    health : Path, optional
        Health file.
    metrics : Metrics, optional
    webhook : Webhook, optional
    window_s : float
        How long failures of one kind are gathered to one message, s.

    Attributes
    ----------
    tally : Tally
        Counts since the start.
    waiting_for : dict
        What keeps the watch from working, and why; empty while all is well.
    """

    def __init__(
        self, log: Log | None = None, *, health: Path | None = None, metrics: Metrics | None = None,
        webhook: Webhook | None = None, window_s: float = WINDOW_S,
    ) -> None:  # fmt: skip
        self.log = log or Log()
        self.tally, self._night = Tally(), Tally()
        self.waiting_for: dict[str, str] = {}
        self._health, self._metrics, self._webhook = health, metrics, webhook
        self._alerts = Alerts(self.post, window_s)
        self._about: dict[str, Any] = {}
        self._written, self._unwritable = 0.0, False

    def start(self, **about: Any) -> None:
        """The watch begins; ``about`` says on what."""
        self._about = about
        self.log.write("info", "start", f"watching {about['directory']}", **about)

    def post(self, text: str) -> None:
        """A message to the webhook, if there is one."""
        if self._webhook:
            self._webhook.post(f"tomoe watch {self._about.get('directory', '')}: {text}")

    def film(self, outcome: Outcome, exposure: Exposure | None = None) -> None:
        """What came of a film."""
        for tally in (self.tally, self._night):
            tally.add(outcome, exposure)
        if self._metrics:
            self._metrics.film(outcome)
        if outcome.is_held:
            self.held(outcome)
        if outcome.status == "skipped":
            return
        failed = outcome.status == "failed"
        self.log.write(
            "error" if failed else "info", outcome.status, outcome.message, film=outcome.film, kind=outcome.kind,
            exposure=outcome.exposure_id, detector=outcome.detector_id, reduction=outcome.reduction_id,
            master=outcome.master_id, error_kind=outcome.error_kind, traceback=outcome.traceback,
            seconds=outcome.seconds,
        )  # fmt: skip
        if failed:
            self._alerts.add(outcome.error_kind, outcome.film, outcome.message, time.monotonic())

    def held(self, outcome: Outcome) -> None:
        """Another process has a film, and it is left to it or has been there for long."""
        self.log.write("warning", "held", outcome.message, film=outcome.film, exposure=outcome.exposure_id,
                       detector=outcome.detector_id)  # fmt: skip

    def gone(self, path: str) -> None:
        """A film was deleted before it was reduced."""
        why = "deleted before it was reduced"
        for tally in (self.tally, self._night):
            tally.gone += 1
        if self._metrics:
            self._metrics.gone()
        self.log.write("warning", "gone", why, film=path)
        self._alerts.add("gone", path, why, time.monotonic())

    def incomplete(self, path: str, missing: str) -> None:
        """A film stopped growing long ago though bytes are missing."""
        self.log.write("warning", "incomplete", missing, film=path)
        self._alerts.add("incomplete", path, missing, time.monotonic())

    def wait_for(self, what: str, reason: str) -> None:
        """Something keeps the watch from working; told when it begins."""
        if what not in self.waiting_for:
            self.log.write("warning", "waiting", reason, waiting_for=what)
            self.post(f"waits: {reason}")
            self._written = 0.0  # the health file says so at once
        self.waiting_for[what] = reason

    def resume(self, what: str) -> None:
        """It does no more."""
        if self.waiting_for.pop(what, None):
            self.log.write("info", "resumed", f"{what} is well again", waiting_for=what)
            self.post(f"goes on: {what} is well again")
            self._written = 0.0

    def state(self, workers: int, **numbers: Any) -> None:
        """How things stand; written to the health file when it is time."""
        now = time.monotonic()
        self._alerts.tick(now)
        if now - self._written < EVERY_S:
            return
        busy = numbers["under_way"] or numbers["backlog"]
        self._write("waiting" if self.waiting_for else "working" if busy else "idle", workers, numbers)

    def _write(self, state: str, workers: int, numbers: Mapping[str, Any]) -> None:
        self._written = time.monotonic()
        tally = self.tally
        content = {
            "state": state, "waiting_for": self.waiting_for, "since": utc(tally.started), **self._about,
            "last_success": utc(tally.last_success) if tally.last_success else None, "last_film": tally.last_film,
            **tally.counts(), **tally.speed(workers), **numbers,
        }  # fmt: skip
        if self._metrics:
            self._metrics.state(content, tally.last_success)
        if self._health is None:
            return
        try:
            write_health(self._health, content)
        except OSError as error:
            if not self._unwritable:
                self.log.write("warning", "health", f"{self._health} cannot be written: {error}")
            self._unwritable = True
        else:
            self._unwritable = False

    def night_over(self, incomplete: Sequence[str]) -> None:
        """No film has come for a long time: sum up, and count anew."""
        if not (self._night.n or self._night.gone):
            return
        text = f"the night is over: {self._night.text()}{_named(incomplete)}"
        self.log.write("info", "night", text, **self._night.counts())
        self._alerts.flush()
        self.post(text)
        self._night = Tally()

    def stop(self, reason: str, workers: int, unfinished: Sequence[str], **numbers: Any) -> None:
        """The watch ends."""
        text = f"{reason}: {self.tally.text()}{_named(unfinished)}"
        self._write("stopped", workers, numbers)
        self.log.write("info", "stop", text, **self.tally.counts())
        self._alerts.flush()
        self.post(text)
        if self._webhook:
            self._webhook.close()
        if self._metrics:
            self._metrics.close()
        self.log.close()


def _named(incomplete: Sequence[str]) -> str:
    if not incomplete:
        return ""
    names = ", ".join(Path(path).name for path in incomplete[:_NAMED])
    return f", {len(incomplete)} incomplete ({names}{', …' if len(incomplete) > _NAMED else ''})"
