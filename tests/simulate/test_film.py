"""Films against packages that know nothing of the simulator: sep for stars, astropy for times and positions."""

from __future__ import annotations

import numpy as np
import pytest
import sep
from astropy.time import Time
from astropy.wcs import WCS

from tomoe_explore.simulate.projection import Projection


def _mean_image(night) -> np.ndarray:
    dark, flat, image = (_linear(night, kind).mean(axis=0) for kind in ("darks", "flats", "films"))
    flat = flat - dark
    image = (image - dark) / np.where(flat > 0, flat / np.median(flat), 1)
    return np.ascontiguousarray(image - np.median(image))


def _linear(night, kind: str) -> np.ndarray:
    """Frames without the nonlinearity."""
    bend = night.hidden["nonlinearity"] / night.hidden["full_well_e"] * night.hidden["gain"]
    return (1 - np.sqrt(1 - 4 * bend * night.pixels(kind)[:, :, :2000])) / (2 * bend)


def _isolated(stars, low: float, high: float) -> np.ndarray:
    x, y, mag = (stars[n].to_numpy().astype(float) for n in ("x", "y", "phot_g_mean_mag"))
    inside = (np.abs(x - 1000) < 960) & (np.abs(y - 564) < 530) & (mag > low) & (mag < high)
    keep = [
        k for k in np.flatnonzero(inside & ~stars["is_variable"].to_numpy(zero_copy_only=False))
        if ((np.hypot(x - x[k], y - y[k]) < 20) & (mag < mag[k] + 5)).sum() == 1
    ]  # fmt: skip
    return np.array(keep)


def test_stars_are_where_and_as_bright_as_the_truth_says(small_night) -> None:
    image, stars = _mean_image(small_night), small_night.simulation.truth("stars")
    k = _isolated(stars, 12.8, 15.0)
    assert len(k) > 30
    x, y, mag = (stars[n].to_numpy()[k].astype(float) for n in ("x", "y", "phot_g_mean_mag"))
    found_x, found_y, _ = sep.winpos(image, x, y, np.full(len(k), 1.4))
    # the jitter of frame 0 stays in the mean of all frames
    frames = small_night.simulation.truth("frames")
    shift = [frames[n].to_numpy().mean() for n in ("dx", "dy")]
    residual = np.array([found_x - x - shift[0], found_y - y - shift[1]])
    # the tilt is 0.08 px in a frame and the same over some arcminutes
    assert np.abs(np.median(residual, axis=1)).max() < 0.03
    assert residual.std() < 0.05
    radius, fwhm, beta = 8.0, small_night.hidden["fwhm_px"], small_night.hidden["beta"]
    alpha2 = fwhm**2 / (4 * (2 ** (1 / beta) - 1))
    enclosed = 1 - (1 + radius**2 / alpha2) ** (1 - beta)
    flux, _, _ = sep.sum_circle(image, found_x, found_y, radius, bkgann=(12, 18), subpix=0)
    transparency = frames["transparency"].to_numpy().mean()
    color = small_night.hidden["color_term"] * (stars["bp_rp"].to_numpy()[k] - 0.8)
    measured = small_night.hidden["zeropoint"] - 2.5 * np.log10(flux / enclosed / transparency) - color
    assert abs(np.median(measured - mag)) < 0.004
    assert np.percentile(np.abs(measured - mag), 90) < 0.03  # the rest have faint neighbours


def test_color_term_is_seen_in_the_fluxes(small_night) -> None:
    """A straight line through magnitude differences against colour has the hidden slope."""
    image, stars = _mean_image(small_night), small_night.simulation.truth("stars")
    k = _isolated(stars, 12.8, 15.5)
    x, y, mag, color = (stars[n].to_numpy()[k].astype(float) for n in ("x", "y", "phot_g_mean_mag", "bp_rp"))
    flux, _, _ = sep.sum_circle(image, x, y, 6.0, bkgann=(10, 16), subpix=0)
    difference = -2.5 * np.log10(flux) - mag
    good = np.abs(difference - np.median(difference)) < 0.1
    slope, _ = np.polyfit(color[good], difference[good], 1)
    assert good.sum() > 60
    assert slope == pytest.approx(small_night.hidden["color_term"], abs=0.015)
    assert abs(small_night.hidden["color_term"]) > 0.015


def test_times_of_the_truth_follow_the_header(small_night) -> None:
    header, frames = small_night.header("films"), small_night.simulation.truth("frames")
    start = Time(header["UTC"], scale="utc").mjd
    row = (1128 - 1) / 2
    offsets = frames["frame"].to_numpy() * header["TFRAME"] + row * header["TRLSTEP1"] + header["EXPTIME1"] / 2
    assert np.abs(frames["mjd"].to_numpy() - start - offsets / 86400).max() * 86400 < 2e-6


