"""Stars, movers, streaks and glints on one film, and the truth about them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tomoe_explore.camera import COLOR_PIVOT, NX, NY
from tomoe_explore.magnitudes import flux_njy
from tomoe_explore.simulate.exposure import FilmSetup
from tomoe_explore.simulate.film import StarLight, Trail
from tomoe_explore.simulate.movers import Mover
from tomoe_explore.simulate.stars import Stars
from tomoe_explore.simulate.streaks import StreakTrack
from tomoe_explore.simulate.trail_snr import trail_snr
from tomoe_explore.simulate.truth import TruthTables
from tomoe_explore.simulate.variables import Variation

Array = NDArray[np.float64]
_MARGIN_PX = 60.0  #: stars this far outside still throw light on the detector
_BRIGHT_MAG, _BRIGHT_MARGIN_PX = 9.0, 400.0  #: the bright ones from farther away


def place_stars(
    film: FilmSetup, stars: Stars, known: NDArray[np.bool_], variations: Mapping[int, Variation], truth: TruthTables
) -> Iterator[StarLight]:
    """The light of the stars in each frame; their truth is noted at once.

    Parameters
    ----------
    film : FilmSetup
    stars : Stars
        All with a colour.
    known : ndarray of bool
        Which stars the reference catalog has.
    variations : mapping
        By ``star_id``.
    truth : TruthTables
    """
    setup = film.setup
    ra, dec = stars.at(setup.mjd_start)
    x, y = _where_light_falls(film, ra, dec, stars.bp_rp)
    margin = np.where(stars.mag < _BRIGHT_MAG, _BRIGHT_MARGIN_PX, _MARGIN_PX) + np.abs(film.shifts).max()
    near = (np.abs(x - (NX - 1) / 2) < NX / 2 + margin) & (np.abs(y - (NY - 1) / 2) < NY / 2 + margin)
    near &= not film.closed
    stars, known, ra, dec, x, y = stars[near], known[near], ra[near] % 360.0, dec[near], x[near], y[near]
    frames = np.arange(setup.n_frames)[:, None]
    factor = np.ones((setup.n_frames, len(stars)))
    varies = np.isin(stars.star_id, list(variations))
    for k in np.flatnonzero(varies):
        factor[:, k] = variations[int(stars.star_id[k])].factor(setup.mid_times(frames[:, 0], y[k]))
    inside = _inside(x, y)
    shown = stars[inside]
    truth.add(
        "stars", **film.keys, star_id=shown.star_id, ref_id=pa.array(shown.source_id, mask=~known[inside]),
        ra=ra[inside], dec=dec[inside], pmra=shown.pmra, pmdec=shown.pmdec, phot_g_mean_mag=shown.mag,
        bp_rp=shown.bp_rp, x=x[inside], y=y[inside],
        flux=flux_njy(shown.mag) * factor[:, inside].mean(axis=0), is_variable=varies[inside],
    )  # fmt: skip
    electrons = film.electrons_per_s(stars.mag, stars.bp_rp) * setup.exptime1_s * factor
    electrons *= film.passed(frames, x, y) * film.twinkle("stars", 0, len(stars))
    return _frame_by_frame(film, x, y, electrons)


def _frame_by_frame(film: FilmSetup, x: Array, y: Array, electrons: Array) -> Iterator[StarLight]:
    for n in range(film.setup.n_frames):
        shift, blur = film.moved(n, x, y)
        yield StarLight(x + shift[0], y + shift[1], electrons[n], film.shape(n, x, y, blur))


def _where_light_falls(film: FilmSetup, ra: Array, dec: Array, bp_rp: Array) -> tuple[Array, Array]:
    """Pixels of stars, with the refraction of their colour."""
    x, y = film.projection.to_pixels(ra, dec)
    dx, dy = film.color_shift
    from_pivot = bp_rp - COLOR_PIVOT
    return x + dx * from_pivot, y + dy * from_pivot


def _inside(x: Array, y: Array) -> NDArray[np.bool_]:
    return (np.abs(x - (NX - 1) / 2) <= NX / 2) & (np.abs(y - (NY - 1) / 2) <= NY / 2)


def place_movers(film: FilmSetup, movers: Sequence[Mover], truth: TruthTables) -> list[Trail]:
    """Trails of the movers in all frames; their truth is noted where they are on the detector."""
    setup, trails = film.setup, []
    frames = np.arange(setup.n_frames)
    for mover in movers:
        if mover.exposure_id not in (None, setup.exposure_id):
            continue
        row = np.full(setup.n_frames, (NY - 1) / 2)
        for _ in range(4):  # the row says when it is exposed, the time says in which row it is
            mjd = setup.mid_times(frames, row)
            ra, dec = mover.at(mjd)
            x, row = film.projection.to_pixels(ra, dec)
            row = np.clip(np.nan_to_num(row, nan=-1e4), -1e4, 1e4)
        near = (np.abs(x - (NX - 1) / 2) < NX / 2 + _MARGIN_PX) & (np.abs(row - (NY - 1) / 2) < NY / 2 + _MARGIN_PX)
        if film.closed or not near.any():
            continue
        inside = _inside(x, row)
        twinkle = film.twinkle("mover", mover.mover_id)[:, 0] * film.passed(frames, x, row)
        if mover.snr is not None:
            mover = _as_bright_as_wanted(film, mover, (x, row, twinkle), inside)
        truth.add(
            "mover_positions", **film.keys, mover_id=np.full(int(inside.sum()), mover.mover_id), frame=frames[inside],
            mjd=mjd[inside], ra=ra[inside], dec=dec[inside], x=x[inside], y=row[inside], mag=mover.mag,
        )  # fmt: skip
        if inside.any():
            _note_mover(film, mover, float(row.mean()), truth)
        trails += [_mover_trail(film, mover, int(n), (x[n], row[n]), float(twinkle[n])) for n in frames]
    return trails


def _as_bright_as_wanted(
    film: FilmSetup, mover: Mover, seen: tuple[Array, Array, Array], inside: NDArray[np.bool_]
) -> Mover:
    """The mover with the magnitude at which the rms over frames of its signal to noise is the one asked for."""
    assert mover.snr is not None
    x, row, twinkle = seen
    some = replace(mover, mag=15.0)
    found = [
        trail_snr(film, _mover_trail(film, some, int(n), (x[n], row[n]), float(twinkle[n])), (x[n], row[n]))
        for n in np.flatnonzero(inside)
    ]
    rms = float(np.sqrt(np.mean(np.square(found)))) if found else 1.0
    return replace(some, mag=some.mag + 2.5 * float(np.log10(rms / mover.snr)))


def _note_mover(film: FilmSetup, mover: Mover, row: float, truth: TruthTables) -> None:
    """The mover at the middle of the film."""
    mjd = film.setup.mid_times((film.setup.n_frames - 1) / 2, row)
    ra, dec = mover.at(mjd)
    x, y = film.projection.to_pixels(ra, dec)
    truth.add(
        "movers", **film.keys, mover_id=[mover.mover_id], mjd=[float(mjd)], ra=[float(ra)], dec=[float(dec)],
        x=[float(x)], y=[float(y)], rate=mover.rate, position_angle=mover.position_angle, mag=mover.mag,
    )  # fmt: skip


def _mover_trail(film: FilmSetup, mover: Mover, n: int, where: tuple[float, float], twinkle: float) -> Trail:
    start = film.setup.mjd_start + n * film.setup.frame_interval_s / 86_400.0
    x, y = film.projection.to_pixels(*mover.at(start + np.array([0.0, 1.0]) / 86_400.0))
    track = (float(x[0]), float(y[0]), float(x[1] - x[0]), float(y[1] - y[0]))
    return _trail(film, n, (track, (-1e9, 1e9)), where, float(film.electrons_per_s(mover.mag)) * twinkle)


def _trail(
    film: FilmSetup,
    n: int,
    course: tuple[tuple[float, float, float, float], tuple[float, float]],
    where: tuple[float, float],
    rate: float,
    blur_px2: float = 0.0,
) -> Trail:
    """A trail of a track and the seconds at which it shines, with the tilt and the star image of a place."""
    (x, y, vx, vy), on = course
    dx, dy = film.tilt.at(n, *where)
    xx, xy, yy = film.shape(n, *where, np.array([blur_px2, 0.0, blur_px2]) if blur_px2 else None)
    return Trail(n, (x + float(dx), y + float(dy), vx, vy), on, rate, (float(xx), float(xy), float(yy)))


def place_streaks(film: FilmSetup, streaks: Sequence[StreakTrack], truth: TruthTables) -> list[Trail]:
    """Trails of streaks and glints in the frames that see them; one row of truth a frame.

    ``mag`` is the brightness of the source itself, not of what its trail holds; of a glint, that of a star which gives
    as much light in the frame. ``snr`` is of the brightest pixel (on the ridge of a trail).
    """
    setup, trails = film.setup, []
    if film.closed:
        return []
    for streak in streaks:
        for n in range(setup.n_frames):
            offset = n * setup.frame_interval_s
            seen = streak.seen(n, setup.frame_interval_s, setup.exptime1_s)
            if seen is None:
                continue
            track = (streak.x + streak.vx * offset, streak.y + streak.vy * offset, streak.vx, streak.vy)
            where = streak.at(sum(seen) / 2)
            passed = float(film.passed(n, *where)) * float(film.twinkle("streak", streak.streak_id)[n, 0])
            rate = float(film.electrons_per_s(streak.mag))
            for on, off, part in streak.parts:
                course = track, (on - offset, off - offset)
                trails.append(_trail(film, n, course, where, rate * passed * part, streak.blur_px2))
            _note_streak(film, streak, (n, *seen), rate, truth)
    return trails


def _note_streak(
    film: FilmSetup, streak: StreakTrack, seen: tuple[int, float, float], rate: float, truth: TruthTables
) -> None:
    n, first, last = seen
    x, y = np.array([streak.at(first), streak.at(last)]).T
    ra, dec = film.projection.to_sky(x, y)
    scale, fwhm = film.projection.scale, float(film.air.fwhm_px[n])
    glint = streak.kind == "glint"
    mag = streak.mag - 2.5 * np.log10((last - first) / film.setup.exptime1_s) if glint else streak.mag
    truth.add(
        "streaks", **film.keys, streak_id=[streak.streak_id], frame_first=n, frame_last=n,
        mjd_first=film.setup.mjd_start + first / 86_400.0, mjd_last=film.setup.mjd_start + last / 86_400.0,
        ra1=float(ra[0]), dec1=float(dec[0]), ra2=float(ra[1]), dec2=float(dec[1]),
        x1=float(x[0]), y1=float(y[0]), x2=float(x[1]), y2=float(y[1]),
        length=float(np.hypot(x[1] - x[0], y[1] - y[0])) * scale, rate=None if glint else streak.speed * scale,
        mag=float(mag), width=fwhm * scale,
        snr=streak.peak(rate, last - first, fwhm, film.air.beta) / film.noise_electrons, flags=0,
        **{"class": streak.kind},
    )  # fmt: skip


def note_frames(film: FilmSetup, truth: TruthTables) -> None:
    """The truth of the frames, and the film's hidden draws."""
    frames = np.arange(film.setup.n_frames)
    sensor, air = film.sensor, film.air
    dx, dy = film.shifts
    truth.add(
        "frames", **film.keys, frame=frames, mjd=film.setup.mid_times(frames, (NY - 1) / 2), dx=dx, dy=dy,
        fwhm=film.fwhm_px * film.projection.scale, sky=film.sky_electrons * sensor.median_response / sensor.gain,
        transparency=film.transparency / film.clear if film.clear > 0 else film.transparency,
    )  # fmt: skip
    truth.hidden.append(
        film.keys | {
            "mistake": film.mistake, "gain_mode": sensor.mode, "gain": sensor.gain,
            "read_noise_e": sensor.read_noise_e, "full_well_e": sensor.full_well_e,
            "nonlinearity": sensor.nonlinearity, "color_term": sensor.color_term,
            "zeropoint": None if film.closed else film.zeropoint,
            "airmass": air.airmass, "scintillation": air.scintillation, "cloud": air.cloud.extinction,
            "beta": air.beta, "fwhm_px": float(film.fwhm_px.mean()), "scale": film.projection.scale,
            "median_response": sensor.median_response, "sky_slope": air.sky_slope,
            "drift_px_s": air.motion.drift, "color_shift_px": film.color_shift,
            "projection": asdict(film.projection), "optics": asdict(sensor.optics),
        }
    )  # fmt: skip
