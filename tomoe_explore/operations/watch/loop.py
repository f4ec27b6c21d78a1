"""Films are reduced as they arrive: look, hand out, collect, tell, and again, until stopped."""

from __future__ import annotations

import math
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tomoe_explore.archive import Archive, open_archive
from tomoe_explore.errors import ArchiveError, NotFoundError, ParameterError, TomoeError, WorkerDiedError
from tomoe_explore.operations.run import Outcome, failure
from tomoe_explore.operations.stars import StrPath, refcat_to_use
from tomoe_explore.operations.watch.arrivals import Arrival, Arrivals, Refused
from tomoe_explore.operations.watch.backlog import Backlog
from tomoe_explore.operations.watch.crew import Crew
from tomoe_explore.operations.watch.gathering import Gathering
from tomoe_explore.operations.watch.report import Report
from tomoe_explore.operations.watch.tally import Tally

_TICK_S = 0.2  # a signal is heard, and a film that ends is followed, so soon
_RESERVED_S = 30.0  # a film that another process has is asked for again
_LONG_RESERVED_S = 300.0  # and told, if that goes on for so long
_MASTERS_S = 60.0  # films without masters ask so often whether somebody else made some
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 2.0, 60.0  # between two tries of an archive that refuses
_STRIKES = 3  # so often may the archive refuse one film while it takes others


@dataclass(frozen=True)
class Settings:
    """How a directory is watched.

    Attributes
    ----------
    interval_s : float
        Between two looks at the directory, s.
    settle_s : float
        How long a file must be unchanged before it is read, s.
    min_free_bytes : float
        With less space free in the archive, the watch waits.
    gather_s : float
        An exposure is complete, and published, after so long without another film or when a newer one comes, s.
    once : bool
        Whether to end when all that is there is done.
    night_over_s : float
        After so long without a film the night is over, and summed up, s.

    Examples
    --------
    >>> Settings(interval_s=0)
    Traceback (most recent call last):
    ...
    tomoe_explore.errors.ParameterError: interval_s must be positive, got 0
    """

    interval_s: float = 2.0
    settle_s: float = 2.0
    min_free_bytes: float = 1e9
    gather_s: float = 10.0
    once: bool = False
    night_over_s: float = 3600.0

    def __post_init__(self) -> None:
        if not self.interval_s > 0:
            raise ParameterError(f"interval_s must be positive, got {self.interval_s}")
        for name in ("settle_s", "gather_s", "min_free_bytes", "night_over_s"):
            if not getattr(self, name) >= 0:
                raise ParameterError(f"{name} must not be negative, got {getattr(self, name)}")


