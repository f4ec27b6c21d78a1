"""A night goes through: order, skipping, force, executors, failures, provenance."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from astropy.io import fits
from typer.testing import CliRunner

import tomoe_explore as te
from tomoe_explore import errors, raw
from tomoe_explore.archive import Archive
from tomoe_explore.cli import app
from tomoe_explore.data import Master
from tomoe_explore.environment import code, environment
from tomoe_explore.operations import film as film_module
from tomoe_explore.operations.reduce import make_masters, reduce
from tomoe_explore.operations.run import Outcome, Run

FirstRun = tuple[Archive, Run]


def same_rows(archive: Archive, other: Archive, table: str = "photometry") -> bool:
    """Whether two archives hold the same rows, to the last bit, in whatever order."""
    order = [("reduction_id", "ascending"), ("source_id", "ascending"), ("frame", "ascending")]
    a, b = (x.table(table) for x in (archive, other))
    order = [key for key in order if key[0] in a.column_names]
    # pandas, for to Arrow one NaN (a magnitude of a negative flux) is not another
    return a.num_rows > 0 and bool(a.sort_by(order).to_pandas().equals(b.sort_by(order).to_pandas()))


def test_a_night_is_reduced_in_order(first_run: FirstRun, small_night: Path) -> None:
    archive, run = first_run
    assert [o.kind for o in run.outcomes] == ["dark", "flat", "object", "object"]
    assert [o.status for o in run.outcomes] == ["done"] * 4
    assert [o.reduction_id for o in run.outcomes[2:]] == archive.table("reductions")["reduction_id"].to_pylist()
    assert {o.film for o in run.outcomes} == {str(p) for p in small_night.glob("r*.fits")}
    assert all(o.seconds > 0 for o in run.outcomes)


def test_what_is_done_is_skipped(first_run: FirstRun, small_night: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By what the registry knows of the files: none is opened."""
    archive, run = first_run
    for reader in ("read_exposure", "open_film", "checksum"):
        monkeypatch.delattr(raw, reader)
    again = reduce(small_night, archive, progress=False)  # the archive remembers the reference catalog
    assert [o.status for o in again.outcomes] == ["skipped"] * 4
    assert [o.reduction_id for o in again.outcomes] == [o.reduction_id for o in run.outcomes]
    assert [o.master_id for o in again.outcomes] == [o.master_id for o in run.outcomes]


@pytest.mark.both_databases
def test_a_film_that_another_has_is_named_and_is_not_done(small_night: Path, tmp_path: Path) -> None:
    archive, film = Archive.create(tmp_path / "archive"), raw.find_films(small_night)[-1]
    held = archive.begin(raw.read_exposure(film), film)
    run = reduce(film, archive, small_night / "refcat.parquet", progress=False)
    assert ([o.film for o in run.held], run.skipped, run.failed) == ([str(film)], (), ())
    assert "1 held by another process\n  held    " in repr(run) and "has been running since" in repr(run)
    words = ["--archive", str(archive.root), "reduce", str(film), "--refcat", str(small_night / "refcat.parquet")]
    told = CliRunner().invoke(app, [*words, "--json"])
    assert (told.exit_code, json.loads(told.stdout)["held"], json.loads(told.stdout)["skipped"]) == (1, 1, 0)
    assert f"{film}: reserved: " in told.stderr
    archive.let_go(held)


def test_provenance_is_complete(first_run: FirstRun, small_night: Path) -> None:
    archive, run = first_run
    origin = archive.provenance(run.outcomes[2].reduction_id or 0).to_dict()
    assert origin["film"]["checksum"] == raw.checksum(run.outcomes[2].film)
    assert origin["dark"]["master_id"] == run.outcomes[0].master_id
    assert origin["flat"]["master_id"] == run.outcomes[1].master_id
    assert origin["refcat"]["checksum"] == raw.checksum(small_night / "refcat.parquet")
    assert origin["reduction"]["code_version"] == code().version
    assert origin["reduction"]["environment"] == environment()
    assert origin["reduction"]["parameters"]["detection_snr"] == te.Parameters().detection_snr


