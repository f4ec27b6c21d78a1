"""Movers of a table: they are where, and as bright, as the table says."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.ndimage import gaussian_filter

from tomoe_explore.errors import NotFoundError, ParameterError
from tomoe_explore.simulate import simulate
from tomoe_explore.simulate.exposure import FilmSetup
from tomoe_explore.simulate.film import draw_trail
from tomoe_explore.simulate.motion import Motion
from tomoe_explore.simulate.movers import Mover, read_movers
from tomoe_explore.simulate.place import place_movers
from tomoe_explore.simulate.trail_snr import trail_snr
from tomoe_explore.simulate.truth import TruthTables

WHERE = {"ra": [310.0], "dec": [-12.0], "mjd": [59075.6], "rate": [2.0], "position_angle": [90.0]}


def _mover(film: FilmSetup, rate: float, angle: float, **bright: float) -> Mover:
    ra, dec = film.projection.to_sky(900.0, 700.0)
    return replace(Mover(1, float(ra), float(dec), film.setup.mjd_start, rate, angle, np.nan), **bright)


def _moffat_trail(fwhm: float, beta: float, length: float, angle: float, shape: tuple[int, int]) -> np.ndarray:
    """A trail summed up on a grid of a fifth of a pixel, of sum 1: no code of the simulator."""
    ny, nx = (5 * n for n in shape)
    y, x = np.mgrid[:ny, :nx]
    x, y = x - (nx - 1) / 2, y - (ny - 1) / 2
    alpha = 5 * fwhm / (2 * np.sqrt(2 ** (1 / beta) - 1))
    image = np.zeros((ny, nx))
    for along in 5 * length * (np.arange(101) / 100 - 0.5):
        r2 = (x - along * np.cos(angle)) ** 2 + (y - along * np.sin(angle)) ** 2
        image += (1 + r2 / alpha**2) ** -beta
    image = image.reshape(shape[0], 5, shape[1], 5).sum(axis=(1, 3))
    return image / image.sum()


@pytest.mark.parametrize(("rate", "angle"), [(0.5, 30.0), (10.0, 30.0), (60.0, 90.0)])
def test_signal_over_noise_is_that_of_a_filter_on_noisy_images(quiet_film, rate: float, angle: float) -> None:
    """A matched filter on 4000 noisy brute-force images: its mean over its scatter."""
    film = quiet_film
    (trail, *_) = place_movers(film, [_mover(film, rate, angle, mag=17.5)], TruthTables())
    (row, *_) = _truth(film, _mover(film, rate, angle, mag=17.5))
    found = trail_snr(film, trail, (row["x"], row["y"]))
    vx, vy = trail.track[2:]
    seconds = 0.499904 / (1 - vy * 0.00041475)  # a row sees what keeps pace with it for longer
    shape = _moffat_trail(3.0, 3.5, np.hypot(vx, vy) * seconds, np.arctan2(vy, vx), (41, 91))
    electrons = float(film.electrons_per_s(17.5)) * seconds
    noise = np.random.default_rng(1).normal(0.0, film.noise_electrons, (4000, *shape.shape))
    filtered = ((electrons * shape + noise) * shape).sum(axis=(1, 2))
    assert found == pytest.approx(filtered.mean() / filtered.std(), rel=0.04)
    assert found == pytest.approx(electrons * np.sqrt((shape**2).sum()) / film.noise_electrons, rel=0.015)


def _truth(film: FilmSetup, mover: Mover) -> list[dict[str, float]]:
    truth = TruthTables()
    place_movers(film, [mover], truth)
    return truth.table("mover_positions").to_pylist()


def test_signal_over_noise_is_that_of_the_whole_frame(quiet_film) -> None:
    """With shaking, near an edge, row by row: the stamp loses nothing."""
    seconds = np.arange(4000) * 0.002 - 1.0
    shaken = Motion(np.array([np.sin(20 * seconds), 0.5 * np.cos(9 * seconds)]), (0.02, 0.03), 1.0)
    film = replace(quiet_film, air=replace(quiet_film.air, motion=shaken))
    mover = _mover(film, 10.0, 140.0, mag=16.0)
    for trail, row in zip(place_movers(film, [mover], TruthTables()), _truth(film, mover), strict=True):
        image = np.zeros((1128, 2000), np.float32)
        draw_trail(image, trail, 0.499904, 3.5, film.air.motion, trail.frame * 0.5)
        whole = float(np.sqrt((image.astype(float) ** 2).sum())) / film.noise_electrons
        assert trail_snr(film, trail, (row["x"], row["y"])) == pytest.approx(whole, rel=0.003)


@pytest.mark.parametrize("snr", [1.25, 8.0])
def test_a_mover_gets_the_signal_over_noise_that_is_wanted(quiet_film, snr: float) -> None:
    """Whatever the frames' transparency: the rms over frames is the one asked for, and the truth has the magnitude."""
    film = replace(quiet_film, air=replace(quiet_film.air, gray=np.array([1.0, 0.8, 0.9, 1.0]), scintillation=0.01))
    mover = _mover(film, 4.0, 200.0, snr=snr)
    rows = _truth(film, mover)
    trails = place_movers(film, [mover], TruthTables())
    found = [trail_snr(film, t, (r["x"], r["y"])) for t, r in zip(trails, rows, strict=True)]
    assert np.sqrt(np.mean(np.square(found))) == pytest.approx(snr, rel=1e-3)
    same = place_movers(film, [replace(mover, snr=None, mag=rows[0]["mag"])], TruthTables())
    assert [t.electrons_per_s for t in same] == pytest.approx([t.electrons_per_s for t in trails], rel=1e-5)


