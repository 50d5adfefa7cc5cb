"""The example of a package with a worker class holds every fact."""

from __future__ import annotations

import pytest

from workerkit.testing import WorkerContract

pytest.importorskip("trio")


class TestTrio(WorkerContract):
    """The trio worker of examples/workerkit-trio."""

    worker = "workerkit_trio:TrioWorker"
