"""Which films have come, and are whole? A film that is still growing is not touched."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, replace
from pathlib import Path

from tomoe_explore import camera, raw
from tomoe_explore.archive import Archive
from tomoe_explore.data import Exposure
from tomoe_explore.errors import FilmError, NotFoundError, ParameterError, TruncatedFilmError
from tomoe_explore.operations.watch.listing import Listing

#: Headers are read for so long at a time, s; then others have their turn.
READING_S = 2.0

#: Films that cannot be opened, or were refused, are looked at again after so long, s.
AGAIN_S = 60.0

#: An incomplete film that has not grown for so long is told, s.
STUCK_S = 300.0

_NO_NIGHT = "9999"  # a film whose name says no night is read first, to know


@dataclass(frozen=True)
class Arrival:
    """A film that is whole, and what its header says."""

    path: str
    size: int
    mtime_ns: int
    exposure: Exposure


@dataclass(frozen=True)
class Refused:
    """A film that is whole, but of no use, and why."""

    path: str
    error: Exception


@dataclass(frozen=True)
class _Seen:
    """A file when it was seen last: unchanged since when (s, our own clock); ``missing`` says what it lacks."""

    size: int
    mtime_ns: int
    since: float
    missing: str = ""


class Arrivals:
    """Films that come into a directory, each handed out once, when it is whole.

    A film is whole when its size and time have not changed for ``settle_s`` (by our own clock: a network disk's may be
    wrong) and it has all the bytes that its header announces.

    Parameters
    ----------
    directory : path
    archive : Archive
        Films that it has are passed over.
    settle_s : float
        How long a file must be unchanged, s.
    """

    def __init__(self, directory: str | os.PathLike[str], archive: Archive, settle_s: float) -> None:
        self._listing = Listing(os.path.abspath(directory), str(archive.root))
        self._archive, self._settle_s = archive, settle_s
        self._growing: dict[str, _Seen] = {}
        self._unread: list[tuple[tuple[str, int], str, _Seen]] = []
        self._refused: dict[str, _Seen] = {}
        self._refused_at = 0.0
        self._unopened: set[str] = set()

    @property
    def incomplete(self) -> dict[str, str]:
        """Films that have stopped growing though bytes are missing, and what is missing."""
        return {path: seen.missing for path, seen in self._growing.items() if seen.missing}

    @property
    def troubles(self) -> dict[str, str]:
        """Directories that cannot be read, and why."""
        return self._listing.troubles

    @property
    def n_waiting(self) -> int:
        """Files that have come but whose headers have not been read."""
        return len(self._growing) - len(self.incomplete) + len(self._unread)

    @property
    def unread_night(self) -> str:
        """The newest night some of whose headers are not read yet; empty if there is none."""
        return self._unread[-1][0][0] if self._unread else ""

    def poll(self, now: float) -> list[Arrival | Refused]:
        """Films that have become whole since the last call.

        Raises
        ------
        OSError
            If the directory cannot be read.
        ArchiveError
            If the registry cannot be read. After either nothing is lost: the next call tells what this one did not.
        """
        for path in self._listing.new(now):
            self._growing[path] = _Seen(-1, 0, now)
        self._look_at_refused(now)
        still = {path: seen for path, seen in self._unchanged(now).items() if not seen.missing}
        known = self._archive.settled([(path, seen.size, seen.mtime_ns) for path, seen in still.items()])
        for path, seen in still.items():
            del self._growing[path]
            if path not in known:
                self._unread.append((_order(path), path, seen))
        self._unread.sort()
        return self._read(now)

    def stuck(self, now: float) -> dict[str, str]:
        """Those of the incomplete films that have not grown for long."""
        growing = self._growing.items()
        return {path: seen.missing for path, seen in growing if seen.missing and now - seen.since > STUCK_S}

    def is_unchanged(self, arrival: Arrival, now: float) -> bool:
        """Whether a film's file still is what it was; if not it is handed out again when it is whole again."""
        try:
            stat = os.stat(arrival.path)
        except OSError:
            self._forget(arrival.path)
            return False
        if (stat.st_size, stat.st_mtime_ns) == (arrival.size, arrival.mtime_ns):
            return True
        self._growing[arrival.path] = _Seen(-1, 0, now)
        return False

    def lost(self, path: str) -> OSError | None:
        """Why a film's file cannot be seen, None if it can; it is handed out again if it comes into sight again."""
        try:
            os.stat(path)
        except OSError as error:
            self._forget(path)
            return error
        return None

    def refuse(self, arrival: Arrival) -> None:
        """Hand a film out again only if its file changes."""
        self._refused[arrival.path] = _Seen(arrival.size, arrival.mtime_ns, 0.0)

    def _forget(self, path: str) -> None:
        self._refused.pop(path, None)
        self._listing.forget(path)

    def _unchanged(self, now: float) -> dict[str, _Seen]:
        for path, seen in list(self._growing.items()):
            try:
                stat = os.stat(path)
            except FileNotFoundError:
                del self._growing[path]
                self._forget(path)
                continue
            except OSError:
                continue
            if (stat.st_size, stat.st_mtime_ns) != (seen.size, seen.mtime_ns):
                self._growing[path] = _Seen(stat.st_size, stat.st_mtime_ns, now)
        return {path: seen for path, seen in self._growing.items() if now - seen.since >= self._settle_s}

    def _look_at_refused(self, now: float) -> None:
        if now - self._refused_at < AGAIN_S:
            return
        self._refused_at = now
        for path, seen in list(self._refused.items()):
            try:
                stat = os.stat(path)
            except OSError:
                self._forget(path)
                continue
            if (stat.st_size, stat.st_mtime_ns) != (seen.size, seen.mtime_ns):
                del self._refused[path]
                self._growing[path] = _Seen(-1, 0, now)

    def _read(self, now: float) -> list[Arrival | Refused]:
        """Headers of the newest films, until the time for it is over."""
        found: list[Arrival | Refused] = []
        end = time.monotonic() + READING_S
        while self._unread and time.monotonic() < end:
            _, path, seen = self._unread.pop()
            try:
                found.append(Arrival(path, seen.size, seen.mtime_ns, raw.read_whole(path)))
                self._unopened.discard(path)
            except TruncatedFilmError as error:
                self._growing[path] = replace(seen, missing=str(error))
            except NotFoundError as error:
                self._forget(path)
                found.append(Refused(path, error))
            except Exception as error:
                passing = type(error) is FilmError  # it cannot be opened, now
                # a size that no file has: it is read again whether it changes or not, but told once
                self._refused[path] = _Seen(-1, 0, now) if passing else seen
                if not passing or path not in self._unopened:
                    found.append(Refused(path, error))
                if passing:
                    self._unopened.add(path)
        return found


def _order(path: str) -> tuple[str, int]:
    """Night and exposure as the name says them."""
    try:
        name = camera.parse_name(Path(path).name)
    except ParameterError:
        return (_NO_NIGHT, 0)
    return (name.night, name.exposure_id)
