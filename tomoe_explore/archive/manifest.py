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
        query = sa.select(tables.parts).where(_p.replaced.is_(None), _p.night == night if night else _p.night.is_(None))
        files: dict[str, list[dict[str, Any]]] = {}
        for row in connection.execute(query.order_by(_p.part_id)).mappings():
            about = {"path": Path(row["path"]).name} | {name: row[name] for name in _COLUMNS}
            files.setdefault(row["kind"], []).append(about)
        for table, listed in files.items():
            _write(layout.root / layout.manifest(table, night), {"table": table, "night": night, "files": listed})
        for path in (layout.root / "tables").glob(f"*/{night or 'all'}/manifest.json"):
            if path.parent.parent.name not in files:
                remove([path])


def _write(path: Path, content: dict[str, Any]) -> None:
    text = json.dumps(content, indent=1)
    if path.is_file() and path.read_text() == text:
        return
    make_directory(path.parent)
    new = path.with_suffix(".new")
    new.write_text(text)
    os.replace(new, path)  # not synced: what power's failure takes the registry gives again
