"""An archive in a few lines: nights, films, reductions, rows, bytes."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from tomoe_explore.archive import registry as tables
from tomoe_explore.archive.layout import PART_TABLES
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
    films, masters, reductions, parts = tables.films, tables.masters, tables.reductions, tables.parts
    of_sky = films.c.kind == "object"
    sums = [sa.func.coalesce(sa.func.sum(reductions.c[f"n_{name}"]), 0).label(name) for name in PART_TABLES]
    with registry.reading() as connection:

        def one(query: sa.Select[Any]) -> int:
            return int(connection.execute(query).scalar() or 0)

        by_status = connection.execute(
            sa.select(reductions.c.status, sa.func.count()).group_by(reductions.c.status).order_by(reductions.c.status)
        ).all()
        stacks = sa.select(sa.func.count().label("stack"), *sums).where(tables.CURRENT)
        rows = connection.execute(stacks).mappings().one()
        return Counts(
            nights=one(sa.select(sa.func.count(sa.distinct(films.c.night))).where(of_sky)),
            films=one(sa.select(sa.func.count()).select_from(films).where(of_sky)),
            reductions={status: int(n) for status, n in by_status},
            masters=one(sa.select(sa.func.count()).select_from(masters)),
            rows={name: int(n) for name, n in rows.items() if n},
            bytes=sum(
                one(sa.select(sa.func.sum(size)))
                for size in (reductions.c.bytes, reductions.c.collection_bytes, parts.c.bytes, masters.c.bytes)
            ),
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
