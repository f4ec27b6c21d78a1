"""The night's list of movers to review: linked ones, clear ones, no glints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tomoe_explore as te
from tests.archive.reductions import make_exposure, make_film, reduce_film
from tomoe_explore import schema
from tomoe_explore.analysis.review import REVIEW_SCORE
from tomoe_explore.archive import Archive
from tomoe_explore.ids import member_ids
from tomoe_explore.schema import Flag

FIRST = 357754


def reduce_with_movers(
    archive: Archive, folder: Path, exposure_id: int, rows: list[dict[str, Any]], detector_id: int = 112
) -> None:
    """A film with these movers, each at its exposure's middle."""
    exposure = make_exposure(exposure_id, detector_id)
    path = make_film(folder, exposure)
    this = archive.begin(exposure, path)
    assert this is not None
    archive.let_go(this)
    columns: dict[str, Any] = dict.fromkeys(schema.TABLES["movers"].names, 1.0)
    columns |= {"known_as": None, "false_alarm": None, "ra_err": 0.3, "dec_err": 0.3, "rate_err": 0.03, "n_frames": 18}
    columns |= {name: np.array([row.get(name, default) for row in rows]) for name, default in DEFAULTS.items()}
    columns |= {"mjd": exposure.mjd_start + 4.5 / 86_400, "exposure_id": exposure_id, "detector_id": detector_id}
    columns |= {"mover_id": member_ids(this.reduction_id, len(rows), "mover"), "reduction_id": this.reduction_id}
    reduce_film(archive, path, exposure, movers=schema.conform("movers", columns))


DEFAULTS = {"ra": 310.0, "dec": -12.0, "rate": 2.0, "position_angle": 90.0, "score": 10.0, "flags": 0}


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive.create(tmp_path / "archive")


def test_linked_and_clear_movers_are_reviewed_and_glints_are_not(archive: Archive, tmp_path: Path) -> None:
    step = 9.5 * 2.0 / 3600 / np.cos(np.radians(12))  # 2 arcsec/s to the east, from exposure to exposure
    many = int(Flag.TOO_MANY)
    alone = [
        {"dec": -12.1, "score": REVIEW_SCORE + 1}, {"dec": -12.15},
        {"dec": -12.2, "score": 99.0, "flags": int(Flag.GLINT)}, {"dec": -12.25, "score": 99.0, "flags": many},
    ]  # fmt: skip
    reduce_with_movers(archive, tmp_path, FIRST, [{"ra": 310.0}, {"dec": -12.05, "flags": many}, *alone])
    reduce_with_movers(
        archive, tmp_path, FIRST + 1, [{"ra": 310.0 + step}, {"ra": 310.0 + step, "dec": -12.05, "flags": many}], 111
    )
    table = te.review_candidates(archive, night="2020-08-14")
    assert len(table) == 8
    by_dec = dict(iter(table.groupby("dec")))
    assert by_dec[-12.0]["review"].tolist() == by_dec[-12.05]["review"].tolist() == [True, True]
    assert by_dec[-12.0]["n_exposures"].tolist() == [2, 2]
    assert by_dec[-12.0]["tracklet_id"].nunique() == 1
    assert [bool(by_dec[dec]["review"].iloc[0]) for dec in (-12.1, -12.15, -12.2, -12.25)] == [
        True,
        False,
        False,
        False,
    ]
    assert by_dec[-12.1]["tracklet_id"].isna().all() and by_dec[-12.1]["n_exposures"].tolist() == [1]
    assert table["review"].tolist() == sorted(table["review"], reverse=True)
    assert set(table["known"]) == {"not checked"} and set(table["night"]) == {"2020-08-14"}
    assert te.review_candidates(archive, night="2020-08-14", score=5.0)["review"].sum() == 6


def test_a_night_without_movers_is_an_empty_list(archive: Archive, tmp_path: Path) -> None:
    empty = te.review_candidates(archive, night="2020-08-14")
    assert empty.empty and {"review", "tracklet_id", "n_exposures", "score", "night"} <= set(empty)
