"""Every promise that a worker class makes, checked for the trio worker by workerkit's own kit."""

from __future__ import annotations

from workerkit.testing import WorkerContract


class TestTrioWorker(WorkerContract):
    """Try one fact alone: pytest -k connection_is_kept."""

    worker = "trio"
