"""The archive: products as files, what they are in a registry, and the ways to find and read them.

``layout.py`` knows the paths, ``registry.py`` the SQL tables; ``reserve.py``, ``stage.py`` and ``publish.py`` write;
``search.py``, ``tables.py``, ``light_curve.py`` and ``cutout.py`` read; ``tracing.py`` finds where something comes from
and ``provenance.py`` tells it; ``replay.py`` runs a reduction again. `Archive` is the door to all of them.
"""

from tomoe_explore.archive.archive import Archive
from tomoe_explore.archive.opening import open_archive

__all__ = ["Archive", "open_archive"]
