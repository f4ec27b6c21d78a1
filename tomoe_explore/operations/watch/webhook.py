"""Messages to a chat channel, in Slack's JSON, from a thread of their own: a dead channel stops and slows nothing."""

from __future__ import annotations

import json
import queue
import threading
import time
import urllib.error
import urllib.request
from urllib.parse import urlsplit

from tomoe_explore.errors import ParameterError
from tomoe_explore.operations.watch.log import Log

#: Longest wait for an answer, s.
TIMEOUT_S = 10.0

#: Messages that wait; more are dropped, and counted.
QUEUE = 100

#: A message that was refused is sent again after so long, s, and then given up.
PAUSES_S = (2.0, 10.0)


class Webhook:
    """Posts ``{"text": …}`` to a URL.

    Parameters
    ----------
    url : str
        ``http`` or ``https``. It is a secret: no message of ours shows more of it than the host.
    log : Log
        Where it is told that messages are lost.

    Raises
    ------
    ParameterError
        If it is no such URL.
    """

    def __init__(self, url: str, log: Log) -> None:
        self.host = _host(url)
        self._url, self._log = url, log
        self._queue: queue.Queue[str | None] = queue.Queue(QUEUE)
        self._dropped = 0
        self._closing = threading.Event()
        self._failing = False
        self._thread = threading.Thread(target=self._run, name="webhook", daemon=True)
        self._thread.start()

    def post(self, text: str) -> None:
        """Have a message sent, soon; returns at once."""
        try:
            self._queue.put_nowait(text)
        except queue.Full:
            self._dropped += 1

    def close(self, wait_s: float = 5.0) -> None:
        """Send what waits, for so long at most, s."""
        self._closing.set()
        end = time.monotonic() + wait_s
        try:
            self._queue.put(None, timeout=wait_s)
        except queue.Full:
            return
        self._thread.join(max(end - time.monotonic(), 0.0))

    def _run(self) -> None:
        while (text := self._queue.get()) is not None:
            dropped, self._dropped = self._dropped, 0
            self._deliver(text + (f"\n({dropped} other messages were dropped)" if dropped else ""))

    def _deliver(self, text: str) -> None:
        reason = ""
        for pause_s in (*PAUSES_S, None):
            reason = _send(self._url, text)
            if not reason or pause_s is None or self._closing.is_set():
                break
            self._closing.wait(pause_s)
        if reason and not self._failing:  # told once, until one arrives again
            self._log.write("warning", "webhook", f"messages to {self.host} are lost: {reason}")
        self._failing = bool(reason)


def _send(url: str, text: str) -> str:
    """Why a message did not arrive; empty if it did."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    headers = {"Content-Type": "application/json", "User-Agent": "tomoe-explore"}
    request = urllib.request.Request(url, json.dumps({"text": escaped}).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S):
            return ""
    except urllib.error.HTTPError as error:
        with error:
            return f"HTTP {error.code}"
    except Exception as error:  # whatever a strange server does, the reduction goes on
        reason = getattr(error, "reason", error)
        return type(reason if isinstance(reason, Exception) else error).__name__  # its words may hold the URL


def _host(url: str) -> str:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    strange = any(character.isspace() or not character.isprintable() for character in url)
    if host is None or parts.scheme not in ("http", "https") or strange:
        raise ParameterError("the webhook must be a URL like https://hooks.slack.com/services/…, without blanks")
    return host
