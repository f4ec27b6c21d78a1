"""A reader that polls an archive while others write into it, and judges every answer by itself."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

import tomoe_explore as te
from tests.faults.content import Films, Tally, judge

_PLACE = ["exposure_id", "detector_id", "reduction_id"]


class Reader:
    """Asks in every way that users have; ``rows`` says how many a film has in each table."""

    def __init__(self, archive: Path, films: Films, rows: dict[str, dict[tuple[int, int], int]]) -> None:
        self._archive, self._films, self._rows, self.tally = archive, films, rows, Tally()

    def look(self) -> None:
        """Ask once in each way."""
        opened = te.open_archive(self._archive)
        self.tally.looks += 1
        self._ask("search", lambda: opened.search(product="stack")[_PLACE])
        for name in ("photometry", "sources", "frames"):
            self._ask(name, lambda name=name: opened.table(name, columns=_PLACE, limit=None).to_pandas())
            self._ask(name, lambda name=name: opened.catalog[name].read()[_PLACE], "Intake ")
            for reader in (_with_pandas, _with_duckdb):
                for manifest in self._archive.glob(f"tables/{name}/*/manifest.json"):
                    self._ask(
                        name, lambda read=reader, at=manifest: read(at), f"{reader.__name__[6:]} on the manifest "
                    )
        self._ask("stacks", lambda: opened.table("stacks", columns=_PLACE).to_pandas())

    def _ask(self, name: str, read: Callable[[], pd.DataFrame], how: str = "") -> None:
        try:
            table = read()
        except Exception:
            self.tally.half_visible += 1
            self.tally.examples.append(f"{how}{name}: {traceback.format_exc()}")
            return
        counts: dict[tuple[int, ...], int] = table.value_counts(_PLACE).to_dict()
        judge(how + name, [(int(e), int(d)) for e, d, _ in counts], self._films, set(), self.tally)
        for (exposure, detector, reduction), n in counts.items():
            expected = self._rows.get(name, {}).get((exposure, detector), 1)
            if n != expected:
                self.tally.half_visible += 1
                self.tally.examples.append(f"{how}{name}: {n} rows of reduction {reduction}, expected {expected}")


def _with_pandas(manifest: Path) -> pd.DataFrame:
    parts = [pd.read_parquet(path, columns=_PLACE) for path in _listed(manifest)]
    return pd.concat(parts) if parts else pd.DataFrame(columns=_PLACE)


def _with_duckdb(manifest: Path) -> pd.DataFrame:
    import duckdb

    paths = _listed(manifest)
    if not paths:
        return pd.DataFrame(columns=_PLACE)
    return duckdb.sql(f"SELECT {', '.join(_PLACE)} FROM read_parquet({list(map(str, paths))!r})").df()


def _listed(manifest: Path) -> list[Path]:
    listed: list[Any] = json.loads(manifest.read_text())["files"]
    return [manifest.parent / (entry if isinstance(entry, str) else entry["path"]) for entry in listed]


def poll(archive: str, films: Films, rows: dict[str, dict[tuple[int, int], int]], stop: str, result: str) -> None:
    """Look until a file ``stop`` is there; the tally goes to a file ``result`` as JSON."""
    reader = Reader(Path(archive), films, rows)
    while True:
        last = Path(stop).exists()
        reader.look()
        if last:
            Path(result).write_text(json.dumps(asdict(reader.tally)))
            return
