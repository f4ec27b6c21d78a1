"""Signal over noise of a trail, matched along it: how bright a mover must be to be seen in a frame."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from tomoe_explore.camera import ROW_TIME_S
from tomoe_explore.simulate.exposure import FilmSetup
from tomoe_explore.simulate.film import Trail, draw_trail

_REACH_FWHM = 4.0  #: of the stamp beyond the ends of a trail


def trail_snr(film: FilmSetup, trail: Trail, place: tuple[float, float]) -> float:
    """Signal over noise of one trail in its frame, by a filter that has its shape.

    Parameters
    ----------
    film : FilmSetup
    trail : Trail
        Its light holds the transparency and scintillation of the frame.
    place : tuple of float
        Its middle, px.

    Returns
    -------
    float

    Notes
    -----
    ``S/N = F sqrt(sum p^2) / noise`` with the electrons ``F`` of the trail, its image ``p`` (convolved with the star
    image, shaken, integrated over pixels; of sum 1) and the noise of an empty pixel there, from sky and read-out.
    """
    setup, (x, y, vx, vy) = film.setup, trail.track
    fwhm = float(film.air.fwhm_px[trail.frame])
    half = math.ceil(math.hypot(vx, vy) * setup.exptime1_s / 2 + _REACH_FWHM * fwhm)
    left, low = round(place[0]) - half, round(place[1]) - half
    late = low * ROW_TIME_S  # the stamp's row 0 is exposed so much later than the frame's
    moved = replace(
        trail, track=(x + vx * late - left, y + vy * late - low, vx, vy), on=(trail.on[0] - late, trail.on[1] - late)
    )
    stamp = np.zeros((2 * half + 1, 2 * half + 1), np.float32)
    start = trail.frame * setup.frame_interval_s + late
    draw_trail(stamp, moved, setup.exptime1_s, film.air.beta, film.air.motion, start)
    here = tuple(slice(max(0, first), max(0, first + 2 * half + 1)) for first in (low, left))
    response = float(np.median(film.sensor.pixels.response[here]))
    noise = math.sqrt(film.sky_at(trail.frame, *place) * response + film.sensor.read_noise_e**2)
    return response * float(np.sqrt(np.square(stamp, dtype=np.float64).sum())) / noise
