"""What a worker is given, made of real parts: a channel, a scoreboard, logs, listeners."""

from __future__ import annotations

import contextlib
import logging
import os
import resource
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from workerkit.http.limits import HttpLimits
from workerkit.net.listener import Listener, ListenerOptions, open_listeners
from workerkit.net.poller import READ, wait_for
from workerkit.process.clock import Clock as AnyClock
from workerkit.process.clock import monotonic
from workerkit.process.fork import fork
from workerkit.process.messages import Channel, Message
from workerkit.process.nudge import Nudge
from workerkit.process.scoreboard import Column, Scoreboard
from workerkit.process.states import State
from workerkit.protocols.http1 import Gateway, Http1, Http1Connection, HttpOptions
from workerkit.telemetry.logs import LogOptions, Logs
from workerkit.workers.base import Worker, WorkerContext, WorkerOptions, live
from workerkit.workers.server import ConnectionOptions

DEADLINE = 10.0
BRIEF = WorkerOptions(timeout=0.03)
"""Makes the loop turn every 10 ms when nothing happens, for tests that step through it."""


class Clock:
    """Monotonic seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Crew:
    """Makes workers and plays the arbiter for them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.logs = Logs(LogOptions(errorlog=str(folder / "error.log"), loglevel="debug"))
        self.board = Scoreboard(rows=4)
        self.nudge = Nudge()
        self.arbiters_end, self.workers_end = Channel.pair()
        self.listeners: list[Listener] = []
        self.children: list[int] = []
        self._clients: list[socket.socket] = []

    # -- the arbiter's side --

    def context(self, *, clock: AnyClock = monotonic, **facts: Any) -> WorkerContext:
        known: dict[str, Any] = {
            "pool": "default",
            "slot": 0,
            "number": 0,
            "generation": 1,
            "workers": 1,
            "options": WorkerOptions(),
            "class_options": ConnectionOptions(),
            "listeners": tuple(self.listeners),
            "serve": None,
            "lifespan": None,
            "channel": self.workers_end,
            "row": self.board.row(0),
            "nudge": self.nudge,
            "siblings": tuple(self.board.row(slot) for slot in range(4)),
            "logs": self.logs,
            "clock": clock,
        }
        return WorkerContext(**{**known, **facts})

    def siblings(self, count: int) -> None:
        """Make it look as if so many workers were ready, the one under test included."""
        for slot in range(count):
            self.board.row(slot)[Column.STATE] = State.READY

    def listen(self, bind: str = "127.0.0.1:0", **options: Any) -> Listener:
        [listener] = open_listeners(ListenerOptions(bind=(bind,), **options))
        self.listeners.append(listener)
        return listener

    def send(self, message: Message) -> None:
        assert self.arbiters_end.send(message)

    def receive(self) -> list[Message]:
        return self.arbiters_end.receive()

    def await_message(self) -> Message:
        """Wait for the next message; fail when the worker says nothing or is gone."""
        assert wait_for(self.arbiters_end.fileno(), READ, DEADLINE), f"no message\n{self.log}"
        messages = self.receive()
        assert len(messages) == 1, f"{messages}\n{self.log}"
        return messages[0]

    def spawn(
        self, worker_class: type[Worker], *, prepared: bool = False, **facts: Any
    ) -> int:
        """Fork a process that is a worker, by the same function as the arbiter."""
        context = self.context(**facts)

        def child() -> int:
            self.arbiters_end.close()
            for client in self._clients:
                client.close()
            return live(worker_class, context, prepared=prepared)

        pid = fork(child)
        self.children.append(pid)
        return pid

    def exit_code(self, pid: int) -> int:
        """Wait for a process to end by itself."""
        ended = os.pidfd_open(pid)
        in_time = wait_for(ended, READ, DEADLINE)
        os.close(ended)
        assert in_time, f"the worker does not end\n{self.log}"
        self.children.remove(pid)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    # -- the clients --

    def connect(self, data: bytes = b"") -> socket.socket:
        """Connect to the first listener and send something."""
        client = socket.create_connection(self.listeners[0].socket.getsockname(), DEADLINE)
        self._clients.append(client)
        if data:
            client.sendall(data)
        return client

    # -- what was said, and the end --

    @property
    def log(self) -> str:
        return (self.folder / "error.log").read_text()

    def close(self) -> None:
        for pid in self.children:
            os.kill(pid, 9)
            os.waitpid(pid, 0)
        for closing in (*self._clients, *self.listeners, self.arbiters_end, self.workers_end):
            closing.close()
        Logs(LogOptions())


def http(gateway: Gateway, clock: AnyClock = monotonic, **options: Any) -> Callable[[], Http1]:
    """Return a factory of HTTP, as a pool's ``serve`` is one."""
    log = logging.getLogger("workerkit.error")
    protocol = Http1(gateway, HttpOptions(**options), HttpLimits(), log, None, clock)
    return lambda: protocol


def request(target: str = "/", *fields: str) -> bytes:
    return "\r\n".join([f"GET {target} HTTP/1.1", "Host: shop.example", *fields, "", ""]).encode()


def say_path(exchange: Http1Connection) -> None:
    """Answer with the path that was asked for."""
    exchange.respond("200 OK", [], exchange.head.path.encode())


def read_response(client: socket.socket) -> tuple[dict[str, str], bytes]:
    """Wait for one response that has a length; return its fields and its body."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += _more(client, data)
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    fields = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
    fields["status"] = lines[0].split()[1]
    while len(body) < int(fields["content-length"]):
        body += _more(client, body)
    return fields, body


def _more(client: socket.socket, data: bytes) -> bytes:
    received = client.recv(65536)
    assert received, f"the connection ended after {data!r}"
    return received


def has_ended(client: socket.socket) -> bool:
    """Whether the server has closed the connection, without waiting."""
    client.setblocking(False)
    try:
        return client.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True
    finally:
        client.settimeout(DEADLINE)


@contextlib.contextmanager
def out_of_descriptors() -> Iterator[None]:
    """Let this process open nothing more, as when it has reached its limit."""
    lowest_free = os.dup(0)
    os.close(lowest_free)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def has_answer(client: socket.socket) -> bool:
    """Whether something has arrived for a client, without waiting."""
    return wait_for(client.fileno(), READ, 0.0) and not has_ended(client)
