"""The order of films: newest night and exposure first, calibrations before the films that need them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.archive.reductions import make_exposure
from tomoe_explore.data import Kind
from tomoe_explore.operations.watch.arrivals import Arrival
from tomoe_explore.operations.watch.backlog import Backlog


def film(exposure_id: int, detector_id: int = 111, kind: Kind = "object", night: str = "2020-08-14") -> Arrival:
    from dataclasses import replace

    exposure = replace(make_exposure(exposure_id), detector_id=detector_id, kind=kind, night=night)
    return Arrival(f"{kind}-{exposure_id}-{detector_id}", 1, 1, exposure)


def taken(backlog: Backlog, now: float = 0.0) -> list[str]:
    found = []
    while (arrival := backlog.take(now, [])) is not None:
        found.append(arrival.path)
    return found


def test_a_backlog_does_not_delay_tonight() -> None:
    backlog = Backlog()
    for arrival in (film(5), film(4, kind="dark"), film(3, night="2020-08-13"), film(9), film(8, kind="flat")):
        backlog.add(arrival)
    assert backlog.take(0.0, []) == film(4, kind="dark")
    backlog.add(film(10))
    assert taken(backlog) == ["flat-8-111", "object-10-111", "object-9-111", "object-5-111", "object-3-111"]
    assert len(backlog) == 0


def test_films_wait_for_the_calibrations_of_their_detector_and_night() -> None:
    backlog, dark = Backlog(), film(1, kind="dark")
    for arrival in (film(2, kind="flat"), film(3), film(3, 112), film(1, night="2020-08-13")):
        backlog.add(arrival)
    order = []
    while (arrival := backlog.take(0.0, [dark])) is not None:
        order.append(arrival.path)
    assert order == ["object-3-112", "object-1-111"]
    assert taken(backlog) == ["flat-2-111", "object-3-111"]


def test_films_wait_for_a_calibration_that_is_tried_again() -> None:
    backlog = Backlog()
    backlog.add_later(film(1, kind="flat"), 10.0)
    backlog.add(film(2))
    assert taken(backlog) == []
    assert len(taken(backlog, 10.0)) == 2


def test_later_parked_and_nights_that_are_not_all_read() -> None:
    backlog = Backlog()
    backlog.add_later(film(1), 10.0)
    backlog.park(film(2, 112))
    assert (len(backlog), taken(backlog, 9.9), taken(backlog, 10.0)) == (1, [], ["object-1-111"])
    backlog.master_made(111)
    assert taken(backlog) == []
    backlog.master_made(112)
    assert backlog.take(0.0, [], after_night="2020-08-14") is None
    assert taken(backlog) == ["object-2-112"]


def test_an_exposure_does_not_wait_for_a_film_that_another_process_has() -> None:
    backlog = Backlog()
    backlog.add_later(film(1), 10.0)
    backlog.add_later(film(2), 10.0, elsewhere=True)
    assert (backlog.exposures, len(backlog)) == ({1}, 2)
    assert taken(backlog, 10.0) == ["object-2-111", "object-1-111"]


films = st.builds(
    film, st.integers(1, 50), st.sampled_from([111, 112]), st.sampled_from(["dark", "flat", "object"]),
    st.sampled_from(["2020-08-13", "2020-08-14"]),
)  # fmt: skip


@given(st.lists(films, max_size=30))
def test_everything_is_taken_once_in_order(given: list[Arrival]) -> None:
    backlog = Backlog()
    for arrival in given:
        backlog.add(arrival)
    order = []
    while (arrival := backlog.take(0.0, [])) is not None:
        order.append(arrival)
    assert sorted(a.path for a in order) == sorted(a.path for a in given)
    ranks = {"dark": 2, "flat": 1, "object": 0}
    keys = [(a.exposure.night, ranks[a.exposure.kind], a.exposure.exposure_id) for a in order]
    assert keys == sorted(keys, reverse=True)
