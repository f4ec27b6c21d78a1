"""When is an exposure complete? When none of its films is left, and a newer one has come or it has been quiet."""

from __future__ import annotations

from tests.archive.reductions import make_exposure
from tomoe_explore.operations.run import Outcome, Worked
from tomoe_explore.operations.watch.arrivals import Arrival
from tomoe_explore.operations.watch.gathering import Gathering


def arrival(exposure_id: int, detector_id: int = 112, **changed: object) -> Arrival:
    return Arrival(f"{exposure_id}-{detector_id}.fits", 1, 1, make_exposure(exposure_id, detector_id, **changed))


def staged(gathering: Gathering, now: float, *films: Arrival) -> None:
    for film in films:
        gathering.arrived(film, now)
        gathering.add(film, Worked(Outcome(film.path, "done")), now)


def test_a_newer_exposure_completes_an_older_one() -> None:
    gathering = Gathering(quiet_s=10.0)
    first, second = arrival(357754, 111), arrival(357754, 112)
    staged(gathering, 0.0, first, second)
    assert gathering.take(1.0, busy=()) is None
    gathering.arrived(arrival(357755), 2.0)
    assert gathering.take(2.0, busy={357754}) is None  # another film of it is being worked on
    assert list(gathering.take(2.0, busy=()) or ()) == [first, second]
    assert gathering.take(2.0, busy=()) is None
    assert len(gathering) == 0


def test_quiet_completes_the_newest() -> None:
    gathering = Gathering(quiet_s=10.0)
    staged(gathering, 0.0, arrival(357754, 111))
    staged(gathering, 6.0, arrival(357754, 112))
    assert gathering.take(15.9, busy=()) is None
    assert len(gathering.take(16.0, busy=()) or ()) == 2


def test_calibrations_and_older_nights_complete_nothing() -> None:
    gathering = Gathering(quiet_s=10.0)
    staged(gathering, 0.0, arrival(357754))
    gathering.arrived(arrival(357900, kind="flat"), 1.0)
    gathering.arrived(arrival(400000, night="2020-08-13"), 1.0)
    assert gathering.take(1.0, busy=()) is None
    assert gathering.take(1.0, busy=(), at_once=True) is not None


def test_what_is_left_at_the_end() -> None:
    gathering = Gathering(quiet_s=10.0)
    staged(gathering, 0.0, arrival(357754), arrival(357755))
    assert len(gathering) == 2
    assert [film.outcome.film for film in gathering.take_rest()] == ["357754-112.fits", "357755-112.fits"]
    assert len(gathering) == 0
