"""A worker with sockets: listeners, the accept step with its four outcomes, the connection cap, deadlines, drain.

How connections wait and where jobs block is the business of the concrete class; what is shared by all of them is
here.
"""

from __future__ import annotations

import errno
import socket
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from workerkit.errors import ConfigError
from workerkit.net.handover import HandedOver, Handover
from workerkit.net.job_deadline import JobDeadlines
from workerkit.net.listener import Listener, ListenerOptions
from workerkit.net.protocol import Connection, Next, Protocol
from workerkit.net.refused import Refused
from workerkit.net.stream import Stream
from workerkit.process.scoreboard import Column, Row
from workerkit.process.states import State
from workerkit.workers.base import Worker, WorkerContext
from workerkit.workers.overdue import Overseer

if TYPE_CHECKING:
    from workerkit.net.caps import AddressCap
    from workerkit.net.certificates import TlsSource
    from workerkit.net.tls import TlsServer

_OUT_OF_RESOURCES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_PAUSE = 0.5

HAND_OVER_FOR = 2.0
"""Seconds for which a leaving worker keeps idle connections that nobody has taken; then they are drained."""

DEFER_FOR = 0.02
"""Seconds for which a worker leaves connections that are handed over to siblings that have fewer."""

BACKLOG_FOR = 1.0
"""Seconds for which workers go on accepting on a full stop, while somebody still waits."""

EXPIRE_FOR = 0.0002
"""Seconds for which connections whose deadline has passed are ended in one turn of the loop; or as long as it took."""

LOG_WITHIN = 0.05
"""For how many seconds at most a line of the access log waits for others, to be written together with them."""


@dataclass(frozen=True, eq=False, repr=False)
class ConnectionOptions:
    """Connections."""

    worker_connections: int = field(
        default=1000,
        metadata={"metavar": "N", "help": "Connections that one worker holds at most; more wait in the backlog."},
    )


Source = Listener | Handover
"""Where connections wait: for clients it is a listener, for workers that leave it is the hand-over."""


