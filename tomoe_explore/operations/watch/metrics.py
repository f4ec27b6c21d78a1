"""Numbers for Prometheus, on an HTTP port. prometheus-client knows the format; only this file knows the client."""

from __future__ import annotations

from typing import Any

from tomoe_explore.errors import ParameterError
from tomoe_explore.operations.run import Outcome

_SECONDS = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)


class Metrics:
    """The numbers, and the server that shows them under ``/metrics``.

    Parameters
    ----------
    port : int
        0 takes a free one.
    host : str
        Address to listen on.

    Raises
    ------
    ParameterError
        If the port cannot be used.

    Examples
    --------
    >>> metrics = Metrics(0)
    >>> metrics.port > 0
    True
    >>> metrics.close()
    """

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

        registry = CollectorRegistry()
        self._done = Counter("tomoe_films_done", "Films reduced or mastered.", ["kind"], registry=registry)
        self._failed = Counter("tomoe_films_failed", "Films that failed.", ["kind"], registry=registry)
        self._gone = Counter("tomoe_films_gone", "Films deleted before they were reduced.", registry=registry)
        self._seconds = Histogram(
            "tomoe_film_seconds", "Wall time of a film of the sky, s.", buckets=_SECONDS, registry=registry
        )
        self._gauges = {
            name: Gauge(f"tomoe_{name}", text, registry=registry)
            for name, text in (
                ("backlog_films", "Films that wait."), ("incomplete_films", "Films that stopped growing too early."),
                ("under_way_films", "Films that are being worked on."), ("disk_free_bytes", "Free in the archive."),
                ("last_success_timestamp_seconds", "When a film was done last, since 1970; 0: none yet."),
                ("realtime_factor", "What the workers can do over what the detectors make; NaN: not known."),
                ("waiting", "1 while it waits for a directory, a disk or the archive."),
            )
        }  # fmt: skip
        try:
            self._server, self._thread = start_http_server(port, host, registry=registry)
        except (OSError, OverflowError) as error:
            raise ParameterError(f"metrics cannot be shown on {host}:{port}: {error}") from None
        self.port: int = self._server.server_port

    def film(self, outcome: Outcome) -> None:
        """Count what came of a film."""
        if outcome.status == "failed":
            self._failed.labels(outcome.error_kind).inc()
        elif outcome.status == "done":
            self._done.labels(outcome.kind).inc()
            if outcome.kind == "object":
                self._seconds.observe(outcome.seconds)

    def gone(self) -> None:
        """Count a film that was deleted before it was reduced."""
        self._gone.inc()

    def state(self, health: dict[str, Any], last_success: float) -> None:
        """Take over what the health file says."""
        factor = health["realtime_factor"]
        values = {
            "backlog_films": health["backlog"], "incomplete_films": health["incomplete"],
            "under_way_films": len(health["under_way"]), "disk_free_bytes": health["disk_free_bytes"] or 0,
            "last_success_timestamp_seconds": last_success, "waiting": int(health["state"] == "waiting"),
            "realtime_factor": float("nan") if factor is None else factor,
        }  # fmt: skip
        for name, value in values.items():
            self._gauges[name].set(value)

    def close(self) -> None:
        """Stop the server."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
