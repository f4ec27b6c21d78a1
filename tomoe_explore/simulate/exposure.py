"""One film: what its detector sees in one exposure, and the truth about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tomoe_explore.camera import NX, NY
from tomoe_explore.magnitudes import flux_njy
from tomoe_explore.simulate.atmosphere import Atmosphere
from tomoe_explore.simulate.draws import generator
from tomoe_explore.simulate.film import Trail
from tomoe_explore.simulate.header import ExposureSetup
from tomoe_explore.simulate.movers import Mover
from tomoe_explore.simulate.projection import Projection
from tomoe_explore.simulate.sensor import Sensor
from tomoe_explore.simulate.stars import Stars
from tomoe_explore.simulate.streaks import StreakTrack
from tomoe_explore.simulate.truth import TruthTables
from tomoe_explore.simulate.variables import Variation

Array = NDArray[np.float64]
_MARGIN_PX = 60.0  #: stars this far outside still throw light on the detector


@dataclass(frozen=True)
class FilmSetup:
    """One detector in one exposure.

    Attributes
    ----------
    setup, air, sensor : ExposureSetup, Atmosphere, Sensor
    projection : Projection
        The true one.
    """

    setup: ExposureSetup
    air: Atmosphere
    sensor: Sensor
    projection: Projection

    @property
    def keys(self) -> dict[str, int]:
        """``exposure_id`` and ``detector_id``, as all tables have them."""
        return {"exposure_id": self.setup.exposure_id, "detector_id": self.sensor.detector_id}

    @property
    def clear(self) -> Array:
        """Transparency of the frames that a stack uses (all but frame 0)."""
        return self.air.transparency[1:] if self.setup.n_frames > 1 else self.air.transparency

    @property
    def sky_electrons(self) -> float:
        """Sky electrons a perfect pixel and frame."""
        mag = self.air.sky_mag - 2.5 * np.log10(self.projection.scale**2)
        return float(10.0 ** (0.4 * (self.sensor.zeropoint_e_s - mag)) * self.setup.exptime1_s)

    @property
    def noise_electrons(self) -> float:
        """Noise of an empty pixel of median response in one frame."""
        return float(np.sqrt(self.sky_electrons * self.sensor.median_response + self.sensor.read_noise_e**2))

    @property
    def zeropoint(self) -> float:
        """Gaia G (Vega) of 1 ADU a frame on flat-fielded frames (flat of median 1), in the film's mean transparency."""
        electrons = self.setup.exptime1_s * self.sensor.median_response * float(self.clear.mean()) / self.sensor.gain
        return float(self.sensor.zeropoint_e_s - self.air.extinction_mag + 2.5 * np.log10(electrons))

    def electrons_per_s(self, mag: Array | float) -> Array:
        """Of a star through the film's air at transparency 1, on a perfect pixel."""
        return np.asarray(10.0 ** (0.4 * (self.sensor.zeropoint_e_s - self.air.extinction_mag - np.asarray(mag))))


def place_stars(
    film: FilmSetup,
    stars: Stars,
    known: NDArray[np.bool_],
    variations: Mapping[int, Variation],
    *,
    seed: int,
    truth: TruthTables,
) -> tuple[Array, Array, Array]:
    """Positions (px) and electrons in each frame of the stars on the detector; their truth is noted.

    ``known`` says which stars the reference catalog has.
    """  # fmt: skip
    setup = film.setup
    ra, dec = stars.at(setup.mjd_start)
    x, y = film.projection.to_pixels(ra, dec)
    near = (np.abs(x - (NX - 1) / 2) < NX / 2 + _MARGIN_PX) & (np.abs(y - (NY - 1) / 2) < NY / 2 + _MARGIN_PX)
    stars, known, ra, dec, x, y = stars[near], known[near], ra[near] % 360.0, dec[near], x[near], y[near]
    frames = np.arange(setup.n_frames)[:, None]
    factor = np.ones((setup.n_frames, len(stars)))
    varies = np.isin(stars.star_id, list(variations))
    for k in np.flatnonzero(varies):
        factor[:, k] = variations[int(stars.star_id[k])].factor(setup.mid_times(frames[:, 0], y[k]))
    inside = (np.abs(x - (NX - 1) / 2) <= NX / 2) & (np.abs(y - (NY - 1) / 2) <= NY / 2)
    shown = stars[inside]
    truth.add(
        "stars", **film.keys, star_id=shown.star_id, ref_id=pa.array(shown.source_id, mask=~known[inside]),
        ra=ra[inside], dec=dec[inside], pmra=shown.pmra, pmdec=shown.pmdec, phot_g_mean_mag=shown.mag,
        bp_rp=pa.array(shown.bp_rp, mask=np.isnan(shown.bp_rp)), x=x[inside], y=y[inside],
        flux=flux_njy(shown.mag) * factor[:, inside].mean(axis=0), is_variable=varies[inside],
    )  # fmt: skip
    sigma = film.air.scintillation
    rng = generator(seed, "scintillation", setup.exposure_id, film.sensor.detector_id)
    twinkle = np.exp(rng.normal(-(sigma**2) / 2, sigma, factor.shape))
    electrons = film.electrons_per_s(stars.mag) * setup.exptime1_s * film.air.transparency[:, None] * factor * twinkle
    return x, y, electrons


