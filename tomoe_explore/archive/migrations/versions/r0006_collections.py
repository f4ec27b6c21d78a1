"""Collections of movers: where a reduction's lies; null where it has none."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add the columns; what was reduced before has no collection."""
    with op.batch_alter_table("reductions", recreate="never") as batch:
        for name in ("collection_path", "collection_checksum"):
            batch.add_column(sa.Column(name, sa.String))
        batch.add_column(sa.Column("collection_bytes", sa.BigInteger))