@pytest.mark.timeout(200)
def test_processes_give_the_same_rows_and_force_makes_new_versions(
    first_run: FirstRun, small_night: Path, tmp_path: Path
) -> None:
    archive = Archive.create(tmp_path / "archive")
    run = reduce(small_night, archive, small_night / "refcat.parquet", executor=2, progress=False)
    assert len(run.done) == 4, run
    assert same_rows(archive, first_run[0])
    film = run.done[-1]
    parameters = te.Parameters(detection_snr=8.0)
    forced = reduce(film.film, archive, force=True, parameters=parameters, progress=False).done[0]
    assert forced.reduction_id == (film.reduction_id or 0) + 1
    reductions = {r["reduction_id"]: r for r in archive.table("reductions", all_versions=True).to_pylist()}
    assert reductions[film.reduction_id]["superseded_by"] == forced.reduction_id
    assert '"detection_snr": 8.0' in reductions[forced.reduction_id]["parameters"]


@pytest.mark.timeout(200)
def test_dask_gives_the_same_rows(first_run: FirstRun, small_night: Path, tmp_path: Path) -> None:
    import distributed

    archive = Archive.create(tmp_path / "archive")
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None, worker_dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        run = reduce(small_night, archive, small_night / "refcat.parquet", executor=client, progress=False)
    assert len(run.done) == 4, run
    assert same_rows(archive, first_run[0])


