"""What came of a run: one outcome a film."""

from __future__ import annotations

import traceback
from dataclasses import asdict, dataclass, replace
from html import escape
from typing import TYPE_CHECKING, Any, Literal

from tomoe_explore.errors import ReservedError, TomoeError

if TYPE_CHECKING:
    import pandas as pd

    from tomoe_explore.archive.stage import Staged

Status = Literal["done", "skipped", "failed"]
_SHOWN = 20  # failures listed one by one
_WORDS = {"held": "held by another process"}


@dataclass(frozen=True)
class Outcome:
    """What came of one film.

    Attributes
    ----------
    film : str
        Path of the film.
    status : str
        ``done``, ``skipped`` (the archive has it, or, if `is_held`, another process is at it) or ``failed``.
    kind : str
        ``object``, ``dark`` or ``flat``; empty where the header cannot be read.
    exposure_id, detector_id : int or None
    reduction_id : int or None
        Of the run of the recipe.
    master_id : str or None
        Of the master made from a dark or flat.
    error_kind, message : str
        Why it failed or was skipped.
    traceback : str
        Where it failed, if the error is none that this package knows.
    seconds : float
        Wall time.
    """

    film: str
    status: Status
    kind: str = ""
    exposure_id: int | None = None
    detector_id: int | None = None
    reduction_id: int | None = None
    master_id: str | None = None
    error_kind: str = ""
    message: str = ""
    traceback: str = ""
    seconds: float = 0.0

    @property
    def is_held(self) -> bool:
        """Whether it was left to another process that has it under way."""
        return self.error_kind == ReservedError.kind


@dataclass(frozen=True)
class Worked:
    """What came of work on a film; ``staged`` if its exposure must be published still."""

    outcome: Outcome
    staged: Staged | None = None


def failure(outcome: Outcome, error: BaseException) -> Outcome:
    """The outcome of a film whose error is known, or, with its traceback, unexpected."""
    if isinstance(error, TomoeError):
        return replace(outcome, status="failed", error_kind=error.kind, message=str(error))
    trace = "".join(traceback.format_exception(error))
    return replace(
        outcome, status="failed", error_kind=type(error).__name__, message=f"unexpected: {error}", traceback=trace
    )


@dataclass(frozen=True, repr=False)
class Run:
    """What came of all films of a run; printing it says how many are done, and names each failure.

    Attributes
    ----------
    outcomes : tuple of Outcome
        One a film: unreadable ones, those that the archive had, darks, flats, then films of the sky.
    seconds : float
        Wall time of the whole.

    Examples
    --------
    >>> Run((Outcome("a.fits", "done"), Outcome("b.fits", "failed", error_kind="truncated", message="too short")), 2.0)
    2 films in 2.0 s: 1 done, 1 failed
      failed  b.fits: truncated: too short
    """

    outcomes: tuple[Outcome, ...]
    seconds: float = 0.0

    @property
    def done(self) -> tuple[Outcome, ...]:
        """Outcomes of the films that were worked on with success."""
        return self._with("done")

    @property
    def skipped(self) -> tuple[Outcome, ...]:
        """Outcomes of the films that needed no work."""
        return tuple(outcome for outcome in self._with("skipped") if not outcome.is_held)

    @property
    def held(self) -> tuple[Outcome, ...]:
        """Outcomes of the films that another process has under way: they are not in the archive yet."""
        return tuple(outcome for outcome in self._with("skipped") if outcome.is_held)

    @property
    def failed(self) -> tuple[Outcome, ...]:
        """Outcomes of the films that failed."""
        return self._with("failed")

    def _with(self, status: Status) -> tuple[Outcome, ...]:
        return tuple(outcome for outcome in self.outcomes if outcome.status == status)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON can hold them."""
        return {
            **self._counts(), "seconds": round(self.seconds, 3),
            "films": [asdict(outcome) for outcome in self.outcomes],
        }  # fmt: skip

    def to_pandas(self) -> pd.DataFrame:
        """One row a film."""
        import pandas as pd

        table = pd.DataFrame([asdict(o) for o in self.outcomes], columns=list(Outcome.__dataclass_fields__))
        return table.astype(dict.fromkeys(("exposure_id", "detector_id", "reduction_id"), "Int64"))

    def _counts(self) -> dict[str, int]:
        return {name: len(getattr(self, name)) for name in ("done", "skipped", "held", "failed")}

    def _headline(self) -> str:
        counts = [f"{n} {_WORDS.get(name, name)}" for name, n in self._counts().items() if n]
        states = ", ".join(counts) or "nothing to do"
        n = len(self.outcomes)
        return f"{n} film{'s' * (n != 1)} in {self.seconds:.1f} s: {states}"

    def __repr__(self) -> str:
        lines = [self._headline()]
        for name in ("held", "failed"):
            named = getattr(self, name)
            lines += [f"  {name:6s}  {o.film}: {o.error_kind}: {o.message}" for o in named[:_SHOWN]]
            if len(named) > _SHOWN:
                lines.append(f"  and {len(named) - _SHOWN} more; see .{name}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{escape(o.film)}</td><td>{escape(o.error_kind)}</td><td>{escape(o.message)}</td></tr>"
            for o in self.failed[:_SHOWN]
        )
        head = "<tr><th>failed</th><th>kind</th><th>why</th></tr>" if rows else ""
        return f"<table class='tomoe-run'><caption>{escape(self._headline())}</caption>{head}{rows}</table>"
