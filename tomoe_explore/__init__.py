"""Reduce, search and explore the 2 Hz films of Tomo-e Gozen from a notebook.

>>> import tempfile
>>> import tomoe_explore as te
>>> archive = te.Archive.create(tempfile.mkdtemp() + "/archive")
>>> archive.search(night="2020-08-14").empty
True

Names are imported when they are first used, so that ``import tomoe_explore`` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tomoe_explore import analysis, camera, errors, raw, refcat, schema, simulate, views
    from tomoe_explore.analysis.completeness import mover_completeness
    from tomoe_explore.analysis.depth import mover_limit
    from tomoe_explore.analysis.link import link
    from tomoe_explore.analysis.periodogram import periodogram
    from tomoe_explore.analysis.review import review_candidates
    from tomoe_explore.analysis.streaks import join_streaks
    from tomoe_explore.archive import Archive, open_archive
    from tomoe_explore.operations.consolidate import consolidate
    from tomoe_explore.operations.job import submit
    from tomoe_explore.operations.job_list import job, jobs
    from tomoe_explore.operations.known import find_known
    from tomoe_explore.operations.reduce import make_masters, reduce
    from tomoe_explore.reduction.recipe import Parameters

    __version__: str

__all__ = [
    "Archive",
    "Parameters",
    "__version__",
    "analysis",
    "camera",
    "consolidate",
    "errors",
    "find_known",
    "job",
    "jobs",
    "join_streaks",
    "link",
    "make_masters",
    "mover_completeness",
    "mover_limit",
    "open_archive",
    "periodogram",
    "raw",
    "reduce",
    "refcat",
    "review_candidates",
    "schema",
    "simulate",
    "submit",
    "views",
]

#: Where a name comes from; the others are modules of the package.
_HOME = {
    "Archive": "archive",
    "Parameters": "reduction.recipe",
    "consolidate": "operations.consolidate",
    "find_known": "operations.known",
    "job": "operations.job_list",
    "jobs": "operations.job_list",
    "join_streaks": "analysis.streaks",
    "link": "analysis.link",
    "make_masters": "operations.reduce",
    "mover_completeness": "analysis.completeness",
    "mover_limit": "analysis.depth",
    "open_archive": "archive",
    "periodogram": "analysis.periodogram",
    "reduce": "operations.reduce",
    "review_candidates": "analysis.review",
    "submit": "operations.job",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        value: Any = version("tomoe-explore")
    elif name in _HOME:
        value = getattr(import_module(f"tomoe_explore.{_HOME[name]}"), name)
    elif name in __all__:
        value = import_module(f"tomoe_explore.{name}")
    else:
        raise AttributeError(f"module 'tomoe_explore' has no attribute {name!r}; it has {', '.join(__all__)}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def load_ipython_extension(shell: Any) -> None:
    """``%load_ext tomoe_explore`` gives the cell magic ``%%tomoe_reduce``."""
    from tomoe_explore.views.reduce_magic import register

    register(shell)
