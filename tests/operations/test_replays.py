"""A night is run again from its records: each reduction says whether the same came out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.databases import Databases
from tomoe_explore.archive import Archive
from tomoe_explore.archive import registry as tables
from tomoe_explore.archive.replay import Replay
from tomoe_explore.errors import NotFoundError
from tomoe_explore.operations.replays import replay_night
from tomoe_explore.operations.run import Run


def test_a_night(first_run: tuple[Archive, Run], databases: Databases, tmp_path: Path) -> None:
    """One film is the same again; the other is gone, and its neighbour does not suffer."""
    archive = databases.copy(first_run[0], tmp_path / "archive")
    first, second = archive.table("reductions")["reduction_id"].to_pylist()
    with archive.registry.writing() as connection:
        gone = sa.select(tables.reductions.c.film_checksum).where(tables.reductions.c.reduction_id == second)
        where = tables.films.c.film_checksum == gone.scalar_subquery()
        connection.execute(sa.update(tables.films).where(where).values(path=None))
    found = {replay.reduction_id: replay for replay in replay_night(archive, "2020-08-14", progress=False)}
    assert set(found) == {first, second}
    assert found[first].identical, found[first]
    assert "another film lies where it was" in found[second].gone[0]


def test_an_unexpected_error_costs_one_reduction(
    first_run: tuple[Archive, Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    real, (bad, _) = Archive.replay, first_run[0].table("reductions")["reduction_id"].to_pylist()

    def broken(self: Archive, reduction_id: int, **given: Any) -> Replay:
        if reduction_id == bad:
            raise ZeroDivisionError("a bug")
        return real(self, reduction_id, **given)

    monkeypatch.setattr(Archive, "replay", broken)
    found = {replay.reduction_id: replay for replay in replay_night(first_run[0], "2020-08-14", progress=False)}
    assert [replay.identical for replay in found.values()] == [False, True]
    assert "unexpected: ZeroDivisionError: a bug" in repr(found[bad])


def test_no_such_night(first_run: tuple[Archive, Run]) -> None:
    with pytest.raises(NotFoundError, match="no finished reduction of 1999-01-01"):
        next(replay_night(first_run[0], "1999-01-01"))
