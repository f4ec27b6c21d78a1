"""Movers put into a film, reduced and matched: what is found, what is not, and what does not count."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import tomoe_explore as te
from tomoe_explore.analysis.completeness import Completeness, _matched
from tomoe_explore.archive import Archive
from tomoe_explore.errors import NotFoundError, ParameterError
from tomoe_explore.simulate import Simulation, simulate_movers


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Simulation, Archive, Completeness]]:
    """One film with 24 movers of four signals over noise."""
    folder = tmp_path_factory.mktemp("experiment")
    night = simulate_movers(
        folder / "raw", snr=[0.3, 2.5, 10.0, 20.0], movers=24, frames=12, seeing=3.0, variables=0, progress=False
    )
    archive = Archive.create(folder / "archive")
    run = te.reduce(night.out, archive, night.refcat, progress=False)
    assert not run.failed, run
    yield night, archive, te.mover_completeness(archive, night)
    shutil.rmtree(folder)  # films are large; pytest would keep them


def test_what_is_bright_is_found_and_what_is_nothing_is_not(experiment):
    _, _, found = experiment
    part = found.by("snr").set_index("low")
    assert part.index.tolist() == [0.3, 2.5, 10.0, 20.0]
    assert part.loc[20.0, "part"] == part.loc[10.0, "part"] == 1.0
    assert part.loc[0.3, "found"] == 0 and part.loc[0.3, "part_low"] == pytest.approx(0, abs=1e-9)
    assert part["n"].sum() == found.movers["counted"].sum() >= 20
    assert found.n_false <= 1


def test_a_mover_and_its_candidate_are_the_same_thing(experiment):
    night, archive, found = experiment
    hits = found.movers[found.movers["found"]].set_index("candidate_id")
    rows = archive.table("movers").to_pandas().set_index("mover_id").loc[hits.index]
    truth = night.truth("movers").to_pandas().set_index("mover_id").loc[hits["mover_id"]]
    assert np.hypot(rows["x"].to_numpy() - truth["x"], rows["y"].to_numpy() - truth["y"]).max() < 3
    bright = hits["snr"].to_numpy() >= 10
    assert np.abs(rows["mag"].to_numpy() - truth["mag"].to_numpy())[bright].max() < 0.2
    told = found.candidates.set_index("mover_id")["truth_id"].dropna()
    assert told.loc[hits.index].tolist() == hits["mover_id"].tolist()


def test_a_magnitude_has_the_signal_over_noise_that_is_said(experiment):
    _, archive, found = experiment
    stack = archive.read_stack(archive.search(product="stack")["product_id"].iloc[0])
    movers = found.movers
    said = [float(te.mover_limit(stack, m.snr, m.rate)) for m in movers.itertuples()]
    assert np.abs(movers["mag"] - said).max() < 0.12


def test_truth_is_read_from_its_folder_too_and_other_films_are_left_out(experiment, tmp_path):
    night, archive, found = experiment
    assert repr(te.mover_completeness(archive, night.out)) == repr(found)
    assert repr(found).startswith(f"{int(found.movers.query('counted and found').shape[0])} of ")
    assert "<table" in found._repr_html_()
    with pytest.raises(NotFoundError, match="no truth of a simulation"):
        te.mover_completeness(archive, tmp_path)
    with pytest.raises(NotFoundError, match="has none of the films of"):
        te.mover_completeness(Archive.create(tmp_path / "empty"), night)


def test_movers_that_pass_a_bright_star_or_the_edge_do_not_count(experiment, tmp_path):
    night, archive, found = experiment
    shutil.copytree(night.out / "truth", tmp_path / "truth")
    first, second = found.movers.loc[found.movers["counted"], "mover_id"].iloc[:2]
    places = pd.read_parquet(tmp_path / "truth" / "mover_positions.parquet")
    at = places[places["mover_id"] == first].iloc[5]
    stars = pd.read_parquet(tmp_path / "truth" / "stars.parquet")
    stars.loc[stars.index[0], ["x", "y", "phot_g_mean_mag"]] = at["x"] + 3.0, at["y"], 12.9
    stars.to_parquet(tmp_path / "truth" / "stars.parquet")
    places.drop(places[places["mover_id"] == second].index[-1:]).to_parquet(
        tmp_path / "truth" / "mover_positions.parquet"
    )
    fewer = te.mover_completeness(archive, tmp_path).movers
    assert set(found.movers.query("counted")["mover_id"]) - set(fewer.query("counted")["mover_id"]) == {first, second}


def test_bins_and_their_errors():
    movers = pd.DataFrame(
        {"snr": [2.0] * 50 + [4.0] * 50, "rate": np.linspace(0.5, 10, 100), "counted": True, "mag": 19.0,
         "found": [True, False] * 25 + [True] * 50, "name": "a"}
    )  # fmt: skip
    found = Completeness(movers, pd.DataFrame({"truth_id": []}))
    half, all_ = found.by("snr").itertuples()
    assert (half.n, half.part, all_.part, all_.part_high) == (50, 0.5, 1.0, 1.0)
    assert half.part_high - half.part == pytest.approx(np.sqrt(0.25 / 51), rel=0.01)  # Wilson's, at one half
    table = found.by("rate", [0.5, 5.25, 20.0], snr=(3, 5))
    assert table["n"].tolist() == [50] and table["low"].tolist() == [5.25]
    assert found.by("rate", [50, 60]).empty
    for column in ("colour", "name"):
        with pytest.raises(ParameterError, match=f"such as snr, mag or rate; got '{column}'"):
            found.by(column)


MOVER = {"mjd": 59075.5, "ra": 0.0005, "dec": 60.0, "rate": 4.0, "position_angle": 90.0}


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({}, True),
        ({"ra": 359.9995}, True),  # 1.8 arcsec away, across 0 h
        ({"ra": 0.0005 + 7 / 1800}, False),  # 7 arcsec
        ({"mjd": 59075.5 + 3 / 86_400, "ra": 0.0005 + 12 / 1800}, True),  # three seconds later, 12 arcsec on
        ({"rate": 5.1}, True),
        ({"rate": 5.4}, False),
        ({"position_angle": 115.0}, False),
    ],
)
def test_what_a_match_is(change, same):
    """Star images of 3 arcsec; ``rate`` differs by 1 px/s at most, which is more than a fifth of 4 arcsec/s."""
    truth, candidate = _matched(pd.DataFrame([MOVER | change]), pd.DataFrame([MOVER]), 3.0)
    assert truth.tolist() == candidate.tolist() == [0 if same else -1]


def test_a_mover_is_found_once_and_a_repeat_is_not_false():
    candidates = pd.DataFrame([MOVER, MOVER | {"rate": 4.1}, MOVER | {"dec": 61.0}])
    truth, candidate = _matched(candidates, pd.DataFrame([MOVER | {"dec": -60.0}, MOVER]), 3.0)
    assert (truth.tolist(), candidate.tolist()) == ([1, 1, -1], [-1, 0])


def test_movers_asked_for_are_kept_with_the_truth(experiment):
    night, _, found = experiment
    asked = pq.read_table(night.out / "truth" / "injected.parquet").to_pandas().set_index("mover_id")
    assert asked.loc[found.movers["mover_id"], "snr"].tolist() == found.movers["snr"].tolist()
