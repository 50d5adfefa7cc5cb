"""What workers with a poller have in common: many connections waited for in one place.

One turn of the loop: wait for events, advance the connections that have them, accept a new one, look for deadlines.
Where a job runs, and who runs the loop, is the concrete class's business.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field

from workerkit.net.poller import EDGE, EXCLUSIVE, READ, WRITE, Poller, make_poller, wait_for
from workerkit.net.protocol import Connection, Next
from workerkit.net.stream import Stream, raise_deadline
from workerkit.process.scoreboard import Column
from workerkit.workers.base import Order, WorkerContext
from workerkit.workers.server import BACKLOG_FOR, DEFER_FOR, LOG_WITHIN, ConnectionOptions, ServerWorker, Source

_SCAN_WHILE_DRAINING = 0.02
_EVENTS = 8
"""Events of one turn at most: who comes just after a turn has begun waits for that one to end, and then in line."""

# Plain names for the loop: an attribute of an enum costs it 0.1 µs.
_IDLE = Next.IDLE
_READ = Next.READ
_RUN = Next.RUN
_BEAT = Column.BEAT


@dataclass(frozen=True, eq=False, repr=False)
class ThreadOptions(ConnectionOptions):
    """Connections and threads.

    Those of the sync worker and of the threaded one, which takes its place when there is to be more than one thread.
    """

    threads: int | None = field(
        default=None,
        metadata={
            "metavar": "N",
            "help": "Requests that one worker runs at the same time, otherwise 1 (sync) or 8 (threaded); "
            "more than one makes a sync worker a threaded one.",
        },
    )


class PollingWorker(ServerWorker):
    """The base of workers that keep their waiting connections in one poller."""

    hands_over = True

    def __init__(self, context: WorkerContext) -> None:
        super().__init__(context)
        self.poller: Poller = make_poller()
        self.draining = False
        self.listening: tuple[Source, ...] = ()
        """The sources that are polled."""
        self.ran = False
        """Whether a job ran in this turn."""
        self._nudged = context.nudge.fileno()
        if self._nudged >= 0:
            self.poller.register(self._nudged, READ | EXCLUSIVE | EDGE)
        self._sources = {source.fileno(): source for source in self.all_sources}
        self._accept_until = 0.0
        self._is_deferring = False
        self._again: dict[Connection, Next] = {}
        """Who has more to do without waiting for anything, and what: AGAIN, or RUN for a job that nobody took yet."""
        access = context.logs.access
        self._unwritten = access.lines if access is not None else ()
        self._log_at = 0.0
        self._scan_interval = self.beat_interval
        self._next_scan = 0.0

    # -- what a concrete class decides ---------------------------------------------------------------------------

    @abstractmethod
    def run_job(self, connection: Connection) -> Next:
        """Run the job that waits in ``connection`` and return how it goes on."""

    @abstractmethod
    def on_event(self, fd: int) -> bool:
        """Take an event of a descriptor that is neither a listener nor a connection; False: leave at once."""

    def wants_newcomers(self) -> bool:
        """Whether a new connection would be welcome now."""
        return not self.draining and self.may_accept

    def accept_in_turn(self, source: Source | None, now: float) -> None:
        """Take one new connection from a source that has some; None: nobody waits anywhere."""
        if source is not None:
            self.welcome(source, now)

    def patience(self) -> float:
        """Return for how many seconds the poller may wait."""
        return self._scan_interval

    # -- one turn of the loop ------------------------------------------------------------------------------------

    def turn(self) -> bool:
        """Wait for something to happen and do it; False when it is time to leave at once."""
        self._adjust_listening()
        buffered = list(self._again) if self._again else None
        if buffered:
            events = self.poller.poll(0, _EVENTS)
        else:
            events = self._poll_and_log() if self._unwritten else self.poller.poll(self.patience(), _EVENTS)
        now = self.clock()
        self.row.cells[_BEAT] = int(now * 1e9)
        self.ran = False
        acceptable: Source | None = None
        connections = self.connections
        for fd, _ in events:
            connection = connections.get(fd)
            if connection is not None:
                if connection not in self._again:
                    self.advance(connection, now)
            elif fd in self._sources:
                acceptable = self._sources[fd]
            elif fd == self._nudged:
                self._look_again()
            elif not self.on_event(fd):
                return False
        if buffered:
            self._go_on(buffered, now)
        self.accept_in_turn(None if self.draining else acceptable, now)
        if now >= self._next_scan:
            self.scan(now)
        return True

    def _poll_and_log(self) -> list[tuple[int, int]]:
        """Poll; lines of the access log are written when the oldest has waited for a while."""
        now = self.clock()
        if not self._log_at:
            self._log_at = now + LOG_WITHIN
        left = self._log_at - now
        if left > 0:
            return self.poller.poll(min(left, self.patience()), _EVENTS)
        self.context.logs.flush()
        self._log_at = 0.0
        return self.poller.poll(self.patience(), _EVENTS)

    def _go_on(self, buffered: list[Connection], now: float) -> None:
        """Advance the connections that had more to do when the turn began."""
        for connection in buffered:
            step = self._again.pop(connection, None)
            if step is _RUN:
                self.run_later_job(connection)
            elif step is not None:
                self.advance(connection, now)

    def run_later_job(self, connection: Connection) -> None:
        """Have a job run that came right after another one, once the others have had their turn."""
        self.arrange(connection, self.run_job(connection))

    def advance(self, connection: Connection, now: float) -> None:
        """Go on with a connection as far as it goes, its job included."""
        try:
            step = connection.advance(now)
            if step is _RUN:
                step = self.run_job(connection)
        except Exception as error:  # noqa: BLE001  a fault of its protocol costs a connection, not the worker
            step = self.fault(connection, error)
        self.arrange(connection, step)

    def arrange(self, connection: Connection, step: Next) -> None:
        """Poll for what the connection asked for; touch the kernel only when that changes."""
        if step is _IDLE or step is _READ:
            if self.draining and step is _IDLE and self._give_away(connection):
                return
            if connection.interest != READ:
                self._watch(connection, READ)
        elif step is Next.WRITE:
            if connection.interest != WRITE:
                self._watch(connection, WRITE)
        elif step is Next.CLOSE:
            self._drop(connection)
        else:
            self._again[connection] = step

    def _watch(self, connection: Connection, interest: int) -> None:
        # Noted first: once it is registered, another thread may be the one that takes its events.
        before, connection.interest = connection.interest, interest
        if before:
            self.poller.modify(connection.stream.fileno(), interest)
        else:
            self.poller.register(connection.stream.fileno(), interest)

    def unwatch(self, connection: Connection) -> None:
        """Stop polling a connection: its job runs elsewhere, or it is closed."""
        if connection.interest:
            self.poller.unregister(connection.stream.fileno())
            connection.interest = 0

    def _give_away(self, connection: Connection) -> bool:
        """Have another worker go on with an idle connection; True: it is gone."""
        if not self.can_hand_over(connection):
            return False
        self.unwatch(connection)
        return self.hand_over(connection)

    def _drop(self, connection: Connection) -> None:
        self._again.pop(connection, None)
        self.unwatch(connection)
        self.discard(connection)

    # -- accepting -----------------------------------------------------------------------------------------------

    def _adjust_listening(self) -> None:
        """Poll the sources exactly while a new connection would be welcome."""
        wanted = self.sources if self.wants_newcomers() else ()
        if wanted is self.listening:
            return
        before, self.listening = self.listening, wanted
        for source in before:
            self.poller.unregister(source.fileno())
        for source in wanted:
            self.poller.register(source.fileno(), _interest_in(source))
        if not wanted:
            self.context.nudge.give()

    def _look_again(self) -> None:
        """A sibling did not take what it was woken for: registering anew finds whoever waits now."""
        for source in self.listening:
            self.poller.unregister(source.fileno())
            self.poller.register(source.fileno(), _interest_in(source))

    def welcome(self, source: Source, now: float) -> Connection | None:
        """Accept a connection and begin with it."""
        connection = self.accept(source)
        if connection is not None:
            if source.share is None:
                # The kernel wakes the process that registered first of those that wait: go to the end of that queue,
                # or the same process would take every connection of a quiet hour.
                self.poller.unregister(source.fileno())
                self.poller.register(source.fileno(), _interest_in(source))
            # Its request has usually arrived with it, so look before polling.
            self.advance(connection, now)
        return connection

    def _empty_backlog(self) -> None:
        """Take every connection that waits to be accepted: on a full stop nobody else will.

        Their requests wait for the next turn: a job that ran here could unwind the order that is being obeyed.
        """
        now = self.clock()
        for source in self._sources.values():
            while len(self.connections) < self.connection_limit and (connection := self.accept(source)) is not None:
                self.drain(connection, now)
                self._again[connection] = Next.AGAIN

    @property
    def has_left(self) -> bool:
        """Whether there is nothing more to do for a worker that drains. Who comes at the last moment is served."""
        if not self.connections and self.clock() < self._accept_until:
            self._empty_backlog()
        return not self.connections

    # -- deadlines and orders ------------------------------------------------------------------------------------

    def scan(self, now: float) -> None:
        """See to what comes with time: deadlines, the order to leave, and whether this worker is old enough."""
        if not self.late:
            self.check_up(now)
            if self.draining:
                self._go_on_leaving(now)
            elif self._is_deferring:
                self._is_deferring = False
                self.stop_deferring()
        for connection in self.overdue(now):
            # One that is not polled has a job running, which keeps its own deadlines.
            if connection.interest:
                self.arrange(connection, self.expire(connection, now))
        self._plan_scan(now)

    def _plan_scan(self, now: float) -> None:
        """Decide when to look again; it is also for how long the poller may wait."""
        if self.late:
            self._scan_interval = 0.0
        elif self.draining:
            self._scan_interval = _SCAN_WHILE_DRAINING
        else:
            self._scan_interval = DEFER_FOR if self._is_deferring else self.beat_interval
        self._next_scan = now + self._scan_interval

    def defer(self) -> None:
        """Have siblings take what is handed over, until the next scan; see ``ServerWorker.defer``."""
        super().defer()
        self._is_deferring = True
        self._plan_scan(self.clock())

    def obey(self, order: Order | None) -> bool:
        """Carry out an order; False when the loop must end at once."""
        if order is Order.QUIT:
            return False
        if order is not None:
            now = self.clock()
            self.draining = True
            self._next_scan = 0.0
            self.begin_to_hand_over(now)
            self._drain(now)
            if order is Order.DRAIN_LAST:
                self._accept_until = now + BACKLOG_FOR
                self._empty_backlog()
        return True

    def _drain(self, now: float) -> None:
        """Bring all connections to their end, or to where another worker can take them over."""
        for connection in list(self.connections.values()):
            step = self.drain(connection, now)
            # One that is not polled has a job running elsewhere, and goes on when that has ended; so does one
            # whose job is still to be run.
            if self._again.get(connection) is not _RUN and (connection.interest or connection in self._again):
                self.arrange(connection, step)

    def _go_on_leaving(self, now: float) -> None:
        """Do what the order to leave could not do at once: there was no room, here or in the queue to others."""
        if now < self._accept_until:
            self._empty_backlog()
        for connection in list(self.connections.values()):
            if connection.interest == READ and self.can_hand_over(connection):
                self.arrange(connection, _IDLE)
                if connection.interest:
                    # It is still here: there is no room in the queue.
                    if self.give_up_handing_over(now):
                        self._drain(now)
                    return

    def close(self) -> None:
        """Close what is left."""
        self.oversee_no_more()
        for connection in list(self.connections.values()):
            self.discard(connection)
        self.poller.close()

    def wait(self, stream: Stream, want: int, deadline: float | None) -> None:
        """Block the thread that the job runs on."""
        timeout = None if deadline is None else deadline - self.clock()
        if not wait_for(stream.fileno(), want, timeout):
            raise_deadline(want)


def _interest_in(source: Source) -> int:
    # A share is one worker's, and during a handing over its successor's too. To wake both costs less than a nudge,
    # which might reach a worker that polls another share.
    return READ | EXCLUSIVE if source.share is None else READ
