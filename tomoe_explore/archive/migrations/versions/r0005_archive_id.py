"""Which archive a registry is of; `Registry.migrate` enters it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Make the table."""
    op.create_table("archive", sa.Column("archive_id", sa.String, primary_key=True))
