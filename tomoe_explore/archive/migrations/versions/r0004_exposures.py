"""One record a film, and files that hold whole exposures: ``products`` and ``stacks`` go into ``reductions, parts``."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_TABLES = ("photometry", "sources", "frames", "movers", "mover_detections", "streaks")
_NUMBERS = ("exptime", "zeropoint", "zeropoint_err", "fwhm", "sky", "depth", "astrometric_rms")
_SETTINGS = ("code_version", "code_dirty", "parameters", "environment")


def upgrade() -> None:
    """Make the new columns and tables, fill them, drop what they replace."""
    _make()
    _fill()
    for table in ("stacks", "products"):
        op.drop_table(table)
    op.drop_index("ix_reductions_night", "reductions")
    op.drop_index("ix_reductions_current", "reductions")
    op.drop_index("ix_reductions_status", "reductions")
    with op.batch_alter_table("reductions", recreate="never") as batch:
        for name in _SETTINGS:
            batch.drop_column(name)
    op.create_index("ix_reductions_night", "reductions", ["night", "superseded_by"])
    op.create_index("ix_reductions_place", "reductions", ["cell", "dec", "ra"])
    undone = sa.text("status != 'done'")
    op.create_index("ix_reductions_undone", "reductions", ["status"], sqlite_where=undone, postgresql_where=undone)


def _make() -> None:
    op.create_table(
        "settings",
        sa.Column("checksum", sa.String, primary_key=True), sa.Column("code_version", sa.String, nullable=False),
        sa.Column("code_dirty", sa.Boolean, nullable=False), sa.Column("parameters", sa.Text, nullable=False),
        sa.Column("environment", sa.Text, nullable=False),
    )  # fmt: skip
    op.create_table(
        "parts",
        sa.Column("part_id", sa.String, primary_key=True), sa.Column("kind", sa.String, nullable=False),
        sa.Column("night", sa.String),
        sa.Column("exposure_id", sa.BigInteger, sa.ForeignKey("exposures.exposure_id"), index=True),
        sa.Column("cell", sa.Integer), sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("path", sa.String, nullable=False), sa.Column("checksum", sa.String, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False), sa.Column("n_rows", sa.BigInteger, nullable=False),
        sa.Column("replaced", sa.String),
        sa.Index("ix_parts_night", "kind", "night"), sa.Index("ix_parts_cell", "kind", "cell"),
    )  # fmt: skip
    op.add_column("exposures", sa.Column("generation", sa.Integer, nullable=False, server_default="1"))
    columns: list[sa.Column[Any]] = [
        sa.Column("settings", sa.String),
        *(sa.Column(name, sa.Integer) for name in ("generation", "cell", "n_stars")),
        *(sa.Column(name, sa.String) for name in ("path", "checksum")), sa.Column("bytes", sa.BigInteger),
        *(sa.Column(name, sa.Float(53)) for name in ("ra", "dec", "mjd", *_NUMBERS)),
        sa.Column("footprint", sa.Text), *(sa.Column(f"n_{table}", sa.Integer) for table in _TABLES),
    ]  # fmt: skip
    with op.batch_alter_table("reductions", recreate="never") as batch:
        for column in columns:
            batch.add_column(column)
    replaced = sa.text("replaced IS NOT NULL")
    op.create_index("ix_parts_replaced", "parts", ["replaced"], sqlite_where=replaced, postgresql_where=replaced)


def _fill() -> None:
    bind = op.get_bind()
    of_stack = ", ".join(
        f"{name} = (SELECT p.{name} FROM products p "
        "WHERE p.kind = 'stack' AND p.reduction_id = reductions.reduction_id)"
        for name in ("path", "checksum", "bytes", "ra", "dec", "cell", "mjd", "footprint")
    )
    measured = ", ".join(
        f"{name} = (SELECT s.{name} FROM stacks s JOIN products p ON p.product_id = s.product_id "
        "WHERE p.reduction_id = reductions.reduction_id)"
        for name in (*_NUMBERS, "n_stars")
    )
    rows = ", ".join(
        f"n_{table} = coalesce((SELECT p.n_rows FROM products p WHERE p.kind = '{table}' "
        "AND p.reduction_id = reductions.reduction_id), 0)"
        for table in _TABLES
    )
    bind.exec_driver_sql(f"UPDATE reductions SET generation = 1, {of_stack}, {measured}, {rows} WHERE status = 'done'")
    # each old file holds the rows of one reduction; several make the current parts of an exposure until it changes
    bind.exec_driver_sql(
        "INSERT INTO parts (part_id, kind, night, exposure_id, generation, path, checksum, bytes, n_rows, replaced) "
        "SELECT p.product_id, p.kind, p.night, p.exposure_id, 1, p.path, p.checksum, p.bytes, p.n_rows, "
        "(SELECT s.finished FROM reductions r JOIN reductions s ON s.reduction_id = r.superseded_by "
        "WHERE r.reduction_id = p.reduction_id) FROM products p WHERE p.kind <> 'stack'"
    )
    reductions = sa.table("reductions", *(sa.column(name) for name in ("settings", "status", *_SETTINGS)))
    settings = sa.table("settings", *(sa.column(name) for name in ("checksum", *_SETTINGS)))
    chosen = [reductions.c[name] for name in _SETTINGS]
    for values in bind.execute(sa.select(*chosen).where(reductions.c.status == "done").distinct()).all():
        row = dict(zip(_SETTINGS, values, strict=True)) | {"code_dirty": bool(values[1])}
        checksum = hashlib.blake2b(json.dumps(row, sort_keys=True).encode(), digest_size=8).hexdigest()
        bind.execute(sa.insert(settings).values(checksum=checksum, **row))
        same = [column == value for column, value in zip(chosen, values, strict=True)]
        bind.execute(sa.update(reductions).where(*same, reductions.c.status == "done").values(settings=checksum))
