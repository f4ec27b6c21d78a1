"""``archive.json``: it says that a directory is an archive, of which layout, and which archive it is."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tomoe_explore.archive.layout import LAYOUT_VERSION
from tomoe_explore.archive.staging import sync
from tomoe_explore.errors import ArchiveError


def make_marker(path: Path) -> bool:
    """Write it; False, and nothing is done, if it is there. Its id comes with its registry.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "archive.json")
    >>> make_marker(path), make_marker(path)
    (True, False)
    >>> read_marker(path)["layout"], id_of(path)
    (1, None)
    """
    said = {"layout": LAYOUT_VERSION, "made": datetime.now(UTC).isoformat(timespec="milliseconds")}
    try:
        with path.open("x") as file:
            file.write(json.dumps(said) + "\n")
    except FileExistsError:
        return False
    return True


def read_marker(path: Path) -> dict[str, Any]:
    """What it says.

    Raises
    ------
    ArchiveError
        If it is missing, or no such file.
    """
    try:
        said = json.loads(path.read_text())
        if not isinstance(said["layout"], int):
            raise TypeError(f"layout must be a whole number, got {said['layout']!r}")
    except (FileNotFoundError, NotADirectoryError):
        raise ArchiveError(f"no archive at {path.parent}: `tomoe init` makes one") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArchiveError(f"archive {path.parent}: {path.name} cannot be read: {error}") from None
    return dict(said)


def id_of(path: Path) -> str | None:
    """The archive's id; None where it has none yet, as archives of older versions.

    Raises
    ------
    ArchiveError
        As `read_marker`.
    """
    found = read_marker(path).get("id")
    return None if found is None else str(found)


def set_id(path: Path, archive_id: str) -> None:
    """Add the archive's id: whole or not at all."""
    said = read_marker(path) | {"id": archive_id}
    new = path.with_name(f"{path.name}.new")
    new.write_text(json.dumps(said) + "\n")
    sync(new)
    os.replace(new, path)
    sync(path.parent)
