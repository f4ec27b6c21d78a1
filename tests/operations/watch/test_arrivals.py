"""Which files are films that have arrived whole: names, growth, settling, packing; and none twice."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.films import NAME, pixels, write_film
from tomoe_explore import errors, raw
from tomoe_explore.archive import Archive
from tomoe_explore.operations.watch.arrivals import AGAIN_S, STUCK_S, Arrival, Arrivals, Refused
from tomoe_explore.operations.watch.listing import FRESH_S, RELIST_S, Listing

SETTLE_S = 2.0


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive.create(tmp_path / "archive")


@pytest.fixture
def incoming(tmp_path: Path) -> Path:
    (tmp_path / "incoming").mkdir()
    return tmp_path / "incoming"


def names(found: list[Arrival | Refused]) -> list[str]:
    return [Path(item.path).name for item in found]


@pytest.mark.parametrize(("pack", "ending"), [("", ""), ("gz", ".gz"), ("fz", ".fz")])
def test_a_film_is_whole_with_its_last_byte(tmp_path: Path, pack: str, ending: str) -> None:
    film = write_film(tmp_path / f"{NAME}{ending}", pixels(2), pack=pack)
    whole = raw.read_whole(film)
    assert whole == raw.read_exposure(film)
    content, part = film.read_bytes(), tmp_path / f"part.fits{ending}"
    for n_bytes in (0, 5, 2880, len(content) // 2, len(content) - 3000):
        part.write_bytes(content[:n_bytes])
        with pytest.raises(errors.TruncatedFilmError):
            raw.read_whole(part)


def test_a_gzip_film_of_several_members_is_whole(tmp_path: Path) -> None:
    import gzip

    content = write_film(tmp_path / NAME, pixels(2)).read_bytes()
    film = tmp_path / f"{NAME}.gz"
    members = gzip.compress(content[:3_000_000], 1) + gzip.compress(content[3_000_000:], 1)
    film.write_bytes(members)
    assert raw.read_whole(film).n_frames == 2
    film.write_bytes(members[:-100])
    with pytest.raises(errors.TruncatedFilmError):
        raw.read_whole(film)


def test_a_growing_film_is_told_when_it_is_whole_and_still(archive: Archive, incoming: Path, tmp_path: Path) -> None:
    content = write_film(tmp_path / NAME, pixels()).read_bytes()
    arrivals, film = Arrivals(incoming, archive, SETTLE_S), incoming / NAME
    film.write_bytes(content[:100_000])
    assert [names(arrivals.poll(t)) for t in (0.0, 1.0, 3.0, 4.0)] == [[], [], [], []]
    assert "truncated" in arrivals.incomplete[str(film)]
    assert arrivals.stuck(STUCK_S - 1) == {} and list(arrivals.stuck(STUCK_S + 1)) == [str(film)]
    with film.open("ab") as file:
        file.write(content[100_000:])
    assert names(arrivals.poll(5.0)) == []  # it has just changed
    assert arrivals.incomplete == {} and arrivals.n_waiting == 1
    os.utime(film, ns=(1, 1))  # and again: what is allotted in advance has its full size from the start
    assert names(arrivals.poll(6.5)) == []
    (found,) = arrivals.poll(9.0)
    assert isinstance(found, Arrival) and found.exposure == raw.read_exposure(film)
    assert [names(arrivals.poll(t)) for t in (10.0, 200.0)] == [[], []]
    assert arrivals.is_unchanged(found, 201.0)
    film.write_bytes(content[:50_000])  # written anew before it was taken
    assert not arrivals.is_unchanged(found, 202.0)
    film.write_bytes(content)
    assert [names(arrivals.poll(t)) for t in (203.0, 206.0)] == [[], [NAME]]


def test_names_and_places_that_are_passed_over(archive: Archive, incoming: Path, tmp_path: Path) -> None:
    film = write_film(tmp_path / NAME, pixels())
    hidden, deep = incoming / ".rsync-partial", incoming / "2020-08-14" / "raw"
    for folder in (hidden, deep):
        folder.mkdir(parents=True)
    passed = [f".{NAME}", f"{NAME}.part", f"~{NAME}", "r.tmp.fits", f"{NAME}.gz.filepart", "notes.txt", "cat.parquet"]
    for target in [*(incoming / name for name in passed), hidden / NAME, deep / NAME]:
        os.link(film, target)
    arrivals = Arrivals(tmp_path, archive, 0.0)
    shutil.copytree(incoming, archive.root / "stacks")  # an archive below the directory
    film.unlink()
    assert [item.path for t in (0.0, 1.0) for item in arrivals.poll(t)] == [str(deep / NAME)]


def test_films_of_no_use_are_told_once_and_again_if_they_change(
    archive: Archive, incoming: Path, tmp_path: Path
) -> None:
    (incoming / NAME).write_text("this is a note, not a film\n" * 200)
    arrivals = Arrivals(incoming, archive, 0.0)
    (refused,) = arrivals.poll(100.0)
    assert isinstance(refused, Refused) and isinstance(refused.error, errors.NotFitsError)
    assert arrivals.poll(101.0) == []
    write_film(tmp_path / "whole.fits", pixels()).replace(incoming / NAME)
    later = [arrivals.poll(102.0 + AGAIN_S + k) for k in (0, 1)]
    assert [type(item) for items in later for item in items] == [Arrival]


def test_what_the_archive_has_is_passed_over(archive: Archive, incoming: Path) -> None:
    paths = [write_film(incoming / f"rTMQ1202008140035775{n}12.fits", pixels(), EXP_ID=357750 + n) for n in range(4)]
    for path, error in zip(paths, (None, errors.CloudError("x"), errors.NoMastersError("x")), strict=False):
        reservation = archive.begin(raw.read_exposure(path), path)
        assert reservation is not None
        if error is not None:
            archive.fail(reservation, error)
    with archive.registry.writing() as connection:
        connection.exec_driver_sql("UPDATE reductions SET status = 'done' WHERE status = 'running'")
    arrivals = Arrivals(incoming, archive, 0.0)
    # newest first; done and clouded are settled, the one without masters may have them now
    assert names(arrivals.poll(0.0)) == [paths[3].name, paths[2].name]
    archive.layout.registry.rename(incoming.parent / "away")  # nothing is lost while the registry is
    broken = Arrivals(incoming, Archive(archive.root), 0.0)
    for t in (0.0, 1.0):
        with pytest.raises(errors.ArchiveError):
            broken.poll(t)
    (incoming.parent / "away").rename(archive.layout.registry)
    assert len(broken.poll(2.0)) == 2


def test_a_film_that_cannot_be_opened_is_told_once_and_tried_again(archive: Archive, incoming: Path) -> None:
    film = write_film(incoming / NAME, pixels())
    arrivals = Arrivals(incoming, archive, 1.0)
    assert arrivals.poll(100.0) == []
    film.unlink()
    film.mkdir()  # it has come, and cannot be opened, as on a disk that answers with errors
    (refused,) = [item for k in range(5) for item in arrivals.poll(101.0 + k)]
    assert isinstance(refused, Refused) and type(refused.error) is errors.FilmError
    assert arrivals.n_waiting == 0  # nobody waits for it
    assert [item for k in range(5) for item in arrivals.poll(200.0 + k * (AGAIN_S + 1))] == []
    film.rmdir()
    write_film(film, pixels())
    found = [item for k in range(3) for item in arrivals.poll(1000.0 + k)]
    assert [type(item) for item in found] == [Arrival]


def test_a_film_out_of_sight_is_handed_out_again(archive: Archive, incoming: Path, tmp_path: Path) -> None:
    film = write_film(incoming / NAME, pixels())
    arrivals = Arrivals(incoming, archive, 0.0)
    (first,) = arrivals.poll(100.0)
    assert isinstance(first, Arrival)
    incoming.rename(tmp_path / "away")
    assert not arrivals.is_unchanged(first, 101.0)
    assert isinstance(arrivals.lost(first.path), FileNotFoundError)
    with pytest.raises(FileNotFoundError):
        arrivals.poll(102.0)
    (tmp_path / "away").rename(incoming)
    assert arrivals.lost(first.path) is None
    again = [item for t in (103.0, 103.0 + FRESH_S + RELIST_S) for item in arrivals.poll(t)]
    assert again == [first]
    film.unlink()
    assert not arrivals.is_unchanged(first, 200.0)
    assert arrivals.poll(201.0 + RELIST_S) == []


def test_a_film_that_vanishes_while_headers_are_read_is_told(
    archive: Archive, incoming: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    film = write_film(incoming / NAME, pixels())
    arrivals = Arrivals(incoming, archive, 0.0)
    with monkeypatch.context() as patch:
        patch.setattr("tomoe_explore.operations.watch.arrivals.READING_S", -1.0)  # no time for headers
        assert arrivals.poll(100.0) == [] and arrivals.n_waiting == 1
    film.unlink()
    (gone,) = arrivals.poll(101.0)
    assert isinstance(gone, Refused) and isinstance(gone.error, errors.NotFoundError)


def test_listing_tells_each_film_once_and_survives_what_disks_do(tmp_path: Path) -> None:
    (folder := tmp_path / "raw" / "night").mkdir(parents=True)
    (folder / "a.fits").touch()
    listing = Listing(str(tmp_path / "raw"))
    assert listing.new(0.0) == [str(folder / "a.fits")]
    time = folder.stat().st_mtime_ns
    (folder / "b.fits").touch()
    os.utime(folder, ns=(time, time))  # a coarse clock: the directory's time does not show it
    assert listing.new(FRESH_S - 1) == [str(folder / "b.fits")]
    (folder / "c.fits").touch()
    os.utime(folder, ns=(time, time))
    assert listing.new(FRESH_S + 1) == []
    assert listing.new(RELIST_S + FRESH_S) == [str(folder / "c.fits")]
    (tmp_path / "raw").rename(tmp_path / "away")
    with pytest.raises(FileNotFoundError):
        listing.new(100.0)
    (tmp_path / "away").rename(tmp_path / "raw")
    (folder / "a.fits").unlink()
    assert listing.new(101.0) == []
    (folder / "a.fits").touch()
    assert listing.new(102.0) == [str(folder / "a.fits")]
