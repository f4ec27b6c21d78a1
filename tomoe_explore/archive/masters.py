"""Master darks and flats: kept, and found for a film. A wrong one is never given."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa

from tomoe_explore import raw
from tomoe_explore.archive import registry as tables
from tomoe_explore.archive.layout import Layout
from tomoe_explore.archive.master_file import read_master, write_master
from tomoe_explore.archive.registry import Registry
from tomoe_explore.archive.reserve import FilmFile, finite, now, record_exposure, record_film
from tomoe_explore.archive.staging import clear_errors, make_directory, sync
from tomoe_explore.archive.swap import Swap
from tomoe_explore.camera import dark_current
from tomoe_explore.data import Exposure, Master, Masters
from tomoe_explore.errors import NoMastersError
from tomoe_explore.limits import LIMITS, Limits

#: A record of the registry's ``masters``: a mapping, though not by its type.
Row = Any

_KNOWN = sa.select(tables.masters.c.master_id).where(tables.masters.c.master_id == sa.bindparam("this"))
_OF_DETECTOR = sa.select(tables.masters).where(tables.masters.c.detector_id == sa.bindparam("detector"))

#: Darks within so many days of each other are of one night and ought to agree.
SAME_NIGHT_D = 0.6

#: Frame exposure times that differ by less are the same, s.
EXPTIME_TOLERANCE_S = 1e-3


def add_master(
    registry: Registry, layout: Layout, master: Master, film: FilmFile, *, dark_id: str | None, code_version: str
) -> str:
    """Store a master; see `Archive.add_master`."""
    exposure = master.exposure
    if registry.rows(_KNOWN, this=master.master_id):
        return master.master_id
    swap = Swap.begin(layout)
    try:
        staged, path = swap.directory / f"{master.master_id}.fits", layout.master(exposure.night, master.master_id)
        with clear_errors(layout.root):
            write_master(master, staged, film_checksum=film.checksum, dark_id=dark_id, code_version=code_version)
            sync(staged)
            written = {"checksum": raw.checksum(staged), "bytes": staged.stat().st_size}
            make_directory(layout.root / path.parent)
        row = {
            "path": path.as_posix(), "film_checksum": film.checksum, "dark_id": dark_id, "code_version": code_version,
            **_described(master), **written,
        }  # fmt: skip
        with registry.writing() as connection:
            record_exposure(connection, exposure)
            if film.path:
                record_film(connection, exposure, film)
            if connection.execute(_KNOWN, {"this": master.master_id}).first() is None:
                # put in place where nobody else can: of two that write one master, the file is his whose record it is
                with clear_errors(layout.root):
                    staged.replace(layout.root / path)
                    sync((layout.root / path).parent)
                connection.execute(sa.insert(tables.masters).values(**row))
    finally:
        swap.end()
    return master.master_id


def _described(master: Master) -> dict[str, Any]:
    """What the registry says of a master."""
    exposure = master.exposure
    return {
        "master_id": master.master_id, "kind": master.kind, "exposure_id": exposure.exposure_id,
        "detector_id": exposure.detector_id, "night": exposure.night,
        "mjd": float(exposure.mid_times((exposure.n_frames - 1) / 2, 0)), "n_frames": exposure.n_frames,
        "exptime": exposure.n_frames * exposure.exptime1_s, "exptime1": exposure.exptime1_s,
        "temperature": finite(exposure.temperature_k), "gain": exposure.gain_mode.gain,
        "gain_mode": exposure.gain_mode.name, "level": float(master.level), "rms": float(master.rms), "created": now(),
    }  # fmt: skip


def find_masters(registry: Registry, layout: Layout, exposure: Exposure, limits: Limits = LIMITS) -> Masters:
    """Masters for a film; see `Archive.find_masters`."""
    rows = registry.rows(_OF_DETECTOR, detector=exposure.detector_id)
    fitting = [row for row in rows if row["gain_mode"] == exposure.gain_mode.name]
    darks = [r for r in fitting if r["kind"] == "dark" and _same_exptime(r, exposure)]
    if not darks:
        raise NoMastersError(
            f"no master dark fits {exposure.where}: expected detector {exposure.detector_id}, "
            f"{exposure.gain_mode.name} gain, {exposure.exptime1_s:g} s a frame (one every "
            f"{exposure.frame_interval_s:g} s by TFRAME, PROJECT says {exposure.project!r}); "
            f"the archive has {_listed(rows)}"
        )
    dark = choose_dark(darks, exposure, limits)
    flats = [r for r in fitting if r["kind"] == "flat" and _days(r, exposure) <= limits.flat_days]
    flat = min(flats, key=lambda row: (_days(row, exposure), row["master_id"]), default=None)
    return Masters(read_cached(layout.root / dark["path"]), read_cached(layout.root / flat["path"]) if flat else None)


@lru_cache(maxsize=4)
def read_cached(path: Path) -> Master:
    """Masters never change, and the films of one detector follow each other."""
    return read_master(path)


def _same_exptime(row: sa.RowMapping, exposure: Exposure) -> bool:
    return abs(row["exptime1"] - exposure.exptime1_s) < EXPTIME_TOLERANCE_S


def choose_dark(rows: Sequence[Row], exposure: Exposure, limits: Limits = LIMITS) -> Row:
    """Of the darks that fit a film, the one that costs least.

    Parameters
    ----------
    rows : sequence of mappings
        Records of masters (``master_id mjd temperature level gain exptime1``) of the film's detector, gain mode and
        frame exposure; at least one.
    exposure : Exposure
        Of the film.
    limits : Limits

    Raises
    ------
    NoMastersError
        If all are too old, or of another temperature.

    Notes
    -----
    The cost is ``|log2(D(T_dark) / D(T_film))| + |days| / days_a_doubling`` with the dark current D of
    `camera.dark_current`; an unknown temperature counts as a factor of two. Darks whose level disagrees with the
    others of their time (light in them, another bias) are passed over; see `agreeing`.
    """
    near = [
        r for r in rows if _days(r, exposure) <= limits.dark_days and _doublings(r, exposure) <= limits.dark_doublings
    ]
    if not near:
        row = min(rows, key=lambda r: _cost(r, exposure, limits))
        raise NoMastersError(
            f"no master dark is near enough to {exposure.where}: the best, {row['master_id']}, was taken "
            f"{_days(row, exposure):.1f} days away and has {2 ** _doublings(row, exposure):.1f} times as much or as "
            f"little dark current ({_kelvin(row['temperature'])}, the film {_kelvin(exposure.temperature_k)}); at most "
            f"{limits.dark_days:g} days and a factor of {2**limits.dark_doublings:g} are accepted: take darks anew"
        )
    return min(agreeing(near, limits), key=lambda r: (*_cost(r, exposure, limits), r["master_id"]))


def agreeing(rows: Sequence[Row], limits: Limits = LIMITS) -> list[Row]:
    """Darks whose level is like that of the others within half a day; all of them where fewer than three can vote.

    The level of each is brought to one temperature first: a warm dark is no outlier.
    """
    kept = []
    for row in rows:
        peers = [r for r in rows if abs(r["mjd"] - row["mjd"]) < SAME_NIGHT_D]
        levels = np.array([_level_without_dark_current(r) for r in peers])
        off = abs(_level_without_dark_current(row) - np.median(levels))
        scatter = 1.4826 * float(np.median(np.abs(levels - np.median(levels))))
        if len(peers) < 3 or off <= max(limits.dark_level_sigma * scatter, limits.dark_level_adu):
            kept.append(row)
    return kept


def _days(row: Row, exposure: Exposure) -> float:
    return abs(float(row["mjd"]) - exposure.mjd_start)


def _doublings(row: Row, exposure: Exposure) -> float:
    """Factors of two between the dark currents of a dark and a film; 1 where a temperature is unknown."""
    if row["temperature"] is None or not np.isfinite(exposure.temperature_k):
        return 1.0
    ratio = dark_current(row["temperature"]) / dark_current(exposure.temperature_k)
    return abs(float(np.log2(ratio)))


def _cost(row: Row, exposure: Exposure, limits: Limits) -> tuple[float, float]:
    days = _days(row, exposure)
    return _doublings(row, exposure) + days / limits.days_a_doubling, days


def _level_without_dark_current(row: Row) -> float:
    if row["temperature"] is None:
        return float(row["level"])
    return float(row["level"] - dark_current(row["temperature"]) * row["exptime1"] / row["gain"])


def _kelvin(temperature: float | None) -> str:
    return f"{temperature:.1f} K" if temperature is not None and np.isfinite(temperature) else "unknown temperature"


def _listed(rows: Any) -> str:
    words = sorted({f"{r['kind']} {r['gain_mode']} gain {r['exptime1']:g} s" for r in rows})
    return f"of this detector: {', '.join(words)}" if words else "none of this detector"


def master_of(registry: Registry, checksum: str) -> str | None:
    """The master made from a film, if there is one."""
    c = tables.masters.c
    rows = registry.rows(sa.select(c.master_id).where(c.film_checksum == checksum))
    return str(rows[0]["master_id"]) if rows else None
