"""What writers ask of an archive: reserve a film, commit or fail its reduction, keep masters and reference catalogs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from tomoe_explore.archive import backup as _backup
from tomoe_explore.archive import known
from tomoe_explore.archive import masters as _masters
from tomoe_explore.archive import publish as _publish
from tomoe_explore.archive import reserve as _reserve
from tomoe_explore.archive import swap as _swap
from tomoe_explore.archive.known import Finished
from tomoe_explore.archive.layout import Layout
from tomoe_explore.archive.manifest import all_nights, write_manifests
from tomoe_explore.archive.registry import Registry
from tomoe_explore.archive.reserve import Reservation
from tomoe_explore.archive.stage import Staged, stage
from tomoe_explore.data import Exposure, Master, Masters, Provenance, Reduction, Refcat
from tomoe_explore.errors import ArchiveError

StrPath = str | os.PathLike[str]


class Writing:
    """The writers' half of `Archive`."""

    layout: Layout
    registry: Registry

    def begin(
        self, exposure: Exposure, path: StrPath, *, checksum: str | None = None, force: bool = False
    ) -> Reservation | None:
        """Reserve a film for this process.

        Parameters
        ----------
        exposure : Exposure
            What the film's header says.
        path : path
            The film.
        checksum : str, optional
            Of its bytes; read from the file only where path, size and time do not tell that it is known.
        force : bool
            Whether to reduce again what is done.

        Returns
        -------
        Reservation or None
            None if the film is done already. A reservation whose process died is taken over, with its id.

        Raises
        ------
        ReservedError
            If a process that still runs has it.
        ArchiveError
            If the archive cannot be written.
        """
        return _reserve.begin(self.registry, self.layout, exposure, path, checksum=checksum, force=force)

    def stage(self, reduction: Reduction, provenance: Provenance) -> Staged:
        """Write the files of a reserved reduction where no reader looks; `publish` makes them visible.

        Returns
        -------
        Staged
            For `publish`; it may be sent to another process of this machine.

        Raises
        ------
        ArchiveError
            If it was not reserved, or the archive cannot be written.
        SchemaError
            If a table is not what ``schema.conform`` gives.
        """
        return stage(self.registry, self.layout, reduction, provenance)

    def publish(self, staged: Sequence[Staged]) -> list[Staged]:
        """Make staged films of one exposure visible: all of them or, after an error or a crash at any point, none.

        Their rows are merged with those of the exposure's other films, and older reductions of the films superseded.
        Copies of a film, of the same detector, are published one after the other: the one reserved last stays current.

        Returns
        -------
        list of Staged
            Those that were left out, because another process has taken them over, or given them up.

        Raises
        ------
        ArchiveError
            If the archive cannot be written.
        """
        return _publish.publish(self.registry, self.layout, staged)

    def commit(self, reduction: Reduction, provenance: Provenance) -> None:
        """Stage and publish a reserved film, as an exposure that consists of it.

        Raises
        ------
        ArchiveError
            If it was not reserved, if another process has taken it over, or if the archive cannot be written.
        SchemaError
            If a table is not what ``schema.conform`` gives.
        """
        if self.publish([self.stage(reduction, provenance)]):
            raise ArchiveError(f"reduction {reduction.reduction_id} was taken over, or given up, by another process")

    def tidy(self, nights: Iterable[str] | None = None) -> None:
        """Bring the manifests of some nights (None: all) up to date, and remove what nobody needs any more.

        That is what killed processes left staged or half merged, and files of tables that others replaced an hour ago
        or more.

        Raises
        ------
        ArchiveError
            If the archive cannot be written.
        """
        for night in all_nights(self.registry, self.layout) if nights is None else nights:
            write_manifests(self.registry, self.layout, night)
        _publish.clear_staged(self.registry, self.layout)
        _swap.clear_killed(self.registry, self.layout)
        _swap.remove_parts(self.registry, self.layout, _swap.removable(self.registry))

    def fail(self, held: Reservation | Staged, error: BaseException) -> None:
        """Record why a reduction failed; no product of it stays, and a retry is a new version."""
        _reserve.fail(self.registry, self.layout, held, error)

    def let_go(self, held: Reservation | Staged) -> None:
        """Free a film that nothing became of: no product of it stays, and whoever asks next has it."""
        _reserve.let_go(self.registry, self.layout, held)

    def checksum_of(self, path: StrPath) -> str | None:
        """Checksum of a film's file if the archive knows it by path, size and time; no byte of it is read."""
        return _reserve.known(self.registry, path).checksum or None

    def reduction_of(self, path: StrPath) -> int | None:
        """The newest finished reduction of a film's file, or None."""
        return _reserve.reduction_of(self.registry, _reserve.identify(self.registry, path).checksum)

    def settled(self, files: Sequence[tuple[str, int, int]]) -> set[str]:
        """Paths of the films that need no more work: reduced, mastered, or failed for a reason of their own.

        Parameters
        ----------
        files : sequence of (path, size in bytes, mtime in ns)
            Absolute paths. A file that has changed since the archive saw it is not settled.

        Raises
        ------
        ArchiveError
            If the registry cannot be read.
        """
        return known.settled(self.registry, files)

    def finished(self, files: Sequence[tuple[str, int, int]]) -> dict[str, Finished]:
        """What films that are reduced, or mastered, became; by their paths.

        Parameters
        ----------
        files : sequence of (path, size in bytes, mtime in ns)
            Absolute paths. A file that has changed since the archive saw it is none of these.

        Raises
        ------
        ArchiveError
            If the registry cannot be read.
        """
        return known.finished(self.registry, files)

    def superseded_by(self, reduction_id: int) -> int | None:
        """The reduction that replaced this one, or None while it is current."""
        return _reserve.superseded_by(self.registry, reduction_id)

    def add_master(
        self, master: Master, *, film_checksum: str, film_path: StrPath | None = None, dark_id: str | None = None,
        code_version: str = "",
    ) -> str:  # fmt: skip
        """Store a master dark or flat unless it is there; its id.

        Parameters
        ----------
        master : Master
        film_checksum, film_path
            The film it was made from.
        dark_id : str, optional
            The dark that was taken off a flat.
        code_version : str
            Of this package.
        """
        if film_path is None:
            film = _reserve.FilmFile("", 0, 0, film_checksum)
        else:
            film = _reserve.identify(self.registry, film_path, film_checksum)
        return _masters.add_master(self.registry, self.layout, master, film, dark_id=dark_id, code_version=code_version)

    def master_of(self, path: StrPath) -> str | None:
        """The master that was made from a film's file, or None."""
        return _masters.master_of(self.registry, _reserve.identify(self.registry, path).checksum)

    def find_masters(self, exposure: Exposure) -> Masters:
        """The masters that fit a film: same detector and gain mode, for darks the same frame exposure.

        The dark is the one nearest in dark current (by the sensors' temperatures) and time; see
        `tomoe_explore.archive.masters.choose_dark`. The flat is the nearest in time.

        Raises
        ------
        NoMastersError
            If there is no dark that fits, or none near enough. A missing flat is None.
        """
        return _masters.find_masters(self.registry, self.layout, exposure)

    def add_refcat(self, refcat: Refcat, path: StrPath) -> None:
        """Remember a reference catalog: its name, checksum and where it lies."""
        from tomoe_explore.archive.refcats import add_refcat

        add_refcat(self.registry, refcat, path)

    def refcat_path(self) -> Path | None:
        """Where the reference catalog remembered last lies, or None."""
        from tomoe_explore.archive.refcats import refcat_path

        return refcat_path(self.registry)

    def backup(self, path: StrPath) -> _backup.Backup:
        """Write a backup of the registry to one file; the archive's files are not in it.

        It is consistent while writers go on: on PostgreSQL they do not notice, on SQLite they wait for it.

        Parameters
        ----------
        path : path
            A new file.

        Returns
        -------
        Backup
            When and from what it was made, and the rows of each table.

        Raises
        ------
        ArchiveError
            If the file is there already, or cannot be written.

        Examples
        --------
        >>> import tempfile
        >>> from tomoe_explore.archive import Archive
        >>> archive = Archive.create(tempfile.mkdtemp() + "/archive")
        >>> made = archive.backup(tempfile.mkdtemp() + "/registry.zip")
        >>> archive.restore(made.path).rows["reductions"]
        0
        """
        return _backup.backup(self.registry, path)

    def restore(self, path: StrPath, *, force: bool = False) -> _backup.Backup:
        """Put a backup's records in place of the registry's, in one transaction; the databases may be of two kinds.

        What was reduced since is done again when it is asked for: its records are gone, not its films.

        Parameters
        ----------
        path : path
            A file that `backup` wrote.
        force : bool
            Whether to restore although the registry has records that the backup has not, or the backup names files
            that are gone.

        Raises
        ------
        ArchiveError
            If the file is damaged or of a later revision, if records would be lost, or files are gone.
        """
        return _backup.restore(self.registry, self.layout.root, path, force=force)
