"""Each mistake, and each condition, shows in the films as it says."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits

from tomoe_explore.simulate import MISTAKES, Simulation, simulate


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Callable[..., Simulation]]:
    def make(**options: Any) -> Simulation:
        still = {"movers": 0, "streaks": 0, "variables": 0}
        return simulate(
            tmp_path / "night", detectors=[112], exposures=1, frames=2, seed=9, progress=False, **(still | options)
        )

    yield make
    shutil.rmtree(tmp_path / "night", ignore_errors=True)  # films are large; pytest would keep them


def _last_frame(night: Simulation) -> np.ndarray:
    return fits.getdata(night.films[0])[-1, :, :2000].astype(np.float32)


def _hidden(night: Simulation) -> dict[str, Any]:
    return json.loads((night.out / "truth" / "hidden.json").read_text())[0]


def test_all_mistakes_are_tested() -> None:
    here = Path(__file__).read_text()
    assert [name for name in MISTAKES if f'mistake="{name}"' not in here] == []


def test_a_closed_dome_shows_neither_sky_nor_stars(made) -> None:
    night = made(mistake="dome", streaks=1, movers=1)
    frame, dark = _last_frame(night), fits.getdata(night.darks[0])[-1, :, :2000]
    assert abs(np.median(frame) - np.median(dark)) <= 1
    assert (frame > 5000).sum() < 400  # hot pixels
    assert night.truth("stars").num_rows == night.truth("movers").num_rows == night.truth("streaks").num_rows == 0
    assert night.truth("frames")["sky"].to_pylist() == [0.0, 0.0]
    assert (_hidden(night)["mistake"], _hidden(night)["zeropoint"]) == ("dome", None)


def test_twilight_fills_the_well_and_rises(made) -> None:
    night = made(mistake="twilight")
    film, hidden = fits.getdata(night.films[0])[:, :, :2000], _hidden(night)
    levels = np.median(film, axis=(1, 2)) * hidden["gain"] / hidden["full_well_e"]
    assert 0.3 < levels[0] < 0.7
    assert levels[1] / levels[0] == pytest.approx(1.005, abs=0.001)


def test_defocus_makes_rings(made) -> None:
    night = made(mistake="defocus", seeing=2.5)
    frame, stars = _last_frame(night), night.truth("stars").to_pandas()
    frames = night.truth("frames").to_pandas()
    assert 12 < frames.fwhm[1] < 21
    bright = stars[stars.phot_g_mean_mag.between(8.5, 11.5) & stars.x.between(60, 1940) & stars.y.between(60, 1060)]
    holes = []
    for star in bright.itertuples():
        x, y = round(star.x + frames.dx[1]), round(star.y + frames.dy[1])
        stamp = frame[y - 15 : y + 16, x - 15 : x + 16] - np.median(frame)
        r = np.hypot(*np.mgrid[-15:16, -15:16])
        ring = [np.median(stamp[(r >= low) & (r < low + 1)]) for low in range(14)]
        holes.append(ring[0] < 0.8 * max(ring))
        assert np.argmax(ring) >= 2
    assert np.mean(holes) > 0.7
    assert len(holes) > 5


def test_pointing_is_wrong_by_three_degrees(made) -> None:
    night = made(mistake="pointing")
    header, true = fits.getheader(night.films[0]), _hidden(night)["projection"]
    told = SkyCoord(header["RA"], header["DEC"], unit=("hourangle", "deg"))
    assert told.separation(SkyCoord(true["ra"], true["dec"], unit="deg")).deg == pytest.approx(3.0, abs=0.03)
    assert night.truth("stars").num_rows > 1000
    assert night.center == pytest.approx((told.ra.deg, told.dec.deg), abs=1e-4)
    ref_id = night.truth("stars")["ref_id"]
    assert ref_id.null_count < 0.6 * len(ref_id)  # the catalog has the stars that are really there


def test_no_dark_and_no_flat(made) -> None:
    night = made(mistake="no-dark")
    assert (len(night.darks), len(night.flats), len(night.films)) == (0, 1, 1)
    shutil.rmtree(night.out)
    night = made(mistake="no-flat")
    assert (len(night.darks), len(night.flats), len(night.films)) == (1, 0, 1)
    assert len(list(night.out.glob("*.fits"))) == 2


def test_calibrations_of_another_gain(made) -> None:
    night = made(mistake="other-gain")
    gains = [fits.getheader(files[0])["GAIN"] for files in (night.films, night.darks, night.flats)]
    assert gains == [0.23, 0.94, 0.94]
    flat = np.median(fits.getdata(night.flats[0])[0, 400:700, 800:1200])
    assert flat * 0.94 == pytest.approx(0.55 * 25_000, rel=0.15)


@pytest.mark.parametrize("gain", ["mid", "low"])
def test_other_gain_modes(made, gain: str) -> None:
    night = made(gain=gain)
    reference = fits.getdata(night.films[0])[:, :, 2000:].astype(float)
    hidden = _hidden(night)
    assert hidden["gain_mode"] == gain
    # rounding to whole ADU and the rows' noise add to it
    noise = np.sqrt((hidden["read_noise_e"] / hidden["gain"]) ** 2 + 1 / 12 + 0.3**2)
    assert reference.std() == pytest.approx(noise, rel=0.02)


def test_trailed_stars_are_long_lines(made) -> None:
    night = made(mistake="trailed", seeing=3.0)
    frame, hidden = _last_frame(night), _hidden(night)
    vx, vy = hidden["drift_px_s"]
    assert np.hypot(vx, vy) * 0.5 > 6
    stars, frames = night.truth("stars").to_pandas(), night.truth("frames").to_pandas()
    bright = stars[stars.phot_g_mean_mag.between(11, 13.5) & stars.x.between(60, 1940) & stars.y.between(60, 1060)]
    ratios, offsets = [], []
    for star in bright.itertuples():
        late = (star.y - 563.5) * 0.00041475
        x, y = star.x + frames.dx[1] + vx * late, star.y + frames.dy[1] + vy * late
        i, j = round(x), round(y)
        stamp = np.clip(frame[j - 14 : j + 15, i - 14 : i + 15] - np.median(frame), 0, None)
        stamp[stamp < 0.15 * stamp.max()] = 0
        dy, dx = np.mgrid[-14:15, -14:15]
        mean = (stamp * dx).sum() / stamp.sum() + i - x, (stamp * dy).sum() / stamp.sum() + j - y
        offsets.append(mean)
        along, across = (dx * vx + dy * vy) / np.hypot(vx, vy), (dx * vy - dy * vx) / np.hypot(vx, vy)
        ratios.append(_spread(stamp, along) / _spread(stamp, across))
    assert np.median(ratios) > 1.6
    assert np.abs(np.median(offsets, axis=0)).max() < 0.5


def _spread(stamp: np.ndarray, place: np.ndarray) -> float:
    mean = (stamp * place).sum() / stamp.sum()
    return float(np.sqrt((stamp * (place - mean) ** 2).sum() / stamp.sum()))


def test_clouds_take_stars_away(made) -> None:
    clear = _hidden(made())["zeropoint"]
    night = made(mistake="thick-cloud")
    assert clear - _hidden(night)["zeropoint"] == pytest.approx(5.0, abs=3.0)
    thin = _hidden(made(cloud=0.5))["zeropoint"]
    assert clear - thin == pytest.approx(0.5, abs=0.45)
    assert clear - thin > 0.02


def test_a_planet_saturates_spills_and_has_a_halo(made) -> None:
    night = made(mistake="planet")
    frame, stars = _last_frame(night), night.truth("stars").to_pandas()
    (planet,) = stars[stars.phot_g_mean_mag < 0].to_dict("records")
    assert np.isnan(planet["ref_id"])
    x, y = round(planet["x"]), round(planet["y"])
    full = 0.95 * frame.max()
    assert frame[y, x] > full
    assert (frame[:, x] > full).mean() > 0.9  # the charge runs along the column
    assert (frame > full).sum() > 20_000
    side = x + 350 if x < 1000 else x - 350
    assert np.median(frame[y - 20 : y + 20, side - 20 : side + 20]) > 1.5 * np.percentile(frame, 5)


def test_a_cluster_saturates_many_stars(made) -> None:
    frame = _last_frame(made(mistake="saturated"))
    usual = _last_frame(made())
    assert (frame > 0.9 * frame.max()).sum() > 20 * (usual > 0.9 * usual.max()).sum()


def test_moonlight_brightens_and_slopes_the_sky(made) -> None:
    dark, bright = _last_frame(made()), made(moon=1.0)
    ratio = np.median(_last_frame(bright)) / np.median(dark)
    assert 2.5 * np.log10(ratio) == pytest.approx(3.0, abs=0.1)
    slope = np.hypot(*_hidden(bright)["sky_slope"])
    assert 0.1 <= slope <= 0.3
    flat = fits.getdata(bright.flats[0])[:, :, :2000].mean(axis=0)
    sky = _last_frame(bright) / (flat / np.median(flat))
    across = np.median(sky[:, -100:]) / np.median(sky[:, :100]) - 1
    half = _hidden(bright)["sky_slope"][0] * 0.95 / 2  # the strips' middles are 0.95 of the detector apart
    assert across == pytest.approx((1 + half) / (1 - half) - 1, abs=0.015)


def test_seeing_is_as_asked(made) -> None:
    night = made(seeing=6.0)
    assert night.truth("frames")["fwhm"].to_numpy().mean() == pytest.approx(6.0, abs=0.25)


def test_a_large_pointing_error_turns_the_camera(made) -> None:
    night = made(pointing_error_arcmin=5.0)
    header, true = fits.getheader(night.films[0]), _hidden(night)["projection"]
    told = SkyCoord(header["RA"], header["DEC"], unit=("hourangle", "deg"))
    assert 0.5 < told.separation(SkyCoord(true["ra"], true["dec"], unit="deg")).arcmin <= 5.01
    assert 0.0 < abs(true["rotation_deg"]) < 1.3
