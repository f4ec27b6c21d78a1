"""Moving objects: great circles on the sky, which the film sees row by row."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import ArrayLike, NDArray

from tomoe_explore.camera import NX, NY
from tomoe_explore.errors import NotFoundError, ParameterError
from tomoe_explore.simulate.draws import generator
from tomoe_explore.simulate.projection import Projection

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]

_NEEDED = ("ra", "dec", "mjd", "rate", "position_angle")


@dataclass(frozen=True)
class Mover:
    """An object on a great circle.

    Attributes
    ----------
    mover_id : int
    ra, dec : float
        deg at ``mjd``.
    mjd : float
        MJD, UTC.
    rate : float
        arcsec/s.
    position_angle : float
        deg, north through east, at ``mjd``.
    mag : float
        Gaia G; NaN where ``snr`` says how bright it is.
    snr : float or None
        Signal over noise in a frame, matched along the trail; on each film the magnitude that gives it.
    exposure_id : int or None
        The only exposure that it is in; None is all.

    Examples
    --------
    >>> ra, dec = Mover(1, 310.0, 0.0, 59000.0, 3.6, 90.0, 15.0).at(59000.0 + 10 / 86400)
    >>> round(float(ra), 6), round(float(dec), 6)
    (310.01, 0.0)
    """

    mover_id: int
    ra: float
    dec: float
    mjd: float
    rate: float
    position_angle: float
    mag: float
    snr: float | None = None
    exposure_id: int | None = None

    def at(self, mjd: ArrayLike) -> tuple[Array, Array]:
        """Positions (deg) at times in MJD."""
        angle = np.radians(self.rate * (np.asarray(mjd, float) - self.mjd) * 86_400.0 / 3600.0)
        d0, pa = np.radians(self.dec), np.radians(self.position_angle)
        dec = np.arcsin(np.sin(d0) * np.cos(angle) + np.cos(d0) * np.sin(angle) * np.cos(pa))
        east = np.sin(angle) * np.sin(pa)
        north = np.cos(d0) * np.cos(angle) - np.sin(d0) * np.sin(angle) * np.cos(pa)
        return (self.ra + np.degrees(np.arctan2(east, north))) % 360.0, np.degrees(dec)


def draw_movers(
    seed: int, detector_id: int, projection: Projection, span_mjd: tuple[float, float], n: int
) -> list[Mover]:
    """Movers of 2-5 arcsec/s and 15.3-16.3 mag that are inside a detector in the middle of the night's films.

    They are above 25 sigma in each frame. The same object is met in all exposures until it leaves the detector.

    Examples
    --------
    >>> [m.mover_id for m in draw_movers(1, 112, Projection.nominal(310.0, -12.0, 112), (59000.0, 59000.01), 2)]
    [112001, 112002]
    """
    rng = generator(seed, "movers", detector_id)
    movers = []
    for k in range(n):
        ra, dec = projection.to_sky(rng.uniform(0.2, 0.8) * NX, rng.uniform(0.2, 0.8) * NY)
        rate, angle, mag = rng.uniform(2.0, 5.0), rng.uniform(0.0, 360.0), rng.uniform(15.3, 16.3)
        movers.append(Mover(detector_id * 1000 + k + 1, float(ra), float(dec), sum(span_mjd) / 2, rate, angle, mag))
    return movers


def read_movers(table: str | os.PathLike[str] | pa.Table | pd.DataFrame) -> list[Mover]:
    """Movers of a table.

    Parameters
    ----------
    table : path, pyarrow.Table or pandas.DataFrame
        Parquet, if a path. Columns ``ra, dec`` (deg) at ``mjd`` (MJD, UTC), ``rate`` (arcsec/s), ``position_angle``
        (deg), and ``mag`` (Gaia G) or ``snr``; besides, if there, ``mover_id`` (else a running number) and
        ``exposure_id``, the only exposure that the mover is in.

    Raises
    ------
    NotFoundError
        If there is no such file.
    ParameterError
        If a column is missing, or a value makes no sense.

    Examples
    --------
    >>> where = {"ra": [310.0], "dec": [-12.0], "mjd": [59075.6], "rate": [2.0], "position_angle": [90.0]}
    >>> read_movers(pa.table(where | {"mag": [16.0]}))[0].mag
    16.0
    """
    if isinstance(table, (str, os.PathLike)):
        if not Path(table).is_file():
            raise NotFoundError(f"no table of movers at {table}")
        table = pq.read_table(table)
    columns = (table if isinstance(table, pa.Table) else pa.Table.from_pandas(table)).to_pydict()
    bright = [name for name in ("mag", "snr") if name in columns]
    if len(bright) != 1 or not set(columns) >= set(_NEEDED):
        raise ParameterError(
            f"mover_table needs {', '.join(_NEEDED)}, and either mag or snr; it has {', '.join(columns) or 'nothing'}"
        )
    n = len(columns["ra"])
    ids = [int(v) for v in columns.get("mover_id", range(1, n + 1))]
    if len(set(ids)) < n:
        raise ParameterError(f"mover_id must differ from row to row in mover_table: {n} rows, {len(set(ids))} numbers")
    exposures = columns.get("exposure_id", [None] * n)
    return [
        _mover(ids[k], {name: float(columns[name][k]) for name in (*_NEEDED, *bright)}, exposures[k]) for k in range(n)
    ]


def _mover(mover_id: int, values: dict[str, float], exposure_id: int | None) -> Mover:
    """A mover whose numbers make sense."""
    wrong = [f"{name} {value:g}" for name, value in values.items() if not np.isfinite(value)]
    if abs(values["dec"]) > 90.0:
        wrong.append(f"dec {values['dec']:g} (-90 to 90)")
    if values["rate"] < 0.0:
        wrong.append(f"rate {values['rate']:g} (0 or more)")
    if values.get("snr", 1.0) <= 0.0:
        wrong.append(f"snr {values['snr']:g} (more than 0)")
    if wrong:
        raise ParameterError(f"mover {mover_id} of mover_table has {', '.join(wrong)}")
    only = None if exposure_id is None else int(exposure_id)
    return Mover(
        mover_id=mover_id, exposure_id=only, snr=values.pop("snr", None), mag=values.pop("mag", np.nan), **values
    )
