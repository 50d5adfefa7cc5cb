"""The sync worker: one request at a time in the application, any number of connections around it.

An event loop reads requests and flushes responses without blocking; only the application blocks. So a client that
drips bytes costs a table entry, and nothing waits for it.

What a single thread cannot do is go on while the application runs, so the connections that it holds are hostages of
the request that it runs. Four rules keep that fair to clients while there are siblings:

* At most one new connection per turn, and none while a complete request waits: it stays in the backlog, from where
  any free sibling takes it. Only a connection that nobody took for ``_PATIENCE`` is accepted all the same.
* Once a request of any worker of the pool has run for longer than ``_LONG``, all of them decline keep-alive for a
  while, and take a new connection only when the last one has said what it wants: a client that comes back
  through the backlog is served by whoever is free, and nobody waits behind a slow request.
* Connections go round: whoever took one waits at the end of the queue for the next.
* A leaving worker answers what has begun and starts nothing else.
"""

from __future__ import annotations

from workerkit.net.listener import Listener
from workerkit.net.poller import EXCLUSIVE, READ, WRITE, Poller, make_poller, wait_for
from workerkit.net.protocol import Connection, Next
from workerkit.net.stream import Stream, raise_deadline
from workerkit.process.scoreboard import Column
from workerkit.process.states import State
from workerkit.workers.base import Order, WorkerContext
from workerkit.workers.server import ServerWorker

_PATIENCE = 0.05
_LONG = 0.1
_DECLINE_FOR = 30.0
_LOOK_EVERY = 0.02
_FIRST_REQUEST = 0.005
_SCAN_WHILE_DRAINING = 0.1

# Plain names for the loop: an attribute of an enum costs it 0.1 µs.
_IDLE = Next.IDLE
_READ = Next.READ
_RUN = Next.RUN
_BEAT = Column.BEAT
_BUSY = Column.BUSY
_BUSY_SINCE = Column.BUSY_SINCE
_STATE = Column.STATE


