from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from tomoe_explore import refcat, schema
from tomoe_explore.errors import NotFoundError, ParameterError
from tomoe_explore.simulate import simulate
from tomoe_explore.simulate.plan import schedule


@pytest.fixture
def out(tmp_path: Path):
    yield tmp_path / "night"
    shutil.rmtree(tmp_path / "night", ignore_errors=True)  # films are large; pytest would keep them


def test_truth_has_its_schema(small_night) -> None:
    for name, table in schema.TRUTH.items():
        truth = small_night.simulation.truth(name)
        assert truth.schema.equals(table.arrow, check_metadata=True), name
        assert truth.num_rows > 0, name
    with pytest.raises(NotFoundError, match="there are stars, frames"):
        small_night.simulation.truth("galaxies")


def test_truth_is_on_the_detector_and_joined_to_the_catalog(small_night) -> None:
    stars = small_night.simulation.truth("stars").to_pandas()
    assert stars.x.between(-0.5, 1999.5).all()
    assert stars.y.between(-0.5, 1127.5).all()
    catalog = refcat.read_refcat(small_night.simulation.refcat)
    assert catalog.name == "simulated-2020-08-14-3"
    ref_id = small_night.simulation.truth("stars")["ref_id"].drop_null().to_pylist()
    assert set(ref_id) <= set(catalog.source_id.tolist())
    assert 0.97 < len(ref_id) / (stars.phot_g_mean_mag <= 18.5).sum() < 1.0
    assert stars.phot_g_mean_mag.max() > 19.9
    frames = small_night.simulation.truth("frames").to_pandas()
    assert frames.dx[1:].mean() == pytest.approx(0, abs=1e-6)
    assert frames.transparency[1:].mean() == pytest.approx(1, abs=1e-6)
    assert frames.fwhm.between(2.3, 5.0).all()


def test_first_detector_is_centred_on_the_table(small_night) -> None:
    stars = small_night.simulation.truth("stars")
    assert np.median(stars["ra"].to_numpy()) == pytest.approx(313.6, abs=0.1)
    assert np.median(stars["dec"].to_numpy()) == pytest.approx(-12.05, abs=0.1)


def test_summary_says_what_was_made(small_night) -> None:
    text = repr(small_night.simulation)
    assert "1 films, 1 darks and 1 flats" in text
    assert "RA 314.8" in text


def test_same_seed_same_bytes_whatever_else_is_made(out: Path) -> None:
    args = {"exposures": 1, "frames": 1, "progress": False}
    one = simulate(out / "one", detectors=[112], seed=5, **args)
    both = simulate(out / "both", detectors=[111, 112], seed=5, **args)
    other = simulate(out / "other", detectors=[112], seed=6, **args)
    for kind in ("films", "darks", "flats"):
        assert getattr(one, kind)[0].read_bytes() == getattr(both, kind)[1].read_bytes()
        assert getattr(one, kind)[0].read_bytes() != getattr(other, kind)[0].read_bytes()
    assert not list(out.rglob("*.part"))


def test_same_bytes_and_truth_from_two_processes(out: Path) -> None:
    args = {"detectors": [112], "exposures": 1, "frames": 1, "seed": 5, "glints": 2, "progress": False}
    one, two = (simulate(out / str(n), workers=n, **args) for n in (1, 2))
    for kind in ("films", "darks", "flats"):
        for a, b in zip(getattr(one, kind), getattr(two, kind), strict=True):
            assert a.read_bytes() == b.read_bytes()
    for name in schema.TRUTH:
        assert one.truth(name).equals(two.truth(name))
    assert (one.out / "truth" / "hidden.json").read_text() == (two.out / "truth" / "hidden.json").read_text()


def test_flares_and_empty_tables(out: Path) -> None:
    made = simulate(
        out, detectors=[233], exposures=1, frames=2, flares=2, variables=0, eclipses=1, movers=0, streaks=0,
        progress=False,
    )  # fmt: skip
    kinds = made.truth("variables")["kind"].to_pylist()
    assert kinds == ["flare", "flare", "eclipse"]
    assert made.truth("movers").num_rows == 0
    assert made.truth("streaks").num_rows == 0


def test_exposures_do_not_overlap_and_calibrations_come_first() -> None:
    plan = list(schedule(1, "2020-08-14", 4, 18, (312.0, -12.0)))
    assert [p.kind for p in plan] == ["dark", "flat", "object", "object", "object", "object"]
    starts = np.array([p.start_us for p in plan]) / 1e6
    lengths = np.array([p.n_frames * p.frame_interval_s for p in plan])
    gaps = np.diff(starts) - lengths[:-1]
    assert (gaps > 0.3).all()
    assert (gaps[2:] < 1.0).all()
    assert [p.exposure_id for p in plan] == list(range(357752, 357758))
    assert {p.exposure_id for p in schedule(1, "2020-08-15", 4, 18, (312.0, -12.0))}.isdisjoint(
        p.exposure_id for p in plan
    )


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"night": "14 August"}, "YYYY-MM-DD"),
        ({"detectors": [999]}, "no detector 999"),
        ({"detectors": []}, "at least one"),
        ({"detectors": [111, 111]}, "each once"),
        ({"frames": 0}, "frames must be at least 1"),
        ({"movers": -1}, "movers must be at least 0"),
        ({"center": (10.0, 95.0)}, "center must be"),
        ({"glints": -1}, "glints must be at least 0"),
        ({"workers": 0}, "workers must be at least 1"),
        ({"seeing": 0.2}, "seeing must be 1 to 20"),
        ({"moon": 2.0}, "moon must be 0 to 1"),
        ({"cloud": -1.0}, "cloud must be 0 to 10"),
        ({"gain": "huge"}, "gain must be one of high, mid, low"),
        ({"mistake": "sleep"}, "mistake must be one of dome, twilight"),
    ],
)
def test_wrong_parameters_are_named(tmp_path: Path, wrong: dict, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        simulate(tmp_path / "none", progress=False, **wrong)
    assert not (tmp_path / "none").exists()
