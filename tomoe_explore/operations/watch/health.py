"""Is the watch well? A small JSON file, written anew every few seconds, and the question whether it says so."""

from __future__ import annotations

import json
import os
import socket
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from tomoe_explore.archive.owner import process_start
from tomoe_explore.operations.watch.log import utc

#: How often the file is written, s.
EVERY_S = 2.0

#: A file that is older than this is stale, s.
STALE_S = 60.0

#: A film that is under way for longer than this hangs, s.
HANGS_S = 600.0


def write_health(path: Path, content: dict[str, Any]) -> None:
    """Write the file whole, in one step; a reader never sees half of it.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    content = {"written": utc(time.time()), "host": socket.gethostname(), "pid": os.getpid(), **content}
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        part.write_text(json.dumps(content, indent=1, default=str, ensure_ascii=False) + "\n")
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def check_health(path: str | os.PathLike[str]) -> list[str]:
    """What is wrong with the watch that writes a health file; nothing if it is well.

    Parameters
    ----------
    path : path
        Of the health file.

    Returns
    -------
    list of str
        Reasons: the file is absent or stale, the process is gone or stopped, it waits for something, a film hangs.

    Examples
    --------
    >>> check_health("no-such-file.json")
    ['no-such-file.json cannot be read: No such file or directory']
    """
    try:
        content = json.loads(Path(path).read_text())
        age = time.time() - datetime.fromisoformat(content["written"]).timestamp()
        state, pid, host = content["state"], int(content["pid"]), content["host"]
        waiting = [f"waits: {reason}" for reason in content["waiting_for"].values()]
        hanging = [film for film in content["under_way"] if film["seconds"] > HANGS_S]
    except OSError as error:
        return [f"{path} cannot be read: {error.strerror}"]
    except (ValueError, KeyError, TypeError) as error:
        return [f"{path} is no health file of tomoe watch: {type(error).__name__}: {error}"]
    if state == "stopped":
        return [f"the watch stopped at {content['written']}"]
    if host == socket.gethostname() and not process_start(pid):
        return [f"process {pid} is gone"]
    stale = [f"{path} was written {age:.0f} s ago, expected at most {STALE_S:.0f} s"] if age > STALE_S else []
    hangs = [f"{film['film']} has been under way for {film['seconds']:.0f} s" for film in hanging]
    return stale + waiting + hangs