class SyncWorker(ServerWorker):
    """One request at a time; the default."""

    jobs = frozenset({"call"})

    def __init__(self, context: WorkerContext) -> None:
        super().__init__(context)
        self._poller: Poller = make_poller()
        self._again: dict[Connection, None] = {}
        self._listeners = {listener.fileno(): listener for listener in context.listeners}
        self._listening = False
        self._waiting_since: float | None = None
        self._has_siblings = context.workers > 1
        self._decline_until = 0.0
        self._next_look = 0.0
        self._newcomer: Connection | None = None
        self._newcomer_until = 0.0
        self._draining = False
        self._ran = False
        self._next_scan = 0.0
        self._scan_interval = self.beat_interval

    def run(self) -> None:
        """Serve until told to leave."""
        self._poller.register(self.orders, READ)
        while not (self._draining and not self.connections):
            self._adjust_listening()
            if not self._turn():
                break
        for connection in list(self.connections.values()):
            self.discard(connection)
        self._poller.close()

    def wait(self, stream: Stream, want: int, deadline: float | None) -> None:
        """Block the worker: a job on this class holds its only thread anyway."""
        self.beat()
        timeout = None if deadline is None else deadline - self.clock()
        if not wait_for(stream.fileno(), want, timeout):
            raise_deadline(want)
        self.beat()

    # -- the loop ------------------------------------------------------------------------------------------------

    def _turn(self) -> bool:
        """Wait for something to happen and do it; False when it is time to leave."""
        if not self._again:
            self.context.logs.flush()
        buffered = list(self._again) if self._again else None
        events = self._poller.poll(0 if buffered else self._patience())
        now = self.clock()
        self.row.cells[_BEAT] = int(now * 1e9)
        self._ran = False
        acceptable: Listener | None = None
        connections = self.connections
        for fd, _ in events:
            connection = connections.get(fd)
            if connection is not None:
                if connection not in self._again:
                    self._advance(connection, now)
            elif fd == self.orders:
                if not self._obey(self.receive_order()):
                    return False
            else:
                acceptable = self._listeners.get(fd, acceptable)
        if buffered:
            self._go_on(buffered, now)
        if acceptable is None:
            self._waiting_since = None
        elif self._listening:
            self._accept_in_turn(acceptable, now)
        if now >= self._next_scan:
            self._scan(now)
        return True

    def _go_on(self, buffered: list[Connection], now: float) -> None:
        """Advance the connections that had more to do when the turn began."""
        for connection in buffered:
            if connection in self._again:
                del self._again[connection]
                self._advance(connection, now)

    def _advance(self, connection: Connection, now: float) -> None:
        step = connection.advance(now)
        if step is _RUN:
            step = self._run_job(connection)
        self._arrange(connection, step)

    def _run_job(self, connection: Connection) -> Next:
        self._ran = True
        cells = self.row.cells
        if self._has_siblings:
            started = self.clock()
            cells[_BUSY_SINCE] = int(started * 1e9)
            if started >= self._next_look:
                self._look_at_siblings(started)
            if started < self._decline_until:
                connection.drain(started)
        if self.retiring:
            # Its clients come back by the backlog, to whoever is there then.
            connection.drain(self.clock())
        cells[_BUSY] = 1
        failed = connection.take()()
        cells[_BUSY] = cells[_BUSY_SINCE] = 0
        ended = self.clock()
        self.count(failed=failed is True)
        return connection.advance(ended)

    def _arrange(self, connection: Connection, step: Next) -> None:
        """Poll for what the connection asked for; touch the kernel only when that changes."""
        if step is _IDLE or step is _READ:
            if connection.interest != READ:
                self._watch(connection, READ)
        elif step is Next.WRITE:
            if connection.interest != WRITE:
                self._watch(connection, WRITE)
        elif step is Next.CLOSE:
            self._drop(connection)
        else:
            self._again[connection] = None

    def _watch(self, connection: Connection, interest: int) -> None:
        if connection.interest:
            self._poller.modify(connection.stream.fileno(), interest)
        else:
            self._poller.register(connection.stream.fileno(), interest)
        connection.interest = interest

    def _drop(self, connection: Connection) -> None:
        self._again.pop(connection, None)
        if connection.interest:
            self._poller.unregister(connection.stream.fileno())
        self.discard(connection)

    def _look_at_siblings(self, now: float) -> None:
        """Notice a request that holds its worker up: the next one like it may come here."""
        self._next_look = now + _LOOK_EVERY
        late = int((now - _LONG) * 1e9)
        if any(0 < row.cells[_BUSY_SINCE] < late for row in self.context.siblings):
            self._decline_until = now + _DECLINE_FOR

    # -- accepting -----------------------------------------------------------------------------------------------

    def _adjust_listening(self) -> None:
        """Poll the listeners exactly while a connection could be accepted."""
        wanted = not self._draining and self._newcomer is None and self.may_accept
        if wanted == self._listening:
            return
        for fd in self._listeners:
            if wanted:
                self._poller.register(fd, READ | EXCLUSIVE)
            else:
                self._poller.unregister(fd)
        self._listening = wanted

    def _accept_in_turn(self, listener: Listener, now: float) -> None:
        if self._ran and self._has_siblings:
            if self._waiting_since is None:
                self._waiting_since = now
            if now - self._waiting_since < _PATIENCE:
                return
        self._waiting_since = None
        connection = self.accept(listener)
        if connection is not None:
            # The kernel wakes the process that registered first of those that wait: go to the end of that queue,
            # or the same process would take every connection of a quiet hour.
            self._poller.unregister(listener.fileno())
            self._poller.register(listener.fileno(), READ | EXCLUSIVE)
            # Its request has usually arrived with it, so look before polling.
            self._advance(connection, now)
            if now < self._decline_until and connection.interest and self._has_siblings:
                self._newcomer = connection
                self._newcomer_until = now + _FIRST_REQUEST

    def _patience(self) -> float:
        """Return how long the poller may wait."""
        if self._newcomer is None:
            return self._scan_interval
        left = self._newcomer_until - self.clock()
        if left > 0 and self._newcomer.stream.fileno() >= 0 and not self._ran:
            return min(left, self.beat_interval)
        self._newcomer = None
        self._adjust_listening()
        return self.beat_interval

    # -- deadlines and orders ------------------------------------------------------------------------------------

    def _scan(self, now: float) -> None:
        self._next_scan = now + self._scan_interval
        self._has_siblings = sum(row.cells[_STATE] == State.READY for row in self.context.siblings) > 1
        for connection in self.overdue(now):
            self._arrange(connection, connection.expire(now))

    def _obey(self, order: Order | None) -> bool:
        """Carry out an order; False when the loop must end."""
        if order is Order.QUIT:
            return False
        if order is not None and not self._draining:
            now = self.clock()
            if order is Order.DRAIN_LAST:
                self._empty_backlog(now)
            self._draining = True
            # At once: this very turn may have found somebody to accept.
            self._adjust_listening()
            self._scan_interval = _SCAN_WHILE_DRAINING
            self._next_scan = 0.0
            for connection in list(self.connections.values()):
                self._arrange(connection, connection.drain(now))
        return True

    def _empty_backlog(self, now: float) -> None:
        """Take every connection that waits to be accepted: on a full stop nobody else will."""
        for listener in self._listeners.values():
            while len(self.connections) < self.connection_limit and (connection := self.accept(listener)) is not None:
                self._advance(connection, now)
