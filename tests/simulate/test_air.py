"""Air and motion against astropy and brute force."""

from __future__ import annotations

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import AltAz, EarthLocation, SkyCoord
from astropy.time import Time
from astropy.utils import iers

from tomoe_explore.simulate.atmosphere import REFRACTION, airmass, scintillation, zenith_direction
from tomoe_explore.simulate.cloud import draw_cloud
from tomoe_explore.simulate.motion import Motion, draw_motion, draw_tilt

KISO = EarthLocation.from_geodetic(137.625417 * u.deg, 35.797222 * u.deg, 1132 * u.m)
MJD = 59075.6


@pytest.fixture(autouse=True)
def _offline():
    with iers.conf.set_temp("auto_download", False), iers.conf.set_temp("iers_degraded_accuracy", "ignore"):
        yield


@pytest.mark.parametrize(("ra", "dec"), [(310.0, -12.0), (260.0, 30.0), (20.0, 60.0)])
def test_zenith_is_where_astropy_has_it(ra: float, dec: float) -> None:
    star, frame = SkyCoord(ra, dec, unit="deg"), AltAz(obstime=Time(MJD, format="mjd"), location=KISO)
    altaz = star.transform_to(frame)
    higher = SkyCoord(altaz.az, altaz.alt + 0.1 * u.deg, frame=frame).icrs
    angle = star.position_angle(higher).rad
    assert zenith_direction(MJD, ra, dec) == pytest.approx((np.sin(angle), np.cos(angle)), abs=5e-3)
    assert airmass(MJD, ra, dec) == pytest.approx(1 / np.sin(altaz.alt.rad), rel=5e-3)


def test_refraction_shrinks_the_vertical_as_in_astropy() -> None:
    """At sea level; a degree at 50 deg from the zenith."""
    time = Time(MJD, format="mjd")
    vacuum = AltAz(obstime=time, location=KISO)
    air = AltAz(obstime=time, location=KISO, pressure=1013 * u.hPa, temperature=10 * u.deg_C, obswl=0.5 * u.micron)
    stars = SkyCoord([100.0, 100.0] * u.deg, [39.5, 40.5] * u.deg, frame=vacuum).icrs.transform_to(air)
    shrunk = 1.0 - (stars.alt[1] - stars.alt[0]).deg
    assert REFRACTION / np.cos(np.radians(50.0)) ** 2 == pytest.approx(shrunk, rel=0.06)


def test_scintillation_is_osborns() -> None:
    """Variance 1e-5 C^2 D^(-4/3) t^(-1) sec(z)^3 exp(-2 h / 8 km), worked out by hand for z = 60 deg."""
    variance = 1e-5 * 1.5**2 * 1.05 ** (-4 / 3) / 0.5 * 8.0 * np.exp(-2 * 1132 / 8000)
    assert scintillation(2.0, 0.5, 1.5) == pytest.approx(np.sqrt(variance), rel=1e-9)
    young = 0.09 * 105 ** (-2 / 3) / np.sqrt(2 * 0.5) * np.exp(-1132 / 8000)
    assert scintillation(1.0, 0.5, 1.0) == pytest.approx(young, rel=0.08)


def test_stars_twinkle_apart_by_the_stated_sigma(quiet_film) -> None:
    from dataclasses import replace

    film = replace(quiet_film, air=replace(quiet_film.air, scintillation=0.006))
    factors = film.twinkle("stars", 0, 20_000)
    assert factors.std() == pytest.approx(0.006, rel=0.02)
    assert factors.mean() == pytest.approx(1.0, abs=1e-4)
    assert np.abs(np.corrcoef(factors)[np.triu_indices(4, 1)]).max() < 0.03


def test_an_exposure_averages_the_path() -> None:
    rng = np.random.default_rng(3)
    motion = draw_motion(rng, np.arange(1, 18) * 0.5 + 0.5, 0.5)
    seconds = np.arange(motion.path.shape[1]) * 0.002 - 1.0
    for start in (0.0, 1.234, 7.9):
        fine = np.linspace(start, start + 0.5, 5001)
        x, y = (np.interp(fine, seconds, c) for c in motion.path)
        ahead = start + 0.25 - motion.middle_s
        mean, blur = motion.exposed(start, 0.5)
        assert mean[0] == pytest.approx(x.mean() + motion.drift[0] * ahead, abs=1e-4)
        assert mean[1] == pytest.approx(y.mean() + motion.drift[1] * ahead, abs=1e-4)
        covariance = np.cov(x, y)
        assert blur == pytest.approx([covariance[0, 0], covariance[0, 1], covariance[1, 1]], abs=2e-4)


def test_frames_jitter_and_rows_of_a_frame_shift_against_each_other() -> None:
    middle = np.arange(1, 18) * 0.5 + 0.484
    shifts, rows, blurs = [], [], []
    for seed in range(60):
        motion = draw_motion(np.random.default_rng(seed), middle, 0.5)
        mean, blur = motion.exposed(middle - 0.25, 0.5)
        assert np.abs(mean.mean(axis=1)).max() < 1e-9
        shifts.append(mean.std(axis=1))
        top, _ = motion.exposed(middle - 0.25 + 0.23, 0.5)
        rows.append(np.std(top - mean, axis=1))
        blurs.append(np.sqrt(blur[[0, 2]].mean()))
    assert 0.1 < np.mean(shifts) < 0.3
    assert 0.02 < np.mean(rows) < 0.2  # px, between the middle and the upper edge
    assert 0.05 < np.min(blurs) < 0.12
    assert 0.25 < np.max(blurs) < 0.4


def test_the_drift_is_what_the_path_is_not() -> None:
    motion = Motion(np.zeros((2, 6000)), (0.02, -0.01), 4.5)
    mean, _ = motion.exposed(np.array([0.0, 8.0]), 0.5)
    assert mean[0, 1] - mean[0, 0] == pytest.approx(0.16)
    assert mean[1].mean() == pytest.approx(0.0025)


def test_tilt_has_its_size_and_reach() -> None:
    """A tenth of an arcsecond; 3 arcmin apart, the correlation is exp(-1/2)."""
    x = np.array([1000.0, 1000.0 + 180.0 / 1.189, 1000.0 + 1200.0 / 1.189])
    values = np.array([
        draw_tilt(seed, 357754, 112, 20).at(n, x, np.full(3, 500.0)) for seed in range(60) for n in range(20)
    ])  # fmt: skip
    assert values.std() * 1.189 == pytest.approx(0.1, rel=0.05)
    near, far = (np.corrcoef(values[:, 0, 0], values[:, 0, k])[0, 1] for k in (1, 2))
    assert near == pytest.approx(np.exp(-0.5), abs=0.06)
    assert abs(far) < 0.1


def test_clouds_pass_and_differ_over_the_field() -> None:
    seconds = np.arange(18) * 0.5
    change, slope, typical = [], [], []
    for seed in range(80):
        cloud = draw_cloud(np.random.default_rng(seed), 1.0)
        mag = -2.5 * np.log10(cloud.transparency(seconds, 0.5, 0.5))
        typical.append(mag.mean())
        change.append(np.abs(np.diff(mag)).max())
        slope.append(np.ptp(-2.5 * np.log10(cloud.transparency(0.0, np.linspace(0.2, 0.8, 9), 0.5))))
    assert np.mean(typical) == pytest.approx(1.0, abs=0.12)
    assert 0.02 < np.median(change) < 0.3
    assert 0.1 < np.median(slope) < 1.5
    assert (draw_cloud(np.random.default_rng(1), 0.0).transparency(seconds, 0.5, 0.5) == 1.0).all()
