"""Known objects in an archive: at the reduction or after it, again with other orbits."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import tomoe_explore as te
from tests.archive.reductions import make_exposure, make_film, reduce_film
from tests.orbits.known_sky import CERES, MJD, NEAR, PLACES, VESTA, write_orbits
from tomoe_explore import schema
from tomoe_explore.archive import Archive, open_archive
from tomoe_explore.cli import app
from tomoe_explore.errors import OrbitsError
from tomoe_explore.ids import member_ids

NIGHT = "2020-08-14"


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    """An archive with two films: in one there is 2020 XA1 and something unknown, in the other only the latter."""
    archive = Archive.create(tmp_path / "archive")
    _, ra, dec, d_ra, d_dec, _ = PLACES[2]
    for exposure_id, at in ((357754, [dec, dec + 0.1]), (357755, [dec + 0.1])):
        exposure = make_exposure(exposure_id, 112)
        path = make_film(tmp_path, exposure)
        reservation = archive.begin(exposure, path)
        assert reservation is not None
        archive.let_go(reservation)
        columns: dict[str, object] = dict.fromkeys(schema.TABLES["movers"].names, 0.3)
        columns |= {
            "mover_id": member_ids(reservation.reduction_id, len(at), "mover"), "exposure_id": exposure_id,
            "detector_id": 112, "reduction_id": reservation.reduction_id, "mjd": MJD, "ra": ra, "dec": np.array(at),
            "rate": np.hypot(d_ra, d_dec), "position_angle": np.degrees(np.arctan2(d_ra, d_dec)) % 360,
            "rate_err": 0.01, "n_frames": 18, "flags": 0, "known_as": None,
        }  # fmt: skip
        reduce_film(archive, path, exposure, movers=schema.conform("movers", columns))
    return archive


def states(archive: Archive) -> list[tuple[str | None, str]]:
    table = archive.table("movers", columns=["known_as", "known"])
    return list(zip(table["known_as"].to_pylist(), table["known"].to_pylist(), strict=True))


def test_movers_are_not_checked_then_known_or_not(archive: Archive, tmp_path: Path) -> None:
    assert states(archive) == [(None, "not checked")] * 3
    orbits = write_orbits(tmp_path / "MPCORB.DAT")
    found = te.find_known(archive, orbits, exposure_id=357754)
    assert states(archive) == [("2020 XA1", "known"), ("", "not known"), (None, "not checked")]
    assert (found.checked, found.before, [name for _, name, _ in found.known]) == (2, 0, ["2020 XA1"])
    assert repr(found).startswith("2 movers compared with 5 orbits: 1 known, 1 not known\n")
    assert (again := te.find_known(archive, orbits, night=NIGHT)).before == 2
    assert again.checked == 1
    assert te.find_known(archive, orbits, force=True).checked == 3


def test_other_orbits_give_another_answer_and_no_film_is_touched(archive: Archive, tmp_path: Path) -> None:
    before = sorted((path, os.stat(path).st_mtime_ns) for path in archive.root.rglob("*.parquet"))
    te.find_known(archive, write_orbits(tmp_path / "old.DAT", (CERES, VESTA)))
    assert [known for _, known in states(archive)] == ["not known"] * 3
    te.find_known(archive, write_orbits(tmp_path / "new.DAT", (CERES, NEAR)))
    assert states(archive)[0] == ("2020 XA1", "known")
    assert before == sorted((path, os.stat(path).st_mtime_ns) for path in archive.root.rglob("*.parquet"))


def test_readers_agree(archive: Archive, tmp_path: Path) -> None:
    te.find_known(archive, write_orbits(tmp_path / "MPCORB.DAT"))
    reader = archive.catalog["movers"]
    frames = [reader.read(), reader.to_dask().compute(), archive.table("movers").to_pandas()]
    for frame in frames:
        assert frame["known_as"].tolist() == ["2020 XA1", "", ""]
        assert frame["known"].tolist() == ["known", "not known", "not known"]
    assert archive.table("movers", columns=["known"]).column_names == ["known"]
    assert list(reader.discover()) == list(frames[0])
    te.consolidate(archive, progress=False)
    assert states(archive)[0] == ("2020 XA1", "known")


def test_an_archive_that_was_not_migrated_reads_as_not_checked(archive: Archive) -> None:
    with archive.registry.writing() as connection:
        connection.exec_driver_sql("DROP TABLE known_objects")
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0006'")
    assert states(open_archive(archive.root)) == [(None, "not checked")] * 3


def test_bad_orbits_are_refused_and_damaged_ones_named(archive: Archive, tmp_path: Path) -> None:
    with pytest.raises(OrbitsError, match="no orbits"):
        te.find_known(archive, tmp_path / "gone")
    with pytest.raises(OrbitsError, match="no orbits"):
        te.reduce(tmp_path, archive, mpcorb=tmp_path / "gone", progress=False)
    with pytest.raises(OrbitsError, match="no orbits"):
        te.submit(tmp_path, archive, mpcorb=tmp_path / "gone")
    path = write_orbits(tmp_path / "MPCORB.DAT", (NEAR, CERES[:60]))
    with pytest.warns(UserWarning, match="1 of 2 lines cannot be used: line 7: no number"):
        assert te.find_known(archive, path).damaged
    assert states(archive)[0] == ("2020 XA1", "known")


def test_the_command_line_says_it(archive: Archive, tmp_path: Path) -> None:
    orbits = str(write_orbits(tmp_path / "MPCORB.DAT"))
    common = ["--archive", str(archive.root), "movers", "known", "--mpcorb", orbits]
    run = CliRunner().invoke(app, [*common, "--night", NIGHT])
    assert run.exit_code == 0 and "3 movers compared with 5 orbits: 1 known, 2 not known" in run.output
    told = json.loads(CliRunner().invoke(app, [*common, "--json", "--force"]).stdout)
    assert told["known"][0]["known_as"] == "2020 XA1" and told["not_known"] == 2
    wrong = CliRunner().invoke(app, [*common[:-1], str(tmp_path / "gone")])
    assert wrong.exit_code == 1 and "orbits: no orbits" in wrong.stderr


def test_a_reduction_says_it_too(small_night: Path, tmp_path: Path) -> None:
    """Of the movers of simulated films none is in the file; a replay does not mind that they were compared."""
    archive = Archive.create(tmp_path / "archive")
    orbits = write_orbits(tmp_path / "MPCORB.DAT")
    te.reduce(small_night, archive, small_night / "refcat.parquet", progress=False)
    before = states(archive)
    assert set(before) == {(None, "not checked")}
    te.reduce(small_night, archive, mpcorb=orbits, progress=False)
    assert states(archive) == [("", "not known")] * len(before)
    reduction_id = archive.table("reductions")["reduction_id"][0].as_py()
    assert archive.replay(reduction_id).identical
