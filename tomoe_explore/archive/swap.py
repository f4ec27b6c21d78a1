"""Merged files take the place of what they were merged from, in one transaction; what was replaced goes after a while.

Files are written to a staging directory, synced, renamed, and then registered while the files they replace are marked
``replaced``. Cut off before, nobody sees them, and the next run removes them (`clear_killed`); cut off after, all is
done.
"""

from __future__ import annotations

import json
import secrets
import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from tomoe_explore import raw
from tomoe_explore.archive import registry as tables
from tomoe_explore.archive.layout import Layout
from tomoe_explore.archive.manifest import write_manifests
from tomoe_explore.archive.owner import Owner, this_process
from tomoe_explore.archive.registry import Registry
from tomoe_explore.archive.reserve import now
from tomoe_explore.archive.staging import clear_errors, make_directory, remove, sync
from tomoe_explore.errors import ArchiveError

Row = dict[str, Any]

#: Replaced files stay for readers that have begun with them, s.
GRACE_S = 3600.0

#: So long at most a run takes from making its directory to saying whose it is, s.
_BEGINS_S = 60.0

_PREFIX = "consolidate-"
_OWNER = "owner.json"

_p, _r = tables.parts.c, tables.reductions.c


@dataclass(frozen=True)
class Swap:
    """A run's own staging directory and the token that is in the names of its files, so that no two runs meet.

    Attributes
    ----------
    layout : Layout
    token : str
    """

    layout: Layout
    token: str

    @classmethod
    def begin(cls, layout: Layout) -> Swap:
        """Make the staging directory.

        Raises
        ------
        ArchiveError
            If the archive cannot be written.
        """
        swap = cls(layout, secrets.token_hex(4))
        with clear_errors(layout.root):
            swap.directory.mkdir(parents=True)
            try:
                (swap.directory / _OWNER).write_text(json.dumps(asdict(this_process())))
            except BaseException:  # such as a full disk
                swap.end()
                raise
        return swap

    @property
    def directory(self) -> Path:
        """Where files are written."""
        return self.layout.staging(_PREFIX + self.token)

    def part_id(self, table: str, night: str | None, cell: int | None) -> str:
        """Id of a merged file: ``photometry-2020-08-14-c01234-1a2b3c4d``, ``frames-all-1a2b3c4d``."""
        place = [table, night or "all", *([] if cell is None else [f"c{cell:05d}"]), self.token]
        return "-".join(place)

    def staged(self, part_id: str) -> Path:
        """Where a file is written."""
        return self.directory / f"{part_id}.parquet"

    def finish(self, part: Row) -> Row:
        """A written file as the registry will have it; ``part`` says all but checksum and bytes."""
        path = self.staged(part["part_id"])
        sync(path)
        place = self.layout.part(part["kind"], part["night"], part["part_id"]).as_posix()
        return {**part, "path": place, "checksum": raw.checksum(path), "bytes": path.stat().st_size}

    def place(self, new: Sequence[Row]) -> None:
        """Rename files into place, where nobody sees them before they are registered.

        Raises
        ------
        ArchiveError
            If the archive cannot be written.
        """
        with clear_errors(self.layout.root):
            targets = [self.layout.root / part["path"] for part in new]
            for directory in {target.parent for target in targets}:
                make_directory(directory)
            for part, target in zip(new, targets, strict=True):
                self.staged(part["part_id"]).rename(target)
            for directory in {target.parent for target in targets}:
                sync(directory)

    def remove(self, new: Iterable[Row]) -> None:
        """Remove files that were put in place, and not registered."""
        remove(self.layout.root / part["path"] for part in new)

    def replace(
        self, registry: Registry, new: Sequence[Row], old: Iterable[str],
        still: Callable[[sa.Connection], bool] | None = None,
    ) -> bool:  # fmt: skip
        """Put files in place and register them for others; False if one of these was replaced meanwhile.

        ``still`` is asked, in the same transaction, whether all else is as it was.

        Raises
        ------
        ArchiveError
            If the archive or its registry cannot be written.
        """
        done: bool | None = False
        try:
            self.place(new)
            done = None  # from here on it takes a look to know
            with registry.writing() as connection:
                done = (still is None or still(connection)) and exchange(connection, new, sorted(old))
        except BaseException as error:
            done = is_registered(registry, new) if done is not False else False
            if not done or not isinstance(error, ArchiveError):
                raise
        finally:
            if done is False:
                self.remove(new)
        return bool(done)

    def end(self) -> None:
        """Remove the staging directory."""
        shutil.rmtree(self.directory, ignore_errors=True)


