"""Periods found in real and made light curves, against published values and astropy's own Lomb-Scargle."""

from __future__ import annotations

from pathlib import Path

import astropy.units as u
import numpy as np
import pandas as pd
import pytest
from astropy.timeseries import LombScargle
from lightkurve import LightCurve

from tomoe_explore.analysis.periodogram import Periodogram, periodogram
from tomoe_explore.errors import ParameterError


def films(n_films: int, n_frames: int = 18, spacing_s: float = 9.5) -> np.ndarray:
    """MJD of 2 Hz films."""
    return 59075.5 + (spacing_s * np.arange(n_films)[:, None] + 0.5 * np.arange(n_frames)).ravel() / 86_400


def sine(t: np.ndarray, period_d: float, *, amplitude: float = 1.0, noise: float = 0.3, seed: int = 1) -> LightCurve:
    rng = np.random.default_rng(seed)
    flux = 100 + amplitude * np.sin(2 * np.pi * t / period_d + 0.7) + noise * rng.normal(size=len(t))
    return LightCurve(time=t, flux=flux * u.nJy, flux_err=np.full(len(t), noise) * u.nJy)


def visual(path: Path, separator: str) -> LightCurve:
    table = pd.read_csv(path, sep=separator, header=None, usecols=[0, 1])
    magnitude = pd.to_numeric(table[1], errors="coerce")
    return LightCurve(time=table[0][magnitude.notna()].to_numpy() - 2_400_000.5, flux=magnitude.dropna().to_numpy())


@pytest.mark.parametrize(
    ("name", "separator", "period"),
    [("eta_aql_aavso_all.csv", ",", 7.17679), ("delta_cep_processed.tsv", "\t", 5.366266)],
)
def test_cepheids(shared_data: Path, name: str, separator: str, period: float) -> None:
    pg = periodogram(visual(shared_data / "variables" / name, separator), maximum_frequency=2.0)
    assert pg.best.period == pytest.approx(period, rel=5e-5)
    assert abs(pg.best.period - period) < 4 * pg.best.period_err
    assert pg.best.false_alarm < 1e-100
    assert {"day", "year"} == {c.name for c in pg.cadences}
    assert any(p.relation.startswith("alias:") and p.relation.endswith("year") for p in pg.peaks)


def test_macho_eclipsing_binary(shared_data: Path) -> None:
    t, mag, err = np.genfromtxt(shared_data / "variables" / "lc_1.3444.614.B.txt").T
    pg = periodogram(LightCurve(time=t, flux=mag, flux_err=err))
    assert pg.best.period == pytest.approx(0.93694, rel=1e-4)
    assert {p.relation for p in pg.peaks[1:3]} == {"alias: - 1 day", "alias: + 1 day"}


@pytest.mark.parametrize("weighted", [True, False])
def test_power_is_that_of_astropy(weighted: bool) -> None:
    rng = np.random.default_rng(2)
    t = np.sort(rng.uniform(0, 20, 400))
    err = rng.uniform(0.2, 0.9, 400)
    flux = 3 + np.sin(2 * np.pi * t / 1.3) + err * rng.normal(size=400)
    pg = periodogram(LightCurve(time=t, flux=flux, flux_err=err if weighted else None), maximum_frequency=10.0)
    model = LombScargle(t - t[0], flux, err if weighted else None, fit_mean=True)
    np.testing.assert_allclose(pg.power, model.power(pg.frequency, method="slow"), atol=2e-6)
    fine = np.linspace(pg.best.frequency - 1e-3, pg.best.frequency + 1e-3, 2001)
    assert pg.best.frequency == pytest.approx(fine[np.argmax(model.power(fine, method="slow"))], abs=2e-6)
    theta = model.model_parameters(pg.best.frequency)
    assert pg.best.amplitude == pytest.approx(np.hypot(theta[1], theta[2]), rel=1e-4)
    expected = model.false_alarm_probability(pg.best.power, method="baluev", maximum_frequency=pg.frequency[-1])
    assert pg.best.false_alarm == pytest.approx(float(expected))


def test_period_errors_are_honest() -> None:
    t = np.sort(np.random.default_rng(3).uniform(0, 30, 200))
    pulls = []
    for seed in range(60):
        pg = periodogram(sine(t, 2.5, noise=0.8, seed=seed), minimum_frequency=0.3, maximum_frequency=0.5, n_peaks=1)
        pulls.append((pg.best.frequency - 0.4) / pg.best.frequency_err)
    assert 0.75 < np.std(pulls) < 1.3
    assert abs(np.mean(pulls)) < 0.5


def test_false_alarms_of_noise_are_as_rare_as_they_say() -> None:
    t = films(10)
    rare = 0
    for seed in range(100):
        pg = periodogram(sine(t, 1.0, amplitude=0.0, seed=seed), n_peaks=1)
        rare += pg.best.false_alarm < 0.05
    assert rare <= 11  # 5 expected; 11 or more happen once in a hundred tries


