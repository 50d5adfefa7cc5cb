"""The clients: one process, one thread, and a strict account of what each of them met.

Run as ``python -m tests.soak.clients ORDERS`` with the orders as JSON, until a line or the end comes on standard input;
then each request under way is waited for, the connections that were to stay idle are asked once, and the account is
printed as JSON.

Nothing is forgiven: a connection that ends before its answer is a failure, although HTTP would let clients ask again.
"""

from __future__ import annotations

import json
import os
import select
import socket
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass, field

_LAST_ANSWERS_WITHIN = 15.0
_BODY = b"x" * 16384


@dataclass(frozen=True)
class Orders:
    """Whom to ask, and how many clients of each kind ask."""

    port: int
    unix: str
    close: int = 4
    """Each request on a connection of its own."""
    keep_alive: int = 4
    """One request after the other on one connection."""
    over_unix: int = 2
    """As ``close``, over the Unix socket."""
    upload: int = 2
    """As ``keep_alive``, each request with a body of 16 KiB."""
    idle: int = 8
    """One request at the beginning and one at the end, on the same connection."""
    rate: float = 400.0
    """Requests a second of all that ask again and again; so the server is busy, and the machine is not full."""

    @property
    def asking(self) -> int:
        """How many clients ask again and again."""
        return self.close + self.keep_alive + self.over_unix + self.upload


@dataclass(slots=True)
class Account:
    """What the clients met."""

    requests: int = 0
    failures: dict[str, int] = field(default_factory=dict)
    failed_at: list[float] = field(default_factory=list)
    """When a request failed, on the monotonic clock."""
    longest_gap: float = 0.0
    """The longest time in which no client had an answer, in seconds."""
    reconnects: int = 0
    """How often the server has closed a connection that was to be kept, between two requests."""
    idle_alive: int = 0
    idle: int = 0

    @property
    def failed(self) -> int:
        """How many requests had no good answer."""
        return sum(self.failures.values())


class Client:
    """At most one request at a time."""

    def __init__(self, kind: str, orders: Orders) -> None:
        self.kind = kind
        self._orders = orders
        self.socket: socket.socket | None = None
        self._received = b""
        self.busy = False
        wish = "Connection: close\r\n" if kind in ("close", "over_unix") else ""
        if kind == "upload":
            head = f"POST /upload HTTP/1.1\r\nHost: soak\r\nContent-Length: {len(_BODY)}\r\n{wish}\r\n"
            self._request = head.encode() + _BODY
        else:
            self._request = f"GET / HTTP/1.1\r\nHost: soak\r\n{wish}\r\n".encode()

    def ask(self) -> None:
        """Send a request; raises OSError."""
        if self.socket is None:
            self.socket = self._connect()
        self.busy = True
        self._received = b""
        self.socket.sendall(self._request)

    def _connect(self) -> socket.socket:
        if self.kind == "over_unix":
            connected = socket.socket(socket.AF_UNIX)
            connected.settimeout(_LAST_ANSWERS_WITHIN)
            connected.connect(self._orders.unix)
        else:
            connected = socket.create_connection(("127.0.0.1", self._orders.port), timeout=_LAST_ANSWERS_WITHIN)
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connected

    def receive(self) -> str | None:
        """Take what has come; return what was wrong, "" for nothing, None while the answer is not whole."""
        assert self.socket is not None
        data = self.socket.recv(65536)
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if found:
            length = int(head.lower().partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0])
            if len(body) >= length:
                self.busy = False
                if b"\r\nconnection: close" in head.lower():
                    self.close()
                return "" if head.startswith(b"HTTP/1.1 200 ") else head[9:12].decode()
        if not data:
            return "closed before the answer"
        return None

    def close(self) -> None:
        """Close the connection, if there is one."""
        self.busy = False
        if self.socket is not None:
            self.socket.close()
            self.socket = None


