"""A film of movers of known signal over noise, and what the recipe finds of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from tests.reduction.field import Field, trimmed
from tomoe_explore import raw
from tomoe_explore.data import Masters, Reduction
from tomoe_explore.reduction.masters import make_dark, make_flat
from tomoe_explore.refcat import read_refcat
from tomoe_explore.simulate import simulate
from tomoe_explore.simulate.movers import Mover
from tomoe_explore.simulate.plan import schedule
from tomoe_explore.simulate.projection import Projection

DETECTOR, SEED, NIGHT, FRAMES = 112, 5, "2020-08-14", 36
CENTER = 310.0, -12.0  #: of the telescope
USUAL = 18  #: frames of a usual film, at whose middle the movers are where they are said to be

#: x, y (pixels), rate (arcsec/s), direction (deg from +x towards +y), signal over noise a frame
PLACED = [
    (200, 150, 0.6, 70.0, 30.0), (550, 150, 0.8, 200.0, 8.0), (900, 150, 1.2, 310.0, 5.0), (1250, 150, 1.7, 20.0, 3.0),
    (1600, 150, 2.4, 130.0, 12.0), (200, 450, 3.5, 250.0, 4.0), (550, 450, 5.0, 0.0, 3.0), (900, 450, 6.0, 90.0, 20.0),
    (1250, 450, 6.0, 270.0, 20.0), (1600, 450, 7.0, 160.0, 3.5), (200, 750, 8.5, 40.0, 6.0),
    (550, 750, 10.0, 285.0, 4.0), (900, 750, 12.0, 215.0, 10.0), (1250, 750, 14.0, 110.0, 3.5),
    (1100, 1000, 40.0, 190.0, 15.0), (1750, 300, 40.0, 90.0, 15.0), (1850, 850, 40.0, 270.0, 15.0),
    (1960, 600, 12.0, 0.0, 12.0),
]  # fmt: skip
SLOW_AND_BRIGHT, ON_A_STAR, UP, DOWN, LEAVING = 1, 4, 16, 17, 18  #: numbers of some of them, counted from 1


def _mover_table() -> pa.Table:
    """The movers as `simulate` takes them."""
    (exposure,) = (s for s in schedule(SEED, NIGHT, 1, FRAMES, CENTER) if s.kind == "object")
    view = Projection.nominal(*CENTER, DETECTOR)
    mjd = exposure.mjd_start + USUAL / 2 * exposure.frame_interval_s / 86_400
    rows = []
    for x, y, rate, angle, snr in PLACED:
        dx, dy = np.cos(np.radians(angle)), np.sin(np.radians(angle))
        ra, dec = view.to_sky(np.array([x, x + dx]), np.array([y, y + dy]))
        east = (ra[1] - ra[0]) * np.cos(np.radians(dec[0]))
        rows.append(
            {
                "ra": ra[0],
                "dec": dec[0],
                "mjd": mjd,
                "rate": rate,
                "snr": snr,
                "position_angle": np.degrees(np.arctan2(east, dec[1] - dec[0])) % 360,
            }
        )
    return pa.Table.from_pylist(rows)


@dataclass(frozen=True)
class MovingField:
    """The film, what else it takes to reduce it, and the truth: tables ``movers`` and ``mover_positions``."""

    field: Field
    movers: pd.DataFrame
    positions: pd.DataFrame

    def matched(self, reduction: Reduction, within: float = 3.0) -> pd.DataFrame:
        """Candidates, each with the mover that it is (0: none) and its distance from that in standard errors."""
        found = reduction.tables["movers"].to_pandas()
        return pd.DataFrame([self._compared(row, within) for _, row in found.iterrows()], index=found.index).join(found)

    def _compared(self, row: pd.Series, within: float) -> dict[str, float]:
        nearest = {"truth": 0, "away": np.inf}
        for true in self.movers.itertuples():
            ra, dec = Mover(1, true.ra, true.dec, true.mjd, true.rate, true.position_angle, np.nan).at(row["mjd"])
            east, north = (row["ra"] - ra) * np.cos(np.radians(dec)) * 3600, (row["dec"] - dec) * 3600
            away = float(np.hypot(east, north))
            if away < min(within, nearest["away"]):
                turned = (row["position_angle"] - true.position_angle + 180) % 360 - 180
                nearest = {
                    "truth": int(true.mover_id), "away": away, "true_rate": true.rate,
                    "pull_ra": east / row["ra_err"], "pull_dec": north / row["dec_err"],
                    "pull_rate": (row["rate"] - true.rate) / row["rate_err"],
                    "pull_angle": turned / row["position_angle_err"], "off_mag": row["mag"] - true.mag,
                }  # fmt: skip
        return nearest

    def in_frames(self, reduction: Reduction) -> pd.DataFrame:
        """Rows of ``mover_detections``, each beside the true place in that frame."""
        is_mover = dict(
            zip(reduction.tables["movers"]["mover_id"].to_pylist(), self.matched(reduction)["truth"], strict=True)
        )
        rows = reduction.tables["mover_detections"].to_pandas()
        rows["truth"] = rows["mover_id"].map(is_mover)
        return rows.merge(
            self.positions, left_on=["truth", "frame"], right_on=["mover_id", "frame"], suffixes=("", "_t")
        )


def make_moving_field(folder: Path) -> MovingField:
    """Simulated in a folder, which the film needs from then on."""
    simulate(
        folder, night=NIGHT, detectors=[DETECTOR], exposures=1, frames=FRAMES, seed=SEED, streaks=0, variables=0,
        mover_table=_mover_table(), seeing=3.2, progress=False,
    )  # fmt: skip
    films = [raw.open_film(path) for path in raw.find_films([folder])]
    dark, flat, sky = (next(f for f in films if f.exposure.kind == k) for k in ("dark", "flat", "object"))
    master = make_dark(dark)
    masters = Masters(master, make_flat(flat, master))
    for calibration in (dark, flat):
        Path(calibration.path).unlink()
    movers, positions = (
        pq.read_table(folder / "truth" / f"{n}.parquet").to_pandas() for n in ("movers", "mover_positions")
    )
    field = Field(sky, masters, read_refcat(folder / "refcat.parquet"), trimmed(sky, USUAL), np.zeros((0, 0, 0)))
    return MovingField(field, movers, positions)
