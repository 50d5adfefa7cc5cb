"""Plugins: worker classes, arbiters and protocols, announced by entry points, ours like anybody's."""

from workerkit.plugins.entry_points import Plugin, available
from workerkit.plugins.loading import ARBITERS, PROTOCOLS, WORKERS, check, load, load_file

__all__ = ["ARBITERS", "PROTOCOLS", "WORKERS", "Plugin", "available", "check", "load", "load_file"]