def place_movers(film: FilmSetup, movers: Sequence[Mover], truth: TruthTables) -> list[Trail]:
    """Trails of the movers in all frames; their truth is noted where they are on the detector."""
    setup, trails = film.setup, []
    frames = np.arange(setup.n_frames)
    for mover in movers:
        row = np.full(setup.n_frames, (NY - 1) / 2)
        for _ in range(4):  # the row says when it is exposed, the time says in which row it is
            mjd = setup.mid_times(frames, row)
            ra, dec = mover.at(mjd)
            x, row = film.projection.to_pixels(ra, dec)
        inside = (np.abs(x - (NX - 1) / 2) <= NX / 2) & (np.abs(row - (NY - 1) / 2) <= NY / 2)
        truth.add(
            "mover_positions", **film.keys, mover_id=np.full(int(inside.sum()), mover.mover_id), frame=frames[inside],
            mjd=mjd[inside], ra=ra[inside], dec=dec[inside], x=x[inside], y=row[inside], mag=mover.mag,
        )  # fmt: skip
        if inside.any():
            _note_mover(film, mover, float(row.mean()), truth)
        trails += [_mover_trail(film, mover, int(n)) for n in frames]
    return trails


def _note_mover(film: FilmSetup, mover: Mover, row: float, truth: TruthTables) -> None:
    """The mover at the middle of the film."""
    mjd = film.setup.mid_times((film.setup.n_frames - 1) / 2, row)
    ra, dec = mover.at(mjd)
    x, y = film.projection.to_pixels(ra, dec)
    truth.add(
        "movers", **film.keys, mover_id=[mover.mover_id], mjd=[float(mjd)], ra=[float(ra)], dec=[float(dec)],
        x=[float(x)], y=[float(y)], rate=mover.rate, position_angle=mover.position_angle, mag=mover.mag,
    )  # fmt: skip


def _mover_trail(film: FilmSetup, mover: Mover, n: int) -> Trail:
    start = film.setup.mjd_start + n * film.setup.frame_interval_s / 86_400.0
    x, y = film.projection.to_pixels(*mover.at(start + np.array([0.0, 1.0]) / 86_400.0))
    track = (float(x[0]), float(y[0]), float(x[1] - x[0]), float(y[1] - y[0]))
    return Trail(n, track, (0.0, 1e9), float(film.electrons_per_s(mover.mag)))


def place_streaks(film: FilmSetup, streaks: Sequence[StreakTrack], truth: TruthTables) -> list[Trail]:
    """Trails of the streaks in the frames that see them; one row of truth a frame.

    ``mag`` is the brightness of the source itself, not of what its trail holds; ``snr`` is of a pixel on the ridge.
    """
    setup, trails = film.setup, []
    for streak in streaks:
        fwhm, beta = float(film.air.fwhm_px.mean()), film.air.beta
        rate = streak.electrons_per_s(film.noise_electrons, fwhm, beta)
        for n in range(setup.n_frames):
            offset = n * setup.frame_interval_s
            track = (streak.x + streak.vx * offset, streak.y + streak.vy * offset, streak.vx, streak.vy)
            seen = streak.seen(n, setup.frame_interval_s, setup.exptime1_s)
            if seen is None:
                continue
            trails.append(Trail(n, track, (streak.on_s - offset, streak.off_s - offset), rate))
            _note_streak(film, streak, (n, *seen), rate, truth)
    return trails


def _note_streak(
    film: FilmSetup, streak: StreakTrack, seen: tuple[int, float, float], rate: float, truth: TruthTables
) -> None:
    n, first, last = seen
    x = streak.x + streak.vx * np.array([first, last])
    y = streak.y + streak.vy * np.array([first, last])
    ra, dec = film.projection.to_sky(x, y)
    scale = film.projection.scale
    mag = film.sensor.zeropoint_e_s - film.air.extinction_mag - 2.5 * np.log10(rate)
    truth.add(
        "streaks", **film.keys, streak_id=[streak.streak_id], frame_first=n, frame_last=n,
        mjd_first=film.setup.mjd_start + first / 86_400.0, mjd_last=film.setup.mjd_start + last / 86_400.0,
        ra1=float(ra[0]), dec1=float(dec[0]), ra2=float(ra[1]), dec2=float(dec[1]),
        x1=float(x[0]), y1=float(y[0]), x2=float(x[1]), y2=float(y[1]),
        length=float(np.hypot(x[1] - x[0], y[1] - y[0])) * scale, rate=float(np.hypot(streak.vx, streak.vy)) * scale,
        mag=float(mag), width=float(film.air.fwhm_px[n]) * scale, snr=streak.peak_snr, flags=0,
        **{"class": "satellite"},
    )  # fmt: skip


def note_frames(film: FilmSetup, truth: TruthTables) -> None:
    """The truth of the frames, and the film's hidden draws."""
    frames = np.arange(film.setup.n_frames)
    sky_adu = film.sky_electrons * film.sensor.median_response / film.sensor.gain
    truth.add(
        "frames", **film.keys, frame=frames, mjd=film.setup.mid_times(frames, (NY - 1) / 2), dx=film.air.dx_px,
        dy=film.air.dy_px, fwhm=film.air.fwhm_px * film.projection.scale, sky=np.full(len(frames), sky_adu),
        transparency=film.air.transparency / film.clear.mean(),
    )  # fmt: skip
    sensor, where = film.sensor, film.projection
    truth.hidden.append(
        film.keys | {
            "gain": sensor.gain, "read_noise_e": sensor.read_noise_e, "full_well_e": sensor.full_well_e,
            "zeropoint": film.zeropoint, "airmass": film.air.airmass, "scintillation": film.air.scintillation,
            "beta": film.air.beta, "fwhm_px": float(film.air.fwhm_px.mean()), "telescope_ra": where.ra,
            "telescope_dec": where.dec, "xi": where.xi, "eta": where.eta, "rotation_deg": where.rotation_deg,
            "scale": where.scale, "median_response": film.sensor.median_response,
        }
    )  # fmt: skip
