"""Films against packages that know nothing of the simulator: sep for stars, astropy for times and positions."""

from __future__ import annotations

import numpy as np
import sep
from astropy.time import Time
from astropy.wcs import WCS


def _mean_image(night) -> np.ndarray:
    dark = night.pixels("darks")[:, :, :2000].mean(axis=0)
    flat = night.pixels("flats")[:, :, :2000].mean(axis=0) - dark
    image = (night.pixels("films")[:, :, :2000].mean(axis=0) - dark) / np.where(flat > 0, flat / np.median(flat), 1)
    return np.ascontiguousarray(image - np.median(image))


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
    assert np.abs(np.median(residual, axis=1)).max() < 0.01
    assert residual.std() < 0.03
    radius, fwhm, beta = 8.0, small_night.hidden["fwhm_px"], small_night.hidden["beta"]
    alpha2 = fwhm**2 / (4 * (2 ** (1 / beta) - 1))
    enclosed = 1 - (1 + radius**2 / alpha2) ** (1 - beta)
    flux, _, _ = sep.sum_circle(image, found_x, found_y, radius, bkgann=(12, 18), subpix=0)
    transparency = frames["transparency"].to_numpy().mean()
    measured = small_night.hidden["zeropoint"] - 2.5 * np.log10(flux / enclosed / transparency)
    assert abs(np.median(measured - mag)) < 0.004
    assert np.percentile(np.abs(measured - mag), 90) < 0.03  # the rest have faint neighbours


def test_times_of_the_truth_follow_the_header(small_night) -> None:
    header, frames = small_night.header("films"), small_night.simulation.truth("frames")
    start = Time(header["UTC"], scale="utc").mjd
    row = (1128 - 1) / 2
    offsets = frames["frame"].to_numpy() * header["TFRAME"] + row * header["TRLSTEP1"] + header["EXPTIME1"] / 2
    assert np.abs(frames["mjd"].to_numpy() - start - offsets / 86400).max() * 86400 < 2e-6


def test_positions_agree_with_astropy(small_night) -> None:
    """The hidden geometry as a FITS header: TAN at the telescope axis, CRPIX far outside the detector."""
    hidden, stars = small_night.hidden, small_night.simulation.truth("stars")
    step, turn = hidden["scale"] / 3600, np.radians(hidden["rotation_deg"])
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [hidden["telescope_ra"], hidden["telescope_dec"]]
    wcs.wcs.cd = step * np.array([[-np.cos(turn), np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    center = np.linalg.solve(wcs.wcs.cd, [-hidden["xi"], -hidden["eta"]])
    wcs.wcs.crpix = np.array([1000.5, 564.5]) + center
    x, y = wcs.all_world2pix(stars["ra"].to_numpy(), stars["dec"].to_numpy(), 0)
    assert np.abs(x - stars["x"].to_numpy()).max() < 1e-3
    assert np.abs(y - stars["y"].to_numpy()).max() < 1e-3


def test_gain_and_read_noise_are_the_hidden_ones(small_night) -> None:
    hidden = small_night.hidden
    reference = small_night.pixels("films")[:, :, 2000:]
    assert np.isclose(reference.std() * hidden["gain"], hidden["read_noise_e"], rtol=5e-3)
    flat = small_night.pixels("flats")[:, 200:900, 200:1800].astype(np.float64)
    flat *= flat.mean() / flat.mean(axis=(1, 2), keepdims=True)
    freedom = flat.shape[0] - 1
    variance = np.median(flat.var(axis=0, ddof=1)) * freedom / _chi2_median(freedom)
    gain = np.median(flat.mean(axis=0)) / (variance - (hidden["read_noise_e"] / hidden["gain"]) ** 2)
    assert np.isclose(gain, hidden["gain"], rtol=0.01)
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
