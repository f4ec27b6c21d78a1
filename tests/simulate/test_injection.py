"""Movers of known signal over noise: as many of each as asked for, apart, inside, the same for the same seed."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from tomoe_explore.errors import ParameterError
from tomoe_explore.simulate import simulate_movers


def test_movers_are_as_asked_for(tmp_path: Path) -> None:
    args = {"snr": [2.0, 5.0], "rates": (1.0, 8.0), "movers": 10, "frames": 3, "progress": False}
    try:
        night = simulate_movers(tmp_path / "a", exposures=2, **args)
        asked = pq.read_table(tmp_path / "a" / "truth" / "injected.parquet").to_pandas()
        truth = night.truth("movers").to_pandas()
        assert sorted(truth["mover_id"]) == sorted(asked["mover_id"]) == list(range(1, 21))  # each in one exposure
        for _, film in asked.groupby("exposure_id"):
            assert Counter(film["snr"]) == {2.0: 5, 5.0: 5}
        assert asked["rate"].between(1, 8).all() and asked["rate"].nunique() == 20
        places = night.truth("mover_positions").to_pandas()
        assert places.groupby("mover_id").size().eq(3).all()  # on the detector in every frame
        for _, film in places.groupby("exposure_id"):
            at, of = film[["x", "y"]].to_numpy(), film["mover_id"].to_numpy()
            apart = np.hypot(*(at[:, None] - at[None]).transpose(2, 0, 1))
            assert apart[of[:, None] != of[None]].min() > 14
        assert night.truth("streaks").num_rows == 0
        # two detectors with one seed: the first one's movers stay, the second's are others
        simulate_movers(tmp_path / "b", exposures=1, detectors=[112, 111], **args | {"frames": 1, "movers": 2})
        both = pq.read_table(tmp_path / "b" / "truth" / "injected.parquet").to_pandas()
        assert both["mover_id"].tolist() == [1, 2, 3, 4] and both["rate"].nunique() == 4
    finally:
        shutil.rmtree(tmp_path, ignore_errors=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"movers": 0}, "got movers=0"),
        ({"snr": []}, r"snr=\(\)"),
        ({"rates": (5.0, 1.0)}, r"rates=\(5.0, 1.0\)"),
        ({"rates": (0.0, 1.0)}, r"0 < rates\[0\]"),
        ({"rates": (900.0, 1000.0)}, "no room for mover 1 of 40 with rates of 900 to 1000 arcsec/s in 18 frames"),
        ({"movers": 20_000, "rates": (90.0, 100.0)}, "take fewer, or slower ones"),
    ],
)
def test_what_makes_no_sense_is_named(tmp_path: Path, options: dict[str, object], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        simulate_movers(tmp_path / "night", progress=False, **options)
    assert not (tmp_path / "night").exists()


def test_an_option_that_simulate_has_not_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="moonlight"):
        simulate_movers(tmp_path / "night", movers=2, moonlight=1.0, progress=False)
