"""One night from raw films to scores: made, reduced, scored, timed if asked, deleted. Nights are independent."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from parts.costs import Calibrated, Speed, reduced, speed
from parts.film_score import FilmScore, score_film
from parts.films import FilmTruth, Night, film_truth, films
from tomoe_explore import raw
from tomoe_explore.archive import Archive
from tomoe_explore.data import Reduction
from tomoe_explore.errors import TomoeError
from tomoe_explore.operations.reduce import reduce
from tomoe_explore.refcat import read_refcat
from tomoe_explore.simulate import Simulation


@dataclass(frozen=True)
class Bytes:
    """What one film takes: its products over the raw film, and a row of its photometry in bytes."""

    field: str
    over_raw: float
    a_row: float


@dataclass(frozen=True)
class Rate:
    """How fast films were simulated by two processes: all of a night's, dark and flat too, in wall seconds."""

    field: str
    films: int
    seconds: float

    @property
    def a_minute(self) -> float:
        """Films a minute."""
        return 60 * self.films / self.seconds


@dataclass(frozen=True)
class Results:
    """What nights gave; sums of nights by ``+``.

    Attributes
    ----------
    scores, cloudy : list of FilmScore
        Of the films of clear and of cloudy nights.
    sizes : list of Bytes
        Of the films of clear nights.
    speeds, rates : list
        Of the nights that were timed.
    """

    scores: list[FilmScore] = field(default_factory=list)
    cloudy: list[FilmScore] = field(default_factory=list)
    sizes: list[Bytes] = field(default_factory=list)
    speeds: list[Speed] = field(default_factory=list)
    rates: list[Rate] = field(default_factory=list)

    def __add__(self, other: Results) -> Results:
        return Results(*(getattr(self, n) + getattr(other, n) for n in self.__dataclass_fields__))


def work_on(night: Night, scratch: Path, rounds: int = 0) -> Results:
    """Make the films of a night, score all, time some if the night is one to be timed, delete them.

    A night that is timed is made by two processes; it must be alone on the machine.
    """
    with films(night, scratch, workers=2 if night.timed else 1) as made:
        archive = Archive.create(made.out.parent / "archive")
        reduce(made.out, archive, made.refcat, progress=False)
        masters = archive.find_masters(raw.read_exposure(made.films[0]))
        calibrated = Calibrated(made, masters, read_refcat(made.refcat))
        scores, solved = [], []
        first: tuple[Reduction, FilmTruth] | None = None
        for path in made.films:
            score, done = _score(path, night, calibrated)
            scores.append(score)
            if done is not None:
                solved.append(path)
                first = first or done
        if night.cloud > 0:
            return Results(cloudy=scores)
        speeds, rates = [], []
        if night.timed:
            rates = [Rate(night.field, len(made.films + made.darks + made.flats), made.seconds)]
        if night.timed and first:
            speeds = [speed(night, solved, calibrated, first, rounds)]
        return Results(scores, [], _bytes(night.field, archive, made), speeds, rates)


def _score(path: Path, night: Night, c: Calibrated) -> tuple[FilmScore, tuple[Reduction, FilmTruth] | None]:
    """The score of a film, and its reduction and truth if there is a reduction."""
    film = raw.open_film(path, checksum="")
    truth = film_truth(c.night, film.exposure.exposure_id)
    where = f"{night.name}, {film.exposure.where}"
    try:
        reduction = reduced(film, c)
    except Exception as error:  # an unexpected one is a film lost too, not the end of an hour's work
        kind = error.kind if isinstance(error, TomoeError) else f"unexpected {type(error).__name__}"
        return FilmScore(night.field, where, f"{kind}: {error}", night.seeing), None
    return score_film(reduction, truth, night, where), (reduction, truth)


def _bytes(field: str, archive: Archive, night: Simulation) -> list[Bytes]:
    """Bytes of each film in the archive, tables and stack, and of its photometry."""
    products = archive.search()
    raw_bytes = {raw.read_exposure(p).exposure_id: p.stat().st_size for p in night.films}
    made = []
    for exposure_id, rows in products[~products["product"].isin(["film", "dark", "flat"])].groupby("exposure_id"):
        photometry = rows[rows["product"] == "photometry"]
        a_row = float(photometry["bytes"].sum() / photometry["n_rows"].sum())
        made.append(Bytes(field, float(rows["bytes"].sum() / raw_bytes[int(exposure_id)]), a_row))
    return made
