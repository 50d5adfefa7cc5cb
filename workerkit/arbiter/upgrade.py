"""USR2: a new arbiter is started beside this one, inherits its listeners, and takes its place when it is ready.

The old arbiter starts the command that it was itself started by, so the new one may be of another version. Both accept
from the same sockets until the new one has a ready worker in each pool; then the old one leaves, gracefully, and what
waits to be accepted is left to the new one. A new arbiter that ends before it is ready, or is not ready in time, is
given up, and the old one goes on as if nothing had been asked.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING

from workerkit.arbiter.inheritance import Inheritance
from workerkit.arbiter.pidfile import PidFile
from workerkit.net.address import InheritedAddress, SystemdAddress, parse_address
from workerkit.net.binding import FileId
from workerkit.net.listener import Listener
from workerkit.process.loop import EventLoop
from workerkit.process.program import Program, remembered

if TYPE_CHECKING:
    from workerkit.arbiter.successor import Successor

OLD_SUFFIX = ".oldbin"
"""What the old arbiter's pid file is called while it has a successor; the name is unicorn's."""


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
        from workerkit.arbiter.successor import Successor  # noqa: PLC0415  upgrades only

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
