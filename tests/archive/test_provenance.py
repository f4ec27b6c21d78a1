"""The chain of a row, a file, a master: in plain values, as a drawing, and as W3C PROV that others can read."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from prov.model import ProvDocument

from tests.archive.reductions import make_exposure, make_film, make_master, make_stack, reduce_film
from tomoe_explore.archive import Archive
from tomoe_explore.archive.provenance_drawing import layout
from tomoe_explore.archive.provenance_prov import NAMESPACE
from tomoe_explore.errors import NotFoundError, ParameterError
from tomoe_explore.operations.consolidate import consolidate


@pytest.fixture
def chain(archive: Archive, tmp_path: Path) -> list[int]:
    """One film reduced three times, with its masters; the flat had the dark taken off."""
    for kind in ("dark", "flat"):
        film = tmp_path / f"{kind}.fits"
        film.write_text(kind)
        archive.add_master(
            make_master(kind, name=f"{kind}-1"), film_checksum=f"xxh3:{kind}", film_path=film, code_version="0.1.0",
            dark_id="dark-1" if kind == "flat" else None,
        )  # fmt: skip
    exposure = make_exposure()
    film = make_film(tmp_path, exposure)
    return [reduce_film(archive, film, exposure, force=True) or 0 for _ in range(3)]


def test_successors_both_ways(archive: Archive, chain: list[int]) -> None:
    first, second, third = (archive.provenance(number).reduction for number in chain)
    assert (first["earlier"], first["superseded_by"], first["later"]) == ([], chain[1], chain[1:])
    assert (second["earlier"], second["superseded_by"], second["later"]) == (chain[:1], chain[2], chain[2:])
    assert (third["earlier"], third["superseded_by"], third["later"]) == (chain[:2], None, [])


def test_a_row_of_a_frame(archive: Archive, chain: list[int]) -> None:
    lc = archive.light_curve("310 -12")
    point = archive.provenance(lc["source_id"][4], frame=lc["frame"][4])
    assert point.row["table"] == point.product["kind"] == "photometry"
    assert point.row["flux"] == lc.flux[4].value
    assert point.row["mjd"] == lc.time[4].mjd
    assert point.row["mag"] == lc["mag"][4].value
    assert f"    ra              {point.row['ra']} deg" in str(point).splitlines()
    assert point.product["product_id"] == "photometry-00357754-g003"
    assert point.flat["dark"]["film"]["checksum"] == "xxh3:dark"
    source = archive.provenance(lc["source_id"][4])
    assert source.row["table"] == "sources"
    assert source.row["n_frames"] == 18
    for text in (str(point), point.summary()):
        assert "frame 4" in text
        assert "dark-1" in text
    assert len(point.summary().splitlines()) == 1
    assert json.loads(json.dumps(point.to_dict())) == point.to_dict()
    assert set(point.to_dict()) == set(archive.provenance("dark-1").to_dict())  # the same keys whatever is asked


def test_wrong_frames(archive: Archive, chain: list[int]) -> None:
    source_id = archive.table("sources")["source_id"][0].as_py()
    with pytest.raises(NotFoundError, match="with a row of frame 18"):
        archive.provenance(source_id, frame=18)
    for other in (chain[0], f"stack-{chain[0]}"):
        with pytest.raises(ParameterError, match="goes with the id of a source or mover"):
            archive.provenance(other, frame=1)
    with pytest.raises(ParameterError, match="frame 'x' is not understood; write a whole number"):
        archive.provenance(source_id, frame="x")
    with pytest.raises(NotFoundError, match="nothing has the id 'stack-9999"):
        archive.provenance("stack-" + "9" * 30)
    with pytest.raises(ParameterError, match="a streak has no row for each frame"):
        archive.provenance(chain[2] * 100_000 + 95_000, frame=1)


@pytest.mark.both_databases
def test_a_film_where_merged_files_meet(archive: Archive, tmp_path: Path) -> None:
    exposure, ra, dec = make_exposure(), [0.1, 359.9, 0.1, 359.9], [0.1, 0.1, -0.1, -0.1]
    film = make_film(tmp_path, exposure)
    for force in (False, True):
        made = {"ra": ra, "dec": dec, "ref_id": [1, 2, 3, 4], "stack": make_stack(0.0, 0.0)}
        this = reduce_film(archive, film, exposure, force=force, **made)
    consolidate(archive, progress=False)
    merged = set(archive.search(product="photometry")["product_id"])
    assert len(merged) > 1
    for row in archive.table("sources").to_pylist():
        for frame, table in ((None, "sources"), (3, "photometry")):
            file = archive.provenance(row["source_id"], frame=frame).product
            assert file["kind"] == table
            held = pq.read_table(archive.root / file["path"], columns=["source_id"])["source_id"].to_pylist()
            assert row["source_id"] in held
    steps = {(r["product_id"], r["revision_of"]) for r in archive.provenance(this).revisions}
    assert {new for new, old in steps if old == "photometry-00357754-g001"} == merged


def everything(archive: Archive, chain: list[int]) -> list[tuple[int | str, int | None]]:
    source_id = archive.table("sources")["source_id"][0].as_py()
    return [(chain[1], None), (f"stack-{chain[2]}", None), ("flat-1", None), (source_id, None), (source_id, 3)]


def test_prov_is_read_by_others(archive: Archive, chain: list[int]) -> None:
    for asked, frame in everything(archive, chain):
        origin = archive.provenance(asked, frame=frame)
        document = ProvDocument.deserialize(content=json.dumps(origin.to_prov()), format="json")
        assert _lines(document.get_provn()) == _lines(origin.to_provn())
        assert f"<{NAMESPACE}>" in origin.to_provn()


def _lines(provn: str) -> list[str]:
    """Statements in any order; times with milliseconds or microseconds."""
    return sorted(re.sub(r"(\.\d{3})000(?=\+)", r"\1", line.strip()) for line in provn.splitlines() if line.strip())


def test_prov_holds_the_chain(archive: Archive, chain: list[int]) -> None:
    source_id = archive.table("sources")["source_id"][0].as_py()
    document = archive.provenance(source_id, frame=3).to_prov()
    reduction, film = f"tomoe:reduction-{chain[2]}", next(n for n in document["entity"] if n.startswith("tomoe:film-"))
    used = {(r["prov:activity"], r["prov:entity"]) for r in document["used"].values()}
    assert {(reduction, f"tomoe:{name}") for name in ("dark-1", "flat-1", "refcat-refcat")} <= used
    assert ("tomoe:mastering-flat-1", "tomoe:dark-1") in used
    assert document["wasGeneratedBy"]
    revisions = {
        (r["prov:generatedEntity"], r["prov:usedEntity"])
        for r in document["wasDerivedFrom"].values()
        if r.get("prov:type", {}).get("$") == "prov:Revision"
    }
    assert (f"tomoe:stack-{chain[2]}", f"tomoe:stack-{chain[1]}") in revisions
    assert (f"tomoe:stack-{chain[1]}", f"tomoe:stack-{chain[0]}") in revisions
    (member,) = document["hadMember"].values()
    assert member == {
        "prov:collection": "tomoe:photometry-00357754-g003", "prov:entity": f"tomoe:source-{source_id}-frame-3"
    }  # fmt: skip
    assert document["activity"][reduction]["tomoe:parameters.aperture_px"] == {"$": "4.0", "type": "xsd:double"}
    assert film in {r["prov:usedEntity"] for r in document["wasDerivedFrom"].values()}


def test_the_drawing_shows_the_chain(archive: Archive, chain: list[int], tmp_path: Path) -> None:
    source_id = archive.table("sources")["source_id"][0].as_py()
    boxes, arrows = layout(archive.provenance(source_id, frame=3))
    keys = {box.key for box in boxes}
    assert {source for source, _, _ in arrows} | {target for _, target, _ in arrows} <= keys
    assert len(keys) == len(boxes)
    assert {"film", "dark-1", "flat-1", "refcat", "reduction", "row", "earlier"} <= keys
    assert [box.key for box in boxes if box.asked] == ["row"]
    ends = {(source, target) for source, target, _ in arrows}
    assert {("film", "reduction"), ("dark-1", "flat-1"), ("film of flat-1", "flat-1"), ("earlier", "reduction"),
            ("reduction", "photometry-00357754-g003"), ("photometry-00357754-g003", "row")} <= ends  # fmt: skip
    for asked, frame in everything(archive, chain):
        origin = archive.provenance(asked, frame=frame)
        origin.draw().savefig(tmp_path / "chain.png")
        html = origin._repr_html_()
        assert html.count("<svg") == html.count("</svg>") == 1
        assert "http" not in re.sub(r'xmlns(:\w+)?="[^"]*"|rdf:\w+="[^"]*"', "", html.partition("<defs>")[2])
        assert "<image" not in html  # outlines only: nothing is fetched


def test_html_escapes_what_headers_say(archive: Archive, tmp_path: Path) -> None:
    folder = tmp_path / "<b>"
    folder.mkdir()
    number = reduce_film(archive, make_film(folder, make_exposure()), make_exposure())
    assert number is not None
    assert "<b>" not in archive.provenance(number)._repr_html_()
