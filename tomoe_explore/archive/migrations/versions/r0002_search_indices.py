"""Indices for search: declination and right ascension within a cell; the current reductions without their rows."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Replace the index of cells, add that of current reductions."""
    for table in ("films", "products"):
        op.create_index(f"ix_{table}_place", table, ["kind", "cell", "dec", "ra"])
        op.drop_index(f"ix_{table}_kind_cell", table)
    op.create_index("ix_reductions_current", "reductions", ["reduction_id", "superseded_by"])
