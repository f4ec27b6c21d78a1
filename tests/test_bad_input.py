"""Bad input through the command line: one clear error each, no product, the other films go on, exit status 1."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from astropy.io import fits
from click.testing import Result
from typer.testing import CliRunner

from tomoe_explore import raw
from tomoe_explore.archive import Archive
from tomoe_explore.cli import app
from tomoe_explore.refcat import write_refcat

BAD_NAMES = {
    "truncated": "rTMQ1202008140035780012.fits",
    "not-fits": "rTMQ1202008140035780112.fits",
    "shape": "rTMQ1202008140035780212.fits",
    "keyword": "rTMQ1202008140035780312.fits",
    "other detector": "rTMQ1202008140035780413.fits",
    "called 2Hz": "rTMQ1202008140035780512.fits",
    "dome": "rTMQ1202008140035780612.fits",
}


def tomoe(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])


def edited(source: Path, target: Path, **cards: object) -> Path:
    """A copy of a film with other header cards; None removes one."""
    with fits.open(source, do_not_scale_image_data=True) as hdus:
        header, pixels = hdus[0].header, hdus[0].data
        for name, value in cards.items():
            key = name.replace("_", "-") if name not in ("EXP_ID", "DET_ID") else name
            if value is None:
                del header[key]
            else:
                header[key] = value
        fits.PrimaryHDU(np.asarray(pixels), header).writeto(target)
    return target


@dataclass
class Reduced:
    """What ``tomoe reduce --json`` said of a directory of good and bad films."""

    archive: Archive
    result: Result
    films: dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def reduced(small_night: Path, tmp_path_factory: pytest.TempPathFactory) -> Reduced:
    folder = tmp_path_factory.mktemp("bad") / "raw"
    folder.mkdir()
    for path in small_night.glob("r*.fits"):
        os.link(path, folder / path.name)
    good = raw.find_films(small_night)[-1]
    where = {kind: folder / name for kind, name in BAD_NAMES.items()}
    where["truncated"].write_bytes(good.read_bytes()[:20_000_000])
    where["not-fits"].write_text("this is a note, not a film\n" * 100)
    fits.PrimaryHDU(np.zeros((3, 100, 100), np.int16), fits.getheader(good)).writeto(where["shape"])
    edited(good, where["keyword"], EXP_ID=357803, TFRAME=None)
    edited(good, where["other detector"], EXP_ID=357804, DET_ID=113)
    edited(good, where["called 2Hz"], EXP_ID=357805, PROJECT="2Hz", TFRAME=1.0, EXPTIME1=0.999904)
    dark, sky = raw.find_films(small_night)[0], fits.getheader(good)
    edited(dark, where["dome"], EXP_ID=357806, DATA_TYP="OBJECT", RA=sky["RA"], DEC=sky["DEC"], OBJECT=sky["OBJECT"])
    archive = Archive.create(folder.parent / "archive")
    result = tomoe("--json", "--archive", archive.root, "reduce", folder, "--refcat", small_night / "refcat.parquet")
    films = {Path(f["film"]).name: f for f in json.loads(result.stdout)["films"]}
    return Reduced(archive, result, films)


def test_the_good_films_go_on_and_the_bad_ones_are_counted(reduced: Reduced, small_night: Path) -> None:
    assert reduced.result.exit_code == 1
    good = {p.name for p in small_night.glob("r*.fits")}
    assert {name for name, film in reduced.films.items() if film["status"] == "done"} == good
    assert {name for name, film in reduced.films.items() if film["status"] == "failed"} == set(BAD_NAMES.values())


@pytest.mark.parametrize(
    ("case", "kind", "words"),
    [
        ("truncated", "truncated", "got 20000000"),
        ("not-fits", "not-fits", "is not a FITS film"),
        ("shape", "shape", "got 100x100x3"),
        ("keyword", "keyword", "lacks the keywords TFRAME"),
        ("other detector", "no-masters", "expected detector 113"),
        ("called 2Hz", "no-masters", "0.999904 s a frame"),
        ("dome", "dome", "dome or cover closed"),
    ],
)
def test_each_error_is_one_clear_line(reduced: Reduced, case: str, kind: str, words: str) -> None:
    film = reduced.films[BAD_NAMES[case]]
    assert film["error_kind"] == kind
    assert words in film["message"]
    assert film["traceback"] == ""
    lines = [line for line in reduced.result.stderr.splitlines() if line.startswith("tomoe:") and words in line]
    assert len(lines) == 1
    assert BAD_NAMES[case] in lines[0]


def test_bad_films_leave_no_product_but_a_record(reduced: Reduced) -> None:
    archive = reduced.archive
    assert set(archive.search(product="stack")["exposure_id"]) == {357754, 357755}
    assert set(archive.table("photometry", columns=["exposure_id"])["exposure_id"].to_pylist()) == {357754, 357755}
    stacks = {path.name for path in archive.root.rglob("sTMQ*.fits")}
    assert stacks == {"sTMQ1202008140035775412.fits", "sTMQ1202008140035775512.fits"}
    failed = {r["exposure_id"]: r for r in archive.table("reductions").to_pylist() if r["status"] == "failed"}
    assert set(failed) == {357804, 357805, 357806}
    assert failed[357804]["error"].startswith("no-masters")
    quality = archive.table("exposures", columns=["exposure_id", "quality"]).to_pylist()
    assert {row["exposure_id"]: row["quality"] for row in quality} == {
        357752: "good", 357753: "good", 357754: "good", 357755: "good", 357804: "good", 357805: "good", 357806: "dome",
    }  # fmt: skip


def test_a_1_hz_film_called_2_hz_is_timed_by_tframe(small_night: Path, tmp_path: Path) -> None:
    dark, _, _, film = raw.find_films(small_night)
    slow = {"PROJECT": "2Hz", "TFRAME": 1.0, "EXPTIME1": 0.999904}
    (tmp_path / "raw").mkdir()
    edited(dark, tmp_path / "raw" / "dark.fits", **slow)
    edited(film, tmp_path / "raw" / "film.fits", **slow)
    archive = Archive.create(tmp_path / "archive")
    refcat = small_night / "refcat.parquet"
    result = tomoe("reduce", tmp_path / "raw", "--archive", archive.root, "--refcat", refcat, "-q")
    assert result.exit_code == 0, result.output
    mjd = archive.table("frames")["mjd"].to_numpy()
    np.testing.assert_allclose(np.diff(mjd) * 86400, 1.0, atol=1e-4)


@pytest.fixture
def archive(small_night: Path, tmp_path: Path) -> Archive:
    """An archive with the masters of the small night."""
    made = Archive.create(tmp_path / "archive")
    assert tomoe("masters", small_night, "--archive", made.root, "-q").exit_code == 0
    return made


def test_no_reference_stars(small_night: Path, archive: Archive, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.parquet"
    write_refcat(pa.table({"ra": [10.0], "dec": [60.0], "phot_g_mean_mag": [12.0]}), elsewhere)
    result = tomoe("reduce", small_night, "--archive", archive.root, "--refcat", elsewhere, "-q")
    assert result.exit_code == 1
    assert result.stdout.count("no-reference-stars: reference catalog 'elsewhere' (1 stars) has none within") == 2
    assert archive.search(product="stack").empty


def test_empty_directory(archive: Archive, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for verb in ("reduce", "masters"):
        result = tomoe(verb, tmp_path / "empty", "--archive", archive.root)
        assert result.exit_code == 1
        assert result.stderr.strip() == f"tomoe: not-found: no films (*.fits, *.fits.fz, *.fits.gz) in {tmp_path}/empty"


def test_read_only_archive(small_night: Path, archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    # root may write where nobody may: the registry itself is opened read-only
    monkeypatch.setenv("TOMOE_DATABASE", f"sqlite:///file:{archive.layout.registry}?mode=ro&uri=true")
    before = sorted(archive.root.rglob("*"))
    result = tomoe("reduce", small_night, "--archive", archive.root, "--refcat", small_night / "refcat.parquet", "-q")
    assert result.exit_code == 1
    (line,) = result.stderr.strip().splitlines()
    assert "tomoe: archive:" in line
    assert "can be read but not written" in line
    assert sorted(archive.root.rglob("*")) == before
    assert tomoe("search", "--archive", archive.root, "--product", "dark").exit_code == 0


def test_products_cannot_be_written(small_night: Path, archive: Archive) -> None:
    shutil.rmtree(archive.root / "staging", ignore_errors=True)
    (archive.root / "staging").write_text("in the way")
    result = tomoe("reduce", small_night, "--archive", archive.root, "--refcat", small_night / "refcat.parquet", "-q")
    assert result.exit_code == 1
    assert result.stdout.count("archive: archive") == 2
    assert "cannot be written" in result.stdout
    assert archive.search(product="stack").empty


def test_no_archive(small_night: Path, tmp_path: Path) -> None:
    result = tomoe("reduce", small_night, "--archive", tmp_path / "none")
    assert result.exit_code == 1
    assert "`tomoe init` makes one" in result.stderr
    assert not (tmp_path / "none").exists()
