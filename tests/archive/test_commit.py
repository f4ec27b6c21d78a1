"""Commit: all of a reduction or nothing; done is skipped, forced anew, superseded; dead processes are followed up."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from tests.archive.reductions import files, make_exposure, make_film, make_reduction, reduce_film
from tomoe_explore import raw
from tomoe_explore.archive import Archive, open_archive, registry, staging
from tomoe_explore.archive.reserve import GIVEN_UP_S
from tomoe_explore.errors import ArchiveError, ReservedError, SchemaError, TruncatedFilmError

NewArchive = Callable[[Path], Archive]


@pytest.mark.both_databases
def test_commit_stores_what_was_reduced(archive: Archive, tmp_path: Path) -> None:
    exposure = make_exposure()
    film = make_film(tmp_path, exposure)
    reduction_id = reduce_film(archive, film, exposure)
    assert reduction_id == 357754112001
    rows = archive.table("photometry")
    assert rows.num_rows == 2 * 18
    assert set(rows["reduction_id"].to_pylist()) == {reduction_id}
    products = archive.search()
    assert set(products["product"]) == {"stack", "photometry", "sources", "frames", "film"}
    for row in products.itertuples():
        assert Path(row.path).stat().st_size == row.bytes
        assert raw.checksum(row.path) == row.checksum
    record = archive.table("reductions").to_pylist()[0]
    assert (record["status"], record["refcat"], record["dark_id"]) == ("done", "gaia", "dark-1")
    assert record["film_checksum"] == raw.checksum(film)
    assert not (archive.root / "staging" / str(reduction_id)).exists()


def test_done_is_skipped_without_reading_the_film_again(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exposure = make_exposure()
    film = make_film(tmp_path, exposure)
    reduce_film(archive, film, exposure)
    monkeypatch.setattr(raw, "checksum", lambda path: pytest.fail("the film was read"))
    assert archive.begin(exposure, film) is None
    assert archive.reduction_of(film) == 357754112001


def test_a_film_that_moved_is_known_by_its_content(archive: Archive, tmp_path: Path) -> None:
    exposure = make_exposure()
    film = make_film(tmp_path, exposure)
    reduce_film(archive, film, exposure)
    moved = film.rename(tmp_path / "elsewhere.fits")
    assert archive.begin(exposure, moved) is None


def test_a_film_of_the_same_name_but_other_content_supersedes(archive: Archive, tmp_path: Path) -> None:
    exposure = make_exposure()
    first = reduce_film(archive, make_film(tmp_path, exposure, b"one"), exposure)
    second = reduce_film(archive, make_film(tmp_path, exposure, b"another"), exposure)
    assert (first, second) == (357754112001, 357754112002)
    assert archive.table("reductions")["reduction_id"].to_pylist() == [second]
    assert archive.table("reductions", all_versions=True)["superseded_by"].to_pylist() == [second, None]
    # neither is reduced again: two copies of a film must not chase each other for ever
    assert archive.begin(exposure, make_film(tmp_path, exposure, b"one")) is None
    assert archive.begin(exposure, make_film(tmp_path, exposure, b"another")) is None
    paths = archive.registry.rows(sa.select(registry.films.c.path))
    assert [row["path"] is None for row in paths].count(True) == 1  # the first one's place is taken


@pytest.mark.both_databases
def test_force_supersedes(archive: Archive, tmp_path: Path) -> None:
    exposure = make_exposure()
    film = make_film(tmp_path, exposure)
    first = reduce_film(archive, film, exposure)
    second = reduce_film(archive, film, exposure, force=True)
    assert second == first + 1
    assert set(archive.table("photometry")["reduction_id"].to_pylist()) == {second}
    everything = archive.table("photometry", all_versions=True)
    assert set(everything["reduction_id"].to_pylist()) == {first, second}
    assert archive.table("reductions")["reduction_id"].to_pylist() == [second]
    old = archive.table("reductions", all_versions=True).to_pylist()[0]
    assert old["superseded_by"] == second
    assert archive.table("stacks")["reduction_id"].to_pylist() == [second]
    assert archive.read_stack(first).shape == archive.read_stack(second).shape  # superseded, not lost


def test_a_superseded_reduction_stays_current_until_the_new_one_is_there(archive: Archive, tmp_path: Path) -> None:
    exposure = make_exposure()
    film = make_film(tmp_path, exposure)
    first = reduce_film(archive, film, exposure)
    reservation = archive.begin(exposure, film, force=True)
    assert set(archive.table("photometry")["reduction_id"].to_pylist()) == {first}
    archive.fail(reservation, RuntimeError("cloud"))
    assert set(archive.table("photometry")["reduction_id"].to_pylist()) == {first}


@pytest.mark.both_databases
def test_failure_leaves_a_record_and_no_product(archive: Archive, tmp_path: Path) -> None:
    exposure = make_exposure()
    film = make_film(tmp_path, exposure)
    reservation = archive.begin(exposure, film)
    archive.fail(reservation, TruncatedFilmError("expected 100 bytes, got 50"))
    record = archive.table("reductions").to_pylist()[0]
    assert record["status"] == "failed"
    assert record["error"] == "truncated: expected 100 bytes, got 50"
    assert files(archive) == []
    assert reduce_film(archive, film, exposure) == reservation.reduction_id + 1
    assert archive.table("reductions")["status"].to_pylist() == ["failed", "done"]


def test_what_was_not_reserved_is_refused(archive: Archive, tmp_path: Path) -> None:
    exposure = make_exposure()
    reservation = archive.begin(exposure, make_film(tmp_path, exposure))
    reduction, provenance = make_reduction(reservation)
    archive.commit(reduction, provenance)
    before = files(archive)
    with pytest.raises(ArchiveError, match="it is done already"):
        archive.commit(reduction, provenance)
    assert files(archive) == before
    with pytest.raises(ArchiveError, match="came with provenance of"):
        archive.commit(reduction, type(provenance)(**{**vars(provenance), "reduction_id": 1}))


def test_a_table_that_is_not_conform_is_refused(archive: Archive, tmp_path: Path) -> None:
    exposure = make_exposure()
    reservation = archive.begin(exposure, make_film(tmp_path, exposure))
    reduction, provenance = make_reduction(reservation)
    short = {**reduction.tables, "sources": reduction.tables["sources"].drop_columns(["mag"])}
    with pytest.raises(SchemaError, match="'sources' of reduction 357754112001"):
        archive.commit(type(reduction)(**{**vars(reduction), "tables": short}), provenance)
    assert files(archive) == []


class Crash(BaseException):
    """Stands for a kill: nothing of the package catches it by kind."""


@pytest.mark.parametrize("at", range(1, 5))
def test_an_error_while_files_move_leaves_nothing(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    exposure = make_exposure()
    film = make_film(tmp_path, exposure)
    reservation = archive.begin(exposure, film)
    moved = []

    def replace(source: Path, target: Path) -> None:
        if len(moved) + 1 == at:
            raise Crash
        moved.append(target)
        Path(source).rename(target)

    with monkeypatch.context() as patch:
        patch.setattr(staging.os, "replace", replace)
        with pytest.raises(Crash):
            archive.commit(*make_reduction(reservation))
    assert files(archive) == []
    assert archive.table("photometry").num_rows == 0
    archive.commit(*make_reduction(reservation))
    assert archive.table("photometry").num_rows == 36


def test_files_in_place_but_not_registered_are_invisible_and_replaced(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exposure = make_exposure()
    film = make_film(tmp_path, exposure)
    reservation = archive.begin(exposure, film)

    def fail(*_: Any) -> None:
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr("tomoe_explore.archive.publish._register", fail)
        with pytest.raises(Crash):
            archive.commit(*make_reduction(reservation))
    assert files(archive) == []
    assert all(archive.table(name).num_rows == 0 for name in ("photometry", "sources", "frames", "stacks"))
    held = reservation.reduction_id
    del reservation  # the interrupted cell's reservation is gone: it is taken over
    again = archive.begin(exposure, film)
    assert again.reduction_id == held
    assert files(archive) == []
    archive.commit(*make_reduction(again))
    assert archive.table("photometry").num_rows == 36


_KILLED = """
import os, signal, sys
from pathlib import Path
from tests.archive.reductions import files, make_exposure, make_reduction
from tomoe_explore.archive import open_archive, publish, staging
archive = open_archive(sys.argv[1])
reservation = archive.begin(make_exposure(), sys.argv[2])
stage = sys.argv[3]
die = lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL)
if stage == "let go": archive.let_go(reservation)
if stage in ("reserved", "let go"): die()
if stage == "staged": staging.Staging.publish = die
if stage == "half moved":
    real, count = os.replace, []
    def replace(a, b):
        count.append(1)
        die() if len(count) == 3 else real(a, b)
    staging.os.replace = replace