def is_registered(registry: Registry, new: Sequence[Row]) -> bool | None:
    """Whether a transaction that ended with an error took effect all the same; None if nobody can tell."""
    try:
        return bool(new) and bool(registry.rows(sa.select(_p.part_id).where(_p.part_id == new[0]["part_id"])))
    except ArchiveError:
        return None


def exchange(connection: sa.Connection, new: Sequence[Row], old: Sequence[str]) -> bool:
    """Register files in place of others; False, and nothing is done, if one of these is current no more."""
    current = 0
    for some in _some(old):
        query = sa.select(sa.func.count()).where(_p.part_id.in_(some), _p.replaced.is_(None))
        current += int(connection.execute(query).scalar_one())
    if current < len(old):
        return False
    for some in _some(old):
        connection.execute(sa.update(tables.parts).where(_p.part_id.in_(some)).values(replaced=now()))
    if new:
        connection.execute(sa.insert(tables.parts), list(new))
    return True


def _some(ids: Sequence[str], n: int = 500) -> list[Sequence[str]]:
    """Ids in lists that every database takes."""
    return [ids[k : k + n] for k in range(0, len(ids), n)]


def tokens(layout: Layout, *, alive: bool) -> list[str]:
    """Tokens of the runs that are under way, or of those that were killed."""
    found = []
    for directory in (layout.root / "staging").glob(f"{_PREFIX}*"):
        try:
            is_alive = Owner(**json.loads((directory / _OWNER).read_text())).is_alive()
        except (OSError, ValueError, TypeError):
            is_alive = _is_new(directory)
        if is_alive == alive:
            found.append(directory.name.removeprefix(_PREFIX))
    return found


def _is_new(directory: Path) -> bool:
    """Whether a run may just be making its directory; one that was killed at that left it without an owner."""
    with suppress(OSError):
        return time.time() - directory.stat().st_mtime < _BEGINS_S
    return False


def clear_killed(registry: Registry, layout: Layout) -> None:
    """Remove what runs left that were killed: staged files, and those in place that no record names."""
    for token in tokens(layout, alive=False):
        found = {path.stem: path for path in (layout.root / "tables").glob(f"*/*/*-{token}.parquet")}
        known = {row["part_id"] for some in _some(sorted(found)) for row in registry.rows(
            sa.select(_p.part_id).where(_p.part_id.in_(some)))}  # fmt: skip
        remove(path for part_id, path in found.items() if part_id not in known)
        shutil.rmtree(Swap(layout, token).directory, ignore_errors=True)


def removable(registry: Registry, grace_s: float = GRACE_S) -> list[sa.RowMapping]:
    """Replaced parts that nobody needs: longer ago than ``grace_s``, and with no superseded reduction's rows.

    Those are in the parts of their exposure that have their generation, which therefore stay. No reduction of a
    replaced part's generation is superseded later: what is current in merged files has another one from then on. So
    what is named here may be removed whenever it suits.
    """
    before = (datetime.now(UTC) - timedelta(seconds=grace_s)).isoformat(timespec="milliseconds")
    needed = sa.exists().where(
        _r.exposure_id == _p.exposure_id, _r.generation == _p.generation, _r.superseded_by.is_not(None)
    )
    return list(registry.rows(sa.select(tables.parts).where(_p.replaced <= before, ~needed)))


def remove_parts(registry: Registry, layout: Layout, parts: Sequence[sa.RowMapping]) -> None:
    """Remove replaced parts: first the files, so that the records of those that are left are found again.

    Before, manifests are brought up to date, which may have been left as they were by a process that was killed.
    """
    for night in {None, *(part["night"] for part in parts)} if parts else ():
        write_manifests(registry, layout, night)
    remove(layout.root / part["path"] for part in parts)
    for some in _some([part["part_id"] for part in parts]):
        with registry.writing() as connection:
            connection.execute(sa.delete(tables.parts).where(_p.part_id.in_(some), _p.replaced.is_not(None)))
