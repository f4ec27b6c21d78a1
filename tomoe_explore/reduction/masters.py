"""Step 0: films of darks and flats become one master each."""

from __future__ import annotations

import numpy as np
import xxhash
from numpy.typing import NDArray

from tomoe_explore.camera import NX, NY, dark_current
from tomoe_explore.data import Film, Floats, Master
from tomoe_explore.errors import CalibrationError
from tomoe_explore.kernels.sky import film_sky
from tomoe_explore.kernels.sums import accumulate
from tomoe_explore.limits import LIMITS

MIN_FRAMES = 5  #: a master needs at least this many frames after the first
NOISY_E2 = 40.0  #: e-^2 beyond the usual variance of a frame: half of what the photons of a dark sky add
WARMEST_K = 305.0  #: taken where a header has no temperature


def make_dark(film: Film) -> Master:
    """Master dark: mean over time of a dark film, ADU a frame.

    Parameters
    ----------
    film : Film
        ``DATA-TYP`` dark; at least six frames, of which the first is left out.

    Returns
    -------
    Master
        ``bad`` marks pixels whose noise in time is more than twice the usual and matters beside that of the sky, or
        that are near saturation.

    Raises
    ------
    CalibrationError
        If the film is no dark or too short, if its frames disagree, or if it is noisier than darkness.

    Notes
    -----
    The mean is unbiased, which a median or a mean without its maximum is not. Only where the maximum stands more
    than six sigma above the others (a cosmic ray) is it left out. Frames whose level or scatter stands out, those
    that light leaked into or that were lost, are left out whole. Light that is there in all frames betrays itself by
    its photon noise, whatever the bias.
    """
    _check(film, "dark")
    mean, variance = _clean_mean(film, steady_frames(film))
    level, rms = _level(mean)
    typical = float(np.median(variance))
    _check_darkness(film, typical)
    noisy = typical + max(3 * typical, NOISY_E2 / film.exposure.gain_mode.gain**2)
    bad = (variance > noisy) | (mean - level > 0.5 * film.exposure.gain_mode.saturation_adu)
    noise_variance = float(variance[~bad].mean())
    return _master(film, mean, (level, rms, noise_variance), bad)


def make_flat(film: Film, dark: Master | None) -> Master:
    """Master flat: mean over time of a flat film less the dark, divided by its median.

    Parameters
    ----------
    film : Film
        ``DATA-TYP`` flat; at least six frames, of which the first is left out.
    dark : Master or None
        Of the same detector; without it the film's level is taken as light altogether.

    Returns
    -------
    Master
        ``bad`` marks pixels with less than half or more than twice the response of their surroundings.
        ``noise_variance`` is scaled to ``level``, so that gain = level / (its noise_variance - the dark's).

    Raises
    ------
    CalibrationError
        If the film is no flat, too short, its frames disagree, it is saturated, or has less light than noise.
    """
    _check(film, "flat")
    steady = steady_frames(film)
    mean, variance = _clean_mean(film, steady)
    dark_variance = 0.0
    if dark is not None:
        if dark.exposure.detector_id != film.exposure.detector_id:
            raise CalibrationError(
                f"dark {dark.master_id} is of detector {dark.exposure.detector_id}, the flat of {film.exposure.where}"
            )
        mean, dark_variance = mean - dark.pixels, dark.noise_variance
    level, rms = _level(mean)
    if not level > 5 * np.sqrt(np.median(variance)):
        raise CalibrationError(
            f"flat has a level of {level:.1f} ADU above dark, less than five times its noise of one frame: "
            f"no light? ({film.exposure.where})"
        )
    mode = film.exposure.gain_mode
    if level > mode.safe_adu(mode.gain):
        raise CalibrationError(
            f"flat has a level of {level:.0f} ADU above dark, from {mode.safe_adu(mode.gain):.0f} on pixels may be "
            f"saturated: take it with less light ({film.exposure.where})"
        )
    pixels = (mean / np.float32(level)).astype(np.float32)
    local = _smooth(pixels)
    bad = (pixels < 0.5 * local) | (pixels > 2.0 * local) | (pixels < 0.05)
    good = ~bad & (variance < 4 * np.median(variance))
    lamp = _level_scatter(film, steady, mean, dark) ** 2 * float((mean[good] ** 2).mean())
    excess = float(variance[good].mean()) - lamp - dark_variance
    noise_variance = excess / float(mean[good].mean()) * level + dark_variance
    return _master(film, np.where(pixels < 0.05, 1.0, pixels), (level, rms, noise_variance), bad)


def _check(film: Film, kind: str) -> None:
    if film.exposure.kind != kind:
        raise CalibrationError(f"expected a {kind} film, got DATA-TYP {film.exposure.kind} ({film.exposure.where})")
    if film.n_frames < MIN_FRAMES + 1:
        raise CalibrationError(
            f"a master {kind} needs at least {MIN_FRAMES + 1} frames, got {film.n_frames} ({film.exposure.where})"
        )


