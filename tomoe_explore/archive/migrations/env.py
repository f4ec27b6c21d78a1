"""Alembic starts here: revisions run on the connection that they are given, in its transaction."""

from alembic import context

from tomoe_explore.archive.registry import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