def test_positions_agree_with_astropy(small_night) -> None:
    """The hidden geometry as a FITS header, TAN at the telescope axis; distortion and refraction by numpy."""
    hidden, stars = small_night.hidden, small_night.simulation.truth("stars").to_pandas()
    told = hidden["projection"]
    step, turn = told["scale"] / 3600, np.radians(told["rotation_deg"])
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [told["ra"], told["dec"]]
    zenith = np.array(told["zenith"])
    squeeze = np.eye(2) - told["refraction"] * np.outer(zenith, zenith)  # intermediate to sensor's tangent plane
    turned = step * np.array([[-np.cos(turn), np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    wcs.wcs.cd = np.linalg.inv(squeeze) @ turned
    wcs.wcs.crpix = np.array([1000.5, 564.5]) + np.linalg.solve(turned, [-told["xi"], -told["eta"]])
    x, y = wcs.all_world2pix(stars["ra"], stars["dec"], 0)
    u, v = (x - 999.5) / 1000, (y - 563.5) / 564
    terms = np.array([u**2, u * v, v**2, u**3, u**2 * v, u * v**2, v**3])
    color = stars["bp_rp"].to_numpy() - 0.8
    for place, name, coefficients, shift in zip(
        (x, y), "xy", told["distortion"], hidden["color_shift_px"], strict=True
    ):
        light = place + np.array(coefficients) @ terms + shift * color
        assert np.abs(light - stars[name]).max() < 1e-3
    distorted = np.hypot(*(np.array(told["distortion"]) @ terms))
    assert 0.3 < distorted.max() < 1.6


def test_the_hidden_projection_goes_both_ways(small_night) -> None:
    told = Projection(**small_night.hidden["projection"])
    y, x = np.mgrid[-50:1178:9j, -50:2050:11j]
    again = told.to_pixels(*told.to_sky(x, y))
    assert np.abs(np.array(again) - np.array([x, y])).max() < 1e-6


def test_gain_and_read_noise_are_the_hidden_ones(small_night) -> None:
    hidden = small_night.hidden
    reference = small_night.pixels("films")[:, :, 2000:]
    assert np.isclose(reference.std() * hidden["gain"], hidden["read_noise_e"], rtol=5e-3)
    flat = small_night.pixels("flats")[:, 200:900, 200:1800].astype(np.float64)
    flat *= flat.mean() / flat.mean(axis=(1, 2), keepdims=True)
    freedom = flat.shape[0] - 1
    variance = np.median(flat.var(axis=0, ddof=1)) * freedom / _chi2_median(freedom)
    gain = np.median(flat.mean(axis=0)) / (variance - (hidden["read_noise_e"] / hidden["gain"]) ** 2)
    # at this level a nonlinear chip has lost a part n of its signal and 2 n of its response: the ratio is 3 n larger
    lost = hidden["nonlinearity"] * np.median(flat.mean(axis=0)) * hidden["gain"] / hidden["full_well_e"]
    assert np.isclose(gain, hidden["gain"] * (1 + 3 * lost), rtol=0.01)
    assert hidden["gain"] != 0.23


def _chi2_median(freedom: int) -> float:
    from scipy.stats import chi2

    return float(chi2.median(freedom))


def test_variable_shows_its_amplitude_and_only_it(small_night) -> None:
    truth = small_night.simulation.truth("variables").to_pylist()
    assert len(truth) == 1
    assert 13.0 < truth[0]["phot_g_mean_mag"] < 14.5
    stars = small_night.simulation.truth("stars").to_pandas()
    (star,) = stars[stars.is_variable].to_dict("records")
    assert star["star_id"] == truth[0]["star_id"]
    assert abs(star["x"] - 1000) < 750
    film = np.ascontiguousarray(small_night.pixels("films")[:, :, :2000])
    frames = small_night.simulation.truth("frames").to_pandas()
    flux = np.array([
        sep.sum_circle(f, [star["x"] + dx], [star["y"] + dy], 7.0, bkgann=(11, 16), subpix=0)[0][0]
        for f, dx, dy in zip(film, frames.dx, frames.dy, strict=True)
    ]) / frames.transparency  # fmt: skip
    row_time = frames.mjd + (star["y"] - 563.5) * 0.00041475 / 86400
    phase = 2 * np.pi * (row_time - truth[0]["epoch"]) / truth[0]["period"]
    expected = 10 ** (0.4 * truth[0]["amplitude"] * np.cos(phase))
    ratio = flux / expected
    assert np.ptp(expected) > 0.1
    assert (ratio / ratio.mean()).std() < 0.035  # photons, sky and twinkling: 0.02
    assert np.corrcoef(flux, expected)[0, 1] > 0.7
