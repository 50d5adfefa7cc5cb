"""A connection of any protocol over a real socketpair, driven one step at a time as a worker would."""

from __future__ import annotations

import socket
from collections.abc import Callable

from sockets import arrived

from workerkit.net.address import UnixAddress
from workerkit.net.poller import READ
from workerkit.net.protocol import Connection, Next, Protocol
from workerkit.net.stream import Stream, raise_deadline

START = 1000.0


class Conversation:
    """Our end of a connection that a protocol serves, and a clock that passes when a test says so."""

    def __init__(self, protocol: Protocol) -> None:
        ours, self.socket = socket.socketpair()
        ours.setblocking(False)
        self.socket.setblocking(False)
        self.stream = Stream(ours, ("192.0.2.7", 4711), UnixAddress("@here"), self._wait)
        self.connection: Connection = protocol.connect(self.stream)
        self.now = START
        self.jobs: list[object] = []
        """What the jobs have returned."""

    def _wait(self, _stream: Stream, _want: int, _deadline: float | None) -> None:
        raise_deadline(READ)

    def send(self, data: bytes) -> None:
        self.socket.send(data)

    def advance(self) -> Next:
        """Go on once, a job included, as a worker does between two polls."""
        step = self.connection.advance(self.now)
        while step is Next.RUN:
            self.jobs.append(self.connection.take()())
            step = self.connection.advance(self.now)
        return step

    def exchange(self, data: bytes) -> bytes:
        """Send something, let the connection go on until it has to wait, and return what has come back."""
        self.send(data)
        while self.advance() is Next.AGAIN:
            pass
        return self.received()

    def received(self) -> bytes:
        """Take what has arrived at our end."""
        return arrived(self.socket)

    def has_ended(self) -> bool:
        """Whether the other side has been closed, everything sent being read already."""
        try:
            return self.socket.recv(1) == b""
        except BlockingIOError:
            return False

    def close(self) -> None:
        self.connection.close()
        self.stream.close()
        self.socket.close()


Talk = Callable[[Protocol], Conversation]
"""Begins a conversation that is closed when the test is over; the fixture ``talk``."""
