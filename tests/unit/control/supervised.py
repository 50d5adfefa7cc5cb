"""A control server in a real loop, with an arbiter that only writes down what it is told."""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import Callable
from pathlib import Path

from workerkit.control.options import ControlOptions
from workerkit.control.server import ControlServer
from workerkit.process.attachment import Done, PoolStatus, WorkerStatus
from workerkit.process.loop import EventLoop

DEADLINE = 10.0


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class FakeArbiter:
    """What a control socket may ask of an arbiter."""

    pid = 4242
    reloading = False

    def __init__(self) -> None:
        self.told: list[object] = []
        self.waiting: list[Done] = []
        self.workers = [WorkerStatus("default", 0, 0, 4243, 1, "ready", 7, 2)]

    def status(self) -> list[WorkerStatus]:
        return self.workers

    def pool_status(self) -> list[PoolStatus]:
        return [PoolStatus("default", "sync", 1, 1, 1, ("http://127.0.0.1:8000",))]

    def reload(self, done: Done | None = None) -> None:
        self.told.append("reload")
        if done is not None:
            self.waiting.append(done)

    def reopen_logs(self) -> None:
        self.told.append("reopen")

    def stop(self, *, graceful: bool = True) -> None:
        self.told.append("stop" if graceful else "stop quickly")


class Realm:
    """A server at a path, its loop, and clients of it."""

    def __init__(self, folder: Path) -> None:
        self.path = str(folder / "control.sock")
        self.clock = Clock()
        self.arbiter = FakeArbiter()
        self.loop = EventLoop(self.clock)
        self.loop.open()
        self.clients: list[socket.socket] = []
        self.servers: list[ControlServer] = []

    def serve(self, **options: object) -> ControlServer:
        """Attach a control server."""
        server = ControlServer(
            ControlOptions(**{"control_socket": self.path, **options}),
            logging.getLogger("tests.control"),
            "1.2.3",
            self.clock,
        )
        server.attach(self.arbiter, self.loop)
        self.servers.append(server)
        return server

    def connect(self) -> socket.socket:
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(DEADLINE)
        client.connect(self.path)
        self.clients.append(client)
        return client

    def send(self, line: bytes) -> socket.socket:
        """Connect, send these bytes and let the server see them."""
        client = self.connect()
        self.turn()  # accepted
        client.sendall(line)
        self.turn()
        return client

    def ask(self, **request: object) -> dict[str, object]:
        """Send a request that is answered at once, and return the answer."""
        return read_answer(self.send(json.dumps(request).encode() + b"\n"))

    def turn(self) -> None:
        """Let the loop do what is to be done, without waiting; it accepts one client in a turn."""
        for _ in range(4):
            self.loop.turn(self.clock())

    def turn_until(self, is_so: Callable[[], bool]) -> None:
        """Let the loop work on what comes until something is so."""
        for _ in range(10_000):
            if is_so():
                return
            self.turn()
        raise AssertionError("it did not come to that")

    def pass_time(self, seconds: float) -> None:
        self.clock.now += seconds
        self.turn()

    def close(self) -> None:
        for server in self.servers:
            server.detach()
        for client in self.clients:
            client.close()
        self.loop.close()


def read_all(client: socket.socket) -> bytes:
    """Read until the end."""
    received = b""
    while data := client.recv(65536):
        received += data
    return received


def read_answer(client: socket.socket) -> dict[str, object]:
    """Read one answer and the end of the connection after it."""
    answer = json.loads(read_all(client))
    assert isinstance(answer, dict)
    return answer


def is_waiting(client: socket.socket) -> bool:
    """Tell whether a client has neither been answered nor cut off."""
    client.setblocking(False)
    try:
        client.recv(1)
    except BlockingIOError:
        return True
    finally:
        client.settimeout(DEADLINE)
    return False
