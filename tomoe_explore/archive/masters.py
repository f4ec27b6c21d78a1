"""Master darks and flats: kept, and found for a film. A wrong one is never given."""

from __future__ import annotations

from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa

from tomoe_explore.archive import registry as tables
from tomoe_explore.archive.layout import Layout
from tomoe_explore.archive.master_file import read_master, write_master
from tomoe_explore.archive.registry import Registry
from tomoe_explore.archive.reserve import FilmFile, finite, now, record_exposure, record_film
from tomoe_explore.archive.staging import staged
from tomoe_explore.data import Exposure, Master, Masters
from tomoe_explore.errors import NoMastersError

#: Darks taken within this many days of the nearest are told apart by the sensor's temperature.
SAME_EPOCH_D = 0.6

#: Frame exposure times that differ by less are the same, s.
EXPTIME_TOLERANCE_S = 1e-3


def add_master(
    registry: Registry, layout: Layout, master: Master, film: FilmFile, *, dark_id: str | None, code_version: str
) -> str:
    """Store a master; see `Archive.add_master`."""
    exposure = master.exposure
    table = tables.masters
    if registry.rows(sa.select(table.c.master_id).where(table.c.master_id == master.master_id)):
        return master.master_id
    path = layout.master(exposure.night, master.master_id)
    with staged(layout, master.master_id) as staging:
        writer = partial(write_master, master, film_checksum=film.checksum, dark_id=dark_id, code_version=code_version)
        file = staging.write(path, writer)
        staging.publish()
    row = {
        "master_id": master.master_id, "kind": master.kind, "path": path.as_posix(),
        "exposure_id": exposure.exposure_id, "detector_id": exposure.detector_id, "night": exposure.night,
        "mjd": float(exposure.mid_times((exposure.n_frames - 1) / 2, 0)), "n_frames": exposure.n_frames,
        "exptime": exposure.n_frames * exposure.exptime1_s, "exptime1": exposure.exptime1_s,
        "temperature": finite(exposure.temperature_k), "gain": exposure.gain_mode.gain,
        "gain_mode": exposure.gain_mode.name, "level": float(master.level), "rms": float(master.rms),
        "created": now(), "code_version": code_version, "film_checksum": film.checksum, "dark_id": dark_id,
        "checksum": file.checksum, "bytes": file.bytes,
    }  # fmt: skip
    with registry.writing() as connection:
        record_exposure(connection, exposure)
        if film.path:
            record_film(connection, exposure, film)
        known = connection.execute(sa.select(table.c.master_id).where(table.c.master_id == master.master_id)).first()
        if known is None:
            connection.execute(sa.insert(table).values(**row))
    return master.master_id


def find_masters(registry: Registry, layout: Layout, exposure: Exposure) -> Masters:
    """Masters for a film; see `Archive.find_masters`."""
    c = tables.masters.c
    rows = registry.rows(sa.select(tables.masters).where(c.detector_id == exposure.detector_id))
    fitting = [row for row in rows if row["gain_mode"] == exposure.gain_mode.name]
    darks = [r for r in fitting if r["kind"] == "dark" and _same_exptime(r, exposure)]
    if not darks:
        raise NoMastersError(
            f"no master dark fits {exposure.where}: expected detector {exposure.detector_id}, "
            f"{exposure.gain_mode.name} gain, {exposure.exptime1_s:g} s a frame (one every "
            f"{exposure.frame_interval_s:g} s by TFRAME, PROJECT says {exposure.project!r}); "
            f"the archive has {_listed(rows)}"
        )
    dark = _nearest(darks, exposure)
    flats = [r for r in fitting if r["kind"] == "flat"]
    flat = _nearest(flats, exposure) if flats else None
    return Masters(read_cached(layout.root / dark["path"]), read_cached(layout.root / flat["path"]) if flat else None)


@lru_cache(maxsize=4)
def read_cached(path: Path) -> Master:
    """Masters never change, and the films of one detector follow each other."""
    return read_master(path)


def _same_exptime(row: sa.RowMapping, exposure: Exposure) -> bool:
    return abs(row["exptime1"] - exposure.exptime1_s) < EXPTIME_TOLERANCE_S


def _nearest(rows: list[sa.RowMapping], exposure: Exposure) -> sa.RowMapping:
    """Nearest in time; of those taken together, the one at the nearest temperature, where temperatures are known."""

    def days(row: sa.RowMapping) -> float:
        return abs(float(row["mjd"]) - exposure.mjd_start)

    nearest = min(map(days, rows))

    def order(row: sa.RowMapping) -> tuple[Any, ...]:
        known = row["temperature"] is not None and np.isfinite(exposure.temperature_k)
        kelvin = abs(row["temperature"] - exposure.temperature_k) if known else np.inf
        return kelvin, days(row), row["master_id"]

    return min((row for row in rows if days(row) <= nearest + SAME_EPOCH_D), key=order)


def _listed(rows: Any) -> str:
    words = sorted({f"{r['kind']} {r['gain_mode']} gain {r['exptime1']:g} s" for r in rows})
    return f"of this detector: {', '.join(words)}" if words else "none of this detector"


def master_of(registry: Registry, checksum: str) -> str | None:
    """The master made from a film, if there is one."""
    c = tables.masters.c
    rows = registry.rows(sa.select(c.master_id).where(c.film_checksum == checksum))
    return str(rows[0]["master_id"]) if rows else None
