"""Nights merged into partitions: the same rows for every reader, before, meanwhile and after, killed or not."""

from __future__ import annotations

import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from tests.archive.reductions import make_exposure, make_film, make_stack, reduce_film
from tomoe_explore.archive import Archive, sky
from tomoe_explore.archive import registry as tables
from tomoe_explore.archive.manifest import wrong_manifests
from tomoe_explore.archive.rows import files
from tomoe_explore.archive.search import Where
from tomoe_explore.cli import app
from tomoe_explore.errors import ArchiveError
from tomoe_explore.operations import consolidate as consolidate_module
from tomoe_explore.operations.consolidate import consolidate
from tomoe_explore.operations.inventory import orphans, wrong_files

#: Where three cells of order 5 meet, across RA zero.
CORNER = (0.0, 0.0)
KINDS = ("photometry", "sources", "frames")
NIGHTS = ("2020-08-14", "2020-08-15")


def film(
    archive: Archive, folder: Path, exposure_id: int, detector_id: int = 111, *, force: bool = False
) -> int | None:
    """Reduce a made-up film of 40 stars about the corner; every second one is a reference star."""
    rng = np.random.default_rng(9)
    ra, dec = CORNER[0] + rng.uniform(-0.3, 0.3, 40), CORNER[1] + rng.uniform(-0.2, 0.2, 40)
    moved = np.random.default_rng(exposure_id * 1000 + detector_id).normal(0, 0.2 / 3600, 40)
    dec = dec + np.where(np.arange(40) % 2, moved, 0.0) + (detector_id - 111) * 0.05
    exposure = make_exposure(exposure_id, detector_id, night=NIGHTS[exposure_id > 357800])
    path = folder / f"{exposure_id}-{detector_id}.fits"
    path = path if path.exists() else make_film(folder, exposure)
    refs = [None if k % 2 else 10**6 + k for k in range(40)]
    stack = make_stack(CORNER[0], CORNER[1] + (detector_id - 111) * 0.05)
    return reduce_film(archive, path, exposure, force=force, ra=ra % 360, dec=dec, ref_id=refs, stack=stack)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """Two nights of two exposures with two films."""
    folder = tmp_path_factory.mktemp("made")
    archive = Archive.create(folder / "archive")
    for exposure_id in (357754, 357755, 357901, 357902):
        for detector_id in (111, 112):
            film(archive, folder, exposure_id, detector_id)
    return archive


@pytest.fixture
def two_nights(made: Archive, tmp_path: Path) -> Archive:
    """A copy of it."""
    shutil.copytree(made.root, tmp_path / "archive")
    return Archive(tmp_path / "archive")


def rows(archive: Archive, kind: str, **where: object) -> pd.DataFrame:
    """Rows without their object, in an order of their own."""
    table = archive.table(kind, **where).to_pandas().drop(columns="object_id", errors="ignore")
    keys = [name for name in ("reduction_id", "source_id", "frame") if name in table.columns]
    return table.sort_values(keys).reset_index(drop=True)


def exact(table: pa.Table) -> pd.DataFrame:
    """As pandas, whose integers with nulls would be floats, and ids no longer what they were."""
    return table.to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)


def contents(archive: Archive) -> dict[str, pd.DataFrame]:
    return {kind: rows(archive, kind) for kind in KINDS}


def assert_same(archive: Archive, before: dict[str, pd.DataFrame]) -> None:
    for kind, expected in before.items():
        pd.testing.assert_frame_equal(rows(archive, kind), expected)


def current(archive: Archive) -> pd.DataFrame:
    query = sa.select(tables.parts).where(tables.parts.c.replaced.is_(None))
    return pd.DataFrame([dict(row) for row in archive.registry.rows(query)])


def assert_sound(archive: Archive) -> None:
    assert wrong_files(archive, deep=True)[1] == []
    assert orphans(archive) == []


