"""The ``workerkit`` command: argv in, exit code out. Nothing else reads argv or ends a process."""

from workerkit.cli.main import main

__all__ = ["main"]