if stage == "moved": publish._register = die
archive.commit(*make_reduction(reservation))
"""


@pytest.mark.both_databases
@pytest.mark.parametrize("stage", ["reserved", "let go", "staged", "half moved", "moved"])
def test_kill_and_rerun_give_the_same_ids_and_rows(
    archive: Archive, new_archive: NewArchive, tmp_path: Path, repository: Path, stage: str
) -> None:
    exposure = make_exposure()
    film = make_film(tmp_path, exposure)
    unbroken = new_archive(tmp_path / "unbroken")
    reduce_film(unbroken, film, exposure)
    command = [sys.executable, "-c", _KILLED, str(archive.root), str(film), stage]
    killed = subprocess.run(command, cwd=repository, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert archive.table("reductions")["status"].to_pylist() == ["running"]
    assert archive.table("photometry").num_rows == 0
    assert reduce_film(archive, film, exposure) == 357754112001
    for name in ("photometry", "sources", "frames", "stacks"):
        assert archive.table(name).equals(unbroken.table(name))
    assert [re.sub("-g...", "", name) for name in files(archive)] == [
        re.sub("-g...", "", name) for name in files(unbroken)
    ]
    assert not any((archive.root / "staging").iterdir())
    assert archive.table("reductions", all_versions=True).num_rows == 1


@pytest.mark.both_databases
def test_a_live_owner_keeps_its_film(archive: Archive, tmp_path: Path, repository: Path) -> None:
    exposure = make_exposure()
    film = make_film(tmp_path, exposure)
    script = _KILLED.replace("stage = sys.argv[3]", "print('held', flush=True); import time; time.sleep(60)")
    command = [sys.executable, "-c", script, str(archive.root), str(film)]
    with subprocess.Popen(command, cwd=repository, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(ReservedError, match=f"in process {holder.pid}"):
            archive.begin(exposure, film)
        with pytest.raises(ReservedError):
            archive.begin(exposure, film, force=True)
        holder.kill()
        time.sleep(0.2)  # now it is dead, though nobody has waited for it: still taken over
        reservation = archive.begin(exposure, film)
    assert reservation.reduction_id == 357754112001


def test_this_process_does_not_take_a_film_twice(archive: Archive, tmp_path: Path) -> None:
    exposure = make_exposure()
    film = make_film(tmp_path, exposure)
    reservation = archive.begin(exposure, film)
    with pytest.raises(ReservedError, match="has been running since"):
        archive.begin(exposure, film)
    archive.fail(reservation, KeyboardInterrupt("stopped"))
    assert archive.begin(exposure, film).reduction_id == reservation.reduction_id + 1


def set_owner(archive: Archive, host: str, ago_s: float) -> None:
    """Let all reservations be another machine's, made some time ago."""
    started = (datetime.now(UTC) - timedelta(seconds=ago_s)).isoformat(timespec="milliseconds")
    with archive.registry.writing() as connection:
        connection.execute(sa.update(registry.reductions).values(owner_host=host, started=started))


