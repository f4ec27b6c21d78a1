"""The door to an archive: one class whose methods say what can be asked; the work is done in the files beside."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tomoe_explore.archive import reserve as _reserve
from tomoe_explore.archive.database import shown
from tomoe_explore.archive.images import Images
from tomoe_explore.archive.layout import Layout
from tomoe_explore.archive.marker import make_marker
from tomoe_explore.archive.migration import REVISION
from tomoe_explore.archive.registry import Registry
from tomoe_explore.archive.staging import clear_errors, make_directory
from tomoe_explore.archive.writing import Writing
from tomoe_explore.errors import ArchiveError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from lightkurve import LightCurve

    from tomoe_explore.archive.provenance import Origin
    from tomoe_explore.archive.replay import Replay

Ids = int | Sequence[int] | None
StrPath = str | os.PathLike[str]

#: A read of more rows than this raises unless another limit is given.
ROW_LIMIT = 10_000_000


class Archive(Writing, Images):
    """An archive of reductions. Open one with `open_archive`, make one with `Archive.create`.

    It holds no open file: it may be sent to other processes and kept across a fork.

    Attributes
    ----------
    root : Path
        Directory of the archive, absolute.

    Examples
    --------
    >>> import tempfile
    >>> archive = Archive.create(tempfile.mkdtemp() + "/archive")
    >>> archive.table("photometry").num_rows
    0
    """

    def __init__(self, root: StrPath) -> None:
        self.root = Path(os.path.abspath(root))
        self.layout = Layout(self.root)
        url = os.environ.get("TOMOE_DATABASE") or f"sqlite:///{self.layout.registry}"
        self.registry = Registry(url, self.layout.marker)

    @classmethod
    def create(cls, path: StrPath) -> Archive:
        """Make an empty archive; one that is there already is left as it is.

        But for a registry of an older revision: it is backed up (into ``backups/``) and migrated.

        Raises
        ------
        ArchiveError
            If the directory holds something else, or cannot be written; if its registry is lost, or another archive's.
        """
        archive = cls(path)
        with clear_errors(archive.root):
            if archive.root.exists() and not archive.layout.marker.exists() and any(archive.root.iterdir()):
                raise ArchiveError(f"{archive.root} is not empty and is no archive; choose a new directory")
            make_directory(archive.root)
            # marked before the registry is made, so that a second try completes one that was killed between the two
            new = make_marker(archive.layout.marker)
            try:
                archive._refuse_lost()
                archive.registry.create()
                archive._migrate()
            except ArchiveError:
                if new:
                    archive.layout.marker.unlink()
                raise
        return archive

    def _refuse_lost(self) -> None:
        """Refuse an empty registry where products lie: ids would begin anew, and files be written over."""
        products = chain(self.root.glob("tables/*/*/*.parquet"), self.root.glob("stacks/*/*/*/*"))
        if next(products, None) is not None and self.registry.is_empty:
            raise ArchiveError(
                f"archive {self.root} holds stacks or tables of which registry {shown(self.registry.url)} knows "
                "nothing: `tomoe restore` puts a backup's records there; or set $TOMOE_DATABASE right. Without a "
                "backup, make a new archive"
            )

    def _migrate(self) -> None:
        """Bring the registry to the newest revision, after a backup; where it is, nothing is done."""
        revision = self.registry.revision() or REVISION
        if revision < REVISION:
            make_directory(self.layout.backups)
            stamp = _reserve.now()[:23].replace("-", "").replace(":", "").replace(".", "")
            self.backup(self.layout.backups / f"registry-{revision}-{stamp}.zip")
        self.registry.migrate()

    # --- reading ----------------------------------------------------------------------------------
    @property
    def catalog(self) -> Any:
        """The Intake catalog of this archive; the same as ``catalogs/tomoe.yaml`` opened with this root.

        Examples
        --------
        >>> stacks = archive.catalog["stacks"].read()
        >>> sorted(stacks["detector_id"].unique().tolist())
        [111]
        """
        import intake

        path = Path(__file__).parent.parent / "tomoe.yaml"
        return intake.open_catalog(str(path))(archive=str(self.root))

    def search(
        self, position: Any = None, *, radius: Any = None, night: str | None = None, exposure_id: Ids = None,
        detector_id: Ids = None, product: str | Sequence[str] | None = None,
    ) -> pd.DataFrame:  # fmt: skip
        """Products of current reductions, films and masters, as a table.

        Parameters
        ----------
        position : str, SkyCoord or (ra, dec) in deg, optional
            Only what covers the position, or comes within ``radius`` of it.
        radius : str or Quantity, optional
            Such as ``"15 arcmin"``.
        night : str, optional
            ``"2020-08-14"`` or ``"2020-08-14:2020-08-20"``.
        exposure_id, detector_id : int or several, optional
        product : str or several, optional
            ``stack``, ``mover`` (a collection of cutout films), a table (``photometry``, ``movers``, …), ``film``,
            ``dark`` or ``flat``; commas separate several.

        Returns
        -------
        pandas.DataFrame
            ``product_id, product, night, exposure_id, detector_id, mjd, ra, dec, n_rows, bytes, checksum, path,
            reduction_id``; paths are absolute. A table's file holds all detectors of an exposure or, consolidated,
            many exposures: then these columns are null.

        Raises
        ------
        ParameterError
            If a parameter is not understood.

        Examples
        --------
        >>> import tempfile
        >>> archive = Archive.create(tempfile.mkdtemp() + "/archive")
        >>> len(archive.search("20 40 12.3 -12 00 05", radius="15 arcmin", night="2020-08-14", product="stack"))
        0
        """
        from tomoe_explore.archive.search import Where, find

        where = Where.of(night=night, exposure_id=exposure_id, detector_id=detector_id,
                         position=position, radius=radius)  # fmt: skip
        return find(self.registry, self.root, where, product)

    def table(
        self, name: str, *, night: str | None = None, exposure_id: Ids = None, detector_id: Ids = None,
        position: Any = None, radius: Any = None, columns: str | Sequence[str] | None = None,
        all_versions: bool = False, limit: int | None = ROW_LIMIT,
    ) -> pa.Table:  # fmt: skip
        """Rows of one of the archive's tables, filtered; empty where there is nothing.

        Parameters
        ----------
        name : str
            One of ``schema.TABLES``.
        night, exposure_id, detector_id, position, radius
            As in `search`. Rows with a position must lie within ``radius`` of it (3 arcsec if not given); others
            belong to a film that covers it.
        columns : str or several, optional
            Only these columns.
        all_versions : bool
            Whether superseded reductions are read too.
        limit : int or None
            More rows than this are refused; None reads any number.

        Returns
        -------
        pyarrow.Table
            Columns as in ``schema.TABLES[name]``; ``photometry`` with ``mag`` and ``mag_err``.

        Raises
        ------
        ParameterError
            If there is no such table or column, or a parameter is not understood.
        TooManyRowsError
            If more than ``limit`` rows match; the message says how many.

        Examples
        --------
        >>> import tempfile
        >>> archive = Archive.create(tempfile.mkdtemp() + "/archive")
        >>> archive.table("photometry", night="2020-08-14", columns=["mjd", "mag"]).column_names
        ['mjd', 'mag']
        """
        from tomoe_explore.archive.search import Where
        from tomoe_explore.archive.tables import read

        where = Where.of(night=night, exposure_id=exposure_id, detector_id=detector_id, position=position,
                         radius=radius, default_radius="3 arcsec")  # fmt: skip
        return read(self.registry, self.root, name, where, columns=columns, all_versions=all_versions, limit=limit)

    def light_curve(self, position: Any, radius: Any = "3 arcsec", *, night: str | None = None) -> LightCurve:
        """The 2 Hz light curve of the object nearest to a position, over all its films.

        Parameters
        ----------
        position : str, SkyCoord or (ra, dec) in deg
        radius : str or Quantity
            How far from the position the object may lie.
        night : str, optional
            Only these nights, as in `search`.

        Returns
        -------
        lightkurve.LightCurve
            Sorted by time (mid-exposure, UTC); ``flux`` and ``flux_err`` in nJy; ``mag, mag_err, exposure_id,
            detector_id, frame, flags, background, zeropoint_err, reduction_id``. ``meta`` says which object it is,
            which others lie in the cone (``NEIGHBOURS``), and which reductions it rests on (``REDUCTION_IDS``).

        Raises
        ------
        NotFoundError
            If nothing was measured there; the message says what lies nearest.

        Examples
        --------
        >>> import tempfile
        >>> Archive.create(tempfile.mkdtemp() + "/archive").light_curve("20 40 12.3 -12 00 05")
        Traceback (most recent call last):
        ...
        tomoe_explore.errors.NotFoundError: no source within 3 arcsec of RA 310.05125, Dec -12.00139: ...
        """
        from tomoe_explore.archive.light_curve import light_curve

        return light_curve(self, position, radius, night=night)

    def provenance(self, id: int | str, *, frame: int | None = None) -> Origin:
        """Where something comes from: film, calibrations, reference catalog, parameters, code, successors.

        Parameters
        ----------
        id : int or str
            Of a reduction, product, master, source, mover or streak.
        frame : int, optional
            With the id of a source or mover: its measurement in this frame, such as one point of a light curve.

        Returns
        -------
        Origin
            Prints as text and is drawn in a notebook; ``to_dict()`` for JSON, ``to_prov()`` and ``to_provn()`` for W3C
            PROV, ``draw()`` for a figure.

        Raises
        ------
        NotFoundError
            If nothing has this id.

        Examples
        --------
        >>> star = archive.table("sources").to_pylist()[0]
        >>> lc = archive.light_curve((star["ra"], star["dec"]))
        >>> point = archive.provenance(lc["source_id"][3], frame=lc["frame"][3])
        >>> point.row["table"], point.product["kind"], point.film["checksum"][:5]
        ('photometry', 'photometry', 'xxh3:')
        """
        from tomoe_explore.archive.position import parse_whole
        from tomoe_explore.archive.tracing import trace

        return trace(self.registry, self.root, id, None if frame is None else parse_whole("frame", frame))

    def replay(
        self, reduction_id: int, *, films: StrPath | Sequence[StrPath] = (), refcat: StrPath | None = None
    ) -> Replay:
        """Run a reduction again from its record and compare with what is stored; the archive is only read.

        Film, masters and reference catalog are those of the record, by checksum; so are the parameters.

        Parameters
        ----------
        reduction_id : int
        films : path or paths, optional
            Where else to look for the film: files, or directories with all that is below them.
        refcat : path, optional
            Where the reference catalog lies now.

        Returns
        -------
        Replay
            ``identical``; ``differences`` by table and column, or plane of the stack; ``gone``: inputs that cannot be
            had; ``changed``: code and libraries that are others now.

        Raises
        ------
        NotFoundError
            If there is no such reduction.
        ArchiveError
            If it failed, or still runs.

        Examples
        --------
        >>> archive.replay(archive.table("reductions")["reduction_id"][0].as_py()).identical
        True
        """
        from tomoe_explore.archive.position import parse_whole
        from tomoe_explore.archive.replay import replay

        return replay(self, parse_whole("reduction_id", reduction_id), films=films, refcat=refcat)

    # --- showing ----------------------------------------------------------------------------------
    def __repr__(self) -> str:
        from tomoe_explore.archive.summary import as_text, count

        return as_text(self.root, count(self.registry))

    def _repr_html_(self) -> str:
        from tomoe_explore.archive.summary import as_html, count

        return as_html(self.root, count(self.registry))
