"""What an archive holds, apart from what may differ from run to run; what is lost, doubled or half visible."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import xxhash

import tomoe_explore as te

TABLES = ("photometry", "sources", "frames", "movers", "mover_detections", "streaks", "exposures", "stacks",
          "reductions", "masters")  # fmt: skip
#: What of a film every reader must see, or nothing.
OF_EVERY_FILM = ("photometry", "sources", "frames", "stacks", "reductions")
#: What names a row, of the columns that a table has.
_NAMES = ("exposure_id", "detector_id", "source_id", "mover_id", "streak_id", "frame", "master_id")
#: When, where and by which commit it was made. A stack's header has its reduction's id: so its checksum differs.
_MAY_DIFFER = {
    "object_id",  # given when nights are merged
    "code_version",
    "code_dirty",
    "started",
    "finished",
    "created",
    "checksum",
    "bytes",
    "path",
    "superseded_by",
}

Films = set[tuple[int, int]]


@dataclass
class Tally:
    """What was found, in so many cases: rows and stacks that are lost, doubled, or other than they should be;
    exposures of which only a part was to be seen, or something twice."""

    cases: int = 0
    looks: int = 0
    lost: int = 0
    doubled: int = 0
    changed: int = 0
    half_visible: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        for name in ("cases", "looks", "lost", "doubled", "changed", "half_visible"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.examples += other.examples[: max(0, 5 - len(self.examples))]

    @property
    def clean(self) -> bool:
        return not (self.lost or self.doubled or self.changed or self.half_visible)


@dataclass
class Content:
    """Tables with one row a thing, and checksums of the pixels of stacks and movers' films by exposure and detector."""

    tables: dict[str, pd.DataFrame]
    stacks: list[tuple[int, int, str]]

    @classmethod
    def of(cls, archive: Path) -> Content:
        """Read with the public functions."""
        opened = te.open_archive(archive)
        tables = {name: _plain(opened.table(name, limit=None).to_pandas()) for name in TABLES}
        reductions = tables["reductions"]
        tables["reductions"] = reductions[reductions["status"] == "done"]  # what failed stays on record
        found = opened.search(product="stack")
        places = zip(found["exposure_id"], found["detector_id"], found["product_id"], strict=True)
        pixels = [(int(e), int(d), _pixels(opened.read_stack(p))) for e, d, p in places]
        for kept in opened.table("mover_films").to_pylist():
            film = xxhash.xxh3_128_hexdigest(opened.mover_film(kept["mover_id"]).frames.tobytes())
            pixels.append((kept["exposure_id"], kept["detector_id"], film))
        return cls(tables, pixels)

    def only(self, films: Films, masters: Iterable[int]) -> Content:
        """What is of these films of the sky, and of the masters of these detectors."""
        others = {e for e, _, _ in self.stacks} - {e for e, _ in films}

        def kept(name: str, table: pd.DataFrame) -> pd.DataFrame:
            if name == "masters":
                return table[table["detector_id"].isin(list(masters))]
            if name == "exposures":
                return table[~table["exposure_id"].isin(others)]
            return table[np.array([pair in films for pair in _pairs(table)], bool)]

        return Content({n: kept(n, t) for n, t in self.tables.items()}, [s for s in self.stacks if s[:2] in films])

    def compared(self, found: Content) -> Tally:
        """What is lost, doubled or changed in another archive that should hold the same."""
        tally = Tally(cases=1)
        for name, table in self.tables.items():
            if _sorted(table).equals(_sorted(found.tables[name])):  # at a tenth of the cost
                continue
            _compare(name, _rows(table), _rows(found.tables[name]), tally)
        _compare("pixels", _stacks(self.stacks), _stacks(found.stacks), tally)
        return tally


def _names(table: pd.DataFrame) -> list[str]:
    return [name for name in _NAMES if name in table.columns]


def _sorted(table: pd.DataFrame) -> pd.DataFrame:
    return table.sort_values(_names(table), ignore_index=True)


Rows = dict[object, list[int]]