class Clients:
    """All of them, in one loop."""

    def __init__(self, orders: Orders) -> None:
        self._orders = orders
        self._poll = select.epoll()
        self._by_fd: dict[int, Client] = {}
        kinds = {kind: getattr(orders, kind) for kind in ("close", "keep_alive", "over_unix", "upload")}
        self._asking = [Client(kind, orders) for kind, count in kinds.items() for _ in range(count)]
        self._idle = [Client("idle", orders) for _ in range(orders.idle)]
        self._free = list(self._asking)
        self._failures: Counter[str] = Counter()
        self._account = Account(idle=orders.idle)
        self._last_answer = 0.0

    def run(self, stop: int) -> Account:
        """Ask until the descriptor ``stop`` can be read."""
        self._poll.register(stop, select.EPOLLIN)
        for client in self._idle:
            self._ask(client)
        self._wait_for_answers(self._idle)
        kept = {client: client.socket for client in self._idle if client.socket is not None}
        print("begun", flush=True)
        self._last_answer = due = time.monotonic()
        interval = 1.0 / self._orders.rate
        going = True
        while going:
            now = time.monotonic()
            if now >= due and self._free:
                self._ask(self._free.pop(0))
                # A server that stalls is not met by a burst for that, so that each stall is measured alone.
                due = max(due + interval, now - interval)
                continue
            going = self._turn(max(0.0, due - now) if self._free else 1.0, stop)
        self._poll.unregister(stop)
        self._wait_for_answers(self._asking)
        for client in self._idle:
            if client.socket is not None and client.socket is kept.get(client):
                self._ask(client)
        self._wait_for_answers(self._idle)
        self._account.idle_alive = sum(client.socket is not None for client in self._idle)
        self._account.failures = dict(self._failures)
        return self._account

    def _ask(self, client: Client) -> None:
        fresh = client.socket is None
        try:
            client.ask()
        except OSError as error:
            self._failed(client, f"{client.kind}: {type(error).__name__} on {'connecting' if fresh else 'sending'}")
            return
        if fresh and client.socket is not None:
            self._poll.register(client.socket, select.EPOLLIN)
            self._by_fd[client.socket.fileno()] = client

    def _turn(self, timeout: float, stop: int = -1) -> bool:
        """Wait for what comes, and take it; False: it was the word to stop."""
        for fd, _ in self._poll.poll(timeout):
            if fd == stop:
                return False
            client = self._by_fd[fd]
            if client.busy:
                self._receive(client)
            else:
                # Between two requests: the server has closed it.
                client.close()
                self._account.reconnects += client.kind != "idle"
        return True

    def _receive(self, client: Client) -> None:
        try:
            wrong = client.receive()
        except OSError as error:
            wrong = type(error).__name__
        if wrong is None:
            return
        if wrong:
            self._failed(client, f"{client.kind}: {wrong}")
            return
        now = time.monotonic()
        self._account.requests += 1
        if self._last_answer:
            self._account.longest_gap = max(self._account.longest_gap, now - self._last_answer)
            self._last_answer = now
        if client.kind in ("close", "over_unix"):
            client.close()
        if client.kind != "idle":
            self._free.append(client)

    def _failed(self, client: Client, why: str) -> None:
        client.close()
        self._account.requests += 1
        self._failures[why] += 1
        self._account.failed_at.append(time.monotonic())
        if client.kind != "idle":
            self._free.append(client)

    def _wait_for_answers(self, clients: list[Client]) -> None:
        self._last_answer = 0.0
        until = time.monotonic() + _LAST_ANSWERS_WITHIN
        while any(client.busy for client in clients) and (left := until - time.monotonic()) > 0:
            self._turn(left)
        for client in clients:
            if client.busy:
                self._failed(client, f"{client.kind}: no answer")


def main() -> None:
    """Carry out the orders on the command line."""
    orders = Orders(**json.loads(sys.argv[1]))
    os.set_blocking(0, False)
    json.dump(asdict(Clients(orders).run(0)), sys.stdout)


if __name__ == "__main__":
    main()
