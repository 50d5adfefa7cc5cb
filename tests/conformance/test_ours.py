"""Our own worker classes hold every fact that a stranger's has to hold, checked in the same way."""

from __future__ import annotations

from workerkit.testing import WorkerContract


class TestSync(WorkerContract):
    """The sync worker."""

    worker = "sync"


class TestThreaded(WorkerContract):
    """The threaded worker."""

    worker = "threaded"


class TestGevent(WorkerContract):
    """The gevent worker."""

    worker = "gevent"


class TestEventlet(WorkerContract):
    """The eventlet worker."""

    worker = "eventlet"