@pytest.mark.both_databases
@pytest.mark.parametrize(("ago_s", "force"), [(0.0, True), (GIVEN_UP_S + 60, False)])
def test_another_hosts_film_is_given_up_after_a_while_or_by_force(
    archive: Archive, tmp_path: Path, ago_s: float, force: bool
) -> None:
    exposure = make_exposure()
    film = make_film(tmp_path, exposure)
    reservation = archive.begin(exposure, film)
    staged = archive.stage(*make_reduction(reservation))
    set_owner(archive, "another", GIVEN_UP_S - 60)
    with pytest.raises(ReservedError, match="on another; it is given up 1 h after it began, or by force"):
        archive.begin(exposure, film)
    set_owner(archive, "another", ago_s)
    anew = archive.begin(exposure, film, force=force)
    assert anew.reduction_id == reservation.reduction_id + 1
    assert archive.publish([staged]) == [staged]  # should it be alive after all
    with pytest.raises(ArchiveError, match="it is failed already"):
        archive.commit(*make_reduction(reservation))
    archive.commit(*make_reduction(anew))
    assert archive.table("photometry").num_rows == 36
    abandoned, done = archive.table("reductions", all_versions=True).to_pylist()
    assert (abandoned["status"], done["status"]) == ("failed", "done")
    assert "in process" in abandoned["error"] and "on another" in abandoned["error"]