def test_a_2_hz_light_curve_names_its_cadences() -> None:
    pg = periodogram(sine(films(40, spacing_s=15.0), 13.0 / 86_400))
    assert pg.best.period * 86_400 == pytest.approx(13.0, abs=4 * pg.best.period_err * 86_400)
    assert {c.name: round(86_400 / c.frequency, 5) for c in pg.cadences} == {"sampling": 0.5, "film": 15.0}
    # with a pause of a single frame between films there is nothing to confuse
    assert [c.name for c in periodogram(sine(films(40), 13.0 / 86_400)).cadences] == ["sampling"]
    beyond = periodogram(sine(films(40), 13.0 / 86_400, noise=0.05), maximum_frequency=86_400 * 2.5)
    assert "alias: 1 sampling -" in {p.relation for p in beyond.peaks}


def test_films_far_apart_make_named_aliases() -> None:
    pg = periodogram(sine(films(30, spacing_s=60.0), 7.0 / 86_400, noise=0.1))
    assert pg.best.period * 86_400 == pytest.approx(7.0, abs=0.01)
    assert {"alias: + 1 film", "alias: - 1 film"} <= {p.relation for p in pg.peaks}


def test_the_grid_never_meets_the_nyquist_frequency() -> None:
    t = np.arange(1000) * 0.01
    for maximum in (50.0, 100.0, None):
        pg = periodogram(sine(t, 0.37), maximum_frequency=maximum)
        assert np.isfinite(pg.power).all()
        nearest = np.abs(pg.frequency / 50.0 - np.round(pg.frequency / 50.0)) * 50.0
        assert nearest[pg.frequency > 1].min() > 0.02 * (pg.frequency[1] - pg.frequency[0])
        assert pg.power.max() <= 1 + 1e-6
    assert periodogram(sine(t, 0.37)).best.period == pytest.approx(0.37, rel=1e-3)


def test_bad_points_are_left_out() -> None:
    lc = sine(films(10), 13.0 / 86_400)
    whole = periodogram(lc)
    spoiled = lc.copy()
    spoiled["flux"][5] = np.nan
    spoiled["flux_err"][9] = 0.0
    pg = periodogram(spoiled[np.random.default_rng(1).permutation(len(lc))])
    assert pg.n_points == len(lc) - 2
    assert pg.best.period == pytest.approx(whole.best.period, rel=0.01)
    assert np.all(np.diff(pg.light_curve.time.mjd) > 0)


def test_long_searches_say_where_they_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tomoe_explore.analysis.periodogram.MAX_FREQUENCIES", 1000)
    pg = periodogram(sine(films(100), 13.0 / 86_400))
    assert len(pg.frequency) <= 1001
    assert "give maximum_frequency" in pg.notes[0]
    assert "note: searched to" in repr(pg)


@pytest.mark.parametrize(
    ("options", "words"),
    [({"minimum_frequency": 5.0, "maximum_frequency": 1.0}, "minimum_frequency < maximum"),
     ({"minimum_frequency": -1.0}, "0 < minimum"), ({"oversampling": 0.1}, "oversampling >= 1")],
)  # fmt: skip
def test_frequencies_that_make_no_sense(options: dict[str, float], words: str) -> None:
    with pytest.raises(ParameterError, match=words):
        periodogram(sine(np.arange(50.0), 7.3), **options)


def test_light_curves_without_information() -> None:
    with pytest.raises(ParameterError, match="at least 8 points, the light curve has 5"):
        periodogram(sine(np.arange(5.0), 2.0))
    with pytest.raises(ParameterError, match="same time or the same flux"):
        periodogram(LightCurve(time=np.arange(20.0), flux=np.ones(20)))


@pytest.fixture(scope="module")
def found() -> Periodogram:
    return periodogram(sine(films(40), 13.0 / 86_400), maximum_frequency=0.9 * u.Hz)


def test_units_and_table(found: Periodogram) -> None:
    assert found.frequency[-1] == pytest.approx(0.9 * 86_400, rel=1e-3)
    assert found.period.to_value("s") == pytest.approx(13.0, abs=0.1)
    assert found.period_err.unit == u.d
    table = found.to_table()
    assert table["amplitude"].unit == u.nJy
    assert (1 / table["frequency"][0]).to_value("s") == pytest.approx(found.period.to_value("s"))
    assert found.to_dict()["peaks"][0]["relation"] == "best"
    assert " s " in repr(found).splitlines()[2]


def test_fold(found: Periodogram) -> None:
    folded = found.fold()
    phase = folded.time.value / found.best.period
    expected = np.polyfit(np.sin(2 * np.pi * phase), folded.flux.value, 1)
    assert np.ptp(phase) <= 1.0
    assert len(folded) == found.n_points
    assert np.isfinite(expected).all()
    assert found.fold(0.01).period == 0.01 * u.d or found.fold(0.01).period == 0.01


def test_plot(found: Periodogram) -> None:
    import matplotlib as mpl

    mpl.use("agg")
    ax = found.plot()
    assert ax.get_xlabel() == "Frequency (Hz)"
    assert len(ax.lines) == 1 + len(found.peaks)
    assert found.plot(ax) is ax
    mpl.pyplot.close(ax.figure)