class ServerWorker(Worker):
    """The base of all workers that accept connections.

    A class with ``hands_over`` accepts from all of its ``sources``, and while it drains it offers each connection
    that waits with ``Next.IDLE`` to ``hand_over``. Then clients that keep their connections open do not notice that
    workers are replaced.
    """

    Options: ClassVar[type] = ConnectionOptions

    def __init__(self, context: WorkerContext) -> None:
        super().__init__(context)
        options = context.class_options
        # A class may declare Options without a cap; the default holds then.
        self.connection_limit: int = getattr(options, "worker_connections", ConnectionOptions().worker_connections)
        self.connections: dict[int, Connection] = {}
        self.late: list[Connection] = []
        """Those whose deadline has passed and whose turn to be ended is yet to come; see ``overdue``."""
        self.listeners: tuple[Listener, ...] = ()
        """Whom this worker accepts from: all of the context's, but with ``--reuse-port`` only its share of them."""
        self.sources: tuple[Source, ...] = ()
        """Those, and what other workers hand over."""
        self._handover = context.handover if self.hands_over and context.tls is None else None
        self._hand_over_until = 0.0
        self._has_deferred = False
        """Whether siblings have had their chance to take the next connection that is handed over."""
        self.listen_to([context.number % (1 + max((listener.share or 0 for listener in context.listeners), default=0))])
        self.accept_paused_until = 0.0
        self._connect: Callable[[Stream], Connection]
        self._tls: TlsServer | None = None
        self._cap: AddressCap | None = None
        self._overseer: Overseer | None = None

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
        self._connect = self.protocol.connect
        if self.context.tls is not None:
            self._serve_by_tls(self.context.tls, self.protocol)
        if self.context.listening is not None:
            self._guard(self.context.listening)
        if self.protocol.job_deadlines is not None:
            self.oversee(self.protocol.job_deadlines)

    def oversee(self, deadlines: JobDeadlines) -> None:
        """Begin to look for jobs that run past their deadline: here in a thread, which can only tell of them.

        A class that can interrupt a job, or look in its own loop, does that instead.
        """
        self._overseer = Overseer(deadlines, self.log, self.retire)
        self._overseer.start()

    def oversee_no_more(self) -> None:
        """End what ``oversee`` has begun; to be called at the end of ``run()``."""
        if self._overseer is not None:
            self._overseer.stop()
            self._overseer = None

    def describe_jobs(self) -> list[str]:
        """Return what each connection says; see ``Worker.describe_jobs``."""
        now = self.clock()
        told = (connection.describe_job(now) for connection in list(self.connections.values()))
        return [job for job in told if job is not None]

    def _serve_by_tls(self, source: TlsSource, protocol: Protocol) -> None:
        from workerkit.net.tls import TlsServer  # noqa: PLC0415  it imports ssl, which others need not

        self._tls = TlsServer(source.options, source.certificates(), protocol, self.log)
        self._connect = self._tls.connect

    def _guard(self, options: ListenerOptions) -> None:
        """Put in front of conversations what is asked of a connection before it may begin one; most ask nothing."""
        if options.connections_per_address > 0:
            from workerkit.net.caps import AddressCap  # noqa: PLC0415  as below

            self._cap = AddressCap(options.connections_per_address, self._connect, self.log, self.clock)
            self._connect = self._cap.connect
        if options.proxy_protocol != "off":
            from workerkit.net.proxied import ProxyGate  # noqa: PLC0415  only those who have asked for it pay for it

            self._connect = ProxyGate(options, self._connect, self.log, self.clock).connect

    def renew_certificates(self, memory: int) -> str:
        """Use other certificates for new connections; see ``Worker.renew_certificates``."""
        if self._tls is None:
            return "this worker does not speak TLS"
        from workerkit.net.certificates import Certificates  # noqa: PLC0415  as above

        try:
            self._tls.renew(Certificates.unseal(memory))
        except ConfigError as error:
            return str(error)
        return ""

    @abstractmethod
    def wait(self, stream: Stream, want: int, deadline: float | None) -> None:
        """Block the running job until ``stream`` is ready, the way this class blocks; see ``net.stream.Wait``."""

    def listen_to(self, shares: Sequence[int]) -> None:
        """Accept from these shares and from what is everybody's; see ``Worker.listen_to``."""
        self.listeners = tuple([
            listener for listener in self.context.listeners if listener.share is None or listener.share in shares
        ])
        self.stop_deferring()

    @property
    def all_sources(self) -> tuple[Source, ...]:
        """The sources of all workers of the pool, which are to be empty when the last of them leaves."""
        listeners = self.context.listeners
        return listeners if self._handover is None else (*listeners, self._handover)

    @property
    def may_accept(self) -> bool:
        """Whether there is room for one more connection, and descriptors to have it."""
        return len(self.connections) < self.connection_limit and (
            not self.accept_paused_until or self.clock() >= self.accept_paused_until
        )

    def accept(self, source: Source) -> Connection | None:
        """Take one waiting connection; None when there is none to be had now.

        Four outcomes: got one; nothing there (a sibling was faster, or the client left); out of descriptors or
        memory (accepting pauses, serving goes on); the listener is closed (it is no longer ours to accept from).
        """
        if isinstance(source, Handover):
            return self._adopt(source)
        try:
            accepted, peer = source.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return None
        except OSError as error:
            self._accept_failed(error)
            return None
        return self._admit(accepted, peer, source)

    def _accept_failed(self, error: OSError) -> None:
        if error.errno in _OUT_OF_RESOURCES:
            self.accept_paused_until = self.clock() + _PAUSE
            held = len(self.connections)
            self.log.warning("Accepting pauses for %s s: %s (%d connections open)", _PAUSE, error, held)
        elif error.errno not in (errno.EBADF, errno.EINVAL):
            # accept(2): errors that were already pending on the new connection are reported here.
            self.log.debug("A connection was lost before it was accepted: %s", error)

    def _admit(self, accepted: socket.socket, peer: object, listener: Listener) -> Connection:
        stream = Stream(accepted, peer, listener.address, self.wait)
        try:
            connection = self._connect(stream)
        except Exception as error:  # noqa: BLE001  a fault of the protocol costs a connection, not the worker
            connection = self._not_begun(stream, error)
        self.connections[accepted.fileno()] = connection
        cells = self.row.cells
        cells[Column.ACCEPTED] += 1
        cells[Column.CONNECTIONS] = len(self.connections)
        return connection

    def _not_begun(self, stream: Stream, error: Exception) -> Connection:
        """Return a conversation that is over, in place of the one that the protocol could not begin."""
        name = type(self.protocol).__name__
        self.log.error("%s cannot begin a conversation; its connection is closed", name, exc_info=error)
        return Refused(stream)

    def siblings(self) -> Iterator[Row]:
        """Return the rows of this pool's workers, this one's among them."""
        pool = self.row.cells[Column.POOL]
        return (row for row in self.context.siblings if row.cells[Column.POOL] == pool)

    def ready_siblings(self) -> list[Row]:
        """Return those of them that are ready: who serves, and is not leaving."""
        return [row for row in self.siblings() if row.cells[Column.STATE] == State.READY]

    # -- from one worker to another ------------------------------------------------------------------------------

    def _adopt(self, handover: Handover) -> Connection | None:
        """Take a connection that another worker has handed over, if there is one, and no sibling should have it."""
        if not self._has_deferred and self._should_defer():
            self.defer()
            return None
        try:
            taken = handover.receive()
        except (BlockingIOError, InterruptedError):
            return None
        except OSError as error:
            self._accept_failed(error)
            return None
        protocol = self.protocol
        assert protocol is not None  # noqa: S101  boot() has loaded it
        if taken.protocol != _name(protocol):
            self.log.info("Closed a connection that was handed over in another protocol, %s", taken.protocol)
            taken.socket.close()
            return None
        stream = Stream(taken.socket, taken.peer, taken.local, self.wait)
        if self._cap is not None:
            self._cap.hold(stream)
        try:
            connection = protocol.adopt(stream, taken.state)
        except Exception as error:  # noqa: BLE001  as in _admit
            connection = self._not_begun(stream, error)
        connection.deadline = taken.deadline
        self.connections[taken.socket.fileno()] = connection
        self.row.cells[Column.CONNECTIONS] = len(self.connections)
        self._has_deferred = False
        return connection

    def _should_defer(self) -> bool:
        """Tell whether a sibling is newer, or has fewer connections: the first that is ready would get them all."""
        cells = self.row.cells
        ready = self.ready_siblings()
        if len(ready) < 2 or self.protocol is None or self.protocol.leaving:
            return False
        newest = max(sibling[Column.GENERATION] for sibling in ready)
        held = sum(sibling[Column.CONNECTIONS] for sibling in ready)
        return cells[Column.GENERATION] < newest or len(self.connections) * len(ready) > held

    def defer(self) -> None:
        """Leave what is handed over to siblings, for ``DEFER_FOR`` seconds; then call ``stop_deferring``."""
        self._has_deferred = True
        self.sources = self.listeners

    def stop_deferring(self) -> None:
        """Take what is handed over again, if this class does; harmless at any time."""
        self.sources = self.listeners if self._handover is None else (*self.listeners, self._handover)

    def can_hand_over(self, connection: Connection) -> bool:
        """Tell whether another worker could go on with a connection of this one, which is leaving."""
        protocol = self.protocol
        return protocol is not None and protocol.hands_over and self._export(connection) is not None

    def _export(self, connection: Connection) -> bytes | None:
        """Return what another worker needs to go on; None too if the protocol cannot say, which ends the connection."""
        try:
            return connection.export()
        except Exception as error:  # noqa: BLE001  as in _admit
            self.fault(connection, error)
            connection.deadline = 0.0  # overdue, so the next look at deadlines ends it
            return None

    def hand_over(self, connection: Connection) -> bool:
        """Give a connection to another worker, and forget it here; False: not now, or never, so go on with it.

        Called for a connection that waits with ``Next.IDLE``, and that this worker does not poll: what is polled
        here would go on to be, whoever has it.
        """
        protocol, handover = self.protocol, self._handover
        if protocol is None or handover is None or not protocol.hands_over:
            return False
        state = self._export(connection)
        if state is None:
            return False
        stream = connection.stream
        if not handover.send(
            HandedOver(stream.socket, stream.peer, stream.local, _name(protocol), state, connection.deadline)
        ):
            return False
        self.discard(connection)
        return True

    def begin_to_hand_over(self, now: float) -> None:
        """Note when this worker began to leave; called with each order to drain, before connections are drained."""
        self._hand_over_until = now + HAND_OVER_FOR

    def give_up_handing_over(self, now: float) -> bool:
        """Tell whether nobody takes idle connections, for too long; then they are to be drained once more.

        Called now and then by a leaving worker that still has connections to hand over.
        """
        if self.protocol is None or not self.protocol.hands_over or now < self._hand_over_until:
            return False
        self.protocol.hands_over = False
        return True

    def retire(self, reason: str) -> None:
        """Ask to be replaced; see ``Worker.retire``. Connections stay open: they are handed over."""
        if not self.retiring and self.protocol is not None:
            self.protocol.hands_over = self._handover is not None
        super().retire(reason)

    # -- jobs ----------------------------------------------------------------------------------------------------

    def decline(self, connection: Connection) -> None:
        """Make the exchange that is about to run its connection's last: the client comes back by the backlog.

        Not where another worker will take the connection over; and not for dialogues: one that has not begun would
        find its input at an end.
        """
        if self.protocol is not None and self.protocol.job == "call":
            self.drain(connection, self.clock())

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

    def drain(self, connection: Connection, now: float) -> Next:
        """Have a connection come to its end; see ``Connection.drain``. Returns how it goes on."""
        try:
            return connection.drain(now)
        except Exception as error:  # noqa: BLE001  as in _admit
            return self.fault(connection, error)

    def expire(self, connection: Connection, now: float) -> Next:
        """Go on with a connection whose deadline has passed; see ``Connection.expire``. Returns how."""
        try:
            return connection.expire(now)
        except Exception as error:  # noqa: BLE001  as in _admit
            return self.fault(connection, error)

    def discard(self, connection: Connection) -> None:
        """Close a connection and forget it."""
        fd = connection.stream.fileno()
        self.connections.pop(fd, None)
        try:
            connection.close()
        except Exception as error:  # noqa: BLE001  as in _admit
            self.fault(connection, error)
        if self._cap is not None:
            self._cap.release(fd)
        connection.stream.close()
        self.row.cells[Column.CONNECTIONS] = len(self.connections)

    def overdue(self, now: float) -> Iterator[Connection]:
        """Yield connections whose deadline has passed, for as long as this turn of the loop may take for them.

        To end one is as much work as a request, and thousands may be due in the same moment: requests would wait
        behind them. So these get ``EXPIRE_FOR`` seconds, or as many as have passed since ``now``, the turn's
        beginning. While ``late`` is not empty, call again in the next turn.

        A scan: deadlines change with every request, so keeping them sorted would cost the request path more than
        this costs a worker that holds thousands.
        """
        if not self.late:
            self.late = [each for each in reversed(list(self.connections.values())) if _is_overdue(each, now)]
        if not self.late:
            return
        begun = self.clock()
        until = begun + max(EXPIRE_FOR, begun - now)
        while self.late:
            connection = self.late.pop()
            # It may have gone, or gone on, since it was found.
            if _is_overdue(connection, now) and self.connections.get(connection.stream.fileno()) is connection:
                yield connection
                if self.clock() >= until:
                    return


def _is_overdue(connection: Connection, now: float) -> bool:
    return connection.deadline is not None and connection.deadline <= now


def _name(protocol: Protocol) -> str:
    kind = type(protocol)
    return f"{kind.__module__}:{kind.__qualname__}"
