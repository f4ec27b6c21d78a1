"""Messages arrive grouped; a channel that hangs, refuses or is gone holds nobody up."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from tests.operations.watch.watching import channel, until
from tomoe_explore.errors import ParameterError
from tomoe_explore.operations.run import Outcome
from tomoe_explore.operations.watch import Log, Report, Webhook, webhook
from tomoe_explore.operations.watch.alerts import LONGEST_S, Alerts


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path / "log")


def lost(tmp_path: Path) -> list[str]:
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    return [line["message"] for line in lines if line["event"] == "webhook"]


def test_failures_of_a_kind_are_one_message_and_the_night_is_summed_up(log: Log) -> None:
    with channel() as (url, got):
        report = Report(log, webhook=Webhook(url, log), window_s=0.3)
        report.start(directory="raw")
        for number in range(5):
            report.film(Outcome(f"raw/r{number}.fits", "failed", error_kind="cloud", message="<3 mag> & more"))
        report.film(Outcome("raw/r9.fits", "failed", error_kind="truncated", message="expected 9 bytes, got 8"))
        assert got == []

        def told() -> bool:
            report.state(1, under_way=[], backlog=0, incomplete=0, disk_free_bytes=1)
            return len(got) == 2

        until(told, "both groups are told", 10)
        report.film(Outcome("raw/r10.fits", "done", "object", seconds=1.0))
        report.night_over(["raw/half.fits"])
        report.night_over([])  # nothing new: nothing is told
        report.stop("stopped", 1, [], under_way=[], backlog=0, incomplete=0, disk_free_bytes=1)
    cloud, truncated, night, stopped = got
    assert cloud == "tomoe watch raw: 5 films failed: cloud. First r0.fits: &lt;3 mag&gt; &amp; more"
    assert truncated == "tomoe watch raw: 1 film failed: truncated. r9.fits: expected 9 bytes, got 8"
    assert night.endswith("the night is over: 1 film done, 6 failed (5 cloud, 1 truncated), 1 incomplete (half.fits)")
    assert stopped.endswith("stopped: 1 film done, 6 failed (5 cloud, 1 truncated)")


def test_messages_become_rarer_while_a_fault_goes_on() -> None:
    times: list[float] = []
    now = 0.0
    alerts = Alerts(lambda text: times.append(now), window_s=60.0)
    while now < 6 * 3600:
        alerts.add("cloud", "r.fits", "cloudy", now)
        alerts.tick(now)
        now += 9.0
    assert len(times) < 12
    assert times[0] <= 69 and LONGEST_S <= times[-1] - times[-2] < LONGEST_S + 10
    n = len(times)
    while now < 10 * 3600:  # a quiet window, and the next one is news again
        alerts.tick(now)
        now += 9.0
    start = now
    alerts.add("cloud", "r.fits", "cloudy", now)
    while len(times) <= n + 1:
        alerts.tick(now)
        now += 9.0
    assert times[-1] - start < 70


@pytest.mark.parametrize("fault", ["hangs", "refuses", "gone"])
def test_a_bad_channel_holds_nobody_up(fault: str, log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "TIMEOUT_S", 0.2)
    monkeypatch.setattr(webhook, "PAUSES_S", (0.05,))
    with channel(500 if fault == "refuses" else 200, 60.0 if fault == "hangs" else 0.0) as (url, got):
        hook = Webhook("http://127.0.0.1:9/services/secret" if fault == "gone" else url, log)
        start = time.monotonic()
        for number in range(3 * webhook.QUEUE):
            hook.post(f"message {number}")
        assert time.monotonic() - start < 0.5
        until(lambda: lost(tmp_path), "the loss is told", 10)
        start = time.monotonic()
        hook.close(0.5)
        assert time.monotonic() - start < 2.0
        assert fault == "gone" or (len(got) > 1 and got[0] == got[1])  # tried again
        (message,) = lost(tmp_path)  # once; the channel answers when it is closed, so not later
    words = {"hangs": "TimeoutError", "refuses": "HTTP 500", "gone": "ConnectionRefusedError"}
    assert words[fault] in message and "127.0.0.1" in message
    assert "secret" not in (tmp_path / "log").read_text()
    log.close()


def test_the_words_of_an_error_may_hold_the_url(log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "PAUSES_S", ())
    hook = Webhook("http://127.0.0.1:9/services/\u00a9secret", log)  # urllib says what it cannot encode
    hook.post("a message")
    until(lambda: lost(tmp_path), "the loss is told", 10)
    hook.close(0.5)
    assert lost(tmp_path) == ["messages to 127.0.0.1 are lost: UnicodeEncodeError"]
    log.close()


@pytest.mark.parametrize(
    "url",
    ["hooks.slack.com/x", "ftp://host/x", "file:///etc/passwd", "http://", "http://h:x/", "http://h/SECRET x",
     "https://h/SECRET\n"],
)  # fmt: skip
def test_what_is_no_url(url: str, log: Log) -> None:
    with pytest.raises(ParameterError, match="must be a URL") as caught:
        Webhook(url, log)
    assert "SECRET" not in str(caught.value)
    log.close()
