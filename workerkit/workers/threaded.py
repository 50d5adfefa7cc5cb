"""The threaded worker: several requests at a time, one poller, as few hand-overs as possible.

Threads that share a poller race for one interpreter lock, and handing every request from a polling thread to another
costs more than most requests do. So one thread, the *leader*, polls and runs the requests itself, like a sync worker.
Only when a request blocks in the application does another thread take the lead:

* The main thread watches. A leader whose job has not ended between two looks loses the lead to an idle thread
  (``_take_over``), and its connection leaves the poller until the job has ended.
* While jobs have been blocking of late, the leader passes the lead on before it runs one (``_pass_on``): then
  nobody waits for the main thread to notice.
* When every thread is busy, the main thread leads: it reads requests, sends what slow clients take and keeps the
  deadlines, and queues complete requests for the next free thread. It leaves newcomers to a sibling; but while
  siblings are as busy they take turns with the connections that are here, one for each job that has ended.

Idle and slow connections cost no thread, and a busy client no more than its turn.

Who may touch what: only the leader polls, accepts and arranges connections; a thread that runs a job after it has
lost the lead owns that job's connection alone, and gives it back by having it polled. Two locks keep that true:

* ``_lead_changes``. The lead changes hands in one of two ways, never in both: by whoever takes the connection out of
  the leader's ``claim`` list first. ``list.pop`` is atomic, so nobody locks for a request that does not block.
* ``_returns``. The leader learns of what is polled by its events; but when it goes through all connections, for their
  deadlines or to leave, one that is just being given back would be neither the thread's nor the poller's.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from typing import Any, ClassVar

from workerkit.net.poller import READ, make_poller
from workerkit.net.protocol import Connection, Next
from workerkit.workers.base import Order, WorkerContext
from workerkit.workers.polling import PollingWorker, ThreadOptions
from workerkit.workers.server import Source

_THREADS = 8
_LOOK = 0.005
_REST_AFTER = 20
_BLOCKING = 0.002
_WARY_FOR = 64

_RUN = Next.RUN
_AGAIN = Next.AGAIN


class _LeadLost(BaseException):
    """Unwinds a turn of the loop in a thread that leads no more; no fault, so no handler of faults catches it."""


class _JobThread(threading.Thread):
    """A thread that leads, runs a job after having lost the lead, or waits to be called."""

    def __init__(self, worker: ThreadedWorker, number: int) -> None:
        super().__init__(name=f"workerkit-{number}", daemon=True)
        self._worker = worker
        self.called = threading.Lock()
        self.called.acquire()
        self.claim: list[Connection] = []
        """The connection whose job this thread runs while it leads; taken out by whoever decides what follows."""
        self.running = False
        self.started_jobs = 0
        self.finished = 0
        self.failed = 0

    def count(self, failed: bool) -> None:
        """Count a job of this thread; the main thread adds the threads up."""
        self.finished += 1
        self.failed += failed

    def run(self) -> None:
        """Wait to be called, do what there is to do, and wait again."""
        while True:
            self.called.acquire()
            try:
                self._worker.serve(self)
            except Exception as error:  # noqa: BLE001  it ends the worker, as it would have in its main thread
                self._worker.fail(error)
                return


class ThreadedWorker(PollingWorker):
    """A pool of threads around one poller."""

    jobs = frozenset({"call", "dialogue"})
    multithread = True
    Options: ClassVar[type] = ThreadOptions

    @classmethod
    def at_once(cls, options: Any) -> int:
        """Return the number of threads."""
        return _THREADS if options.threads is None else max(1, options.threads)

    def __init__(self, context: WorkerContext) -> None:
        super().__init__(context)
        threads = self.at_once(context.class_options)
        self._threads = [_JobThread(self, number) for number in range(threads)]
        self._idle = list(self._threads)
        self._runnable: deque[Connection] = deque()
        self._lead_changes = threading.Lock()
        self._returns = threading.Lock()
        self._leader: _JobThread | None = None
        self._wary = 0
        self._resting = False
        self._over = False
        self._failure: Exception | None = None
        self._order: Order | None = None
        self._keeps_out = False
        """Whether the last whole turn of the loop took no newcomer, for want of a thread."""
        self._next_welcome = 0.0
        self._welcomed_for = 0
        # Wakes the leader out of the poller, and the main thread out of its watch.
        self._leader_wakes, self._wake_leader_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._main_wakes, self._wake_main_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    # -- the main thread -----------------------------------------------------------------------------------------

    def run(self) -> None:
        """Watch over the threads until told to leave; lead while all of them are busy."""
        self.poller.register(self._leader_wakes, READ)
        watch = make_poller()
        watch.register(self.orders, READ)
        watch.register(self._main_wakes, READ)
        for thread in self._threads:
            thread.start()
        seen: tuple[_JobThread | None, int] = (None, 0)
        quiet = 0
        self._call_a_leader()
        while not self._over:
            quiet = 0 if self._record() else quiet + 1
            self._resting = quiet > _REST_AFTER
            # A job that began before it could see us rest must be watched.
            if self._resting and self._record():
                continue
            if self._leader is None:
                self._lead_until_a_thread_is_free()
                continue
            events = watch.poll(self.beat_interval if self._resting else _LOOK)
            for fd, _ in events:
                self._on_watch_event(fd)
            seen = self._look_at_leader(seen)
        self._record()
        watch.close()
        if self._failure is not None:
            raise self._failure

    def _on_watch_event(self, fd: int) -> None:
        if fd == self._main_wakes:
            _empty(fd)
            return
        order = self.receive_order()
        if order is Order.QUIT:
            self._over = True
        else:
            # Without an order it may be told to listen elsewhere.
            self._order = order or self._order
            self._wake_leader()

    def _record(self) -> bool:
        """Beat the heart, write the figures, and return whether any job runs or has run since the last time."""
        finished = sum(thread.finished for thread in self._threads)
        failed = sum(thread.failed for thread in self._threads)
        running = sum(thread.running for thread in self._threads)
        self.beat()
        active = bool(running) or finished != self.finished_jobs
        self.record(running, finished, failed)
        return active

    def _look_at_leader(self, seen: tuple[_JobThread | None, int]) -> tuple[_JobThread | None, int]:
        """Take the lead from a thread that is in the same job as at the last look."""
        leader = self._leader
        if leader is None or not leader.claim:
            return (None, 0)
        if seen == (leader, leader.started_jobs):
            self._take_over(leader)
            return (None, 0)
        return (leader, leader.started_jobs)

    def _take_over(self, leader: _JobThread) -> None:
        with self._lead_changes:
            try:
                connection = leader.claim.pop()
            except IndexError:
                return  # it has just ended, and its thread leads on
            self.unwatch(connection)
            self._wary = _WARY_FOR
            self._call_a_leader()

    def _call_a_leader(self) -> None:
        """Give the lead to an idle thread, or to the main thread when there is none."""
        try:
            self._leader = self._idle.pop()
        except IndexError:
            self._leader = None
            self._wake_main()
            return
        self._leader.called.release()

    def _lead_until_a_thread_is_free(self) -> None:
        """Do what the leader does, but for running jobs: those are queued."""
        self.poller.register(self.orders, READ)
        if not self._keeps_out:
            # What has ended before kept nobody out.
            self._keeps_out = True
            self._record()
            self._welcomed_for = self.finished_jobs
        while not self._over and not self._idle and self.turn():
            self._record()
            self._welcome_some()
        self.poller.unregister(self.orders)
        if not self._over:
            self._call_a_leader()

    def _welcome_some(self) -> None:
        """Take newcomers whom no sibling has taken, or busy connections that stay open would keep them out for ever.

        A sibling with a free thread is far quicker than the time between two looks.
        """
        now = self.clock()
        if now < self._next_welcome:
            return
        self._next_welcome = now + _LOOK
        due = min(self.finished_jobs - self._welcomed_for, len(self._threads))
        self._welcomed_for = self.finished_jobs
        for source in self.sources:
            while due > 0 and super().wants_newcomers() and (connection := self.accept(source)) is not None:
                self.advance(connection, now)
                due -= 1

    # -- the job threads -----------------------------------------------------------------------------------------

    def serve(self, thread: _JobThread) -> None:
        """Lead for as long as this thread has the lead, then run what is queued; called in a job thread."""
        try:
            while self._leader is thread and not self._over:
                while (connection := self._next_runnable()) is not None:
                    self.arrange(connection, self.run_job(connection))
                if not self.turn() or (self.draining and self.has_left):
                    self._end()
                    return
        except _LeadLost:
            while (connection := self._next_runnable()) is not None:
                self._run_apart(thread, connection)
        self._idle.append(thread)
        if self._leader is None or self.draining:
            self._wake_leader()

    def advance(self, connection: Connection, now: float) -> None:
        """Go on with a connection; the main thread, when it leads, queues its job for the next free thread."""
        try:
            step = connection.advance(now)
            if step is _RUN:
                if self._leader is None:
                    self.unwatch(connection)
                    self._runnable.append(connection)
                    return
                step = self.run_job(connection)
        except Exception as error:  # noqa: BLE001  a fault of its protocol costs a connection, not the worker
            step = self.fault(connection, error)
        self.arrange(connection, step)

    def run_later_job(self, connection: Connection) -> None:
        """Have a job run that came right after another one; the main thread queues it."""
        if self._leader is None:
            self.unwatch(connection)
            self._runnable.append(connection)
        else:
            super().run_later_job(connection)

    def run_job(self, connection: Connection) -> Next:
        """Run a job in the leading thread and go on leading, unless it blocks or may block."""
        thread = self._leader
        assert thread is not None  # noqa: S101  the main thread runs no jobs
        if self.retiring:
            self.decline(connection)
        if self._wary:
            self._pass_on(thread, connection)
        thread.started_jobs += 1
        thread.claim.append(connection)
        if self._resting:
            self._wake_main()
        started = self.clock()
        intact = self._run_here(thread, connection)
        ended = self.clock()
        try:
            thread.claim.pop()
        except IndexError:
            # The main thread took the lead away: let it finish doing so, then end this job's business apart.
            with self._lead_changes:
                pass
            self._go_on_apart(thread, connection, intact)
            raise _LeadLost from None
        if ended - started > _BLOCKING:
            self._wary = _WARY_FOR
        return connection.advance(ended) if intact else Next.CLOSE

    def _next_runnable(self) -> Connection | None:
        try:
            return self._runnable.popleft()
        except IndexError:
            return None

    def _pass_on(self, thread: _JobThread, connection: Connection) -> None:
        """Give the lead away before a job that may block, and run it apart."""
        self._wary -= 1
        self.unwatch(connection)
        self._call_a_leader()
        started = self.clock()
        self._run_apart(thread, connection)
        if self.clock() - started > _BLOCKING:
            self._wary = _WARY_FOR
        raise _LeadLost

    def _run_apart(self, thread: _JobThread, connection: Connection) -> None:
        self._go_on_apart(thread, connection, self._run_here(thread, connection))

    def _run_here(self, thread: _JobThread, connection: Connection) -> bool:
        thread.running = True
        intact = self.call(connection, thread.count)
        thread.running = False
        return intact

    def _go_on_apart(self, thread: _JobThread, connection: Connection, intact: bool) -> None:
        """Go on with a connection that this thread owns alone, until it has to wait; then give it back."""
        step = _AGAIN if intact else Next.CLOSE
        drained = False
        while step is not Next.CLOSE:
            if step is _AGAIN:
                try:
                    step = connection.advance(self.clock())
                except Exception as error:  # noqa: BLE001  a fault of its protocol costs a connection, not the thread
                    step = self.fault(connection, error)
            elif step is _RUN:
                if self._runnable:
                    # Others have waited for longer.
                    self._runnable.append(connection)
                    return
                step = _AGAIN if self._run_here(thread, connection) else Next.CLOSE
            else:
                with self._returns:
                    if drained or not self.draining:
                        self.arrange(connection, step)
                        return
                # The order to leave came while this thread had it, and the leader could not say how it goes on.
                drained = True
                step = self.drain(connection, self.clock())
        self.arrange(connection, step)

    # -- orders and the end --------------------------------------------------------------------------------------

    def scan(self, now: float) -> None:
        """See to what comes with time; what is being given back meanwhile waits."""
        with self._returns:
            super().scan(now)

    def obey(self, order: Order | None) -> bool:
        """Carry out an order; what is being given back meanwhile waits, and is drained by its thread."""
        with self._returns:
            return super().obey(order)

    def on_event(self, fd: int) -> bool:
        """Take what the main thread wants of the leader; or, in the main thread, an order itself."""
        if fd == self.orders:
            self._on_watch_event(fd)
        elif fd == self._leader_wakes:
            _empty(fd)
        order, self._order = self._order, None
        return self.obey(order) and not self._over

    def wants_newcomers(self) -> bool:
        """Whether a thread is free for a new connection's request."""
        return self._leader is not None and not self._runnable and super().wants_newcomers()

    def fail(self, error: Exception) -> None:
        """End the worker, for the loop is broken; called in a job thread."""
        self._failure = error
        self._end()

    def accept_in_turn(self, source: Source | None, now: float) -> None:
        """Take one new connection, and note whether this turn could: one that has lost the lead does not get here."""
        self._keeps_out = not self.listening
        if source is not None:
            self.welcome(source, now)

    def _end(self) -> None:
        self._over = True
        self._wake_main()

    def _wake_leader(self) -> None:
        _wake(self._wake_leader_end)

    def _wake_main(self) -> None:
        _wake(self._wake_main_end)


def _wake(pipe: int) -> None:
    try:
        os.write(pipe, b"\0")
    except BlockingIOError:
        return  # it is full of reasons to wake up


def _empty(pipe: int) -> None:
    os.read(pipe, 65536)
