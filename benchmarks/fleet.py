"""Our own clients: one process, one thread, many connections, every request's times kept.

Closed (no rate): each connection asks again as soon as it has its answer. Paced (a rate): requests fall due
on a fixed schedule whatever the server does, and go to the connection that has been free the longest. Their
latency counts from when they were due: a server that stalls cannot hide the requests it kept from being sent.

Run as `python -m benchmarks.fleet PORT ORDERS`, the orders as JSON; prints the samples as JSON.
"""

from __future__ import annotations

import errno
import gc
import json
import select
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import repeat
from typing import NamedTuple

_LINGER_SECONDS = 15.0  # how long the last answers are waited for
_HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Orders:
    """What a fleet is to do: for how many seconds, at what rate (requests a second; 0: as answers come).

    Each time that the whole fleet has sent `slow_every` requests, the last of them asks for `slow_path`.
    """

    seconds: float
    connections: int = 1
    rate: float = 0.0
    keep_alive: bool = True
    path: str = "/"
    slow_path: str = ""
    slow_every: int = 0
    keep_bodies: bool = False


class Sample(NamedTuple):
    """What one request met; times are seconds on the monotonic clock, which all processes share."""

    due: float
    sent: float
    done: float
    slow: bool
    failure: str  # "" if it was answered with 200
    body: str = ""  # what the answer said, if the orders ask for it

    @property
    def latency(self) -> float:
        return self.done - self.due


class Connection:
    """One client: at most one request at a time, reconnecting when the server has closed."""

    def __init__(self, port: int, keep_alive: bool, opened: Callable[[Connection], None]) -> None:
        self._port = port
        self._opened = opened
        self._wish = "" if keep_alive else "Connection: close\r\n"
        self._socket: socket.socket | None = None
        self._request = self._received = b""
        self.body = b""
        self._answers = 0
        self.busy = False
        self.due = self.sent = 0.0
        self.slow = False

    def fileno(self) -> int:
        return -1 if self._socket is None else self._socket.fileno()

    def ask(self, path: str, due: float, slow: bool) -> None:
        """Send a request, on a new connection if there is none. Raises OSError."""
        self.busy, self.due, self.slow = True, due, slow
        self.sent = time.monotonic()
        self._request = f"GET {path} HTTP/1.1\r\nHost: {_HOST}:{self._port}\r\n{self._wish}\r\n".encode()
        try:
            self._send()
        except OSError:
            if not self._answers:
                raise
            self.ask_again()

    def ask_again(self) -> None:
        """Send the same request on a new connection. Raises OSError."""
        self.close()
        self._send()

    def receive(self) -> int | None:
        """Take what has arrived; return the status once the answer is whole, else None. Raises OSError."""
        assert self._socket is not None
        try:
            piece = self._socket.recv(65536)
        except BlockingIOError:
            return None
        except ConnectionResetError:
            piece = b""
        self._received += piece
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not found or not _whole(head, body, ended=not piece):
            if not piece:
                self._ended_early()
            return None
        self._answers += 1
        self.body = body
        if not piece or _closes(head):
            self.close()
        return int(head[9:12])

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self._answers = 0

    def _send(self) -> None:
        self._received = b""
        if self._socket is None:
            self._socket = socket.create_connection((_HOST, self._port), timeout=_LINGER_SECONDS)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket.setblocking(False)
            self._opened(self)
        self._socket.sendall(self._request)

    def _ended_early(self) -> None:
        # A server may close an idle connection just as the next request is on its way. RFC 9110 section
        # 9.2.2: a client may repeat an idempotent request then, and every browser does.
        if not self._answers or self._received:
            raise ConnectionResetError(errno.ECONNRESET, "closed before the answer")
        self.ask_again()


