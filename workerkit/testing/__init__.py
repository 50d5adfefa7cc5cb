"""For tests of applications, servers and plugins."""

from workerkit.testing.running import RunningServer, ServerFailed, running

__all__ = ["RunningServer", "ServerFailed", "running"]
