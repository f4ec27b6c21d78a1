"""What gives pixels of an archive: cutout films, and stacks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tomoe_explore.archive.registry import Registry

if TYPE_CHECKING:
    from astropy.nddata import CCDData

    from tomoe_explore.archive.cutout import CutoutFilm
    from tomoe_explore.archive.mover_film import MoverFilm


class Images:
    """The part of `Archive` that reads pixels."""

    root: Path
    registry: Registry

    def film(self, position: Any, exposure_id: int, size_px: int = 64) -> CutoutFilm:
        """A cutout film around a position: from the raw film while it lives, else from what is kept around movers.

        Parameters
        ----------
        position : str, SkyCoord or (ra, dec) in deg
        exposure_id : int
            Which exposure.
        size_px : int
            Width and height, px.

        Returns
        -------
        CutoutFilm
            ``frames`` float32 ``(frame, y, x)`` in ADU above dark, flat-fielded, NaN where there is nothing; ``mjd`` of
            each frame; ``source``: ``raw`` or ``kept``.

        Raises
        ------
        NotFoundError
            If no reduced film of the exposure covers the position, or its raw film is gone and nothing was kept there.

        Examples
        --------
        >>> star = archive.table("sources").to_pylist()[0]
        >>> archive.film((star["ra"], star["dec"]), star["exposure_id"], size_px=32).frames.shape
        (18, 32, 32)
        """
        from tomoe_explore.archive.cutout import cutout_film

        return cutout_film(self.registry, self.root, position, exposure_id, size_px)

    def mover_film(self, mover_id: int, *, comoving: bool = False) -> MoverFilm:
        """The film of a moving-object candidate, which is kept when the raw film goes.

        Parameters
        ----------
        mover_id : int
            As in the table ``movers``.
        comoving : bool
            Whether the cutout follows the mover. Otherwise it is fixed, and covers the whole track.

        Returns
        -------
        MoverFilm
            ``frames`` float32 ``(frame, y, x)`` in ADU above dark, flat-fielded, NaN where there is nothing; ``mjd`` at
            the mover; ``x, y`` of the mover in each frame; ``wcs``; ``comoving_sum()``.

        Raises
        ------
        NotFoundError
            If there is no such mover, or none was kept of its reduction.
        ArchiveError
            If the file of the film's movers is missing or damaged.
        ParameterError
            If the track is too long for a fixed cutout film.

        Notes
        -----
        One film is kept of a mover: fixed, or for a long track following it. The other one is made of it while it is
        read, by moving frames by whole pixels; what was not kept is NaN. Superseded reductions have theirs, too.

        Examples
        --------
        >>> mover_id = archive.table("movers")["mover_id"][0].as_py()
        >>> film = archive.mover_film(mover_id, comoving=True)
        >>> film.frames.shape[0], film.comoving_sum(8).shape
        (18, (17, 17))
        """
        from tomoe_explore.archive.mover_film import mover_film

        return mover_film(self.registry, self.root, mover_id, comoving=comoving)

    def read_stack(self, product_id: str | int) -> CCDData:
        """A stack's pixels (ADU a frame) with noise, mask and WCS.

        Parameters
        ----------
        product_id : str or int
            Such as ``"stack-357754112001"``, or the reduction's id.

        Raises
        ------
        NotFoundError
            If there is no such stack.

        Examples
        --------
        >>> product_id = archive.search(product="stack")["product_id"].iloc[0]
        >>> archive.read_stack(product_id).shape
        (1128, 2000)
        """
        from tomoe_explore.archive.search import stack_row
        from tomoe_explore.archive.stack_file import read_stack

        return read_stack(self.root / stack_row(self.registry, product_id)["path"])
