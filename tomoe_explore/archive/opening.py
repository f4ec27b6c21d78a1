"""Opening an archive that is there."""

from __future__ import annotations

import os

from tomoe_explore.archive.archive import Archive
from tomoe_explore.archive.layout import LAYOUT_VERSION
from tomoe_explore.archive.marker import read_marker
from tomoe_explore.errors import ArchiveError


def open_archive(path: str | os.PathLike[str] | None = None) -> Archive:
    """Open an archive.

    Parameters
    ----------
    path : path, optional
        Its directory; by default ``$TOMOE_ARCHIVE``, else ``./archive``.

    Raises
    ------
    ArchiveError
        If there is none, or one of a later layout.

    Examples
    --------
    >>> import tempfile
    >>> path = Archive.create(tempfile.mkdtemp() + "/archive").root
    >>> open_archive(path).root == path
    True
    """
    archive = Archive(path or os.environ.get("TOMOE_ARCHIVE") or "archive")
    layout = read_marker(archive.layout.marker)["layout"]
    if layout > LAYOUT_VERSION:
        raise ArchiveError(f"archive {archive.root} has layout {layout}, this version knows {LAYOUT_VERSION}: update")
    return archive
