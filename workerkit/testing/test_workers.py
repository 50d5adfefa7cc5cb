"""``pytest --pyargs workerkit.testing --worker NAME``: every fact, for each worker class that is named."""

from __future__ import annotations

from workerkit.testing.contract import WorkerContract


class TestWorker(WorkerContract):
    """The worker classes of ``--worker``."""
