"""The watch's own fixtures."""

from tests.operations.watch.watching import start as start
