"""A worker with sockets: listeners, the accept step with its four outcomes, the connection cap, deadlines, drain.

How connections wait and where jobs block is the business of the concrete class; what is shared by all of them is
here.
"""

from __future__ import annotations

import errno
import socket
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from workerkit.errors import ConfigError
from workerkit.net.listener import Listener
from workerkit.net.protocol import Connection, Next, Protocol
from workerkit.net.stream import Stream
from workerkit.process.scoreboard import Column
from workerkit.workers.base import Worker, WorkerContext

_OUT_OF_RESOURCES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_PAUSE = 0.5

LOG_WITHIN = 0.05
"""For how many seconds at most a line of the access log waits for others, to be written together with them."""


@dataclass(frozen=True, slots=True)
class ConnectionOptions:
    """Connections."""

    worker_connections: int = field(
        default=1000,
        metadata={"metavar": "N", "help": "Connections that one worker holds at most; more wait in the backlog."},
    )


class ServerWorker(Worker):
    """The base of all workers that accept connections."""

    Options: ClassVar[type] = ConnectionOptions

    def __init__(self, context: WorkerContext) -> None:
        super().__init__(context)
        options = context.class_options
        # A class may declare Options without a cap; the default holds then.
        self.connection_limit: int = getattr(options, "worker_connections", ConnectionOptions().worker_connections)
        self.connections: dict[int, Connection] = {}
        self.listeners: tuple[Listener, ...] = ()
        """Whom this worker accepts from: all of the context's, but with ``--reuse-port`` only its share of them."""
        self.listen_to([context.number % (1 + max((listener.share or 0 for listener in context.listeners), default=0))])
        self.accept_paused_until = 0.0
        self._served: Protocol | None = None

    def boot(self) -> None:
        """Load the protocol and check that this class can run its jobs.

        Raises:
            ConfigError: It cannot, or nothing is served.
        """
        super().boot()
        if self.protocol is None:
            raise ConfigError(f"{type(self).__name__} has nothing to serve in the pool {self.context.pool!r}")
        if self.protocol.job not in self.jobs:
            raise ConfigError(
                f"{type(self).__name__} runs jobs of the kinds {', '.join(sorted(self.jobs))}; "
                f"{type(self.protocol).__name__} needs {self.protocol.job!r}"
            )
        self._served = self.protocol

    @abstractmethod
    def wait(self, stream: Stream, want: int, deadline: float | None) -> None:
        """Block the running job until ``stream`` is ready, the way this class blocks; see ``net.stream.Wait``."""

    def listen_to(self, shares: Sequence[int]) -> None:
        """Accept from these shares and from what is everybody's; see ``Worker.listen_to``."""
        self.listeners = tuple([
            listener for listener in self.context.listeners if listener.share is None or listener.share in shares
        ])

    @property
    def may_accept(self) -> bool:
        """Whether there is room for one more connection, and descriptors to have it."""
        return len(self.connections) < self.connection_limit and (
            not self.accept_paused_until or self.clock() >= self.accept_paused_until
        )

    def accept(self, listener: Listener) -> Connection | None:
        """Take one waiting connection; None when there is none to be had now.

        Four outcomes: got one; nothing there (a sibling was faster, or the client left); out of descriptors or
        memory (accepting pauses, serving goes on); the listener is closed (it is no longer ours to accept from).
        """
        try:
            accepted, peer = listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return None
        except OSError as error:
            self._accept_failed(error)
            return None
        return self._admit(accepted, peer, listener)

    def _accept_failed(self, error: OSError) -> None:
        if error.errno in _OUT_OF_RESOURCES:
            self.accept_paused_until = self.clock() + _PAUSE
            held = len(self.connections)
            self.log.warning("Accepting pauses for %s s: %s (%d connections open)", _PAUSE, error, held)
        elif error.errno not in (errno.EBADF, errno.EINVAL):
            # accept(2): errors that were already pending on the new connection are reported here.
            self.log.debug("A connection was lost before it was accepted: %s", error)

    def _admit(self, accepted: socket.socket, peer: object, listener: Listener) -> Connection:
        assert self._served is not None  # noqa: S101  boot() set it
        stream = Stream(accepted, peer, listener.address, self.wait)
        connection = self._served.connect(stream)
        self.connections[accepted.fileno()] = connection
        cells = self.row.cells
        cells[Column.ACCEPTED] += 1
        cells[Column.CONNECTIONS] = len(self.connections)
        return connection

    def decline(self, connection: Connection) -> None:
        """Make the exchange that is about to run its connection's last: the client comes back by the backlog.

        Not for dialogues: one that has not begun would find its input at an end.
        """
        if self.protocol is not None and self.protocol.job == "call":
            connection.drain(self.clock())

    def call(self, connection: Connection, count: Callable[[bool], None]) -> bool:
        """Run the job that waits in a connection and ``count(failed)`` it; return whether the connection can go on.

        Nothing that the job raises gets out: SystemExit neither, for a job cannot end the worker that it runs in.
        """
        failed = True
        try:
            failed = connection.take()() is True
        except (Exception, SystemExit):
            self.log.exception("A job of %s failed; its connection is closed", type(connection).__name__)
            return False
        finally:
            count(failed)
        return True

    def fault(self, connection: Connection, error: Exception) -> Next:
        """Log what a protocol raised where it must not, and return how its connection goes on: not at all."""
        self.log.error("%s is broken; it is closed", type(connection).__name__, exc_info=error)
        return Next.CLOSE

    def discard(self, connection: Connection) -> None:
        """Close a connection and forget it."""
        self.connections.pop(connection.stream.fileno(), None)
        connection.close()
        connection.stream.close()
        self.row.cells[Column.CONNECTIONS] = len(self.connections)

    def overdue(self, now: float) -> list[Connection]:
        """Return the connections whose deadline has passed.

        A scan: deadlines change with every request, so keeping them sorted would cost the request path more than
        this costs a worker that holds thousands.
        """
        return [
            connection
            for connection in list(self.connections.values())
            if connection.deadline is not None and connection.deadline <= now
        ]