def test_the_same_rows_for_every_reader(two_nights: Archive) -> None:
    before = contents(two_nights)
    made = consolidate(two_nights, progress=False)
    assert_same(two_nights, before)
    assert_sound(two_nights)
    parts = current(two_nights)
    assert parts["exposure_id"].isna().all()
    assert parts["night"].isna().all()  # two nights of equal size are merged at once
    assert made.rows == sum(len(before[kind]) for kind in KINDS) * 2  # each row was copied twice
    cells = set(before["photometry"]["healpix_29"] // 2**48)
    assert set(parts[parts["kind"] == "photometry"]["cell"]) == cells
    assert len(cells) >= 3
    assert not list((two_nights.root / "tables").glob("*/2020*/manifest.json"))  # no night has rows of its own
    for kind in KINDS:  # whoever knows the manifest only
        folder = two_nights.root / "tables" / kind / "all"
        listed = pd.read_json(folder / "manifest.json")["files"].tolist()
        paths = [str(folder / item["path"]) for item in listed]
        assert duckdb.sql(f"select count(*) from read_parquet({paths})").fetchall() == [(len(before[kind]),)]
    assert "rows merged into" in repr(made)
    assert made.to_dict()["rows"] == made.rows


def test_cones_at_the_corner_of_cells_lose_nothing(two_nights: Archive) -> None:
    before = contents(two_nights)["photometry"]
    consolidate(two_nights, progress=False)
    rng = np.random.default_rng(2)
    for ra, dec in [CORNER, *zip(rng.uniform(-0.1, 0.1, 8) % 360, rng.uniform(-0.1, 0.1, 8), strict=True)]:
        found = rows(two_nights, "photometry", position=(ra, dec), radius="6 arcmin")
        inside = sky.separation_deg(ra, dec, before["ra"], before["dec"]) <= 0.1
        pd.testing.assert_frame_equal(found, before[inside].reset_index(drop=True), check_dtype=False)
        assert inside.any()


def assert_one_object_a_star(sources: pd.DataFrame) -> None:
    free = sources[sources["ref_id"].isna()]
    star = free["source_id"] % 100_000 + 100_000 * free["detector_id"].astype(int)
    assert free.groupby(star)["object_id"].nunique().max() == 1
    assert free["object_id"].nunique() == star.nunique() == 40


def test_objects_are_the_same_over_nights(two_nights: Archive, tmp_path: Path) -> None:
    """Reference stars have none; the others one a star and detector, in both tables, and a late film keeps it."""
    consolidate(two_nights, NIGHTS[0], progress=False)
    first = set(two_nights.table("sources", night=NIGHTS[0])["object_id"].drop_null().to_pylist())
    consolidate(two_nights, progress=False)
    sources = exact(two_nights.table("sources"))
    assert (sources["object_id"].isna() == sources["ref_id"].notna()).all()
    assert_one_object_a_star(sources)
    assert set(sources["object_id"].dropna()) == first
    photometry = exact(two_nights.table("photometry"))
    merged = photometry.merge(sources[["source_id", "object_id"]], on="source_id", suffixes=("", "_source"))
    assert merged["object_id"].equals(merged["object_id_source"])
    film(two_nights, tmp_path, 357904)
    consolidate(two_nights, progress=False)
    assert set(two_nights.table("sources")["object_id"].drop_null().to_pylist()) == first


def test_nothing_to_do(two_nights: Archive) -> None:
    planned = consolidate(two_nights, dry_run=True)
    assert "would be merged" in repr(planned)
    assert planned.rows == sum(map(len, contents(two_nights).values()))
    assert len(current(two_nights)) == 12
    consolidate(two_nights, progress=False)
    files = sorted((two_nights.root / "tables").rglob("*.parquet"))
    assert repr(consolidate(two_nights, progress=False)) == "nothing to consolidate"
    assert sorted((two_nights.root / "tables").rglob("*.parquet")) == files


def test_late_films_join_their_night(two_nights: Archive, tmp_path: Path) -> None:
    consolidate(two_nights, NIGHTS[0], progress=False)
    film(two_nights, tmp_path, 357760)
    before = contents(two_nights)
    consolidate(two_nights, NIGHTS[0], progress=False)
    assert_same(two_nights, before)
    parts = current(two_nights)
    assert (parts[parts["night"] == NIGHTS[0]]["exposure_id"].isna()).all()
    consolidate(two_nights, progress=False)
    assert_same(two_nights, before)
    assert_sound(two_nights)


def test_few_new_rows_wait_for_more(two_nights: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    consolidate(two_nights, progress=False)
    film(two_nights, tmp_path, 357905)  # an 8th of what is there
    before = contents(two_nights)
    consolidate(two_nights, progress=False)
    parts = current(two_nights)
    assert set(parts["night"].dropna()) == {NIGHTS[1]}
    assert parts["exposure_id"].isna().all()
    assert_same(two_nights, before)
    monkeypatch.setattr(consolidate_module, "SHARE", 0.0)
    consolidate(two_nights, progress=False)
    assert current(two_nights)["night"].isna().all()
    assert_same(two_nights, before)


def test_replaced_files_go_after_the_grace(two_nights: Archive) -> None:
    old = {two_nights.root / path for path in current(two_nights)["path"]}
    consolidate(two_nights, progress=False)
    assert all(path.exists() for path in old)
    made = consolidate(two_nights, progress=False, grace_s=0.0)
    assert not any(path.exists() for path in old)
    assert made.removed >= len(old)
    assert_sound(two_nights)
    assert len(current(two_nights)) == len(list((two_nights.root / "tables").rglob("*.parquet")))


def test_superseded_rows_are_kept_for_those_who_ask(tmp_path: Path) -> None:
    """Reduced again before consolidation: the older part stays, whatever the grace."""
    archive = Archive.create(tmp_path / "archive")
    for exposure_id in (357754, 357755):
        film(archive, tmp_path, exposure_id)
    film(archive, tmp_path, 357754, force=True)
    before = contents(archive)
    every = {kind: archive.table(kind, all_versions=True).num_rows for kind in KINDS}
    for _ in range(2):
        consolidate(archive, progress=False, grace_s=0.0)
    assert_same(archive, before)
    assert {kind: archive.table(kind, all_versions=True).num_rows for kind in KINDS} == every
    assert_sound(archive)


def test_rows_of_films_are_sought_where_the_films_are(two_nights: Archive, tmp_path: Path) -> None:
    """Far away another film; merged files are in order of the sky, and a film's rows are read from its surroundings."""
    far = make_exposure(357760, ra=120.0, dec=40.0)
    reduce_film(two_nights, make_film(tmp_path, far), far, ra=(120.0, 120.01), dec=(40.0, 40.01))
    asked = ({"exposure_id": 357754}, {"exposure_id": [357755, 357760]}, {"detector_id": 112}, {"night": NIGHTS[1]})
    before = [rows(two_nights, "photometry", **where) for where in asked]
    consolidate(two_nights, progress=False)
    for where, expected in zip(asked, before, strict=True):
        pd.testing.assert_frame_equal(rows(two_nights, "photometry", **where), expected)
    everything = files(two_nights.registry, two_nights.root, "photometry", Where())
    some = files(two_nights.registry, two_nights.root, "photometry", Where.of(exposure_id=357760))
    assert len(some[0].paths) == 1 < len(everything[0].paths)
    assert rows(two_nights, "photometry", exposure_id=1).empty


def test_reduced_again_after_consolidation(two_nights: Archive, tmp_path: Path) -> None:
    """Rows that only merged files have are put aside for ``all_versions`` before they are left out."""
    consolidate(two_nights, progress=False, grace_s=0.0)
    consolidate(two_nights, progress=False, grace_s=0.0)
    n = {kind: two_nights.table(kind).num_rows for kind in KINDS}
    new = film(two_nights, tmp_path, 357754, force=True)
    every = {kind: two_nights.table(kind, all_versions=True).num_rows for kind in KINDS}
    assert every == {kind: rows_ + rows_ // 8 for kind, rows_ in n.items()}
    before = contents(two_nights)
    for _ in range(2):
        consolidate(two_nights, progress=False, grace_s=0.0)
        assert_same(two_nights, before)
        assert {kind: two_nights.table(kind, all_versions=True).num_rows for kind in KINDS} == every
        assert {kind: two_nights.table(kind).num_rows for kind in KINDS} == n
    assert new in set(two_nights.table("frames")["reduction_id"].to_pylist())
    assert_sound(two_nights)


def test_a_backup_from_before_is_refused(two_nights: Archive, tmp_path: Path) -> None:
    before = two_nights.backup(tmp_path / "before.zip")
    consolidate(two_nights, progress=False, grace_s=0.0)
    after = two_nights.backup(tmp_path / "after.zip")
    n = two_nights.table("photometry").num_rows
    two_nights.layout.registry.unlink()
    lost = Archive(two_nights.root)
    with pytest.raises(ArchiveError, match=r"names \d+ files of tables that are gone, such as tables/frames"):
        lost.restore(before.path)
    lost.restore(after.path)
    assert lost.table("photometry").num_rows == n


def test_what_comes_meanwhile_is_not_lost(two_nights: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A film of the night is published between the merge and the swap: the night is done again."""
    swap, calls = consolidate_module.Swap.replace, []

    def late(*args):  # type: ignore[no-untyped-def]
        calls.append(1)
        if len(calls) == 1:
            film(two_nights, tmp_path, 357754, 113)
        return swap(*args)

    monkeypatch.setattr(consolidate_module.Swap, "replace", late)
    consolidate(two_nights, NIGHTS[0], progress=False)
    assert len(calls) == 2
    sources = two_nights.table("sources", night=NIGHTS[0])
    assert sources.num_rows == 5 * 40
    assert current(two_nights).query("night == @NIGHTS[0]")["exposure_id"].isna().all()
    assert_sound(two_nights)


def test_nights_consolidated_at_the_same_time_agree_on_objects(
    two_nights: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, asked = consolidate_module.Swap.replace, []

    def replace(*args: object) -> bool:
        asked.append(args)
        if len(asked) == 1:
            consolidate(two_nights, NIGHTS[1], progress=False)
        return bool(real(*args))

    monkeypatch.setattr(consolidate_module.Swap, "replace", replace)
    consolidate(two_nights, NIGHTS[0], progress=False)
    assert len(asked) > 3  # one was done again
    assert_one_object_a_star(exact(two_nights.table("sources")))


def killed(*_: object) -> None:
    raise KeyboardInterrupt


def test_manifests_are_mended_after_a_kill(two_nights: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consolidate_module, "mend_manifests", killed)
    with pytest.raises(KeyboardInterrupt):
        consolidate(two_nights, progress=False)
    monkeypatch.undo()
    assert wrong_manifests(two_nights.registry, two_nights.layout)
    assert consolidate(two_nights, progress=False).merged == ()
    assert wrong_manifests(two_nights.registry, two_nights.layout) == []


def test_no_manifest_names_a_file_that_is_removed(two_nights: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consolidate_module, "mend_manifests", killed)
    with pytest.raises(KeyboardInterrupt):
        consolidate(two_nights, progress=False)
    old = datetime.now(UTC) - timedelta(hours=2)
    with two_nights.registry.writing() as connection:
        connection.execute(sa.update(tables.parts).where(tables.parts.c.replaced.is_not(None)).values(
            replaced=old.isoformat(timespec="milliseconds")))  # fmt: skip
    two_nights.tidy(())
    assert wrong_manifests(two_nights.registry, two_nights.layout) == []
    assert len(list(two_nights.root.glob("tables/photometry/*/*.parquet"))) == len(current(two_nights).query(
        "kind == 'photometry'"))  # fmt: skip


def test_a_damaged_file_is_not_merged(two_nights: Archive) -> None:
    before = current(two_nights)
    path = two_nights.root / before[before["kind"] == "photometry"]["path"].iloc[0]
    table = pq.read_table(path)
    pq.write_table(table.slice(0, table.num_rows // 2), path)
    with pytest.raises(ArchiveError, match=r"files of photometry hold .* rows, expected"):
        consolidate(two_nights, progress=False)
    pd.testing.assert_frame_equal(current(two_nights), before)
    assert orphans(two_nights) == []


#: Runs a consolidation in a process of its own for each delay that it is given, and kills it (SIGKILL) after that.
_KILLER = """
import os, signal, sys, time
from tomoe_explore.operations.consolidate import consolidate
import tomoe_explore.kernels.same_place, hpgeom, tqdm.auto
print("ready", flush=True)
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        consolidate(sys.argv[1], progress=False, grace_s=0.0)
        os._exit(0)
    time.sleep(float(line))
    os.kill(child, signal.SIGKILL)
    print("killed" if os.waitpid(child, 0)[1] == signal.SIGKILL else "ended", flush=True)
"""


@pytest.mark.timeout(250)
def test_killed_at_any_moment_and_run_again(two_nights: Archive) -> None:
    """After ever longer: readers see all rows once, and a run completes it."""
    before = contents(two_nights)
    command = [sys.executable, "-c", _KILLER, str(two_nights.root)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as killer:
        assert killer.stdin is not None and killer.stdout is not None
        assert killer.stdout.readline() == "ready\n"
        delay, n_killed, came = 0.01, 0, "killed"
        while came == "killed":
            killer.stdin.write(f"{delay}\n")
            killer.stdin.flush()
            came = killer.stdout.readline().strip()
            n_killed += came == "killed"
            delay *= 1.4
            assert_same(two_nights, before)
        killer.stdin.close()
    assert came == "ended"
    assert n_killed >= 4
    consolidate(two_nights, progress=False, grace_s=0.0)
    assert_same(two_nights, before)
    assert current(two_nights)["night"].isna().all()
    assert_sound(two_nights)
    assert not any((two_nights.root / "staging").iterdir())


@pytest.mark.timeout(200)
def test_command_line(two_nights: Archive) -> None:
    before = contents(two_nights)
    command = ["--archive", str(two_nights.root), "consolidate"]
    planned = CliRunner().invoke(app, [*command, "--dry-run"])
    assert "rows would be merged" in planned.stdout
    command = [str(Path(sys.executable).with_name("tomoe")), *command, "--workers", "2", "--quiet", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert f'"rows": {2 * sum(map(len, before.values()))}' in done.stdout
    assert_same(two_nights, before)
    assert isinstance(two_nights.table("photometry"), pa.Table)