def test_one_failure_is_recorded_and_stops_nothing(
    small_night: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = Archive.create(tmp_path / "archive")
    first = raw.find_films(small_night)[-1]
    real = film_module.reduce_film

    def broken(film, *args, **options):  # type: ignore[no-untyped-def]
        if film.path == str(first):
            raise ZeroDivisionError("a bug")
        return real(film, *args, **options)

    monkeypatch.setattr(film_module, "reduce_film", broken)
    run = reduce(small_night, archive, small_night / "refcat.parquet", progress=False)
    (failed,) = run.failed
    assert (failed.film, failed.error_kind, len(run.done)) == (str(first), "ZeroDivisionError", 3)
    assert "reduce_film" in failed.traceback
    assert first.name in repr(run) and "a bug" in run._repr_html_()
    record = {r["reduction_id"]: r for r in archive.table("reductions", all_versions=True).to_pylist()}
    assert record[failed.reduction_id]["status"] == "failed"
    assert "a bug" in record[failed.reduction_id]["error"]
    assert len(archive.search(product="stack")) == 1
    monkeypatch.undo()
    retry = reduce(small_night, archive, progress=False)
    assert [o.reduction_id for o in retry.done] == [(failed.reduction_id or 0) + 1]


def test_a_film_waits_for_its_flat_that_the_archive_could_not_take(
    small_night: Path, first_run: FirstRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = Archive.create(tmp_path / "archive")
    real = Archive.add_master

    def refused(self: Archive, master: Master, **given: Any) -> str:
        if master.kind == "flat":
            raise errors.ArchiveError("no space left")
        return real(self, master, **given)

    monkeypatch.setattr(Archive, "add_master", refused)
    run = reduce(small_night, archive, small_night / "refcat.parquet", progress=False)
    assert [(o.kind, o.error_kind) for o in run.failed] == [("flat", "archive")] + [("object", "no-masters")] * 2
    assert "no space left" in run.failed[1].message
    monkeypatch.undo()
    assert len(reduce(small_night, archive, progress=False).done) == 3
    assert same_rows(archive, first_run[0])


def test_ctrl_c_in_compiled_code_ends_the_run(
    small_night: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As numba passes it on."""

    def interrupted(*_: object, **__: object) -> None:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt as error:
            raise SystemError("CPUDispatcher returned a result with an exception set") from error

    archive = Archive.create(tmp_path / "archive")
    monkeypatch.setattr(film_module, "reduce_film", interrupted)
    with pytest.raises(KeyboardInterrupt):
        reduce(small_night, archive, small_night / "refcat.parquet", progress=False)
    assert "failed" not in archive.table("reductions", all_versions=True)["status"].to_pylist()


def test_an_interrupted_cell_can_be_run_again(
    small_night: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = Archive.create(tmp_path / "archive")

    def interrupt(*args, **options):  # type: ignore[no-untyped-def]
        raise KeyboardInterrupt

    monkeypatch.setattr(film_module, "reduce_film", interrupt)
    with pytest.raises(KeyboardInterrupt) as caught:
        reduce(small_night, archive, small_night / "refcat.parquet", progress=False)
    monkeypatch.undo()
    run = reduce(small_night, archive, progress=False)
    # `caught` keeps the interrupted frames alive, as a notebook does; no version is lost all the same
    assert caught.tb is not None
    assert [(o.status, (o.reduction_id or 0) % 1000) for o in run.outcomes if o.kind == "object"] == [("done", 1)] * 2


class Stopping:
    """A watcher that notes what it is told, and ends the run when the first film is staged."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []

    def begin(self, total: int) -> None:
        self.told.append(("begin", str(total)))

    def step(self, name: str) -> None:
        pass

    def staged(self, outcome: Outcome) -> None:
        self.told.append(("staged", outcome.film))
        raise TimeoutError("enough")

    def film(self, outcome: Outcome) -> None:
        self.told.append((outcome.status, outcome.film))


@pytest.mark.timeout(200)
@pytest.mark.parametrize("executor", [None, 1])
def test_a_run_that_is_stopped_amid_an_exposure_keeps_what_it_has(
    small_night: Path, tmp_path: Path, executor: int | None
) -> None:
    """Of four films of one exposure the first is published, and at most those that were under way have ended, too."""
    archive = Archive.create(tmp_path / "archive")
    make_masters(small_night, archive, progress=False)
    one = raw.find_films(small_night)[-1]
    films = []
    for k in range(4):  # only the first has masters
        films.append(tmp_path / f"{k}.fits")
        shutil.copy(one, films[-1])
        fits.setval(films[-1], "DET_ID", value=112 + k)
    watcher = Stopping()
    refcat = small_night / "refcat.parquet"
    with pytest.raises(TimeoutError, match="enough"):
        reduce(films, archive, refcat, progress=watcher, executor=executor)
    begin, staged, *ended = watcher.told
    assert (begin, staged) == (("begin", "4"), ("staged", str(films[0])))
    assert ended[-1] == ("done", str(films[0]))
    assert [what for what, _ in ended[:-1]] == ["failed"] * (len(ended) - 1)
    assert len(ended) == (1 if executor is None else 2)
    assert archive.table("reductions")["status"].to_pylist() == ["done", "failed"][: len(ended)]
    assert len(archive.search(product="stack")) == 1
    assert set(archive.table("photometry")["detector_id"].to_pylist()) == {112}
    staging = archive.root / "staging"
    assert not staging.exists() or not any(staging.iterdir())


def test_relative_paths_and_what_is_no_raw_film(
    first_run: FirstRun, small_night: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside the archive: its own stacks and masters are no films, and a process elsewhere finds what is one."""
    archive = Archive.create(tmp_path / "archive")
    dark = raw.find_films(small_night)[0]
    shutil.copy(dark, tmp_path / "dark.fits")
    shutil.copy(dark, archive.root / "stack.fits")
    shutil.copy(dark, tmp_path / ".dark.fits.Xy7")
    monkeypatch.chdir(tmp_path)
    run = make_masters(".", archive, progress=False)
    assert [o.film for o in run.outcomes] == [str(tmp_path / "dark.fits")]


def test_masters_alone(small_night: Path, tmp_path: Path) -> None:
    archive = Archive.create(tmp_path / "archive")
    run = make_masters(small_night, archive, progress=False)
    assert [o.kind for o in run.done] == ["dark", "flat"]
    assert len(archive.table("masters")) == 2
    film = archive.search(product="film")
    assert film.empty
    (tmp_path / "sky").mkdir()
    shutil.copy(raw.find_films(small_night)[-1], tmp_path / "sky")
    with pytest.raises(errors.NotFoundError, match="no dark and no flat"):
        make_masters(tmp_path / "sky", archive, progress=False)


def test_without_a_reference_catalog(small_night: Path, tmp_path: Path) -> None:
    archive = Archive.create(tmp_path / "archive")
    with pytest.raises(errors.RefcatError, match="has used no reference catalog yet"):
        reduce(small_night, archive, progress=False)
    with pytest.raises(errors.RefcatError, match="no reference catalog at"):
        reduce(small_night, archive, tmp_path / "none.parquet", progress=False)


def test_wrong_executor(small_night: Path, tmp_path: Path) -> None:
    archive = Archive.create(tmp_path / "archive")
    with pytest.raises(errors.ParameterError, match="executor must be None"):
        reduce(small_night, archive, small_night / "refcat.parquet", executor="many", progress=False)


def test_run_as_a_table(first_run: FirstRun) -> None:
    table = first_run[1].to_pandas()
    assert table["status"].tolist() == ["done"] * 4
    assert table["reduction_id"].isna().sum() == 2
