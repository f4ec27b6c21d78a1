"""Every record its file, every file its record: the archive's directory held against its registry."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import sqlalchemy as sa

from tomoe_explore import raw, schema
from tomoe_explore.archive import Archive
from tomoe_explore.archive import registry as tables
from tomoe_explore.archive.layout import PART_TABLES, ProductPlace
from tomoe_explore.archive.reserve import is_under_way
from tomoe_explore.archive.row_groups import Selection, read_rows
from tomoe_explore.archive.swap import removable, tokens
from tomoe_explore.errors import ArchiveError, TomoeError

#: Directories whose every file must be in the registry; what else lies beside them is not the archive's.
HOLDS = ("stacks", "tables", "masters", "staging")

#: A master is registered seconds after its file is in place; a file younger than this may be about to be, s.
YOUNG_S = 600.0


def wrong_files(archive: Archive, *, deep: bool) -> tuple[int, list[str]]:
    """Registered files, superseded ones too, that are missing or not what was written.

    Parameters
    ----------
    archive : Archive
    deep : bool
        Whether checksums are computed anew, or only sizes looked at.

    Returns
    -------
    int
        Files that are registered.
    list of str
        What is wrong, one a file.
    """
    faults, n = [], 0
    going = {part["part_id"] for part in removable(archive.registry, grace_s=0.0)}
    for row in _registered(archive):
        n += 1
        path = archive.root / row["path"]
        if not path.is_file() and row["id"] in going:
            continue
        if fault := _wrong(path, row, deep=deep):
            faults.append(f"{row['id']}: {row['path']} {fault}")
    return n, faults


def _wrong(path: Path, row: sa.RowMapping, *, deep: bool) -> str:
    """What is wrong with a file; nothing if it is as its record says."""
    if not path.is_file():
        return "is missing"
    try:
        size = path.stat().st_size
        if size != row["bytes"]:
            return f"has {size} bytes, expected {row['bytes']}"
        if deep and raw.checksum(path) != row["checksum"]:
            return "has another checksum than when it was written"
    except (OSError, TomoeError) as error:  # such as a damaged disk: the others are looked at all the same
        return f"cannot be read: {error}"
    return ""


def wrong_rows(archive: Archive, *, deep: bool) -> list[str]:
    """Tables with more or fewer rows than their reductions have, and superseded reductions whose rows are gone.

    Parameters
    ----------
    archive : Archive
    deep : bool
        Whether the rows of superseded reductions are counted, or only their files looked up.

    Returns
    -------
    list of str
        What is wrong, one a table or reduction.
    """
    r, p = tables.reductions.c, tables.parts.c
    of_generation = (p.exposure_id == r.exposure_id) & (p.generation == r.generation) & p.replaced.is_not(None)
    superseded = sa.select(tables.reductions, p.kind, p.path.label("part")).select_from(
        tables.reductions.outerjoin(tables.parts, of_generation)
    )
    with archive.registry.reading() as connection:  # all of one moment
        sums = [sa.func.sum(r[f"n_{kind}"]).label(kind) for kind in PART_TABLES]
        expected = connection.execute(sa.select(*sums).where(tables.CURRENT)).mappings().one()
        current = sa.select(p.kind, sa.func.sum(p.n_rows)).where(p.replaced.is_(None)).group_by(p.kind)
        found = {kind: int(n) for kind, n in connection.execute(current)}
        rows = connection.execute(superseded.where(r.status == "done", r.superseded_by.is_not(None))).mappings().all()
    faults = [
        f"{kind} has {found.get(kind, 0):,} rows in its files, its reductions have {int(expected[kind] or 0):,}: put "
        "registry and tables back as they were at one time"
        for kind in PART_TABLES
        if found.get(kind, 0) != int(expected[kind] or 0)
    ]
    return faults + [fault for kind in PART_TABLES for fault in _superseded_faults(archive, kind, rows, deep=deep)]


def _superseded_faults(archive: Archive, kind: str, rows: Sequence[sa.RowMapping], *, deep: bool) -> list[str]:
    """Superseded reductions, each given with every file of its generation, that miss rows of a table there."""
    expected = {row["reduction_id"]: row[f"n_{kind}"] for row in rows if row[f"n_{kind}"]}
    held_by: dict[str, list[int]] = defaultdict(list)
    for row in rows:
        if row["kind"] == kind and row["reduction_id"] in expected:
            held_by[row["part"]].append(row["reduction_id"])
    found = Counter({this: 0 if deep else expected[this] for ids in held_by.values() for this in ids})
    for path, ids in held_by.items() if deep else ():
        with suppress(ArchiveError):  # a file that is gone or damaged is named by `wrong_files`
            selection = Selection(reduction_id=tuple(ids))
            held = read_rows([archive.root / path], schema.TABLES[kind].arrow, ["reduction_id"], selection)
            found.update(held["reduction_id"].to_pylist())
    return [
        f"reduction {this}, which is superseded, has {found[this]:,} of {n:,} rows of {kind} in files: `tomoe replay "
        f"{this}` computes them again"
        for this, n in expected.items()
        if found[this] != n
    ]


def orphans(archive: Archive) -> list[Path]:
    """Files that no record names: left by a process that was killed, and seen by no reader.

    Files of a reduction that still runs, and masters that are being written, are none.

    Returns
    -------
    list of pathlib.Path
        Absolute, sorted.
    """
    # looked at before the registry: what is put in place and registered meanwhile is in neither list
    files = [path for name in HOLDS for path in (archive.root / name).rglob("*") if not path.is_dir()]
    running = _running(archive)
    known = {archive.root / row["path"] for row in _registered(archive)}
    for row in running:
        place = ProductPlace(row["night"], row["exposure_id"], row["detector_id"], row["reduction_id"])
        known |= {archive.root / path for path in (archive.layout.stack(place), archive.layout.collection(place))}
    # of exposures that are being published, by their number in the file's or the staging directory's name
    exposures = {f"{row['exposure_id']:08d}" for row in running}
    staged = {str(row["reduction_id"]) for row in running} | exposures
    exposures |= set(tokens(archive.layout, alive=True))  # merged files have their run's token there
    return sorted(path for path in files if path not in known and not _under_way(archive, path, exposures, staged))


def _under_way(archive: Archive, path: Path, exposures: set[str], staged: set[str]) -> bool:
    """Whether somebody may be writing a file that no record names."""
    top, name = path.relative_to(archive.root).parts[:2]
    if top == "tables":
        return path.name == "manifest.json" or not exposures.isdisjoint(path.stem.split("-"))
    if top == "staging" and name.partition("-")[0] in staged:
        return True
    return _young_master(archive, path)


def _young_master(archive: Archive, path: Path) -> bool:
    """Whether a file may be of a master that is being written: no record says who writes it."""
    top, name = path.relative_to(archive.root).parts[:2]
    if top != "masters" and (top != "staging" or name.isdecimal()):
        return False
    try:
        return time.time() - path.lstat().st_mtime < YOUNG_S
    except FileNotFoundError:  # registered or given up in this moment
        return True


def delete_orphans(archive: Archive) -> list[Path]:
    """Delete the files that no record names, and the directories that become empty; all else stays.

    Returns
    -------
    list of pathlib.Path
        What was deleted.

    Raises
    ------
    ArchiveError
        If more files have no record than have one: then the registry is not that of this archive, or an old one.
    """
    found = orphans(archive)
    n_known = sum((archive.root / row["path"]).is_file() for row in _registered(archive))
    if len(found) > n_known:
        raise ArchiveError(
            f"{len(found)} files in {archive.root} have no record, only {n_known} have one: nothing is deleted. "
            "Is $TOMOE_DATABASE the registry of this archive, and was it not restored from an old backup?"
        )
    for path in found:
        path.unlink(missing_ok=True)
        for directory in path.parents:
            if directory.parent == archive.root or any(directory.iterdir()):
                break
            directory.rmdir()
    return found


def _registered(archive: Archive) -> Iterator[sa.RowMapping]:
    r, p, m = tables.reductions.c, tables.parts.c, tables.masters.c
    stacks = sa.select(r.reduction_id.label("id"), r.path, r.bytes, r.checksum).where(r.status == "done")
    yield from archive.registry.rows(stacks)
    yield from archive.registry.rows(
        sa.select(r.reduction_id.label("id"), r.collection_path.label("path"), r.collection_bytes.label("bytes"),
                  r.collection_checksum.label("checksum")).where(r.status == "done", r.collection_path.is_not(None))
    )  # fmt: skip
    yield from archive.registry.rows(sa.select(p.part_id.label("id"), p.path, p.bytes, p.checksum))
    yield from archive.registry.rows(sa.select(m.master_id.label("id"), m.path, m.bytes, m.checksum))


def _running(archive: Archive) -> list[sa.RowMapping]:
    """Reductions whose process lives."""
    query = sa.select(tables.reductions).where(tables.UNDONE, tables.reductions.c.status == "running")
    return [row for row in archive.registry.rows(query) if is_under_way(row)]
