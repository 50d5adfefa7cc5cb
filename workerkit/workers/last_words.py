"""What a worker says before it is killed for hanging.

The arbiter sends SIGABRT first, as gunicorn's does, and SIGKILL a second later. So there is time for two things.

The interpreter's ``faulthandler`` writes the stacks of all threads, in the signal handler itself: it needs neither the
interpreter's lock nor memory, and works while C code keeps the lock for ever. After that, if Python can run at all, it
tells which requests the worker holds and where greenlets wait, which no other process could find out, calls
gunicorn's ``worker_abort``, and ends. A worker that is stopped, or stuck in the kernel, says nothing and is killed.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import signal
from typing import TYPE_CHECKING, Final

from workerkit.process.signals import deliver

if TYPE_CHECKING:
    from workerkit.workers.base import Worker, WorkerContext

_JOBS_AT_MOST: Final = 100


class LastWords:
    """Takes SIGABRT in a worker, and any signal of a crash. Made in the child, in the main thread."""

    def __init__(self, context: WorkerContext) -> None:
        self._context = context
        self.worker: Worker | None = None
        """Who speaks, once it is there."""
        # faulthandler calls whoever was there before it, so it has to come after us.
        faulthandler.disable()
        deliver((signal.SIGABRT,), lambda _number: self._on_abort())
        context.logs.take_faults()

    def _on_abort(self) -> None:
        """Speak and end; not by an exception, which the application would have to let through."""
        context = self._context
        # Whatever it is that cannot be told in such a moment, the end comes all the same.
        with contextlib.suppress(Exception):
            self._speak()
        context.hooks.aborted()
        context.logs.flush()
        os._exit(1)

    def _speak(self) -> None:
        worker, log = self.worker, self._context.logs.error
        if worker is None:
            log.critical("Aborted before it was ready; the stacks are above")
            return
        jobs = worker.describe_jobs()
        told = "".join(f"\n  {job}" for job in jobs[:_JOBS_AT_MOST]) or " none"
        more = f"\n  and {len(jobs) - _JOBS_AT_MOST} more" if len(jobs) > _JOBS_AT_MOST else ""
        log.critical("Aborted; the stacks are above. Requests that ran or waited to run:%s%s", told, more)
        if waiting := worker.describe_waiting():
            log.critical("Greenlets that waited:\n%s", waiting)
