"""The plan of a night: where the telescope points, which stars are there, and what is exposed when."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tomoe_explore.camera import DETECTOR_IDS, NX, NY
from tomoe_explore.errors import ParameterError
from tomoe_explore.simulate.atmosphere import best_start
from tomoe_explore.simulate.bright import bright_stars
from tomoe_explore.simulate.conditions import POINTING_MISTAKE_DEG, Conditions
from tomoe_explore.simulate.draws import generator
from tomoe_explore.simulate.header import ExposureSetup, night_mjd
from tomoe_explore.simulate.movers import Mover, draw_movers
from tomoe_explore.simulate.observer import observed_catalog
from tomoe_explore.simulate.projection import Projection, pointing_for
from tomoe_explore.simulate.stars import (
    Stars,
    joined,
    middle,
    read_stars,
    synthetic_stars,
    with_colors,
    with_faint_stars,
)
from tomoe_explore.simulate.streaks import PlacedStreak
from tomoe_explore.simulate.variables import Variation, draw_variables

DEFAULT_CENTER = (310.0, -12.0)  #: where the telescope points without stars of a table, deg
STAR_RADIUS_DEG = 1.0  #: stars are known this far around each detector, so that a wrong pointing still finds some


@dataclass(frozen=True)
class Plan:
    """What all films of a night share.

    Attributes
    ----------
    seed : int
    conditions : Conditions
    center : tuple of float
        Where the observer wants to point, deg; the telescope does, but for the pointing error.
    setups : tuple of ExposureSetup
        In the order of time; their ``ra, dec`` is what the header says.
    stars : Stars
        All with a colour.
    known : ndarray of bool
        Which of them the reference catalog has.
    counts : mapping of str to int
        ``movers, streaks, glints, variables, flares, eclipses``.
    movers : tuple of Mover
        Of all detectors of the camera: they cross from one to the next.
    variations : mapping of int to mapping of int to Variation
        By detector, then by ``star_id``.
    placed_streaks : tuple of PlacedStreak
        Streaks beside those drawn.
    """

    seed: int
    conditions: Conditions
    center: tuple[float, float]
    setups: tuple[ExposureSetup, ...]
    stars: Stars
    known: NDArray[np.bool_]
    counts: Mapping[str, int]
    movers: tuple[Mover, ...] = ()
    variations: Mapping[int, Mapping[int, Variation]] | None = None
    placed_streaks: tuple[PlacedStreak, ...] = ()

    @property
    def span_mjd(self) -> tuple[float, float]:
        """First and last moment of the films of the sky."""
        sky = [s for s in self.setups if s.kind == "object"]
        return sky[0].mjd_start, sky[-1].mjd_start + sky[-1].n_frames * sky[-1].frame_interval_s / 86_400.0

    def nominal(self, detector_id: int) -> Projection:
        """Where a detector looks if nothing is hidden."""
        return Projection.nominal(*self.center, detector_id)


def make_plan(
    seed: int,
    stars: Stars,
    conditions: Conditions,
    setups: Sequence[ExposureSetup],
    counts: Mapping[str, int],
    *,
    center: tuple[float, float],
    detectors: Sequence[int],
) -> tuple[Plan, pa.Table]:
    """The plan and the observer's catalog; ``stars`` may lack colours."""  # fmt: skip
    sky = with_colors(seed, stars)
    catalog, known = observed_catalog(seed, sky, ~np.isnan(stars.bp_rp))
    plan = Plan(seed, conditions, center, tuple(setups), sky, known, counts)
    movers = [
        mover for d in (DETECTOR_IDS if counts["movers"] else ())
        for mover in draw_movers(seed, d, plan.nominal(d), plan.span_mjd, counts["movers"])
    ]  # fmt: skip
    variations = {d: draw_variables(seed, sky, plan.nominal(d), plan.span_mjd, counts) for d in detectors}
    return replace(plan, movers=tuple(movers), variations=variations), catalog


def read_table(path: str | os.PathLike[str] | None) -> Stars | None:
    """Stars of a table, if there is one."""
    return None if path is None else read_stars(path)


def choose_center(
    table: Stars | None, center: tuple[float, float] | None, detectors: Sequence[int]
) -> tuple[float, float]:
    """Where the telescope points: as asked, else with the first detector on the middle of a table's stars.

    Raises
    ------
    ParameterError
        If ``center`` is no position.
    """
    if center is not None:
        if not (0 <= center[0] < 360 and -89.9 <= center[1] <= 89.9):
            raise ParameterError(
                f"center must be RA 0 to 360 and Dec -89.9 to 89.9 deg, got {center[0]:g}, {center[1]:g}"
            )
        return center
    aim = middle(table) if table is not None else None
    return DEFAULT_CENTER if aim is None else pointing_for(*aim, detectors[0])


def told_center(seed: int, center: tuple[float, float], conditions: Conditions) -> tuple[float, float]:
    """Where the header says that the telescope points."""
    if conditions.mistake != "pointing":
        return center
    angle = generator(seed, "wrong pointing").uniform(0.0, 2 * np.pi)
    xi, eta = POINTING_MISTAKE_DEG * np.cos(angle), POINTING_MISTAKE_DEG * np.sin(angle)
    ra, dec = Projection(*center, xi, eta).to_sky((NX - 1) / 2, (NY - 1) / 2)
    return float(ra), float(np.clip(dec, -89.9, 89.9))


def choose_stars(
    seed: int,
    table: Stars | None,
    pointings: Sequence[tuple[float, float]],
    detectors: Sequence[int],
    mistake: str | None,
) -> Stars:
    """The stars around the detectors, for each pointing of the telescope."""  # fmt: skip
    centers = []
    for pointing in dict.fromkeys(pointings):
        for detector_id in detectors:
            ra, dec = Projection.nominal(*pointing, detector_id).to_sky((NX - 1) / 2, (NY - 1) / 2)
            centers.append((float(ra), float(dec)))
    if table is None:
        stars = synthetic_stars(seed, centers, STAR_RADIUS_DEG)
    else:
        stars = with_faint_stars(table, seed, centers, STAR_RADIUS_DEG)
    if mistake in ("planet", "saturated") and len(stars):
        stars = joined(stars, bright_stars(seed, mistake, centers[: len(detectors)]))
    return stars


def schedule(
    seed: int, night: str, exposures: int, frames: int, center: tuple[float, float]
) -> Iterator[ExposureSetup]:
    """A dark, a flat, and exposures of the sky half a second to a second apart, while the field stands high.

    The chip is up to 1.5 K warmer or cooler in the dark than under the sky.
    """
    rng = generator(seed, "schedule", night)
    first_id = (357_752 + 1000 * int(night_mjd(night) - night_mjd("2020-08-14"))) % 10_000_000
    start = round((best_start(night_mjd(night), *center) - night_mjd(night)) * 86_400e6) + int(rng.integers(1_000_000))
    temperature = rng.uniform(283.0, 291.0)
    change = rng.uniform(-1.5, 1.5)
    pause = max(600, 3 * frames) * 1_000_000
    yield ExposureSetup(first_id, "dark", night, start - pause, frames, 0.5, *center, temperature + change, 1)
    yield ExposureSetup(
        first_id + 1, "flat", night, start - pause // 2, frames, 1.0, *center, temperature + change / 2, 1
    )
    for k in range(exposures):
        now = temperature - 0.002 * k
        yield ExposureSetup(first_id + 2 + k, "object", night, start, frames, 0.5, *center, now, k + 1)
        start += frames * 500_000 + int(rng.integers(400_000, 900_000))
