"""The registry's revisions, in order."""
