"""Worker classes with one fault each, which the conformance kit has to notice.

Each breaks the promise that its docstring names, and no other that could be kept meanwhile.
"""

from __future__ import annotations

import os
import signal

from workerkit.net.protocol import Connection, Next
from workerkit.process.scoreboard import Column
from workerkit.workers.base import Order
from workerkit.workers.polling import PollingWorker
from workerkit.workers.sync import SyncWorker
from workerkit.workers.threaded import ThreadedWorker


class IgnoresDrain(SyncWorker):
    """Goes on serving when it is told to leave."""

    def obey(self, order):
        return order is not Order.QUIT


class IgnoresQuit(SyncWorker):
    """Takes an order to leave at once for one to leave gracefully, and a kept connection for a reason to stay."""

    def obey(self, order):
        return super().obey(Order.DRAIN if order is Order.QUIT else order)


class LeaksDescriptors(SyncWorker):
    """Opens a pipe for each connection and never closes it."""

    def accept(self, listener):
        connection = super().accept(listener)
        if connection is not None:
            os.pipe()
        return connection


class LeaksMemory(SyncWorker):
    """Remembers each request for ever."""

    def __init__(self, context):
        super().__init__(context)
        self.remembered = []

    def count(self, failed=False):
        super().count(failed)
        self.remembered.append(bytes(4000))


class ForgetsHeartbeat(SyncWorker):
    """Beats once, and then serves on without."""

    def turn(self):
        beat = self.row.cells[Column.BEAT]
        goes_on = super().turn()
        self.row.cells[Column.BEAT] = beat
        return goes_on


class NeverReady(SyncWorker):
    """Serves and does not say so: run() is called by boot()."""

    def boot(self):
        super().boot()
        self.run()


class DropsInFlight(ThreadedWorker):
    """Closes all its connections when it is told to leave, whatever runs on them."""

    def receive_order(self):
        order = super().receive_order()
        for connection in list(self.connections.values() if order else ()):
            connection.stream.shut_write()
        return order


class Miscounts(SyncWorker):
    """Counts every other request."""

    odd = False

    def count(self, failed=False):
        self.odd = not self.odd
        if self.odd:
            super().count(failed)


class ForgetsFailures(SyncWorker):
    """Counts failures as successes."""

    def count(self, failed=False):
        super().count()


class StarvesNewcomers(SyncWorker):
    """Serves a client for as long as it has more to ask for, and only then the next one."""

    def advance(self, connection, now):
        step = connection.advance(now)
        while step in (Next.RUN, Next.AGAIN):
            step = self.run_job(connection) if step is Next.RUN else connection.advance(self.clock())
        self.arrange(connection, step)


class ClosesKeptConnections(SyncWorker):
    """Closes every connection after its first response."""

    def run_job(self, connection):
        super().run_job(connection)
        return Next.CLOSE


class ClosesIdleConnectionsAtOnce(SyncWorker):
    """Gives idle clients no moment when it leaves."""

    def obey(self, order):
        if order is not None:
            for connection in list(self.connections.values()):
                if connection.interest:
                    self.arrange(connection, Next.CLOSE)
        return super().obey(order)


class IgnoresDeadlines(SyncWorker):
    """Never looks whether a deadline has passed."""

    def overdue(self, now):
        return []


class RunsJobsTwice(SyncWorker):
    """Advances a connection whose job it has not taken."""

    def run_job(self, connection):
        connection.advance(self.clock())
        return super().run_job(connection)


class ClosesTwice(SyncWorker):
    """Closes each connection twice."""

    def discard(self, connection: Connection):
        super().discard(connection)
        connection.close()


class WaitsForEverybody(PollingWorker):
    """Waits in a read for the rest of a slow client's request, as blocking servers do."""

    jobs = frozenset({"call"})

    def run(self):
        self.poller.register(self.orders, 1)
        while not (self.draining and not self.connections) and self.turn():
            pass
        self.close()

    def on_event(self, fd):
        return self.obey(self.receive_order())

    def run_job(self, connection):
        self.count(failed=connection.take()() is True)
        return connection.advance(self.clock())

    def arrange(self, connection, step):
        while step is Next.READ:
            self.wait(connection.stream, 1, self.clock() + 20)
            step = connection.advance(self.clock())
            if step is Next.RUN:
                step = self.run_job(connection)
        super().arrange(connection, step)


class IgnoresCap(SyncWorker):
    """Accepts whoever comes."""

    def __init__(self, context):
        super().__init__(context)
        self.connection_limit = 1 << 30


class DiesOfHup(SyncWorker):
    """Takes a signal that is the arbiter's business for its own."""

    def run(self):
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        super().run()

