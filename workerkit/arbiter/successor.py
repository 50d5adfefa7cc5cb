"""A new arbiter, as the one that starts it sees it. Loaded when an upgrade begins."""

from __future__ import annotations

import json
import logging
import os
import signal
from collections.abc import Callable, Mapping, Sequence

from workerkit.arbiter.inheritance import VARIABLE
from workerkit.arbiter.spawn import exit_reason
from workerkit.net.poller import READ, wait_for
from workerkit.process.fork import fork
from workerkit.process.loop import EventLoop, Timer
from workerkit.process.program import Program

_CANNOT_START = 126  # as a shell reports a command that cannot be run
_KILL_WAIT = 1.0


class Successor:
    """The new arbiter, as the old one sees it: coming up, then ready or given up."""

    def __init__(
        self,
        loop: EventLoop,
        log: logging.Logger,
        on_ready: Callable[[int], object],
        on_failure: Callable[[], object],
        before_exec: Callable[[], object] = lambda: None,
    ) -> None:
        self.pid = 0
        self.ready = False
        self._loop = loop
        self._log = log
        self._on_ready = on_ready
        self._on_failure = on_failure
        self._before_exec = before_exec
        self._report = -1
        self._pidfd = -1
        self._timer: Timer | None = None
        self._reason: str | None = None

    def start(
        self, program: Program, facts: Mapping[str, object], fds: Sequence[int], within: float | None
    ) -> None:
        """Fork it.

        Args:
            program: What it is.
            facts: What it is told.
            fds: The descriptors that it keeps.
            within: Seconds that it may take to become ready; None: as long as it likes.

        Raises:
            OSError: No process can be had.
        """
        self._report, theirs = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

        def child() -> int:
            told = json.dumps({**facts, "pid": os.getpid(), "predecessor": os.getppid(), "report": theirs})
            self._before_exec()
            try:
                program.execute([*fds, theirs], {VARIABLE: told})
            except OSError as error:
                self._log.error("Cannot start %s in %s: %s", program.words[0], program.folder, error)
            return _CANNOT_START

        try:
            self.pid = fork(child)
        except OSError:
            os.close(self._report)
            raise
        finally:
            os.close(theirs)
        self._pidfd = os.pidfd_open(self.pid)
        self._loop.watch(self._report, self._read_report)
        self._loop.watch(self._pidfd, self._reap)
        if within is not None:
            reason = f"was not ready within {within:g} s"
            self._timer = self._loop.call_at(self._loop.clock() + within, lambda: self._kill(reason))

    def cancel(self) -> None:
        """Kill it, unless it is ready, and wait until it is gone."""
        if not self.ready and self.pid:
            self._kill("is not needed any more")
            if wait_for(self._pidfd, READ, _KILL_WAIT):
                self._reap()

    def ended(self, status: int) -> None:
        """Take note of its end; for whoever has reaped it."""
        self._unwatch()
        pid, self.pid = self.pid, 0
        how = self._reason or exit_reason(status)
        if self.ready:
            self._log.error("The new arbiter (pid: %d) %s", pid, how)
            return
        self._on_failure()
        self._log.error("Upgrade given up: the new arbiter (pid: %d) %s; this one goes on", pid, how)

    def forget(self) -> None:
        """Close the descriptors and nothing else: for a child, which inherited them."""
        for fd in (self._report, self._pidfd):
            if fd >= 0:
                os.close(fd)
        self._report = self._pidfd = -1

    def close(self) -> None:
        """Look after it no longer."""
        self._unwatch()

    def _read_report(self) -> None:
        said = os.read(self._report, 64)
        self._loop.unwatch(self._report)
        os.close(self._report)
        self._report = -1
        if said:
            self.ready = True
            self._cancel_timer()
            self._on_ready(self.pid)

    def _reap(self) -> None:
        try:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
        except ChildProcessError:
            pid, status = self.pid, 0
        if pid:
            self.ended(status)

    def _kill(self, reason: str) -> None:
        self._reason = reason
        signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def _unwatch(self) -> None:
        self._cancel_timer()
        for fd in (self._report, self._pidfd):
            if fd >= 0:
                self._loop.unwatch(fd)
        self.forget()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
