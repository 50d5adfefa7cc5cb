"""The example of a package with a worker class holds every fact."""

from __future__ import annotations

from workerkit.testing import WorkerContract


class TestTrio(WorkerContract):
    """The trio worker of examples/workerkit-trio."""

    worker = "workerkit_trio:TrioWorker"