class Fleet:
    """Drives the connections until the orders are carried out."""

    def __init__(self, port: int, orders: Orders) -> None:
        self._orders = orders
        self._epoll = select.epoll()
        self._connections = [Connection(port, orders.keep_alive, self._watch) for _ in range(orders.connections)]
        self._free = deque(self._connections)
        self._by_descriptor: dict[int, Connection] = {}
        self._count = 0
        self._samples: list[Sample] = []

    def run(self) -> list[Sample]:
        start = time.monotonic()
        end = start + self._orders.seconds
        last = end + _LINGER_SECONDS
        schedule = self._schedule(start)
        for due in schedule:
            if not self._wait_for_turn(due, last if self._orders.rate else end):
                break
            self._ask(due if self._orders.rate else time.monotonic())
        while any(connection.busy for connection in self._connections) and time.monotonic() < last:
            self._poll(until=last)
        self._give_up()
        return self._samples

    def _schedule(self, start: float) -> Iterator[float]:
        """Yield when each request is due: at the rate's pace, or always now."""
        if not self._orders.rate:
            return repeat(start)
        return (start + n / self._orders.rate for n in range(int(self._orders.seconds * self._orders.rate)))

    def _wait_for_turn(self, due: float, limit: float) -> bool:
        """Wait until the time has come and a connection is free; False if the limit came first."""
        while (now := time.monotonic()) < limit:
            if now >= due and self._free:
                return True
            self._poll(until=due if now < due else limit)
        return False

    def _ask(self, due: float) -> None:
        orders = self._orders
        self._count += 1
        slow = bool(orders.slow_every) and self._count % orders.slow_every == 0
        connection = self._free.popleft()
        try:
            connection.ask(orders.slow_path if slow else orders.path, due, slow)
        except OSError as error:
            self._finish(connection, _name(error))

    def _poll(self, until: float) -> None:
        # epoll counts in milliseconds: rounded down, and the last one spun away, so that nothing goes late.
        timeout = int(max(until - time.monotonic(), 0) * 1000) / 1000
        for descriptor, _ in self._epoll.poll(timeout):
            connection = self._by_descriptor[descriptor]
            if connection.busy:
                self._receive(connection)
            else:
                connection.close()  # the server has had enough of an idle connection

    def _give_up(self) -> None:
        """Count what was not answered in time, and what could not even be sent, as failed."""
        for connection in self._connections:
            if connection.busy:
                self._finish(connection, "no answer")
        now = time.monotonic()
        missing = range(self._count, int(self._orders.seconds * self._orders.rate))
        self._samples += [Sample(now, now, now, False, "never sent") for _ in missing]

    def _receive(self, connection: Connection) -> None:
        try:
            status = connection.receive()
        except OSError as error:
            self._finish(connection, _name(error))
            return
        if status is not None:
            self._finish(connection, "" if status == 200 else str(status))

    def _finish(self, connection: Connection, failure: str) -> None:
        done = time.monotonic()
        body = connection.body.decode("latin-1") if self._orders.keep_bodies and not failure else ""
        self._samples.append(Sample(connection.due, connection.sent, done, connection.slow, failure, body))
        connection.busy = False
        if failure:
            connection.close()
        self._free.append(connection)

    def _watch(self, connection: Connection) -> None:
        """Listen to a connection just made; what is closed the kernel forgets by itself."""
        self._epoll.register(connection, select.EPOLLIN)
        self._by_descriptor[connection.fileno()] = connection


def _whole(head: bytes, body: bytes, *, ended: bool) -> bool:
    """Tell whether the answer is complete, by its length, its last chunk or the end of the connection."""
    fields = head.lower()
    if b"\r\ncontent-length:" in fields:
        length = int(fields.partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0])
        return len(body) >= length
    if b"\r\ntransfer-encoding: chunked" in fields:
        return body.endswith(b"0\r\n\r\n")
    return ended


def _closes(head: bytes) -> bool:
    return b"\r\nconnection: close" in head.lower() or head.startswith(b"HTTP/1.0")


def _name(error: OSError) -> str:
    return errno.errorcode.get(error.errno or 0, type(error).__name__)


def main() -> None:
    port, orders = sys.argv[1:]
    gc.disable()
    json.dump(Fleet(int(port), Orders(**json.loads(orders))).run(), sys.stdout)


if __name__ == "__main__":
    main()
