"""Hand-made movers: rows of the two tables, and a cutout film of each."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from tests.archive.reductions import FRAMES, make_reduction
from tomoe_explore import schema
from tomoe_explore.archive import Archive
from tomoe_explore.archive.reserve import Reservation
from tomoe_explore.data import MoverCutout, Provenance, Reduction
from tomoe_explore.ids import member_ids

NOISE = 12.0
SKY = 200.0
LIGHT = 1000.0  #: of a mover's pixel in a frame, ADU above the sky


def make_cutout(
    mover_id: int, *, follows: bool = False, start: tuple[float, float] = (400.0, 300.0), step: float = 2.3
) -> MoverCutout:
    """Noise and one bright pixel, which moves along x by ``step`` px a frame; frame 5 was not recorded."""
    rng = np.random.default_rng(mover_id % 2**32)
    x, y = start[0] + step * np.arange(FRAMES), np.full(FRAMES, start[1])
    if follows:
        x0, shape = np.round(x).astype(np.int32) - 20, (31, 41)
    else:
        x0, shape = np.full(FRAMES, round(start[0]) - 16, np.int32), (31, 32 + int(np.ceil(step * FRAMES)))
    y0 = np.full(FRAMES, round(start[1]) - 15, np.int32)
    frames = (SKY + NOISE * rng.standard_normal((FRAMES, *shape))).astype(np.float32)
    frames[np.arange(FRAMES), 15, np.round(x).astype(int) - x0] = SKY + LIGHT
    frames[5] = np.nan
    frames[:, 3, 4] = np.nan  # a bad pixel
    return MoverCutout(mover_id, frames, x0, y0, x, y, 59075.5 + np.arange(FRAMES) / 172_800, NOISE)


def mover_tables(reduction_id: int, cutouts: tuple[MoverCutout, ...]) -> dict[str, pa.Table]:
    """Rows of ``movers``, and of ``mover_detections`` in the frames from 2 on."""
    ids = np.array([cutout.mover_id for cutout in cutouts])
    of_film = {"exposure_id": reduction_id // 10**6, "detector_id": reduction_id // 10**3 % 1000, "flags": 0}
    of_film |= {"reduction_id": reduction_id, "ra": 310.0, "dec": -12.0}
    movers: dict[str, Any] = dict.fromkeys(schema.TABLES["movers"].names, 1.5)
    movers |= {"mover_id": ids, "n_frames": FRAMES, "known_as": None, "false_alarm": None, **of_film}
    frame = np.tile(np.arange(2, FRAMES), len(ids))
    seen: dict[str, Any] = dict.fromkeys(schema.TABLES["mover_detections"].names, 1.5)
    seen |= {"mover_id": np.repeat(ids, FRAMES - 2), "frame": frame, "mag": 15.0 + 0.1 * frame, **of_film}
    del seen["flags"]
    return {"movers": schema.conform("movers", movers), "mover_detections": schema.conform("mover_detections", seen)}


def make_movers(reservation: Reservation, *, n: int = 2, **made: Any) -> tuple[Reduction, Provenance]:
    """A reduction with movers, ready to be committed; every second cutout follows its mover."""
    ids = member_ids(reservation.reduction_id, n, "mover").tolist()
    cutouts = tuple(
        make_cutout(this, follows=bool(k % 2), start=(400.0 + 300 * k, 300.0)) for k, this in enumerate(ids)
    )
    tables = mover_tables(reservation.reduction_id, cutouts)
    return make_reduction(reservation, cutouts=cutouts, **tables, **made)


def commit_movers(archive: Archive, reservation: Reservation | None, **made: Any) -> Reduction:
    """Make and commit them."""
    assert reservation is not None
    reduction, provenance = make_movers(reservation, **made)
    archive.commit(reduction, provenance)
    return reduction
