"""An archive in a few lines: nights, films, reductions, rows, bytes."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from tomoe_explore.archive import registry as tables
from tomoe_explore.archive.registry import Registry


@dataclass(frozen=True)
class Counts:
    """What an archive holds; rows and stacks are those of current reductions.

    Attributes
    ----------
    nights : int
        Nights with films.
    films : int
        Films of the sky that are known.
    reductions : dict
        Number by status.
    masters : int
    rows : dict
        Rows by table, and ``stack``: number of stacks.
    bytes : int
        All products, superseded ones and masters too.
    """

    nights: int
    films: int
    reductions: dict[str, int]
    masters: int
    rows: dict[str, int]
    bytes: int


def count(registry: Registry) -> Counts:
    """Count what an archive holds."""
    films, masters, products, reductions = tables.films, tables.masters, tables.products, tables.reductions
    of_sky = films.c.kind == "object"
    current = products.join(reductions, reductions.c.reduction_id == products.c.reduction_id)
    rows = sa.func.sum(sa.func.coalesce(products.c.n_rows, 1))
    with registry.reading() as connection:

        def one(query: sa.Select[Any]) -> int:
            return int(connection.execute(query).scalar() or 0)

        by_status = connection.execute(
            sa.select(reductions.c.status, sa.func.count()).group_by(reductions.c.status).order_by(reductions.c.status)
        ).all()
        by_kind = connection.execute(
            sa.select(products.c.kind, rows).select_from(current).where(reductions.c.superseded_by.is_(None))
            .group_by(products.c.kind).order_by(products.c.kind)
        ).all()  # fmt: skip
        return Counts(
            nights=one(sa.select(sa.func.count(sa.distinct(films.c.night))).where(of_sky)),
            films=one(sa.select(sa.func.count()).select_from(films).where(of_sky)),
            reductions=dict(by_status),
            masters=one(sa.select(sa.func.count()).select_from(masters)),
            rows={kind: int(n) for kind, n in by_kind},
            bytes=one(sa.select(sa.func.sum(products.c.bytes))) + one(sa.select(sa.func.sum(masters.c.bytes))),
        )


def _lines(counts: Counts) -> list[tuple[str, str]]:
    rows = dict(counts.rows)
    reductions = ", ".join(f"{n:,} {status}" for status, n in counts.reductions.items()) or "none"
    return [
        ("nights", f"{counts.nights:,}"),
        ("films", f"{counts.films:,}"),
        ("reductions", reductions),
        ("masters", f"{counts.masters:,}"),
        ("stacks", f"{rows.pop('stack', 0):,}"),
        *((f"{table} rows", f"{n:,}") for table, n in rows.items()),
        ("size", f"{counts.bytes / 1e6:,.1f} MB"),
    ]


def as_text(root: Path, counts: Counts) -> str:
    """The summary as text."""
    return "\n".join([f"Archive {root}", *(f"  {name:24s}{value}" for name, value in _lines(counts))])


def as_html(root: Path, counts: Counts) -> str:
    """The summary as an HTML table."""
    cells = "".join(f"<tr><th scope='row'>{escape(n)}</th><td>{escape(v)}</td></tr>" for n, v in _lines(counts))
    return f"<table class='tomoe-archive'><caption>Archive {escape(str(root))}</caption>{cells}</table>"
