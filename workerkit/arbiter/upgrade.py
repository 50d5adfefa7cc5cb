"""USR2: a new arbiter is started beside this one, inherits its listeners, and takes its place when it is ready.

The old arbiter starts the command that it was itself started by, so the new one may be of another version. Both accept
from the same sockets until the new one has a ready worker in each pool; then the old one leaves, gracefully, and what
waits to be accepted is left to the new one. A new arbiter that ends before it is ready, or is not ready in time, is
given up, and the old one goes on as if nothing had been asked.

What the new one inherits stands in the variable ``WORKERKIT_FDS``, as JSON; it is removed when it has been read.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import socket
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from itertools import chain
from typing import Any

from workerkit.arbiter.pidfile import PidFile
from workerkit.arbiter.spawn import exit_reason
from workerkit.net.address import InheritedAddress, SystemdAddress, parse_address
from workerkit.net.binding import FileId
from workerkit.net.inherited import InheritedSocket, InheritedSockets, take_passed
from workerkit.net.listener import Listener
from workerkit.net.poller import READ, wait_for
from workerkit.process.fork import fork
from workerkit.process.loop import EventLoop, Timer
from workerkit.process.program import Program, remembered

VARIABLE = "WORKERKIT_FDS"
OLD_SUFFIX = ".oldbin"
"""What the old arbiter's pid file is called while it has a successor; the name is unicorn's."""

_CANNOT_START = 126  # as a shell reports a command that cannot be run
_KILL_WAIT = 1.0


class Inheritance:
    """What an arbiter was started with by another one, or by systemd; mostly nothing."""

    def __init__(self, environ: MutableMapping[str, str]) -> None:
        facts: dict[str, Any] = json.loads(environ.pop(VARIABLE, "{}"))
        if facts.get("pid") != os.getpid():
            # Somebody in between has passed the variable on; the descriptors are not ours.
            facts = {}
        self.predecessor: int | None = facts.get("predecessor")
        """The arbiter whose place we take."""
        self._report: int | None = facts.get("report")
        self._more: dict[str, list[int]] = facts.get("more", {})
        handed = [_socket(*listener) for listener in facts.get("listeners", [])]
        self.sockets = InheritedSockets(handed, take_passed(environ))
        own = () if self._report is None else (self._report,)
        for fd in chain(own, *self._more.values()):
            os.set_inheritable(fd, False)

    def take(self, name: str) -> list[int]:
        """Return the descriptors that were handed over by this name; they are the caller's from now on."""
        return self._more.pop(name, [])

    def close_rest(self) -> None:
        """Close what nobody has taken, before the first worker is forked with it."""
        self.sockets.close_unclaimed()
        for fd in chain(*self._more.values()):
            os.close(fd)
        self._more = {}

    def enter(self) -> None:
        """Tell the predecessor that it may leave: we serve."""
        if self._report is not None:
            with contextlib.suppress(BrokenPipeError):  # it was killed meanwhile
                os.write(self._report, b"ready")
            self.forget()
        self.sockets.keep()

    def forget(self) -> None:
        """Close the line to the predecessor and nothing else."""
        if self._report is not None:
            os.close(self._report)
            self._report = None


def _socket(pool: str, bind: str, fd: int, device: int | None, inode: int | None) -> InheritedSocket:
    file = None if device is None or inode is None else (device, inode)
    inherited = socket.socket(fileno=fd)
    inherited.set_inheritable(False)
    return InheritedSocket(pool, bind, inherited, file)


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


