"""What happened, line by line: JSON for machines, text for a terminal."""

from __future__ import annotations

import json
import logging
import logging.handlers
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from tomoe_explore.errors import ParameterError

Level = Literal["debug", "info", "warning", "error"]


class Log:
    """Where events are told: standard error, and a file if one is named.

    A file gets JSON lines and may be rotated under us; standard error gets text on a terminal, else JSON lines too.

    Parameters
    ----------
    path : Path, optional
        The file, appended to.

    Raises
    ------
    ParameterError
        If the file cannot be written.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._logger = logging.Logger("tomoe watch", logging.INFO)
        terminal = sys.stderr.isatty()
        if path is None or terminal:
            screen: logging.Handler = logging.StreamHandler(sys.stderr)
            screen.setFormatter(_Text() if terminal else _Json())
            self._logger.addHandler(screen)
        if path is not None:
            try:
                file = logging.handlers.WatchedFileHandler(path, encoding="utf-8")
            except OSError as error:
                raise ParameterError(f"log file {path} cannot be written: {error.strerror}") from None
            file.setFormatter(_Json())
            self._logger.addHandler(file)

    def write(self, level: Level, event: str, message: str = "", **fields: Any) -> None:
        """One event; fields that are None or empty are left out."""
        given = {name: value for name, value in fields.items() if value not in (None, "")}
        extra = {"event": event, "fields": given}
        self._logger.log(getattr(logging, level.upper()), "%s", message, extra=extra)

    def close(self) -> None:
        """Close the file; what is written later, by a thread that hangs, is lost."""
        handlers, self._logger.handlers = self._logger.handlers, [logging.NullHandler()]
        for handler in handlers:
            handler.close()


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        values = record.__dict__
        line = {"time": utc(record.created), "level": record.levelname.lower(), "event": values["event"]}
        line |= values["fields"]
        if message := record.getMessage():
            line["message"] = message
        return json.dumps(line, default=str, ensure_ascii=False)


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields = dict(record.__dict__["fields"])
        parts = [datetime.fromtimestamp(record.created).strftime("%H:%M:%S"), f"{record.__dict__['event']:8s}"]
        if film := fields.pop("film", None):
            parts.append(Path(film).name)
        if kind := fields.pop("error_kind", None):
            parts.append(f"{kind}:")
        if message := record.getMessage():
            parts.append(message)
        if (seconds := fields.pop("seconds", None)) is not None:
            parts.append(f"{seconds:.1f} s")
        return " ".join(parts)


def utc(timestamp: float) -> str:
    """A time in s since 1970 as ISO 8601, UTC.

    Examples
    --------
    >>> utc(1597408496.789)
    '2020-08-14T12:34:56.789+00:00'
    """
    return datetime.fromtimestamp(timestamp, UTC).isoformat(timespec="milliseconds")
