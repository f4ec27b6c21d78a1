"""How far a job is: films, rate against real time, time left."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from tomoe_explore.archive.jobs import JobRecord
from tomoe_explore.archive.reserve import now
from tomoe_explore.camera import SURVEY_FILM_S


@dataclass(frozen=True, repr=False)
class Progress:
    """How far a job is.

    Attributes
    ----------
    total, done, failed, skipped : int
        Films; ``total`` is 0 until they are counted.
    step : str
        What it is at.
    film : str
        The film that ended last.
    rate : float
        Films a second of late; 0 if not known.

    Examples
    --------
    >>> Progress(8, 3, 1, 0, "films of the sky", "a.fits", 0.5)
    4 of 8 films (1 failed), films of the sky, 0.50 films/s: real time for 4.5 detectors, about 8 s left
    """

    total: int
    done: int
    failed: int
    skipped: int
    step: str
    film: str
    rate: float

    @property
    def ended(self) -> int:
        """Films that are through, one way or another."""
        return self.done + self.failed + self.skipped

    @property
    def detectors(self) -> float:
        """Detectors that the rate keeps up with: the camera takes a film of each in 9 s."""
        return self.rate * SURVEY_FILM_S

    @property
    def seconds_left(self) -> float | None:
        """Time left at this rate; None if it is not known."""
        return (self.total - self.ended) / self.rate if self.rate and self.total else None

    def __repr__(self) -> str:
        parts = [f"{self.ended} of {self.total} films" if self.total else "films not counted yet"]
        odd = [f"{n} {word}" for n, word in ((self.failed, "failed"), (self.skipped, "done before")) if n]
        parts[0] += f" ({', '.join(odd)})" if odd else ""
        parts += [self.step] if self.step else []
        if self.rate:
            parts.append(f"{self.rate:.2f} films/s: real time for {self.detectors:.1f} detectors")
        if self.seconds_left:
            parts.append(f"about {duration(self.seconds_left)} left")
        return ", ".join(parts)


def duration(seconds: float) -> str:
    """A time for people.

    Examples
    --------
    >>> duration(8.2), duration(150), duration(9000)
    ('8 s', '2.5 min', '2.5 h')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def progress_of(record: JobRecord) -> Progress:
    """How far a job is that the registry tells of; one that does not run has no step and no rate."""
    step, rate = (record.step, record.rate) if record.state == "running" else ("", 0.0)
    return Progress(record.total, record.done, record.failed, record.skipped, step, record.film, rate)


def told(record: JobRecord) -> str:
    """What is to be said beside its state; empty if nothing is."""
    if record.state == "running" and record.cancel:
        return "ends after the films under way"
    took = f"in {duration(elapsed_s(record))}" if record.state == "done" else ""
    return f"{took} {record.message}".strip()


def elapsed_s(record: JobRecord) -> float:
    """Wall time since the job was started last, s."""
    if record.started is None:
        return 0.0
    end = datetime.fromisoformat(record.finished or now())
    return max((end - datetime.fromisoformat(record.started)).total_seconds(), 0.0)
