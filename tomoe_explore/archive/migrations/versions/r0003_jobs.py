"""Jobs: batches of films that detached processes work on."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the table."""
    words, numbers = ("submitted", "queued", "heartbeat", "step", "film"), ("total", "done", "failed", "skipped")
    op.create_table(
        "jobs",
        sa.Column("job_id", sa.Integer, primary_key=True), sa.Column("user_name", sa.String, nullable=False),
        sa.Column("state", sa.String, nullable=False, index=True), sa.Column("cancel", sa.Boolean, nullable=False),
        sa.Column("options", sa.Text, nullable=False), sa.Column("workers", sa.Integer, nullable=False),
        *(sa.Column(name, sa.String, nullable=False) for name in words),
        sa.Column("started", sa.String), sa.Column("finished", sa.String),
        *(sa.Column(name, sa.Integer, nullable=False) for name in numbers),
        sa.Column("rate", sa.Float(53), nullable=False),
        sa.Column("message", sa.Text, nullable=False), sa.Column("failures", sa.Text, nullable=False),
        sa.Column("owner_host", sa.String, nullable=False), sa.Column("owner_pid", sa.Integer, nullable=False),
        sa.Column("owner_started", sa.String, nullable=False),
    )  # fmt: skip
