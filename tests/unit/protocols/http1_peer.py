"""A client on a socketpair, and the worker's part of a conversation with it, step by step and without a thread."""

from __future__ import annotations

import http.client
import io
import logging
import socket
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from sockets import arrived

from workerkit.http.forwarded import ForwardedOptions, Trust
from workerkit.http.limits import HttpLimits
from workerkit.net.address import TCPAddress
from workerkit.net.protocol import Next
from workerkit.net.stream import Stream, raise_deadline
from workerkit.net.upgrade import Upgrade
from workerkit.protocols.http1 import Http1, Http1Connection, HttpOptions
from workerkit.telemetry.access import AccessLog
from workerkit.wsgi.gateway import Application, WsgiFacts, WsgiGateway

LOG = logging.getLogger("tests.http1")
START = 1000.0
MEGABYTE = 1 << 20

Environ = dict[str, Any]
StartResponse = Callable[..., Callable[[bytes], None]]


class Clock:
    """Monotonic seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


@dataclass(frozen=True, slots=True)
class Reply:
    """A response, its framing taken away."""

    status: int
    reason: str
    headers: dict[str, str]
    body: bytes
    version: int


class _Incoming(io.BytesIO):
    """Bytes from which one response after the other is read."""

    def makefile(self, _mode: str) -> _Incoming:
        return self

    def close(self) -> None:
        """Stay open: the next response follows."""


def replies(data: bytes, *methods: str) -> list[Reply]:
    """Read final responses until the bytes end; ``methods`` are what they answer, GET where none is given."""
    incoming = _Incoming(data)
    found: list[Reply] = []
    while incoming.tell() < len(data):
        method = methods[len(found)] if len(found) < len(methods) else "GET"
        response = http.client.HTTPResponse(incoming, method=method)  # type: ignore[arg-type]
        response.begin()
        headers = {name.lower(): value for name, value in response.getheaders()}
        assert len(headers) == len(response.getheaders()), f"a field is repeated in {data[:1000]!r}"
        found.append(Reply(response.status, response.reason, headers, response.read(), response.version))
    return found


def make_protocol(
    application: Application,
    clock: Clock,
    *,
    limits: HttpLimits | None = None,
    access: AccessLog | None = None,
    upgrade_environ: Callable[[Environ, Upgrade], Environ] | None = None,
    **options: Any,
) -> Http1:
    facts = WsgiFacts(False, False, options.get("sendfile", True), "test", upgrade_environ)
    gateway = WsgiGateway(application, facts, Trust(ForwardedOptions()))
    return Http1(gateway, HttpOptions(**options), limits or HttpLimits(), LOG, access, clock)


@dataclass(slots=True)
class Peer:
    """The client's socket and the server's connection."""

    protocol: Http1
    clock: Clock
    plan: list[Callable[[], object]] = field(default_factory=list)
    """What happens when a job waits, one entry for each wait; past its end, the deadline passes."""
    waits: list[tuple[int, float | None]] = field(default_factory=list)
    steps: list[Next] = field(default_factory=list)
    failed: list[object] = field(default_factory=list)
    """What the jobs returned."""
    socket: socket.socket = field(init=False)
    connection: Http1Connection = field(init=False)

    def __post_init__(self) -> None:
        ours, self.socket = socket.socketpair()
        ours.setblocking(False)
        self.socket.setblocking(False)
        stream = Stream(ours, ("192.0.2.7", 4711), TCPAddress("127.0.0.1", 8000), self._wait)
        self.connection = self.protocol.connect(stream)

    def _wait(self, _stream: Stream, want: int, deadline: float | None) -> None:
        self.waits.append((want, deadline))
        if not self.plan:
            raise_deadline(want)
        self.plan.pop(0)()

    # -- the client --

    def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.socket.sendall(piece)

    def sends_when_awaited(self, *pieces: bytes) -> None:
        """Send a piece each time that a job waits for one."""
        self.plan += [lambda piece=piece: self.send(piece) for piece in pieces]

    def receive(self) -> bytes:
        """Take what has arrived."""
        return arrived(self.socket)

    @property
    def at_end(self) -> bool:
        """Whether the server has closed its side; everything before that was received."""
        try:
            return self.socket.recv(1, socket.MSG_PEEK) == b""
        except BlockingIOError:
            return False

    def leave(self) -> None:
        self.socket.close()

    # -- the worker --

    def drive(self) -> Next:
        """Advance, running jobs, until the connection waits for something; close it as a worker would."""
        return self.carry_out(self.connection.advance(self.clock()))

    def carry_out(self, step: Next) -> Next:
        """Go on from what a connection has asked for."""
        self.steps.append(step)
        while step in (Next.RUN, Next.AGAIN):
            if step is Next.RUN:
                self.failed.append(self.connection.take()())
            step = self.connection.advance(self.clock())
            self.steps.append(step)
        if step is Next.CLOSE:
            self.close()
        return step

    def drive_and_receive(self) -> bytes:
        """Flush and take in turn, as a reader that reads all the time makes a worker do; return everything."""
        received = [self.receive()]
        step = self.drive()
        while step is Next.WRITE:
            received.append(self.receive())
            step = self.drive()
        return b"".join([*received, self.receive()])

    def ask(self, *requests: bytes) -> list[Reply]:
        """Send requests and return all responses."""
        self.send(*requests)
        return replies(self.drive_and_receive(), *(request.split(b" ", 1)[0].decode() for request in requests))

    def close(self) -> None:
        if self.connection.stream.fileno() != -1:
            self.connection.close()
            self.connection.stream.close()

    @property
    def closed(self) -> bool:
        return self.connection.stream.fileno() == -1

    @property
    def time_left(self) -> float | None:
        """Seconds until the connection's deadline."""
        deadline = self.connection.deadline
        return None if deadline is None else deadline - self.clock()


