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

from typing import ClassVar

from workerkit.net.poller import READ
from workerkit.net.protocol import Connection, Next
from workerkit.net.stream import Stream
from workerkit.process.scoreboard import Column
from workerkit.workers.base import WorkerContext
from workerkit.workers.polling import PollingWorker, ThreadOptions
from workerkit.workers.server import Source

_PATIENCE = 0.05
_LONG = 0.1
_DECLINE_FOR = 30.0
_LOOK_EVERY = 0.02
_FIRST_REQUEST = 0.005

# Plain names for the loop: an attribute of an enum costs it 0.1 µs.
_BUSY = Column.BUSY
_BUSY_SINCE = Column.BUSY_SINCE


class SyncWorker(PollingWorker):
    """One request at a time; the default."""

    jobs = frozenset({"call"})
    reforks = True
    Options: ClassVar[type] = ThreadOptions

    @classmethod
    def stand_in(cls, options: object) -> str | None:
        """Leave several threads to the threaded worker, as gunicorn does."""
        return "threaded" if isinstance(options, ThreadOptions) and (options.threads or 1) > 1 else None

    def __init__(self, context: WorkerContext) -> None:
        super().__init__(context)
        self._has_siblings = context.workers > 1
        self._declined_since: float | None = None
        self._decline_until = 0.0
        self._next_look = 0.0
        self._newcomer: Connection | None = None
        self._newcomer_until = 0.0

    def run(self) -> None:
        """Serve until told to leave."""
        self.poller.register(self.orders, READ)
        while not (self.draining and self.has_left) and self.turn():
            pass
        self.close()

    def on_event(self, fd: int) -> bool:  # noqa: ARG002  only orders can arrive
        """Carry out an order."""
        return self.obey(self.receive_order())

    def wait(self, stream: Stream, want: int, deadline: float | None) -> None:
        """Block the worker: a job on this class holds its only thread anyway."""
        self.beat()
        super().wait(stream, want, deadline)
        self.beat()

    def run_job(self, connection: Connection) -> Next:
        """Run it here and now."""
        self.ran = True
        cells = self.row.cells
        if self._has_siblings:
            started = self.clock()
            cells[_BUSY_SINCE] = int(started * 1e9)
            if started >= self._next_look:
                self._look_at_siblings(started)
            if started < self._decline_until:
                self.drain(connection, started)
        if self.retiring:
            self.decline(connection)
        cells[_BUSY] = 1
        intact = self.call(connection, self.count)
        cells[_BUSY] = cells[_BUSY_SINCE] = 0
        return connection.advance(self.clock()) if intact else Next.CLOSE

    # -- fairness ------------------------------------------------------------------------------------------------

    def wants_newcomers(self) -> bool:
        """Whether a new connection would not become a hostage."""
        return self._newcomer is None and not self.draining and self.may_accept

    def accept_in_turn(self, source: Source | None, now: float) -> None:
        """Accept, unless this worker is at work and a sibling may be free."""
        if source is None:
            self._declined_since = None
            return
        if self.ran and self._has_siblings and source.share is None:
            if self._declined_since is None:
                self._declined_since = now
                self.context.nudge.give()
            if now - self._declined_since < _PATIENCE:
                return
        self._declined_since = None
        connection = self.welcome(source, now)
        if connection is not None and connection.interest and self._has_siblings and now < self._decline_until:
            self._newcomer = connection
            self._newcomer_until = now + _FIRST_REQUEST

    def patience(self) -> float:
        """Wait for a newcomer's first request only for a moment."""
        if self._newcomer is None:
            return self._scan_interval
        left = self._newcomer_until - self.clock()
        if left > 0 and self._newcomer.stream.fileno() >= 0 and not self.ran:
            return left
        self._newcomer = None
        return 0.0

    def scan(self, now: float) -> None:
        """Look for deadlines, and whether there are siblings."""
        super().scan(now)
        self._has_siblings = len(self.ready_siblings()) > 1

    def _look_at_siblings(self, now: float) -> None:
        """Notice a request that holds its worker up: the next one like it may come here."""
        self._next_look = now + _LOOK_EVERY
        late = int((now - _LONG) * 1e9)
        if any(0 < row.cells[_BUSY_SINCE] < late for row in self.siblings()):
            self._decline_until = now + _DECLINE_FOR
