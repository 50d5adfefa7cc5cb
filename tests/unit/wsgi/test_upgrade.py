"""A request that asks for another protocol: what the application finds, and what becomes of its answer."""

from __future__ import annotations

import io
import logging
import socket
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import IO, Any

import pytest

from workerkit.errors import ApplicationError
from workerkit.http.forwarded import ForwardedOptions, Trust
from workerkit.http.limits import HttpLimits
from workerkit.http.request import HeadReader, RequestHead
from workerkit.net.address import TCPAddress
from workerkit.net.job_deadline import JobDeadline
from workerkit.net.stream import Stream
from workerkit.net.upgrade import Upgrade
from workerkit.wsgi.gateway import Application, WsgiFacts, WsgiGateway

Environ = dict[str, Any]
StartResponse = Callable[..., Callable[[bytes], None]]

UPGRADE = ("Connection: Upgrade", "Upgrade: websocket")


@dataclass
class RecordedExchange:
    """Notes what is sent, and whether the connection was given away."""

    head: RequestHead
    stream: Stream
    body: IO[bytes] = field(default_factory=io.BytesIO)
    sent: list[tuple[Any, ...]] = field(default_factory=list)
    callbacks: list[Callable[[], object]] = field(default_factory=list)
    started: bool = False
    job_deadline: JobDeadline | None = None

    def respond(self, *what: Any) -> None:
        self.sent.append(("respond", *what))

    def start(self, *what: Any) -> None:
        self.sent.append(("start", *what))

    def write(self, data: bytes) -> None:
        self.sent.append(("write", data))
        self.started = True

    def send_file(self, *what: Any) -> None:
        self.sent.append(("send_file", *what))

    def on_drain(self, callback: Callable[[], object]) -> None:
        self.callbacks.append(callback)

    def early_hints(self, fields: Iterable[tuple[str, str]]) -> None:
        self.sent.append(("early_hints", *fields))

    def hand_over(self) -> bytes:
        if self.started:
            raise ApplicationError("too late")
        return b""


Ask = Callable[..., RecordedExchange]


@pytest.fixture
def ask() -> Iterator[Ask]:
    """Make exchanges of a request with these fields."""
    sockets: list[socket.socket] = []

    def make(*fields: str, version: str = "1.1") -> RecordedExchange:
        pair = socket.socketpair()
        sockets.extend(pair)
        lines = [f"GET /ws HTTP/{version}", "Host: shop.example", *fields, "", ""]
        head = HeadReader(HttpLimits()).feed("\r\n".join(lines).encode())
        assert head is not None
        stream = Stream(pair[0], ("192.0.2.7", 1), TCPAddress("127.0.0.1", 80), lambda *_: None)
        return RecordedExchange(head, stream)

    yield make
    for each in sockets:
        each.close()


def offer(_environ: Environ, upgrade: Upgrade) -> Environ:
    return {"gunicorn.socket": upgrade.socket}


def gateway(application: Application, upgrade_environ: Any = offer) -> WsgiGateway:
    facts = WsgiFacts(True, False, sendfile=True, worker_class="some", upgrade_environ=upgrade_environ)
    return WsgiGateway(application, facts, Trust(ForwardedOptions()))


def environ_of(exchange: RecordedExchange, upgrade_environ: Any = offer) -> Environ:
    """Return what an application found that answered like any other."""
    found: list[Environ] = []

    def application(environ: Environ, start_response: StartResponse) -> list[bytes]:
        found.append(environ)
        start_response("200 OK", [])
        return [b"plain"]

    gateway(application, upgrade_environ)(exchange)
    assert exchange.sent == [("respond", "200 OK", [], b"plain")]
    return found[0]


def test_an_upgrade_has_the_keys_of_the_worker_class(ask: Ask) -> None:
    """What the class offers is in the environ of such a request, and costs nothing if nobody uses it."""
    assert "gunicorn.socket" in environ_of(ask(*UPGRADE))


@pytest.mark.parametrize("fields", [(), ("Upgrade: websocket",), ("Connection: close",)])
def test_another_request_has_not(ask: Ask, fields: tuple[str, ...]) -> None:
    """Upgrade counts only where Connection lists it (RFC 9110 section 7.8)."""
    assert "gunicorn.socket" not in environ_of(ask(*fields))


def test_an_upgrade_of_http_1_0_is_ignored(ask: Ask) -> None:
    """RFC 9110 section 7.8: a server must ignore the field in a request of HTTP/1.0."""
    assert "gunicorn.socket" not in environ_of(ask(*UPGRADE, version="1.0"))


def test_the_worker_class_sees_the_environ_and_the_application(ask: Ask) -> None:
    """A class decides with all that is known of the request."""
    seen: list[Any] = []

    def offer_nothing(environ: Environ, upgrade: Upgrade) -> Environ:
        seen.extend([environ["PATH_INFO"], callable(upgrade.application), upgrade.taken])
        return {}

    environ_of(ask(*UPGRADE), offer_nothing)

    assert seen == ["/ws", True, False]


