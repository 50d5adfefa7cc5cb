"""Jobs that run past their deadlines, and what a worker does about them.

What a job runs in decides what can be done. An exception can be raised in a greenlet that waits, and the greenlet
worker does. Nothing can interrupt a thread that waits in a system call or in C code, and one that was interrupted in
the midst of anything would leave it half done. So there the log says where the job is, and the worker asks to be
replaced: the successor serves, and what still runs has as long as the rest of a graceful stop.
"""

from __future__ import annotations

import logging
import sys

# The system's own, also where the standard library is patched.
from _thread import allocate_lock, start_new_thread
from collections.abc import Callable
from types import FrameType

from workerkit.net.job_deadline import JobDeadline, JobDeadlines

REASON = "a request that ran past its deadline"
"""Why a worker asks to be replaced; "retires after ..."."""


def report(log: logging.Logger, deadline: JobDeadline, now: float, frame: FrameType | None, what_now: str) -> None:
    """Tell the log of a job that is overdue, and where it is."""
    import traceback  # noqa: PLC0415  only a worker in trouble pays for it

    stack = "".join(traceback.format_stack(frame)).rstrip() if frame is not None else "  (it has just ended)"
    ran = now - deadline.begun_at
    log.error("%s runs for %.1f s, past its deadline; %s:\n%s", deadline.describe(), ran, what_now, stack)


class Overseer:
    """A thread of the system's that looks for jobs which are overdue, while all others may be at work.

    Args:
        deadlines: The jobs that run.
        log: Where they are told.
        retire: Has the worker replaced, for a reason.
    """

    def __init__(self, deadlines: JobDeadlines, log: logging.Logger, retire: Callable[[str], object]) -> None:
        self._deadlines = deadlines
        self._log = log
        self._retire = retire
        self._leave = allocate_lock()

    def start(self) -> None:
        """Begin to look."""
        self._leave.acquire()
        start_new_thread(self._watch, ())

    def stop(self) -> None:
        """Look no more."""
        self._leave.release()

    def _watch(self) -> None:
        while not self._leave.acquire(timeout=self._deadlines.look_every):
            self.look(self._deadlines.clock())
        self._leave.release()

    def look(self, now: float) -> None:
        """Tell of each job that is overdue, once."""
        for deadline in self._deadlines.overdue(now):
            self._deadlines.end(deadline)
            frame = sys._current_frames().get(deadline.runner)
            report(self._log, deadline, now, frame, "nothing can interrupt it here, so the worker is replaced")
            self._retire(REASON)
