"""Which known objects movers are: kept apart from the movers, for orbits get better and films do not.

A product never changes, and a reduction run again gives the same movers; but tomorrow's orbits name some that today's
do not. So the answer lies in the registry, with the orbits it rests on, and readers put it beside the movers, as they
do with magnitudes. To ask again is no new reduction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import sqlalchemy as sa

from tomoe_explore import schema
from tomoe_explore.archive import registry as tables
from tomoe_explore.archive.migration import WITH_KNOWN
from tomoe_explore.archive.registry import Registry
from tomoe_explore.archive.reserve import now

#: The values of the column ``known``.
KNOWN, NOT_KNOWN, NOT_CHECKED = "known", "not known", "not checked"

_CHUNK = 500  # every database takes so many values in one statement
_c = tables.known_objects.c


def write_known(registry: Registry, found: Sequence[Mapping[str, Any]], orbits: str) -> None:
    """Note what movers are, in place of what was noted of them before.

    Parameters
    ----------
    registry : Registry
    found : sequence of mappings
        ``mover_id, exposure_id``; ``known_as``, empty for none of the objects; ``separation``, arcsec, or None.
    orbits : str
        By which orbits: name and checksum of their file.
    """
    checked = now()
    rows = [{**row, "orbits": orbits, "checked": checked} for row in found]
    with registry.writing() as connection:
        for first in range(0, len(rows), _CHUNK):
            some = rows[first : first + _CHUNK]
            connection.execute(
                sa.delete(tables.known_objects).where(_c.mover_id.in_([row["mover_id"] for row in some]))
            )
            connection.execute(sa.insert(tables.known_objects), some)


def read_known(registry: Registry, exposure_ids: Sequence[int]) -> dict[int, tuple[str, str]]:
    """What is noted of the movers of some exposures: by ``mover_id``, the object ('' for none) and the orbits."""
    if not exposure_ids or (registry.revision() or "") < WITH_KNOWN:
        return {}
    found: dict[int, tuple[str, str]] = {}
    with registry.reading() as connection:
        for first in range(0, len(exposure_ids), _CHUNK):
            query = sa.select(_c.mover_id, _c.known_as, _c.orbits).where(
                _c.exposure_id.in_(exposure_ids[first : first + _CHUNK])
            )
            found |= {row.mover_id: (row.known_as, row.orbits) for row in connection.execute(query)}
    return found


def with_known(registry: Registry, movers: pa.Table) -> pa.Table:
    """Movers with ``known_as`` and ``known`` as the registry has them; their files have no say."""
    exposure_ids = np.unique(movers["exposure_id"].to_numpy()).tolist()
    noted = read_known(registry, exposure_ids)
    names = [noted[mover_id][0] if mover_id in noted else None for mover_id in movers["mover_id"].to_pylist()]
    known = [NOT_CHECKED if name is None else KNOWN if name else NOT_KNOWN for name in names]
    index = movers.column_names.index("known_as")
    movers = movers.set_column(index, movers.schema.field("known_as"), pa.array(names, pa.string()))
    return movers.append_column(schema.KNOWN.arrow.field("known"), pa.array(known, pa.string()))
