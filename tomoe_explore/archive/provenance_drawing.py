"""Provenance as a drawing: boxes in columns from raw films to what was asked for, and arrows the way the data went."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tomoe_explore.columns import COLUMNS
from tomoe_explore.errors import ParameterError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from tomoe_explore.archive.provenance import Origin

# Sizes in inches; the letters of a box's lines are small enough that `_LETTERS` of them fit.
_WIDTH, _GAP, _LINE, _PAD, _SPACE, _LETTERS = 2.35, 0.55, 0.155, 0.09, 0.2, 36

#: Face and edge of each kind of box: Okabe and Ito's colours, paled.
_COLOURS = {
    "film": ("#e5f1f8", "#0072b2"), "master": ("#e0f3ec", "#009e73"), "refcat": ("#fdf1dc", "#e69f00"),
    "reduction": ("#fbe8dd", "#d55e00"), "product": ("#eef0f2", "#5b6470"), "other": ("#ffffff", "#8a8f98"),
}  # fmt: skip


#: Values of a row that are shown, and with how many digits.
_SHOWN = {"frame": "", "mjd": ".8f", "ra": ".6f", "dec": ".6f", "x": ".2f", "y": ".2f",
          "flux": ".6g", "flux_err": ".3g", "mag": ".4f"}  # fmt: skip
_UNITS = {name: unit for name, _, unit, _, _ in COLUMNS}


@dataclass(frozen=True)
class Box:
    """A box of the drawing.

    Attributes
    ----------
    key : str
        By which arrows name it.
    kind : str
        Decides the colour.
    column : int
        0 raw darks and flats, 1 the raw film, masters and reference catalog, 2 reduction, 3 files, 4 a row.
    title : str
    lines : tuple of str
    asked : bool
        Whether it is what was asked for.
    """

    key: str
    kind: str
    column: int
    title: str
    lines: tuple[str, ...] = ()
    asked: bool = False

    @property
    def height(self) -> float:
        """Inches."""
        return _LINE * (1 + len(self.lines)) + 2 * _PAD


#: Reductions that are drawn of a file with the rows of many.
_REDUCTIONS = 8

Arrow = tuple[str, str, str]  #: from box, to box, word on it


def draw(origin: Origin) -> Figure:
    """Draw the chain; see `Origin.draw`."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ParameterError("a drawing needs matplotlib (pip install 'tomoe-explore[views]')") from None
    boxes, arrows = layout(origin)
    columns = sorted({box.column for box in boxes})
    heights = {c: sum(b.height + _SPACE for b in boxes if b.column == c) - _SPACE for c in columns}
    width = len(columns) * (_WIDTH + _GAP) - _GAP + 0.2
    height = max(heights.values()) + 0.5
    figure = Figure(figsize=(width, height))
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0))
    axes.set_axis_off()
    axes.text(0.1, 0.18, origin.asked, fontsize=10, weight="bold", va="center")
    places: dict[str, tuple[float, float, Box]] = {}
    for number, column in enumerate(columns):
        y = 0.4 + (max(heights.values()) - heights[column]) / 2
        for box in (b for b in boxes if b.column == column):
            places[box.key] = (0.1 + number * (_WIDTH + _GAP), y, box)
            y += box.height + _SPACE
    for x, y, box in places.values():
        _draw_box(axes, x, y, box)
    for source, target, word in arrows:
        _draw_arrow(axes, places[source], places[target], word)
    return figure


def as_svg(origin: Origin) -> str:
    """The drawing as an SVG element that stands by itself: letters are outlines, nothing is fetched."""
    buffer = io.StringIO()
    draw(origin).savefig(buffer, format="svg", metadata={"Date": None})
    return (
        buffer.getvalue()
        .partition("?>")[2]
        .partition(">\n")[2]
        .replace("<svg ", "<svg style='max-width:100%;height:auto' ", 1)
    )


def layout(origin: Origin) -> tuple[list[Box], list[Arrow]]:
    """Boxes, each column's from top to bottom, and arrows."""
    boxes: list[Box] = []
    arrows: list[Arrow] = []
    mastered = "master_id" in origin.product
    run = origin.reduction
    if origin.film and not mastered:
        boxes.append(_film(origin.film, "raw film", column=1))
    masters = [origin.product] if mastered else [origin.dark, origin.flat]
    for master in filter(None, masters):
        _add_master(boxes, arrows, master, asked=mastered)
        if run:
            arrows.append((str(master["master_id"]), "reduction", ""))
    if origin.refcat:
        stars = f"{origin.refcat['n_stars']:,} stars" if origin.refcat.get("n_stars") else ""
        boxes.append(_box("refcat", "refcat", 1, "reference catalog",
                          origin.refcat["name"], stars, _short(origin.refcat["checksum"])))  # fmt: skip
        arrows.append(("refcat", "reduction", ""))
    if run:
        arrows.append(("film", "reduction", ""))
        _add_reduction(boxes, arrows, origin)
    elif "reductions" in origin.product:
        _add_file(boxes, arrows, origin.product)
    return boxes, arrows


def _add_master(boxes: list[Box], arrows: list[Arrow], master: Mapping[str, Any], *, asked: bool = False) -> None:
    """A master, the film it was made from, and the dark that was taken off."""
    key = str(master["master_id"])
    if any(box.key == key for box in boxes):
        return
    dark = master.get("dark") or {}
    if dark:
        _add_master(boxes, arrows, dark)
        arrows.append((str(dark["master_id"]), key, "taken off"))
    title = f"master {master.get('kind', '')}".strip()
    lines = (key, _short(master.get("checksum")), f"code {master.get('code_version') or 'unknown'}", master.get("note"))
    boxes.append(_box(key, "master", 1, title, *lines, asked=asked))
    if master.get("film"):
        boxes.append(_film(master["film"], f"raw {master.get('kind', 'film')}", key=f"film of {key}"))
        arrows.append((f"film of {key}", key, ""))


