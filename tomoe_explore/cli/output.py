"""What the verbs print, and how they end."""

from __future__ import annotations

import functools
import json
import math
import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from tomoe_explore.cli.options import wants_json

if TYPE_CHECKING:
    from tomoe_explore.operations.run import Run

Verb = TypeVar("Verb", bound=Callable[..., None])


def guarded(verb: Verb) -> Verb:
    """The verb, with each of our errors as one line on standard error and exit status 1 (2 for wrong usage)."""

    @functools.wraps(verb)
    def run(**arguments: Any) -> None:
        from tomoe_explore.errors import ParameterError, TomoeError

        try:
            verb(**arguments)
            sys.stdout.flush()
        except TomoeError as error:
            if wants_json(bool(arguments.get("as_json"))):
                document({"error": {"kind": error.kind, "message": str(error)}})
            message(f"{error.kind}: {error}")
            raise typer.Exit(2 if isinstance(error, ParameterError) else 1) from None
        except KeyboardInterrupt:
            message("interrupted: what is done stays")
            raise typer.Exit(1) from None
        except BrokenPipeError:  # `tomoe search | head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    return run  # type: ignore[return-value]


def message(text: str) -> None:
    """A line on standard error."""
    typer.echo(f"tomoe: {text}", err=True)


def line(text: str) -> None:
    """A line on standard output, above the progress bar if there is one."""
    from tqdm import tqdm

    tqdm.write(text, file=sys.stdout)


def document(content: Any) -> None:
    """One JSON document on standard output; NaN, which JSON does not know, becomes null."""
    typer.echo(json.dumps(_plain(content), indent=1, default=str, allow_nan=False, ensure_ascii=False))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is not None and not isinstance(value, str | int | float | bool):
        return None if str(value) in ("<NA>", "NaT") else str(value)
    return value


def print_table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """A table for people; on a pipe it is as wide as it needs to be."""
    from rich.console import Console
    from rich.table import Table

    shown = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        shown.add_row(*(_cell(value) for value in row))
    Console(width=None if sys.stdout.isatty() else 400).print(shown, highlight=False, markup=False)


def _cell(value: Any) -> str:
    value = _plain(value)
    if value is None:
        return "-"
    return f"{value:.6f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def ended(run: Run, as_json: bool) -> None:
    """Print what came of a run; exit status 1 if a film failed, or another process has it: it is not done."""
    if wants_json(as_json):
        document(run.to_dict())
        for outcome in run.held + run.failed:
            message(f"{outcome.film}: {outcome.error_kind}: {outcome.message}")
    else:
        typer.echo(repr(run))
    for outcome in run.failed:
        if outcome.traceback:
            typer.echo(outcome.traceback, err=True)
    if run.held or run.failed:
        raise typer.Exit(1)
