"""Object ids by position, for sources without a reference star: the same place on the sky is the same object."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tomoe_explore.archive.sky import healpix_29
from tomoe_explore.ids import MEMBERS

#: Sources of different films that have no reference star are the same object within this distance, deg.
SAME_OBJECT_DEG = 1.5 / 3600


def object_ids(source_id: ArrayLike, ra: ArrayLike, dec: ArrayLike, known: ArrayLike = ()) -> NDArray[np.int64]:
    """Object of each source: one that is known near its place, else a new one that it founds or that others found.

    Parameters
    ----------
    source_id : array_like of int
        In any order; what comes out does not depend on it.
    ra, dec : array_like of float
        ICRS, deg.
    known : array_like of int
        Objects known already, of all the sky or at least of where the sources lie; any of them may occur repeatedly.

    Returns
    -------
    ndarray of int64
        An object's id is the HEALPix index (order 29, nested) of the source that founded it: it tells where it is,
        to 0.2 mas. Two objects never share an id; where two would, the later takes the next free one.

    Notes
    -----
    Reductions are taken by ascending id, which is by exposure. The sources of each take the objects within
    `SAME_OBJECT_DEG` of them, nearest pairs first; those that find none left found one. So two sources of a reduction
    are never one object, no chain of neighbours grows beyond that distance from its founder, and night after night
    gives what all nights at once would.

    Examples
    --------
    >>> night = object_ids([35775411200100000, 35775511200100000], [310.0, 310.0001], [-12.0, -12.0])
    >>> bool(night[0] == night[1])
    True
    >>> bool(object_ids([35775611200100000], [310.0], [-12.0], night)[0] == night[0])
    True
    """
    from tomoe_explore.kernels.same_place import same_place

    source_id = np.asarray(source_id, np.int64)
    order = np.argsort(source_id, kind="stable")
    places = healpix_29(ra, dec)[order] if len(source_id) else np.zeros(0, np.int64)
    known = np.unique(np.asarray(known, np.int64))
    film = source_id[order] // MEMBERS
    first = np.concatenate(([0], np.flatnonzero(np.diff(film)) + 1, [len(film)])) if len(film) else np.zeros(1, int)
    # sources stand at the centres of their pixels, as objects do: a later night must find what this one has
    reach = 2 * np.sin(np.radians(SAME_OBJECT_DEG) / 2)
    found = same_place(_vectors(places), first.astype(np.int64), _vectors(known), reach)
    names = np.concatenate((known, places))
    founders = np.unique(found[found >= len(known)])
    names[founders] = _free(names[founders], known)
    ids = np.empty(len(source_id), np.int64)
    ids[order] = names[found]
    return ids


def _vectors(pixels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Unit vectors of the centres of HEALPix pixels of order 29, shape ``(3, n)``."""
    from hpgeom import pixel_to_vector

    if not len(pixels):
        return np.empty((3, 0))
    return np.stack(pixel_to_vector(1 << 29, pixels))


def _free(wanted: NDArray[np.int64], known: NDArray[np.int64]) -> NDArray[np.int64]:
    """The ids wanted, each once and none of the known ones: the next free one where an id is taken."""
    ids = wanted.copy()
    order = np.argsort(ids, kind="stable")
    again = np.zeros(len(ids), bool)
    again[order[1:]] = ids[order[1:]] == ids[order[:-1]]
    again |= np.isin(ids, known)
    if again.any():
        taken = {*ids[~again].tolist(), *known.tolist()}
        for k in np.flatnonzero(again).tolist():
            while int(ids[k]) in taken:
                ids[k] += 1
            taken.add(int(ids[k]))
    return ids
