"""A stand-in archive of one film with a few stars, one variable and one mover: views need no more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightkurve
import numpy as np
import pyarrow as pa
import pytest
from astropy import units as u
from astropy.time import Time
from astropy.wcs import WCS

from tomoe_explore import schema
from tomoe_explore.archive.mover_film import MoverFilm
from tomoe_explore.errors import NotFoundError
from tomoe_explore.magnitudes import mag_err, mag_g

PERIOD_S = 3.7
N_STARS = 40
REDUCTION = 357754112001


class StandIn:
    """What views use of an archive."""

    root = Path("stand-in")

    def __init__(self, *, ra: float = 310.0, movers: int = 2) -> None:
        rng = np.random.default_rng(7)
        self.ra = (ra + rng.uniform(-0.3, 0.3, N_STARS)) % 360
        self.dec = -12.0 + rng.uniform(-0.18, 0.18, N_STARS)
        self.source_id = REDUCTION * 100_000 + np.arange(N_STARS)
        mover_id, frame = REDUCTION * 100_000, np.arange(18)
        self.tables = {
            "sources": self._filled(
                "sources", N_STARS, source_id=self.source_id, ra=self.ra, dec=self.dec, n_frames=18,
                mag=rng.uniform(11, 18, N_STARS), chi2=rng.chisquare(17, N_STARS) / 17,
            ),
            "stacks": self._filled("stacks", 1, footprint=_box(ra, -12.0)),
            "movers": self._filled(
                "movers", movers, mover_id=mover_id + np.arange(movers), ra=310.0, dec=-12.0, x=1000.0, y=500.0,
                rate=3.0, mag=15.0, score=np.arange(movers)[::-1], snr=20.0,
            ),
            "mover_detections": self._filled(
                "mover_detections", 18, mover_id=mover_id, frame=frame, x=1000.0 + 1.2 * (frame - 8.5), y=500.0
            ),
        }  # fmt: skip

    @staticmethod
    def _filled(name: str, rows: int, **given: Any) -> pa.Table:
        """A table whose other columns hold something of the right type."""
        columns: dict[str, Any] = {}
        for column in schema.TABLES[name].columns:
            value = given.get(column.name, "" if column.type == pa.string() else 1)
            array = np.broadcast_to(value, rows) if np.ndim(value) == 0 else np.asarray(value)
            columns[column.name] = pa.array(array).cast(column.type)
        return schema.conform(name, columns)

    def table(self, name: str, *, night: str | None = None, columns: list[str] | None = None) -> pa.Table:
        table = self.tables[name]
        table = table[:0] if night == "1999-01-01" else table
        return table.select(columns) if columns else table

    def light_curve(self, position: tuple[float, float], radius: str = "3 arcsec") -> lightkurve.LightCurve:
        """180 frames in ten films; a sinusoid of `PERIOD_S`."""
        if not np.any(np.hypot(self.ra - position[0], self.dec - position[1]) < 1e-3):
            raise NotFoundError(f"no source within {radius} of {position}")
        rng = np.random.default_rng(3)
        frame, film = np.tile(np.arange(18), 10), np.repeat(np.arange(10), 18)
        t = 0.5 * frame + 9.5 * film
        flux = 1e6 * (1 + 0.2 * np.sin(2 * np.pi * t / PERIOD_S)) + rng.normal(0, 2e4, len(t))
        error = np.full(len(t), 2e4)
        flags = np.zeros(len(t), np.int32)
        flags[5] = schema.Flag.STREAK
        curve = lightkurve.LightCurve(
            time=Time(59075.5 + t / 86400, format="mjd", scale="utc"), flux=flux * u.nJy, flux_err=error * u.nJy
        )
        curve["mag"], curve["mag_err"] = mag_g(flux), mag_err(flux, error)
        curve["flags"], curve["frame"], curve["exposure_id"] = flags, frame, film + 357754
        curve["source_id"] = np.full(len(t), self.source_id[0])
        curve.meta["LABEL"] = "test star"
        return curve

    def mover_film(self, mover_id: int, *, comoving: bool = False) -> MoverFilm:
        """A point that moves along x, with a fixed star beside it; frame 3 was lost."""
        y, x = np.mgrid[:41, :65]
        at = 32.0 + 1.2 * (np.arange(18) - 8.5)
        spot = [np.exp(-0.5 * ((x - a) ** 2 + (y - 20) ** 2) / 1.5**2) for a in at]
        star = 3 * np.exp(-0.5 * ((x - 12) ** 2 + (y - 30) ** 2) / 1.5**2)
        frames = (100 * (np.array(spot) + star) + np.random.default_rng(1).normal(0, 5, x.shape)).astype(np.float32)
        frames[3] = np.nan
        mjd = 59075.5 + np.arange(18) / 172_800
        return MoverFilm(
            frames,
            mjd,
            968,
            480,
            357754,
            112,
            REDUCTION,
            WCS(naxis=2),
            "kept",
            mover_id,
            at,
            np.full(18, 20.0),
            comoving,
        )


def _box(ra: float, dec: float) -> str:
    corners = [(ra - 0.33, dec - 0.19), (ra + 0.33, dec - 0.19), (ra + 0.33, dec + 0.19), (ra - 0.33, dec + 0.19)]
    return "POLYGON ICRS " + " ".join(f"{a % 360:.6f} {d:.6f}" for a, d in corners)


@pytest.fixture(scope="session")
def stand_in() -> StandIn:
    return StandIn()


@pytest.fixture(scope="session")
def stand_in_at_zero_hours() -> StandIn:
    """Its field lies across RA 0."""
    return StandIn(ra=0.0, movers=0)
