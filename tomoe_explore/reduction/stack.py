"""Step 2: the frames of a film become one image, its variance and its mask."""

from __future__ import annotations

import numpy as np

from tomoe_explore import memory
from tomoe_explore.camera import NX, NY
from tomoe_explore.data import Film, Floats, Stack
from tomoe_explore.errors import FilmShapeError
from tomoe_explore.kernels import sums
from tomoe_explore.reduction.values import Bools, Calibration

MIN_FRAMES = 3  #: a film needs at least this many frames, of which the first is left out


def stack_film(film: Film, calibration: Calibration, recorded: Bools) -> tuple[Stack, Floats]:
    """Unbiased mean of all recorded frames but the first, calibrated, with variance and mask; and the mean as stored.

    Parameters
    ----------
    film : Film
        Any length; read block by block.
    calibration : Calibration
        Dark and flat are applied to the sums: calibration commutes with the mean.
    recorded : ndarray of bool, (n,)
        Frames that were recorded.

    Returns
    -------
    stack : Stack
        ``image`` is ADU a frame above dark; ``variance`` follows photons and read-out noise.
    mean : ndarray of float32, (NY, NX)
        The same mean in stored units, not calibrated.

    Raises
    ------
    FilmShapeError
        If fewer than two frames are used.
    """
    used = recorded & (np.arange(film.n_frames) > 0)
    n = int(used.sum())
    if n < MIN_FRAMES - 1:
        raise FilmShapeError(
            f"a film needs at least {MIN_FRAMES} frames (the first is left out), got {film.n_frames}, "
            f"{n} of them to use ({film.exposure.where})"
        )
    shape = NY, NX
    image, variance, mean = (memory.empty(shape, np.float32) for _ in range(3))
    mask = memory.empty(shape, np.uint8)
    out = image, variance, mask, mean
    images = calibration.dark, calibration.flat, calibration.bad
    noise = 1.0 / calibration.gain, calibration.read_noise**2, calibration.saturation
    weights = used.astype(np.float32)
    blocks = film.blocks()
    start, block = next(blocks)
    if len(block) == film.n_frames:
        sums.combine(block, weights, film.packing, images, noise, out)
    else:
        reference, total = _first_used(film, used), np.zeros((3, *shape), np.float32)
        running = total[0], total[1], total[2]
        while True:
            sums.accumulate(block, weights[start : start + len(block)], film.packing[:2], reference, running)
            if start + len(block) == film.n_frames:
                break
            start, block = next(blocks)
        sums.finish((reference, *running), n, film.packing[2:], images, noise, out)
    lost = tuple((np.flatnonzero(~recorded[1:]) + 1).tolist())
    return Stack(image, variance, mask, n, lost=lost), mean


def _first_used(film: Film, used: Bools) -> Floats:
    first = int(np.flatnonzero(used)[0])
    return (film.adu(first, first + 1)[0] - np.float32(film.bzero)) / np.float32(film.bscale)
