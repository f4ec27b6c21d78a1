"""Where everything lies in an archive: the only module that knows paths.

::

    archive.json                                              says that this is an archive, of which layout, and its id
    registry.sqlite                                           what is there (unless $TOMOE_DATABASE says elsewhere)
    stacks/2020-08-14/00357754/v001/sTMQ1202008140035775412.fits
    stacks/2020-08-14/00357754/v001/nTMQ1202008140035775412.fits     its movers, with cutout films
    tables/photometry/2020-08-14/photometry-00357754-g001.parquet    one exposure; a new generation for each change
    tables/photometry/2020-08-14/photometry-2020-08-14-c04351-db852a9a.parquet    merged: a cell of the sky of a night
    tables/photometry/all/photometry-all-c04351-1a2b3c4d.parquet      merged: of all nights
    tables/photometry/2020-08-14/manifest.json                which files of the directory hold the current rows
    masters/2020-08-14/dark-112-20200814-1a2b3c4d.fits
    staging/357754112001/                                     files under way; readers never look here
    backups/registry-0001-20201123T0653.zip                   of the registry, made before it was migrated
    jobs/1/                                                   log and outcomes of a job
    limits.json                                               what jobs may use of the machine, if somebody set it
    health.json                                               whether a watch is well, if one is told to write it here
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tomoe_explore import camera

#: Version of the layout; an archive of a later one is refused.
LAYOUT_VERSION = 1

#: Tables that are kept as Parquet files, one of each an exposure; the others live in the registry.
PART_TABLES = ("photometry", "sources", "frames", "movers", "mover_detections", "streaks")


@dataclass(frozen=True)
class ProductPlace:
    """What a product's path is made of: night, exposure, detector and reduction.

    Examples
    --------
    >>> ProductPlace("2020-08-14", 357754, 112, 357754112001).version
    1
    """

    night: str
    exposure_id: int
    detector_id: int
    reduction_id: int

    @property
    def version(self) -> int:
        """Version of the reduction, its id's last three digits."""
        return self.reduction_id % 1000


@dataclass(frozen=True)
class Layout:
    """Paths of an archive. Those of products are relative to ``root``, as the registry keeps them.

    Examples
    --------
    >>> place = ProductPlace("2020-08-14", 357754, 112, 357754112001)
    >>> Layout(Path("archive")).stack(place).as_posix()
    'stacks/2020-08-14/00357754/v001/sTMQ1202008140035775412.fits'
    """

    root: Path

    @property
    def marker(self) -> Path:
        """The file that says that this directory is an archive."""
        return self.root / "archive.json"

    @property
    def registry(self) -> Path:
        """The SQLite registry, where no other database is set."""
        return self.root / "registry.sqlite"

    @property
    def backups(self) -> Path:
        """Directory (absolute) of the registry's backups that were made before it was migrated."""
        return self.root / "backups"

    @property
    def limits(self) -> Path:
        """The file that limits jobs; there only if somebody wrote it."""
        return self.root / "limits.json"

    @property
    def health(self) -> Path:
        """Where a watch may say whether it is well, for ``tomoe doctor``."""
        return self.root / "health.json"

    def job(self, job_id: int) -> Path:
        """Directory (absolute) of a job's log and outcomes."""
        return self.root / "jobs" / str(job_id)

    def staging(self, name: int | str) -> Path:
        """Directory (absolute) of files under way for one reduction or master."""
        return Path(self.root, "staging", str(name))

    def stack(self, place: ProductPlace) -> Path:
        """Path of a stack. A re-reduction has the same file name, hence the version's directory."""
        name = camera.film_name("s", place.detector_id, place.night, place.exposure_id)
        return Path("stacks", place.night, f"{place.exposure_id:08d}", f"v{place.version:03d}", name)

    def collection(self, place: ProductPlace) -> Path:
        """Path of a collection of movers, beside the stack."""
        name = camera.film_name("n", place.detector_id, place.night, place.exposure_id)
        return self.stack(place).with_name(name)

    def table(self, table: str, night: str | None) -> Path:
        """Directory of a night's part of a table; None stands for all nights."""
        return Path("tables", table, night or "all")

    def part(self, table: str, night: str | None, part_id: str) -> Path:
        """Path of a file with rows of a table."""
        return self.table(table, night) / f"{part_id}.parquet"

    def manifest(self, table: str, night: str | None) -> Path:
        """Path of the list of a table's current files of a night."""
        return self.table(table, night) / "manifest.json"

    def master(self, night: str, master_id: str) -> Path:
        """Path of a master dark or flat."""
        return Path("masters") / night / f"{master_id}.fits"


def stack_product_id(reduction_id: int) -> str:
    """Product id of a reduction's stack.

    Examples
    --------
    >>> stack_product_id(357754112001)
    'stack-357754112001'
    """
    return f"stack-{reduction_id}"


def collection_product_id(reduction_id: int) -> str:
    """Product id of a reduction's collection of movers.

    Examples
    --------
    >>> collection_product_id(357754112001)
    'mover-357754112001'
    """
    return f"mover-{reduction_id}"


def exposure_part_id(table: str, exposure_id: int, generation: int) -> str:
    """Id of the file with an exposure's rows of a table.

    Examples
    --------
    >>> exposure_part_id("photometry", 357754, 1)
    'photometry-00357754-g001'
    """
    return f"{table}-{exposure_id:08d}-g{generation:03d}"
