"""What the gevent and the eventlet worker have in common: many jobs at a time in one thread, each in a greenlet.

The library's hub watches one descriptor of ours: a poller, which knows all connections that wait. What is ready in a
turn becomes a list of work, and a greenlet does it piece by piece: advances a connection, runs its job. Where a job
has to wait, the hub gets another greenlet to go on with the list, for what blocks is patched to switch to the hub. So
an idle connection costs no greenlet, and a turn in which nothing blocks two switches, however many requests it serves.

Who may touch what: one greenlet at a time attends to a connection, which is ``busy`` meanwhile. Deadlines and drains
leave a busy connection to the one who attends to it.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from workerkit.errors import Disconnected, RequestOverdue
from workerkit.net.job_deadline import JobDeadline, JobDeadlines
from workerkit.net.poller import READ, WRITE, Poller, make_poller
from workerkit.net.protocol import Connection, Next
from workerkit.net.stream import Stream, raise_deadline
from workerkit.process.scoreboard import Column
from workerkit.workers.base import Order, WorkerContext
from workerkit.workers.hub import Hub
from workerkit.workers.overdue import REASON, report
from workerkit.workers.patching import patch
from workerkit.workers.server import BACKLOG_FOR, DEFER_FOR, LOG_WITHIN, ConnectionOptions, ServerWorker, Source
from workerkit.workers.watchdog import Watchdog, describe_suspended

_RESTING_AT_MOST = 256
_STAND_BACK_FOR = 0.002
_QUICK_SUCCESSION = 1_000_000  # nanoseconds
_ACCEPTED_AT = Column.ACCEPTED_AT
_ACCEPT_AT_ONCE = 64
_LOOK_WHILE_DRAINING = 0.02

# Plain names: an attribute of an enum costs the request path 0.1 µs.
_IDLE = Next.IDLE
_READ = Next.READ
_WRITE = Next.WRITE
_RUN = Next.RUN
_AGAIN = Next.AGAIN
_BUSY = Column.BUSY

_LATE = object()


@dataclass(frozen=True, eq=False, repr=False)
class GreenletOptions(ConnectionOptions):
    """Workers of greenlets."""

    post_patch: str = field(
        default="",
        metadata={
            "metavar": "MODULE:FUNCTION",
            "help": "Called right after the standard library was patched, before the application is imported: "
            "for drivers that need to be told (psycopg2, grpc).",
        },
    )
    blocked_after: float = field(
        default=3.0,
        metadata={
            "unit": "seconds",
            "help": "When nothing could run for this long because one greenlet held the hub up, "
            "the log shows what each of them does; 0 turns this off.",
        },
    )


class _Seat:
    """A connection's place in the worker: who attends to it, and who is woken when it is ready."""

    __slots__ = ("busy", "connection", "fd", "reading", "writing")

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.fd = connection.stream.fileno()
        self.busy = True
        """Whether a greenlet attends to it, or is about to."""
        self.reading: Any = None
        """The greenlet that waits inside a job until it can read."""
        self.writing: Any = None
        """The greenlet that waits inside a job until it can write."""


