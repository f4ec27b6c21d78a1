"""Where something in the archive comes from: one value that tells its story in text, JSON, a drawing and W3C PROV."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tomoe_explore.columns import COLUMNS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PARTS = ("row", "product", "reduction", "film", "dark", "flat", "refcat", "products", "revisions")

_UNITS = {name: unit for name, _, unit, _, _ in COLUMNS}
_NO_UNITS: Mapping[str, str] = {}


@dataclass(frozen=True, repr=False)
class Origin:
    """Where a row, product, master or reduction comes from. Printing it tells the story; a notebook draws it.

    Attributes
    ----------
    asked : str
        What was asked for: its kind and id.
    row : mapping
        The row of a table with the table's name, where a row was asked for; printed with units.
    product : mapping
        The file, where a file or a row of one was asked for: id, kind, path, checksum, bytes, rows.
    reduction : mapping
        The run: ids, times, status, error, parameters, code, environment; ``superseded_by`` is the next reduction of
        the same film, ``earlier`` and ``later`` are all of them, oldest first. Empty for a master.
    film : mapping
        Raw film: path, checksum, exposure, detector.
    dark, flat : mapping
        Masters, each with the ``film`` and the ``dark`` that it was made from; empty where there is none.
    refcat : mapping
        Reference catalog: name, checksum, path.
    products : sequence of mapping
        All files of the reduction.
    revisions : sequence of mapping
        ``product_id`` took the place of ``revision_of``.

    Examples
    --------
    >>> origin = Origin("master dark-1", product={"master_id": "dark-1"}, film={"checksum": "xxh3:00"})
    >>> print(origin)
    master dark-1
      product
        master_id       dark-1
      film
        checksum        xxh3:00
    """

    asked: str
    row: Mapping[str, Any] = field(default_factory=dict)
    product: Mapping[str, Any] = field(default_factory=dict)
    reduction: Mapping[str, Any] = field(default_factory=dict)
    film: Mapping[str, Any] = field(default_factory=dict)
    dark: Mapping[str, Any] = field(default_factory=dict)
    flat: Mapping[str, Any] = field(default_factory=dict)
    refcat: Mapping[str, Any] = field(default_factory=dict)
    products: Sequence[Mapping[str, Any]] = ()
    revisions: Sequence[Mapping[str, Any]] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON can hold them; the keys are always the same."""
        return {"asked": self.asked} | {name: _plain(getattr(self, name)) for name in _PARTS}

    def summary(self) -> str:
        """The chain in one line, from what was asked back to the raw film."""
        words = [self.asked]
        run = self.reduction
        if run:
            dirty = " with uncommitted changes" if run["code_dirty"] else ""
            newer = f", superseded by {run['superseded_by']}" if run["superseded_by"] else ""
            words.append(f"reduction {run['reduction_id']} (code {run['code_version'] or 'unknown'}{dirty}{newer})")
        used = [f"film {Path(self.film.get('path') or self.film.get('checksum', '?')).name}"]
        used += [str(master["master_id"]) for master in (self.dark, self.flat) if master]
        used += [f"reference catalog {self.refcat['name']}"] if self.refcat else []
        if "reductions" in self.product:
            used = [f"{len(self.product['reductions'])} reductions"]
        return " ← ".join([*words, ", ".join(used)])

    def to_prov(self) -> dict[str, Any]:
        """W3C PROV as a PROV-JSON document; see `tomoe_explore.archive.provenance_prov`."""
        from tomoe_explore.archive.provenance_prov import prov_json

        return prov_json(self)

    def to_provn(self) -> str:
        """W3C PROV in its notation for people, PROV-N."""
        from tomoe_explore.archive.provenance_prov import prov_n

        return prov_n(self)

    def draw(self) -> Figure:
        """The chain as boxes and arrows, from raw films on the left to what was asked for on the right.

        Returns
        -------
        matplotlib.figure.Figure
            ``.savefig("chain.png")`` (or ``.pdf``, ``.svg``) writes it.

        Raises
        ------
        ParameterError
            If matplotlib is not installed.
        """
        from tomoe_explore.archive.provenance_drawing import draw

        return draw(self)

    def __str__(self) -> str:
        lines = [self.asked]
        for name in ("row", "product", "reduction", "film", "dark", "flat", "refcat"):
            values = getattr(self, name)
            lines += [f"  {name}", *_lines(values, 4, _UNITS if name == "row" else {})] if values else []
        if self.products:
            lines += ["  products", *(f"    {p['product_id']:32s}{p['checksum']}  {p['path']}" for p in self.products)]
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        from tomoe_explore.archive.provenance_drawing import as_svg
        from tomoe_explore.errors import ParameterError

        text = f"<pre>{escape(str(self))}</pre>"
        try:
            drawing = as_svg(self)
        except ParameterError:  # no matplotlib: the text says all
            return text
        return f"<div class='tomoe-provenance'>{drawing}<details><summary>All of it</summary>{text}</details></div>"


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple) else value


def _lines(values: Mapping[str, Any], indent: int, units: Mapping[str, str] = _NO_UNITS) -> list[str]:
    """One line a value; what a master was made from is set further in."""
    lines = []
    for key, value in values.items():
        if value in (None, "", {}, []):
            continue
        if isinstance(value, Mapping) and key in ("film", "dark"):
            lines += [f"{'':{indent}s}made from the {key}", *_lines(value, indent + 2)]
        else:
            lines.append(f"{'':{indent}s}{key:16s}{_shown(value)} {units.get(key, '')}".rstrip())
    return lines


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{k}={_shown(v)}" for k, v in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