def steady_frames(film: Film) -> NDArray[np.bool_]:
    """Which frames of a dark or flat are like the others, the first never: by level and scatter of sampled pixels.

    Parameters
    ----------
    film : Film
        Read once, block by block.

    Returns
    -------
    ndarray of bool, (n_frames,)

    Raises
    ------
    CalibrationError
        If more than half the frames, or all but `MIN_FRAMES`, stand out.

    Notes
    -----
    A frame stands out if its level is more than five robust standard deviations off the median (and more than 2 ADU
    and 5 %), or its scatter from pixel to pixel more than 20 %.
    """
    rows, columns = film.y0 + np.arange(4, NY, 32), film.x0 + np.arange(4, NX, 16)
    parts = []
    for _, frames in film.blocks():
        sample = frames[:, rows[:, None], columns].reshape(len(frames), -1)
        stored = sample.view(sample.dtype.newbyteorder(">")) if sample.dtype == np.int16 else sample
        adu = film.bzero + film.bscale * stored.astype(np.float64)
        low, level, high = np.quantile(adu, (0.16, 0.5, 0.84), axis=1)
        parts.append(np.array([level, high - low]))
    levels, scatter = np.hstack(parts)
    off = np.abs(levels - np.nanmedian(levels[1:]))
    allowed = max(5 * 1.4826 * float(np.nanmedian(off[1:])), 2.0, 0.05 * abs(float(np.nanmedian(levels[1:]))))
    usual = float(np.nanmedian(scatter[1:]))
    steady = (off <= allowed) & (np.abs(scatter - usual) <= 0.2 * usual)
    steady[0] = False
    if steady.sum() < max(MIN_FRAMES, (film.n_frames - 1) / 2):
        raise CalibrationError(
            f"only {int(steady.sum())} of {film.n_frames - 1} frames of the {film.exposure.kind} agree in level and "
            f"scatter (levels {np.nanmin(levels[1:]):.0f} to {np.nanmax(levels[1:]):.0f} ADU): light that changes, or "
            f"lost frames ({film.exposure.where})"
        )
    return steady


def _check_darkness(film: Film, variance: float) -> None:
    """Refuse a dark whose frames have more noise than read-out and dark current give: that is of photons."""
    e = film.exposure
    mode = e.gain_mode
    warm = float(dark_current(e.temperature_k if np.isfinite(e.temperature_k) else WARMEST_K)) * e.exptime1_s
    expected = (mode.read_noise_e**2 + warm) / mode.gain**2
    if variance > LIMITS.dark_noise * expected:
        raise CalibrationError(
            f"the dark's noise is {np.sqrt(variance):.1f} ADU a frame, read-out and dark current give "
            f"{np.sqrt(expected):.1f}: light in it, some {(variance - expected) * mode.gain:.0f} ADU? ({e.where})"
        )


def _clean_mean(film: Film, used: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Mean and variance in time, ADU, of the frames used; a lone high value is left out."""
    reference = _trimmed_frame(film, int(np.argmax(used)))
    total, squares = np.zeros((NY, NX), np.float32), np.zeros((NY, NX), np.float32)
    peak = np.full((NY, NX), -np.inf, np.float32)
    weights = used.astype(np.float32)
    for start, frames in film.blocks():
        accumulate(frames, weights[start : start + len(frames)], film.packing[:2], reference, (total, squares, peak))
    n = int(used.sum())
    rest = (total - peak) / (n - 1)
    rest_variance = np.maximum((squares - peak**2) / (n - 1) - rest**2, 0.0) * (n - 1) / (n - 2)
    outlier = (peak - rest) ** 2 > 36 * np.maximum(rest_variance, np.median(rest_variance))
    mean = np.where(outlier, rest, total / n)
    variance = np.where(outlier, rest_variance, np.maximum(squares - total**2 / n, 0.0) / (n - 1))
    adu = film.bzero + film.bscale * (reference + mean)
    return adu.astype(np.float32), (variance * film.bscale**2).astype(np.float32)


def _level_scatter(film: Film, used: NDArray[np.bool_], mean: Floats, dark: Master | None) -> float:
    """Relative scatter of the light from frame to frame: a lamp or a twilight sky is not steady."""
    stored_dark = dark.pixels if dark is not None else np.float32(0)
    stored_mean = (mean + stored_dark - np.float32(film.bzero)) / np.float32(film.bscale)
    masked = np.zeros((NY // 8, NX), np.bool_)
    parts = [
        film_sky(frames, (film.x0, film.y0), stored_mean, masked, (1, 1), 8).ravel() for _, frames in film.blocks()
    ]
    return float(np.std(np.concatenate(parts)[used], ddof=1) * film.bscale / mean.mean())


def _trimmed_frame(film: Film, n: int) -> Floats:
    return (film.adu(n, n + 1)[0] - np.float32(film.bzero)) / np.float32(film.bscale)


def _level(image: Floats) -> tuple[float, float]:
    sample = image[::4, ::4]
    level = float(np.median(sample))
    return level, float(1.4826 * np.median(np.abs(sample - level)))


def _smooth(image: Floats) -> Floats:
    from scipy.ndimage import median_filter, zoom

    small = image[: NY // 8 * 8, : NX // 8 * 8].reshape(NY // 8, 8, NX // 8, 8)
    small = median_filter(np.median(small, axis=(1, 3)), 5)
    return zoom(small, (NY / small.shape[0], NX / small.shape[1]), order=1, mode="nearest")


def _master(film: Film, pixels: Floats, measures: tuple[float, float, float], bad: NDArray[np.bool_]) -> Master:
    e = film.exposure
    level, rms, noise_variance = measures
    pixels = np.ascontiguousarray(pixels, np.float32)
    digest = xxhash.xxh3_64_hexdigest(pixels.tobytes() + bad.tobytes())[:8]
    master_id = f"{e.kind}-{e.detector_id}-{e.night.replace('-', '')}-{digest}"
    return Master(master_id, e.kind, pixels, e, level, rms, bad, noise_variance)
