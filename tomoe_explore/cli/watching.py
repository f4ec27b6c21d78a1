"""The verb that goes on until it is stopped: watch."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from tomoe_explore.cli.options import ArchiveOption, JsonOption, opened, wants_json
from tomoe_explore.cli.output import document, message


def watch(
    directory: Annotated[
        Path | None, typer.Argument(metavar="DIR", help="Where films arrive, also in directories below it.")
    ] = None,
    *,
    refcat: Annotated[
        Path | None, typer.Option(metavar="STARS.parquet", help="Reference catalog. [default: the archive's last]")
    ] = None,
    workers: Annotated[int, typer.Option(metavar="N", min=1, help="Processes.")] = 1,
    interval: Annotated[float, typer.Option(metavar="S", min=0.01, help="Seconds between two looks at DIR.")] = 2.0,
    settle: Annotated[float, typer.Option(metavar="S", min=0, help="A file must be unchanged for so long, s.")] = 2.0,
    gather: Annotated[
        float, typer.Option(metavar="S", min=0, help="An exposure is complete after so long without another film, s.")
    ] = 10.0,
    once: Annotated[bool, typer.Option("--once", help="End when all that is there is done.")] = False,
    min_free: Annotated[float, typer.Option(metavar="GB", min=0, help="Wait while less is free in the archive.")] = 1.0,
    log: Annotated[
        Path | None, typer.Option(metavar="FILE", help="JSON lines go there. [default: standard error]")
    ] = None,
    health: Annotated[Path | None, typer.Option(metavar="FILE", help="Written anew every few seconds.")] = None,
    metrics_port: Annotated[
        int | None, typer.Option(metavar="P", min=0, max=65535, help="Numbers for Prometheus; 0: a free port.")
    ] = None,
    metrics_host: Annotated[str, typer.Option(metavar="ADDRESS", help="Address for --metrics-port.")] = "127.0.0.1",
    webhook: Annotated[
        str | None,
        typer.Option(metavar="URL", envvar="TOMOE_WEBHOOK", show_envvar=True, help="Failures go there (Slack)."),
    ] = None,
    check: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Only ask a health file: exit status 1 and why, if ill.")
    ] = None,
    archive: ArchiveOption = None,
    as_json: JsonOption = False,
) -> None:
    """Reduce films as they arrive, until stopped (SIGTERM or Ctrl-C: after the films under way).

    Only whole films are taken, the newest exposure first; darks and flats are mastered as they come. What is done is
    skipped, so a watch that was killed is simply started again. What failed is left to `tomoe reduce`. With --once the
    exit status is 1 if a film failed, was deleted before its turn, or is held by another process.

    deploy/ has examples for systemd and supervisor.

    Example: tomoe watch raw --refcat stars.parquet --workers 2 --health health.json --metrics-port 9108
    """
    from tomoe_explore.errors import ParameterError
    from tomoe_explore.operations.watch import Log, Metrics, Report, Settings, Webhook
    from tomoe_explore.operations.watch import watch as run

    if check is not None:
        _check(check, wants_json(as_json))
        return
    if directory is None:
        raise ParameterError("DIR is missing: the directory where films arrive (or --check FILE)")
    settings = Settings(interval, settle, min_free * 1e9, gather, once)
    home = opened(archive)
    told = Log(log)
    report = Report(
        told, health=health, metrics=None if metrics_port is None else Metrics(metrics_port, metrics_host),
        webhook=Webhook(webhook, told) if webhook else None,
    )  # fmt: skip
    with _stopped_by_signals() as stop:
        tally = run(directory, home, refcat, workers=workers, settings=settings, report=report, stop=stop)
    if wants_json(as_json):
        document({**tally.counts(), "waiting_for": report.waiting_for})
    for reason in report.waiting_for.values() if once else ():
        message(reason)
    if once and (tally.failed or tally.held or tally.gone or report.waiting_for):
        raise typer.Exit(1)


def _check(path: Path, as_json: bool) -> None:
    from tomoe_explore.operations.watch import check_health

    reasons = check_health(path)
    if as_json:
        document({"well": not reasons, "reasons": reasons})
    else:
        typer.echo("well" if not reasons else "\n".join(reasons))
    if reasons:
        raise typer.Exit(1)


@contextmanager
def _stopped_by_signals() -> Iterator[Callable[[], bool]]:
    """A question that SIGTERM and SIGINT answer with yes."""
    asked: list[int] = []
    if threading.current_thread() is not threading.main_thread():  # signals go elsewhere
        yield lambda: False
        return
    # a plain list, no event: a handler runs in the middle of the main thread, which may hold the event's lock
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(number, lambda received, _frame: asked.append(received)) for number in numbers]
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
