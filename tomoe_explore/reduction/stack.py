"""Step 2: the frames of a film become one image, its variance and its mask."""

from __future__ import annotations

import numpy as np

from tomoe_explore.camera import NX, NY
from tomoe_explore.data import BAD_PIXEL, SATURATED_PIXEL, Film, Floats, Stack
from tomoe_explore.errors import FilmShapeError
from tomoe_explore.kernels.sums import accumulate
from tomoe_explore.reduction.values import Calibration, Sums

MIN_FRAMES = 3  #: a film needs at least this many frames, of which the first is left out


def sum_frames(film: Film) -> Sums:
    """Mean, maximum and variance in time of all frames but the first, straight from the raw film.

    Parameters
    ----------
    film : Film
        Any length; read block by block.

    Returns
    -------
    Sums
        In stored units.

    Raises
    ------
    FilmShapeError
        If the film has fewer than three frames.
    """
    if film.n_frames < MIN_FRAMES:
        raise FilmShapeError(
            f"a film needs at least {MIN_FRAMES} frames (the first is left out), got {film.n_frames} "
            f"({film.exposure.where})"
        )
    reference = (film.adu(1, 2)[0] - np.float32(film.bzero)) / np.float32(film.bscale)
    total, squares = np.zeros((NY, NX), np.float32), np.zeros((NY, NX), np.float32)
    peak = np.full((NY, NX), -np.inf, np.float32)
    for _, frames in film.blocks(1):
        accumulate(frames, (film.x0, film.y0), reference, total, peak, squares)
    n = film.n_frames - 1
    mean = total / n
    variance = (np.maximum(squares / n - mean**2, 0.0) * (n / (n - 1))).astype(np.float32)
    return Sums(reference + mean, reference + peak, variance, n)


def combine(sums: Sums, film: Film, calibration: Calibration) -> Stack:
    """Dark and flat applied to the summed frames: calibration commutes with the mean.

    Parameters
    ----------
    sums : Sums
    film : Film
        For its scale.
    calibration : Calibration

    Returns
    -------
    Stack
        ``image`` is the unbiased mean, ADU a frame above dark. ``variance`` follows photons and read-out noise.
    """
    image = ((film.bzero + film.bscale * sums.mean) - calibration.dark) / calibration.flat
    variance = frame_variance(image, calibration) / np.float32(sums.n_frames)
    mask = np.where(calibration.bad, np.uint8(BAD_PIXEL), np.uint8(0))
    mask[film.bzero + film.bscale * sums.peak >= calibration.saturation] |= SATURATED_PIXEL
    return Stack(image.astype(np.float32), variance, mask, sums.n_frames)


def frame_variance(image: Floats, calibration: Calibration) -> Floats:
    """Variance of a pixel of one calibrated frame, ADU^2.

    Notes
    -----
    ``(max(image * flat, 0) / gain + read_noise**2) / flat**2``: Poisson noise of the expected light, not of the
    light that happened to come, so that errors do not correlate with fluxes.
    """
    light = np.maximum(image * calibration.flat, 0.0) / np.float32(calibration.gain)
    return ((light + np.float32(calibration.read_noise**2)) / calibration.flat**2).astype(np.float32)