def _add_file(boxes: list[Box], arrows: list[Arrow], product: Mapping[str, Any]) -> None:
    """A file with the rows of many reductions; the first of them."""
    key, runs = product["product_id"], [str(this) for this in product["reductions"]]
    more = [f"and {len(runs) - _REDUCTIONS} more"] if len(runs) > _REDUCTIONS else []
    for name in runs[:_REDUCTIONS] + more:
        boxes.append(_box(name, "reduction", 2, "reduction", name) if name in runs else _box(name, "other", 2, name))
        arrows.append((name, key, ""))
    rows = f"{product['n_rows']:,} rows"
    boxes.append(_box(key, "product", 3, product["kind"], key, rows, _short(product["checksum"]), asked=True))


def _add_reduction(boxes: list[Box], arrows: list[Arrow], origin: Origin) -> None:
    run = origin.reduction
    asked = not origin.product
    for other in run["earlier"][-1:]:
        boxes.append(_box("earlier", "other", 2, "earlier reduction", str(other)))
        arrows.append(("earlier", "reduction", "superseded by"))
    changes = "uncommitted changes" if run["code_dirty"] else ""
    lines = (str(run["reduction_id"]), f"{run['status']} {(run['finished'] or '')[:19]}",
             f"code {run['code_version'] or 'unknown'}", changes, *_parameters(run["parameters"]))  # fmt: skip
    boxes.append(_box("reduction", "reduction", 2, "reduction", *lines, asked=asked))
    for other in run["later"][:1]:
        boxes.append(_box("later", "other", 2, "later reduction", str(other)))
        arrows.append(("reduction", "later", "superseded by"))
    for product in origin.products:
        key, chosen = product["product_id"], product["product_id"] == origin.product.get("product_id")
        n, own = product["n_rows"], product.get("n_rows_of_reduction")
        rows = f"{n:,} row{'s' * (n != 1)}" if n else f"{product['bytes']:,} bytes"
        rows = f"{own:,} of {rows}" if own is not None and own != n else rows
        lines = (key, rows, _short(product["checksum"])) if chosen or asked else (rows,)
        boxes.append(_box(key, "product", 3, product["kind"], *lines, asked=chosen and not origin.row))
        arrows.append(("reduction", key, ""))
    if origin.row:
        row = origin.row
        lines = tuple(_value(name, row[name]) for name in _SHOWN if row.get(name) is not None)
        boxes.append(_box("row", "product", 4, origin.asked.partition(" ")[0], *lines, asked=True))
        arrows.append((origin.product["product_id"], "row", ""))


def _value(name: str, value: Any) -> str:
    """A value of a row, to the digits that mean something, with its unit."""
    number = f"{value:{_SHOWN[name]}}" if isinstance(value, float) else str(value)
    return f"{name} {number} {_UNITS[name]}".rstrip()


def _parameters(values: Mapping[str, Any]) -> list[str]:
    return [f"{name} {value}" for name, value in values.items()]


def _film(film: Mapping[str, Any], title: str, key: str = "film", column: int = 0) -> Box:
    name = Path(film["path"]).name if film.get("path") else "its file is not known"
    return _box(key, "film", column, title, name, _short(film["checksum"]))


def _box(key: str, kind: str, column: int, title: str, *lines: str | None, asked: bool = False) -> Box:
    cut = [line if len(line) <= _LETTERS else f"{line[: _LETTERS - 1]}…" for line in lines if line]
    return Box(key, kind, column, title, tuple(cut), asked)


def _short(checksum: str | None) -> str:
    return f"{checksum[:17]}…" if checksum else ""


def _draw_box(axes: Axes, x: float, y: float, box: Box) -> None:
    from matplotlib.patches import FancyBboxPatch

    face, edge = _COLOURS[box.kind]
    style = "round,pad=0,rounding_size=0.06"
    axes.add_patch(FancyBboxPatch((x, y), _WIDTH, box.height, boxstyle=style, facecolor=face, edgecolor=edge,
                                  linewidth=2.5 if box.asked else 1.0))  # fmt: skip
    for number, line in enumerate((box.title, *box.lines)):
        weight = "normal" if number else "bold"
        axes.text(x + 0.1, y + _PAD + _LINE * (number + 0.5), line, fontsize=7.5, weight=weight, va="center")


def _draw_arrow(axes: Axes, source: tuple[float, float, Box], target: tuple[float, float, Box], word: str) -> None:
    """From right edge to left edge; between boxes of one column from the bottom to the top."""
    (x0, y0, a), (x1, y1, b) = source, target
    if a.column == b.column:
        down = y1 > y0
        start = (x0 + _WIDTH / 2, y0 + a.height if down else y0)
        end = (x1 + _WIDTH / 2, y1 if down else y1 + b.height)
    else:
        start, end = (x0 + _WIDTH, y0 + a.height / 2), (x1, y1 + b.height / 2)
    look = {"arrowstyle": "-|>,head_width=0.2,head_length=0.35", "color": "#5b6470", "linewidth": 1.0,
            "shrinkA": 0, "shrinkB": 0}  # fmt: skip
    axes.annotate("", xy=end, xytext=start, arrowprops=look, zorder=0)
    if word:
        middle = ((start[0] + end[0]) / 2 + 0.06, (start[1] + end[1]) / 2)
        axes.text(*middle, word, fontsize=6.5, style="italic", color="#5b6470", va="center")
