"""The command line: JSON, the place of the options, exit status, and that each verb does its work."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from astropy.table import Table
from click.testing import Result
from typer.main import get_command
from typer.testing import CliRunner

import tomoe_explore as te
from tomoe_explore.archive import Archive
from tomoe_explore.cli import app

VERBS = ("init", "simulate", "refcat", "masters", "reduce", "search", "table", "lightcurve", "periodogram",
         "provenance", "replay", "doctor", "summary", "jobs", "backup", "restore", "watch")  # fmt: skip


def tomoe(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])


def as_json(*arguments: object) -> dict[str, Any]:
    result = tomoe("--json", *arguments)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def archive(small_night: Path, tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """The small night, reduced by the command line."""
    root = tmp_path_factory.mktemp("cli") / "archive"
    assert as_json("init", "--archive", root) == {
        "archive": str(root), "created": True, "migrated_after_backup": None,
    }  # fmt: skip
    run = as_json("reduce", small_night, "--refcat", small_night / "refcat.parquet", "--archive", root)
    assert (run["done"], run["skipped"], run["failed"]) == (4, 0, 0)
    return te.open_archive(root)


@pytest.fixture(scope="module")
def star(archive: Archive) -> str:
    """Position of a bright star that was measured in both films."""
    sources = archive.table("sources").to_pandas()
    both = sources.groupby("ref_id").filter(lambda rows: len(rows) == 2)
    bright = both[both["mag"].between(13.5, 15.5)].iloc[0]
    return f"{bright.ra:.6f} {bright.dec:.6f}"


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_with_an_example(verb: str) -> None:
    result = tomoe(verb, "import", "--help") if verb == "refcat" else tomoe(verb, "--help")
    assert result.exit_code == 0
    assert "Example: tomoe" in result.output
    assert "--archive" in result.output
    assert "--json" in result.output


def test_examples_of_the_help_are_spelled_right() -> None:
    group = get_command(app)
    for verb in VERBS:
        command = group.commands[verb]  # type: ignore[attr-defined]
        if verb == "refcat":
            command = command.commands["import"]
        words = shlex.split((command.help or "").partition("Example: tomoe ")[2].replace("\n", " "))
        words = words[2:] if verb == "refcat" else words[1:]
        command.make_context(verb, words)  # raises where an option does not exist


def test_options_before_and_after_the_verb(archive: Archive) -> None:
    root = archive.root
    results = [
        tomoe("--archive", root, "--json", "summary"),
        tomoe("summary", "--archive", root, "--json"),
        tomoe("--json", "summary", "--archive", root),
        tomoe("--archive", "nowhere", "--json", "summary", "--archive", root),  # the nearer one counts
        CliRunner().invoke(app, ["summary", "--json"], env={"TOMOE_ARCHIVE": str(root)}),
    ]
    documents = [json.loads(r.stdout) for r in results]
    assert documents[0]["reductions"] == {"done": 2}
    assert all(d == documents[0] for d in documents)


def test_exit_status(archive: Archive, tmp_path: Path) -> None:
    assert tomoe("summary", "--archive", archive.root).exit_code == 0
    assert tomoe("summary", "--archive", tmp_path / "none").exit_code == 1
    assert tomoe("provenance", "12", "--archive", archive.root).exit_code == 1
    for wrong in (
        ("reduce",), ("nonsense",), ("search", "--nigth", "2020-08-14"), ("search", "--night", "tomorrow"),
        ("lightcurve", "here"), ("simulate", tmp_path / "x", "--detectors", "one"),
        ("simulate", tmp_path / "x", "--detectors", "117"), ("simulate", tmp_path / "x", "--mistake", "sleep"),
    ):  # fmt: skip
        assert tomoe("--archive", archive.root, *wrong).exit_code == 2, wrong
    assert not (tmp_path / "x").exists()


def test_an_error_is_one_line_and_one_document(tmp_path: Path) -> None:
    result = tomoe("summary", "--archive", tmp_path / "none", "--json")
    assert len(result.stderr.strip().splitlines()) == 1
    error = json.loads(result.stdout)["error"]
    assert error["kind"] == "archive"
    assert error["message"] in result.stderr


def test_version_and_help_in_a_process_of_their_own() -> None:
    command = str(Path(sys.executable).with_name("tomoe"))
    version = subprocess.run([command, "--version"], capture_output=True, text=True, check=True)
    assert version.stdout.strip() == f"tomoe {te.__version__}"
    wrong = subprocess.run([command, "reduce"], capture_output=True, text=True, check=False)
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "FILES_OR_DIRS" in wrong.stderr


def test_init_leaves_an_archive_as_it_is(archive: Archive) -> None:
    assert as_json("init", "--archive", archive.root)["created"] is False
    assert "is an archive already" in tomoe("init", "--archive", archive.root).stdout
    assert as_json("summary", "--archive", archive.root)["reductions"] == {"done": 2}


def test_simulate(tmp_path: Path) -> None:
    made = as_json("simulate", tmp_path / "raw", "--detectors", "112", "--exposures", 1, "--frames", 2,
                   "--center", "310.0,-12.0", "--movers", 0, "--seeing", 3.0, "--moon", 0.5, "--cloud", 0.1,
                   "--gain", "mid", "--mistake", "no-flat", "--workers", 1)  # fmt: skip
    assert [len(made[k]) for k in ("films", "darks", "flats")] == [1, 1, 0]
    assert all(Path(p).is_file() for p in [*made["films"], made["refcat"]])
    assert (Path(made["truth"]) / "stars.parquet").is_file()
    (hidden,) = json.loads((Path(made["truth"]) / "hidden.json").read_text())
    assert (hidden["mistake"], hidden["gain_mode"], hidden["cloud"]) == ("no-flat", "mid", 0.1)


def test_refcat_import(archive: Archive, tmp_path: Path, small_night: Path) -> None:
    before = archive.refcat_path()
    (tmp_path / "mine.csv").write_text("RA_ICRS,DE_ICRS,Gmag\n10.0,5.0,12.0\n11.0,5.0,12.5\n")
    made = as_json(
        "refcat", "import", tmp_path / "mine.csv", "--out", tmp_path / "m.parquet", "--archive", archive.root
    )
    assert (made["stars"], made["name"], made["archive"]) == (2, "mine", str(archive.root))
    assert archive.refcat_path() == tmp_path / "m.parquet"
    assert before is not None
    archive.add_refcat(te.refcat.read_refcat(before), before)
    bad = tomoe("refcat", "import", tmp_path / "none.csv", "--out", tmp_path / "n.parquet")
    assert (bad.exit_code, "refcat:" in bad.stderr) == (1, True)


def test_search(archive: Archive, star: str) -> None:
    found = as_json("search", "--product", "stack", "--position", star, "--archive", archive.root)
    assert found["n"] == 2
    for product in found["products"]:
        assert Path(product["path"]).stat().st_size == product["bytes"]
        assert te.raw.checksum(product["path"]) == product["checksum"]
    listed = tomoe("search", "--product", "stack", "--archive", archive.root).stdout
    assert found["products"][0]["path"] in listed
    nothing = tomoe("search", "--night", "1999-01-01", "--archive", archive.root)
    assert (nothing.exit_code, nothing.stdout) == (0, "")


@pytest.mark.parametrize("name", ["night.fits", "night.vot"])
def test_a_table_opens_in_stilts(archive: Archive, tmp_path: Path, tool: Callable[[str], str], name: str) -> None:
    n_rows = archive.table("photometry").num_rows
    written = as_json("table", "photometry", "--out", tmp_path / name, "--archive", archive.root)
    assert written == {"table": "photometry", "n_rows": n_rows, "path": str(tmp_path / name)}
    command = [tool("stilts"), "tpipe", f"in={tmp_path / name}", "omode=count"]
    counted = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert f"rows: {n_rows}" in counted


def test_a_table_on_the_terminal(archive: Archive) -> None:
    shown = tomoe("table", "sources", "--archive", archive.root)
    assert "source_id" in shown.stdout
    assert "--out FILE writes all" in shown.stderr
    rows = as_json("table", "stacks", "--archive", archive.root)["rows"]
    assert [row["detector_id"] for row in rows] == [112, 112]
    assert tomoe("table", "nothing", "--archive", archive.root).exit_code == 2


def test_lightcurve(archive: Archive, star: str, tmp_path: Path) -> None:
    told = as_json("lightcurve", star, "--archive", archive.root)
    assert told["n_points"] == len(told["columns"]["flux"]) == 16
    assert told["units"]["flux"] == "nJy"
    shown = tomoe("lightcurve", star, "--archive", archive.root).stdout
    assert Table.read(shown, format="ascii.ecsv")["flux"].tolist() == pytest.approx(told["columns"]["flux"])
    for ending in ("ecsv", "parquet", "csv"):
        out = tmp_path / f"lc.{ending}"
        assert as_json("lightcurve", star, "--out", out, "--archive", archive.root)["path"] == str(out)
        assert out.stat().st_size > 500
    assert tomoe("lightcurve", star, "--out", tmp_path / "lc.txt", "--archive", archive.root).exit_code == 2
    nothing = tomoe("lightcurve", "0 0", "--archive", archive.root)
    assert (nothing.exit_code, "not-found" in nothing.stderr) == (1, True)


def test_periodogram(archive: Archive, star: str, tmp_path: Path) -> None:
    found = as_json("periodogram", star, "--plot", tmp_path / "p.png", "--archive", archive.root)
    assert found["peaks"][0]["relation"] == "best"
    assert found["n_points"] == 16
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")
    limited = as_json("periodogram", star, "--min", 10_000, "--max", 40_000, "--archive", archive.root)
    assert 10_000 <= limited["peaks"][0]["frequency"] <= 40_000


def test_what_a_reduction_would_do(archive: Archive, small_night: Path, tmp_path: Path) -> None:
    films = sorted(small_night.glob("r*.fits"))
    shutil.copy(films[0], tmp_path / "new.fits")
    (tmp_path / "bad.fits").write_text("no film")
    asked = ("reduce", small_night, tmp_path / "new.fits", "--dry-run", "--archive", archive.root)
    night = "2020-08-14"
    rows = [{"night": night, "kind": "dark", "to_do": 1, "done": 1},
            {"night": night, "kind": "flat", "to_do": 0, "done": 1},
            {"night": night, "kind": "object", "to_do": 0, "done": 2}]  # fmt: skip
    told = as_json(*asked)
    assert told == {"to_do": 1, "done": 4, "films": rows, "unreadable": []}
    assert as_json(*asked, "--force")["films"][2] == {**rows[2], "to_do": 2, "done": 0}
    text = tomoe(*asked, tmp_path / "bad.fits", "--quiet")
    assert text.exit_code == 1
    assert "bad.fits: not-fits" in text.stderr
    assert [line.split() for line in text.stdout.splitlines()][1] == [night, "dark", "1", "1"]
    assert len(archive.table("masters")) == 2


def test_provenance(archive: Archive, small_night: Path) -> None:
    reduction_id = archive.table("reductions")["reduction_id"][0].as_py()
    told = as_json("provenance", f"stack-{reduction_id}", "--archive", archive.root)
    assert told["film"]["checksum"] == te.raw.checksum(told["film"]["path"])
    text = tomoe("provenance", reduction_id, "--archive", archive.root).stdout
    assert told["dark"]["master_id"] in text
    formatted = tomoe("provenance", reduction_id, "--format", "json", "--archive", archive.root).stdout
    assert json.loads(formatted)["film"] == told["film"]


def test_provenance_in_other_forms(archive: Archive, tmp_path: Path) -> None:
    source_id = archive.table("sources")["source_id"][0].as_py()
    asked = ("provenance", source_id, "--frame", 3, "--archive", archive.root)
    assert as_json(*asked)["row"]["frame"] == 3
    document = json.loads(tomoe(*asked, "--format", "prov").stdout)
    assert document["prefix"] == {"tomoe": "urn:tomoe-explore:prov#"}
    provn = tomoe(*asked, "--format", "provn").stdout
    assert provn.startswith("document\n")
    assert as_json(*asked, "--format", "provn") == {"provn": provn.rstrip("\n")}
    for ending, start in (("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")):
        out = tmp_path / f"chain.{ending}"
        assert as_json(*asked, "--format", "graph", "--out", out) == {"path": str(out), "format": "graph"}
        assert out.read_bytes().startswith(start)
    assert tomoe(*asked, "--format", "prov", "--out", tmp_path / "p.json").exit_code == 0
    assert json.loads((tmp_path / "p.json").read_text()) == document
    for wrong in (("--format", "graph"), ("--format", "graph", "--out", tmp_path / "c.xyz"),
                  ("--format", "text", "--out", tmp_path / "none" / "x")):  # fmt: skip
        assert tomoe(*asked, *wrong).exit_code == 2, wrong


def test_replay(archive: Archive, tmp_path: Path) -> None:
    reduction_id = archive.table("reductions")["reduction_id"][0].as_py()
    told = tomoe("replay", reduction_id, "--archive", archive.root)
    assert (told.exit_code, f"reduction {reduction_id}: identical" in told.stdout) == (0, True), told.output
    night = as_json("replay", "--night", "2020-08-14", "--archive", archive.root)
    assert (night["n"], night["identical"]) == (2, 2)
    copy = te.open_archive(shutil.copytree(archive.root, tmp_path / "copy"))
    Path(copy.search(product="dark")["path"].iloc[0]).unlink()
    summed = tomoe("replay", "--night", "2020-08-14", "--archive", copy.root)
    assert (summed.exit_code, "0 of 2 reductions are identical: 2 gone" in summed.stdout) == (1, True)
    gone = tomoe("replay", reduction_id, "--archive", copy.root, "--json")
    assert gone.exit_code == 1
    assert "is missing" in json.loads(gone.stdout)["replays"][0]["gone"][0]
    assert tomoe("replay", "--archive", archive.root).exit_code == 2
    assert tomoe("replay", 12, "--archive", archive.root).exit_code == 1
    assert tomoe("replay", "--night", "1999-01-01", "--archive", archive.root).exit_code == 1


def test_a_table_of_too_many_rows_is_refused(archive: Archive, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tomoe_explore.archive.archive.ROW_LIMIT", 10)
    asked = ("table", "photometry", "--out", tmp_path / "all.parquet", "--archive", archive.root)
    refused = tomoe(*asked)
    assert (refused.exit_code, "--all" in refused.stderr) == (1, True)
    assert not (tmp_path / "all.parquet").exists()
    assert tomoe(*asked, "--all").exit_code == 0
    assert tomoe("doctor", "--yes", "--archive", archive.root).exit_code == 2


def test_jobs(small_night: Path, tmp_path: Path) -> None:
    home = Archive.create(tmp_path / "archive")
    listed = tomoe("jobs", "--archive", home.root)
    assert (listed.exit_code, listed.stdout) == (0, f"no jobs in {home.root}\n")
    home.layout.limits.write_text('{"disk_free_gb": 1e6}')  # so that it waits
    job = te.submit(small_night, home, small_night / "refcat.parquet")
    home.layout.limits.write_text('{"workers": 0}')
    ill = tomoe("jobs", "--archive", home.root)
    assert (ill.exit_code, "jobs wait until it is mended" in ill.stderr, "queued" in ill.stdout) == (0, True, True)
    home.layout.limits.write_text('{"disk_free_gb": 1e6}')
    told = as_json("jobs", "--archive", home.root)
    assert told["limits"]["disk_free_gb"] == 1e6
    assert [(j["job_id"], j["state"]) for j in told["jobs"]] == [(1, "queued")]
    assert as_json("jobs", 1, "--cancel", "--archive", home.root)["state"] == "cancelled"
    again = tomoe("jobs", "1", "--cancel", "--archive", home.root)
    assert (again.exit_code, "nothing to cancel" in again.stderr) == (1, True)
    assert as_json("jobs", 1, "--resume", "--archive", home.root)["state"] == "queued"
    assert "job 1: queued" in tomoe("jobs", "1", "--archive", home.root).stdout
    job.cancel()
    assert "cancelled" in tomoe("jobs", "--archive", home.root).stdout
    for wrong in (("--cancel",), ("--resume",), ("1", "--cancel", "--resume")):
        assert tomoe("jobs", *wrong, "--archive", home.root).exit_code == 2
    assert tomoe("jobs", "7", "--archive", home.root).exit_code == 1


def test_doctor(archive: Archive) -> None:
    told = as_json("doctor", "--deep", "--archive", archive.root)
    assert told["faults"] == 0
    assert "with their checksums" in {c["name"]: c["text"] for c in told["checks"]}["files"]
    broken = tomoe("doctor", "--archive", archive.root / "none")
    assert broken.exit_code == 1
    assert "fault archive:" in broken.stdout