Connect = Callable[..., Peer]


def get(target: str = "/", *fields: str, version: str = "1.1", method: str = "GET") -> bytes:
    lines = [f"{method} {target} HTTP/{version}", "Host: shop.example", *fields, "", ""]
    return "\r\n".join(lines).encode()


def post(body: bytes, *fields: str, target: str = "/", version: str = "1.1") -> bytes:
    return get(target, f"Content-Length: {len(body)}", *fields, version=version, method="POST") + body


def chunked(*chunks: bytes, fields: Sequence[str] = ()) -> bytes:
    body = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    return get("/", "Transfer-Encoding: chunked", *fields, method="POST") + body + b"0\r\n\r\n"


def hello(_environ: Environ, start_response: StartResponse) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]


def echo(environ: Environ, start_response: StartResponse) -> list[bytes]:
    body = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    return [body]


def parts(*data: bytes, **headers: str) -> Application:
    """Return an application that yields these parts."""

    def application(_environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [(name.replace("_", "-"), value) for name, value in headers.items()])
        yield from data

    return application


def in_chunks(body: bytes) -> bytes:
    return chunked(*[body[at : at + 999] for at in range(0, len(body), 999)])


class Watched:
    """A response's body that notes how it was treated."""

    def __init__(self, *parts: bytes, raises: BaseException | None = None) -> None:
        self._parts = list(parts)
        self._raises = raises
        self.closed = 0

    def __iter__(self) -> Watched:
        return self

    def __next__(self) -> bytes:
        if self._parts:
            return self._parts.pop(0)
        if self._raises is not None:
            raise self._raises
        raise StopIteration

    def close(self) -> None:
        self.closed += 1

    def application(self, _environ: Environ, start_response: StartResponse) -> Watched:
        start_response("200 OK", [])
        return self


def count_files(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    made: list[Any] = []
    real = tempfile.TemporaryFile
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **how: made.append(real(**how)) or made[-1])
    return made