def watch(
    directory: StrPath, archive: Archive | StrPath | None = None, refcat: StrPath | None = None, *,
    workers: int = 1, settings: Settings | None = None, report: Report | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Tally:  # fmt: skip
    """Reduce films as they arrive in a directory.

    Only whole films are taken: one that grows, or is shorter than its header says, is not touched. The newest
    exposure comes first, its calibrations before it. What the archive has is passed over, so a watch that was killed
    is simply started again. A directory that vanishes, a full disk, an archive that refuses: it waits and says so.

    Parameters
    ----------
    directory : path
        Where films come, also in directories below it.
    archive : Archive or path, optional
        Where to; see `open_archive` for the default.
    refcat : path, optional
        Reference catalog; by default the one that the archive used last.
    workers : int
        Processes (a script then needs ``if __name__ == "__main__":``).
    settings : Settings, optional
    report : Report, optional
        Who is told; by default a log on standard error. It is closed at the end.
    stop : callable
        Asked several times a second; the watch ends, after the films under way, when it says True.

    Returns
    -------
    Tally
        What was done.

    Raises
    ------
    ArchiveError
        If there is no archive.
    RefcatError
        If there is no reference catalog.

    Examples
    --------
    >>> import tempfile
    >>> from tomoe_explore.archive import Archive
    >>> folder = tempfile.mkdtemp()
    >>> home = Archive.create(f"{folder}/archive")
    >>> watch(f"{folder}/raw", home, stop=lambda: True)
    Traceback (most recent call last):
    ...
    tomoe_explore.errors.RefcatError: archive ... has used no reference catalog yet: ...
    """
    if workers < 1:
        raise ParameterError(f"workers must be at least 1, got {workers}")
    home = archive if isinstance(archive, Archive) else open_archive(archive)
    stars = refcat_to_use(home, refcat)
    return _Watch(os.path.abspath(directory), home, stars, settings or Settings(), report or Report()).run(
        workers, stop
    )


class _Watch:
    def __init__(self, directory: str, archive: Archive, refcat: Path, settings: Settings, report: Report) -> None:
        self._directory, self._archive, self._refcat = directory, archive, refcat
        self._settings, self._report = settings, report
        self._arrivals = Arrivals(directory, archive, settings.settle_s)
        self._backlog = Backlog()
        self._gathering = Gathering(settings.gather_s)
        self._free_bytes: int | None = None
        self._pause_s, self._probe_at = _FIRST_PAUSE_S, 0.0
        self._strikes: Counter[str] = Counter()
        self._deaths: Counter[str] = Counter()
        self._reserved: dict[str, float] = {}
        self._masters: Counter[int] = Counter()
        self._masters_at = 0.0
        self._told: set[str] = set()
        self._last_film = time.monotonic()

    def run(self, workers: int, stop: Callable[[], bool]) -> Tally:
        report, reason, next_look = self._report, "ended by an error", 0.0
        report.start(directory=self._directory, archive=str(self._archive.root), workers=workers)
        with suppress(ArchiveError):  # it is tried again with the first film
            self._archive.tidy(())
        with Crew(workers, self._archive, self._refcat) as crew:
            try:
                while not stop():
                    if (now := time.monotonic()) >= next_look:
                        self._look(now)
                        next_look = now + self._settings.interval_s
                    self._hand_out(crew, now)
                    if self._settings.once and self._nothing_left(crew):
                        break
                    self._collect(crew, stopping=False)
                    report.state(workers, **self._numbers(crew))
                reason = "all is done" if self._settings.once and not stop() else "stopped"
                while crew.under_way or self._publish(crew, time.monotonic(), at_once=True):
                    self._collect(crew, stopping=True)
                    report.state(workers, **self._numbers(crew))
            finally:
                self._let_go()
                report.stop(reason, workers, sorted(self._arrivals.incomplete), **self._numbers(crew))
        return report.tally

    def _look(self, now: float) -> None:
        """See what has come, and whether there is room for it."""
        report, arrivals = self._report, self._arrivals
        try:
            for found in arrivals.poll(now):
                self._last_film = now
                if isinstance(found, Refused):
                    if not self._is_lost(found.path) and not isinstance(found.error, NotFoundError):
                        report.film(failure(Outcome(found.path, "failed"), found.error))
                else:
                    self._backlog.add(found)
                    self._gathering.arrived(found, now)
        except OSError as error:
            report.wait_for("directory", f"{self._directory} cannot be read: {error.strerror or error}")
        except ArchiveError as error:
            report.wait_for("registry", str(error))
        else:
            report.resume("directory")
            report.resume("registry")
            self._tell_troubles(now)
            self._ask_for_masters(now)
        try:
            self._free_bytes = shutil.disk_usage(self._archive.root).free
        except OSError as error:
            report.wait_for("disk", f"the archive {self._archive.root} cannot be reached: {error.strerror}")
            return
        if self._free_bytes < self._settings.min_free_bytes:
            gigabytes = f"{self._free_bytes / 1e9:.1f} GB free, {self._settings.min_free_bytes / 1e9:.1f} GB wanted"
            report.wait_for("disk", f"too little space in the archive {self._archive.root}: {gigabytes}")
        else:
            report.resume("disk")

    def _tell_troubles(self, now: float) -> None:
        report = self._report
        for path, why in self._arrivals.troubles.items():
            if path not in self._told:
                report.log.write("warning", "unreadable", f"{path} cannot be read: {why}")
        for path, missing in (stuck := self._arrivals.stuck(now)).items():
            if path not in self._told:
                report.incomplete(path, missing)
        self._told = {*self._arrivals.troubles, *stuck}
        if now - self._last_film > self._settings.night_over_s and not len(self._backlog):
            report.night_over(sorted(self._arrivals.incomplete))

    def _ask_for_masters(self, now: float) -> None:
        """Try films again that lacked masters, where there are other masters than before: `tomoe masters` made some."""
        if not self._backlog.parked or now < self._masters_at:
            return
        self._masters_at = now + _MASTERS_S
        with suppress(ArchiveError):  # told by the next look, if it lasts
            before = self._masters
            self._masters = Counter(self._archive.table("masters", columns=["detector_id"])["detector_id"].to_pylist())
            for detector_id in self._backlog.parked:
                if self._masters[detector_id] != before[detector_id]:
                    self._backlog.master_made(detector_id)

    def _is_lost(self, path: str) -> bool:
        """Whether a film's file is out of sight; told if it was deleted. If it comes again it is handed out again."""
        error = self._arrivals.lost(path)
        if isinstance(error, FileNotFoundError) and os.path.isdir(self._directory):
            self._report.gone(path)
        return error is not None

    def _hand_out(self, crew: Crew, now: float) -> None:
        """Give the free processes the films that are next."""
        waiting_for = self._report.waiting_for
        if "disk" in waiting_for or ("archive" in waiting_for and now < self._probe_at):
            return
        # one film tries whether the archive takes it; once it is staged, the others follow it
        most = 1 if "archive" in waiting_for and not len(self._gathering) else crew.workers
        while crew.free and len(crew.under_way) < most:
            if self._publish(crew, now, at_once=self._settings.once):
                continue
            if "directory" in waiting_for:
                return
            under_way = [arrival for work in crew.under_way for arrival in work.arrivals]
            arrival = self._backlog.take(now, under_way, after_night=self._arrivals.unread_night)
            if arrival is None:
                return
            if not self._is_lost(arrival.path) and self._arrivals.is_unchanged(arrival, now):
                crew.submit(arrival)

    def _publish(self, crew: Crew, now: float, *, at_once: bool) -> bool:
        """Whether there was an exposure to be published."""
        busy = {arrival.exposure.exposure_id for work in crew.under_way for arrival in work.arrivals}
        films = self._gathering.take(now, busy | self._backlog.exposures, at_once=at_once)
        if films is not None:
            crew.publish(films)
        return films is not None

    def _let_go(self) -> None:
        """Films of exposures that are not complete are done again by the next watch."""
        for film in self._gathering.take_rest():
            if film.staged is not None:
                with suppress(TomoeError):
                    self._archive.let_go(film.staged)

    def _collect(self, crew: Crew, *, stopping: bool) -> None:
        for arrival, film in crew.wait(min(_TICK_S, self._settings.interval_s)):
            now = self._last_film = time.monotonic()
            outcome = film.outcome if film else None
            if film is None or outcome is None:
                if not stopping:  # when the whole process group is told to end, films are given up, not failed
                    self._died(arrival)
            elif film.staged is not None:
                self._gathering.add(arrival, film, now)
            elif outcome.is_held:
                self._held(arrival, outcome, now)
            elif outcome.status == "failed" and self._is_lost(arrival.path):
                continue
            elif outcome.error_kind == "archive":
                self._refused(arrival, outcome, now)
            else:
                self._report.resume("archive")
                self._pause_s = _FIRST_PAUSE_S
                self._ended(arrival, outcome)

    def _held(self, arrival: Arrival, outcome: Outcome, now: float) -> None:
        """Another process has a film."""
        if self._settings.once:
            self._report.film(outcome)
            return
        self._backlog.add_later(arrival, now + _RESERVED_S, elsewhere=True)
        if now - self._reserved.setdefault(arrival.path, now) > _LONG_RESERVED_S:
            self._report.held(outcome)
            self._reserved[arrival.path] = math.inf  # told once

    def _ended(self, arrival: Arrival, outcome: Outcome) -> None:
        self._report.film(outcome, arrival.exposure)
        self._reserved.pop(arrival.path, None)
        if outcome.error_kind == "no-masters":
            self._backlog.park(arrival)
        elif outcome.status == "failed":
            self._arrivals.refuse(arrival)
        elif outcome.status == "done" and outcome.kind != "object":
            self._backlog.master_made(arrival.exposure.detector_id)

    def _refused(self, arrival: Arrival, outcome: Outcome, now: float) -> None:
        """The archive did not take a film: wait for the archive, unless it is this film alone that it refuses."""
        if "archive" not in self._report.waiting_for:
            self._strikes[arrival.path] += 1
        if self._strikes[arrival.path] >= _STRIKES:
            self._ended(arrival, outcome)
            return
        self._report.wait_for("archive", outcome.message)
        if now >= self._probe_at:  # an exposure's films are refused together: that is one try
            self._probe_at = now + self._pause_s
            self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)
        self._backlog.add_later(arrival, self._probe_at + self._pause_s / 2)

    def _died(self, arrival: Arrival) -> None:
        """A process died of a film: once may be chance."""
        self._deaths[arrival.path] += 1
        if self._deaths[arrival.path] == 1:
            self._report.log.write("warning", "died", "its process died; tried again", film=arrival.path)
            self._backlog.add(arrival)
            return
        exposure = arrival.exposure
        error = WorkerDiedError(f"the process that reduced it died twice: memory, or a library ({exposure.where})")
        try:
            if exposure.kind == "object" and (reservation := self._archive.begin(exposure, arrival.path)):
                self._archive.fail(reservation, error)
        except TomoeError as trouble:
            self._report.log.write("warning", "died", f"not recorded: {trouble}", film=arrival.path)
        outcome = Outcome(arrival.path, "failed", exposure.kind, exposure.exposure_id, exposure.detector_id)
        self._ended(arrival, failure(outcome, error))

    def _nothing_left(self, crew: Crew) -> bool:
        if self._report.waiting_for:
            return True
        return not (self._arrivals.n_waiting or len(self._backlog) or crew.under_way or len(self._gathering))

    def _numbers(self, crew: Crew) -> dict[str, Any]:
        now = time.monotonic()
        under_way = [{"film": w.name, "seconds": round(now - w.started, 1)} for w in crew.under_way]
        return {
            "backlog": len(self._backlog) + self._arrivals.n_waiting, "incomplete": len(self._arrivals.incomplete),
            "under_way": under_way, "disk_free_bytes": self._free_bytes,
        }  # fmt: skip