def test_a_class_that_offers_nothing_is_named_once(ask: Ask, caplog: pytest.LogCaptureFixture) -> None:
    """The first WebSocket on such a class leaves one line that names classes that fit; other protocols leave none."""
    serve = gateway(lambda _environ, start_response: start_response("200 OK", []) and [], lambda *_: {})
    with caplog.at_level(logging.WARNING, "workerkit.error"):
        serve(ask("Connection: Upgrade", "Upgrade: h2c"))
        assert caplog.messages == []
        serve(ask(*UPGRADE))
        serve(ask(*UPGRADE))

    [line] = caplog.messages
    assert "/ws" in line
    assert "worker class some" in line
    assert "threaded, gevent or eventlet" in line


def take(environ: Environ) -> None:
    environ["gunicorn.socket"].fileno()


def leaves_by_raising(error: BaseException) -> Application:
    def application(environ: Environ, _start_response: StartResponse) -> list[bytes]:
        take(environ)
        raise error

    return application


def leaves_an_empty_list(environ: Environ, _start_response: StartResponse) -> list[bytes]:
    take(environ)
    return []


def leaves_a_response(environ: Environ, start_response: StartResponse) -> list[bytes]:
    take(environ)
    start_response("200 OK", [("Content-Type", "text/html")])
    return [b"nobody ", b"wants this"]


def leaves_by_write(environ: Environ, start_response: StartResponse) -> list[bytes]:
    take(environ)
    start_response("200 OK", [])(b"nobody")
    return [b"wants this"]


def leaves_a_file(environ: Environ, start_response: StartResponse) -> Any:
    take(environ)
    start_response("200 OK", [])
    with open(__file__, "rb") as file:
        return environ["wsgi.file_wrapper"](io.BytesIO(file.read()))


def takes_in_its_first_part(environ: Environ, _start_response: StartResponse) -> Iterator[bytes]:
    take(environ)
    yield b"nobody wants this"


@pytest.mark.parametrize(
    "application",
    [
        leaves_by_raising(StopIteration()),
        leaves_by_raising(ConnectionError()),
        leaves_by_raising(BrokenPipeError()),
        leaves_an_empty_list,
        leaves_a_response,
        leaves_by_write,
        leaves_a_file,
        takes_in_its_first_part,
    ],
)
def test_nothing_of_http_follows(ask: Ask, application: Application) -> None:
    """However a library leaves with the connection, nothing is sent and nothing is an error."""
    exchange = ask(*UPGRADE)
    gateway(application)(exchange)

    assert exchange.sent == []


@pytest.mark.parametrize("error", [StopIteration(), ConnectionError(), ValueError()])
def test_an_error_is_one_where_nothing_was_taken(ask: Ask, error: Exception) -> None:
    """What would mean that the connection was taken is an ordinary error otherwise."""

    def application(_environ: Environ, _start_response: StartResponse) -> list[bytes]:
        raise error

    with pytest.raises(type(error)):
        gateway(application)(ask(*UPGRADE))


def test_a_handlers_error_is_one(ask: Ask) -> None:
    """An application that fails in a conversation of its own has failed."""
    with pytest.raises(ValueError, match="mine"):
        gateway(leaves_by_raising(ValueError("mine")))(ask(*UPGRADE))


def test_a_response_that_has_begun_cannot_be_taken(ask: Ask) -> None:
    """Bytes of HTTP and of something else never mix."""

    def application(environ: Environ, start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", [])(b"begun")
        take(environ)
        return []

    exchange = ask(*UPGRADE)
    with pytest.raises(ApplicationError, match="too late"):
        gateway(application)(exchange)


def test_the_end_is_told_whatever_it_is(ask: Ask) -> None:
    """What a worker class wants done at the end is done after an error too."""
    ends: list[str] = []

    def watching(environ: Environ, upgrade: Upgrade) -> Environ:
        upgrade.at_end(lambda: ends.append("end"))
        return offer(environ, upgrade)

    for application in (leaves_a_response, leaves_by_raising(StopIteration())):
        gateway(application, watching)(ask(*UPGRADE))
    with pytest.raises(ValueError):
        gateway(leaves_by_raising(ValueError()), watching)(ask(*UPGRADE))

    assert ends == ["end"] * 3


@pytest.mark.parametrize("fields", [(), UPGRADE])
def test_on_drain_is_in_every_environ(ask: Ask, fields: tuple[str, ...]) -> None:
    """Any request may want to know when its worker leaves."""
    exchange = ask(*fields)
    environ_of(exchange)["workerkit.on_drain"](print)

    assert exchange.callbacks == [print]
