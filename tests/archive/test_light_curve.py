"""Which rows are one object: by reference star, by ``object_id`` where there is one, else by place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from tests.archive.reductions import make_exposure, make_film, reduce_film
from tomoe_explore.archive import Archive
from tomoe_explore.archive.light_curve import object_numbers
from tomoe_explore.archive.sky import healpix_29
from tomoe_explore.operations.consolidate import consolidate


def test_light_curve_of_an_object_over_nights(archive: Archive, tmp_path: Path) -> None:
    """Consolidated rows by their object, though a chain of near ones leads to its neighbour; new ones by place."""
    arcsec = 1 / 3600
    for exposure_id, night, places in [
        (357754, "2020-08-14", (0.0,)), (357755, "2020-08-14", (1.4,)), (357756, "2020-08-14", (2.8,)),
        (357999, "2020-08-15", (0.4, 2.2)),
    ]:  # fmt: skip
        dec = tuple(-12.0 + place * arcsec for place in places)
        none = (None,) * len(places)
        exposure = make_exposure(exposure_id, night=night)
        film = make_film(tmp_path, exposure)
        reduce_film(archive, film, exposure, ra=(310.0,) * len(places), dec=dec, ref_id=none)
        if exposure_id == 357756:
            consolidate(archive, progress=False)
    for place, exposures in ((0.7, {357754, 357755, 357999}), (2.8, {357756, 357999})):
        lc = archive.light_curve((310.0, -12.0 + place * arcsec), radius="3 arcsec")
        assert set(lc["exposure_id"]) == exposures
        assert len(lc) == 18 * len(exposures)
        (neighbour,) = lc.meta["NEIGHBOURS"]
        assert neighbour["n_points"] == 18 * (5 - len(exposures))


def test_object_numbers() -> None:
    """By star, by object, by place; what has no object yet is of the nearest within reach."""
    dec = np.array([1.4, 0.0, 2.8, 2.2, 0.0, 60.0, 60.5]) / 3600
    a, b = healpix_29([0.0, 0.0], [0.0, 2.8 / 3600]).tolist()
    rows = pa.table({
        "refcat": pa.array([None] * 4 + ["gaia"] + [None] * 2, pa.string()), "ra": np.zeros(7), "dec": dec,
        "ref_id": pa.array([None] * 4 + [5] + [None] * 2, pa.int64()),
        "object_id": pa.array([a, a, b, None, None, None, None], pa.int64()),
    })  # fmt: skip
    numbers = object_numbers(rows)
    assert numbers[0] == numbers[1]
    assert numbers[2] == numbers[3]
    assert numbers[5] == numbers[6]
    assert len(set(numbers)) == 4
    order = np.random.default_rng(1).permutation(7)
    again = object_numbers(rows.take(pa.array(order)))
    assert ((again[:, None] == again) == (numbers[order][:, None] == numbers[order])).all()
