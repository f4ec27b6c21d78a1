"""Is all well? Checks of the environment and of an archive; each fault is named."""

from __future__ import annotations

import os
import shutil
import sys
import warnings
from importlib import import_module, metadata
from pathlib import Path

import sqlalchemy as sa

from tomoe_explore.archive import Archive, open_archive
from tomoe_explore.archive import registry as tables
from tomoe_explore.archive.manifest import wrong_manifests
from tomoe_explore.archive.migration import REVISION
from tomoe_explore.archive.mounts import refuse_network
from tomoe_explore.archive.reserve import is_under_way
from tomoe_explore.archive.summary import count
from tomoe_explore.errors import TomoeError
from tomoe_explore.operations.check import Check, Status, first
from tomoe_explore.operations.doctor_running import check_running
from tomoe_explore.operations.inventory import orphans, wrong_files, wrong_rows

#: Modules without which something does not work; each is imported, for a broken binary shows only then.
MODULES = (
    "numpy", "scipy", "numba", "pandas", "pyarrow", "astropy", "hpgeom", "lightkurve", "nifty_ls",
    "intake", "dask.dataframe", "sqlalchemy", "alembic", "xxhash", "typer", "rich", "tqdm",
)  # fmt: skip
VIEW_MODULES = ("ipywidgets", "bokeh", "holoviews", "datashader", "jupyter_bokeh", "matplotlib", "jupyterlab")

_LOW_DISK_BYTES, _NO_DISK_BYTES = 5e9, 5e8


def examine(archive: Archive | str | os.PathLike[str] | None = None, *, deep: bool = False) -> list[Check]:
    """Check the environment and an archive.

    Parameters
    ----------
    archive : Archive or path, optional
        See `open_archive` for the default.
    deep : bool
        Whether the checksum of every file is computed anew, and files without a record are looked for.

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
    checks += [_files(archive, deep), _rows(archive, deep), *([_orphans(archive), _manifests(archive)] if deep else [])]
    return [*checks, *_unfinished(archive), *check_running(archive, deep=deep)]


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
    """Compiled kernels are kept in a cache; where none can be, numba refuses to compile."""
    beside = Path(__file__).parent.parent / "kernels"
    given = os.environ.get("NUMBA_CACHE_DIR")
    places = [Path(given)] if given else [beside, Path.home() / ".cache"]
    for place in places:
        if os.access(place, os.W_OK):
            return Check("numba cache", "ok", f"{place} can be written")
    return Check(
        "numba cache", "fault", f"{places[-1]} cannot be written, so nothing can be compiled: set NUMBA_CACHE_DIR"
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
        try:
            refuse_network(archive.registry.url)
        except TomoeError as error:
            return Check("registry", "fault", str(error))
        if not os.access(url.database, os.W_OK):
            return Check("registry", "note", f"{shown} can be read, not written, by this user")
    revision = archive.registry.revision()
    if revision != REVISION:
        text = (
            f"{shown} is of revision {revision}, this version writes {REVISION}: `tomoe init` backs it up and migrates"
        )
        return Check("registry", "fault", text)
    return Check("registry", "ok", shown)


def _refcat(archive: Archive) -> Check:
    path = archive.refcat_path()
    if path is None:
        return Check("reference catalog", "note", "none used yet; `tomoe reduce` needs --refcat the first time")
    if not path.is_file():
        return Check("reference catalog", "note", f"{path} is gone; `tomoe reduce` needs --refcat")
    return Check("reference catalog", "ok", str(path))


def _files(archive: Archive, deep: bool) -> Check:
    """Whether every file that the registry names is there, with its size and, if ``deep``, its checksum."""
    n, faults = wrong_files(archive, deep=deep)
    how = "with their checksums" if deep else "with their sizes"
    if not faults:
        return Check("files", "ok", f"all {n} files are there, {how}")
    text = (
        f"{len(faults)} of {n} files are wrong: {first(faults)}; put them back from a copy of the archive, or reduce "
        "their films with --force, for a table all films of its exposure in one run (consolidated tables: from a copy "
        "only)"
    )
    return Check("files", "fault", text)


def _rows(archive: Archive, deep: bool) -> Check:
    """Whether tables have the rows that reductions say."""
    faults = wrong_rows(archive, deep=deep)
    return Check("rows", "fault", first(faults)) if faults else Check("rows", "ok", "as many as the reductions have")


def _manifests(archive: Archive) -> Check:
    found = wrong_manifests(archive.registry, archive.layout)
    if not found:
        return Check("manifests", "ok", "each lists what is current")
    names = first([str(path.relative_to(archive.root)) for path in found])
    return Check(
        "manifests", "note", f"{len(found)} do not list what is current: {names}; `tomoe doctor --repair --yes`"
    )


def _orphans(archive: Archive) -> Check:
    found = orphans(archive)
    if not found:
        return Check("orphans", "ok", "every file has its record")
    names = first([str(path.relative_to(archive.root)) for path in found])
    text = f"{len(found)} files have no record, no reader sees them: {names}; `tomoe doctor --repair` lists them all"
    return Check("orphans", "note", text)


def _unfinished(archive: Archive) -> list[Check]:
    """Failed reductions, and those whose process died."""
    r = tables.reductions.c
    failed = archive.registry.rows(
        sa.select(r.error_kind, sa.func.count().label("n"))
        .where(tables.UNDONE, r.status == "failed")
        .group_by(r.error_kind)
    )
    running = archive.registry.rows(sa.select(tables.reductions).where(tables.UNDONE, r.status == "running"))
    dead = [row for row in running if not is_under_way(row)]
    checks = []
    if failed:
        kinds = ", ".join(f"{row['n']} {row['error_kind']}" for row in failed)
        checks.append(Check("failures", "note", f"{kinds}; archive.table('reductions') says why"))
    if dead:
        ids = ", ".join(str(row["reduction_id"]) for row in dead[:5])
        text = f"{len(dead)} reductions ({ids}) were cut off; `tomoe reduce` takes them up again"
        checks.append(Check("interrupted", "note", text))
    return checks