class Succession:
    """Where an arbiter stands: whose place it takes, and who takes its.

    Args:
        pidfile: The setting.
        loop: The arbiter's.
        log: The arbiter's.
    """

    def __init__(self, pidfile: str | None, loop: EventLoop, log: logging.Logger) -> None:
        self._loop = loop
        self._log = log
        self._pidfile = PidFile(pidfile) if pidfile else None
        self._old_pidfile = PidFile(pidfile + OLD_SUFFIX) if pidfile else None
        self._inheritance: Inheritance | None = None
        self._successor: Successor | None = None
        self._handed_files: frozenset[FileId] = frozenset()
        self.entered = False
        """Whether the place is ours: all workers have come to serve."""

    # -- the predecessor's place ---------------------------------------------------------------------------------

    def begin(self, environ: MutableMapping[str, str]) -> Inheritance:
        """Take what there is to inherit, and write the pid file.

        Raises:
            ConfigError: The pid file is another's, or cannot be written.
        """
        self._inheritance = Inheritance(environ)
        if self._pidfile is not None:
            self._pidfile.write(self._inheritance.predecessor)
        return self._inheritance

    def enter(self) -> None:
        """All workers serve: the predecessor may leave. Called once."""
        self.entered = True
        if self._inheritance is not None:
            self._inheritance.enter()

    @property
    def has_predecessor(self) -> bool:
        """Whether another arbiter has started this one, to leave to it."""
        return self._inheritance is not None and self._inheritance.predecessor is not None

    @property
    def shared_files(self) -> frozenset[FileId]:
        """The files of Unix sockets that are not ours to remove, since another arbiter serves them."""
        if self.has_successor:
            return self._handed_files
        return self._inheritance.sockets.shared_files if self._inheritance is not None else frozenset()

    @property
    def is_alone(self) -> bool:
        """Whether no other arbiter serves what waits at our listeners."""
        return not self.has_successor and (self.entered or not self.has_predecessor)

    # -- the successor -------------------------------------------------------------------------------------------

    @property
    def has_successor(self) -> bool:
        """Whether a new arbiter is ready: what waits to be accepted is its business."""
        return self._successor is not None and self._successor.ready

    def start_successor(
        self,
        listeners: Mapping[str, Sequence[Listener]],
        more: Mapping[str, Sequence[int]],
        within: float | None,
        on_ready: Callable[[int], object],
        before_exec: Callable[[], object] = lambda: None,
    ) -> None:
        """Start a new arbiter, unless something is in the way; the log says what.

        Args:
            listeners: Ours, by pool.
            more: What else it inherits: descriptors by a name for which it asks ``Inheritance.take``.
            within: Seconds that it may take to become ready; None: as long as it likes.
            on_ready: Called with its pid when it is.
            before_exec: Called in the new process, while it is still a copy of this one.
        """
        program = remembered()
        if (obstacle := self._obstacle(program)) is not None:
            self._log.error("No upgrade: %s", obstacle)
            return
        handed = [(pool, listener) for pool in listeners for listener in listeners[pool] if _is_handed(listener)]
        assert self._inheritance is not None  # noqa: S101  begin() was called
        fds = [listener.fileno() for _, listener in handed]
        fds += [*self._inheritance.sockets.passed_fds, *chain(*more.values())]
        facts = {
            "listeners": [[pool, own.bind, own.fileno(), *(own.file or (None, None))] for pool, own in handed],
            "more": {name: list(theirs) for name, theirs in more.items()},
        }
        self._handed_files = frozenset(listener.file for _, listener in handed if listener.file is not None)
        successor = Successor(self._loop, self._log, on_ready, self._give_up, before_exec)
        try:
            if self._old_pidfile is not None:
                self._old_pidfile.write()
            successor.start(program, facts, fds, within)
        except Exception as error:  # noqa: BLE001  whatever it was, we go on
            self._log.error("No upgrade: %s", error)
            self._give_up()
            return
        self._successor = successor
        self._log.info("Upgrading: a new arbiter starts (pid: %d)", successor.pid)

    def _obstacle(self, program: Program) -> str | None:
        if self._successor is not None:
            return f"one is under way already (pid: {self._successor.pid})"
        if not self.entered:
            return "this arbiter has only just been started and is not ready itself"
        if os.getpid() == 1:
            return "this arbiter is process 1, and with it the container would end; start a new container instead"
        if not program.words:
            return "it is not known which interpreter runs this program"
        return None

    def _give_up(self) -> None:
        self._successor = None
        self._handed_files = frozenset()
        try:
            if self._pidfile is not None:
                self._pidfile.write()
        except Exception as error:  # noqa: BLE001  serving goes on without it
            self._log.error("%s", error)
        if self._old_pidfile is not None:
            self._old_pidfile.remove()

    def cancel(self) -> None:
        """Have no new arbiter that is not ready yet: this one was told to stop, and it would go on."""
        if self._successor is not None:
            self._successor.cancel()

    def reaped(self, pid: int, status: int) -> bool:
        """Tell whether a process that was reaped is the new arbiter, and take note of its end."""
        if self._successor is None or self._successor.pid != pid:
            return False
        self._successor.ended(status)
        return True

    # -- the end -------------------------------------------------------------------------------------------------

    def forget(self) -> None:
        """Close the descriptors and nothing else: for a child, which inherited them."""
        if self._inheritance is not None:
            self._inheritance.forget()
        if self._successor is not None:
            self._successor.forget()
        for pidfile in (self._pidfile, self._old_pidfile):
            if pidfile is not None:
                pidfile.forget()

    def close(self) -> None:
        """Remove the pid files that are ours. At the end of ``run()`` or when the start has failed."""
        self.cancel()
        if self._inheritance is not None:
            self._inheritance.forget()
        if self._successor is not None:
            self._successor.close()
        for pidfile in (self._pidfile, self._old_pidfile):
            if pidfile is not None:
                pidfile.remove()


def _is_handed(listener: Listener) -> bool:
    # The others are the new arbiter's to find where this one found them.
    return not isinstance(parse_address(listener.bind), InheritedAddress | SystemdAddress)
