"""The trio worker: connections wait in an event loop, jobs run in threads.

Each connection has a task, which does what the connection asks for: it waits until the socket is ready, or has a
thread run the job. A task that waits does so in a cancel scope of its own, so that a deadline or the order to leave
ends the wait and nothing else.

trio is imported in ``run``: listing this class needs no trio, and the arbiter never has it.
"""

from __future__ import annotations

import select
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from workerkit import Connection, DeadlineExceeded, Next, Order, ServerWorker, Stream, WorkerContext

if TYPE_CHECKING:
    import trio


@dataclass(frozen=True, slots=True)
class TrioOptions:
    """The trio worker."""

    worker_connections: int = field(
        default=1000,
        metadata={"metavar": "N", "help": "Connections that one worker holds at most; more wait in the backlog."},
    )
    threads: int = field(
        default=40,
        metadata={"metavar": "N", "help": "Jobs that one worker runs at the same time; others wait for a thread."},
    )


class TrioWorker(ServerWorker):
    """A task for each connection, and a limited number of threads for their jobs."""

    jobs = frozenset({"call", "dialogue"})
    multithread = True
    requires = ("trio",)
    Options = TrioOptions

    def __init__(self, context: WorkerContext) -> None:
        super().__init__(context)
        self._waits: dict[Connection, trio.CancelScope] = {}
        self._in_jobs: set[Connection] = set()
        self._finished = 0
        self._failed = 0
        self._counting = threading.Lock()
        self._leaving = False
        self._room: trio.Event

    def run(self) -> None:
        """Run trio until an order to leave has been carried out."""
        import trio

        trio.run(self._main)

    def wait(self, stream: Stream, want: int, deadline: float | None) -> None:
        """Block the thread of a job until its stream is ready."""
        poller = select.poll()
        poller.register(stream.fileno(), want)
        if not poller.poll(None if deadline is None else max(0.0, deadline - self.clock()) * 1000):
            raise DeadlineExceeded("the peer was too slow")

    # -- the tasks of the worker ---------------------------------------------------------------------------------

    async def _main(self) -> None:
        import trio

        self._room = trio.Event()
        self._threads = trio.CapacityLimiter(self.context.class_options.threads)
        async with trio.open_nursery() as conversations:
            async with trio.open_nursery() as listeners:
                conversations.start_soon(self._beat)
                for listener in self.context.listeners:
                    listeners.start_soon(self._accept, listener, conversations)
                order = await self._next_order()
                if order is Order.DRAIN_LAST:
                    for listener in self.context.listeners:
                        self._accept_all(listener, conversations)
                listeners.cancel_scope.cancel()
            if order is not Order.QUIT:
                await self._drain(conversations)
            conversations.cancel_scope.cancel()

    async def _beat(self) -> None:
        """Say that the event loop turns."""
        import trio

        while True:
            self.beat()
            self.check_up(self.clock())
            self.context.logs.flush()
            await trio.sleep(self.beat_interval)

    async def _next_order(self) -> Order:
        import trio

        while (order := self.receive_order()) is None:
            await trio.lowlevel.wait_readable(self.orders)
        return order

    async def _accept(self, listener, conversations: trio.Nursery) -> None:
        import trio

        while True:
            while len(self.connections) >= self.connection_limit:
                self._room = trio.Event()
                await self._room.wait()
            await trio.sleep(max(0.0, self.accept_paused_until - self.clock()))
            await trio.lowlevel.wait_readable(listener.fileno())
            self._welcome(listener, conversations)

    def _accept_all(self, listener, conversations: trio.Nursery) -> None:
        while self.may_accept and self._welcome(listener, conversations):
            pass

    def _welcome(self, listener, conversations: trio.Nursery) -> bool:
        connection = self.accept(listener)
        if connection is not None:
            conversations.start_soon(self._converse, connection)
        return connection is not None

    async def _drain(self, conversations: trio.Nursery) -> None:
        """Tell every connection to come to its end, and wait for that, or for the order to leave at once."""
        import trio

        self._leaving = True
        for connection in list(self._in_jobs):
            self.drain(connection, self.clock())
        for wait in list(self._waits.values()):
            wait.cancel()
        async with trio.open_nursery() as either:

            async def until_gone() -> None:
                while self.connections:
                    self._room = trio.Event()
                    await self._room.wait()
                either.cancel_scope.cancel()

            async def until_told_to_quit() -> None:
                while await self._next_order() is not Order.QUIT:
                    pass
                either.cancel_scope.cancel()

            either.start_soon(until_gone)
            either.start_soon(until_told_to_quit)

    # -- a conversation ------------------------------------------------------------------------------------------

    async def _converse(self, connection: Connection) -> None:
        step = Next.AGAIN
        drained = False
        try:
            while step is not Next.CLOSE:
                if self._leaving and not drained and step is not Next.RUN:
                    drained = True
                    step = self.drain(connection, self.clock())
                else:
                    step = await self._go_on(connection, step)
        except Exception as error:
            self.fault(connection, error)
        finally:
            self.discard(connection)
            self._room.set()

    async def _go_on(self, connection: Connection, step: Next) -> Next:
        """Do what the connection has asked for, and return what it asks for next."""
        import trio

        match step:
            case Next.RUN:
                return await self._run_job(connection)
            case Next.AGAIN:
                await trio.lowlevel.checkpoint()  # other connections first
            case Next.WRITE:
                if not await self._is_ready(connection, trio.lowlevel.wait_writable):
                    return self._woken(connection, step)
            case _:
                if not await self._is_ready(connection, trio.lowlevel.wait_readable):
                    return self._woken(connection, step)
        return connection.advance(self.clock())

    async def _is_ready(self, connection: Connection, wait) -> bool:
        """Wait for the socket; False if the deadline came first, or the order to leave."""
        import trio

        deadline = connection.deadline
        with trio.CancelScope() as scope:
            if deadline is not None:
                scope.deadline = trio.current_time() + deadline - self.clock()
            self._waits[connection] = scope
            try:
                await wait(connection.stream.fileno())
            finally:
                del self._waits[connection]
        return not scope.cancelled_caught

    def _woken(self, connection: Connection, step: Next) -> Next:
        now = self.clock()
        late = connection.deadline is not None and connection.deadline <= now
        return self.expire(connection, now) if late else step

    async def _run_job(self, connection: Connection) -> Next:
        import trio

        self._in_jobs.add(connection)
        if self._leaving or self.retiring:
            self.drain(connection, self.clock())
        self.record(len(self._in_jobs), self._finished, self._failed)
        # Abandoned only when the worker has to leave at once: then the process ends, and the thread with it.
        intact = await trio.to_thread.run_sync(
            self.call, connection, self._count, limiter=self._threads, abandon_on_cancel=True
        )
        self._in_jobs.remove(connection)
        self.record(len(self._in_jobs), self._finished, self._failed)
        self.context.logs.flush()
        return connection.advance(self.clock()) if intact else Next.CLOSE

    def _count(self, failed: bool) -> None:
        """Called at the end of a job, in its thread."""
        with self._counting:
            self._finished += 1
            self._failed += failed
