"""Which known objects movers are."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "known_objects",
        sa.Column("mover_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("exposure_id", sa.BigInteger, nullable=False, index=True),
        sa.Column("known_as", sa.String, nullable=False), sa.Column("separation", sa.Float(53)),
        sa.Column("orbits", sa.String, nullable=False), sa.Column("checked", sa.String, nullable=False),
    )  # fmt: skip
