"""Is all well? Checks of the environment and of an archive; each fault is named."""

from __future__ import annotations

import os
import shutil
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module, metadata
from pathlib import Path
from typing import Any, Literal

import sqlalchemy as sa

from tomoe_explore import raw
from tomoe_explore.archive import Archive, open_archive
from tomoe_explore.archive import registry as tables
from tomoe_explore.archive.owner import Owner
from tomoe_explore.archive.summary import count
from tomoe_explore.errors import TomoeError

Status = Literal["ok", "note", "fault"]

#: Modules without which something does not work; each is imported, for a broken binary shows only then.
MODULES = (
    "numpy", "scipy", "numba", "pandas", "pyarrow", "astropy", "cdshealpix", "lightkurve", "nifty_ls",
    "intake", "dask.dataframe", "sqlalchemy", "xxhash", "typer", "rich", "tqdm",
)  # fmt: skip
VIEW_MODULES = ("ipywidgets", "bokeh", "holoviews", "datashader", "jupyter_bokeh", "matplotlib", "jupyterlab")

_LOW_DISK_BYTES, _NO_DISK_BYTES = 5e9, 5e8
_NETWORK_FILE_SYSTEMS = ("nfs", "nfs4", "cifs", "smb3", "smbfs", "lustre", "gpfs", "ceph", "fuse.sshfs", "9p")
_SHOWN = 5


@dataclass(frozen=True)
class Check:
    """What one check found.

    Attributes
    ----------
    name : str
        What was looked at.
    status : str
        ``ok``; ``note``: worth knowing; ``fault``: something does not work.
    text : str
        What was found, and what to do.
    """

    name: str
    status: Status
    text: str


def examine(archive: Archive | str | os.PathLike[str] | None = None, *, deep: bool = False) -> list[Check]:
    """Check the environment and an archive.

    Parameters
    ----------
    archive : Archive or path, optional
        See `open_archive` for the default.
    deep : bool
        Whether the checksum of every file is computed anew.

    Returns
    -------
    list of Check

    Examples
    --------
    >>> import tempfile
    >>> checks = examine(Archive.create(tempfile.mkdtemp() + "/archive"))
    >>> [check.name for check in checks if check.status == "fault"]
    []
    """
    checks = [_python(), _modules(MODULES, "libraries", "fault"), _modules(VIEW_MODULES, "views", "note"), _numba()]
    try:
        archive = archive if isinstance(archive, Archive) else open_archive(archive)
        holds = count(archive.registry)
    except TomoeError as error:
        return [*checks, _disk(Path.cwd()), Check("archive", "fault", str(error))]
    n = holds.reductions
    text = f"{archive.root}: {n.get('done', 0)} reductions done, {n.get('failed', 0)} failed, {holds.masters} masters"
    checks += [Check("archive", "ok", text), _disk(archive.root), _registry_place(archive), _refcat(archive)]
    return [*checks, _files(archive, deep), *_unfinished(archive)]


def _python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    return Check("python", "ok", f"Python {version}, tomoe_explore {metadata.version('tomoe-explore')}")


def _modules(names: tuple[str, ...], what: str, status: Status) -> Check:
    broken = []
    for name in names:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                import_module(name)
        except Exception as error:
            broken.append(f"{name} ({type(error).__name__}: {error})")
    if broken:
        return Check(what, status, f"cannot be imported: {'; '.join(broken)}")
    return Check(what, "ok", f"{len(names)} can be imported")


def _numba() -> Check:
    """Compiled kernels are kept in a cache; without one every process compiles anew."""
    beside = Path(__file__).parent.parent / "kernels"
    given = os.environ.get("NUMBA_CACHE_DIR")
    places = [Path(given)] if given else [beside, Path.home() / ".cache"]
    for place in places:
        if os.access(place, os.W_OK):
            return Check("numba cache", "ok", f"{place} can be written")
    return Check(
        "numba cache", "note", f"{places[-1]} cannot be written: each start compiles anew; set NUMBA_CACHE_DIR"
    )