def test_what_another_host_let_go_is_free_at_once(archive: Archive, tmp_path: Path) -> None:
    exposure = make_exposure()
    film = make_film(tmp_path, exposure)
    reservation = archive.begin(exposure, film)
    archive.let_go(reservation)
    set_owner(archive, "another", 0.0)
    assert archive.begin(exposure, film).reduction_id == reservation.reduction_id


def _reduce_some(root: Path, films: list[Path]) -> list[int | None]:
    archive = open_archive(root)
    done = []
    for n, film in enumerate(films):
        try:
            done.append(reduce_film(archive, film, make_exposure(357754 + n)))
        except ReservedError:
            done.append(None)
    return done


@pytest.mark.both_databases
def test_two_writers_at_once_lose_and_double_nothing(archive: Archive, tmp_path: Path) -> None:
    films = [make_film(tmp_path, make_exposure(357754 + n)) for n in range(5)]
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        first, second = (pool.submit(_reduce_some, archive.root, films) for _ in range(2))
        done = [i for i in first.result() + second.result() if i is not None]
    assert len(done) == len(set(done)) == 5
    rows = archive.table("photometry")
    assert rows.num_rows == 5 * 36
    assert archive.table("reductions", all_versions=True)["status"].to_pylist() == ["done"] * 5


@pytest.mark.both_databases
def test_an_archive_crosses_a_fork_and_a_pickle(archive: Archive, tmp_path: Path) -> None:
    exposure = make_exposure()
    reduce_film(archive, make_film(tmp_path, exposure), exposure)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        assert pool.submit(len, archive.table("photometry")).result() == 36
        assert pool.submit(_count, archive).result() == 36
    engine = archive.registry.engine
    child = os.fork()
    if child == 0:
        same = archive.registry.engine is engine
        os._exit(1 if same or _count(archive) != 36 else 0)
    assert os.waitpid(child, 0)[1] == 0


def _count(archive: Archive) -> int:
    return archive.table("photometry").num_rows


def test_same_stack_same_bytes(new_archive: NewArchive, tmp_path: Path) -> None:
    exposure = make_exposure()
    film = make_film(tmp_path, exposure)
    sums = []
    for name in ("one", "two"):
        archive = new_archive(tmp_path / name)
        reduce_film(archive, film, exposure)
        sums.append(archive.search(product="stack,photometry")["checksum"].tolist())
        time.sleep(1.1)  # a date in the file would differ
    assert sums[0] == sums[1]
    assert len(set(sums[0])) == 2


def test_tables_keep_every_value(archive: Archive, tmp_path: Path) -> None:
    exposure = make_exposure()
    reservation = archive.begin(exposure, make_film(tmp_path, exposure))
    reduction, provenance = make_reduction(reservation, ref_id=(None, 2**62 + 1))
    archive.commit(reduction, provenance)
    stored = archive.table("photometry").drop_columns(["mag", "mag_err"])
    order = [("source_id", "ascending"), ("frame", "ascending")]
    assert stored.sort_by(order).equals(reduction.tables["photometry"].sort_by(order))
    assert stored.schema.field("flux").metadata[b"unit"] == b"nJy"
    assert np.all(np.diff(stored["healpix_29"].to_numpy()) >= 0)
