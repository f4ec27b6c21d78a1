"""A read asks the registry several times: what others publish in between, it sees all of or nothing of."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.archive.test_publish import CENTERS, stage
from tomoe_explore.archive import Archive
from tomoe_explore.archive.registry import Registry

pytestmark = pytest.mark.both_databases


@contextmanager
def published_after(query: int, archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Film 112 is published anew by another thread, right after a query of this one, if the database lets it."""
    real, asked, here = Registry.rows, [0], threading.get_ident()
    staged = stage(archive, tmp_path, (112,), force=True)
    other = threading.Thread(target=archive.publish, args=(staged,))

    def rows(self: Registry, *args: Any, **values: Any) -> Any:
        found = real(self, *args, **values)
        if threading.get_ident() == here:
            asked[0] += 1
            if asked[0] == query:
                other.start()
                other.join(0.3)  # SQLite lets nobody write while somebody reads
        return found

    monkeypatch.setattr(Registry, "rows", rows)
    yield
    monkeypatch.undo()
    other.join()
    assert asked[0] >= query


@pytest.mark.parametrize("query", [1, 2])
@pytest.mark.parametrize(
    ("table", "options"),
    [
        ("photometry", {"all_versions": True}),
        ("photometry", {"night": "2020-08-14", "all_versions": True}),
        ("frames", {"position": CENTERS[112], "radius": "1 deg"}),
    ],
)
def test_a_table(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, query: int, table: str, options: dict[str, Any]
) -> None:
    archive.publish(stage(archive, tmp_path))
    before = archive.table(table, **options).num_rows
    with published_after(query, archive, tmp_path, monkeypatch):
        found = archive.table(table, **options)
    counts = Counter(found["reduction_id"].to_pylist())
    assert len(set(counts.values())) == 1, counts
    assert len({reduction_id // 1000 for reduction_id in counts}) == 3
    assert found.num_rows in (before, before + options.get("all_versions", False) * counts.most_common(1)[0][1])


def test_a_search(archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive.publish(stage(archive, tmp_path))
    real, asked = Registry.columns, [0]
    staged = stage(archive, tmp_path, (112,), force=True)
    other = threading.Thread(target=archive.publish, args=(staged,))

    def columns(self: Registry, *args: Any, **values: Any) -> Any:
        found = real(self, *args, **values)
        asked[0] += 1
        if asked[0] == 1:
            other.start()
            other.join(0.3)
        return found

    monkeypatch.setattr(Registry, "columns", columns)
    found = archive.search(product=["stack", "film"])
    monkeypatch.undo()
    other.join()
    stacks = found.query("product == 'stack'").set_index("detector_id")["reduction_id"]
    films = found.query("product == 'film'").set_index("detector_id")["reduction_id"]
    assert stacks.to_dict() == films.to_dict()