class GreenletWorker(ServerWorker):
    """A greenlet for each job; a subclass for each library."""

    jobs = frozenset({"call", "dialogue"})
    multithread = True
    needs_patching = True
    interrupts = True
    hands_over = True
    Options: ClassVar[type] = GreenletOptions
    hub: Hub

    @classmethod
    def at_once(cls, options: Any) -> int:
        """Return the number of connections: each may have a greenlet that runs."""
        return max(1, int(options.worker_connections))

    def __init__(self, context: WorkerContext) -> None:
        super().__init__(context)
        options = context.class_options
        assert isinstance(options, GreenletOptions)  # noqa: S101  Options says so
        patience = options.blocked_after
        if context.options.timeout:
            # Say what it is while the arbiter still waits.
            patience = min(patience, context.options.timeout / 2)
        if patience:
            self.beat_interval = min(self.beat_interval, patience / 2)
        self._watchdog = Watchdog(context.row, context.clock, self.log, patience)
        self._poller: Poller = make_poller()
        self._seats: dict[int, _Seat] = {}
        self._sources = {source.fileno(): source for source in self.all_sources}
        self._listening: tuple[Source, ...] = ()
        self._accept_until = 0.0
        self._has_siblings = context.workers > 1
        self._batch: deque[tuple[Callable[[Any], None], Any]] = deque()
        """What is to be done in this turn: what to call, and with what."""
        self._put_off: deque[tuple[Callable[[Any], None], Any]] = deque()
        """What is to be done in the next."""
        self._resting: list[Any] = []
        self._stood_back = False
        """Whether siblings have had their chance to take the next connection."""
        access = context.logs.access
        self._unwritten = access.lines if access is not None else ()
        self._log_is_due = False
        self._next_beat: Any = None
        self._draining = False
        self._over = False
        self._failure: Exception | None = None
        self._main: Any = None
        self._job_deadlines: JobDeadlines | None = None

    @classmethod
    def prepare(cls, options: Any) -> None:
        """Patch the standard library; see ``Worker.prepare``.

        Raises:
            PluginError: The library is not installed, or ``post_patch`` cannot be called.
        """
        patch(cls.requires[0], lambda: cls.monkey_patch(options), options.post_patch)

    @classmethod
    @abstractmethod
    def monkey_patch(cls, options: Any) -> None:
        """Import the library and have it replace what blocks; may raise ImportError."""

    @abstractmethod
    def open_hub(self) -> Hub:
        """Return a hub that works in this very process, whichever process was patched."""

    def boot(self) -> None:
        """Make the hub, which the application may use while it is loaded; see ``ServerWorker.boot``."""
        self.hub = self.open_hub()
        super().boot()

    def oversee(self, deadlines: JobDeadlines) -> None:
        """Look for jobs that run past their deadline at each heartbeat, and interrupt them."""
        deadlines.current = self.hub.current
        self._job_deadlines = deadlines
        self.beat_interval = min(self.beat_interval, deadlines.look_every)

    def describe_waiting(self) -> str:
        """Return the stacks of the greenlets that wait; see ``Worker.describe_waiting``."""
        return describe_suspended()

    def run(self) -> None:
        """Let the hub turn until an order to leave has been carried out."""
        self._main = self.hub.current()
        self._poller.register(self.orders, READ)
        self._adjust_listening()
        watch = self.hub.watch(self._poller.fileno(), self._on_events)
        self._beat()
        with self._watchdog:
            while not self._over:
                self.hub.switch()
        self.hub.cancel(self._next_beat)
        self.hub.unwatch(watch)
        for seat in list(self._seats.values()):
            self._drop(seat)
        self._poller.close()
        if self._failure is not None:
            raise self._failure

    # -- a turn of the hub ---------------------------------------------------------------------------------------

    def _on_events(self, _fd: int) -> None:
        """Sort out what is ready, and have it done; in the hub."""
        seats = self._seats
        batch = self._batch
        for fd, events in self._poller.poll(0):
            seat = seats.get(fd)
            if seat is None:
                batch.append((self._obey, fd) if fd == self.orders else (self._accept_some, self._sources[fd]))
            elif not seat.busy:
                seat.busy = True
                batch.append((self._attend, seat))
            else:
                self._wake(seat, events)
        self._share_out()

    def _wake(self, seat: _Seat, events: int) -> None:
        """Switch to the greenlet that waits for this inside a job; in the hub."""
        # An error or the end of the connection wakes either.
        if seat.reading is not None and events & ~WRITE:
            seat.reading.switch()
        elif seat.writing is not None and events & ~READ:
            seat.writing.switch()
        else:
            # More has come than the job has asked for. Whoever waits for it next will poll for it again.
            reads = READ if seat.reading is not None else 0
            self._poll_for(seat, reads | (WRITE if seat.writing is not None else 0))

    def _share_out(self) -> None:
        """Have greenlets do what there is to do; in the hub."""
        resting = self._resting
        while self._batch:
            (resting.pop() if resting else self.hub.spawn(self._labour)).switch()

    def _labour(self) -> None:
        """Do piece after piece, and rest until there is more; in a greenlet."""
        hub = self.hub
        me = hub.current()
        resting = self._resting
        batch = self._batch
        try:
            while len(resting) < _RESTING_AT_MOST:
                while batch:
                    do, what = batch.popleft()
                    do(what)
                if self._unwritten and not self._log_is_due:
                    self._log_is_due = True
                    hub.later(LOG_WITHIN, self._write_log)
                resting.append(me)
                hub.switch()
        except Exception as error:  # noqa: BLE001  it ends the worker, as it would have in its main greenlet
            self._failure = error
            self._leave()

    def _write_log(self) -> None:
        """Write the lines of the access log; in the hub."""
        self._log_is_due = False
        self.context.logs.flush()

    def _do_later(self, do: Callable[[Any], None], what: object) -> None:
        """Have it done in the next turn, when others have had theirs."""
        if not self._put_off:
            self.hub.soon(self._take_up)
        self._put_off.append((do, what))

    def _take_up(self) -> None:
        """Do what was put off; in the hub."""
        self._batch.extend(self._put_off)
        self._put_off.clear()
        self._share_out()

    # -- connections, in a greenlet ------------------------------------------------------------------------------

    def _attend(self, seat: _Seat) -> None:
        """Go on with a connection that something has happened to."""
        connection = seat.connection
        try:
            step = connection.advance(self.clock())
            if step is _RUN:
                step = self._run_job(connection)
        except Exception as error:  # noqa: BLE001  a fault of its protocol costs a connection, not the worker
            step = self.fault(connection, error)
        self._settle(seat, step)

    def _run(self, seat: _Seat) -> None:
        """Go on with a connection whose job was put off."""
        try:
            step = self._run_job(seat.connection)
        except Exception as error:  # noqa: BLE001  as above
            step = self.fault(seat.connection, error)
        self._settle(seat, step)

    def _run_job(self, connection: Connection) -> Next:
        if self.retiring:
            self.decline(connection)
        cells = self.row.cells
        cells[_BUSY] += 1
        try:
            intact = self.call(connection, self.count)
        finally:
            cells[_BUSY] -= 1
        return connection.advance(self.clock()) if intact else Next.CLOSE

    def _settle(self, seat: _Seat, step: Next) -> None:
        """Poll for what the connection asks for; touch the kernel only when that changes."""
        if step is _IDLE or step is _READ:
            if self._draining and step is _IDLE and self._give_away(seat):
                return
            seat.busy = False
            if seat.connection.interest != READ:
                self._poll_for(seat, READ)
        elif step is _WRITE:
            seat.busy = False
            if seat.connection.interest != WRITE:
                self._poll_for(seat, WRITE)
        elif step is _AGAIN:
            self._do_later(self._attend, seat)
        elif step is _RUN:
            self._do_later(self._run, seat)
        else:
            self._drop(seat)

    def _poll_for(self, seat: _Seat, mask: int) -> None:
        before, seat.connection.interest = seat.connection.interest, mask
        if not mask:
            self._poller.unregister(seat.fd)
        elif before:
            self._poller.modify(seat.fd, mask)
        else:
            self._poller.register(seat.fd, mask)

    def _drop(self, seat: _Seat) -> None:
        seat.busy = True
        if seat.connection.interest:
            self._poll_for(seat, 0)
        del self._seats[seat.fd]
        self.discard(seat.connection)
        self._after_departure()

    def _give_away(self, seat: _Seat) -> bool:
        """Have another worker go on with an idle connection; True: it is gone."""
        connection = seat.connection
        if not self.can_hand_over(connection):
            return False
        if connection.interest:
            self._poll_for(seat, 0)
        if not self.hand_over(connection):
            return False
        seat.busy = True
        del self._seats[seat.fd]
        self._after_departure()
        return True

    def _after_departure(self) -> None:
        self._adjust_listening()
        if self._draining and not self.connections and not self._over:
            if self.clock() < self._accept_until:
                # Who comes at the last moment is served.
                self._empty_backlog()
            if not self.connections:
                self._leave()

    def wait(self, stream: Stream, want: int, deadline: float | None) -> None:
        """Let others run until the stream is ready; see ``net.stream.Wait``."""
        seat = self._seats.get(stream.fileno())
        if seat is None:
            raise Disconnected("the connection is closed")
        if (seat.reading if want == READ else seat.writing) is not None:
            raise RuntimeError("two greenlets wait for one connection, both to read from it or both to write to it")
        me = self.hub.current()
        timer = None if deadline is None else self.hub.later(max(0.0, deadline - self.clock()), me.switch, _LATE)
        if not seat.connection.interest & want:
            self._poll_for(seat, seat.connection.interest | want)
        if want == READ:
            seat.reading = me
        else:
            seat.writing = me
        try:
            woken = self.hub.switch()
        finally:
            if want == READ:
                seat.reading = None
            else:
                seat.writing = None
            if timer is not None:
                self.hub.cancel(timer)
        if woken is _LATE:
            raise_deadline(want)

    # -- accepting -----------------------------------------------------------------------------------------------

    def _adjust_listening(self) -> None:
        """Poll the sources exactly while a connection could be accepted."""
        wanted = self.sources if not self._draining and self.may_accept else ()
        if wanted is self._listening:
            return
        before, self._listening = self._listening, wanted
        for source in before:
            self._poller.unregister(source.fileno())
        for source in wanted:
            self._poller.register(source.fileno(), READ)

    def defer(self) -> None:
        """Have siblings take what is handed over, for a moment; see ``ServerWorker.defer``."""
        super().defer()
        self.hub.later(DEFER_FOR, self._stop_deferring)

    def _stop_deferring(self) -> None:
        self.stop_deferring()
        self._adjust_listening()

    def _accept_some(self, source: Source) -> None:
        """Accept; one at a time where siblings do too, so that each of them gets its share."""
        if not self._listening:
            return
        if self._has_siblings and source.share is None:
            now = int(self.clock() * 1e9)
            if not self._stood_back and self._is_a_siblings_turn(now):
                self._stand_back()
                return
            self._stood_back = False
            self.row.cells[_ACCEPTED_AT] = now
            self._accept(source, 1)
        else:
            self._accept(source, _ACCEPT_AT_ONCE)
        self._adjust_listening()

    def _is_a_siblings_turn(self, now: int) -> bool:
        """Tell whether a sibling that has nothing to do has not accepted for longer than this worker.

        A new connection wakes all of them, because the hub's poller watches ours, and is no waiter of its own that the
        kernel could wake alone. Without turns, it would be the same process's again and again. Where connections come
        in quick succession, everybody has enough to do, and whoever is there takes the next one.
        """
        mine = self.row.cells[_ACCEPTED_AT]
        return now - mine > _QUICK_SUCCESSION and any(
            row.cells[_ACCEPTED_AT] < mine and not row.cells[Column.BUSY] for row in self.ready_siblings()
        )

    def _stand_back(self) -> None:
        """Leave what waits to the siblings, for a moment."""
        for source in self._listening:
            self._poller.unregister(source.fileno())
        self._listening = ()
        self._stood_back = True
        self.hub.later(_STAND_BACK_FOR, self._adjust_listening)

    def _accept(self, source: Source, at_most: int) -> None:
        for _ in range(at_most):
            if len(self.connections) >= self.connection_limit or (connection := self.accept(source)) is None:
                return
            if self._draining:
                self.drain(connection, self.clock())
            seat = _Seat(connection)
            self._seats[seat.fd] = seat
            # Its request has usually arrived with it, so look before polling.
            self._batch.append((self._attend, seat))

    # -- the heart, deadlines and orders -------------------------------------------------------------------------

    def _beat(self) -> None:
        """Beat the heart; in the hub, where it says that nobody holds the others up."""
        self.beat()
        interval = min(_LOOK_WHILE_DRAINING, self.beat_interval) if self._draining else self.beat_interval
        self._next_beat = self.hub.later(interval, self._beat)
        self._do_later(self._look_around, self.clock())

    def _look_around(self, now: float) -> None:
        """See to what comes with time: deadlines, a pause in accepting that is over, a worker that is old."""
        self.check_up(now)
        self._look_for_overdue_jobs(now)
        # The pool may have grown or shrunk.
        self._has_siblings = len(self.ready_siblings()) > 1
        if self._draining:
            self._go_on_leaving(now)
        if not self.late:
            self._expire_some(now)
        self._adjust_listening()

    def _expire_some(self, now: float) -> None:
        """End connections whose time is over; what is left over is done in the next turn."""
        for connection in self.overdue(now):
            seat = self._seats[connection.stream.fileno()]
            if not seat.busy:
                seat.busy = True
                self._settle(seat, self.expire(connection, now))
        if self.late:
            self._do_later(self._expire_some, self.clock())

    def _look_for_overdue_jobs(self, now: float) -> None:
        """Interrupt what runs past its deadline; what goes on all the same is told of once more, and let be."""
        deadlines = self._job_deadlines
        if deadlines is None:
            return
        for deadline in deadlines.overdue(now):
            frame = deadline.runner.gr_frame
            if deadline.was_told:
                deadlines.end(deadline)
                report(self.log, deadline, now, frame, "it did not heed the interruption, so the worker is replaced")
                self.retire(REASON)
            else:
                deadline.was_told = True
                deadline.extend(deadlines.seconds)
                report(self.log, deadline, now, frame, "it is interrupted")
                self.hub.soon(self._interrupt, deadlines, deadline)

    @staticmethod
    def _interrupt(deadlines: JobDeadlines, deadline: JobDeadline) -> None:
        """Raise an exception in a job; in the hub, as whatever switches to a greenlet that waits."""
        if deadline in deadlines.running:
            deadline.runner.throw(RequestOverdue("the request took too long"))

    def _obey(self, _fd: int) -> None:
        order = self.receive_order()
        self._adjust_listening()
        if order is Order.QUIT:
            self._leave()
        elif order is not None:
            self._begin_to_leave(order)

    def _begin_to_leave(self, order: Order) -> None:
        if not self._draining:
            # From now on it looks around more often.
            self.hub.cancel(self._next_beat)
            self.hub.soon(self._beat)
        self._draining = True
        self._adjust_listening()
        now = self.clock()
        self.begin_to_hand_over(now)
        if order is Order.DRAIN_LAST:
            self._accept_until = now + BACKLOG_FOR
        self._drain(now)
        self._after_departure()

    def _drain(self, now: float) -> None:
        """Bring all connections to their end, or to where another worker can take them over."""
        for seat in list(self._seats.values()):
            step = self.drain(seat.connection, now)
            if not seat.busy:
                seat.busy = True
                self._settle(seat, step)

    def _empty_backlog(self) -> None:
        """Take every connection that waits to be accepted: on a full stop nobody else will."""
        for source in self._sources.values():
            self._accept(source, self.connection_limit)

    def _go_on_leaving(self, now: float) -> None:
        """Do what the order to leave could not do at once: there was no room, here or in the queue to others."""
        if now < self._accept_until:
            self._empty_backlog()
        for seat in list(self._seats.values()):
            if not seat.busy and self.can_hand_over(seat.connection):
                seat.busy = True
                self._settle(seat, _IDLE)
                if not seat.busy:
                    # It is still here: there is no room in the queue.
                    if self.give_up_handing_over(now):
                        self._drain(now)
                    return

    def _leave(self) -> None:
        if not self._over:
            self._over = True
            self.hub.soon(self._main.switch)
