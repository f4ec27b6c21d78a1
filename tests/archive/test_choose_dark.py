"""Which dark a film gets, and which exposures are called good."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.archive.reductions import make_exposure, make_film, make_master, reduce_film
from tomoe_explore import errors
from tomoe_explore.archive import Archive
from tomoe_explore.archive.masters import agreeing, choose_dark
from tomoe_explore.camera import dark_current

START = 59075.5


def dark(name: str, days: float = -0.05, kelvin: float | None = 290.0, level: float = 10.0) -> dict[str, object]:
    """A registry's record."""
    return {
        "master_id": name, "mjd": START + days, "temperature": kelvin, "level": level, "gain": 0.23,
        "exptime1": 0.499904,
    }  # fmt: skip


def chosen(*darks: dict[str, object], kelvin: float = 290.0) -> str:
    return str(choose_dark(darks, make_exposure(mjd_start=START, temperature_k=kelvin))["master_id"])


def test_the_same_temperature_is_worth_some_days() -> None:
    """290 to 295 K is 1.2 doublings, which is 12 days."""
    assert chosen(dark("near", kelvin=295.0), dark("like", days=-8.0)) == "like"
    assert chosen(dark("near", kelvin=295.0), dark("like", days=-16.0)) == "near"
    assert chosen(dark("before", days=-0.3), dark("after", days=0.2)) == "after"


def test_where_a_temperature_is_unknown_time_decides() -> None:
    assert chosen(dark("cold", kelvin=280.0), dark("later", days=1.0), kelvin=float("nan")) == "cold"
    assert chosen(dark("unknown", kelvin=None), dark("known", kelvin=291.0)) == "known"
    assert chosen(dark("unknown", kelvin=None), dark("hot", kelvin=303.0)) == "unknown"


@pytest.mark.parametrize(
    ("days", "kelvin", "passes"),
    [(59.0, 290.0, True), (61.0, 290.0, False), (0.1, 298.2, True), (0.1, 298.6, False)],
)
def test_a_dark_too_old_or_too_warm_is_refused(days: float, kelvin: float, *, passes: bool) -> None:
    """A factor of four above 290 K is reached at 298.4 K."""
    assert float(dark_current(298.37) / dark_current(290.0)) == pytest.approx(4.0, rel=0.01)
    if passes:
        assert chosen(dark("only", days=-days, kelvin=kelvin)) == "only"
    else:
        with pytest.raises(errors.NoMastersError, match=r"at most 60 days and a factor of 4 are accepted") as caught:
            chosen(dark("only", days=-days, kelvin=kelvin))
        assert "only" in str(caught.value) and f"{days:.1f} days" in str(caught.value)
        assert f"{kelvin:.1f} K, the film 290.0 K" in str(caught.value)


def test_a_dark_that_disagrees_with_those_of_its_night_is_not_chosen() -> None:
    night = [dark(f"d{n}", days=-0.1 * n, level=10.0 + 0.2 * n) for n in range(1, 4)]
    lit = dark("lit", level=30.0)
    assert chosen(lit, *night) == "d1"
    assert [row["master_id"] for row in agreeing([lit, *night])] == ["d1", "d2", "d3"]
    # two cannot vote, and a dark of another night has no say
    assert chosen(lit, dark("d1", days=-0.1)) == "lit"
    assert chosen(lit, *[dark(f"old{n}", days=-30 - 0.1 * n) for n in range(3)]) == "lit"


def test_a_warm_dark_is_no_outlier() -> None:
    night = [dark(f"d{n}", days=-0.1 * n) for n in range(1, 4)]
    warm = dark("warm", kelvin=303.0, level=10.0 + float(dark_current(303.0) - dark_current(290.0)) * 0.5 / 0.23)
    assert float(str(warm["level"])) > 18
    assert chosen(warm, *night, kelvin=303.0) == "warm"


def test_an_archive_with_old_masters_only(archive: Archive) -> None:
    archive.add_master(make_master("dark", mjd_start=START - 61), film_checksum="xxh3:dark")
    with pytest.raises(errors.NoMastersError, match="take darks anew"):
        archive.find_masters(make_exposure(mjd_start=START))
    archive.add_master(make_master("dark", name="new", mjd_start=START - 1), film_checksum="xxh3:new")
    archive.add_master(make_master("flat", mjd_start=START - 400), film_checksum="xxh3:flat")
    assert archive.find_masters(make_exposure(mjd_start=START)).flat is None
    archive.add_master(make_master("flat", name="flat", mjd_start=START - 300), film_checksum="xxh3:flat2")
    assert archive.find_masters(make_exposure(mjd_start=START)).flat is not None


def test_an_exposure_is_called_what_most_of_its_films_are(archive: Archive, tmp_path: Path) -> None:
    def refuse(detector_id: int, error: Exception) -> Path:
        exposure = make_exposure(detector_id=detector_id)
        path = make_film(tmp_path, exposure)
        reservation = archive.begin(exposure, path, force=True)
        assert reservation is not None
        archive.fail(reservation, error)
        return path

    def quality() -> str:
        return str(archive.table("exposures")["quality"][0].as_py())

    first = make_exposure(detector_id=111)
    reduce_film(archive, make_film(tmp_path, first), first)
    assert quality() == "good"
    refuse(112, errors.CloudError("2.9 mag"))
    assert quality() == "good"  # half of them is not most
    path = refuse(113, errors.CloudError("3.1 mag"))
    refuse(114, errors.PointingError("no match"))
    refuse(115, errors.NoMastersError("none"))  # not the sky's fault
    assert quality() == "cloud"
    reduce_film(archive, path, make_exposure(detector_id=113), force=True)  # what came last counts
    assert quality() == "good"