def test_a_mover_of_another_exposure_is_not_there(quiet_film) -> None:
    assert len(_truth(quiet_film, replace(_mover(quiet_film, 2.0, 0.0, mag=16.0), exposure_id=357754))) == 4
    assert _truth(quiet_film, replace(_mover(quiet_film, 2.0, 0.0, mag=16.0), exposure_id=357755)) == []


def test_tables_are_read_from_everywhere(tmp_path: Path) -> None:
    table = pa.table(WHERE | {"snr": [4.0], "mover_id": [7], "exposure_id": [357754]})
    pq.write_table(table, tmp_path / "movers.parquet")
    (one,) = read_movers(table)
    assert (one.mover_id, one.snr, one.exposure_id, one.rate) == (7, 4.0, 357754, 2.0)
    for same in (table.to_pandas(), tmp_path / "movers.parquet", str(tmp_path / "movers.parquet")):
        assert repr(read_movers(same)) == repr([one])
    twice = pd.DataFrame({k: v * 2 for k, v in WHERE.items()} | {"mag": 16.0, "exposure_id": [357754, None]})
    assert [(m.mover_id, m.exposure_id) for m in read_movers(twice)] == [(1, 357754), (2, None)]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (WHERE, "needs ra, dec, mjd, rate, position_angle, and either mag or snr; it has ra, dec"),
        (WHERE | {"mag": [16.0], "snr": [4.0]}, "either mag or snr"),
        ({"ra": [1.0], "mag": [16.0]}, "it has ra, mag"),
        (WHERE | {"mag": [np.nan]}, "mover 1 of mover_table has mag nan"),
        (WHERE | {"snr": [0.0], "rate": [-1.0]}, r"rate -1 \(0 or more\), snr 0 \(more than 0\)"),
        (WHERE | {"mag": [16.0], "dec": [-91.0]}, r"dec -91 \(-90 to 90\)"),
        ({k: v * 2 for k, v in WHERE.items()} | {"mag": [16.0, 17.0], "mover_id": [3, 3]}, "2 rows, 1 numbers"),
    ],
)
def test_what_makes_no_sense_is_named(columns: dict[str, list[float]], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        read_movers(pa.table(columns))


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"no table of movers at .*none\.parquet"):
        simulate(tmp_path / "night", mover_table=tmp_path / "none.parquet", progress=False)
    assert not (tmp_path / "night").exists()


def test_simulate_puts_in_the_movers_of_a_table_instead_of_drawn_ones(tmp_path: Path) -> None:
    """On the film itself, against the same film without: the light is the magnitude's, and nothing else differs."""
    args = {"detectors": [112], "exposures": 1, "frames": 2, "streaks": 0, "seeing": 3.0, "progress": False}
    try:
        drawn = simulate(tmp_path / "drawn", **args)
        without = simulate(tmp_path / "without", movers=0, **args)
        (row,) = drawn.truth("movers").filter(drawn.truth("movers")["mover_id"].to_numpy() == 112001).to_pylist()
        table = pa.Table.from_pylist([{k: row[k] for k in (*WHERE, "mag")} | {"mover_id": 112001}])
        given = simulate(tmp_path / "given", mover_table=table, **args)
        assert given.films[0].read_bytes() == drawn.films[0].read_bytes()
        assert given.films[0].read_bytes() != without.films[0].read_bytes()
        table = table.drop(["mag"]).append_column("snr", [[30.0]])
        bright = simulate(tmp_path / "bright", mover_table=table, **args)
        place = bright.truth("mover_positions").to_pylist()[1]
        light = (_frame(bright.films[0]) - _frame(without.films[0]))[1]
        x, y = round(place["x"]), round(place["y"])
        cut = gaussian_filter(light, 1.2)[y - 9 : y + 10, x - 9 : x + 10]
        assert np.hypot(*(np.array(np.unravel_index(cut.argmax(), cut.shape)) - 9)) < 1.5
        assert np.abs(light[:500]).max() == 0 if y > 600 else np.abs(light[-300:]).max() == 0
    finally:
        shutil.rmtree(tmp_path, ignore_errors=True)  # films are large; pytest would keep them


def _frame(path: Path) -> np.ndarray:
    from astropy.io import fits

    return fits.getdata(path)[:, :1128, :2000].astype(np.float32)
