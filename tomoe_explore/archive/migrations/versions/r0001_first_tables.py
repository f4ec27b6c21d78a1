"""The tables as they were before there were revisions. They stay as they are here, whatever ``registry.py`` says."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy import BigInteger, Boolean, Column, Float, ForeignKey, Index, Integer, String, Text

revision = "0001"
down_revision = None

metadata = sa.MetaData()
_Double = Float(53)


def _text(name: str, **options: Any) -> Column[Any]:
    return Column(name, String, **options)


def _exposure_key() -> Column[Any]:
    return Column("exposure_id", BigInteger, ForeignKey("exposures.exposure_id"), nullable=False, index=True)


def _center() -> list[Column[Any]]:
    return [Column("ra", _Double), Column("dec", _Double), Column("cell", Integer)]


sa.Table(
    "exposures", metadata,
    Column("exposure_id", BigInteger, primary_key=True, autoincrement=False),
    _text("night", nullable=False, index=True),
    Column("mjd_start", _Double, nullable=False), Column("n_frames", Integer, nullable=False),
    Column("frame_interval", _Double, nullable=False), Column("ra", _Double), Column("dec", _Double),
    _text("object", nullable=False), _text("project", nullable=False), _text("observer", nullable=False),
    _text("quality", nullable=False), Column("flags", Integer, nullable=False),
)  # fmt: skip

sa.Table(
    "films", metadata,
    _text("film_checksum", primary_key=True), _text("path", index=True),
    Column("size", BigInteger, nullable=False), Column("mtime_ns", BigInteger, nullable=False),
    _text("kind", nullable=False), _exposure_key(),
    Column("detector_id", Integer, nullable=False), _text("night", nullable=False), *_center(),
    Index("ix_films_kind_night", "kind", "night"), Index("ix_films_kind_cell", "kind", "cell"),
)  # fmt: skip

sa.Table(
    "masters", metadata,
    _text("master_id", primary_key=True), _text("kind", nullable=False), _text("path", nullable=False),
    _exposure_key(), Column("detector_id", Integer, nullable=False, index=True), _text("night", nullable=False),
    Column("mjd", _Double, nullable=False), Column("n_frames", Integer, nullable=False),
    Column("exptime", _Double, nullable=False), Column("exptime1", _Double, nullable=False),
    Column("temperature", _Double), Column("gain", _Double, nullable=False), _text("gain_mode", nullable=False),
    Column("level", _Double, nullable=False), Column("rms", _Double, nullable=False), _text("created", nullable=False),
    _text("code_version", nullable=False), _text("film_checksum", nullable=False, index=True),
    _text("dark_id"), _text("checksum", nullable=False), Column("bytes", BigInteger, nullable=False),
)  # fmt: skip

sa.Table(
    "refcats", metadata,
    _text("checksum", primary_key=True), _text("name", nullable=False), _text("path", nullable=False),
    Column("n_stars", BigInteger, nullable=False), Column("epoch", _Double), _text("registered", nullable=False),
)  # fmt: skip

sa.Table(
    "reductions", metadata,
    Column("reduction_id", BigInteger, primary_key=True, autoincrement=False),
    _exposure_key(), Column("detector_id", Integer, nullable=False), _text("night", nullable=False, index=True),
    _text("started", nullable=False), _text("finished"), _text("status", nullable=False, index=True),
    Column("error", Text), _text("error_kind"), _text("dark_id"), _text("flat_id"), _text("refcat"),
    _text("refcat_checksum"),
    Column("film_checksum", String, ForeignKey("films.film_checksum"), nullable=False, index=True),
    _text("code_version", nullable=False), Column("code_dirty", Boolean, nullable=False),
    Column("parameters", Text, nullable=False), Column("environment", Text, nullable=False),
    Column("superseded_by", BigInteger), _text("owner_host", nullable=False),
    Column("owner_pid", Integer, nullable=False), _text("owner_started", nullable=False),
)  # fmt: skip

sa.Table(
    "products", metadata,
    _text("product_id", primary_key=True), _text("kind", nullable=False), _text("path", nullable=False),
    _text("checksum", nullable=False), Column("bytes", BigInteger, nullable=False),
    Column("n_rows", BigInteger), _text("night", nullable=False), _exposure_key(),
    Column("detector_id", Integer, nullable=False), Column("mjd", _Double, nullable=False), *_center(),
    Column("footprint", Text, nullable=False),
    Column("reduction_id", BigInteger, ForeignKey("reductions.reduction_id"), nullable=False, index=True),
    Index("ix_products_kind_night", "kind", "night"), Index("ix_products_kind_cell", "kind", "cell"),
)  # fmt: skip

sa.Table(
    "stacks", metadata,
    Column("product_id", String, ForeignKey("products.product_id"), primary_key=True),
    *(Column(n, _Double) for n in ("exptime", "zeropoint", "zeropoint_err", "fwhm", "sky", "depth", "astrometric_rms")),
    Column("n_stars", Integer, nullable=False),
)  # fmt: skip


def upgrade() -> None:
    """Make all tables."""
    metadata.create_all(op.get_bind())
