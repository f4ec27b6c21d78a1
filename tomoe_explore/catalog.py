"""The Intake catalog: one reader for the archive's tables, named by the entries of ``tomoe.yaml``.

Examples
--------
>>> import tempfile
>>> from tomoe_explore.archive import Archive
>>> cat = Archive.create(tempfile.mkdtemp() + "/archive").catalog
>>> sorted(cat)[:3]
['exposures', 'frames', 'light_curves']
>>> len(cat["photometry"].read(night="2020-08-14"))
0
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from intake.readers.readers import BaseReader

from tomoe_explore.archive import Archive, open_archive
from tomoe_explore.archive.archive import ROW_LIMIT
from tomoe_explore.errors import ParameterError

if TYPE_CHECKING:
    import dask.dataframe as dd
    import pandas as pd

#: Filters, which are the catalog's user parameters too.
FILTERS = ("night", "exposure_id", "detector_id", "position", "radius")

#: What else a read understands.
OPTIONS = ("columns", "all_versions", "limit", "archive")

#: A Dask partition holds whole files, about this many rows of them.
PARTITION_ROWS = 1_000_000


class TableReader(BaseReader):
    """Reads one table of an archive: ``.read()`` gives pandas, ``.to_dask()`` a Dask dataframe with the same filters.

    Parameters
    ----------
    table : str
        Which table; set by the catalog's entry.
    where : mapping
        Filters and ``archive``, filled from the catalog's user parameters, and the catalog's directory. They are nested
        because Intake takes a reader's argument of a parameter's name for that parameter.
    **options
        Filters (`FILTERS`) and `OPTIONS`, which have precedence over ``where``.

    Raises
    ------
    ParameterError
        If an option has a name that is not understood; the message names the valid ones.
    """

    output_instance = "pandas:DataFrame"

    def __init__(self, *args: Any, table: str = "", where: Mapping[str, Any] | None = None, **options: Any) -> None:
        _check_names(set(options) - {"metadata", "output_instance"})
        super().__init__(*args, table=table, where=dict(where or {}), **options)

    def __getattr__(self, name: str) -> Any:
        """Intake turns any unknown attribute into a lazy pipeline, so that a typing error would not fail."""
        raise AttributeError(f"reader of table {self.__dict__.get('kwargs', {}).get('table')!r} has no {name!r}; "
                             "it has read, to_dask and discover")  # fmt: skip

    def __dir__(self) -> list[str]:
        return list(object.__dir__(self))

    def __repr__(self) -> str:
        text = (self.metadata or {}).get("description", "")
        use = f".read() gives pandas, .to_dask() dask; filters: {', '.join(FILTERS)}"
        return f"table {self.kwargs['table']!r}: {text}\n  {use}"

    def _read(self, **options: Any) -> pd.DataFrame:
        from tomoe_explore.archive.pandas_frame import to_pandas

        archive, table, filters = _resolve(options)
        return to_pandas(archive.table(table, **filters))

    def discover(self, **options: Any) -> pd.DataFrame:
        """An empty frame with the columns and types that a read gives."""
        from tomoe_explore.archive.pandas_frame import to_pandas
        from tomoe_explore.archive.tables import schema_of

        return to_pandas(schema_of(self.kwargs["table"]).empty_table())

    def to_dask(self, **options: Any) -> dd.DataFrame:
        """A Dask dataframe; each partition reads whole files of the archive and filters them.

        Which exposures there are is settled now; one that is published later is not seen. What holds more rows than the
        limit is refused as in ``read``: with ``limit=None`` nothing is, and each partition holds some 10^6 rows.
        """
        import dask.dataframe as dd

        archive, table, filters = _resolve({**self.kwargs, **options})
        _refuse_too_many(archive, table, filters, filters.pop("limit"))
        read_some = partial(_read_exposures, archive, table, filters)
        groups = _exposure_groups(archive, table, filters)
        meta = self.discover()
        chosen = filters.get("columns")
        return dd.from_map(read_some, groups or [None], meta=meta if chosen is None else meta[list(chosen)])


def _check_names(names: set[str]) -> None:
    wrong = sorted(names - set(FILTERS) - set(OPTIONS))
    if wrong:
        raise ParameterError(
            f"no parameter {', '.join(map(repr, wrong))}: filters are {', '.join(FILTERS)}; "
            f"options are {', '.join(OPTIONS)}"
        )


def _resolve(options: dict[str, Any]) -> tuple[Archive, str, dict[str, Any]]:
    """The archive, the table's name, and arguments for `Archive.table`."""
    table = options["table"]
    given = {name: value for name, value in options.items() if name not in ("table", "where")}
    chosen = {"limit": ROW_LIMIT, **options["where"], **given}
    root = find_root(chosen.pop("archive", None), chosen.pop("catalog", None))
    _check_names(set(chosen))
    return open_archive(root), table, chosen


def find_root(archive: str | os.PathLike[str] | None, catalog_directory: str | None) -> Path | None:
    """Where the archive is: as said, else beside the catalog's file, else as `open_archive` finds it.

    Without ``$TOMOE_ARCHIVE`` and ``./archive``, a directory ``archive`` next to the catalog's is taken, as in a clone.
    """
    if archive:
        return Path(archive)
    directory = Path((catalog_directory or "").removeprefix("file://") or ".")
    if (directory / "archive.json").exists():
        return directory
    if not os.environ.get("TOMOE_ARCHIVE") and not Path("archive").exists():
        beside = directory.parent / "archive"
        return beside if beside.exists() else None
    return None


def _exposure_groups(archive: Archive, table: str, filters: Mapping[str, Any]) -> list[list[int]]:
    """Exposures whose rows together make a partition."""
    from tomoe_explore.archive.layout import PART_TABLES
    from tomoe_explore.archive.search import Where, stack_rows

    if table not in PART_TABLES:
        return []
    where = Where.of(**{name: filters.get(name) for name in FILTERS}, default_radius="3 arcsec")
    groups: list[list[int]] = []
    size = PARTITION_ROWS
    for row in stack_rows(archive.registry, where, all_versions=filters.get("all_versions", False)):
        if groups and groups[-1][-1] == row["exposure_id"]:
            size += row[f"n_{table}"]
            continue
        if size >= PARTITION_ROWS:
            groups.append([])
            size = 0
        groups[-1].append(row["exposure_id"])
        size += row[f"n_{table}"]
    return groups


def _refuse_too_many(archive: Archive, table: str, filters: Mapping[str, Any], limit: int | None) -> None:
    """Refuse what `Archive.table` would refuse, from the registry's counts."""
    from tomoe_explore.archive.search import Where
    from tomoe_explore.archive.tables import guard

    where = Where.of(**{name: filters.get(name) for name in FILTERS}, default_radius="3 arcsec")
    guard(archive.registry, table, where, limit, all_versions=bool(filters.get("all_versions", False)))


def _read_exposures(
    archive: Archive, table: str, filters: Mapping[str, Any], exposures: list[int] | None
) -> pd.DataFrame:
    """One partition. None stands for all there is: a table of the registry, or a part table that has no file."""
    from tomoe_explore.archive.pandas_frame import to_pandas

    chosen = dict(filters) if exposures is None else {**filters, "exposure_id": exposures}
    return to_pandas(archive.table(table, **chosen, limit=None))
