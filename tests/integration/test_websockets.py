"""WebSockets of the libraries that WSGI applications use, on each worker class that can hold them, by real clients."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from signal import SIGHUP

import pytest
import socketio
import websocket
from harness import DEADLINE, Launcher, Server

from workerkit.testing.observed import look_until

SOCKETS = 200
NOT_INSTALLED = {"geventwebsocket.py": "raise ImportError('not for this test')\n"}
UPGRADE = "GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n{more}\r\n"


@dataclass(frozen=True, slots=True)
class Way:
    """How a server is started that can hold many WebSockets."""

    worker_class: str
    async_mode: str
    arguments: tuple[str, ...] = ()
    files: dict[str, str] = field(default_factory=dict)

    def start(self, serve: Launcher, application: str, *arguments: str, tracebacks: bool = False) -> Server:
        server: Server = serve(
            *("--worker-class", self.worker_class, *self.arguments, *arguments, application),
            files=self.files,
            variables={"ASYNC_MODE": self.async_mode},
            tracebacks=tracebacks,
        )
        return server


THREADED = Way("threaded", "threading", ("--threads", str(SOCKETS + 10)))
GEVENT = Way("gevent", "gevent")
GEVENT_ALONE = Way("gevent", "gevent", files=NOT_INSTALLED)
EVENTLET = Way("eventlet", "eventlet")

EVERY_WAY = pytest.mark.parametrize(
    "way", [THREADED, GEVENT, GEVENT_ALONE, EVENTLET], ids=["threaded", "gevent", "gevent-alone", "eventlet"]
)

Open = Callable[..., websocket.WebSocket]


@pytest.fixture
def connect() -> Iterator[Open]:
    """Open WebSockets that are closed after the test."""
    opened: list[websocket.WebSocket] = []

    def connect(server: Server, target: str = "/echo") -> websocket.WebSocket:
        opened.append(websocket.create_connection(f"ws://127.0.0.1:{server.port}{target}", timeout=DEADLINE))
        return opened[-1]

    yield connect
    for client in opened:
        client.shutdown()


def has_ended(client: websocket.WebSocket) -> bool:
    """Wait for the next message, and tell whether the end came instead."""
    try:
        return client.recv() == ""
    except websocket.WebSocketConnectionClosedException:
        return True


def all_echo(clients: list[websocket.WebSocket]) -> bool:
    """Say something different on each, and hear it again."""
    for number, client in enumerate(clients):
        client.send(f"message {number}")
    return [client.recv() for client in clients] == [f"message {number}" for number in range(len(clients))]


# -- 200 at once --


@EVERY_WAY
def test_200_sockets_of_flask_sock(serve: Launcher, connect: Open, way: Way) -> None:
    """They are open at the same time, each echoes, requests are answered meanwhile, and all end with the server."""
    server = way.start(serve, "echoes_flask_sock:app")
    clients = [connect(server) for _ in range(SOCKETS)]

    assert all_echo(clients)
    assert server.get("/").text == "hello"
    server.stop()
    assert all(has_ended(client) for client in clients)


@EVERY_WAY
def test_200_sockets_of_flask_socketio(serve: Launcher, connect: Open, way: Way) -> None:
    """Flask-SocketIO, in the mode that goes with the class, does the same."""
    server = way.start(serve, "echoes_socketio:app")
    clients = [connect(server, "/socket.io/?EIO=4&transport=websocket") for _ in range(SOCKETS)]
    for client in clients:
        # Engine.IO opens with 0; Socket.IO connects with 40 and has events as 42.
        assert client.recv()[:1] == "0"
        client.send("40")
        assert client.recv()[:3] == "40{"
    for number, client in enumerate(clients):
        client.send(f'42["echo","{number}"]')

    assert [client.recv() for client in clients] == [f'42["echo","{number}"]' for number in range(SOCKETS)]
    assert server.get("/").text == "hello"
    server.stop()
    assert all(has_ended(client) for client in clients)


@pytest.mark.parametrize(
    ("way", "application"), [(EVENTLET, "echoes_eventlet:app"), (GEVENT, "echoes_gevent_websocket:app")]
)
def test_200_sockets_of_a_librarys_own(serve: Launcher, connect: Open, way: Way, application: str) -> None:
    """So do eventlet.websocket and gevent-websocket, for applications that were written for these."""
    server = way.start(serve, application)
    clients = [connect(server) for _ in range(SOCKETS)]

    assert all_echo(clients)
    assert server.get("/").text == "hello"
    server.stop()
    assert all(has_ended(client) for client in clients)


@EVERY_WAY
def test_a_client_of_socketio(serve: Launcher, way: Way) -> None:
    """The client that people use begins with long polling and goes over to a WebSocket."""
    server = way.start(serve, "echoes_socketio:app")
    with socketio.SimpleClient() as client:
        client.connect(server.url, wait_timeout=DEADLINE)

        assert client.call("shout", "quietly", timeout=DEADLINE) == "QUIETLY"
        assert client.transport == "websocket"


# -- one of them --


@EVERY_WAY
def test_a_leaving_worker_says_good_bye(serve: Launcher, connect: Open, way: Way) -> None:
    """The application is told, says why in the protocol's own words, and its sockets end well within the timeout."""
    server = way.start(serve, "echoes_flask_sock:app", "--graceful-timeout", str(DEADLINE))
    clients = [connect(server) for _ in range(3)]
    assert all_echo(clients)
    server.stop(timeout=DEADLINE / 2)

    for client in clients:
        opcode, data = client.recv_data()
        assert (opcode, data) == (websocket.ABNF.OPCODE_CLOSE, b"\x03\xe9the worker leaves")
    assert len(server.log.find("told that the worker leaves")) == len(clients)
    assert not server.log.find("Killing")


