"""Columns of the registry: numbers that may be NaN, and text."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import Column, Float, String


class _Number(sa.types.TypeDecorator[float]):
    """A double; NaN becomes null on its way in: SQLite knows no NaN, PostgreSQL does."""

    impl = Float(53)
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> float | None:
        """A value on its way into the database."""
        return None if value is None or value != value else float(value)


Double = _Number()


def text(name: str, **options: Any) -> Column[Any]:
    """A column of text."""
    return Column(name, String, **options)
