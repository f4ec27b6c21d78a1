"""Alembic's folder: a file a revision in ``versions``; see `tomoe_explore.archive.migration`."""