def _disk(place: Path) -> Check:
    free = shutil.disk_usage(place).free
    status: Status = "fault" if free < _NO_DISK_BYTES else "note" if free < _LOW_DISK_BYTES else "ok"
    return Check("disk", status, f"{free / 1e9:.1f} GB free at {place}")


def _registry_place(archive: Archive) -> Check:
    """SQLite's locks cannot be trusted over a network."""
    url = sa.make_url(archive.registry.url)
    shown = url.render_as_string(hide_password=True)
    if url.get_backend_name() == "sqlite" and url.database:
        form = _file_system(Path(url.database).resolve())
        if form in _NETWORK_FILE_SYSTEMS:
            text = f"{shown} lies on {form}: SQLite fails there; set $TOMOE_DATABASE to a local file or PostgreSQL"
            return Check("registry", "fault", text)
        if not os.access(url.database, os.W_OK):
            return Check("registry", "note", f"{shown} can be read, not written, by this user")
    return Check("registry", "ok", shown)


def _file_system(path: Path) -> str:
    """Type of the file system that a path lies on; empty where the system does not say."""
    try:
        mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    except OSError:
        return ""
    holding = [(len(m[1]), m[2]) for m in mounts if path.is_relative_to(m[1].replace("\\040", " "))]
    return max(holding, default=(0, ""))[1]


def _refcat(archive: Archive) -> Check:
    path = archive.refcat_path()
    if path is None:
        return Check("reference catalog", "note", "none used yet; `tomoe reduce` needs --refcat the first time")
    if not path.is_file():
        return Check("reference catalog", "note", f"{path} is gone; `tomoe reduce` needs --refcat")
    return Check("reference catalog", "ok", str(path))


def _files(archive: Archive, deep: bool) -> Check:
    """Whether every file that the registry names is there, with its size and, if ``deep``, its checksum."""
    faults, n = [], 0
    for row in _registered(archive):
        n += 1
        path = archive.root / row["path"]
        if not path.is_file():
            faults.append(f"{row['id']}: {row['path']} is missing")
        elif path.stat().st_size != row["bytes"]:
            faults.append(f"{row['id']}: {row['path']} has {path.stat().st_size} bytes, expected {row['bytes']}")
        elif deep and raw.checksum(path) != row["checksum"]:
            faults.append(f"{row['id']}: {row['path']} has another checksum than when it was written")
    how = "with their checksums" if deep else "with their sizes"
    if not faults:
        return Check("files", "ok", f"all {n} files are there, {how}")
    more = f"; and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
    text = f"{len(faults)} of {n} files are wrong: {'; '.join(faults[:_SHOWN])}{more}; reduce their films with --force"
    return Check("files", "fault", text)


def _registered(archive: Archive) -> Iterator[sa.RowMapping]:
    p, m, r = tables.products.c, tables.masters.c, tables.reductions.c
    current = tables.products.join(tables.reductions, r.reduction_id == p.reduction_id)
    products = sa.select(p.product_id.label("id"), p.path, p.bytes, p.checksum).select_from(current)
    yield from archive.registry.rows(products.where(r.superseded_by.is_(None)))
    yield from archive.registry.rows(sa.select(m.master_id.label("id"), m.path, m.bytes, m.checksum))


def _unfinished(archive: Archive) -> list[Check]:
    """Failed reductions, and those whose process died."""
    r = tables.reductions.c
    failed = archive.registry.rows(
        sa.select(r.error_kind, sa.func.count().label("n")).where(r.status == "failed").group_by(r.error_kind)
    )
    running = archive.registry.rows(sa.select(tables.reductions).where(r.status == "running"))
    dead = [row for row in running if not _owner(row).is_alive()]
    checks = []
    if failed:
        kinds = ", ".join(f"{row['n']} {row['error_kind']}" for row in failed)
        checks.append(Check("failures", "note", f"{kinds}; archive.table('reductions') says why"))
    if dead:
        ids = ", ".join(str(row["reduction_id"]) for row in dead[:_SHOWN])
        text = f"{len(dead)} reductions ({ids}) were cut off; `tomoe reduce` takes them up again"
        checks.append(Check("interrupted", "note", text))
    return checks


def _owner(row: Any) -> Owner:
    return Owner(row["owner_host"], row["owner_pid"], row["owner_started"])
