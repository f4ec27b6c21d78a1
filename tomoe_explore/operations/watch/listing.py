"""Which film files are new below a directory? Asked again and again, on disks where listing is dear."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from tomoe_explore.raw import is_film_name

#: A directory is listed anew for so long after it changed, s: its time may be coarse, and late on a network disk.
FRESH_S = 5.0

#: And in any case once in so long, s.
RELIST_S = 60.0


@dataclass
class _Folder:
    """What a directory held when it was listed last; times of our own clock, s."""

    mtime_ns: int
    changed: float
    listed: float
    films: set[str] = field(default_factory=set)
    folders: list[str] = field(default_factory=list)


class Listing:
    """Films below a directory, each told once; one that vanishes and comes again is told again.

    Parameters
    ----------
    root : str
        Where to look; hidden directories are passed over.
    without : str
        A directory that is passed over: the archive holds FITS files too.
    """

    def __init__(self, root: str, without: str = "") -> None:
        self.root = root
        self.troubles: dict[str, str] = {}  #: directories that could not be read the last time, and why
        self._without = without
        self._known: dict[str, _Folder] = {}

    def new(self, now: float) -> list[str]:
        """Paths of the films that came since the last call.

        Parameters
        ----------
        now : float
            Time of any clock that only goes forward, s.

        Raises
        ------
        OSError
            If the root cannot be read. A directory below it only counts as one of ``troubles``.
        """
        found: list[str] = []
        troubles: dict[str, str] = {}
        before, self._known = self._known, {}
        waiting = [self.root]
        try:
            while waiting:
                path = waiting.pop()
                try:
                    folder, new = self._look(path, before.get(path), now)
                except OSError as error:
                    if path == self.root:
                        raise
                    if not isinstance(error, FileNotFoundError):  # one that was deleted is no trouble
                        troubles[path] = error.strerror or str(error)
                        self._keep(path, before)
                    continue
                self._known[path] = folder
                found += new
                waiting += folder.folders
        except OSError:
            self._known = before  # when it comes back, what is known is not new
            raise
        self.troubles = troubles
        return found

    def forget(self, path: str) -> None:
        """Tell a film again, if it is there when its directory is listed next."""
        if folder := self._known.get(os.path.dirname(path)):
            folder.films.discard(os.path.basename(path))

    def _keep(self, path: str, before: dict[str, _Folder]) -> None:
        inside = path + os.sep
        self._known |= {p: folder for p, folder in before.items() if p == path or p.startswith(inside)}

    def _look(self, path: str, known: _Folder | None, now: float) -> tuple[_Folder, list[str]]:
        mtime_ns = os.stat(path).st_mtime_ns
        changed = now if known is None or known.mtime_ns != mtime_ns else known.changed
        if known is not None and now - changed > FRESH_S and now - known.listed < RELIST_S:
            return known, []
        folder = _Folder(mtime_ns, changed, now)
        with os.scandir(path) as entries:
            for entry in entries:
                if is_film_name(entry.name):
                    if entry.is_file():
                        folder.films.add(entry.name)
                elif entry.name[0] != "." and entry.is_dir(follow_symlinks=False) and entry.path != self._without:
                    folder.folders.append(entry.path)
        old = known.films if known else set()
        return folder, [os.path.join(path, name) for name in folder.films - old]