def _rows(table: pd.DataFrame) -> Rows:
    """The content's hash, by what names a row."""
    # object columns with None and texts hash by value; floats by their bits
    hashes = pd.util.hash_pandas_object(table, index=False).to_numpy()
    rows: Rows = {}
    for key, value in zip(table[_names(table)].itertuples(index=False, name=None), hashes.tolist(), strict=True):
        rows.setdefault(key, []).append(value)
    return rows


def _stacks(stacks: list[tuple[int, int, str]]) -> Rows:
    rows: Rows = {}
    for exposure, detector, pixels in stacks:
        rows.setdefault((exposure, detector), []).append(hash(pixels))
    return rows


def _compare(name: str, expected: Rows, found: Rows, tally: Tally) -> None:
    for key in expected.keys() | found.keys():
        want, have = expected.get(key, []), found.get(key, [])
        lost, doubled = max(len(want) - len(have), 0), max(len(have) - len(want), 0)
        changed = 0 if lost or doubled else int(sorted(want) != sorted(have))
        tally.lost, tally.doubled, tally.changed = tally.lost + lost, tally.doubled + doubled, tally.changed + changed
        if lost + doubled + changed and len(tally.examples) < 5:
            what = "lost" if lost else "doubled" if doubled else "changed"
            tally.examples.append(f"{what}: {name} {key}")


def _plain(table: pd.DataFrame) -> pd.DataFrame:
    """Without what may differ; ids as if every reduction were the first of its film."""
    table = table.drop(columns=[name for name in table.columns if name in _MAY_DIFFER])
    for name in table.columns:
        if name == "reduction_id":
            table[name] = _first_version(table[name])
        elif name in ("source_id", "mover_id", "streak_id"):
            table[name] = _first_version(table[name] // 100_000) * 100_000 + table[name] % 100_000
        elif name == "product_id":
            table[name] = [re.sub(r"\d{3}$", "001", value) for value in table[name]]
    return table


def _first_version(reduction_id: pd.Series) -> pd.Series:
    return reduction_id // 1000 * 1000 + 1


def _pixels(stack: object) -> str:
    digest = xxhash.xxh3_128()
    for plane in (stack.data, stack.mask, stack.uncertainty.array):  # type: ignore[attr-defined]
        digest.update(np.ascontiguousarray(plane).tobytes())
    return digest.hexdigest()


# --- what is visible at one moment ----------------------------------------------------------------
def half_visible(archive: Path, films: Films, failed: Films | None = None) -> Tally:
    """Looks at an archive at rest: each exposure must be there with all its films but the failed ones, or not at all;
    each film in every table, once."""
    opened = te.open_archive(archive)
    pairs: dict[str, list[tuple[int, int]]] = {"search": _pairs(opened.search(product="stack"))}
    for name in OF_EVERY_FILM:
        table = opened.table(name, columns=["exposure_id", "detector_id", "reduction_id"], limit=None).to_pandas()
        if name == "reductions":
            table = table[opened.table(name, columns=["status"]).to_pandas()["status"] == "done"]
        pairs[name] = _pairs(table.drop_duplicates())
    tally = Tally(looks=1)
    for name, seen in pairs.items():
        judge(name, seen, films, failed or set(), tally)
        if set(seen) != set(pairs["search"]):
            tally.half_visible += 1
            tally.examples.append(f"half visible: {name} has {sorted(seen)}, search {sorted(pairs['search'])}")
    return tally


def judge(what: str, seen: list[tuple[int, int]], films: Films, failed: Films, tally: Tally) -> None:
    """What a reader saw in one call: exposure and detector of each reduction. Adds to the tally."""
    for exposure in {e for e, _ in films}:
        whole = {film for film in films if film[0] == exposure}
        there = [film for film in seen if film[0] == exposure]
        if there and not set(there) | failed >= whole:
            tally.half_visible += 1
            tally.examples.append(f"half visible: {what} has {sorted(there)} of {sorted(whole)}")
        if len(there) != len(set(there)):
            tally.doubled += 1
            tally.examples.append(f"doubled: {what} has {sorted(there)}")


def _pairs(table: pd.DataFrame) -> list[tuple[int, int]]:
    return [(int(e), int(d)) for e, d in zip(table["exposure_id"], table["detector_id"], strict=True)]
