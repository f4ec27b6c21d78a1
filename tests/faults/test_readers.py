"""Who reads while films are reduced, reduced again, and their reducers killed, sees whole exposures, each film once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import tomoe_explore as te
from tests.faults import reader
from tests.faults.content import Films, Tally, half_visible, judge
from tests.faults.harness import Harness, files, until


def rows_of(archive: Path) -> dict[str, dict[tuple[int, int], int]]:
    """How many rows each film has in each table."""
    opened = te.open_archive(archive)
    place = ["exposure_id", "detector_id"]
    tables = {name: opened.table(name, columns=place).to_pandas() for name in ("photometry", "sources", "frames")}
    return {name: table.value_counts(place).to_dict() for name, table in tables.items()}


@contextmanager
def polling(harness: Harness, archive: Path, films: Films) -> Iterator[Tally]:
    """A reader in a process of its own; what it saw stands in the tally at the end."""
    stop, result, tally = archive.with_suffix(".stop"), archive.with_suffix(".seen"), Tally()
    arguments = (str(archive), films, rows_of(harness.home / "whole"), str(stop), str(result))
    process = harness.process(reader.poll, arguments)
    try:
        yield tally
    finally:
        stop.touch()
        process.join(60)
    tally.add(Tally(**json.loads(result.read_text())))
    harness.tally.add(tally)


@pytest.mark.timeout(600)
def test_readers_see_whole_exposures(harness: Harness) -> None:
    archive, films = harness.archive("masters"), harness.films(1)
    first = [path for path in harness.night.films if str(harness.night.exposures[0]) in path.name]
    with polling(harness, archive, films) as seen:
        before = len(files(archive))
        run = harness.reduce(archive, *first)
        until(lambda: len(te.open_archive(archive).search(product="stack")) or len(files(archive)) > before + 4, run)
        run.kill()
        harness.rerun(archive, *first)
        harness.rerun(archive, *first, more=["--force"])
    assert seen.looks > 5
    assert seen.clean, seen
    harness.assert_complete(archive, films)


@pytest.mark.timeout(600)
def test_readers_are_not_disturbed_by_a_consolidation(harness: Harness) -> None:
    """Nor when a film is reduced again after it, and all is merged anew; killed once in between."""
    archive, films = harness.archive("whole"), harness.films()
    with polling(harness, archive, films) as seen:
        killed = harness.start(archive, "consolidate", "--quiet")
        until(lambda: any((archive / "staging").glob("consolidate-*/*.parquet")), killed)
        killed.kill()
        for film in (None, *harness.night.films[:2]):
            if film is not None:
                harness.rerun(archive, film, more=["--force"])
            done = harness.start(archive, "consolidate", "--quiet")
            assert done.wait() == 0, done.messages
    assert seen.looks > 3
    assert seen.clean, seen
    harness.assert_complete(archive, films)


def test_the_checks_see_what_is_wrong(harness: Harness, tmp_path: Path) -> None:
    """A film too few, a film twice, a row lost, doubled and changed: each is counted."""
    films, whole = harness.films(), harness.whole
    (exposure, _), *_ = sorted(films)
    tally = Tally()
    judge("", sorted(films)[:-1], films, set(), tally)
    judge("", [*films, (exposure, 112)], films, set(), tally)
    assert (tally.half_visible, tally.doubled) == (1, 1)
    tally = Tally()
    judge("", sorted(films)[:-1], films, {sorted(films)[-1]}, tally)
    assert tally.clean
    table = whole.tables["photometry"]
    for wrong, expected in (
        (table.iloc[1:], (1, 0, 0)),
        (table.iloc[[*range(len(table)), 5]], (0, 1, 0)),
        (table.assign(flux=table["flux"].where(table.index != 7, 1.0)), (0, 0, 1)),
    ):
        found = type(whole)(whole.tables | {"photometry": wrong}, whole.stacks[1:])
        tally = whole.compared(found)
        assert (tally.lost - 1, tally.doubled, tally.changed) == expected
    assert whole.compared(whole).clean
    assert half_visible(harness.home / "whole", films).clean
    assert not half_visible(harness.home / "whole", films | {(exposure, 111)}).clean
