"""Lists of the current files of a night's tables, for pandas, duckdb, or whoever reads them without this package."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from tomoe_explore.archive import registry as tables
from tomoe_explore.archive.layout import Layout
from tomoe_explore.archive.registry import Registry
from tomoe_explore.archive.staging import clear_errors, make_directory, remove

_p = tables.parts.c
_COLUMNS = ("part_id", "exposure_id", "cell", "n_rows", "bytes", "checksum")


def write_manifests(registry: Registry, layout: Layout, night: str | None) -> None:
    """Write the manifests of a night (None: of what is consolidated over all nights), one a table.

    They lie beside the files, as ``manifest.json``::

        {"table": "photometry", "night": "2020-08-14", "files": [
          {"path": "photometry-00357754-g001.parquet", "part_id": "photometry-00357754-g001", "exposure_id": 357754,
           "cell": null, "n_rows": 51840, "bytes": 622080, "checksum": "xxh3:…"}, …]}

    Paths are relative to the manifest. Files that are named no more stay for a while, for those who read them now.
    Each manifest changes in one moment; when rows go from a night's to that of all nights, the two do not: who wants
    several nights while `tomoe consolidate` runs asks the archive.
    """
    # under the writers' lock: else an older list could be written over a newer one
    with registry.writing() as connection, clear_errors(layout.root):
        wanted = _wanted(connection, layout, night)
        for path, text in wanted.items():
            if _text(path) != text:
                make_directory(path.parent)
                new = path.with_suffix(".new")
                new.write_text(text)
                os.replace(new, path)  # not synced: what power's failure takes the registry gives again
        remove(set((layout.root / "tables").glob(f"*/{night or 'all'}/manifest.json")) - wanted.keys())


def wrong_manifests(registry: Registry, layout: Layout) -> list[Path]:
    """Manifests that do not list what is current; absolute, sorted."""
    nights = all_nights(registry, layout)
    with registry.reading() as connection:
        wanted = {path: text for night in nights for path, text in _wanted(connection, layout, night).items()}
    found = set((layout.root / "tables").glob("*/*/manifest.json"))
    return sorted(path for path in found | wanted.keys() if _text(path) != wanted.get(path))


def mend_manifests(registry: Registry, layout: Layout) -> None:
    """Write those that do not list what is current, such as a killed process has left."""
    for night in {path.parent.name for path in wrong_manifests(registry, layout)}:
        write_manifests(registry, layout, None if night == "all" else night)


def all_nights(registry: Registry, layout: Layout) -> set[str | None]:
    """Nights with files that are current, or with manifests; None stands for all nights."""
    there = {path.parent.name for path in (layout.root / "tables").glob("*/*/manifest.json")}
    rows = registry.rows(sa.select(_p.night).where(_p.replaced.is_(None)).distinct())
    return {row["night"] for row in rows} | {None if night == "all" else night for night in there}


def _wanted(connection: sa.Connection, layout: Layout, night: str | None) -> dict[Path, str]:
    """The manifests of a night as they should be."""
    query = sa.select(tables.parts).where(_p.replaced.is_(None), _p.night == night if night else _p.night.is_(None))
    files: dict[str, list[dict[str, Any]]] = {}
    for row in connection.execute(query.order_by(_p.part_id)).mappings():
        about = {"path": Path(row["path"]).relative_to(layout.table(row["kind"], night)).as_posix()} | {
            name: row[name] for name in _COLUMNS
        }
        files.setdefault(row["kind"], []).append(about)
    return {
        layout.root / layout.manifest(table, night): json.dumps(
            {"table": table, "night": night, "files": listed}, indent=1
        )
        for table, listed in files.items()
    }


def _text(path: Path) -> str | None:
    return path.read_text() if path.is_file() else None