def test_a_reload_ends_sockets(serve: Launcher, connect: Open) -> None:
    """The old worker's clients are told, and come back to the new one."""
    server = THREADED.start(serve, "echoes_flask_sock:app")
    client = connect(server)
    assert all_echo([client])
    server.signal(SIGHUP)

    assert client.recv_data() == (websocket.ABNF.OPCODE_CLOSE, b"\x03\xe9the worker leaves")
    assert all_echo([connect(server)])


@EVERY_WAY
def test_a_stream_of_events_is_told_too(serve: Launcher, way: Way) -> None:
    """A response without an end ends itself when the worker leaves, and is complete for the client."""
    server = way.start(serve, "streams_until_drain:app")
    with server.connect() as connection:
        connection.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        _, headers = connection.read_head()
        chunks = connection.read_chunks()
        assert headers["transfer-encoding"] == "chunked"
        assert next(iter(chunks)) == b"data: hello\n\n"
        server.stop()
        assert list(chunks) == [b"data: good-bye\n\n"]


@EVERY_WAY
def test_one_that_does_not_let_go_is_killed(serve: Launcher, way: Way) -> None:
    """Past --graceful-timeout a worker whose application ignores all this ends all the same."""
    server = way.start(serve, "keeps_the_socket:app", "--graceful-timeout", "0.5")
    with server.connect() as connection:
        connection.send(UPGRADE.format(target="/", more="").encode())
        assert connection.read_line() == b"HTTP/1.1 101 Switching Protocols\r\n"
        server.stop()
        connection.read()


def test_clients_that_vanish_free_their_threads(serve: Launcher, connect: Open) -> None:
    """A thread comes back when its client is gone, with or without a word."""
    server = Way("threaded", "threading", ("--threads", "2")).start(serve, "echoes_flask_sock:app")
    for _ in range(3):
        clients = [connect(server) for _ in range(2)]
        assert all_echo(clients)
        for client in clients:
            client.shutdown()

    assert server.get("/").text == "hello"


@EVERY_WAY
def test_the_access_log_has_a_line(serve: Launcher, connect: Open, way: Way) -> None:
    """A WebSocket is logged when it ends, with 101."""
    server = way.start(serve, "echoes_flask_sock:app", "--access-logfile", "access.log")
    log = server.folder / "access.log"
    client = connect(server)
    assert all_echo([client])
    assert not log.read_text()
    client.shutdown()
    assert look_until(lambda: log.read_text() != "")

    [line] = log.read_text().splitlines()
    assert '"GET /echo HTTP/1.1" 101 ' in line


@EVERY_WAY
def test_a_request_that_is_no_handshake(serve: Launcher, way: Way) -> None:
    """A WebSocket request without a key gets an answer of HTTP, and the worker goes on."""
    server = way.start(serve, "echoes_flask_sock:app", tracebacks=True)
    reply = server.exchange(UPGRADE.format(target="/echo", more="Sec-WebSocket-Version: 13\r\n").encode())

    assert reply.status >= 400
    assert server.get("/").text == "hello"


def test_gevent_websocket_refuses_a_handshake(serve: Launcher) -> None:
    """Its own judgement reaches the application as its own error, before anything is sent."""
    server = GEVENT.start(serve, "echoes_gevent_websocket:app", tracebacks=True)
    reply = server.exchange(UPGRADE.format(target="/echo", more="Sec-WebSocket-Version: 13\r\n").encode())

    assert reply.status == 500
    server.wait_for_log("WebSocketError: the handshake is refused: 400 Bad Request")


def test_gevent_websocket_knows_its_clients(serve: Launcher, connect: Open) -> None:
    """The server that its handlers share lists the clients, those who left excepted."""
    server = GEVENT.start(serve, "echoes_gevent_websocket:app")
    first, second = connect(server), connect(server)
    assert all_echo([first, second])
    assert server.get("/clients").text == "2"
    second.close()
    assert all_echo([first])

    assert server.get("/clients").text == "1"


def test_sync_says_which_classes_fit(serve: Launcher) -> None:
    """On sync the library finds no socket; the log says why and what to do, and requests go on."""
    server = serve("echoes_flask_sock:app", tracebacks=True)
    with pytest.raises(websocket.WebSocketBadStatusException) as refused:
        websocket.create_connection(f"ws://127.0.0.1:{server.port}/echo", timeout=DEADLINE)

    assert refused.value.status_code == 500
    [line] = server.wait_for_log(re.compile("A WebSocket was asked for at /echo.*"))
    assert "threaded, gevent or eventlet" in line[0]
    server.wait_for_log("RuntimeError: Cannot obtain socket")
    assert server.get("/").text == "hello"
